//! The process's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time from `micros` (since 1970) until now; none if it is ahead.
pub(crate) fn since_micros(micros: i64) -> Duration {
    Duration::from_micros((now_micros() - micros).max(0).unsigned_abs())
}

/// Microseconds since 1970.
pub(crate) fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
