//! WHERE clauses, taken apart.

use super::expression::Expression;
use super::planner::{Planner, column_spec, named_spec};
use super::restrictions::{
    ClusteringRestriction, ColumnRef, Filter, FilterTarget, FilterTest, KeyValues, NEEDS_FILTERING,
    PartitionRestriction, Restrictions, SliceBound, TupleValue, TupleValues,
};
use crate::error::{CqlError, Result};
use crate::parse::ast::{InValues, Operator, Relation, Term};
use crate::schema::{Column, ColumnKind, Table};
use crate::types::CqlType;

/// A restriction of one column.
struct Single {
    column: Column,
    test: FilterTest,
}

impl Planner<'_> {
    /// Takes a WHERE clause apart. `filtering`: ALLOW FILTERING, or a statement that
    /// makes its own refusals of what is left over.
    pub fn restrictions(
        &mut self,
        table: &Table,
        relations: &[Relation],
        filtering: bool,
    ) -> Result<Restrictions> {
        let mut singles: Vec<Single> = Vec::new();
        let mut filters = Vec::new();
        let mut other_columns = Vec::new();
        let mut token = (None, None);
        let mut has_token = false;
        let mut tuple_clustering: Option<ClusteringRestriction> = None;
        for relation in relations {
            match relation {
                Relation::Column { column, operator, value } => {
                    let column = where_column(table, column)?.clone();
                    check_operator(&column, *operator, value)?;
                    let spec = match (operator, &column.cql_type) {
                        (Operator::Contains | Operator::ContainsKey, ty) => {
                            let (part, element) = contained(ty, *operator);
                            super::expression::inner(
                                &column_spec(table, &column),
                                format!("{part}({})", column.name),
                                &element,
                            )
                        }
                        _ => column_spec(table, &column),
                    };
                    let expression = self.term(value, &spec)?;
                    singles
                        .push(Single { column, test: FilterTest::Compare(*operator, expression) });
                }
                Relation::ColumnIn { column, values } => {
                    let column = where_column(table, column)?.clone();
                    if column.cql_type.is_multi_cell() {
                        return Err(CqlError::invalid(format!(
                            "Collection column '{}' ({}) cannot be restricted by a 'IN' relation",
                            column.name, column.cql_type
                        )));
                    }
                    let test = match self.in_values(table, &column, values)? {
                        // One value written out is no IN. (ScyllaDB, cql3/relation.cc.)
                        KeyValues::Many(mut one) if one.len() == 1 => match one.pop() {
                            Some(value) => FilterTest::Compare(Operator::Eq, value),
                            None => FilterTest::In(KeyValues::Many(Vec::new())),
                        },
                        values => FilterTest::In(values),
                    };
                    singles.push(Single { column, test });
                }
                Relation::ColumnNotNull { column } => {
                    where_column(table, column)?;
                    return Err(CqlError::invalid(format!(
                        "restriction '{column} IS NOT null' is only supported in materialized view creation"
                    )));
                }
                Relation::Element { column, key, operator, value } => {
                    let column = where_column(table, column)?.clone();
                    let CqlType::Map { key: key_type, value: value_type, .. } = &column.cql_type
                    else {
                        return Err(CqlError::invalid(format!(
                            "Column {} cannot be used as a map",
                            column.name
                        )));
                    };
                    if *operator != Operator::Eq {
                        return Err(CqlError::invalid(
                            "Only EQ relations are supported on map entries",
                        ));
                    }
                    let spec = column_spec(table, &column);
                    let key = self.term(
                        key,
                        &super::expression::inner(&spec, format!("key({})", column.name), key_type),
                    )?;
                    let value = self.term(
                        value,
                        &super::expression::inner(
                            &spec,
                            format!("value({})", column.name),
                            value_type,
                        ),
                    )?;
                    other_columns.push(column.name.clone());
                    filters.push(Filter {
                        target: FilterTarget::Element(
                            ColumnRef::of(&column),
                            column.cql_type.clone(),
                            key,
                        ),
                        test: FilterTest::Compare(*operator, value),
                    });
                }
                Relation::Token { columns, operator, value } => {
                    check_token_columns(table, columns)?;
                    has_token = true;
                    let spec = named_spec(table, "partition key token", CqlType::Bigint);
                    let value = self.term(value, &spec)?;
                    self.token_bound(table, *operator, value, &mut token, &mut filters)?;
                }
                Relation::Tuple { columns, operator, value } => {
                    let types = tuple_columns(table, columns)?;
                    let value = self.tuple_value(table, columns, &types, value)?;
                    add_tuple(&mut tuple_clustering, columns, *operator, value)?;
                }
                Relation::TupleIn { columns, values } => {
                    let types = tuple_columns(table, columns)?;
                    if tuple_clustering.is_some() {
                        return Err(CqlError::invalid(format!(
                            "{} cannot be restricted by more than one relation if it includes a IN",
                            columns.join(", ")
                        )));
                    }
                    let values = match values {
                        InValues::Terms(terms) => TupleValues::Written(
                            terms
                                .iter()
                                .map(|term| self.tuple_value(table, columns, &types, term))
                                .collect::<Result<_>>()?,
                        ),
                        InValues::Bind(marker) => {
                            let list = CqlType::List {
                                element: CqlType::Tuple(types.into()).into(),
                                frozen: false,
                            };
                            let spec =
                                named_spec(table, &format!("in({})", columns.join(",")), list);
                            TupleValues::Bound(self.term(&Term::Bind(marker.clone()), &spec)?)
                        }
                    };
                    tuple_clustering =
                        Some(ClusteringRestriction::Tuples { columns: columns.len(), values });
                }
            }
        }
        let mut left_over = !filters.is_empty();
        let (partition, missing_partition) = partition_restriction(
            table,
            &mut singles,
            has_token.then_some(token),
            &mut filters,
            filtering,
            &mut left_over,
        )?;
        let clustering =
            clustering_restriction(table, &mut singles, tuple_clustering, &mut filters, filtering)?;
        for single in singles {
            other_columns.push(single.column.name.clone());
            left_over = true;
            filters.push(filter_of(single));
        }
        if left_over && !filtering {
            return Err(CqlError::invalid(NEEDS_FILTERING));
        }
        Ok(Restrictions { partition, clustering, filters, other_columns, missing_partition })
    }

    /// The values of `column IN …`.
    pub fn in_values(
        &mut self,
        table: &Table,
        column: &Column,
        values: &InValues,
    ) -> Result<KeyValues> {
        match values {
            InValues::Terms(terms) => {
                let spec = column_spec(table, column);
                let values =
                    terms.iter().map(|term| self.term(term, &spec)).collect::<Result<_>>()?;
                Ok(KeyValues::Many(values))
            }
            InValues::Bind(marker) => {
                let list = CqlType::List { element: column.cql_type.clone().into(), frozen: false };
                let spec = named_spec(table, &format!("in({})", column.name), list);
                Ok(KeyValues::Bound(self.term(&Term::Bind(marker.clone()), &spec)?))
            }
        }
    }

    fn tuple_value(
        &mut self,
        table: &Table,
        columns: &[String],
        types: &[CqlType],
        value: &Term,
    ) -> Result<TupleValue> {
        match value {
            Term::Tuple(terms) => {
                if terms.len() != types.len() {
                    return Err(CqlError::invalid(format!(
                        "Expected {} elements in value tuple, but got {}: {value}",
                        types.len(),
                        terms.len()
                    )));
                }
                let mut parts = Vec::with_capacity(terms.len());
                for ((term, ty), column) in terms.iter().zip(types).zip(columns) {
                    parts.push(self.term(term, &named_spec(table, column, ty.clone()))?);
                }
                Ok(TupleValue::Parts(parts))
            }
            Term::Bind(_) => {
                let spec = named_spec(
                    table,
                    &format!("({})", columns.join(",")),
                    CqlType::Tuple(types.to_vec().into()),
                );
                Ok(TupleValue::Whole(self.term(value, &spec)?))
            }
            other => Err(CqlError::invalid(format!(
                "Expected a tuple of values for ({}), got {other}",
                columns.join(", ")
            ))),
        }
    }

    #[allow(clippy::type_complexity)]
    fn token_bound(
        &mut self,
        table: &Table,
        operator: Operator,
        value: Expression,
        token: &mut (Option<SliceBound<Expression>>, Option<SliceBound<Expression>>),
        filters: &mut Vec<Filter>,
    ) -> Result<()> {
        let inclusive = matches!(operator, Operator::Ge | Operator::Le | Operator::Eq);
        let lower = matches!(operator, Operator::Gt | Operator::Ge | Operator::Eq);
        let upper = matches!(operator, Operator::Lt | Operator::Le | Operator::Eq);
        if !lower && !upper {
            return Err(CqlError::invalid(
                "Unsupported operator for token relation: only =, <, <=, > and >= are",
            ));
        }
        for (wanted, bound) in [(lower, &mut token.0), (upper, &mut token.1)] {
            if !wanted {
                continue;
            }
            if bound.is_none() {
                *bound = Some(SliceBound { value: value.clone(), inclusive });
            } else {
                filters.push(Filter {
                    target: FilterTarget::Token(table.partitioner),
                    test: FilterTest::Compare(operator, value.clone()),
                });
            }
        }
        Ok(())
    }
}

