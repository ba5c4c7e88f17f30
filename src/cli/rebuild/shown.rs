//! Progress: a bar on a terminal, a line every few seconds elsewhere. On standard error, so
//! that the summary can be taken from standard output.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::projection::{RebuildPhase, RebuildProgress};

/// The bar's length: parts of the ring.
const STEPS: u64 = 10_000;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(3);

pub(super) struct Shown {
    bar: ProgressBar,
    lines: bool,
    line: Instant,
}

impl Shown {
    pub(super) fn new(lines: bool) -> Self {
        let template = "{bar:40} {percent:>3} % of the ring, {msg}";
        // The template is ours; the plain style is as good if it does not parse.
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
        Self { bar: bar.with_style(style), lines, line: Instant::now() }
    }

    pub(super) fn update(&mut self, progress: &RebuildProgress) {
        let phase = match progress.phase {
            RebuildPhase::Preparing => "preparing",
            RebuildPhase::Replaying => "replaying",
            RebuildPhase::Following => "following the log",
            RebuildPhase::ReplayingToCompare => "replaying to compare",
            RebuildPhase::Comparing => "comparing",
            RebuildPhase::Switching => "switching",
        };
        let left = progress.remaining.map_or_else(String::new, |left| {
            let whole = Duration::from_secs(left.as_secs());
            format!(", {} left", humantime::format_duration(whole))
        });
        let text = format!("{phase}: {} events, {:.0}/s{left}", progress.events, progress.rate);
        if !self.bar.is_hidden() {
            self.bar.set_message(text);
            self.bar.set_position((progress.ring * STEPS as f64) as u64);
        } else if self.lines && self.line.elapsed() > PAUSE {
            self.line = Instant::now();
            eprintln!("{:.1} % of the ring, {text}", progress.ring * 100.0);
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
