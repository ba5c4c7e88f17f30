//! A group in one process: which of its slices run here, and until when.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::consumer::error::GroupError;
use crate::consumer::group_metrics::{GroupMetrics, count_lost_lease, publish_halted};
use crate::consumer::group_table::{GroupRow, GroupTable};
use crate::consumer::handler::EventHandler;
use crate::consumer::lane_context::Observer;
use crate::consumer::lease::{Lease, LeaseRow, LeaseTable, Watched};
use crate::consumer::members::{Member, MemberTable, share};
use crate::consumer::progress::Progress;
use crate::consumer::restarts::Restarts;
use crate::consumer::run::GroupContext;
use crate::consumer::settings::GroupSettings;
use crate::consumer::slice::Slice;
use crate::consumer::status::{Counters, GroupState, GroupStatus};
use crate::consumer::status_table::StatusTable;
use crate::store::{DatabaseError, EventStore};

/// How often a runner looks what is wanted of its group and who else is up: what a pause,
/// or a slice that was given back, waits for.
const LOOK: Duration = Duration::from_millis(500);

/// How often it says how its slices are doing.
const SAY: Duration = Duration::from_secs(1);

/// What a group is in this process.
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) store: EventStore,
    pub(crate) handler: Arc<dyn EventHandler>,
    pub(crate) settings: GroupSettings,
    pub(crate) observer: Option<Observer>,
    /// Of this run of the group in this process.
    pub(crate) runner: Uuid,
    pub(crate) host: String,
    /// What the group is at where that is not its slices' state.
    pub(crate) state: Mutex<Option<GroupState>>,
    /// The slices that run here.
    pub(crate) contexts: Mutex<BTreeMap<Slice, Arc<GroupContext>>>,
    /// Of each slice that ever ran here.
    pub(crate) counters: Mutex<BTreeMap<Slice, Arc<Counters>>>,
}

impl Group {
    fn context(&self, lease: &Lease) -> Arc<GroupContext> {
        let counters = Arc::clone(self.counters.lock().entry(lease.slice).or_default());
        let context = Arc::new(GroupContext {
            name: self.name.clone(),
            store: self.store.clone(),
            handler: Arc::clone(&self.handler),
            settings: self.settings.clone(),
            observer: self.observer.clone(),
            counters,
            lease: Some(lease.clone()),
            progress: Mutex::new(Arc::new(Progress::default())),
        });
        self.contexts.lock().insert(lease.slice, Arc::clone(&context));
        context
    }

    fn set_state(&self, state: Option<GroupState>) {
        *self.state.lock() = state;
    }
}

/// What the tables say.
struct View {
    row: GroupRow,
    leases: Vec<LeaseRow>,
    members: Vec<Member>,
    /// When all of it had been read.
    at: Instant,
}

/// Runs the group's share of slices.
pub(crate) struct Supervisor {
    group: Arc<Group>,
    table: GroupTable,
    leases: Arc<LeaseTable>,
    members: MemberTable,
    status: StatusTable,
    metrics: GroupMetrics,
    beat: i64,
    seen_leases: Watched<i32, (i64, i64)>,
    seen_members: Watched<Uuid, i64>,
    /// Slices at work, each with what ends it.
    running: HashMap<Slice, CancellationToken>,
    tasks: JoinSet<(Slice, Result<(), GroupError>)>,
    /// As it was at the start.
    stop_request: Option<Uuid>,
}