fn filter_of(single: Single) -> Filter {
    Filter {
        target: FilterTarget::Column(ColumnRef::of(&single.column), single.column.cql_type.clone()),
        test: single.test,
    }
}

fn where_column<'t>(table: &'t Table, name: &str) -> Result<&'t Column> {
    table.column(name).ok_or_else(|| {
        CqlError::invalid(format!("Undefined name {name} in where clause ('unresolved({name})')"))
    })
}

fn contained(ty: &CqlType, operator: Operator) -> (&'static str, CqlType) {
    match ty {
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            ("value", (**element).clone())
        }
        CqlType::Map { key, .. } if operator == Operator::ContainsKey => ("key", (**key).clone()),
        CqlType::Map { value, .. } => ("value", (**value).clone()),
        other => ("value", other.clone()),
    }
}

fn check_operator(column: &Column, operator: Operator, value: &Term) -> Result<()> {
    let name = &column.name;
    let ty = &column.cql_type;
    match operator {
        Operator::Ne => {
            Err(CqlError::invalid(format!("Unsupported \"!=\" relation: {name} != {value}")))
        }
        Operator::Like => match ty {
            CqlType::Ascii | CqlType::Text => Ok(()),
            _ => Err(CqlError::invalid(format!(
                "LIKE is allowed only on string types, which {name} is not"
            ))),
        },
        Operator::Contains => match ty {
            CqlType::List { .. } | CqlType::Set { .. } | CqlType::Map { .. } => Ok(()),
            _ => Err(CqlError::invalid(format!(
                "Cannot use CONTAINS on non-collection column {name}"
            ))),
        },
        Operator::ContainsKey => match ty {
            CqlType::Map { .. } => Ok(()),
            _ => {
                Err(CqlError::invalid(format!("Cannot use CONTAINS KEY on non-map column {name}")))
            }
        },
        Operator::Eq | Operator::Lt | Operator::Le | Operator::Gt | Operator::Ge => {
            let symbol = match operator {
                Operator::Eq => "=",
                Operator::Lt => "<",
                Operator::Le => "<=",
                Operator::Gt => ">",
                _ => ">=",
            };
            if ty.is_multi_cell() {
                return Err(CqlError::invalid(format!(
                    "Collection column '{name}' ({ty}) cannot be restricted by a '{symbol}' relation"
                )));
            }
            if *ty == CqlType::Duration && operator != Operator::Eq {
                return Err(CqlError::invalid(
                    "Slice restrictions are not supported on duration columns",
                ));
            }
            Ok(())
        }
    }
}

