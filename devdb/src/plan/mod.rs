//! From syntax tree to a plan in which every name is resolved.
mod assignments;
mod conditions;
mod describe;
mod expression;
mod functions;
mod markers;
mod modify;
mod planner;
mod restrictions;
mod select;
mod statement;
mod where_clause;

pub use describe::describe_columns;
pub use expression::{Expression, assemble, same_type};
pub use functions::ScalarFunction;
pub use modify::{
    ColumnCondition, ConditionAccess, ConditionPlan, ConditionValue, JsonSource, ModifyKind,
    ModifyPlan, Operation, Rows, Target, place, target_of,
};
pub use planner::{Planner, column_spec, named_spec};
pub use restrictions::{
    ClusteringRestriction, ColumnRef, Filter, FilterTarget, FilterTest, KeyValues,
    PartitionRestriction, Restrictions, SliceBound, TupleValue, TupleValues,
};
pub use select::{Aggregate, AggregateKind, SelectPlan, Selection};
pub use statement::{BatchPlan, Plan, Planned, batch_result, check_batch, plan};
