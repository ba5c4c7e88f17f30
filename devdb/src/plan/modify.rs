//! INSERT, UPDATE and DELETE, resolved.

use std::sync::Arc;

use super::expression::Expression;
use super::planner::{Planner, column_spec, named_spec};
use super::restrictions::{
    ClusteringRestriction, ColumnRef, KeyValues, PartitionRestriction, Restrictions,
};
use crate::error::{CqlError, Result};
use crate::parse::ast::{
    Conditions, Delete, Insert, InsertSource, Operator, Relation, Update, Using,
};
use crate::request::ColumnSpec;
use crate::schema::{Column, ColumnKind, Table, is_system_keyspace};
use crate::store::mutation::ColumnId;
use crate::types::CqlType;

/// A column that is written.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its cells' id.
    pub id: ColumnId,
    /// In the static row.
    pub is_static: bool,
    /// Its type.
    pub cql_type: CqlType,
    /// Its name.
    pub name: String,
}

/// What is done to a column.
#[derive(Debug, Clone)]
pub enum Operation {
    /// `c = value`; a collection is overwritten.
    Set(Target, Expression),
    /// `c = c + value`: list append, set and map union.
    Add(Target, Expression),
    /// `l = value + l`.
    Prepend(Target, Expression),
    /// `c = c - value`: list discard, set and map removal.
    Subtract(Target, Expression),
    /// `m[key] = value`, `l[index] = value`.
    SetElement(Target, Expression, Expression),
    /// `l[SCYLLA_TIMEUUID_LIST_INDEX(key)] = value`: the element with this key, whether it is
    /// there or not.
    SetListCell(Target, Expression, Expression),
    /// `u.field = value`: the field's index.
    SetField(Target, usize, Expression),
    /// `c = c ± value` of a counter.
    Count(Target, Expression, /* minus */ bool),
    /// DELETE of a column.
    Delete(Target),
    /// DELETE of `m[key]`, `s[element]`, `l[index]`.
    DeleteElement(Target, Expression),
    /// DELETE of `u.field`.
    DeleteField(Target, usize),
}

impl Operation {
    /// The column it works on.
    pub fn target(&self) -> &Target {
        match self {
            Operation::Set(target, _)
            | Operation::Add(target, _)
            | Operation::Prepend(target, _)
            | Operation::Subtract(target, _)
            | Operation::SetElement(target, _, _)
            | Operation::SetListCell(target, _, _)
            | Operation::SetField(target, _, _)
            | Operation::Count(target, _, _)
            | Operation::Delete(target)
            | Operation::DeleteElement(target, _)
            | Operation::DeleteField(target, _) => target,
        }
    }

    /// Whether the list as it stands decides which cells are written.
    pub fn needs_read(&self) -> bool {
        let is_list = matches!(self.target().cql_type, CqlType::List { .. });
        is_list
            && matches!(
                self,
                Operation::Subtract(..) | Operation::SetElement(..) | Operation::DeleteElement(..)
            )
    }
}

/// Which statement it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ModifyKind {
    Insert,
    Update,
    Delete,
}

/// Which rows are written.
#[derive(Debug, Clone)]
pub enum Rows {
    /// None: static columns only.
    Static,
    /// Rows by their full keys.
    Keys(ClusteringRestriction),
    /// DELETE of everything.
    Partition,
    /// DELETE of ranges of rows.
    Ranges(ClusteringRestriction),
}

/// How a condition reaches into its column.
#[derive(Debug, Clone)]
pub enum ConditionAccess {
    /// The whole value.
    Whole,
    /// `m[key]`, `l[index]`.
    Element(Expression),
    /// `u.field`.
    Field(usize),
}

/// The right side of a condition.
#[derive(Debug, Clone)]
pub enum ConditionValue {
    /// `<op> value`.
    Compare(Operator, Expression),
    /// `IN`.
    In(KeyValues),
}

