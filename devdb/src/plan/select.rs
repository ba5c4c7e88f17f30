//! SELECT, resolved.

use std::sync::Arc;

use super::expression::Expression;
use super::functions::{Argument, ScalarFunction, resolve_call, resolve_cast, token_function};
use super::planner::{Planner, column_spec, named_spec};
use super::restrictions::{ColumnRef, Filter, PartitionRestriction, Restrictions};
use crate::error::{CqlError, Result};
use crate::parse::ast::{Select, SelectExpression, Term};
use crate::request::ColumnSpec;
use crate::schema::{ColumnKind, Table};
use crate::store::read::ColumnSelection;
use crate::types::CqlType;

/// An expression of a selection clause, with its columns found.
#[derive(Debug, Clone)]
pub enum Selection {
    /// A column's value.
    Column(ColumnRef, CqlType),
    /// `writetime(c)`.
    WriteTime(ColumnRef),
    /// `ttl(c)`.
    Ttl(ColumnRef),
    /// A constant or bound value.
    Value(Expression),
    /// A function of a row's values.
    Call(ScalarFunction, Vec<Selection>),
    /// `u.field` of a UDT: the field's index.
    Field(Box<Selection>, usize),
    /// `m[key]` or `s[element]`.
    Element(Box<Selection>, CqlType, Expression),
    /// The n-th aggregate of the query.
    Aggregate(usize),
}

/// A function of many rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateKind {
    /// `count(*)`.
    CountRows,
    /// `count(c)`: values that are not null.
    Count,
    /// `min`.
    Min,
    /// `max`.
    Max,
    /// `sum`.
    Sum,
    /// `avg`.
    Avg,
}

/// An aggregate of a query.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// Which.
    pub kind: AggregateKind,
    /// Of what, and its type; `None` for `count(*)`.
    pub argument: Option<(Selection, CqlType)>,
}

/// A SELECT that can be executed.
#[derive(Debug, Clone)]
pub struct SelectPlan {
    /// The table.
    pub table: Arc<Table>,
    /// Types of the partition key's columns.
    pub partition_types: Vec<CqlType>,
    /// Types and directions of the clustering columns.
    pub clustering_types: Vec<(CqlType, bool)>,
    /// The result's columns.
    pub columns: Arc<[ColumnSpec]>,
    /// What each of them shows (for JSON: each member of the document).
    pub selections: Vec<Selection>,
    /// For JSON: the members' names and types.
    pub json: Option<Vec<(String, CqlType)>>,
    /// The aggregates that selections refer to.
    pub aggregates: Vec<Aggregate>,
    /// GROUP BY: the columns whose change begins a new group.
    pub group_by: Vec<ColumnRef>,
    /// What to read of a row.
    pub read: ColumnSelection,
    /// WHERE.
    pub restrictions: Restrictions,
    /// DISTINCT.
    pub distinct: bool,
    /// ORDER BY against the clustering order.
    pub reversed: bool,
    /// ORDER BY was given: rows of several partitions are to be merged.
    pub ordered: bool,
    /// LIMIT.
    pub limit: Option<Expression>,
    /// PER PARTITION LIMIT.
    pub per_partition_limit: Option<Expression>,
}

impl SelectPlan {
    /// Whether it makes one row of many.
    pub fn is_aggregate(&self) -> bool {
        !self.aggregates.is_empty() || !self.group_by.is_empty()
    }
}

struct Selecting<'t> {
    table: &'t Table,
    aggregates: Vec<Aggregate>,
    cells: Vec<crate::store::mutation::ColumnId>,
}

