//! The database against a model that keeps every write and decides at the read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use super::mutation::*;
use super::read::*;
use super::{Database, token};
use crate::schema::{Column, ColumnKind, Partitioner, Table, TableOptions};
use crate::types::CqlType;
use crate::types::order::{decode_clustering, encode_clustering};

pub(crate) fn table() -> Arc<Table> {
    let column = |name: &str, cql_type: CqlType, kind, id| Column {
        name: name.into(),
        cql_type,
        kind,
        id,
        descending: false,
    };
    let set = CqlType::Set { element: CqlType::Text.into(), frozen: false };
    Arc::new(Table {
        id: Uuid::new_v4(),
        keyspace: "ks".into(),
        name: "t".into(),
        columns: vec![
            column("p", CqlType::Text, ColumnKind::PartitionKey(0), 0),
            column("c", CqlType::Text, ColumnKind::Clustering(0), 1),
            column("s", CqlType::Text, ColumnKind::Static, 2),
            column("v", CqlType::Text, ColumnKind::Regular, 3),
            column("w", set, ColumnKind::Regular, 4),
        ],
        next_column_id: 5,
        dropped: Default::default(),
        partitioner: Partitioner::Murmur3,
        options: TableOptions { gc_grace_seconds: 100, ..TableOptions::default() },
        cdc: None,
        cdc_log_of: None,
    })
}

fn database() -> (Database, Arc<Table>) {
    let db = Database::new();
    let table = table();
    db.create_table(&table);
    (db, table)
}

fn partition_key(name: &str) -> PartitionKey {
    PartitionKey(Bytes::copy_from_slice(name.as_bytes()))
}

fn row_key(byte: u8) -> ClusteringKey {
    ClusteringKey(Bytes::from(vec![byte]))
}

fn live(timestamp: i64, value: impl Into<Bytes>) -> ColumnValue {
    ColumnValue::Atomic(Cell { timestamp, content: CellContent::Live { value: value.into() } })
}

fn empty(table: &Table, partition: &str) -> Mutation {
    Mutation {
        table: table.id,
        key: partition_key(partition),
        partition_tombstone: None,
        range_tombstones: vec![],
        static_columns: vec![],
        rows: vec![],
    }
}

fn insert(table: &Table, partition: &str, key: u8, timestamp: i64, value: &str) -> Mutation {
    let row = RowMutation {
        marker: Some(RowMarker { timestamp, expiry: None }),
        tombstone: None,
        columns: vec![(3, live(timestamp, value.to_owned()))],
    };
    Mutation { rows: vec![(row_key(key), row)], ..empty(table, partition) }
}

fn keys(view: &PartitionView) -> Vec<u8> {
    view.rows.iter().map(|row| row.key.0[0]).collect()
}

fn rows(db: &Database, table: &Table, partition: &str, spec: &ReadSpec) -> Vec<u8> {
    db.read_partition(table.id, &partition_key(partition), spec)
        .unwrap()
        .map_or_else(Vec::new, |view| keys(&view))
}

#[test]
fn slices_go_both_ways_and_go_on_where_they_stopped() {
    let (db, table) = database();
    for key in 0..100 {
        db.apply(&insert(&table, "a", key, 1, "v")).unwrap();
    }
    let range = |low, high| ClusteringRange {
        start: ClusteringBound::Exclusive(row_key(low)),
        end: ClusteringBound::Inclusive(row_key(high)),
    };
    let spec = ReadSpec { ranges: vec![range(10, 12), range(90, 92)], ..ReadSpec::all(0) };
    assert_eq!(rows(&db, &table, "a", &spec), [11, 12, 91, 92]);
    let spec = ReadSpec { reversed: true, limit: 3, ..spec };
    assert_eq!(rows(&db, &table, "a", &spec), [92, 91, 12]);
    let spec = ReadSpec { after: Some(row_key(12)), ..spec };
    assert_eq!(rows(&db, &table, "a", &spec), [11]);
    let spec = ReadSpec { reversed: false, after: Some(row_key(97)), ..ReadSpec::all(0) };
    assert_eq!(rows(&db, &table, "a", &spec), [98, 99]);
    assert_eq!(rows(&db, &table, "a", &ReadSpec::row(row_key(7), 0)), [7]);
    assert_eq!(rows(&db, &table, "b", &ReadSpec::all(0)), [0u8; 0]);
}

