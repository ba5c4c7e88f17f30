//! Aggregates: one row of many.

use bytes::Bytes;

use super::bindings::Bindings;
use super::numbers::{self, Number};
use super::rows::RowView;
use crate::error::Result;
use crate::plan::{Aggregate, AggregateKind};
use crate::types::{CqlType, compare};

/// An aggregate under way.
#[derive(Debug)]
struct Accumulator {
    count: i64,
    extreme: Option<Bytes>,
    sum: Option<Number>,
}

/// The aggregates of a group of rows under way.
#[derive(Debug)]
pub struct Accumulators<'p> {
    aggregates: &'p [Aggregate],
    states: Vec<Accumulator>,
}

impl<'p> Accumulators<'p> {
    /// Of no rows yet.
    pub fn new(aggregates: &'p [Aggregate]) -> Self {
        let states =
            aggregates.iter().map(|_| Accumulator { count: 0, extreme: None, sum: None }).collect();
        Accumulators { aggregates, states }
    }

    /// Takes in a row.
    pub fn add(&mut self, row: &RowView<'_>, bindings: Bindings<'_>) -> Result<()> {
        for (aggregate, state) in self.aggregates.iter().zip(&mut self.states) {
            let Some((selection, ty)) = &aggregate.argument else {
                state.count += 1;
                continue;
            };
            let Some(value) = row.select(selection, bindings, &[])? else {
                continue;
            };
            state.count += 1;
            match aggregate.kind {
                AggregateKind::CountRows | AggregateKind::Count => {}
                AggregateKind::Min | AggregateKind::Max => {
                    let better = state.extreme.as_ref().is_none_or(|best| {
                        let order = compare(comparable(ty), &value, best);
                        if aggregate.kind == AggregateKind::Min {
                            order.is_lt()
                        } else {
                            order.is_gt()
                        }
                    });
                    if better {
                        state.extreme = Some(value);
                    }
                }
                AggregateKind::Sum | AggregateKind::Avg => {
                    if let Some(number) = numbers::decode(ty, &value)? {
                        state.sum = Some(match &state.sum {
                            Some(sum) => numbers::add(sum, &number),
                            None => number,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// The results. Of no rows: a count of 0, a sum and average of 0, and no extreme.
    pub fn results(&self) -> Result<Vec<Option<Bytes>>> {
        self.aggregates
            .iter()
            .zip(&self.states)
            .map(|(aggregate, state)| {
                let ty = aggregate.argument.as_ref().map(|(_, ty)| comparable(ty));
                Ok(match (aggregate.kind, ty) {
                    (AggregateKind::CountRows | AggregateKind::Count, _) | (_, None) => {
                        Some(Bytes::copy_from_slice(&state.count.to_be_bytes()))
                    }
                    (AggregateKind::Min | AggregateKind::Max, _) => state.extreme.clone(),
                    (AggregateKind::Sum | AggregateKind::Avg, Some(ty)) => {
                        let zero = match ty {
                            CqlType::Float | CqlType::Double => Number::Real(0.0),
                            CqlType::Decimal => Number::Decimal(0.into(), 0),
                            _ => Number::Integer(0.into()),
                        };
                        let sum = state.sum.clone().unwrap_or(zero);
                        let result = if aggregate.kind == AggregateKind::Avg && state.count > 0 {
                            numbers::divide(&sum, state.count)
                        } else {
                            sum
                        };
                        Some(numbers::encode(ty, &result)?)
                    }
                })
            })
            .collect()
    }
}

/// Counters compare and sum as what they count to.
fn comparable(ty: &CqlType) -> &CqlType {
    match ty {
        CqlType::Counter => &CqlType::Bigint,
        other => other,
    }
}