impl Planner<'_> {
    /// Resolves a SELECT.
    pub fn select(&mut self, select: &Select) -> Result<SelectPlan> {
        let table = self.enter(&select.table)?;
        let mut selecting = Selecting { table: &table, aggregates: Vec::new(), cells: Vec::new() };
        let mut columns = Vec::new();
        let mut selections = Vec::new();
        for column in table.columns.iter().filter(|_| select.selectors.is_empty()) {
            columns.push(column_spec(&table, column));
            selections.push(selecting.column(ColumnRef::of(column), &column.cql_type));
        }
        for selector in &select.selectors {
            let (selection, ty, name) = self.selection(&mut selecting, &selector.expression)?;
            let name = selector.alias.as_deref().unwrap_or(&name);
            columns.push(named_spec(&table, name, ty));
            selections.push(selection);
        }
        let Selecting { aggregates, mut cells, .. } = selecting;
        let restrictions = self.restrictions(&table, &select.relations, select.allow_filtering)?;
        for filter in &restrictions.filters {
            cells.extend(filter_cell(filter));
        }
        if select.distinct {
            check_distinct(&table, &selections)?;
        }
        let group_by = group_by(&table, &select.group_by, &restrictions)?;
        let reversed = order_by(&table, &select.order_by, &restrictions)?;
        let limit = self.limit(&table, "[limit]", select.limit.as_ref())?;
        let per_partition_limit =
            self.limit(&table, "[per_partition_limit]", select.per_partition_limit.as_ref())?;
        if let Some(timeout) = &select.using.timeout {
            self.term(timeout, &named_spec(&table, "[timeout]", CqlType::Duration))?;
        }
        if select.using.timestamp.is_some() || select.using.ttl.is_some() {
            return Err(CqlError::syntax("SELECT takes no USING but TIMEOUT"));
        }
        cells.sort_unstable();
        cells.dedup();
        let json = select
            .json
            .then(|| columns.iter().map(|c| (json_name(&c.name), c.cql_type.clone())).collect());
        if select.json {
            columns = vec![named_spec(&table, "[json]", CqlType::Text)];
        }
        Ok(SelectPlan {
            partition_types: table.partition_key().map(|c| c.cql_type.clone()).collect(),
            clustering_types: table
                .clustering()
                .map(|c| (c.cql_type.clone(), c.descending))
                .collect(),
            columns: columns.into(),
            selections,
            json,
            aggregates,
            group_by,
            read: ColumnSelection::Some(cells),
            restrictions,
            distinct: select.distinct,
            reversed: reversed.unwrap_or(false),
            ordered: reversed.is_some(),
            limit,
            per_partition_limit,
            table,
        })
    }

    fn limit(
        &mut self,
        table: &Table,
        name: &str,
        term: Option<&Term>,
    ) -> Result<Option<Expression>> {
        term.map(|term| self.term(term, &named_spec(table, name, CqlType::Int))).transpose()
    }

    /// The expression, its type, and the name that ScyllaDB gives its result.
    fn selection(
        &mut self,
        selecting: &mut Selecting<'_>,
        expression: &SelectExpression,
    ) -> Result<(Selection, CqlType, String)> {
        match expression {
            SelectExpression::Column(name) => {
                let column = selected_column(selecting.table, name)?;
                let selection = selecting.column(ColumnRef::of(column), &column.cql_type);
                Ok((selection, column.cql_type.clone(), name.clone()))
            }
            SelectExpression::WriteTime(name) => {
                let reference = selecting.timed(name, "writeTime")?;
                Ok((Selection::WriteTime(reference), CqlType::Bigint, format!("writetime({name})")))
            }
            SelectExpression::Ttl(name) => {
                let reference = selecting.timed(name, "ttl")?;
                Ok((Selection::Ttl(reference), CqlType::Int, format!("ttl({name})")))
            }
            SelectExpression::CountRows => {
                let selection = selecting
                    .aggregate(Aggregate { kind: AggregateKind::CountRows, argument: None });
                Ok((selection, CqlType::Bigint, "count".to_owned()))
            }
            SelectExpression::Field { base, field } => {
                let (selection, ty, name) = self.selection(selecting, base)?;
                let CqlType::Udt { definition, .. } = &ty else {
                    return Err(CqlError::invalid(format!(
                        "Invalid field selection: {name} of type {ty} is not a user type"
                    )));
                };
                let index = definition.fields.iter().position(|(f, _)| f == field);
                let Some(index) = index else {
                    return Err(CqlError::invalid(format!(
                        "{name} of type {ty} has no field {field}"
                    )));
                };
                let field_type = definition.fields[index].1.clone();
                Ok((
                    Selection::Field(Box::new(selection), index),
                    field_type,
                    format!("{name}.{field}"),
                ))
            }
            SelectExpression::Element { base, key } => {
                let (selection, ty, name) = self.selection(selecting, base)?;
                let (key_type, value_type) = match &ty {
                    CqlType::Map { key, value, .. } => ((**key).clone(), (**value).clone()),
                    CqlType::Set { element, .. } => ((**element).clone(), (**element).clone()),
                    _ => {
                        return Err(CqlError::invalid(format!(
                            "Invalid element selection: {name} is of type {ty} is not a collection"
                        )));
                    }
                };
                let spec = named_spec(selecting.table, &format!("key({name})"), key_type);
                let key_expression = self.term(key, &spec)?;
                Ok((
                    Selection::Element(Box::new(selection), ty, key_expression),
                    value_type,
                    format!("{name}[{key}]"),
                ))
            }
            SelectExpression::Cast { expression, type_name } => {
                let (selection, from, name) = self.selection(selecting, expression)?;
                let to = self.resolve_type(type_name)?;
                let function = resolve_cast(&from, &to)?;
                let name = format!("cast({name} as {to})");
                Ok((Selection::Call(function, vec![selection]), to, name))
            }
            SelectExpression::Term(term) => {
                let ty = self.natural_type(term)?;
                let spec = named_spec(selecting.table, "[selection]", ty.clone());
                let name = term.to_string();
                Ok((Selection::Value(self.term(term, &spec)?), ty, name))
            }
            SelectExpression::Function { name, arguments } => {
                self.selected_call(selecting, name, arguments)
            }
        }
    }

    fn selected_call(
        &mut self,
        selecting: &mut Selecting<'_>,
        name: &str,
        arguments: &[SelectExpression],
    ) -> Result<(Selection, CqlType, String)> {
        let kind = match name {
            "count" => Some(AggregateKind::Count),
            "min" => Some(AggregateKind::Min),
            "max" => Some(AggregateKind::Max),
            "sum" => Some(AggregateKind::Sum),
            "avg" => Some(AggregateKind::Avg),
            _ => None,
        };
        if let Some(kind) = kind {
            let [argument] = arguments else {
                return Err(CqlError::invalid(format!(
                    "Invalid number of arguments in call to function system.{name}: 1 required but {} provided",
                    arguments.len()
                )));
            };
            let before = selecting.aggregates.len();
            let (selection, ty, argument_name) = self.selection(selecting, argument)?;
            if selecting.aggregates.len() > before {
                return Err(CqlError::invalid(
                    "aggregate functions cannot be used as arguments of aggregate functions",
                ));
            }
            let returns = aggregate_type(kind, &ty, name)?;
            let selection =
                selecting.aggregate(Aggregate { kind, argument: Some((selection, ty)) });
            return Ok((selection, returns, format!("system.{name}({argument_name})")));
        }
        // Constants take the type that the function wants of them.
        let mut resolved: Vec<Option<(Selection, CqlType)>> = Vec::new();
        let mut given = Vec::new();
        let mut names = Vec::new();
        for argument in arguments {
            if let SelectExpression::Term(term) = argument {
                resolved.push(None);
                given.push(Argument::Term(term));
                names.push(term.to_string());
            } else {
                let (selection, ty, argument_name) = self.selection(selecting, argument)?;
                given.push(Argument::Typed(ty.clone()));
                resolved.push(Some((selection, ty)));
                names.push(argument_name);
            }
        }
        let result_name = format!("system.{name}({})", names.join(", "));
        // ScyllaDB 5.1 takes any columns for token() in a selection clause, in any
        // number: it is the token of what is given.
        if name == "token"
            && !resolved.is_empty()
            && resolved.iter().all(Option::is_some)
            && resolved.len() < selecting.table.partition_key().count()
        {
            let function = token_function(selecting.table);
            let arguments = resolved.into_iter().flatten().map(|(s, _)| s).collect();
            return Ok((Selection::Call(function, arguments), CqlType::Bigint, result_name));
        }
        let signature = resolve_call(name, &given, None, Some(selecting.table))?;
        let mut selections = Vec::with_capacity(arguments.len());
        for (index, (known, argument)) in resolved.into_iter().zip(arguments).enumerate() {
            selections.push(match (known, argument) {
                (Some((selection, _)), _) => selection,
                (None, SelectExpression::Term(term)) => {
                    let spec = named_spec(
                        selecting.table,
                        &format!("arg{index}(system.{name})"),
                        signature.arguments[index].clone(),
                    );
                    Selection::Value(self.term(term, &spec)?)
                }
                (None, _) => return Err(CqlError::server("unresolved function argument")),
            });
        }
        Ok((Selection::Call(signature.function, selections), signature.returns, result_name))
    }
}

