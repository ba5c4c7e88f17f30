//! What operators do with groups, from any process.

use std::time::{Duration, Instant, SystemTime};

use crate::consumer::group_table::{GroupRow, GroupTable};
use crate::consumer::lease::{LeaseTable, Watched};
use crate::consumer::progress::Millis;
use crate::consumer::status_table::{SliceStatus, StatusTable};
use crate::consumer::stored_progress::{SliceProgress, StoredProgress};
use crate::store::{DatabaseError, EventStore};

/// Pauses, resumes, stops and divides groups, and tells how they are doing. Works in any
/// process: the runners look at the table `consumer_groups` twice a second.
#[derive(Debug, Clone)]
pub struct GroupControl {
    table: GroupTable,
    status: StatusTable,
    progress: StoredProgress,
}

/// A group as its tables show it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupOverview {
    /// The group.
    pub name: String,
    /// Whether it is paused, or about to be.
    pub paused: bool,
    /// Into how many slices its aggregates are divided; `None`: it never ran.
    pub slices: Option<u16>,
    /// What the runners said of the slices that are at work, or were half a minute ago, or
    /// have halted.
    pub running: Vec<SliceStatus>,
}

/// Why a group could not be controlled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// Where a group begins and how it is divided changes only while it is paused, and nobody
    /// is finishing its work.
    #[error("group {group} cannot be changed now: {reason}")]
    NotPaused {
        /// The group.
        group: String,
        /// What is in the way.
        reason: String,
    },
    /// A number of slices that makes no sense.
    #[error("a group has between 1 and {most} slices, not {slices}")]
    Slices {
        /// What was asked for.
        slices: u16,
        /// The most there can be.
        most: u16,
    },
    /// Some runner still had a slice when the time was over.
    #[error("group {group} is still at work after {waited:?}")]
    StillRunning {
        /// The group.
        group: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The database did not answer, or refused.
    #[error("{0}")]
    Database(#[from] DatabaseError),
}

/// The most slices that a group can have: each costs a reader of the log.
const MOST_SLICES: u16 = 256;

/// How often leases are looked at while they are watched.
const LOOK: Duration = Duration::from_millis(100);

impl GroupControl {
    /// Control of the groups of a store.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn connect(store: &EventStore) -> Result<Self, ControlError> {
        Ok(Self {
            table: GroupTable::prepare(store.clone()).await?,
            status: StatusTable::prepare(store.clone()).await?,
            progress: StoredProgress::prepare(store.clone()).await?,
        })
    }

    /// Pauses the group: its runners finish what they have begun, store their progress and
    /// stand by. It stays paused over restarts, until it is resumed.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn pause(&self, group: &str) -> Result<(), ControlError> {
        Ok(self.table.pause(group, true).await?)
    }

    /// Lets a paused group go on where it was.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn resume(&self, group: &str) -> Result<(), ControlError> {
        Ok(self.table.pause(group, false).await?)
    }

    /// Ends the group in the processes that run it or stand by now, as
    /// [`RunningGroup::stop`](crate::consumer::RunningGroup::stop) does. Started again, it runs.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn stop(&self, group: &str) -> Result<(), ControlError> {
        Ok(self.table.stop(group).await?)
    }

    /// Waits until no runner has a slice of the group: after a pause, nothing of it is
    /// handled any more. A runner that died counts until its lease has lapsed.
    ///
    /// # Errors
    /// [`ControlError::StillRunning`] after `timeout`; [`ControlError::Database`].
    pub async fn wait_idle(&self, group: &str, timeout: Duration) -> Result<(), ControlError> {
        let leases = self.leases(group).await?;
        let (mut watched, began) = (Watched::new(), Instant::now());
        loop {
            let rows = leases.list().await?;
            let now = Instant::now();
            watched.see_leases(&rows, now);
            if !rows.iter().any(|row| watched.is_held(row, now)) {
                return Ok(());
            }
            if began.elapsed() >= timeout {
                let group = group.to_owned();
                return Err(ControlError::StillRunning { group, waited: timeout });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Divides a paused group into so many slices. It begins at the smallest of the old
    /// slices' checkpoints: what others of them had done after that is handled again, in
    /// order. Costs: each slice has its own reader of the whole log. Where a runner has died,
    /// its lease is waited for.
    ///
    /// # Errors
    /// [`ControlError::NotPaused`] when the group is not paused or a runner still has a
    /// slice (see [`GroupControl::wait_idle`]); [`ControlError::Slices`];
    /// [`ControlError::Database`].
    pub async fn set_slices(&self, group: &str, slices: u16) -> Result<(), ControlError> {
        if !(1..=MOST_SLICES).contains(&slices) {
            return Err(ControlError::Slices { slices, most: MOST_SLICES });
        }
        let row = self.table.read(group).await?;
        let (Some(_), Some(started_from)) = (row.slices, row.started_from) else {
            // It never read anything.
            if row.slices.is_none() {
                return Ok(self.table.create(group, slices).await?);
            }
            return Err(refused(group, "it has not begun to read yet"));
        };
        self.at_rest(group, &row).await?;
        let before = self.progress.of(group, &row).await?;
        let from = before.iter().map(|slice| slice.oldest).min().unwrap_or(started_from);
        match self.table.divide(group, &row, slices, from).await? {
            true => Ok(()),
            false => Err(refused(group, "it was changed meanwhile")),
        }
    }

    /// Sets a paused group back, or forward, to a time: resumed, it handles what was written
    /// from then on, and what it had handled of that again. What is older than the log's TTL
    /// is replayed from `event_store`.
    ///
    /// # Errors
    /// As [`GroupControl::set_slices`].
    pub async fn begin_at(&self, group: &str, time: SystemTime) -> Result<(), ControlError> {
        let row = self.table.read(group).await?;
        let Some(slices) = row.slices else {
            return Err(refused(group, "it has never run; --start-from says where it begins"));
        };
        self.at_rest(group, &row).await?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let from = Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX);
        match self.table.divide(group, &row, slices, from).await? {
            true => Ok(()),
            false => Err(refused(group, "it was changed meanwhile")),
        }
    }

    /// Nobody handles anything of the group, nor will before it is resumed. Takes as long as
    /// a lease if a runner died with one.
    async fn at_rest(&self, group: &str, row: &GroupRow) -> Result<(), ControlError> {
        if !row.paused {
            return Err(refused(group, "it is not paused"));
        }
        // A runner that lives renews its lease several times before it would lapse; one that
        // died has left it behind.
        let leases = self.leases(group).await?;
        let (mut watched, first) = (Watched::new(), leases.list().await?);
        let mut rows = first.clone();
        loop {
            let now = Instant::now();
            watched.see_leases(&rows, now);
            if !rows.iter().any(|row| watched.is_held(row, now)) {
                return Ok(());
            }
            if rows.iter().any(|row| row.holder.is_some() && !first.contains(row)) {
                return Err(refused(group, "a runner has not given its slice back"));
            }
            tokio::time::sleep(LOOK).await;
            rows = leases.list().await?;
        }
    }

    /// How a group is doing.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn overview(&self, group: &str) -> Result<GroupOverview, ControlError> {
        let row = self.table.read(group).await?;
        let mut running = self.status.read(group).await?;
        // What was said before the group was divided otherwise is of no slice that there is.
        let slices = row.slices.map_or(0, i32::from);
        running.retain(|status| status.slice < slices);
        Ok(GroupOverview {
            name: group.to_owned(),
            paused: row.paused,
            slices: row.slices,
            running,
        })
    }

    /// How far the group's slices are stored to be, in their order; empty: it never began to
    /// read. What was stored before the group was divided otherwise, or set to a time, is
    /// void and does not show.
    ///
    /// # Errors
    /// [`ControlError::Database`].
    pub async fn progress(&self, group: &str) -> Result<Vec<SliceProgress>, ControlError> {
        let row = self.table.read(group).await?;
        Ok(self.progress.of(group, &row).await?)
    }

    async fn leases(&self, group: &str) -> Result<LeaseTable, DatabaseError> {
        // Only to look at: nobody takes a lease by this.
        let store = self.table.store().clone();
        let (ttl, nobody) = (Duration::from_secs(20), uuid::Uuid::nil());
        LeaseTable::prepare(store, group, nobody, String::new(), ttl).await
    }
}

fn refused(group: &str, reason: &str) -> ControlError {
    ControlError::NotPaused { group: group.to_owned(), reason: reason.to_owned() }
}
