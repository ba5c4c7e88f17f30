//! What a handler counts. The handles are made once: a label that is not a literal would
//! allocate each time.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

use crate::command::CommandError;
use crate::telemetry;

/// Handles of one aggregate type.
pub(super) struct Meters {
    committed: Counter,
    unchanged: Counter,
    repeated: Counter,
    rejected: Counter,
    conflict: Counter,
    failed: Counter,
    seconds: Histogram,
    attempts: Histogram,
    pub(super) conflicts: Counter,
    pub(super) cache_hits: Counter,
    pub(super) cache_misses: Counter,
    pub(super) loaded_events: Histogram,
}

/// Handles for the snapshots of one aggregate type.
pub(super) struct SnapshotMeters {
    pub(super) used: Counter,
    pub(super) written: Counter,
    pub(super) dropped: Counter,
    pub(super) failed: Counter,
    pub(super) unreadable: Counter,
}

impl SnapshotMeters {
    pub(super) fn new(aggregate_type: &'static str) -> Self {
        let counted = |result: &'static str| counter!(telemetry::SNAPSHOTS, "aggregate_type" => aggregate_type, "result" => result);
        Self {
            used: counted("used"),
            written: counted("written"),
            dropped: counted("dropped"),
            failed: counted("failed"),
            unreadable: counted("unreadable"),
        }
    }
}

/// How a command ended well.
pub(super) enum Ended {
    Committed,
    Unchanged,
    Repeated,
}

impl Meters {
    pub(super) fn new(aggregate_type: &'static str) -> Self {
        let ended = |outcome: &'static str| counter!(telemetry::COMMANDS, "aggregate_type" => aggregate_type, "outcome" => outcome);
        let looked_up = |result: &'static str| {
            counter!(
                telemetry::CACHE_LOOKUPS, "aggregate_type" => aggregate_type, "result" => result
            )
        };
        Self {
            committed: ended("committed"),
            unchanged: ended("unchanged"),
            repeated: ended("repeated"),
            rejected: ended("rejected"),
            conflict: ended("conflict"),
            failed: ended("failed"),
            seconds: histogram!(telemetry::COMMAND_SECONDS, "aggregate_type" => aggregate_type),
            attempts: histogram!(telemetry::COMMAND_ATTEMPTS, "aggregate_type" => aggregate_type),
            conflicts: counter!(telemetry::CONFLICTS, "aggregate_type" => aggregate_type),
            cache_hits: looked_up("hit"),
            cache_misses: looked_up("miss"),
            loaded_events: histogram!(telemetry::LOADED_EVENTS, "aggregate_type" => aggregate_type),
        }
    }

    pub(super) fn command<E: std::error::Error>(
        &self,
        elapsed: Duration,
        attempts: u32,
        ended: Result<Ended, &CommandError<E>>,
    ) {
        let counter = match ended {
            Ok(Ended::Committed) => &self.committed,
            Ok(Ended::Unchanged) => &self.unchanged,
            Ok(Ended::Repeated) => &self.repeated,
            Err(CommandError::Rejected(_) | CommandError::RejectedBefore { .. }) => &self.rejected,
            Err(CommandError::Conflict { .. }) => &self.conflict,
            Err(_) => &self.failed,
        };
        counter.increment(1);
        self.seconds.record(elapsed);
        if attempts > 0 {
            self.attempts.record(attempts);
        }
    }
}