impl Selecting<'_> {
    fn column(&mut self, reference: ColumnRef, ty: &CqlType) -> Selection {
        self.cells.extend(reference.cell());
        Selection::Column(reference, ty.clone())
    }

    fn timed(&mut self, name: &str, function: &str) -> Result<ColumnRef> {
        let column = selected_column(self.table, name)?;
        let reference = ColumnRef::of(column);
        if reference.cell().is_none() {
            let hex: String = name.bytes().map(|b| format!("{b:02x}")).collect();
            return Err(CqlError::invalid(format!(
                "Cannot use selection function {function} on PRIMARY KEY part {hex}"
            )));
        }
        if column.cql_type.is_multi_cell() {
            return Err(CqlError::invalid(format!(
                "Cannot use selection function {function} on collections"
            )));
        }
        self.cells.extend(reference.cell());
        Ok(reference)
    }

    fn aggregate(&mut self, aggregate: Aggregate) -> Selection {
        self.aggregates.push(aggregate);
        Selection::Aggregate(self.aggregates.len() - 1)
    }
}

fn selected_column<'t>(table: &'t Table, name: &str) -> Result<&'t crate::schema::Column> {
    table
        .column(name)
        .ok_or_else(|| CqlError::invalid(format!("Undefined name {name} in selection clause")))
}

