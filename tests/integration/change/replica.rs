//! A table kept as a map, by its changes alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use messina::EventStore;
use messina::change::{
    ChangeEvent, ChangeHandler, ChangeSettings, ChangeSubscription, ColumnChange, ElementChanges,
    Key, KeyRange, Operation, Row,
};
use messina::consumer::HandlerError;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use scylla::value::{CqlTimeuuid, CqlValue};

use super::{quick, run, subscription};
use crate::support::{TestDb, until};

const TABLE: &str = "CREATE TABLE {}.src (p int, c int, d int, v text, w int, l list<int>, \
    s set<text>, m map<text, int>, st text static, PRIMARY KEY (p, c, d)) \
    WITH CLUSTERING ORDER BY (c ASC, d DESC) AND cdc = {'enabled': true}";

#[derive(Debug, Clone, Default, PartialEq)]
struct RowState {
    /// An INSERT made it; it stays without columns.
    inserted: bool,
    v: Option<String>,
    w: Option<i32>,
    l: BTreeMap<CqlTimeuuid, i32>,
    s: BTreeSet<String>,
    m: BTreeMap<String, i32>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Partition {
    st: Option<String>,
    rows: BTreeMap<(i32, i32), RowState>,
}

/// A row as a SELECT shows it: no clustering key where only the static row is left.
type Selected = (
    i32,
    Option<i32>,
    Option<i32>,
    Option<String>,
    Option<i32>,
    Option<Vec<i32>>,
    Option<BTreeSet<String>>,
    Option<BTreeMap<String, i32>>,
    Option<String>,
);

/// The copy.
#[derive(Default)]
struct Replica {
    partitions: Mutex<BTreeMap<i32, Partition>>,
    changes: AtomicUsize,
    kinds: Mutex<BTreeSet<Operation>>,
}

fn int(value: &CqlValue) -> i32 {
    value.as_int().unwrap()
}

fn text(value: &CqlValue) -> String {
    value.as_text().unwrap().clone()
}

/// What a column is set to; `None`: it is not changed.
fn atomic<T>(columns: &Row<ColumnChange>, name: &str, of: fn(&CqlValue) -> T) -> Option<Option<T>> {
    match columns.get(name)? {
        ColumnChange::Set(value) => Some(Some(of(value))),
        ColumnChange::Removed => Some(None),
        other => panic!("{name}: {other:?}"),
    }
}

fn elements(columns: &Row<ColumnChange>, name: &str) -> Option<ElementChanges> {
    match columns.get(name)? {
        ColumnChange::Elements(changes) => Some(changes.clone()),
        ColumnChange::Removed => Some(ElementChanges { replaced: true, ..Default::default() }),
        other => panic!("{name}: {other:?}"),
    }
}

impl RowState {
    fn change(&mut self, columns: &Row<ColumnChange>) {
        if let Some(v) = atomic(columns, "v", text) {
            self.v = v;
        }
        if let Some(w) = atomic(columns, "w", int) {
            self.w = w;
        }
        if let Some(ElementChanges { replaced, put, removed }) = elements(columns, "l") {
            if replaced {
                self.l.clear();
            }
            let place = |value: &CqlValue| value.as_timeuuid().unwrap();
            self.l.extend(put.iter().map(|(at, n)| (place(at), int(n.as_ref().unwrap()))));
            self.l.retain(|at, _| !removed.iter().any(|gone| place(gone) == *at));
        }
        if let Some(ElementChanges { replaced, put, removed }) = elements(columns, "s") {
            if replaced {
                self.s.clear();
            }
            self.s.extend(put.iter().map(|(element, _)| text(element)));
            self.s.retain(|element| !removed.iter().any(|gone| text(gone) == *element));
        }
        if let Some(ElementChanges { replaced, put, removed }) = elements(columns, "m") {
            if replaced {
                self.m.clear();
            }
            self.m.extend(put.iter().map(|(key, n)| (text(key), int(n.as_ref().unwrap()))));
            self.m.retain(|key, _| !removed.iter().any(|gone| text(gone) == *key));
        }
    }

