//! IF: conditions, and what a conditional statement returns.

use std::sync::Arc;

use super::assignments::{field_index, written_column};
use super::expression::inner;
use super::modify::{
    ColumnCondition, ConditionAccess, ConditionPlan, ConditionValue, ModifyPlan, target_of,
};
use super::planner::{Planner, column_spec, named_spec};
use super::restrictions::{ColumnRef, KeyValues};
use crate::error::{CqlError, Result};
use crate::parse::ast::{Condition, ConditionTest, Conditions, InValues, Operator, Term};
use crate::request::ColumnSpec;
use crate::schema::{Column, Table};
use crate::types::CqlType;

impl Planner<'_> {
    /// Adds a statement's conditions to its plan.
    pub(super) fn condition(
        &mut self,
        plan: &mut ModifyPlan,
        conditions: &Conditions,
    ) -> Result<()> {
        let table = plan.table.clone();
        plan.condition = match conditions {
            Conditions::None => return Ok(()),
            Conditions::NotExists => ConditionPlan::NotExists,
            Conditions::Exists => ConditionPlan::Exists,
            Conditions::Columns(conditions) => ConditionPlan::Columns(
                conditions
                    .iter()
                    .map(|condition| self.column_condition(&table, condition))
                    .collect::<Result<_>>()?,
            ),
        };
        if plan.is_counter {
            return Err(CqlError::invalid(
                "Conditional updates are not supported on counter tables",
            ));
        }
        if plan.timestamp.is_some() {
            return Err(CqlError::invalid(
                "Cannot provide custom timestamp for conditional updates",
            ));
        }
        let shown: Vec<&Column> = match &plan.condition {
            ConditionPlan::Columns(conditions) => table
                .columns
                .iter()
                .filter(|c| {
                    conditions
                        .iter()
                        .any(|condition| condition.target.id == c.id && target_of(c).is_some())
                })
                .collect(),
            _ => table.columns.iter().collect(),
        };
        (plan.result_columns, plan.result_references) = cas_result(&table, &shown);
        Ok(())
    }

    fn column_condition(
        &mut self,
        table: &Table,
        condition: &Condition,
    ) -> Result<ColumnCondition> {
        let name = &condition.column;
        let column = written_column(table, name)?;
        let Some(target) = target_of(column) else {
            return Err(CqlError::invalid(format!(
                "PRIMARY KEY column '{name}' cannot have IF conditions"
            )));
        };
        if column.cql_type == CqlType::Counter {
            return Err(CqlError::invalid("Conditions on counters are not supported"));
        }
        let spec = column_spec(table, column);
        let (access, value_type, value_name) = match (&condition.element, &condition.field) {
            (Some(key), _) => {
                let (key_spec, value_type) = match &column.cql_type {
                    CqlType::List { element, .. } => {
                        (inner(&spec, format!("idx({name})"), &CqlType::Int), element)
                    }
                    CqlType::Map { key, value, .. } => {
                        (inner(&spec, format!("key({name})"), key), value)
                    }
                    _ => {
                        return Err(CqlError::invalid(format!(
                            "Invalid element access syntax for non-collection column {name}"
                        )));
                    }
                };
                let key = self.term(key, &key_spec)?;
                (ConditionAccess::Element(key), (**value_type).clone(), format!("value({name})"))
            }
            (None, Some(field)) => {
                let CqlType::Udt { definition, .. } = &column.cql_type else {
                    return Err(CqlError::invalid(format!(
                        "Invalid field access syntax for non-UDT column {name}"
                    )));
                };
                let index = field_index(definition, field, name)?;
                let ty = definition.fields[index].1.clone();
                (ConditionAccess::Field(index), ty, format!("{name}.{field}"))
            }
            (None, None) => (ConditionAccess::Whole, column.cql_type.clone(), name.clone()),
        };
        let value_spec = inner(&spec, value_name.clone(), &value_type);
        let test = match &condition.test {
            ConditionTest::Compare { operator, value } => {
                match operator {
                    Operator::Eq
                    | Operator::Ne
                    | Operator::Lt
                    | Operator::Le
                    | Operator::Gt
                    | Operator::Ge => {}
                    Operator::Like if matches!(value_type, CqlType::Ascii | CqlType::Text) => {}
                    Operator::Like => {
                        return Err(CqlError::invalid(format!(
                            "LIKE is allowed only on string types, which {name} is not"
                        )));
                    }
                    Operator::Contains | Operator::ContainsKey => {
                        return Err(CqlError::unsupported(format!("{operator:?} in IF")));
                    }
                }
                if value_type == CqlType::Duration
                    && !matches!(operator, Operator::Eq | Operator::Ne)
                {
                    return Err(CqlError::invalid(
                        "Slice conditions are not supported on durations",
                    ));
                }
                ConditionValue::Compare(*operator, self.term(value, &value_spec)?)
            }
            ConditionTest::In(InValues::Terms(terms)) => ConditionValue::In(KeyValues::Many(
                terms.iter().map(|term| self.term(term, &value_spec)).collect::<Result<_>>()?,
            )),
            ConditionTest::In(InValues::Bind(marker)) => {
                let list = CqlType::List { element: value_type.clone().into(), frozen: false };
                let list_spec = inner(&spec, format!("in({value_name})"), &list);
                let bound = self.term(&Term::Bind(marker.clone()), &list_spec)?;
                ConditionValue::In(KeyValues::Bound(bound))
            }
        };
        Ok(ColumnCondition { target, access, value_type, test })
    }
}

/// `[applied]` and the given columns.
pub fn cas_result(
    table: &Table,
    shown: &[&Column],
) -> (Arc<[ColumnSpec]>, Vec<(ColumnRef, CqlType)>) {
    let mut columns = vec![named_spec(table, "[applied]", CqlType::Boolean)];
    columns.extend(shown.iter().map(|c| column_spec(table, c)));
    let references = shown.iter().map(|c| (ColumnRef::of(c), c.cql_type.clone())).collect();
    (columns.into(), references)
}