fn aggregate_type(kind: AggregateKind, ty: &CqlType, name: &str) -> Result<CqlType> {
    use CqlType::{Bigint, Counter, Decimal, Double, Float, Int, Smallint, Tinyint, Varint};
    match kind {
        AggregateKind::CountRows | AggregateKind::Count => Ok(Bigint),
        AggregateKind::Min | AggregateKind::Max => match ty {
            Counter => Ok(Bigint),
            _ => Ok(ty.clone()),
        },
        AggregateKind::Sum | AggregateKind::Avg => match ty {
            Counter => Ok(Bigint),
            Bigint | Decimal | Double | Float | Int | Smallint | Tinyint | Varint => Ok(ty.clone()),
            _ => Err(CqlError::invalid(format!(
                "Invalid call to function {name}, none of its type signatures match (known type signatures: system.{name} : (int) -> int and the other numeric types)"
            ))),
        },
    }
}

/// A member's name in a JSON document: names that need quotes in CQL have them here too.
fn json_name(name: &str) -> String {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        format!("\"{name}\"")
    } else {
        name.to_owned()
    }
}

fn filter_cell(filter: &Filter) -> Option<crate::store::mutation::ColumnId> {
    use super::restrictions::FilterTarget;
    match &filter.target {
        FilterTarget::Column(reference, _) | FilterTarget::Element(reference, _, _) => {
            reference.cell()
        }
        FilterTarget::Token(_) => None,
    }
}

