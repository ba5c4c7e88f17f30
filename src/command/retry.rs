//! How conflicts are met.

use std::time::Duration;

/// How often a decision is made again after a conflict, and how long between.
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
