//! What the doctor finds.

use serde::Serialize;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// It works, and something may come of it.
    Warning,
    /// Something does not work.
    Problem,
}

impl Level {
    pub(super) fn mark(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) check: String,
    pub(super) found: String,
    pub(super) advice: Option<String>,
}

impl Finding {
    fn new(level: Level, check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { level, check: check.into(), found: found.into(), advice: None }
    }

    pub(super) fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, found)
    }

    pub(super) fn warning(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Warning, check, found)
    }

    pub(super) fn problem(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(Level::Problem, check, found)
    }

    /// What to do about it.
    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}
