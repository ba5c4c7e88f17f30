//! SET and the targets of DELETE: what is done to which column.

use super::expression::inner;
use super::modify::{Operation, target_of};
use super::planner::{Planner, column_spec};
use crate::error::{CqlError, Result};
use crate::parse::ast::{Assignment, DeleteTarget};
use crate::schema::{Column, Table};
use crate::types::{CqlType, UdtDefinition};

impl Planner<'_> {
    /// Resolves one assignment of an UPDATE.
    pub(super) fn assignment(
        &mut self,
        table: &Table,
        assignment: &Assignment,
    ) -> Result<Operation> {
        let (name, shown) = match assignment {
            Assignment::Set { column, value } => (column, format!("{column} = {value}")),
            Assignment::Add { column, value } => (column, format!("{column} = {column} + {value}")),
            Assignment::Subtract { column, value } => {
                (column, format!("{column} = {column} - {value}"))
            }
            Assignment::Prepend { column, value } => {
                (column, format!("{column} = {value} + {column}"))
            }
            Assignment::Element { column, key, value } => {
                (column, format!("{column}[{key}] = {value}"))
            }
            Assignment::ListCell { column, key, value } => {
                (column, format!("{column}[SCYLLA_TIMEUUID_LIST_INDEX({key})] = {value}"))
            }
            Assignment::Field { column, field, value } => {
                (column, format!("{column}.{field} = {value}"))
            }
        };
        let column = written_column(table, name)?;
        if target_of(column).is_none() {
            return Err(CqlError::invalid(format!("PRIMARY KEY part {name} found in SET part")));
        }
        let target = target_of(column).ok_or_else(|| CqlError::server("no target"))?;
        let spec = column_spec(table, column);
        let ty = &column.cql_type;
        match assignment {
            Assignment::Set { value, .. } => {
                if *ty == CqlType::Counter {
                    return Err(CqlError::invalid(format!(
                        "Cannot set the value of counter column {name} (counters can only be incremented/decremented, not set)"
                    )));
                }
                Ok(Operation::Set(target, self.term(value, &spec)?))
            }
            Assignment::Add { value, .. } => {
                if *ty == CqlType::Counter {
                    let spec = inner(&spec, name.clone(), &CqlType::Bigint);
                    return Ok(Operation::Count(target, self.term(value, &spec)?, false));
                }
                check_collection(column, &shown, "counter")?;
                Ok(Operation::Add(target, self.term(value, &spec)?))
            }
            Assignment::Subtract { value, .. } => {
                if *ty == CqlType::Counter {
                    let spec = inner(&spec, name.clone(), &CqlType::Bigint);
                    return Ok(Operation::Count(target, self.term(value, &spec)?, true));
                }
                check_collection(column, &shown, "counter")?;
                // From a map its keys are taken away, given as a set.
                let spec = match ty {
                    CqlType::Map { key, .. } => inner(
                        &spec,
                        name.clone(),
                        &CqlType::Set { element: key.clone(), frozen: false },
                    ),
                    _ => spec,
                };
                Ok(Operation::Subtract(target, self.term(value, &spec)?))
            }
            Assignment::Prepend { value, .. } => {
                check_collection(column, &shown, "collection")?;
                if !matches!(ty, CqlType::List { .. }) {
                    return Err(CqlError::invalid(format!(
                        "Invalid operation ({shown}) for non list column {name}"
                    )));
                }
                Ok(Operation::Prepend(target, self.term(value, &spec)?))
            }
            Assignment::Element { key, value, .. } => {
                check_collection(column, &shown, "collection")?;
                let (key_spec, value_type) = match ty {
                    CqlType::List { element, .. } => {
                        (inner(&spec, format!("idx({name})"), &CqlType::Int), element)
                    }
                    CqlType::Map { key, value, .. } => {
                        (inner(&spec, format!("key({name})"), key), value)
                    }
                    _ => {
                        return Err(CqlError::invalid(format!(
                            "Invalid operation ({shown}) for set column {name}"
                        )));
                    }
                };
                let value_spec = inner(&spec, format!("value({name})"), value_type);
                let key = self.term(key, &key_spec)?;
                Ok(Operation::SetElement(target, key, self.term(value, &value_spec)?))
            }
            Assignment::ListCell { key, value, .. } => {
                check_collection(column, &shown, "collection")?;
                let CqlType::List { element, .. } = ty else {
                    return Err(CqlError::invalid(format!(
                        "Invalid operation ({shown}) for non list column {name}"
                    )));
                };
                let key_spec = inner(&spec, format!("uuid_idx({name})"), &CqlType::Uuid);
                let value_spec = inner(&spec, format!("value({name})"), element);
                let key = self.term(key, &key_spec)?;
                Ok(Operation::SetListCell(target, key, self.term(value, &value_spec)?))
            }
            Assignment::Field { field, value, .. } => {
                let CqlType::Udt { definition, frozen } = ty else {
                    return Err(CqlError::invalid(format!(
                        "Invalid operation ({shown}) for non-UDT column {name}"
                    )));
                };
                if *frozen {
                    return Err(CqlError::invalid(format!(
                        "Invalid operation ({shown}) for frozen UDT column {name}"
                    )));
                }
                let index = field_index(definition, field, name)?;
                let field_spec =
                    inner(&spec, format!("{name}.{field}"), &definition.fields[index].1);
                Ok(Operation::SetField(target, index, self.term(value, &field_spec)?))
            }
        }
    }

    /// Resolves one thing that a DELETE names.
    pub(super) fn delete_target(
        &mut self,
        table: &Table,
        target: &DeleteTarget,
    ) -> Result<Operation> {
        let name = match target {
            DeleteTarget::Column(name)
            | DeleteTarget::Element { column: name, .. }
            | DeleteTarget::Field { column: name, .. } => name,
        };
        let column = written_column(table, name)?;
        let Some(written) = target_of(column) else {
            return Err(CqlError::invalid(format!(
                "Invalid identifier {name} for deletion (should not be a PRIMARY KEY part)"
            )));
        };
        let spec = column_spec(table, column);
        match target {
            DeleteTarget::Column(_) => Ok(Operation::Delete(written)),
            DeleteTarget::Element { key, .. } => {
                let key_spec = match &column.cql_type {
                    ty if !ty.is_multi_cell() => {
                        return Err(CqlError::invalid(format!(
                            "Invalid deletion operation for {} column {name}",
                            if matches!(
                                ty,
                                CqlType::List { .. } | CqlType::Set { .. } | CqlType::Map { .. }
                            ) {
                                "frozen collection"
                            } else {
                                "non collection"
                            }
                        )));
                    }
                    CqlType::List { .. } => inner(&spec, format!("idx({name})"), &CqlType::Int),
                    CqlType::Set { element, .. } => inner(&spec, format!("value({name})"), element),
                    CqlType::Map { key, .. } => inner(&spec, format!("key({name})"), key),
                    _ => {
                        return Err(CqlError::invalid(format!(
                            "Invalid deletion operation for non collection column {name}"
                        )));
                    }
                };
                Ok(Operation::DeleteElement(written, self.term(key, &key_spec)?))
            }
            DeleteTarget::Field { field, .. } => match &column.cql_type {
                CqlType::Udt { definition, frozen: false } => {
                    let index = field_index(definition, field, name)?;
                    Ok(Operation::DeleteField(written, index))
                }
                _ => Err(CqlError::invalid(format!(
                    "Invalid deletion operation for non-UDT or frozen UDT column {name}"
                ))),
            },
        }
    }
}

