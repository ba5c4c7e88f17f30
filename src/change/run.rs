//! One run of a subscription: from its checkpoints until it is stopped or something fails.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures::future::select_all;
use parking_lot::{Mutex, RwLock};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::change::assemble::Images;
use crate::change::error::ChangeError;
use crate::change::event::Operation;
use crate::change::handler::ChangeHandler;
use crate::change::lanes::{Filter, LaneContext, Lanes};
use crate::change::reader::{Intake, start_reader};
use crate::change::settings::{ChangeSettings, OnLoss};
use crate::change::status::{Counters, SubscriptionStatus};
use crate::change::table::{Preimage, Table};
use crate::consumer::{
    Checkpoints, Found, Lease, LogReader, LogStreams, Millis, Progress, Slice, drain,
};
use crate::store::{DatabaseError, EventStore, is_transient};
use crate::time::now_micros;

/// What a subscription is made of, the same in every run.
pub(crate) struct SubscriptionContext {
    pub(crate) name: String,
    pub(crate) store: EventStore,
    pub(crate) handler: Arc<dyn ChangeHandler>,
    pub(crate) tables: Vec<Arc<str>>,
    pub(crate) operations: Option<HashSet<Operation>>,
    pub(crate) filter: Option<Filter>,
    pub(crate) images: Images,
    pub(crate) settings: ChangeSettings,
    pub(crate) counters: Arc<Counters>,
    /// Of the current run, by table.
    pub(crate) progress: Mutex<Vec<Arc<Progress>>>,
}

/// A table in a run.
struct Followed {
    checkpoints: Checkpoints,
    intake: Arc<Intake>,
    reader: LogReader,
}

impl SubscriptionContext {
    pub(crate) fn database(&self, source: DatabaseError) -> ChangeError {
        ChangeError::Database { subscription: self.name.clone(), source }
    }

    /// The tables as they are deployed, each fit for what is asked of it.
    pub(crate) async fn described(&self) -> Result<Vec<Table>, ChangeError> {
        let mut tables = Vec::with_capacity(self.tables.len());
        for label in &self.tables {
            let table = Table::describe(self.store.session(), self.store.keyspace(), label)
                .await
                .map_err(|source| self.database(source))?;
            let refused = |reason: String| ChangeError::Table { table: label.to_string(), reason };
            let table = table.ok_or_else(|| refused("it does not exist".to_owned()))?;
            self.check(&table).map_err(refused)?;
            tables.push(table);
        }
        Ok(tables)
    }

    fn check(&self, table: &Table) -> Result<(), String> {
        let Table { keyspace, name, log, .. } = table;
        let mend = |option: &str| {
            // ALTER TABLE replaces the whole option: what is set has to be said again.
            let mut options = "'enabled': true".to_owned();
            let preimage = if option == "preimage" { Preimage::Full } else { log.preimage };
            options.push_str(match preimage {
                Preimage::None => "",
                Preimage::Changed => ", 'preimage': true",
                Preimage::Full => ", 'preimage': 'full'",
            });
            if log.postimage || option == "postimage" {
                options.push_str(", 'postimage': true");
            }
            if log.keys_only {
                options.push_str(", 'delta': 'keys'");
            }
            let ttl = log.ttl.map_or(0, |ttl| ttl.as_secs());
            format!("ALTER TABLE {keyspace}.{name} WITH cdc = {{{options}, 'ttl': {ttl}}}")
        };
        if !log.enabled {
            return Err(format!("it has no CDC log; {}", mend("enabled")));
        }
        if self.images.before && log.preimage == Preimage::None {
            return Err(format!(
                "rows before a change are asked for, and its log has no preimages; {}",
                mend("preimage")
            ));
        }
        if self.images.after && !log.postimage {
            return Err(format!(
                "rows after a change are asked for, and its log has no postimages; {}",
                mend("postimage")
            ));
        }
        Ok(())
    }

