//! What can happen to a request.

use std::time::Duration;

use super::fault::Operation;
use crate::error::CqlError;

/// What happens to a request that a fault hits.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FaultAction {
    /// Wait, then go on: a long queue, a slow replica. What a client that gave up in the
    /// meantime sent is applied after it gave up.
    Delay(Duration),
    /// Go on, and answer later: a slow way back. Others see the write before its writer
    /// hears of it.
    DelayAnswer(Duration),
    /// Answer with this error and do nothing: a refusal, an overloaded node, replicas that
    /// are away.
    FailBefore(CqlError),
    /// Do it, then answer with this error: a timeout whose write reached the replicas.
    FailAfter(CqlError),
    /// Close the connection and do nothing: a node that goes down, a network that breaks.
    DropBefore,
    /// Do it, then close the connection without an answer.
    DropAfter,
    /// Of a batch over several partitions apply one now and the others after `rest_after`,
    /// with the timestamps and log rows of the batch: a coordinator that stops after the
    /// batchlog was written, and the batchlog's replay. A batch of one partition is applied
    /// whole, as ScyllaDB does it without a batchlog.
    HalfBatch {
        /// Which partition is applied now.
        part: BatchPart,
        /// When the rest follows.
        rest_after: Duration,
        /// The answer, given at once; without one the client waits for the rest, then
        /// hears that the batch was applied.
        error: Option<CqlError>,
    },
    /// The write's CDC log rows are seen only after this, although their `cdc$time` is that
    /// of the write: a replica of the log, or a batchlog, that is late.
    LateLog(Duration),
    /// The write's CDC log rows are written twice, with another `cdc$time` of the same
    /// microsecond: a coordinator or driver that repeats a write.
    DuplicateLog,
    /// A page has at most so many rows, and says that there are more: pages that were cut
    /// at a limit of memory, by tombstones, or at the end of a range of tokens. 0: a page
    /// without rows with more to come. Nothing happens to reads that are not paged.
    ShortPage(usize),
    /// All prepared statements are forgotten, then the request goes on: a node that was
    /// restarted or whose cache is full.
    ForgetPrepared,
    /// A generation of other CDC streams begins after this, and the request goes on at
    /// once: a node that joins.
    NewGeneration(Duration),
    /// The node's clock is put off by so many microseconds, then the request goes on: a
    /// node without time synchronization.
    ClockOffset(i64),
}

impl FaultAction {
    /// Whether it can happen to such a request: others are neither hit nor counted.
    pub(super) fn can_happen_to(&self, operation: Option<Operation>) -> bool {
        match self {
            FaultAction::HalfBatch { .. } => operation == Some(Operation::Batch),
            FaultAction::ShortPage(_) => operation == Some(Operation::Read),
            FaultAction::LateLog(_) | FaultAction::DuplicateLog => {
                matches!(operation, Some(Operation::Write | Operation::Batch | Operation::Lwt))
            }
            _ => true,
        }
    }
}

/// Which partition of a batch is applied first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchPart {
    /// That of the first statement.
    #[default]
    First,
    /// The one that came last among the statements.
    Last,
}

/// What a fault changes about a request within the database; nothing by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effects {
    /// Apply this partition of several, and the others after a while.
    pub half: Option<(BatchPart, Duration)>,
    /// Log rows are seen after this.
    pub late_log: Option<Duration>,
    /// Log rows are written twice.
    pub duplicate_log: bool,
    /// Rows in a page at most.
    pub short_page: Option<usize>,
}
