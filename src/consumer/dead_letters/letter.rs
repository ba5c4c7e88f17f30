//! A dead letter, and what one knows of a failure.

use std::error::Error;
use std::fmt;

use uuid::Uuid;

use crate::event::EventEnvelope;
use crate::time::now_micros;

/// An event that a group could not handle, or that waits behind one.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The group.
    pub group: String,
    /// The event, as it was delivered.
    pub event: EventEnvelope,
    /// Whether the aggregate's later events wait until this letter has gone.
    pub parks: bool,
    /// Whether the event was tried and failed; if not, it waits behind one that did.
    pub failed: bool,
    /// How often it was tried in all.
    pub attempts: u32,
    /// The last failure and its causes, outermost first; empty for an event that waits.
    pub errors: Vec<String>,
    /// When it failed first, ms since 1970; `None` for an event that waits.
    pub first_failed_at: Option<i64>,
    /// When it failed last, ms since 1970; `None` for an event that waits.
    pub last_failed_at: Option<i64>,
}

/// Names a request to retry or discard; see
/// [`DeadLetters::carried_out`](crate::consumer::DeadLetters::carried_out).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(super) Uuid);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Attempts that failed, to be added to a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) attempts: u32,
    pub(crate) errors: Vec<String>,
    /// Of the first of them, ms since 1970.
    pub(crate) first_at: i64,
    /// Of the last of them, ms since 1970.
    pub(crate) last_at: i64,
}

impl Failure {
    /// The failure that ended `attempts` attempts, the first of which began at `first_at`.
    pub(crate) fn new(attempts: u32, first_at: i64, error: &(dyn Error + 'static)) -> Self {
        // A chain that goes round in circles is cut off.
        const LONGEST: usize = 32;
        let mut errors = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source.filter(|_| errors.len() < LONGEST) {
            errors.push(cause.to_string());
            source = cause.source();
        }
        Self { attempts, errors, first_at, last_at: now_micros() / 1000 }
    }

    /// With what a letter says of earlier attempts.
    pub(crate) fn after(mut self, earlier: &DeadLetter) -> Self {
        self.attempts = self.attempts.saturating_add(earlier.attempts);
        self.first_at = earlier.first_failed_at.unwrap_or(self.first_at).min(self.first_at);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner;

    #[test]
    fn a_failure_tells_its_causes_from_the_outside_in() {
        let failure = Failure::new(3, 5, &Outer(Inner));
        assert_eq!(failure.errors, ["outer", "inner"]);
        assert_eq!((failure.attempts, failure.first_at), (3, 5));
    }
}