fn check_distinct(table: &Table, selections: &[Selection]) -> Result<()> {
    let mut requested = Vec::new();
    for selection in selections {
        match selection {
            Selection::Column(ColumnRef::Partition(n), _) => requested.push(*n),
            Selection::Column(ColumnRef::Static(_), _) => {}
            Selection::WriteTime(ColumnRef::Static(_)) | Selection::Ttl(ColumnRef::Static(_)) => {}
            Selection::Column(reference, _)
            | Selection::WriteTime(reference)
            | Selection::Ttl(reference) => {
                let name = table
                    .columns
                    .iter()
                    .find(|c| ColumnRef::of(c) == *reference)
                    .map_or("", |c| c.name.as_str());
                return Err(CqlError::invalid(format!(
                    "SELECT DISTINCT queries must only request partition key columns and/or static columns (not {name})"
                )));
            }
            // A function of the key stands for the columns that it takes.
            Selection::Call(_, arguments) => {
                for argument in arguments {
                    if let Selection::Column(ColumnRef::Partition(n), _) = argument {
                        requested.push(*n);
                    }
                }
            }
            Selection::Value(_)
            | Selection::Field(..)
            | Selection::Element(..)
            | Selection::Aggregate(_) => {}
        }
    }
    for column in table.partition_key() {
        if let ColumnKind::PartitionKey(n) = column.kind
            && !requested.contains(&n)
        {
            return Err(CqlError::invalid(format!(
                "SELECT DISTINCT queries must request all the partition key columns (missing {})",
                column.name
            )));
        }
    }
    Ok(())
}

/// Columns that `=` fixes need not be named again in GROUP BY and ORDER BY.
fn is_fixed(restrictions: &Restrictions, kind: ColumnKind) -> bool {
    use super::restrictions::{ClusteringRestriction, KeyValues};
    match kind {
        ColumnKind::PartitionKey(n) => match &restrictions.partition {
            PartitionRestriction::Keys(keys) => {
                keys.get(n).is_some_and(|k| matches!(k, KeyValues::One(_)))
            }
            _ => false,
        },
        ColumnKind::Clustering(n) => match &restrictions.clustering {
            ClusteringRestriction::Columns { equal, .. } => {
                equal.get(n).is_some_and(|k| matches!(k, KeyValues::One(_)))
            }
            _ => false,
        },
        ColumnKind::Static | ColumnKind::Regular => false,
    }
}

fn group_by(
    table: &Table,
    names: &[String],
    restrictions: &Restrictions,
) -> Result<Vec<ColumnRef>> {
    let mut references = Vec::new();
    let mut keys = table.partition_key().chain(table.clustering());
    for name in names {
        let column = table
            .column(name)
            .ok_or_else(|| CqlError::invalid(format!("Group by unknown column {name}")))?;
        if matches!(column.kind, ColumnKind::Static | ColumnKind::Regular) {
            return Err(CqlError::invalid(format!(
                "Group by is currently only supported on the columns of the PRIMARY KEY, got {name}"
            )));
        }
        loop {
            match keys.next() {
                Some(key) if key.name == *name => break,
                Some(key) if is_fixed(restrictions, key.kind) => {}
                _ => {
                    return Err(CqlError::invalid(
                        "Group by currently only support groups of columns following their declared order in the PRIMARY KEY",
                    ));
                }
            }
        }
        references.push(ColumnRef::of(column));
    }
    Ok(references)
}

/// Whether the order asked for runs against the clustering order; `None` without ORDER BY.
fn order_by(
    table: &Table,
    order: &[(String, bool)],
    restrictions: &Restrictions,
) -> Result<Option<bool>> {
    if order.is_empty() {
        return Ok(None);
    }
    if !matches!(restrictions.partition, PartitionRestriction::Keys(_)) {
        return Err(CqlError::invalid(
            "ORDER BY is only supported when the partition key is restricted by an EQ or an IN.",
        ));
    }
    let mut keys = table.clustering();
    let mut reversed = None;
    for (name, descending) in order {
        let column = table
            .column(name)
            .ok_or_else(|| CqlError::invalid(format!("Order by on unknown column {name}")))?;
        if !matches!(column.kind, ColumnKind::Clustering(_)) {
            return Err(CqlError::invalid(format!(
                "Order by is currently only supported on the clustered columns of the PRIMARY KEY, got {name}"
            )));
        }
        loop {
            match keys.next() {
                Some(key) if key.name == *name => break,
                Some(key) if is_fixed(restrictions, key.kind) => {}
                _ => {
                    return Err(CqlError::invalid(
                        "Order by currently only support the ordering of columns following their declared order in the PRIMARY KEY",
                    ));
                }
            }
        }
        let against = *descending != column.descending;
        if *reversed.get_or_insert(against) != against {
            return Err(CqlError::invalid("Unsupported order by relation"));
        }
    }
    Ok(reversed)
}