/// One condition of an IF.
#[derive(Debug, Clone)]
pub struct ColumnCondition {
    /// The column.
    pub target: Target,
    /// What of it.
    pub access: ConditionAccess,
    /// The type of what is compared.
    pub value_type: CqlType,
    /// With what.
    pub test: ConditionValue,
}

/// IF.
#[derive(Debug, Clone)]
pub enum ConditionPlan {
    /// None.
    None,
    /// IF NOT EXISTS.
    NotExists,
    /// IF EXISTS.
    Exists,
    /// IF c = …
    Columns(Vec<ColumnCondition>),
}

/// Where an INSERT's values come from.
#[derive(Debug, Clone)]
pub struct JsonSource {
    /// The document.
    pub document: Expression,
    /// DEFAULT UNSET: columns not in the document stay as they are.
    pub default_unset: bool,
}

/// An INSERT, UPDATE or DELETE that can be executed.
#[derive(Debug, Clone)]
pub struct ModifyPlan {
    /// The table.
    pub table: Arc<Table>,
    /// Where its changes are logged, if they are.
    pub log: Option<Arc<Table>>,
    /// Which statement.
    pub kind: ModifyKind,
    /// Types and directions of the clustering columns.
    pub clustering_types: Vec<(CqlType, bool)>,
    /// Names and types of the partition key's columns.
    pub partition_columns: Vec<(String, CqlType)>,
    /// USING TIMESTAMP.
    pub timestamp: Option<Expression>,
    /// USING TTL.
    pub ttl: Option<Expression>,
    /// Which partitions: values per column of the key.
    pub partition: Vec<KeyValues>,
    /// Which rows.
    pub rows: Rows,
    /// What is done to them.
    pub operations: Vec<Operation>,
    /// INSERT JSON: key and operations come from the document.
    pub json: Option<JsonSource>,
    /// IF.
    pub condition: ConditionPlan,
    /// The table counts.
    pub is_counter: bool,
    /// For a conditional statement: `[applied]` and the columns shown with it.
    pub result_columns: Arc<[ColumnSpec]>,
    /// Which columns those are.
    pub result_references: Vec<(ColumnRef, CqlType)>,
}

impl ModifyPlan {
    /// Whether it has an IF.
    pub fn is_conditional(&self) -> bool {
        !matches!(self.condition, ConditionPlan::None)
    }

    /// The conditions ask only for static columns, so any row of the partition will do
    /// to check them. (ScyllaDB, modification_statement.cc, process_where_clause.)
    pub fn has_only_static_conditions(&self) -> bool {
        match &self.condition {
            ConditionPlan::None => false,
            ConditionPlan::NotExists | ConditionPlan::Exists => {
                matches!(self.rows, Rows::Static)
                    && self.table.columns.iter().any(|c| c.kind == ColumnKind::Static)
            }
            ConditionPlan::Columns(conditions) => conditions.iter().all(|c| c.target.is_static),
        }
    }
}

/// Whether conditions look at columns of a row, not of the partition.
fn asks_for_regular(conditions: &Conditions, table: &Table) -> bool {
    let is_regular =
        |name: &str| table.column(name).is_some_and(|column| column.kind == ColumnKind::Regular);
    match conditions {
        Conditions::Columns(conditions) => conditions.iter().any(|c| is_regular(&c.column)),
        _ => false,
    }
}