fn check_token_columns(table: &Table, columns: &[String]) -> Result<()> {
    let key: Vec<&str> = table.partition_key().map(|c| c.name.as_str()).collect();
    for column in columns {
        where_column(table, column)?;
    }
    if columns.iter().map(String::as_str).eq(key.iter().copied()) {
        return Ok(());
    }
    if columns.len() == key.len() && columns.iter().all(|c| key.contains(&c.as_str())) {
        return Err(CqlError::invalid(format!(
            "The token function arguments must be in the partition key order: {}",
            key.join(", ")
        )));
    }
    Err(CqlError::invalid(
        "The token() function must be applied to all partition key components or none of them",
    ))
}

fn tuple_columns(table: &Table, columns: &[String]) -> Result<Vec<CqlType>> {
    let mut types = Vec::with_capacity(columns.len());
    for (index, name) in columns.iter().enumerate() {
        let column = where_column(table, name)?;
        match column.kind {
            ColumnKind::Clustering(n) if n == index => types.push(column.cql_type.clone()),
            ColumnKind::Clustering(_) => {
                return Err(CqlError::invalid(format!(
                    "Clustering columns may not be skipped in multi-column relations. They should appear in the PRIMARY KEY order. Got ({})",
                    columns.join(", ")
                )));
            }
            _ => {
                return Err(CqlError::invalid(format!(
                    "Multi-column relations can only be applied to clustering columns but was applied to: {name}"
                )));
            }
        }
    }
    Ok(types)
}

