//! Why upcasters are refused at the start.

use std::fmt;

/// What is wrong with a set of upcasters: everything, so that one look mends it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct UpcastersError {
    /// In the order in which it was found; at least one.
    pub problems: Vec<UpcastersProblem>,
}

impl fmt::Display for UpcastersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upcasters cannot be used:")?;
        for problem in &self.problems {
            write!(f, " {problem};")?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a set of upcasters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpcastersProblem {
    /// Stored events of this version could not be read.
    #[error(
        "{aggregate_type} has no upcaster for {event_type:?} version {event_version}, \
         but knows version {later} (if it was never stored, say so: `first_version`)"
    )]
    Gap {
        /// Of which aggregate.
        aggregate_type: String,
        /// Type of the event.
        event_type: String,
        /// The version that nothing reads.
        event_version: i32,
        /// A later version that is read.
        later: i32,
    },
    /// A step leads to what neither the domain nor another step takes.
    #[error(
        "{aggregate_type}: the step from {from} leads to {to}, which is neither an event of \
         this build nor the beginning of another step"
    )]
    DeadEnd {
        /// Of which aggregate.
        aggregate_type: String,
        /// Type and version where the step begins.
        from: String,
        /// Type and version where it leads.
        to: String,
    },
    /// The steps lead back to where they began.
    #[error("{aggregate_type}: the steps go in a circle: {path}")]
    Cycle {
        /// Of which aggregate.
        aggregate_type: String,
        /// The circle.
        path: String,
    },
    /// Two steps begin at the same version.
    #[error("{aggregate_type} has two steps from {from}")]
    Twice {
        /// Of which aggregate.
        aggregate_type: String,
        /// Type and version.
        from: String,
    },
    /// A step begins at an event of today: raise the version in the domain's enum first.
    #[error("{aggregate_type}: a step from {from}, which is an event of this build")]
    Current {
        /// Of which aggregate.
        aggregate_type: String,
        /// Type and version.
        from: String,
    },
    /// An aggregate type was registered twice.
    #[error("{aggregate_type} is registered twice")]
    RegisteredTwice {
        /// Which.
        aggregate_type: String,
    },
    /// A version below 1, or a step without a target that is not a drop.
    #[error("{aggregate_type}: {reason}")]
    Invalid {
        /// Of which aggregate.
        aggregate_type: String,
        /// What.
        reason: String,
    },
}