impl Supervisor {
    /// Prepares the statements, and creates the group if it is new.
    pub(crate) async fn prepare(group: Arc<Group>) -> Result<Self, GroupError> {
        let failed = |source| GroupError::Checkpoints { group: group.name.clone(), source };
        let table = GroupTable::prepare(group.store.clone()).await.map_err(failed)?;
        let mut row = table.read(&group.name).await.map_err(failed)?;
        if row.slices.is_none() {
            let slices = group.settings.slices.unwrap_or(1);
            table.create(&group.name, slices).await.map_err(failed)?;
            row = table.read(&group.name).await.map_err(failed)?;
        }
        if let (Some(wanted), Some(slices)) = (group.settings.slices, row.slices)
            && wanted != slices
        {
            return Err(GroupError::Settings(format!(
                "group {} has {slices} slices, not {wanted}: pause it and divide it anew with \
                 GroupControl::set_slices, or leave the setting out",
                group.name
            )));
        }
        let (ttl, store) = (group.settings.lease_ttl, &group.store);
        let (name, runner, host) = (&group.name, group.runner, &group.host);
        let leases = LeaseTable::prepare(store.clone(), name, runner, host.clone(), ttl);
        let members = MemberTable::prepare(store.clone(), name, runner, host.clone(), ttl);
        Ok(Self {
            leases: Arc::new(leases.await.map_err(failed)?),
            members: members.await.map_err(failed)?,
            status: StatusTable::prepare(store.clone()).await.map_err(failed)?,
            metrics: GroupMetrics::default(),
            table,
            beat: 0,
            seen_leases: Watched::new(),
            seen_members: Watched::new(),
            running: HashMap::new(),
            tasks: JoinSet::new(),
            stop_request: row.stop_request,
            group,
        })
    }