    fn is_there(&self) -> bool {
        *self != Self::default()
    }
}

/// Whether a row is in a range: `c` ascends, `d` descends.
fn is_in(range: &KeyRange, (c, d): (i32, i32)) -> bool {
    let row = [c, -d];
    let compare = |bound: &Row<CqlValue>| {
        let bound: Vec<i32> =
            bound.iter().map(|(name, v)| if name == "d" { -int(v) } else { int(v) }).collect();
        row[..bound.len()].cmp(&bound)
    };
    let after_start = match &range.start {
        Bound::Included(bound) => compare(bound).is_ge(),
        Bound::Excluded(bound) => compare(bound).is_gt(),
        Bound::Unbounded => true,
    };
    after_start
        && match &range.end {
            Bound::Included(bound) => compare(bound).is_le(),
            Bound::Excluded(bound) => compare(bound).is_lt(),
            Bound::Unbounded => true,
        }
}

impl Replica {
    fn apply(&self, change: &ChangeEvent) {
        let mut partitions = self.partitions.lock();
        let Key { partition, clustering } = &change.key;
        let partition = partitions.entry(int(partition.get("p").unwrap())).or_default();
        let row = clustering.get("d").map(|d| (int(clustering.get("c").unwrap()), int(d)));
        let columns = change.columns.as_ref().unwrap();
        match (change.operation, row) {
            (Operation::Insert | Operation::Update, Some(row)) => {
                let row = partition.rows.entry(row).or_default();
                row.inserted |= change.operation == Operation::Insert;
                row.change(columns);
            }
            (Operation::Update, None) => {
                if let Some(st) = atomic(columns, "st", text) {
                    partition.st = st;
                }
            }
            (Operation::RowDelete, Some(row)) => drop(partition.rows.remove(&row)),
            (Operation::RangeDelete, None) => {
                let range = change.range.as_ref().unwrap();
                partition.rows.retain(|row, _| !is_in(range, *row));
            }
            (Operation::PartitionDelete, None) => *partition = Partition::default(),
            other => panic!("{other:?}"),
        }
        self.kinds.lock().insert(change.operation);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// As a SELECT of the original would show it.
    fn selected(&self) -> BTreeMap<(i32, Option<i32>, Option<i32>), Selected> {
        let mut all = BTreeMap::new();
        for (p, partition) in &*self.partitions.lock() {
            let rows: Vec<_> = partition.rows.iter().filter(|(_, row)| row.is_there()).collect();
            if rows.is_empty() && partition.st.is_some() {
                let st = partition.st.clone();
                all.insert((*p, None, None), (*p, None, None, None, None, None, None, None, st));
            }
            for ((c, d), row) in rows {
                let row = row.clone();
                let some = |empty: bool| (!empty).then_some(());
                all.insert(
                    (*p, Some(*c), Some(*d)),
                    (
                        *p,
                        Some(*c),
                        Some(*d),
                        row.v,
                        row.w,
                        some(row.l.is_empty()).map(|()| row.l.into_values().collect()),
                        some(row.s.is_empty()).map(|()| row.s),
                        some(row.m.is_empty()).map(|()| row.m),
                        partition.st.clone(),
                    ),
                );
            }
        }
        all
    }
}

/// Applies changes to a copy, each in some time.
struct Replicate(Arc<Replica>, Duration);

#[async_trait]
impl ChangeHandler for Replicate {
    async fn handle(&self, change: &ChangeEvent) -> Result<(), HandlerError> {
        if !self.1.is_zero() {
            tokio::time::sleep(self.1).await;
        }
        self.0.apply(change);
        Ok(())
    }
}

async fn original(db: &TestDb) -> BTreeMap<(i32, Option<i32>, Option<i32>), Selected> {
    let cql = format!("SELECT p, c, d, v, w, l, s, m, st FROM {}.src", db.keyspace);
    let rows = db.query_unpaged(cql, ()).await.unwrap().into_rows_result().unwrap();
    rows.rows::<Selected>()
        .unwrap()
        .map(|row| row.map(|row| ((row.0, row.1, row.2), row)).unwrap())
        .collect()
}

/// A statement of any kind on few keys, so that changes meet.
fn statement(random: &mut StdRng) -> String {
    let mut number = |up_to: i32| random.random_range(0..up_to);
    let (p, c, d, n) = (number(6), number(3), number(3), number(100));
    let row = format!("p = {p} AND c = {c} AND d = {d}");
    let (a, b) = (["x", "y", "z"][number(3) as usize], ["x", "y", "z"][number(3) as usize]);
    let changes = [
        format!("v = 'v{n}', w = {n}"),
        "v = null, w = 7".to_owned(),
        "v = null, w = null".to_owned(),
        format!("l = [{n}, {n}, 1], s = {{'{a}', '{b}'}}, m = {{'{a}': {n}}}"),
        "l = [], s = null".to_owned(),
        format!("l = l + [{n}, 2]"),
        format!("l = [{n}, 3] + l"),
        "l = l - [1, 2]".to_owned(),
        format!("s = s + {{'{a}', '{b}'}}, m['{a}'] = {n}"),
        format!("s = s - {{'{a}'}}, m = m - {{'{a}', '{b}'}}"),
        format!("m['{a}'] = null, m['q'] = {n}"),
    ];
    let all = [
        format!("INSERT INTO {{}}.src (p, c, d, v, w) VALUES ({p}, {c}, {d}, 'v{n}', {n})"),
        format!("INSERT INTO {{}}.src (p, c, d) VALUES ({p}, {c}, {d})"),
        format!(
            "INSERT INTO {{}}.src (p, c, d, v, l, s, m) VALUES ({p}, {c}, {d}, null, [{n}, 4], \
             {{'{a}'}}, {{'{b}': {n}}})"
        ),
        format!("INSERT INTO {{}}.src (p, c, d, v, st) VALUES ({p}, {c}, {d}, 'v', 's{n}')"),
        format!("UPDATE {{}}.src SET st = 's{n}' WHERE p = {p}"),
        format!("DELETE st FROM {{}}.src WHERE p = {p}"),
        format!("DELETE v, l, s FROM {{}}.src WHERE {row}"),
        format!("DELETE s['{a}'], m['{b}'] FROM {{}}.src WHERE {row}"),
        format!("DELETE FROM {{}}.src WHERE {row}"),
        format!("DELETE FROM {{}}.src WHERE p = {p} AND c = {c}"),
        format!("DELETE FROM {{}}.src WHERE p = {p} AND c = {c} AND d > {d}"),
        format!("DELETE FROM {{}}.src WHERE p = {p} AND c = {c} AND d >= 0 AND d < {d}"),
        format!("DELETE FROM {{}}.src WHERE p = {p} AND c > {c}"),
        format!("DELETE FROM {{}}.src WHERE p = {p} AND c >= 0 AND c <= {c}"),
        format!(
            "BEGIN BATCH INSERT INTO {{}}.src (p, c, d, v) VALUES ({p}, 0, {d}, 'b{n}'); \
             UPDATE {{}}.src SET w = {n} WHERE p = {p} AND c = 1 AND d = {d}; \
             UPDATE {{}}.src SET st = 'b{n}' WHERE p = {p}; \
             INSERT INTO {{}}.src (p, c, d) VALUES (5, 2, {d}); APPLY BATCH"
        ),
    ];
    match number(40) {
        0 => format!("DELETE FROM {{}}.src WHERE p = {p}"),
        kind if kind < 20 => all.choose(random).unwrap().clone(),
        _ => format!("UPDATE {{}}.src SET {} WHERE {row}", changes.choose(random).unwrap()),
    }
}

async fn write(db: &TestDb, random: &mut StdRng, statements: usize) {
    for _ in 0..statements {
        run(db, &[&statement(random)]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_every_kind_of_change_is_kept_as_a_map() {
    let db = TestDb::start().await;
    run(&db, &[TABLE]).await;
    let replica: Arc<Replica> = Arc::default();
    let handler = Replicate(Arc::clone(&replica), Duration::ZERO);
    let subscription = subscription(&db, "replica", handler).await.tables(["src"]);
    let subscription = subscription.start().await.unwrap();
    write(&db, &mut StdRng::seed_from_u64(11), 800).await;
    let original = original(&db).await;
    assert!(original.len() > 3, "{} rows are left to compare", original.len());
    until("the copy is the original", || async { replica.selected() == original }).await;
    let kinds: Vec<Operation> = replica.kinds.lock().iter().copied().collect();
    use Operation as O;
    assert_eq!(kinds, [O::Insert, O::Update, O::RowDelete, O::RangeDelete, O::PartitionDelete]);
    let status = subscription.stop().await.unwrap();
    assert_eq!(status.handled as usize, replica.changes.load(Ordering::Relaxed));
    assert_eq!((status.in_flight, status.filtered, status.skipped), (0, 0, 0));
}

/// The next one need not wait long for the lease of the one that died.
fn short_lived() -> ChangeSettings {
    ChangeSettings { lease_ttl: Duration::from_secs(1), ..quick() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_dies_again_and_again_misses_nothing() {
    let db = TestDb::start().await;
    run(&db, &[TABLE]).await;
    let replica: Arc<Replica> = Arc::default();
    let mut random = StdRng::seed_from_u64(12);
    for _ in 0..3 {
        write(&db, &mut random, 150).await;
        // A runtime that is torn down takes the subscription with it, wherever it is.
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (contact, keyspace) = (db.node_address(), db.keyspace.clone());
        let there = Arc::clone(&replica);
        let goal = replica.changes.load(Ordering::Relaxed) + 60;
        let dying = runtime.spawn(async move {
            let session = scylla::client::session_builder::SessionBuilder::new()
                .known_node(contact)
                .build()
                .await
                .unwrap();
            let store = EventStore::connect(Arc::new(session), keyspace).await.unwrap();
            let handler = Replicate(Arc::clone(&there), Duration::from_millis(2));
            let subscription = ChangeSubscription::builder(store, "dies", handler)
                .tables(["src"])
                .settings(short_lived())
                .start()
                .await
                .unwrap();
            until("some changes are handled", || async {
                there.changes.load(Ordering::Relaxed) >= goal
            })
            .await;
            std::mem::forget(subscription);
        });
        dying.await.unwrap();
        runtime.shutdown_background();
    }
    write(&db, &mut random, 50).await;
    let handler = Replicate(Arc::clone(&replica), Duration::ZERO);
    let subscription = subscription(&db, "dies", handler).await.settings(short_lived());
    let subscription = subscription.tables(["src"]).start().await.unwrap();
    let original = original(&db).await;
    until("the copy is the original", || async { replica.selected() == original }).await;
    subscription.stop().await.unwrap();
}
