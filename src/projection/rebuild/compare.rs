//! Comparing two versions of a projection's tables, row by row.
//!
//! Both tables are read in ring order, so that equal rows come at nearly the same time;
//! what has no partner waits in a window. A row that seems to differ is read again by its
//! key from both, until the two agree or stay as they are: the live group may be writing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::projection::rebuild::RebuildError;
use crate::projection::rebuild::progress::Totals;
use crate::projection::rebuild::report::{DifferenceKind, RowDifference, TableComparison};
use crate::projection::rebuild::rows::{Image, Shape, VersionTable, shape};
use crate::store::{DatabaseError, EventStore, TokenRange};

/// Ranges that a table's ring is cut into.
const RANGES: u32 = 64;

/// Rows without a partner that are held in memory, for each range that is read.
const WINDOW: usize = 20_000;

/// Rows read again at once.
const CONCURRENT: usize = 16;

/// A row that seems to differ is read this often; the group writes both versions of a row
/// within milliseconds.
const ROUNDS: usize = 8;

/// Between two looks at a row.
const PAUSE: Duration = Duration::from_millis(250);

/// Where this many rows differ, the rest is not looked at.
pub(super) const MOST_DIFFERENCES: u64 = 10_000;

/// Differences that are described; all are counted.
pub(super) const DESCRIBED: usize = 100;

/// One table's two versions.
pub(super) struct Comparison {
    table: &'static str,
    shape: Shape,
    deployed: VersionTable,
    replayed: VersionTable,
    totals: Arc<Totals>,
    cancel: CancellationToken,
}

/// What was found, of a part or the whole.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) comparison: TableComparison,
    pub(super) described: Vec<RowDifference>,
}

impl Found {
    fn differences(&self) -> u64 {
        let found = &self.comparison;
        found.missing + found.extra + found.different
    }

    fn add(&mut self, other: Found) {
        let (sum, more) = (&mut self.comparison, other.comparison);
        sum.rows += more.rows;
        sum.missing += more.missing;
        sum.extra += more.extra;
        sum.different += more.different;
        sum.unsettled += more.unsettled;
        sum.incomplete |= more.incomplete;
        let room = DESCRIBED.saturating_sub(self.described.len());
        self.described.extend(other.described.into_iter().take(room));
    }
}

/// The two rows of a key, where there are any.
type Pair = (Option<Image>, Option<Image>);

fn failed(table: &str) -> impl Fn(DatabaseError) -> RebuildError + use<> {
    let what = format!("comparing rows of {table}");
    move |source| RebuildError::Database { what: what.clone(), source }
}

impl Comparison {
    pub(super) async fn open(
        store: &EventStore,
        table: &'static str,
        (deployed, replayed): (i32, i32),
        totals: Arc<Totals>,
        cancel: CancellationToken,
    ) -> Result<Self, RebuildError> {
        let shape = shape(store, table).await.map_err(failed(table))?;
        let deployed =
            VersionTable::open(store, table, deployed, &shape).await.map_err(failed(table))?;
        let replayed =
            VersionTable::open(store, table, replayed, &shape).await.map_err(failed(table))?;
        Ok(Self { table, shape, deployed, replayed, totals, cancel })
    }

    /// Compares all rows, `parallel` ranges at once; `share` is the table's part of the ring
    /// in the progress that is told.
    pub(super) async fn run(&self, parallel: usize, share: u64) -> Result<Found, RebuildError> {
        let mut ranges = stream::iter(TokenRange::split_ring(RANGES))
            .map(|range| self.range(range))
            .buffer_unordered(parallel);
        let mut found = Found::default();
        found.comparison.table = self.table.to_owned();
        while let Some(more) = ranges.try_next().await? {
            found.add(more);
            Totals::add(&self.totals.ring, share / u64::from(RANGES));
            if found.differences() >= MOST_DIFFERENCES {
                found.comparison.incomplete = true;
                break;
            }
        }
        Ok(found)
    }