    /// Runs until `stop`, then finishes what is in the lanes and stores the progress.
    pub(crate) async fn run(
        &self,
        lease: &Lease,
        stop: &CancellationToken,
    ) -> Result<(), ChangeError> {
        let tables = self.described().await?;
        self.progress.lock().clear();
        let closing = CancellationToken::new();
        let (lanes, mut tasks) = Lanes::start(LaneContext {
            subscription: self.name.clone(),
            handler: Arc::clone(&self.handler),
            filter: self.filter.clone(),
            counters: Arc::clone(&self.counters),
            settings: self.settings.clone(),
            closing: closing.clone(),
            fence: lease.fence.clone(),
        });
        let mut followed = Vec::with_capacity(tables.len());
        let mut result = Ok(());
        for table in tables {
            match self.follow(table, lease, &lanes).await {
                Ok(table) => followed.push(table),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        drop(lanes);
        if result.is_ok() {
            result = self.watch(lease, stop, &mut followed, &mut tasks).await;
        }
        // The readers end here, and with them the lanes' entrances.
        let kept: Vec<_> =
            followed.into_iter().map(|f| (f.checkpoints, Arc::clone(&f.intake.progress))).collect();
        closing.cancel();
        if !lease.fence.is_valid() {
            // Another process may have begun: nothing is finished here.
            tasks.shutdown().await;
            return Err(self.lease_lost());
        }
        let drained = self.drain(lease, &mut tasks).await;
        let mut saved = Ok(());
        for (checkpoints, progress) in &kept {
            let stored = checkpoints.save(progress).await.map_err(|e| self.database(e));
            saved = saved.and(stored);
        }
        result.and(drained).and(saved)
    }

    pub(crate) fn lease_lost(&self) -> ChangeError {
        ChangeError::LeaseLost { subscription: self.name.clone() }
    }

    async fn follow(
        &self,
        table: Table,
        lease: &Lease,
        lanes: &Lanes,
    ) -> Result<Followed, ChangeError> {
        let database = |source| self.database(source);
        let session = self.store.session();
        // Streams of vnodes are the same for all tables, so each has progress of its own.
        let group = format!("{}/{}", self.name, table.label);
        let checkpoints = Checkpoints::prepare(self.store.clone(), &group, Slice::WHOLE)
            .await
            .map_err(database)?
            .under(lease);
        let streams =
            LogStreams::of_table(session, &table.keyspace, &table.name).await.map_err(database)?;
        let now = now_micros() / 1000;
        let kept = table.log.ttl.map(|ttl| now - ttl.as_millis() as Millis);
        let wanted = match self.settings.start_from {
            Some(time) => {
                time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as Millis)
            }
            None => 0,
        };
        let start =
            streams.first_readable(wanted.max(kept.unwrap_or(0))).await.map_err(database)?;
        let mut found = checkpoints.load(start).await.map_err(database)?;
        if let (Some(ttl), Some(kept)) = (table.log.ttl, kept) {
            self.check_loss(&table, &mut found, ttl, kept)?;
        }
        let progress = Arc::new(Progress::default());
        self.progress.lock().push(Arc::clone(&progress));
        let intake = Arc::new(Intake {
            subscription: self.name.clone(),
            session: Arc::clone(session),
            table: RwLock::new(Arc::new(table)),
            operations: self.operations.clone(),
            images: self.images,
            progress,
            counters: Arc::clone(&self.counters),
            lanes: lanes.clone(),
            failure: Mutex::new(None),
        });
        let reader = start_reader(&intake, found, &self.settings).await?;
        Ok(Followed { checkpoints, intake, reader })
    }

    /// What lies before `kept` is no longer in the log.
    fn check_loss(
        &self,
        table: &Table,
        found: &mut Found,
        ttl: Duration,
        kept: Millis,
    ) -> Result<(), ChangeError> {
        let oldest = found.oldest();
        if oldest >= kept {
            return Ok(());
        }
        let lost = ChangeError::Lost {
            subscription: self.name.clone(),
            table: table.label.to_string(),
            since: UNIX_EPOCH + Duration::from_millis(oldest.max(0).unsigned_abs()),
            ttl,
        };
        match self.settings.on_loss {
            OnLoss::Halt => Err(lost),
            OnLoss::GoOn => {
                tracing::warn!(subscription = %self.name, error = %lost, "going on");
                found.started_from = found.started_from.max(kept);
                for position in found.streams.values_mut() {
                    *position = (*position).max(kept);
                }
                Ok(())
            }
        }
    }

    /// Stores progress now and then, until `stop` or the first failure.
    async fn watch(
        &self,
        lease: &Lease,
        stop: &CancellationToken,
        followed: &mut [Followed],
        tasks: &mut JoinSet<Result<(), ChangeError>>,
    ) -> Result<(), ChangeError> {
        let mut tick = interval(self.settings.checkpoint_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let readers = followed.iter_mut().map(|table| &mut table.reader.finished);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = lease.fence.lost() => return Err(self.lease_lost()),
                Some(ended) = tasks.join_next() => self.lane_ended(ended)?,
                (ended, which, _) = select_all(readers) => {
                    return Err(self.reader_ended(ended, followed.get(which)));
                }
                _ = tick.tick() => {
                    for table in followed.iter() {
                        match table.checkpoints.save(&table.intake.progress).await {
                            Ok(()) => {}
                            Err(error) if is_transient(&error) => {
                                tracing::warn!(
                                    subscription = %self.name, %error, "progress not stored yet"
                                );
                            }
                            Err(error) => return Err(self.database(error)),
                        }
                    }
                }
            }
        }
    }

