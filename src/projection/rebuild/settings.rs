//! How a rebuild goes about it.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::consumer::GroupSettings;
use crate::projection::rebuild::RebuildError;

/// Which tables a rebuild writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RebuildMode {
    /// New ones, which queries go to when they are level. Queries never see a table that is
    /// half built; it takes twice the room meanwhile.
    #[default]
    Beside,
    /// Those in use, over the rows that are there. Repairs what is missing or wrong and
    /// leaves rows that should not be there.
    InPlace,
    /// Those in use, emptied first. Queries see them fill up.
    Truncate,
}

impl RebuildMode {
    pub(super) fn name(self) -> &'static str {
        match self {
            RebuildMode::Beside => "beside",
            RebuildMode::InPlace => "in-place",
            RebuildMode::Truncate => "truncate",
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        [Self::Beside, Self::InPlace, Self::Truncate].into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for RebuildMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RebuildMode {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::of_name(name).ok_or_else(|| format!("{name:?} is none of beside, in-place, truncate"))
    }
}

/// What to do with an event that the projection cannot handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnError {
    /// Stop and name it: a read model that lacks events looks complete and is not.
    #[default]
    Stop,
    /// Go on without it, and report it.
    Skip,
}

impl FromStr for OnError {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "stop" => Ok(Self::Stop),
            "skip" => Ok(Self::Skip),
            _ => Err(format!("{name:?} is neither stop nor skip")),
        }
    }
}

/// What rebuilds and verifications have in common.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Ranges of the ring read at once. 4: enough to keep two cores busy.
    pub(super) parallel: usize,
    /// Events per second; `None`: as fast as it goes.
    pub(super) rate: Option<f64>,
    pub(super) on_error: OnError,
    pub(super) cancel: CancellationToken,
    /// Of the group that follows the log for a version being built.
    pub(super) following: GroupSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            parallel: 4,
            rate: None,
            on_error: OnError::Stop,
            cancel: CancellationToken::new(),
            following: GroupSettings::default(),
        }
    }
}

impl Settings {
    pub(super) fn validate(&self) -> Result<(), RebuildError> {
        if self.parallel == 0 || self.parallel > 256 {
            return Err(RebuildError::Settings(format!(
                "{} ranges at once: choose 1 to 256",
                self.parallel
            )));
        }
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate < 1.0) {
            return Err(RebuildError::Settings(
                "the rate is in events per second, 1 or more".to_owned(),
            ));
        }
        Ok(())
    }
}