    /// Runs until `stop`, a stop request, or an error that a new beginning would meet again.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), GroupError> {
        publish_halted(&self.group.name, false);
        let mut said = Instant::now();
        let result = loop {
            match self.look().await {
                Ok(view) if view.row.stop_request != self.stop_request => {
                    tracing::info!(group = %self.group.name, "the group is asked to stop");
                    break Ok(());
                }
                Ok(view) => self.adjust(&view).await,
                Err(error) => tracing::warn!(
                    group = %self.group.name, %error, "the group's state cannot be read yet"
                ),
            }
            if said.elapsed() >= SAY {
                said = Instant::now();
                self.say().await;
            }
            tokio::select! {
                () = stop.cancelled() => break Ok(()),
                Some(ended) = self.tasks.join_next() => {
                    if let Err(error) = self.ended(ended) {
                        break Err(error);
                    }
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        };
        let stopped = self.stop().await;
        let result = result.and(stopped);
        self.group.set_state(Some(match &result {
            Ok(()) => GroupState::Stopped,
            Err(error) => {
                tracing::error!(group = %self.group.name, %error, "the group has halted");
                GroupState::Halted { reason: error.to_string() }
            }
        }));
        publish_halted(&self.group.name, result.is_err());
        // What is to be told to others the slices have told with their leases.
        self.say().await;
        result
    }

    /// Says that this runner is up, and reads what there is to know.
    async fn look(&mut self) -> Result<View, DatabaseError> {
        self.beat += 1;
        self.members.say(self.beat).await?;
        let (row, leases, members) = tokio::try_join!(
            self.table.read(&self.group.name),
            self.leases.list(),
            self.members.list()
        )?;
        let at = Instant::now();
        self.seen_leases.see_leases(&leases, at);
        self.seen_members.see(members.iter().map(|m| (m.runner, m.beat)), at);
        let runner = self.group.runner;
        let members = members
            .into_iter()
            .filter(|m| m.runner == runner || self.seen_members.unchanged(&m.runner, at) < m.ttl)
            .collect();
        Ok(View { row, leases, members, at })
    }

    /// Takes slices that this runner should have and nobody has; gives back what is too much.
    async fn adjust(&mut self, view: &View) {
        let slices = view.row.slices.unwrap_or(1);
        let slicing = view.row.slicing;
        let mut held: HashMap<Uuid, usize> = HashMap::new();
        for row in view.leases.iter().filter(|row| self.seen_leases.is_held(row, view.at)) {
            if let Some(holder) = row.holder {
                *held.entry(holder).or_default() += 1;
            }
        }
        let runner = self.group.runner;
        let known: Vec<Slice> = self.group.counters.lock().keys().copied().collect();
        for slice in known.into_iter().filter(|slice| !self.running.contains_key(slice)) {
            let index = i32::from(slice.index());
            let taken = view.leases.iter().any(|row| {
                row.slice == index
                    && row.holder.is_some_and(|holder| holder != runner)
                    && self.seen_leases.is_held(row, view.at)
            });
            if taken || slice.count() != slices {
                self.metrics.is_elsewhere(slice);
            }
        }
        let share = match view.row.paused {
            true => 0,
            false => share(runner, &view.members, &held, usize::from(slices)),
        };
        let mut mine: Vec<Slice> = self.running.keys().copied().collect();
        mine.sort();
        let too_many = mine.len().saturating_sub(share);
        for (n, slice) in mine.iter().rev().enumerate() {
            let outdated = slice.count() != slices;
            if (n < too_many || outdated)
                && let Some(stop) = self.running.get(slice)
            {
                stop.cancel();
            }
        }
        let free: Vec<Slice> = Slice::all(slices)
            .filter(|slice| {
                let row = view.leases.iter().find(|r| r.slice == i32::from(slice.index()));
                row.is_none_or(|row| !self.seen_leases.is_held(row, view.at))
            })
            .collect();
        // While a slice of another division is at work, none of this one begins.
        let divided = view
            .leases
            .iter()
            .all(|row| row.slicing == slicing || !self.seen_leases.is_held(row, view.at));
        if divided {
            for slice in free.into_iter().take(share.saturating_sub(mine.len())) {
                if let Err(error) = self.take(slice, slicing, view).await {
                    tracing::warn!(group = %self.group.name, %slice, %error, "no lease yet");
                }
            }
        }
        self.group.set_state(match (view.row.paused, self.running.is_empty()) {
            (true, true) => Some(GroupState::Paused),
            (false, true) => Some(GroupState::Standby),
            (_, false) => None,
        });
    }

    async fn take(&mut self, slice: Slice, slicing: i32, view: &View) -> Result<(), DatabaseError> {
        let row = view.leases.iter().find(|row| row.slice == i32::from(slice.index()));
        let Some(lease) = self.leases.acquire(slice, slicing, row).await? else { return Ok(()) };
        // Whoever divides the group anew looks for leases after it said so, and this looks
        // for its word after taking the lease: one of the two sees the other.
        let now = self.table.read(&self.group.name).await;
        let leases = self.leases.list().await;
        let others = |rows: &[LeaseRow]| {
            rows.iter().any(|r| r.slicing != slicing && self.seen_leases.is_held(r, view.at))
        };
        match (now, leases) {
            (Ok(row), Ok(rows)) if row.slicing == slicing && !row.paused && !others(&rows) => {}
            _ => return lease.release().await.map(|_| ()),
        }
        tracing::info!(group = %self.group.name, %slice, term = lease.term, "runs here now");
        let stop = CancellationToken::new();
        self.running.insert(slice, stop.clone());
        let (group, status) = (Arc::clone(&self.group), self.status.clone());
        self.tasks.spawn(async move { (slice, run_slice(&group, &status, lease, stop).await) });
        Ok(())
    }

    /// A slice has ended. Its error is the group's if it is final.
    fn ended(
        &mut self,
        ended: Result<(Slice, Result<(), GroupError>), tokio::task::JoinError>,
    ) -> Result<(), GroupError> {
        let (slice, result) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                let (group, reason) = (self.group.name.clone(), error.to_string());
                return Err(GroupError::Reader { group, reason });
            }
        };
        self.running.remove(&slice);
        match result {
            Err(error) if error.is_final() => return Err(error),
            Err(error) => tracing::warn!(group = %self.group.name, %slice, %error, "ended here"),
            Ok(()) => tracing::info!(group = %self.group.name, %slice, "ended here"),
        }
        self.group.contexts.lock().remove(&slice);
        Ok(())
    }

    /// Stops all slices; the first error. A slice whose lease has lapsed meanwhile is as well
    /// stopped as one that gave it back: what it had not stored comes again.
    async fn stop(&mut self) -> Result<(), GroupError> {
        for stop in self.running.values() {
            stop.cancel();
        }
        let mut first = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            let result = match ended {
                Ok((slice, result)) => {
                    self.running.remove(&slice);
                    match result {
                        Err(error @ GroupError::LeaseLost { .. }) => {
                            tracing::warn!(%slice, %error, "stopped");
                            Ok(())
                        }
                        result => result,
                    }
                }
                Err(error) => Err(GroupError::Reader {
                    group: self.group.name.clone(),
                    reason: error.to_string(),
                }),
            };
            first = first.and(result);
        }
        if let Err(error) = self.members.leave().await {
            tracing::debug!(group = %self.group.name, %error, "the membership ends by itself");
        }
        first
    }

    async fn say(&mut self) {
        let slices: Vec<_> =
            self.group.counters.lock().iter().map(|(s, c)| (*s, Arc::clone(c))).collect();
        for (slice, counters) in slices {
            let context = self.group.contexts.lock().get(&slice).map(Arc::clone);
            let Some(context) = context else {
                let status = counters.status(&self.group.name, 0, None);
                self.metrics.publish(slice, &status, false);
                continue;
            };
            let status = context.status();
            let is_here = context.is_under_lease();
            self.metrics.publish(slice, &status, is_here);
            // Otherwise the row is another runner's.
            if is_here {
                say(&self.status, &self.group, slice, &status).await;
            }
        }
    }
}