#[test]
fn a_scan_meets_every_row_once_in_ring_order_in_any_steps() {
    let (db, table) = database();
    for partition in 0..50 {
        for key in 0..(partition % 7) as u8 {
            db.apply(&insert(&table, &format!("p{partition}"), key, 1, "v")).unwrap();
        }
        if partition % 5 == 0 {
            let columns = vec![(2, live(1, "static"))];
            let change =
                Mutation { static_columns: columns, ..empty(&table, &format!("p{partition}")) };
            db.apply(&change).unwrap();
        }
    }
    let scan = |step: usize, spec: &ReadSpec| {
        let mut from = None;
        let mut found = Vec::new();
        loop {
            let chunk = db.scan(table.id, TokenRange::ALL, from.as_ref(), spec, step).unwrap();
            for view in chunk.partitions {
                if view.rows.is_empty() {
                    found.push((view.token, view.key.clone(), None));
                }
                found.extend(
                    keys(&view).into_iter().map(|k| (view.token, view.key.clone(), Some(k))),
                );
            }
            from = chunk.next;
            if from.is_none() {
                return found;
            }
        }
    };
    let all = scan(usize::MAX, &ReadSpec::all(0));
    // Rows: 7 full cycles of 0..7 and p49; static alone: p0, p35.
    assert_eq!(all.len(), 7 * 21 + 2);
    assert!(all.is_sorted());
    assert!(all.iter().all(|(t, key, _)| *t == token(Partitioner::Murmur3, key)));
    for step in [1, 2, 3, 10] {
        assert_eq!(scan(step, &ReadSpec::all(0)), all, "in steps of {step}");
    }
    let two_each = ReadSpec { limit: 2, ..ReadSpec::all(0) };
    let all_of_two = scan(usize::MAX, &two_each);
    assert!(all_of_two.len() < all.len());
    for step in [1, 2, 3] {
        assert_eq!(scan(step, &two_each), all_of_two, "two of each in steps of {step}");
    }
    let middle = all[40].0;
    let range = TokenRange { start: middle, end: i64::MAX };
    let part = db.scan(table.id, range, None, &ReadSpec::all(0), usize::MAX).unwrap();
    assert_eq!(part.partitions[0].token, middle);
}

#[test]
fn expired_rows_and_old_tombstones_give_their_memory_back() {
    let (db, table) = database();
    let expiring = |key: u8| {
        let content =
            CellContent::Expiring { value: Bytes::from(vec![7; 1000]), ttl: 10, expiry: 110 };
        let row = RowMutation {
            marker: Some(RowMarker { timestamp: 1, expiry: Some((10, 110)) }),
            tombstone: None,
            columns: vec![(3, ColumnValue::Atomic(Cell { timestamp: 1, content }))],
        };
        Mutation { rows: vec![(row_key(key), row)], ..empty(&table, "a") }
    };
    for key in 0..100 {
        db.apply(&expiring(key)).unwrap();
    }
    db.apply(&insert(&table, "a", 200, 1, "stays")).unwrap();
    let tombstone = Tombstone { timestamp: 5, deletion_time: 100 };
    let delete = Mutation { partition_tombstone: Some(tombstone), ..empty(&table, "b") };
    db.apply(&delete).unwrap();

    assert_eq!(rows(&db, &table, "a", &ReadSpec::all(109)).len(), 101);
    assert_eq!(rows(&db, &table, "a", &ReadSpec::all(110)), [200]);
    while !db.purge(109) {}
    assert!(db.table_size(table.id).unwrap().bytes > 100_000);
    while !db.purge(110) {}
    let size = db.table_size(table.id).unwrap();
    // The dead cells stay for the grace of tombstones (100 s after the write), their values not.
    assert!(size.bytes < 5000, "{size:?}");
    assert_eq!((size.partitions, size.rows), (2, 101));
    while !db.purge(200) {}
    let size = db.table_size(table.id).unwrap();
    assert_eq!((size.partitions, size.rows), (1, 1));
    assert_eq!(rows(&db, &table, "a", &ReadSpec::all(300)), [200]);
}