impl Planner<'_> {
    fn enter_modified(&mut self, name: &crate::parse::ast::TableName) -> Result<Arc<Table>> {
        let table = self.enter(name)?;
        if is_system_keyspace(&table.keyspace) && !crate::faults::owns(&table) {
            return Err(CqlError::unauthorized(format!(
                "{} keyspace is not user-modifiable.",
                table.keyspace
            )));
        }
        Ok(table)
    }

    /// Resolves an INSERT.
    pub fn insert(&mut self, insert: &Insert) -> Result<ModifyPlan> {
        let table = self.enter_modified(&insert.table)?;
        if is_counter(&table) {
            return Err(CqlError::invalid(
                "INSERT statement are not allowed on counter tables, use UPDATE instead",
            ));
        }
        let mut plan = self.plan_of(&table, ModifyKind::Insert, &insert.using)?;
        match &insert.source {
            InsertSource::Values { columns, values } => {
                if columns.len() != values.len() {
                    return Err(CqlError::invalid("Unmatched column names/values"));
                }
                if columns.is_empty() {
                    return Err(CqlError::invalid("No columns provided to INSERT"));
                }
                let mut given = Vec::with_capacity(columns.len());
                for (index, (name, value)) in columns.iter().zip(values).enumerate() {
                    let column = table
                        .column(name)
                        .ok_or_else(|| CqlError::invalid(format!("Unknown identifier {name}")))?;
                    if columns[..index].contains(name) {
                        return Err(CqlError::invalid(format!(
                            "Multiple definitions found for column {name}"
                        )));
                    }
                    let value = self.term(value, &column_spec(&table, column))?;
                    given.push((column.clone(), value));
                }
                place(&mut plan, given)?;
            }
            InsertSource::Json { document, default_unset } => {
                let document = self.term(document, &named_spec(&table, "[json]", CqlType::Text))?;
                plan.json = Some(JsonSource { document, default_unset: *default_unset });
            }
        }
        self.condition(&mut plan, &insert.conditions)?;
        Ok(plan)
    }

    /// Resolves an UPDATE.
    pub fn update(&mut self, update: &Update) -> Result<ModifyPlan> {
        let table = self.enter_modified(&update.table)?;
        let mut plan = self.plan_of(&table, ModifyKind::Update, &update.using)?;
        for assignment in &update.assignments {
            let operation = self.assignment(&table, assignment)?;
            if let Operation::Set(target, _) = &operation
                && plan.operations.iter().any(|o| o.target().id == target.id)
            {
                return Err(CqlError::invalid(format!(
                    "Multiple incompatible setting of column {}",
                    target.name
                )));
            }
            plan.operations.push(operation);
        }
        self.place_where(&mut plan, &update.relations, &update.conditions)?;
        self.condition(&mut plan, &update.conditions)?;
        Ok(plan)
    }

    /// Resolves a DELETE.
    pub fn delete(&mut self, delete: &Delete) -> Result<ModifyPlan> {
        let table = self.enter_modified(&delete.table)?;
        if delete.using.ttl.is_some() {
            return Err(CqlError::syntax("DELETE takes no TTL"));
        }
        let mut plan = self.plan_of(&table, ModifyKind::Delete, &delete.using)?;
        for target in &delete.targets {
            plan.operations.push(self.delete_target(&table, target)?);
        }
        self.place_where(&mut plan, &delete.relations, &delete.conditions)?;
        self.condition(&mut plan, &delete.conditions)?;
        Ok(plan)
    }

    fn plan_of(
        &mut self,
        table: &Arc<Table>,
        kind: ModifyKind,
        using: &Using,
    ) -> Result<ModifyPlan> {
        let is_counter = is_counter(table);
        if is_counter && using.timestamp.is_some() {
            return Err(CqlError::invalid("Cannot provide custom timestamp for counter updates"));
        }
        if is_counter && using.ttl.is_some() {
            return Err(CqlError::invalid("Cannot provide custom TTL for counter updates"));
        }
        let timestamp = match &using.timestamp {
            Some(term) => {
                Some(self.term(term, &named_spec(table, "[timestamp]", CqlType::Bigint))?)
            }
            None => None,
        };
        let ttl = match &using.ttl {
            Some(term) => Some(self.term(term, &named_spec(table, "[ttl]", CqlType::Int))?),
            None => None,
        };
        if let Some(timeout) = &using.timeout {
            self.term(timeout, &named_spec(table, "[timeout]", CqlType::Duration))?;
        }
        Ok(ModifyPlan {
            log: self.catalog.log_of(table),
            kind,
            clustering_types: table
                .clustering()
                .map(|c| (c.cql_type.clone(), c.descending))
                .collect(),
            partition_columns: table
                .partition_key()
                .map(|c| (c.name.clone(), c.cql_type.clone()))
                .collect(),
            timestamp,
            ttl,
            partition: Vec::new(),
            rows: Rows::Static,
            operations: Vec::new(),
            json: None,
            condition: ConditionPlan::None,
            is_counter,
            result_columns: Arc::new([]),
            result_references: Vec::new(),
            table: table.clone(),
        })
    }

    fn place_where(
        &mut self,
        plan: &mut ModifyPlan,
        relations: &[Relation],
        conditions: &Conditions,
    ) -> Result<()> {
        let conditional = !matches!(conditions, Conditions::None);
        let table = plan.table.clone();
        if relations.iter().any(|r| matches!(r, Relation::Token { .. })) {
            return Err(CqlError::invalid(format!(
                "The token function cannot be used in WHERE clauses for {} statements",
                kind_name(plan.kind)
            )));
        }
        let restrictions = self.restrictions(&table, relations, true)?;
        let Restrictions { partition, clustering, filters, other_columns, missing_partition } =
            restrictions;
        if !other_columns.is_empty() {
            return Err(CqlError::invalid(format!(
                "Invalid where clause contains non PRIMARY KEY columns: {}",
                other_columns.join(", ")
            )));
        }
        if let Some(missing) = missing_partition.first() {
            return Err(CqlError::invalid(format!("Missing mandatory PRIMARY KEY part {missing}")));
        }
        let PartitionRestriction::Keys(keys) = partition else {
            return Err(CqlError::server("a partition key that is not fixed"));
        };
        if !filters.is_empty() {
            // What cannot be part of a range of rows: say why, as for a SELECT.
            self.restrictions(&table, relations, false)?;
            return Err(CqlError::invalid(format!(
                "{} cannot be restricted by more than one relation if it includes an Equal",
                table.clustering().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ")
            )));
        }
        let clustering_columns = plan.clustering_types.len();
        let fixed = clustering.fixed();
        let slice = clustering.has_slice();
        let regular = plan.operations.iter().find(|o| !o.target().is_static);
        let only_static = !plan.operations.is_empty() && regular.is_none();
        plan.partition = keys;
        let refused_in = if !conditional {
            None
        } else if plan.partition.iter().any(KeyValues::is_in) {
            Some("partition key is")
        } else if clustering.has_in() {
            Some("clustering key columns is")
        } else {
            None
        };
        if let Some(what) = refused_in {
            let kind = if plan.kind == ModifyKind::Delete { "deletions" } else { "updates" };
            return Err(CqlError::invalid(format!(
                "IN on the {what} not supported with conditional {kind}"
            )));
        }
        let first_missing =
            || table.clustering().nth(fixed).map_or(String::new(), |c| c.name.clone());
        if plan.kind == ModifyKind::Delete && plan.operations.is_empty() {
            if conditional && fixed < clustering_columns {
                return Err(CqlError::invalid(
                    "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order to delete non static columns",
                ));
            }
            plan.rows = if clustering.is_none() {
                Rows::Partition
            } else if fixed == clustering_columns {
                Rows::Keys(clustering)
            } else {
                Rows::Ranges(clustering)
            };
            return Ok(());
        }
        let looks_at_row = asks_for_regular(conditions, &table);
        if conditional && plan.kind == ModifyKind::Delete && fixed < clustering_columns {
            let refused = if !only_static && !clustering.is_none() {
                Some("delete non static columns")
            } else if only_static && looks_at_row {
                Some("use IF condition on non static columns")
            } else {
                None
            };
            if let Some(what) = refused {
                return Err(CqlError::invalid(format!(
                    "DELETE statements must restrict all PRIMARY KEY columns with equality relations in order to {what}"
                )));
            }
        }
        // A condition may look at a row while only static columns are written.
        if only_static && !looks_at_row {
            if !clustering.is_none() {
                let restricted = table.clustering().next().map_or("", |c| c.name.as_str());
                return Err(CqlError::invalid(format!(
                    "Invalid restriction on clustering column {restricted} since the {} statement modifies only static columns",
                    kind_name(plan.kind)
                )));
            }
            plan.rows = Rows::Static;
            return Ok(());
        }
        if fixed < clustering_columns {
            if slice && plan.kind == ModifyKind::Update {
                return Err(CqlError::invalid(
                    "Invalid operator in where clause: UPDATE takes only = and IN on clustering columns",
                ));
            }
            let missing = first_missing();
            return Err(CqlError::invalid(match (plan.kind, regular) {
                (ModifyKind::Delete, Some(operation)) => format!(
                    "Primary key column '{missing}' must be specified in order to modify column '{}'",
                    operation.target().name
                ),
                _ => format!("Missing mandatory PRIMARY KEY part {missing}"),
            }));
        }
        plan.rows = Rows::Keys(clustering);
        Ok(())
    }
}

