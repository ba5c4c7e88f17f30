//! How conflicts are met.

use std::fmt;
use std::time::Duration;

use rand::Rng;

use crate::ids::AggregateId;

/// A conflict: another writer was faster, and the command is to be decided again, or not.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Conflicted {
    /// Which aggregate.
    pub aggregate_id: AggregateId,
    /// Attempts made until now; from 1.
    pub attempts: u32,
    /// Since the first of them.
    pub elapsed: Duration,
}

/// What to do about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictDecision {
    /// Wait this long, load what is new, decide again.
    RetryAfter(Duration),
    /// Tell the caller: [`CommandError::Conflict`](crate::CommandError::Conflict).
    GiveUp,
}

/// Says what to do about a conflict.
pub trait ConflictPolicy: fmt::Debug + Send + Sync + 'static {
    /// Asked after each conflict. Must come to an end.
    fn decide(&self, conflict: &Conflicted) -> ConflictDecision;
}

// Handlers keep it behind a pointer.
const _: Option<&dyn ConflictPolicy> = None;

/// The default policy: so many attempts, with delays that double and are jittered.
#[derive(Debug, Clone)]
pub struct ConflictRetry {
    /// Attempts in all, the first included. 20: each round of a race has one winner, so this
    /// many writers may meet on one aggregate before any of them gives up.
    pub attempts: u32,
    /// Delay after the first conflict; doubles from there, jittered. 5 ms: about two round
    /// trips of the winner.
    pub first_delay: Duration,
    /// Longest delay.
    pub max_delay: Duration,
}

impl Default for ConflictRetry {
    fn default() -> Self {
        Self {
            attempts: 20,
            first_delay: Duration::from_millis(5),
            max_delay: Duration::from_millis(200),
        }
    }
}

impl ConflictPolicy for ConflictRetry {
    fn decide(&self, conflict: &Conflicted) -> ConflictDecision {
        if conflict.attempts >= self.attempts {
            return ConflictDecision::GiveUp;
        }
        let doublings = conflict.attempts.saturating_sub(1).min(20);
        let delay = self.first_delay.saturating_mul(1 << doublings).min(self.max_delay);
        // From its upper half, so that writers who met once do not meet again.
        ConflictDecision::RetryAfter(delay.mul_f64(rand::rng().random_range(0.5..1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_end() {
        let retry = ConflictRetry {
            attempts: 5,
            first_delay: Duration::from_millis(10),
            max_delay: Duration::from_millis(35),
        };
        let decide = |attempts| {
            let (aggregate_id, elapsed) = (AggregateId::new(), Duration::ZERO);
            retry.decide(&Conflicted { aggregate_id, attempts, elapsed })
        };
        for (attempts, upper) in [(1, 10), (2, 20), (3, 35), (4, 35)] {
            let ConflictDecision::RetryAfter(delay) = decide(attempts) else {
                panic!("gave up after {attempts}");
            };
            let upper = Duration::from_millis(upper);
            assert!(delay <= upper && delay >= upper / 2, "{delay:?}");
        }
        assert_eq!(decide(5), ConflictDecision::GiveUp);
    }
}
