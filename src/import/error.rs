//! Why an import stops.

use crate::ids::AggregateId;
use crate::store::StoreError;

/// Why an import stopped. What was stored before is stored in order and without gaps: once
/// the cause is removed, the same import goes on behind it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A line is not an event as it must be; nothing of it was written.
    #[error("line {line}: {reason}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A sequence number that does not follow the one before, in the file or in the store.
    #[error(
        "line {line}: aggregate {aggregate_id} is at sequence number {at}, and {found} does not \
         continue it"
    )]
    Sequence {
        /// Which, from 1.
        line: u64,
        /// Whose event.
        aggregate_id: AggregateId,
        /// The last one before it.
        at: i64,
        /// The line's.
        found: i64,
    },
    /// The store has another event in that place: it was not imported from this file.
    #[error(
        "line {line}: event {sequence_number} of aggregate {aggregate_id} is stored already and \
         differs in its {difference}"
    )]
    Differs {
        /// Which, from 1.
        line: u64,
        /// Whose event.
        aggregate_id: AggregateId,
        /// Which event.
        sequence_number: i64,
        /// In what.
        difference: Difference,
    },
    /// The input cannot be read any further.
    #[error("line {line} cannot be read")]
    Read {
        /// Which, from 1.
        line: u64,
        /// What the system says.
        source: std::io::Error,
    },
    /// The store refuses an event, or does not answer.
    #[error("line {line}: {source}")]
    Store {
        /// Which, from 1.
        line: u64,
        /// Whose event.
        aggregate_id: AggregateId,
        /// What it says.
        source: Box<StoreError>,
    },
    /// A setting that makes no sense.
    #[error("invalid: {0}")]
    Invalid(String),
    /// A part of the import ended by a panic: a defect, of the library or of an upcaster.
    #[error("the import broke down: {0}")]
    Broken(String),
}

impl ImportError {
    /// The line it is about.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Line { line, .. }
            | Self::Sequence { line, .. }
            | Self::Differs { line, .. }
            | Self::Read { line, .. }
            | Self::Store { line, .. } => Some(*line),
            Self::Invalid(_) | Self::Broken(_) => None,
        }
    }
}

/// What of a stored event is not as in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The aggregate's type.
    AggregateType,
    /// The event's type.
    Type,
    /// The event's version.
    Version,
    /// The event's data, as JSON values.
    Data,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AggregateType => "aggregate type",
            Self::Type => "type",
            Self::Version => "version",
            Self::Data => "data",
        })
    }
}