/// Gives an INSERT's values their places: key, rows, columns.
pub fn place(plan: &mut ModifyPlan, given: Vec<(Column, Expression)>) -> Result<()> {
    let table = plan.table.clone();
    let mut given: Vec<Option<(Column, Expression)>> = given.into_iter().map(Some).collect();
    let mut take = |kind: ColumnKind| {
        given
            .iter_mut()
            .find(|g| g.as_ref().is_some_and(|(c, _)| c.kind == kind))
            .and_then(Option::take)
            .map(|(_, value)| KeyValues::One(value))
    };
    let missing =
        |name: &str| CqlError::invalid(format!("Missing mandatory PRIMARY KEY part {name}"));
    let mut partition = Vec::new();
    for column in table.partition_key() {
        partition.push(take(column.kind).ok_or_else(|| missing(&column.name))?);
    }
    let mut clustering = Vec::new();
    let mut first_missing = None;
    for column in table.clustering() {
        match take(column.kind) {
            Some(value) => clustering.push(value),
            None => first_missing = first_missing.or(Some(column.name.clone())),
        }
    }
    plan.partition = partition;
    plan.operations.clear();
    for (column, value) in given.into_iter().flatten() {
        if let Some(target) = target_of(&column) {
            plan.operations.push(Operation::Set(target, value));
        }
    }
    plan.rows = match first_missing {
        None => Rows::Keys(ClusteringRestriction::Columns {
            equal: clustering,
            lower: None,
            upper: None,
        }),
        Some(_)
            if clustering.is_empty()
                && !plan.operations.is_empty()
                && plan.operations.iter().all(|o| o.target().is_static) =>
        {
            Rows::Static
        }
        Some(name) => return Err(missing(&name)),
    };
    Ok(())
}

/// What a column is to a write; `None` for key columns.
pub fn target_of(column: &Column) -> Option<Target> {
    let is_static = match column.kind {
        ColumnKind::Static => true,
        ColumnKind::Regular => false,
        ColumnKind::PartitionKey(_) | ColumnKind::Clustering(_) => return None,
    };
    Some(Target {
        id: column.id,
        is_static,
        cql_type: column.cql_type.clone(),
        name: column.name.clone(),
    })
}

fn is_counter(table: &Table) -> bool {
    table.columns.iter().any(|c| c.cql_type == CqlType::Counter)
}

fn kind_name(kind: ModifyKind) -> &'static str {
    match kind {
        ModifyKind::Insert => "INSERT",
        ModifyKind::Update => "UPDATE",
        ModifyKind::Delete => "DELETE",
    }
}
