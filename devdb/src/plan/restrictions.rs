//! What a WHERE clause comes to: which partitions, which rows in them, and what is left to
//! filter.

use super::expression::Expression;
use crate::parse::ast::Operator;
use crate::schema::{Column, ColumnKind, Partitioner};
use crate::store::mutation::ColumnId;
use crate::types::CqlType;

/// ScyllaDB's refusal of reads that would look at more than they return.
pub const NEEDS_FILTERING: &str = "Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING";

/// Where a column's value is found in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnRef {
    /// n-th column of the partition key.
    Partition(usize),
    /// n-th clustering column.
    Clustering(usize),
    /// In the static row.
    Static(ColumnId),
    /// In the row.
    Regular(ColumnId),
}

impl ColumnRef {
    /// Of a column.
    pub fn of(column: &Column) -> Self {
        match column.kind {
            ColumnKind::PartitionKey(n) => ColumnRef::Partition(n),
            ColumnKind::Clustering(n) => ColumnRef::Clustering(n),
            ColumnKind::Static => ColumnRef::Static(column.id),
            ColumnKind::Regular => ColumnRef::Regular(column.id),
        }
    }

    /// The id of its cells, if it has cells.
    pub fn cell(self) -> Option<ColumnId> {
        match self {
            ColumnRef::Static(id) | ColumnRef::Regular(id) => Some(id),
            ColumnRef::Partition(_) | ColumnRef::Clustering(_) => None,
        }
    }
}

/// The values that `=` or `IN` name.
#[derive(Debug, Clone)]
pub enum KeyValues {
    /// `=`.
    One(Expression),
    /// `IN (…)`.
    Many(Vec<Expression>),
    /// `IN ?`: a bound list.
    Bound(Expression),
}

impl KeyValues {
    /// Whether it is `IN`.
    pub fn is_in(&self) -> bool {
        !matches!(self, KeyValues::One(_))
    }
}

/// A tuple of clustering columns' values.
#[derive(Debug, Clone)]
pub enum TupleValue {
    /// Written out.
    Parts(Vec<Expression>),
    /// Bound as one value.
    Whole(Expression),
}

/// Several of them.
#[derive(Debug, Clone)]
pub enum TupleValues {
    /// `=` or `IN (…)`.
    Written(Vec<TupleValue>),
    /// `IN ?`: a bound list of tuples.
    Bound(Expression),
}

/// One end of a slice and whether it belongs to it.
#[derive(Debug, Clone)]
pub struct SliceBound<V> {
    /// The end.
    pub value: V,
    /// `>=` or `<=`.
    pub inclusive: bool,
}

/// Which partitions.
#[derive(Debug, Clone)]
pub enum PartitionRestriction {
    /// All, in ring order.
    All,
    /// Those with these values, per column of the key.
    Keys(Vec<KeyValues>),
    /// Those with tokens in a range.
    Token {
        /// `token(…) >` or `>=`.
        start: Option<SliceBound<Expression>>,
        /// `token(…) <` or `<=`.
        end: Option<SliceBound<Expression>>,
    },
}

/// Which rows of a partition.
#[derive(Debug, Clone)]
pub enum ClusteringRestriction {
    /// Leading columns by value, then perhaps a slice of the next.
    Columns {
        /// `=` and `IN` of the leading columns.
        equal: Vec<KeyValues>,
        /// Of the column after them.
        lower: Option<SliceBound<Expression>>,
        /// Of the column after them.
        upper: Option<SliceBound<Expression>>,
    },
    /// `(c, d) = (…)`, `(c, d) IN (…)`.
    Tuples {
        /// How many leading columns.
        columns: usize,
        /// Their values.
        values: TupleValues,
    },
    /// `(c, d) > (…)` and the like.
    TupleSlice {
        /// `>` or `>=`, with how many leading columns.
        lower: Option<(usize, SliceBound<TupleValue>)>,
        /// `<` or `<=`.
        upper: Option<(usize, SliceBound<TupleValue>)>,
    },
}

impl ClusteringRestriction {
    /// No restriction.
    pub fn none() -> Self {
        ClusteringRestriction::Columns { equal: Vec::new(), lower: None, upper: None }
    }

    /// Whether it leaves all rows.
    pub fn is_none(&self) -> bool {
        matches!(self, ClusteringRestriction::Columns { equal, lower: None, upper: None } if equal.is_empty())
    }

    /// How many leading columns are fixed to values.
    pub fn fixed(&self) -> usize {
        match self {
            ClusteringRestriction::Columns { equal, .. } => equal.len(),
            ClusteringRestriction::Tuples { columns, .. } => *columns,
            ClusteringRestriction::TupleSlice { .. } => 0,
        }
    }

    /// Whether it has `<`, `>` and the like.
    pub fn has_slice(&self) -> bool {
        match self {
            ClusteringRestriction::Columns { lower, upper, .. } => {
                lower.is_some() || upper.is_some()
            }
            ClusteringRestriction::Tuples { .. } => false,
            ClusteringRestriction::TupleSlice { .. } => true,
        }
    }

    /// Whether it has `IN`.
    pub fn has_in(&self) -> bool {
        match self {
            ClusteringRestriction::Columns { equal, .. } => equal.iter().any(KeyValues::is_in),
            ClusteringRestriction::Tuples { values, .. } => match values {
                TupleValues::Written(values) => values.len() != 1,
                TupleValues::Bound(_) => true,
            },
            ClusteringRestriction::TupleSlice { .. } => false,
        }
    }
}

/// What is compared in a filter.
#[derive(Debug, Clone)]
pub enum FilterTarget {
    /// A column.
    Column(ColumnRef, CqlType),
    /// `m[key]`.
    Element(ColumnRef, CqlType, Expression),
    /// `token(…)`.
    Token(Partitioner),
}

/// How it is compared.
#[derive(Debug, Clone)]
pub enum FilterTest {
    /// `=`, `<`, `CONTAINS`, …
    Compare(Operator, Expression),
    /// `IN`.
    In(KeyValues),
}

/// A condition that rows are checked against one by one.
#[derive(Debug, Clone)]
pub struct Filter {
    /// What is compared.
    pub target: FilterTarget,
    /// With what.
    pub test: FilterTest,
}

/// A WHERE clause, taken apart.
#[derive(Debug, Clone)]
pub struct Restrictions {
    /// Which partitions.
    pub partition: PartitionRestriction,
    /// Which rows.
    pub clustering: ClusteringRestriction,
    /// What is left.
    pub filters: Vec<Filter>,
    /// Columns outside the primary key that the clause names.
    pub other_columns: Vec<String>,
    /// Partition key columns that it does not fix to values.
    pub missing_partition: Vec<String>,
}