#[test]
fn a_late_write_is_seen_when_its_time_has_come() {
    let (db, table) = database();
    db.apply_late(insert(&table, "a", 1, 1, "late"), Duration::from_secs(3600));
    assert_eq!(rows(&db, &table, "a", &ReadSpec::all(0)), [0u8; 0]);
    db.apply_late(insert(&table, "a", 2, 1, "late no longer"), Duration::from_millis(1));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(rows(&db, &table, "a", &ReadSpec::all(0)), [2]);
}

#[test]
fn a_dropped_column_takes_its_data_with_it() {
    let (db, table) = database();
    let row = RowMutation { columns: vec![(3, live(1, "v"))], ..RowMutation::default() };
    db.apply(&Mutation { rows: vec![(row_key(1), row)], ..empty(&table, "a") }).unwrap();
    let mut altered = (*table).clone();
    altered.columns.retain(|column| column.id != 3);
    db.alter_table(&Arc::new(altered));
    assert_eq!(rows(&db, &table, "a", &ReadSpec::all(0)), [0u8; 0]);
}

#[test]
fn decimals_that_are_equal_are_one_row_spelled_as_it_was_first() {
    let mut table = (*table()).clone();
    table.columns[1].cql_type = CqlType::Decimal;
    let table = Arc::new(table);
    let db = Database::new();
    db.create_table(&table);
    let columns = [(&CqlType::Decimal, false)];
    let key = |text: &str| {
        let value = crate::types::from_text(&CqlType::Decimal, text).unwrap();
        encode_clustering(&columns, &[value])
    };
    let write = |c: &str, timestamp, v: &str| {
        let row = RowMutation {
            columns: vec![(3, live(timestamp, v.to_owned()))],
            ..RowMutation::default()
        };
        db.apply(&Mutation { rows: vec![(key(c), row)], ..empty(&table, "a") }).unwrap();
    };
    let read = |spec: &ReadSpec| -> Vec<String> {
        let view = db.read_partition(table.id, &partition_key("a"), spec).unwrap();
        let rows = view.map_or_else(Vec::new, |view| view.rows);
        rows.iter()
            .map(|row| {
                let values = decode_clustering(&columns, &row.key);
                crate::types::to_text(&CqlType::Decimal, &values[0])
            })
            .collect()
    };
    for (i, c) in ["10.0", "1.50", "1.5", "-3.10", "2"].into_iter().enumerate() {
        write(c, i as i64, c);
    }
    assert_eq!(read(&ReadSpec::all(0)), ["-3.10", "1.50", "2", "10.0"]);
    assert_eq!(read(&ReadSpec::row(key("1.500"), 0)), ["1.50"]);
    let after = ReadSpec { after: Some(key("1.50")), ..ReadSpec::all(0) };
    assert_eq!(read(&after), ["2", "10.0"]);
    let range = ClusteringRange {
        start: ClusteringBound::Exclusive(key("1.5000")),
        end: ClusteringBound::Inclusive(key("10")),
    };
    assert_eq!(read(&ReadSpec { ranges: vec![range.clone()], ..ReadSpec::all(0) }), ["2", "10.0"]);
    let tombstone = Tombstone { timestamp: 9, deletion_time: 0 };
    let delete = Mutation { range_tombstones: vec![(range, tombstone)], ..empty(&table, "a") };
    db.apply(&delete).unwrap();
    assert_eq!(read(&ReadSpec::all(0)), ["-3.10", "1.50"]);
}

#[test]
fn concurrent_writers_of_one_partition_lose_nothing() {
    let (db, table) = database();
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let (db, table) = (&db, &table);
            scope.spawn(move || {
                for i in 0..50u8 {
                    db.apply(&insert(table, "a", thread * 50 + i, 1, "v")).unwrap();
                }
            });
        }
    });
    assert_eq!(rows(&db, &table, "a", &ReadSpec::all(0)).len(), 200);
}

fn cell() -> impl Strategy<Value = Cell> {
    let value = proptest::collection::vec(97u8..100, 1..2).prop_map(Bytes::from);
    let content = prop_oneof![
        Just(CellContent::Dead { deletion_time: 50 }),
        value.clone().prop_map(|value| CellContent::Live { value }),
        (value, 5i64..15).prop_map(|(value, expiry)| CellContent::Expiring {
            value,
            ttl: 5,
            expiry
        }),
    ];
    (0i64..6, content).prop_map(|(timestamp, content)| Cell { timestamp, content })
}

