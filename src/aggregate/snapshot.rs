//! When a snapshot is taken.

use std::num::NonZeroU32;
use std::time::Duration;

/// When a snapshot of an aggregate is taken: looked at after each commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotPolicy {
    /// Never. The default: an aggregate with few hundred events loads in one query.
    #[default]
    Never,
    /// When so many events have come since the last one.
    Every(NonZeroU32),
    /// When the last one is older than this.
    After(Duration),
}

impl SnapshotPolicy {
    /// Whether one is due at this version and time (µs), the last being of that version and
    /// time.
    pub(crate) fn is_due(self, last: (i64, i64), now: (i64, i64)) -> bool {
        match self {
            SnapshotPolicy::Never => false,
            SnapshotPolicy::Every(events) => {
                now.0.saturating_sub(last.0) >= i64::from(events.get())
            }
            SnapshotPolicy::After(age) => {
                let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
                now.0 > last.0 && now.1.saturating_sub(last.1) >= age
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_by_events_or_by_time() {
        let every = SnapshotPolicy::Every(NonZeroU32::new(10).unwrap());
        assert!(!every.is_due((5, 0), (14, 0)) && every.is_due((5, 0), (15, 0)));
        let after = SnapshotPolicy::After(Duration::from_secs(1));
        assert!(!after.is_due((5, 0), (6, 999_999)) && after.is_due((5, 0), (6, 1_000_000)));
        assert!(!after.is_due((5, 0), (5, 2_000_000)), "nothing has happened since");
        assert!(!SnapshotPolicy::Never.is_due((0, 0), (i64::MAX, i64::MAX)));
    }
}
