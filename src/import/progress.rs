//! How far an import is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How far an import is; at its end, what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportProgress {
    /// Lines read, empty ones too.
    pub lines: u64,
    /// Bytes read, after decompression.
    pub bytes: u64,
    /// Aggregates met.
    pub aggregates: u64,
    /// Events written.
    pub written: u64,
    /// Events that were stored already.
    pub skipped: u64,
    /// Since the beginning.
    pub elapsed: Duration,
}

impl ImportProgress {
    /// Events dealt with per second, on average.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { (self.written + self.skipped) as f64 / seconds } else { 0.0 }
    }
}

/// What the parts of an import count.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) lines: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) aggregates: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) skipped: AtomicU64,
    began: Instant,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            lines: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            aggregates: AtomicU64::new(0),
            written: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    pub(super) fn progress(&self) -> ImportProgress {
        ImportProgress {
            lines: self.lines.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            aggregates: self.aggregates.load(Relaxed),
            written: self.written.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            elapsed: self.began.elapsed(),
        }
    }
}