fn tombstone() -> impl Strategy<Value = Tombstone> {
    (0i64..6).prop_map(|timestamp| Tombstone { timestamp, deletion_time: 50 })
}

fn bound() -> impl Strategy<Value = ClusteringBound> {
    prop_oneof![
        Just(ClusteringBound::Unbounded),
        (0u8..5).prop_map(|k| ClusteringBound::Inclusive(row_key(k))),
        (0u8..5).prop_map(|k| ClusteringBound::Exclusive(row_key(k))),
    ]
}

fn row() -> impl Strategy<Value = RowMutation> {
    let marker = proptest::option::of((0i64..6, proptest::option::of(5i64..15)));
    let elements = proptest::collection::btree_map(0u8..3, cell(), 0..3);
    let set = proptest::option::of((proptest::option::of(tombstone()), elements));
    let dead = proptest::option::weighted(0.2, tombstone());
    (marker, dead, proptest::option::of(cell()), set).prop_map(|(marker, tombstone, v, set)| {
        let mut columns = Vec::new();
        columns.extend(v.map(|cell| (3, ColumnValue::Atomic(cell))));
        columns.extend(set.map(|(tombstone, cells)| {
            let cells = cells.into_iter().map(|(k, c)| (Bytes::from(vec![k]), c)).collect();
            (4, ColumnValue::Collection(CollectionCells { tombstone, cells }))
        }));
        RowMutation {
            marker: marker.map(|(timestamp, expiry)| RowMarker {
                timestamp,
                expiry: expiry.map(|at| (5, at)),
            }),
            tombstone,
            columns,
        }
    })
}

type Write = (
    Option<Tombstone>,
    Vec<(ClusteringBound, ClusteringBound, Tombstone)>,
    Option<Cell>,
    std::collections::BTreeMap<u8, RowMutation>,
);

fn write() -> impl Strategy<Value = Write> {
    (
        proptest::option::weighted(0.1, tombstone()),
        proptest::collection::vec((bound(), bound(), tombstone()), 0..2),
        proptest::option::weighted(0.3, cell()),
        proptest::collection::btree_map(0u8..5, row(), 0..3),
    )
}

/// Whether the cell, of all that were written to its place, is what a reader sees.
fn survivor(cells: &[Cell], dead: Option<i64>, now: i64) -> Option<LiveCell> {
    let cells = cells.iter().filter(|c| dead.is_none_or(|dead| c.timestamp > dead));
    let best = cells.max_by(|a, b| super::compare_cells(a, b))?;
    let timestamp = best.timestamp;
    match &best.content {
        CellContent::Dead { .. } => None,
        CellContent::Live { value } => {
            Some(LiveCell { value: value.clone(), timestamp, ttl: None })
        }
        CellContent::Expiring { value, expiry, .. } => (*expiry > now).then(|| LiveCell {
            value: value.clone(),
            timestamp,
            ttl: Some((*expiry - now) as i32),
        }),
    }
}

