//! A fault: which requests, which of these, what then.

use std::fmt;
use std::str::FromStr;

use super::action::FaultAction;
use super::target::Target;

/// Kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// SELECT.
    Read,
    /// INSERT, UPDATE, DELETE without a condition, outside of batches; TRUNCATE.
    Write,
    /// A batch without conditions: a BATCH frame, or BEGIN BATCH … APPLY BATCH.
    Batch,
    /// A conditional statement or batch.
    Lwt,
    /// PREPARE. A fault hits it only if it names this operation.
    Prepare,
    /// DDL and USE.
    Schema,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 6] = [
        Operation::Read,
        Operation::Write,
        Operation::Batch,
        Operation::Lwt,
        Operation::Prepare,
        Operation::Schema,
    ];

    /// Its name in `devdb.faults`.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Batch => "batch",
            Operation::Lwt => "lwt",
            Operation::Prepare => "prepare",
            Operation::Schema => "schema",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Operation {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|o| o.name().eq_ignore_ascii_case(name)).ok_or(())
    }
}

/// A fault. Without further words it hits every request that its action can happen to, but
/// for PREPARE and what drivers send of their own accord: USE, and reads of system tables.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Fault {
    pub(super) table: Option<String>,
    pub(super) operation: Option<Operation>,
    pub(super) statement: Option<String>,
    pub(super) skip: u64,
    pub(super) times: Option<u64>,
    pub(super) every: u64,
    pub(super) probability: Option<f64>,
    pub(super) seed: u64,
    pub(super) action: FaultAction,
}

impl Fault {
    /// A fault that does this.
    pub fn new(action: FaultAction) -> Self {
        Self {
            table: None,
            operation: None,
            statement: None,
            skip: 0,
            times: None,
            every: 1,
            probability: None,
            seed: 0,
            action,
        }
    }

    /// Only requests on this table: `table` or `keyspace.table`.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = Some(name.into());
        self
    }

    /// Only requests of this kind.
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only requests whose text contains this. The text of a BATCH frame is its statements'
    /// texts joined by `; ` with `BATCH ` in front.
    pub fn statement(mut self, contains: impl Into<String>) -> Self {
        self.statement = Some(contains.into());
        self
    }

    /// Lets so many matching requests pass first.
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Hits so many requests, then none; without a limit otherwise.
    pub fn times(mut self, hits: u64) -> Self {
        self.times = Some(hits);
        self
    }

    /// Hits the n-th matching request, from 1, and no other.
    pub fn nth(self, n: u64) -> Self {
        self.skip(n.saturating_sub(1)).times(1)
    }

    /// Of the matching requests hits the first and then every n-th.
    pub fn every(mut self, n: u64) -> Self {
        self.every = n.max(1);
        self
    }

    /// Hits a matching request with this probability, 0 to 1. The same seed and the same
    /// order of requests give the same hits.
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    /// Of the random numbers behind [`Fault::probability`]; 0 by default.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What it does.
    pub fn action(&self) -> &FaultAction {
        &self.action
    }

    pub(super) fn matches(&self, target: &Target) -> bool {
        let operation = match (self.operation, target.operation) {
            (Some(wanted), given) => given == Some(wanted),
            (None, given) => given != Some(Operation::Prepare),
        };
        operation
            && self.action.can_happen_to(target.operation)
            && self.statement.as_ref().is_none_or(|text| target.text.contains(text.as_str()))
            && match &self.table {
                Some(name) => target.is_on(name),
                None => self.statement.is_some() || !target.is_of_drivers(),
            }
    }
}