    fn reader_ended(&self, ended: anyhow::Result<()>, table: Option<&Followed>) -> ChangeError {
        let failure = table.and_then(|table| table.intake.failure.lock().take());
        failure.unwrap_or_else(|| ChangeError::Reader {
            subscription: self.name.clone(),
            table: table.map_or_else(String::new, |t| t.intake.table.read().label.to_string()),
            reason: match ended {
                Ok(()) => "the reader ended".to_owned(),
                Err(error) => format!("{error:#}"),
            },
        })
    }

    fn lane_ended(
        &self,
        ended: Result<Result<(), ChangeError>, JoinError>,
    ) -> Result<(), ChangeError> {
        match ended {
            Ok(result) => result,
            Err(error) => Err(ChangeError::Reader {
                subscription: self.name.clone(),
                table: self.tables.join(", "),
                reason: error.to_string(),
            }),
        }
    }

    /// Changes read and not done, in all tables.
    fn in_flight(&self) -> usize {
        self.progress.lock().iter().map(|progress| progress.in_flight()).sum()
    }

    /// Everything before this is done, in all tables, ms; `None` before all have been read.
    fn watermark(&self) -> Option<Millis> {
        let progress = self.progress.lock();
        if progress.len() < self.tables.len() {
            return None;
        }
        progress.iter().map(|p| p.watermark()).min().flatten()
    }

    /// How the subscription is doing.
    pub(crate) fn status(&self) -> SubscriptionStatus {
        let watermark = self.watermark().map(|millis| millis * 1000);
        self.counters.status(&self.name, self.in_flight(), watermark)
    }

    /// Waits for the lanes to finish what they have. The first failure is the result, but
    /// the other lanes finish.
    async fn drain(
        &self,
        lease: &Lease,
        tasks: &mut JoinSet<Result<(), ChangeError>>,
    ) -> Result<(), ChangeError> {
        let time = self.settings.drain_timeout;
        let drained = drain(tasks, time, &lease.fence, |ended| self.lane_ended(ended)).await;
        let (subscription, in_flight) = (self.name.clone(), self.in_flight());
        drained.or(|| self.lease_lost(), || ChangeError::Drain { subscription, in_flight })
    }
}