/// What a reader sees of a row, decided from all writes at once.
fn model(writes: &[Write], key: u8, now: i64) -> Option<LiveRow> {
    let in_range = |start: &ClusteringBound, end: &ClusteringBound| {
        let from = match start {
            ClusteringBound::Unbounded => true,
            ClusteringBound::Inclusive(k) => key >= k.0[0],
            ClusteringBound::Exclusive(k) => key > k.0[0],
        };
        let to = match end {
            ClusteringBound::Unbounded => true,
            ClusteringBound::Inclusive(k) => key <= k.0[0],
            ClusteringBound::Exclusive(k) => key < k.0[0],
        };
        from && to
    };
    let partition = writes.iter().filter_map(|w| w.0).map(|t| t.timestamp);
    let ranges = writes.iter().flat_map(|w| &w.1).filter(|(s, e, _)| in_range(s, e));
    let mine: Vec<&RowMutation> = writes.iter().filter_map(|w| w.3.get(&key)).collect();
    let rows = mine.iter().filter_map(|row| row.tombstone).map(|t| t.timestamp);
    let dead = partition.chain(ranges.map(|(_, _, t)| t.timestamp)).chain(rows).max();

    let marker = mine
        .iter()
        .filter_map(|row| row.marker)
        .filter(|m| dead.is_none_or(|dead| m.timestamp > dead))
        .max_by_key(|m| (m.timestamp, m.expiry.is_some(), m.expiry.map(|(_, at)| at)))
        .filter(|m| m.expiry.is_none_or(|(_, at)| at > now));
    let mut columns = Vec::new();
    let mut atomic = Vec::new();
    let mut collections = Vec::new();
    for (id, value) in mine.iter().flat_map(|row| &row.columns) {
        match value {
            ColumnValue::Atomic(cell) if *id == 3 => atomic.push(cell.clone()),
            ColumnValue::Collection(cells) => collections.push(cells),
            ColumnValue::Atomic(_) => {}
        }
    }
    columns.extend(survivor(&atomic, dead, now).map(|cell| (3, LiveValue::Atomic(cell))));
    let dead = dead.max(collections.iter().filter_map(|c| c.tombstone).map(|t| t.timestamp).max());
    let elements: Vec<_> = (0u8..3)
        .filter_map(|k| {
            let cells: Vec<Cell> = collections
                .iter()
                .flat_map(|c| &c.cells)
                .filter(|(key, _)| key[0] == k)
                .map(|(_, cell)| cell.clone())
                .collect();
            Some((Bytes::from(vec![k]), survivor(&cells, dead, now)?))
        })
        .collect();
    if !elements.is_empty() {
        columns.push((4, LiveValue::Collection(elements)));
    }
    (marker.is_some() || !columns.is_empty()).then(|| LiveRow {
        key: row_key(key),
        marker,
        columns,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn any_writes_in_any_order_read_as_the_model_says(
        writes in proptest::collection::vec(write(), 1..8),
        shuffle in any::<u64>(),
        purge_at in proptest::option::of(0i64..20),
        now in 0i64..20,
    ) {
        let (db, table) = database();
        let mut order: Vec<usize> = (0..writes.len()).collect();
        order.sort_by_key(|i| (*i as u64 + 1).wrapping_mul(shuffle | 1) >> 7);
        // Some twice: writing again changes nothing.
        for i in order.iter().chain(order.iter().step_by(2)) {
            let (partition_tombstone, ranges, s, rows) = &writes[*i];
            let mutation = Mutation {
                partition_tombstone: *partition_tombstone,
                range_tombstones: ranges.iter().map(|(start, end, t)| {
                    (ClusteringRange { start: start.clone(), end: end.clone() }, *t)
                }).collect(),
                static_columns: s.iter().map(|c| (2, ColumnValue::Atomic(c.clone()))).collect(),
                rows: rows.iter().map(|(k, row)| (row_key(*k), row.clone())).collect(),
                ..empty(&table, "a")
            };
            db.apply(&mutation).unwrap();
        }
        if let Some(at) = purge_at {
            // Before the read's time, within the tombstones' grace: not to be noticed.
            // (Between two writes of the same age it would be, on ScyllaDB too: an expired
            // cell becomes a tombstone, and that beats a cell of its age that lives longer.)
            while !db.purge(at.min(now)) {}
        }
        let view = db.read_partition(table.id, &partition_key("a"), &ReadSpec::all(now)).unwrap();
        let expected: Vec<LiveRow> = (0u8..5).filter_map(|k| model(&writes, k, now)).collect();
        let partition_dead = writes.iter().filter_map(|w| w.0).map(|t| t.timestamp).max();
        let statics: Vec<Cell> = writes.iter().filter_map(|w| w.2.clone()).collect();
        let expected_static = survivor(&statics, partition_dead, now);
        match view {
            None => {
                prop_assert!(expected.is_empty(), "{:?}", expected);
                prop_assert!(expected_static.is_none());
            }
            Some(view) => {
                prop_assert_eq!(view.rows, expected);
                prop_assert_eq!(
                    view.static_columns,
                    expected_static.map(|c| (2, LiveValue::Atomic(c))).into_iter().collect::<Vec<_>>()
                );
            }
        }
    }
}
