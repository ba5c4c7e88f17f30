//! Several runners of a group, and operators who pause, stop and divide it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use messina::consumer::{
    ControlError, GroupBuilder, GroupControl, GroupError, GroupSettings, GroupState, RunningGroup,
};
use messina::{AggregateId, CommandHandler, EventStore};
use messina_devdb::faults::{Fault, FaultAction};

use super::recorder::{Recorder, Seen, events, fill, group};
use crate::support::{Account, AccountCommand, TestDb, quick, spread, until};

const SOON: Duration = Duration::from_secs(20);

fn runner(store: &EventStore, name: &str, seen: &Arc<Seen>) -> GroupBuilder {
    group(store, name, Recorder(Arc::clone(seen)))
}

fn sliced(store: &EventStore, name: &str, seen: &Arc<Seen>, slices: u16) -> GroupBuilder {
    let settings = GroupSettings { slices: Some(slices), ..quick() };
    runner(store, name, seen).settings(settings)
}

fn running(groups: &[RunningGroup]) -> usize {
    groups.iter().filter(|group| group.status().state == GroupState::Running).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_runners_one_runs_and_another_takes_over_at_once_when_it_stops() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let mut groups = Vec::new();
    for _ in 0..3 {
        groups.push(runner(&store, "one", &seen).start().await.unwrap());
    }
    let mut versions = fill(&store, 5, 3).await;
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    until("one runs, two stand by", || async {
        running(&groups) == 1
            && groups.iter().filter(|g| g.status().state == GroupState::Standby).count() == 2
    })
    .await;
    assert_eq!(seen.total(), events(&versions), "nobody handled what another did");
    let active = groups.iter().position(|g| g.status().state == GroupState::Running).unwrap();
    groups.remove(active).stop().await.unwrap();
    let stopped = std::time::Instant::now();
    until("another runs", || async { running(&groups) == 1 }).await;
    assert!(stopped.elapsed() < quick().lease_ttl, "it lapsed: {:?}", stopped.elapsed());
    versions.extend(fill(&store, 5, 3).await);
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    for group in groups {
        group.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_another_has_taken_the_lease_from_stops_and_stores_nothing() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let seen: Arc<Seen> = Arc::default();
    let robbed = runner(&store, "robbed", &seen).start().await.unwrap();
    let mut versions = fill(&store, 3, 2).await;
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    // What another runner does when this one seems to be gone.
    for (table, values) in [
        (
            "consumer_leases",
            "holder = 00000000-0000-0000-0000-000000000007, term = 100, beat = 900, \
             ttl_ms = 60000",
        ),
        ("consumer_checkpoints", "term = 100"),
    ] {
        let cql = format!(
            "UPDATE {}.{table} SET {values} WHERE group_name = 'robbed' AND slice = 0 IF term = 1",
            db.keyspace
        );
        db.query_unpaged(cql, ()).await.unwrap();
    }
    until("it stands by", || async { robbed.status().state == GroupState::Standby }).await;
    let position = async || {
        let cql = format!("SELECT position, term FROM {}.consumer_checkpoints", db.keyspace);
        let rows = db.query_unpaged(cql, ()).await.unwrap().into_rows_result().unwrap();
        let rows = rows.rows::<(Option<scylla::value::CqlTimestamp>, i64)>().unwrap();
        rows.map(Result::unwrap).map(|(at, term)| (at.map(|at| at.0), term)).max()
    };
    let stored = position().await;
    assert_eq!(stored.unwrap().1, 100);
    versions.extend(fill(&store, 1, 1).await);
    // The other one does not renew: its lease lapses, and this one goes on.
    let cql = format!(
        "UPDATE {}.consumer_leases SET ttl_ms = 1000 \
         WHERE group_name = 'robbed' AND slice = 0 IF term = 100",
        db.keyspace
    );
    db.query_unpaged(cql, ()).await.unwrap();
    until("it runs again", || async { robbed.status().state == GroupState::Running }).await;
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    until("progress is stored again", || async { position().await > stored }).await;
    assert_eq!(position().await.unwrap().1, 101, "under a later term");
    robbed.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_whose_lease_lapses_while_it_stops_has_stopped() {
    let db = TestDb::embedded().await;
    let store = db.store().await;
    // It would take an hour to finish what has been read.
    let delay = Some(Duration::from_secs(3600));
    let seen = Arc::new(Seen { delay, ..Seen::default() });
    let settings = GroupSettings {
        lease_ttl: Duration::from_secs(1),
        drain_timeout: Duration::from_secs(3600),
        ..quick()
    };
    let lapsing = runner(&store, "lapsing", &seen).settings(settings).start().await.unwrap();
    let versions = fill(&store, 1, 1).await;
    until("an event is being handled", || async { seen.calls.load(Ordering::Relaxed) > 0 }).await;
    let unanswered = Fault::new(FaultAction::Delay(Duration::from_secs(3600)));
    db.node().faults().add(unanswered.table("consumer_leases"));
    let status = lapsing.stop().await.unwrap();
    assert_eq!((status.state, status.handled), (GroupState::Stopped, 0));
    // Nothing of it counts as done.
    db.node().faults().clear();
    let seen: Arc<Seen> = Arc::default();
    let next = runner(&store, "lapsing", &seen).start().await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    next.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_group_stays_paused_over_restarts_until_it_is_resumed() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let control = GroupControl::connect(&store).await.unwrap();
    let seen: Arc<Seen> = Arc::default();
    let first = runner(&store, "paused", &seen).start().await.unwrap();
    let mut versions = fill(&store, 3, 2).await;
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    control.pause("paused").await.unwrap();
    control.wait_idle("paused", SOON).await.unwrap();
    assert!(control.overview("paused").await.unwrap().paused);
    until("it says so", || async { first.status().state == GroupState::Paused }).await;
    first.stop().await.unwrap();
    let second = runner(&store, "paused", &seen).start().await.unwrap();
    let handled = seen.total();
    versions.extend(fill(&store, 3, 2).await);
    until("it stays paused", || async { second.status().state == GroupState::Paused }).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(seen.total(), handled);
    control.resume("paused").await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_stopped_from_elsewhere_and_runs_when_it_is_started_again() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let control = GroupControl::connect(&store).await.unwrap();
    let seen: Arc<Seen> = Arc::default();
    let mut first = runner(&store, "stopped", &seen).start().await.unwrap();
    let mut versions = fill(&store, 2, 2).await;
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    until("it says how it is doing", || async {
        let running = control.overview("stopped").await.unwrap().running;
        running.iter().any(|s| s.handled == Some(events(&versions) as i64))
    })
    .await;
    control.stop("stopped").await.unwrap();
    first.finished().await.unwrap();
    assert_eq!(first.status().state, GroupState::Stopped);
    control.wait_idle("stopped", SOON).await.unwrap();
    let told = control.overview("stopped").await.unwrap().running;
    assert_eq!(told[0].state.as_deref(), Some("stopped"), "{told:?}");
    let second = runner(&store, "stopped", &seen).start().await.unwrap();
    versions.extend(fill(&store, 2, 2).await);
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    second.stop().await.unwrap();
}

/// Goes on with these accounts until told to stop; their versions.
async fn write_on(
    store: EventStore,
    ids: Vec<AggregateId>,
    stop: tokio_util::sync::CancellationToken,
) -> Vec<(AggregateId, i64)> {
    let accounts = CommandHandler::<Account>::new(store);
    let mut versions: Vec<_> = ids.into_iter().map(|id| (id, 0)).collect();
    while !stop.is_cancelled() {
        for (id, version) in &mut versions {
            let deposit = AccountCommand::Deposit { cents: 1 };
            *version = accounts.execute(*id, deposit).await.unwrap().version;
        }
    }
    versions
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_are_spread_over_the_runners_and_moved_when_one_comes_or_goes() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let control = GroupControl::connect(&store).await.unwrap();
    let seen: Arc<Seen> = Arc::default();
    let ids: Vec<_> = fill(&store, 24, 1).await.into_keys().collect();
    let stop = tokio_util::sync::CancellationToken::new();
    let writing = tokio::spawn(write_on(store.clone(), ids, stop.clone()));
    let spread = async |want: &[usize]| spread(&control, "spread").await == want;
    let mut groups = vec![sliced(&store, "spread", &seen, 4).start().await.unwrap()];
    until("one has all", || async { spread(&[4]).await }).await;
    groups.push(sliced(&store, "spread", &seen, 4).start().await.unwrap());
    until("each has two", || async { spread(&[2, 2]).await }).await;
    groups.push(sliced(&store, "spread", &seen, 4).start().await.unwrap());
    until("each has its share", || async { spread(&[1, 1, 2]).await }).await;
    groups.remove(0).stop().await.unwrap();
    until("each has two again", || async { spread(&[2, 2]).await }).await;
    stop.cancel();
    let versions = writing.await.unwrap().into_iter().collect();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    for group in groups {
        group.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_divided_anew_only_while_it_is_paused_and_misses_nothing() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let control = GroupControl::connect(&store).await.unwrap();
    let seen: Arc<Seen> = Arc::default();
    let mut versions = fill(&store, 10, 2).await;
    let whole = sliced(&store, "divided", &seen, 1).start().await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    until("its progress is stored", || async {
        control.progress("divided").await.unwrap().iter().all(|slice| slice.streams > 0)
    })
    .await;
    let error = control.set_slices("divided", 3).await.unwrap_err();
    assert!(matches!(error, ControlError::NotPaused { .. }), "{error}");
    control.pause("divided").await.unwrap();
    control.wait_idle("divided", SOON).await.unwrap();
    versions.extend(fill(&store, 10, 2).await);
    let before = control.progress("divided").await.unwrap();
    assert!(before.len() == 1 && before[0].streams > 0, "{before:?}");
    control.set_slices("divided", 3).await.unwrap();
    // What the whole had stored is void: the parts begin where it was.
    let parts = control.progress("divided").await.unwrap();
    assert_eq!(parts.iter().map(|part| part.streams).collect::<Vec<_>>(), [0, 0, 0]);
    assert!(parts.iter().all(|part| part.oldest == before[0].oldest), "{parts:?} {before:?}");
    whole.stop().await.unwrap();
    // A runner that was told otherwise says so.
    let error = sliced(&store, "divided", &seen, 1).start().await.unwrap_err();
    assert!(matches!(&error, GroupError::Settings(text) if text.contains("3 slices")), "{error}");
    control.resume("divided").await.unwrap();
    let parts = runner(&store, "divided", &seen).start().await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    until("three slices run", || async {
        control.overview("divided").await.unwrap().running.iter().filter(|s| s.slice < 3).count()
            == 3
    })
    .await;
    until("the parts' own progress is stored", || async {
        control.progress("divided").await.unwrap().iter().all(|part| part.streams > 0)
    })
    .await;
    parts.stop().await.unwrap();
    // Set forward, beyond what is stored, and back.
    control.pause("divided").await.unwrap();
    for time in [SystemTime::now() + SOON, SystemTime::UNIX_EPOCH + SOON] {
        control.begin_at("divided", time).await.unwrap();
        let at = time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
        let set = control.progress("divided").await.unwrap();
        assert!(set.iter().all(|part| (part.oldest, part.streams) == (at, 0)), "{set:?}");
    }
    let error = control.set_slices("divided", 0).await.unwrap_err();
    assert!(matches!(error, ControlError::Slices { .. }), "{error}");
}

/// What a runner that died, or one that lives, has left in the table.
async fn lease_of_another(db: &TestDb, group: &str, beat: i64, ttl: Duration) {
    let cql = format!(
        "INSERT INTO {}.consumer_leases (group_name, slice, term, holder, beat, ttl_ms, slicing) \
         VALUES ('{group}', 0, 100, 00000000-0000-0000-0000-000000000007, {beat}, {}, 0)",
        db.keyspace,
        ttl.as_millis()
    );
    db.query_unpaged(cql, ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_died_with_its_slice_does_not_keep_a_group_from_being_divided() {
    let db = TestDb::start().await;
    let store = db.store().await;
    let control = GroupControl::connect(&store).await.unwrap();
    let seen: Arc<Seen> = Arc::default();
    let mut versions = fill(&store, 3, 2).await;
    let whole = runner(&store, "bereft", &seen).start().await.unwrap();
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    control.pause("bereft").await.unwrap();
    control.wait_idle("bereft", SOON).await.unwrap();
    whole.stop().await.unwrap();
    let renewing = async {
        for beat in 1.. {
            lease_of_another(&db, "bereft", beat, Duration::from_secs(60)).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    lease_of_another(&db, "bereft", 0, Duration::from_secs(60)).await;
    let error = tokio::select! {
        () = renewing => unreachable!("it renews for ever"),
        divided = control.set_slices("bereft", 2) => divided.unwrap_err(),
    };
    assert!(error.to_string().contains("has not given its slice back"), "{error}");
    // It is killed.
    lease_of_another(&db, "bereft", -1, Duration::from_secs(1)).await;
    control.set_slices("bereft", 2).await.unwrap();
    control.resume("bereft").await.unwrap();
    let parts = runner(&store, "bereft", &seen).start().await.unwrap();
    versions.extend(fill(&store, 3, 2).await);
    until("every event is handled", || async { seen.has_all(&versions) }).await;
    seen.assert_complete(&versions);
    parts.stop().await.unwrap();
}