async fn say(table: &StatusTable, group: &Group, slice: Slice, status: &GroupStatus) {
    if let Err(error) = table.say(group, slice, status).await {
        tracing::debug!(group = %group.name, %slice, %error, "the status is not stored");
    }
}

/// Runs a slice under its lease, again and again where that may help.
async fn run_slice(
    group: &Group,
    table: &StatusTable,
    lease: Lease,
    stop: CancellationToken,
) -> Result<(), GroupError> {
    let context = group.context(&lease);
    let keeper = {
        let lease = lease.clone();
        AbortOnDropHandle::new(tokio::spawn(async move { lease.keep().await }))
    };
    let result = attempts(&context, lease.slice, &lease, &stop).await;
    drop(keeper);
    if !lease.fence.is_valid() {
        count_lost_lease(&group.name, lease.slice);
        return result;
    }
    let state = match &result {
        Err(error) if error.is_final() => GroupState::Halted { reason: error.to_string() },
        _ => GroupState::Stopped,
    };
    say(table, group, lease.slice, &GroupStatus { state, ..context.status() }).await;
    if let Err(error) = lease.release().await {
        tracing::warn!(group = %group.name, %error, "a lease is not given back; it will lapse");
    }
    result
}

async fn attempts(
    context: &GroupContext,
    slice: Slice,
    lease: &Lease,
    stop: &CancellationToken,
) -> Result<(), GroupError> {
    let mut restarts = Restarts::new();
    loop {
        context.counters.set_state(GroupState::Running);
        let began = Instant::now();
        let Err(error) = context.run(slice, stop).await else { return Ok(()) };
        // A handler that could not be broken off keeps its lease from being given back.
        if !lease.fence.is_valid() && !matches!(error, GroupError::Drain { .. }) {
            return Err(GroupError::LeaseLost { group: context.name.clone() });
        }
        if error.is_final() || stop.is_cancelled() {
            return Err(error);
        }
        let pause = restarts.delay_after(began.elapsed());
        tracing::warn!(group = %context.name, %slice, %error, "begins again at its checkpoint");
        context.counters.set_state(GroupState::Restarting { reason: error.to_string() });
        let pause = timeout(pause, stop.cancelled());
        tokio::select! {
            stopped = pause => if stopped.is_ok() { return Ok(()) },
            () = lease.fence.lost() => {
                return Err(GroupError::LeaseLost { group: context.name.clone() });
            }
        }
    }
}