    async fn range(&self, range: TokenRange) -> Result<Found, RebuildError> {
        let mut pages = (self.deployed.pages(range), self.replayed.pages(range));
        let mut window = Window::default();
        let mut found = Found::default();
        loop {
            if self.cancel.is_cancelled() {
                return Err(RebuildError::Cancelled);
            }
            let (deployed, replayed) =
                tokio::try_join!(pages.0.next(), pages.1.next()).map_err(failed(self.table))?;
            let ended = deployed.is_none() && replayed.is_none();
            for image in deployed.into_iter().flatten() {
                self.totals.events.fetch_add(1, Ordering::Relaxed);
                found.comparison.rows += 1;
                window.deployed(image);
            }
            for image in replayed.into_iter().flatten() {
                window.replayed(image);
            }
            if ended || window.len() > WINDOW {
                window.suspects.extend(window.alone.drain().map(|(key, _)| key));
            }
            if ended || window.suspects.len() > WINDOW {
                let suspects = std::mem::take(&mut window.suspects);
                found.add(self.settle(suspects).await?);
            }
            if ended || found.differences() >= MOST_DIFFERENCES {
                found.comparison.incomplete = !ended;
                return Ok(found);
            }
        }
    }

    /// Reads rows again until the two versions agree or both stay as they are.
    async fn settle(&self, suspects: Vec<Vec<u8>>) -> Result<Found, RebuildError> {
        let mut open: HashMap<Vec<u8>, Option<Pair>> =
            suspects.into_iter().map(|key| (key, None)).collect();
        let mut found = Found::default();
        for round in 0..ROUNDS {
            if open.is_empty() {
                break;
            }
            if round > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            if self.cancel.is_cancelled() {
                return Err(RebuildError::Cancelled);
            }
            let keys: Vec<Vec<u8>> = open.keys().cloned().collect();
            let mut looks = stream::iter(keys)
                .map(|key| async move {
                    let pair = tokio::try_join!(
                        self.deployed.row(&key, &self.shape),
                        self.replayed.row(&key, &self.shape)
                    );
                    pair.map(|pair| (key, pair))
                })
                .buffer_unordered(CONCURRENT);
            while let Some((key, pair)) = looks.try_next().await.map_err(failed(self.table))? {
                if pair.0 == pair.1 {
                    open.remove(&key);
                } else if open.get(&key).is_some_and(|before| before.as_ref() == Some(&pair)) {
                    open.remove(&key);
                    self.differ(&key, &pair, &mut found);
                } else {
                    open.insert(key, Some(pair));
                }
            }
        }
        found.comparison.unsettled += open.len() as u64;
        Ok(found)
    }

    fn differ(&self, key: &[u8], (deployed, replayed): &Pair, found: &mut Found) {
        let kind = match (deployed, replayed) {
            (None, _) => {
                found.comparison.missing += 1;
                DifferenceKind::Missing
            }
            (_, None) => {
                found.comparison.extra += 1;
                DifferenceKind::Extra
            }
            _ => {
                found.comparison.different += 1;
                DifferenceKind::Different
            }
        };
        if found.described.len() >= DESCRIBED {
            return;
        }
        let columns = match (deployed, replayed) {
            (Some(deployed), Some(replayed)) => {
                self.shape.differing(&deployed.rest, &replayed.rest)
            }
            _ => Vec::new(),
        };
        found.described.push(RowDifference {
            table: self.table.to_owned(),
            kind,
            key: self.shape.key_text(key),
            columns,
        });
    }
}

/// Rows of one version whose partner has not been seen yet.
#[derive(Default)]
struct Window {
    /// By key: whether the row is the deployed version's, and its rest.
    alone: HashMap<Vec<u8>, (bool, Vec<u8>)>,
    /// Keys whose rows seem to differ.
    suspects: Vec<Vec<u8>>,
}

impl Window {
    fn len(&self) -> usize {
        self.alone.len()
    }

    fn deployed(&mut self, image: Image) {
        self.take(image, true);
    }

    fn replayed(&mut self, image: Image) {
        self.take(image, false);
    }

    fn take(&mut self, Image { key, rest }: Image, deployed: bool) {
        match self.alone.remove(&key) {
            Some((side, other)) if side != deployed => {
                if other != rest {
                    self.suspects.push(key);
                }
            }
            _ => {
                self.alone.insert(key, (deployed, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(key: u8, rest: u8) -> Image {
        Image { key: vec![key], rest: vec![rest] }
    }

    #[test]
    fn rows_meet_in_the_window_whichever_comes_first() {
        let mut window = Window::default();
        window.deployed(image(1, 1));
        window.replayed(image(1, 1));
        window.replayed(image(2, 1));
        window.deployed(image(2, 2));
        window.deployed(image(3, 1));
        assert_eq!(window.suspects, [vec![2]]);
        assert_eq!(window.len(), 1);
    }
}
