//! A bar on a terminal, a line every few seconds elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

const LINE_EVERY: Duration = Duration::from_secs(3);

/// How far a piece of work is.
pub(super) struct Progress {
    bar: ProgressBar,
    what: &'static str,
    line: Mutex<Instant>,
}

impl Progress {
    pub(super) fn new(what: &'static str, total: u64) -> Self {
        // The template is ours; the plain style is as good if it does not parse.
        let style =
            ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len}, {per_sec}, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(total).with_style(style).with_prefix(what);
        Self { bar, what, line: Mutex::new(Instant::now()) }
    }

    pub(super) fn set(&self, done: u64) {
        self.bar.set_position(done);
        self.say();
    }

    pub(super) fn add(&self, done: u64) {
        self.bar.inc(done);
        self.say();
    }

    fn say(&self) {
        if !self.bar.is_hidden() {
            return;
        }
        let mut line = self.line.lock();
        if line.elapsed() >= LINE_EVERY {
            *line = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            println!("{}: {done} of {total}", self.what);
        }
    }

    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
