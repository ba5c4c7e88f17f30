//! How soon something that has failed begins again at its checkpoint.

use std::time::Duration;

use crate::store::Backoff;

/// First and longest pause.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// After so long without a failure the pause is the first one again.
const QUIET: Duration = Duration::from_secs(60);

/// The pauses between one failure and the next beginning.
pub(crate) struct Restarts(Backoff);

impl Restarts {
    pub(crate) fn new() -> Self {
        Self(Backoff::new(PAUSE.0, PAUSE.1))
    }

    /// The pause after a run that lasted so long.
    pub(crate) fn delay_after(&mut self, ran: Duration) -> Duration {
        if ran > QUIET {
            *self = Self::new();
        }
        self.0.delay()
    }
}