fn add_tuple(
    current: &mut Option<ClusteringRestriction>,
    columns: &[String],
    operator: Operator,
    value: TupleValue,
) -> Result<()> {
    let names = columns.join(", ");
    let bound = |inclusive| Some((columns.len(), SliceBound { value: value.clone(), inclusive }));
    let (lower, upper) = match operator {
        Operator::Eq => {
            if current.is_some() {
                return Err(CqlError::invalid(format!(
                    "{names} cannot be restricted by more than one relation if it includes an Equal"
                )));
            }
            *current = Some(ClusteringRestriction::Tuples {
                columns: columns.len(),
                values: TupleValues::Written(vec![value]),
            });
            return Ok(());
        }
        Operator::Gt => (bound(false), None),
        Operator::Ge => (bound(true), None),
        Operator::Lt => (None, bound(false)),
        Operator::Le => (None, bound(true)),
        _ => {
            return Err(CqlError::invalid(format!(
                "Unsupported operator in a relation on ({names})"
            )));
        }
    };
    match current {
        None => *current = Some(ClusteringRestriction::TupleSlice { lower, upper }),
        Some(ClusteringRestriction::TupleSlice { lower: l, upper: u }) => {
            for (slot, new, which) in [(l, lower, "start"), (u, upper, "end")] {
                if new.is_none() {
                    continue;
                }
                if slot.is_some() {
                    return Err(CqlError::invalid(format!(
                        "More than one restriction was found for the {which} bound on {names}"
                    )));
                }
                *slot = new;
            }
        }
        Some(_) => {
            return Err(CqlError::invalid(format!(
                "{names} cannot be restricted by both an equality and an inequality relation"
            )));
        }
    }
    Ok(())
}

/// Removes the first `=` or `IN` on the column and returns its values.
fn take_values(singles: &mut Vec<Single>, kind: ColumnKind) -> Option<KeyValues> {
    let index = singles.iter().position(|s| {
        s.column.kind == kind
            && matches!(s.test, FilterTest::In(_) | FilterTest::Compare(Operator::Eq, _))
    })?;
    Some(match singles.remove(index).test {
        FilterTest::In(values) => values,
        FilterTest::Compare(_, value) => KeyValues::One(value),
    })
}

/// Moves what else is said about the column into the filters.
fn drain_column(singles: &mut Vec<Single>, kind: ColumnKind, filters: &mut Vec<Filter>) -> bool {
    let before = filters.len();
    let mut index = 0;
    while index < singles.len() {
        if singles[index].column.kind == kind {
            filters.push(filter_of(singles.remove(index)));
        } else {
            index += 1;
        }
    }
    filters.len() > before
}