/// A column that a statement names outside of its WHERE.
pub(super) fn written_column<'t>(table: &'t Table, name: &str) -> Result<&'t Column> {
    table.column(name).ok_or_else(|| CqlError::invalid(format!("Unknown identifier {name}")))
}

/// Which of a UDT's fields has this name.
pub(super) fn field_index(definition: &UdtDefinition, field: &str, column: &str) -> Result<usize> {
    definition.fields.iter().position(|(name, _)| name == field).ok_or_else(|| {
        CqlError::invalid(format!("UDT column {column} does not have a field named {field}"))
    })
}

/// ScyllaDB shows the column's name in hex in these refusals.
fn check_collection(column: &Column, shown: &str, otherwise: &str) -> Result<()> {
    let hex: String = column.name.bytes().map(|b| format!("{b:02x}")).collect();
    match &column.cql_type {
        CqlType::List { frozen, .. }
        | CqlType::Set { frozen, .. }
        | CqlType::Map { frozen, .. } => {
            if *frozen {
                return Err(CqlError::invalid(format!(
                    "Invalid operation ({shown}) for frozen collection column {hex}"
                )));
            }
            Ok(())
        }
        _ => Err(CqlError::invalid(format!(
            "Invalid operation ({shown}) for non {otherwise} column {hex}"
        ))),
    }
}
