//! What a rebuild or a verification found and did, also as JSON.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::projection::rebuild::{RebuildMode, SkippedEvent};

/// What a rebuild would do, before it does it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RebuildPlan {
    /// The projection.
    pub projection: String,
    /// How its tables would be rebuilt.
    pub mode: RebuildMode,
    /// The version that queries read now.
    pub current_version: i32,
    /// The version that would be written.
    pub target_version: i32,
    /// The tables that would be written, with the keyspace.
    pub tables: Vec<String>,
    /// What an interrupted rebuild of this mode has done already, which would be gone on
    /// with; 0 to 1 of the ring. `None`: it would begin at the beginning.
    pub resumes_at: Option<f64>,
    /// Versions that nothing uses: [`Rebuild::drop_old`](super::Rebuild::drop_old) drops them.
    pub old_versions: Vec<i32>,
}

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RebuildReport {
    /// The projection.
    pub projection: String,
    /// How.
    pub mode: RebuildMode,
    /// The version that queries read now.
    pub version: i32,
    /// The version that they read before; its tables are there until they are dropped.
    pub previous_version: i32,
    /// Whether an interrupted rebuild was gone on with.
    pub resumed: bool,
    /// Events of the projection's aggregate types.
    pub events: u64,
    /// Rows put or deleted.
    pub writes: u64,
    /// Events that could not be handled and were skipped.
    pub skipped: u64,
    /// Where they stand: the first 1,000 of this run.
    pub skipped_events: Vec<SkippedEvent>,
    /// How long the replay took, in this run.
    #[serde(rename = "replay_seconds", serialize_with = "seconds")]
    pub replay: Duration,
    /// How long all of it took, in this run.
    #[serde(rename = "elapsed_seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
    /// What the comparison with a second replay found, if there was one.
    pub verification: Option<VerifyReport>,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// How a row differs from what a replay makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// It should be there.
    Missing,
    /// It should not be there.
    Extra,
    /// It has other values.
    Different,
}

/// A row that is not what a replay makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RowDifference {
    /// Its table, as the migrations name it.
    pub table: String,
    /// How it differs.
    pub kind: DifferenceKind,
    /// Its key.
    pub key: String,
    /// Columns with another value: name, value deployed, value replayed.
    pub columns: Vec<(String, String, String)>,
}

impl fmt::Display for RowDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DifferenceKind::Missing => "missing",
            DifferenceKind::Extra => "extra",
            DifferenceKind::Different => "different",
        };
        write!(f, "{kind}: {} where {}", self.table, self.key)?;
        for (column, deployed, replayed) in &self.columns {
            write!(f, "; {column} is {deployed}, should be {replayed}")?;
        }
        Ok(())
    }
}

/// One table compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableComparison {
    /// The table, as the migrations name it.
    pub table: String,
    /// Rows looked at.
    pub rows: u64,
    /// Rows that should be there.
    pub missing: u64,
    /// Rows that should not be there.
    pub extra: u64,
    /// Rows with other values.
    pub different: u64,
    /// Rows that were written so often meanwhile that nothing can be said.
    pub unsettled: u64,
    /// So many rows differ that the rest was not looked at.
    pub incomplete: bool,
}

/// What a comparison of the deployed tables with a replay found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// The projection.
    pub projection: String,
    /// The version that was compared.
    pub version: i32,
    /// Events replayed.
    pub events: u64,
    /// Events that could not be handled and were skipped.
    pub skipped: u64,
    /// Where they stand: the first 1,000.
    pub skipped_events: Vec<SkippedEvent>,
    /// Each table.
    pub tables: Vec<TableComparison>,
    /// Differences: the first 100 of each table.
    pub differences: Vec<RowDifference>,
    /// How long it took.
    pub elapsed: Duration,
}

impl VerifyReport {
    /// How many rows differ.
    pub fn different_rows(&self) -> u64 {
        self.tables.iter().map(|t| t.missing + t.extra + t.different).sum()
    }

    /// Whether every row was compared and none differs.
    pub fn is_equal(&self) -> bool {
        self.different_rows() == 0 && self.tables.iter().all(|t| t.unsettled == 0 && !t.incomplete)
    }
}