#[allow(clippy::type_complexity)]
fn partition_restriction(
    table: &Table,
    singles: &mut Vec<Single>,
    token: Option<(Option<SliceBound<Expression>>, Option<SliceBound<Expression>>)>,
    filters: &mut Vec<Filter>,
    filtering: bool,
    left_over: &mut bool,
) -> Result<(PartitionRestriction, Vec<String>)> {
    let restricted = |s: &Single| matches!(s.column.kind, ColumnKind::PartitionKey(_));
    let sliced = singles.iter().any(|s| {
        restricted(s) && !matches!(s.test, FilterTest::In(_) | FilterTest::Compare(Operator::Eq, _))
    });
    if sliced && !filtering {
        return Err(CqlError::invalid(
            "Only EQ and IN relation are supported on the partition key (unless you use the token() function or allow filtering)",
        ));
    }
    if let Some((start, end)) = token {
        let names: Vec<&str> = table.partition_key().map(|c| c.name.as_str()).collect();
        if singles.iter().any(restricted) {
            return Err(CqlError::invalid(format!(
                "Columns \"{}\" cannot be restricted by both a normal relation and a token relation",
                names.join(", ")
            )));
        }
        let missing = names.into_iter().map(str::to_owned).collect();
        return Ok((PartitionRestriction::Token { start, end }, missing));
    }
    let missing: Vec<String> = table
        .partition_key()
        .filter(|c| {
            !singles.iter().any(|s| {
                s.column.kind == c.kind
                    && matches!(s.test, FilterTest::In(_) | FilterTest::Compare(Operator::Eq, _))
            })
        })
        .map(|c| c.name.clone())
        .collect();
    if !missing.is_empty() {
        for column in table.partition_key() {
            *left_over |= drain_column(singles, column.kind, filters);
        }
        return Ok((PartitionRestriction::All, missing));
    }
    let mut keys = Vec::new();
    for column in table.partition_key() {
        keys.extend(take_values(singles, column.kind));
        // Said twice: no more rows to look at, so no ALLOW FILTERING is asked for.
        drain_column(singles, column.kind, filters);
    }
    Ok((PartitionRestriction::Keys(keys), missing))
}

fn clustering_restriction(
    table: &Table,
    singles: &mut Vec<Single>,
    tuples: Option<ClusteringRestriction>,
    filters: &mut Vec<Filter>,
    filtering: bool,
) -> Result<ClusteringRestriction> {
    if let Some(tuples) = tuples {
        if singles.iter().any(|s| matches!(s.column.kind, ColumnKind::Clustering(_))) {
            return Err(CqlError::invalid(
                "Mixing single column relations and multi column relations on clustering columns is not allowed",
            ));
        }
        return Ok(tuples);
    }
    let mut equal = Vec::new();
    let mut lower = None;
    let mut upper = None;
    // Why the columns that follow can no longer be part of the range.
    let mut stopped: Option<(String, bool)> = None;
    for column in table.clustering() {
        let kind = column.kind;
        let restricted = singles.iter().any(|s| s.column.kind == kind);
        if let Some((preceding, sliced)) = &stopped {
            if restricted && !filtering {
                let name = &column.name;
                return Err(CqlError::invalid(if *sliced {
                    format!(
                        "Clustering column \"{name}\" cannot be restricted (preceding column \"{preceding}\" is restricted by a non-EQ relation)"
                    )
                } else {
                    format!(
                        "PRIMARY KEY column \"{name}\" cannot be restricted as preceding column \"{preceding}\" is not restricted"
                    )
                }));
            }
            drain_column(singles, kind, filters);
            continue;
        }
        if let Some(values) = take_values(singles, kind) {
            equal.push(values);
            drain_column(singles, kind, filters);
            continue;
        }
        let mut index = 0;
        while index < singles.len() {
            let bound = match &singles[index] {
                Single { column: c, test: FilterTest::Compare(operator, value) }
                    if c.kind == kind =>
                {
                    let inclusive = matches!(operator, Operator::Ge | Operator::Le);
                    let bound = SliceBound { value: value.clone(), inclusive };
                    match operator {
                        Operator::Gt | Operator::Ge => Some((true, bound)),
                        Operator::Lt | Operator::Le => Some((false, bound)),
                        _ => None,
                    }
                }
                _ => None,
            };
            let Some((is_lower, bound)) = bound else {
                index += 1;
                continue;
            };
            let (slot, which) = if is_lower { (&mut lower, "start") } else { (&mut upper, "end") };
            if slot.is_some() {
                return Err(CqlError::invalid(format!(
                    "More than one restriction was found for the {which} bound on {}",
                    column.name
                )));
            }
            *slot = Some(bound);
            singles.remove(index);
        }
        let sliced = lower.is_some() || upper.is_some();
        // CONTAINS on a frozen clustering column looks at every row.
        if singles.iter().any(|s| s.column.kind == kind) && !filtering {
            return Err(CqlError::invalid(NEEDS_FILTERING));
        }
        drain_column(singles, kind, filters);
        stopped = Some((column.name.clone(), sliced));
    }
    Ok(ClusteringRestriction::Columns { equal, lower, upper })
}
