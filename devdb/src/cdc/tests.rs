//! Log rows against those that a real server wrote for the same statements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::{Cdc, log_columns, log_name};
use crate::faults::Effects;
use crate::schema::{
    CdcOptions, Column, ColumnKind, Partitioner, PreimageMode, Table, TableOptions,
};
use crate::store::mutation::*;
use crate::store::read::{LiveValue, ReadSpec, TokenRange};
use crate::store::{Clock, Database};
use crate::types::order::{decode_clustering, encode_clustering};
use crate::types::{CqlType, collection, to_json};

struct Node {
    db: Database,
    cdc: Cdc,
    effects: Effects,
    base: Arc<Table>,
    log: Arc<Table>,
    now: i64,
}

const STATIC: ColumnId = 2;
const V: ColumnId = 3;
const W: ColumnId = 4;
const S: ColumnId = 5;

impl Node {
    fn new(options: CdcOptions) -> Self {
        let column = |name: &str, cql_type: CqlType, kind, id| Column {
            name: name.into(),
            cql_type,
            kind,
            id,
            descending: false,
        };
        let set = CqlType::Set { element: CqlType::Text.into(), frozen: false };
        let base = Arc::new(Table {
            id: Uuid::new_v4(),
            keyspace: "ks".into(),
            name: "t".into(),
            columns: vec![
                column("p", CqlType::Int, ColumnKind::PartitionKey(0), 0),
                column("c", CqlType::Int, ColumnKind::Clustering(0), 1),
                column("st", CqlType::Text, ColumnKind::Static, STATIC),
                column("s", set, ColumnKind::Regular, S),
                column("v", CqlType::Text, ColumnKind::Regular, V),
                column("w", CqlType::Text, ColumnKind::Regular, W),
            ],
            next_column_id: 6,
            dropped: BTreeMap::new(),
            partitioner: Partitioner::Murmur3,
            options: TableOptions::default(),
            cdc: Some(options),
            cdc_log_of: None,
        });
        let (columns, next_column_id) = log_columns(&base, None);
        let log = Arc::new(Table {
            id: Uuid::new_v4(),
            name: log_name("t"),
            columns,
            next_column_id,
            partitioner: Partitioner::Cdc,
            cdc: None,
            cdc_log_of: Some(base.id),
            ..(*base).clone()
        });
        let clock = Arc::new(Clock::new());
        let now = clock.now_micros();
        let db = Database::new();
        db.create_table(&base);
        db.create_table(&log);
        Self { db, cdc: Cdc::new(4, clock), effects: Effects::default(), base, log, now }
    }

    fn empty(&self) -> Mutation {
        Mutation {
            table: self.base.id,
            key: PartitionKey(Bytes::copy_from_slice(&1i32.to_be_bytes())),
            partition_tombstone: None,
            range_tombstones: vec![],
            static_columns: vec![],
            rows: vec![],
        }
    }

    fn write(&self, mutation: &Mutation) {
        let log = self.cdc.augment(&self.base, &self.log, mutation, &self.db, self.now).unwrap();
        self.db.apply(mutation).unwrap();
        self.db.apply_each(Cdc::with_effects(log, self.effects)).unwrap();
    }

    fn write_rows(&self, rows: Vec<(i32, RowMutation)>) {
        let rows = rows.into_iter().map(|(c, row)| (key(c), row)).collect();
        self.write(&Mutation { rows, ..self.empty() });
    }

    /// All log rows, oldest first: batch number and the columns that are not null, without
    /// `p`, the end of a batch as `.`.
    fn log(&self) -> Vec<String> {
        let chunk = self
            .db
            .scan(self.log.id, TokenRange::ALL, None, &ReadSpec::all(self.now / 1_000_000), 1000)
            .unwrap();
        assert!(chunk.partitions.len() <= 1, "one partition goes to one stream");
        let rows = chunk.partitions.into_iter().flat_map(|partition| partition.rows);
        rows.map(|row| {
            let key =
                decode_clustering(&[(&CqlType::Timeuuid, false), (&CqlType::Int, false)], &row.key);
            let number = i32::from_be_bytes(key[1][..].try_into().unwrap());
            let mut cells = BTreeMap::new();
            for (id, value) in &row.columns {
                let column = self.log.column_by_id(*id).unwrap();
                let LiveValue::Atomic(cell) = value else { panic!("log columns are frozen") };
                cells.insert(column.name.as_str(), to_json(&column.cql_type, &cell.value));
            }
            assert_eq!(cells.remove("p").as_deref(), Some("1"));
            let operation = cells.remove("cdc$operation").unwrap();
            let end = cells.remove("cdc$end_of_batch").map_or("", |_| ".");
            let rest: Vec<String> = cells.iter().map(|(k, v)| format!(" {k}={v}")).collect();
            format!("{number}: {operation}{}{end}", rest.concat())
        })
        .collect()
    }
}

fn key(c: i32) -> ClusteringKey {
    encode_clustering(&[(&CqlType::Int, false)], &[Bytes::copy_from_slice(&c.to_be_bytes())])
}

fn options() -> CdcOptions {
    CdcOptions {
        enabled: true,
        preimage: PreimageMode::Off,
        postimage: false,
        delta_keys_only: false,
        ttl: 86_400,
    }
}

fn live(timestamp: i64, value: &str) -> Cell {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Cell { timestamp, content: CellContent::Live { value } }
}

fn expiring(timestamp: i64, value: &str, ttl: i32) -> Cell {
    let value = Bytes::copy_from_slice(value.as_bytes());
    let expiry = timestamp / 1_000_000 + i64::from(ttl);
    Cell { timestamp, content: CellContent::Expiring { value, ttl, expiry } }
}

fn dead(timestamp: i64) -> Cell {
    Cell { timestamp, content: CellContent::Dead { deletion_time: timestamp / 1_000_000 } }
}

fn tombstone(timestamp: i64) -> Tombstone {
    Tombstone { timestamp, deletion_time: timestamp / 1_000_000 }
}

fn marker(timestamp: i64) -> Option<RowMarker> {
    Some(RowMarker { timestamp, expiry: None })
}

fn insert(timestamp: i64, columns: &[(ColumnId, &str)]) -> RowMutation {
    RowMutation { marker: marker(timestamp), ..update(timestamp, columns) }
}

fn update(timestamp: i64, columns: &[(ColumnId, &str)]) -> RowMutation {
    let columns = columns
        .iter()
        .map(|(id, value)| (*id, ColumnValue::Atomic(live(timestamp, value))))
        .collect();
    RowMutation { columns, ..RowMutation::default() }
}

fn delete(timestamp: i64) -> RowMutation {
    RowMutation { tombstone: Some(tombstone(timestamp)), ..RowMutation::default() }
}

fn set(tombstone: Option<Tombstone>, cells: Vec<(&'static str, Cell)>) -> (ColumnId, ColumnValue) {
    let cells = cells.into_iter().map(|(k, c)| (Bytes::from(k), c)).collect();
    (S, ColumnValue::Collection(CollectionCells { tombstone, cells }))
}

#[test]
fn single_statements() {
    let node = Node::new(options());
    let t = node.now;
    node.write_rows(vec![(1, insert(t, &[(V, "a"), (W, "1")]))]);
    node.write_rows(vec![(1, update(t + 1, &[(V, "b")]))]);
    let columns = vec![(V, ColumnValue::Atomic(dead(t + 2)))];
    node.write_rows(vec![(1, RowMutation { columns, ..RowMutation::default() })]);
    node.write_rows(vec![(3, insert(t + 3, &[]))]);
    node.write_rows(vec![(1, delete(t + 4))]);
    let range = |start, end| (ClusteringRange { start, end }, tombstone(t + 5));
    let ranges =
        vec![range(ClusteringBound::Exclusive(key(1)), ClusteringBound::Inclusive(key(5)))];
    node.write(&Mutation { range_tombstones: ranges, ..node.empty() });
    let ranges = vec![(
        ClusteringRange {
            start: ClusteringBound::Exclusive(key(7)),
            end: ClusteringBound::Unbounded,
        },
        tombstone(t + 6),
    )];
    node.write(&Mutation { range_tombstones: ranges, ..node.empty() });
    node.write(&Mutation { partition_tombstone: Some(tombstone(t + 7)), ..node.empty() });
    let row = RowMutation {
        marker: Some(RowMarker { timestamp: t + 8, expiry: Some((1000, t / 1_000_000 + 1000)) }),
        tombstone: None,
        columns: vec![(V, ColumnValue::Atomic(expiring(t + 8, "ttl", 1000)))],
    };
    node.write_rows(vec![(1, row)]);
    assert_eq!(
        node.log(),
        [
            "0: 2 c=1 v=\"a\" w=\"1\".",
            "0: 1 c=1 v=\"b\".",
            "0: 1 c=1 cdc$deleted_v=true.",
            "0: 2 c=3.",
            "0: 3 c=1.",
            "0: 6 c=1",
            "1: 7 c=5.",
            "0: 6 c=7",
            "1: 7.",
            "0: 4.",
            "0: 2 c=1 cdc$ttl=1000 v=\"ttl\".",
        ]
    );
}

#[test]
fn batches_go_in_clustering_order_or_are_split_by_kind() {
    let node = Node::new(options());
    // A deletion after an insert splits, an insert after a deletion does not.
    let t = node.now;
    node.write_rows(vec![(1, insert(t, &[(V, "a")])), (2, insert(t, &[(V, "b")]))]);
    node.write_rows(vec![(1, insert(t + 1, &[(V, "b")])), (2, delete(t + 1))]);
    node.write_rows(vec![(1, delete(t + 2)), (2, insert(t + 2, &[]))]);
    let statics = vec![(STATIC, ColumnValue::Atomic(live(t + 3, "static")))];
    let rows = vec![(key(1), insert(t + 3, &[(V, "a")]))];
    node.write(&Mutation { static_columns: statics, rows, ..node.empty() });
    // Two timestamps in one row: two records.
    let mut row = insert(t + 4, &[(V, "x")]);
    row.columns.push((W, ColumnValue::Atomic(live(t + 5, "y"))));
    node.write_rows(vec![(1, row)]);
    // Two TTLs: two rows of one record.
    let mut row = update(t + 6, &[(V, "x")]);
    row.columns.push((W, ColumnValue::Atomic(expiring(t + 6, "y", 10))));
    node.write_rows(vec![(1, row)]);
    assert_eq!(
        node.log(),
        [
            "0: 2 c=1 v=\"a\"",
            "1: 2 c=2 v=\"b\".",
            "0: 2 c=1 v=\"b\"",
            "1: 3 c=2.",
            "0: 3 c=1",
            "1: 2 c=2.",
            "0: 1 st=\"static\"",
            "1: 2 c=1 v=\"a\".",
            "0: 2 c=1 v=\"x\".",
            "0: 1 c=1 w=\"y\".",
            "0: 1 c=1 v=\"x\"",
            "1: 1 c=1 cdc$ttl=10 w=\"y\".",
        ]
    );
}

#[test]
fn collections() {
    let node = Node::new(options());
    let t = node.now;
    // INSERT of a collection overwrites: one row, marked as deleted too.
    let columns = vec![set(Some(tombstone(t - 1)), vec![("a", live(t, "")), ("b", live(t, ""))])];
    node.write_rows(vec![(1, RowMutation { marker: marker(t), tombstone: None, columns })]);
    let change = |columns| vec![(1, RowMutation { columns, ..RowMutation::default() })];
    node.write_rows(change(vec![set(None, vec![("c", live(t + 1, ""))])]));
    node.write_rows(change(vec![set(None, vec![("a", dead(t + 2))])]));
    node.write_rows(change(vec![set(Some(tombstone(t + 2)), vec![])]));
    // With a TTL: the marker, the tombstone, the elements.
    let columns = vec![set(Some(tombstone(t + 3)), vec![("x", expiring(t + 4, "", 5))])];
    let expiry = Some((5, t / 1_000_000 + 5));
    let row = RowMutation {
        marker: Some(RowMarker { timestamp: t + 4, expiry }),
        tombstone: None,
        columns,
    };
    node.write_rows(vec![(1, row)]);
    assert_eq!(
        node.log(),
        [
            "0: 2 c=1 cdc$deleted_s=true s=[\"a\", \"b\"].",
            "0: 1 c=1 s=[\"c\"].",
            "0: 1 c=1 cdc$deleted_elements_s=[\"a\"].",
            "0: 1 c=1 cdc$deleted_s=true.",
            "0: 2 c=1 cdc$ttl=5",
            "1: 1 c=1 cdc$deleted_s=true",
            "2: 1 c=1 cdc$ttl=5 s=[\"x\"].",
        ]
    );
}

#[test]
fn images() {
    let node = Node::new(CdcOptions { preimage: PreimageMode::On, postimage: true, ..options() });
    let t = node.now;
    node.write_rows(vec![(1, insert(t, &[(V, "a"), (W, "1")]))]);
    node.write_rows(vec![(1, update(t + 1, &[(V, "b")]))]);
    let columns = vec![set(None, vec![("x", live(t + 2, ""))])];
    node.write_rows(vec![(1, RowMutation { columns, ..RowMutation::default() })]);
    node.write_rows(vec![(1, delete(t + 3))]);
    node.write_rows(vec![(1, insert(t + 4, &[(V, "x")])), (2, insert(t + 4, &[(V, "y")]))]);
    assert_eq!(
        node.log(),
        [
            "0: 2 c=1 v=\"a\" w=\"1\"",
            "1: 9 c=1 v=\"a\" w=\"1\".",
            "0: 0 c=1 v=\"a\"",
            "1: 1 c=1 v=\"b\"",
            "2: 9 c=1 v=\"b\" w=\"1\".",
            "0: 0 c=1 cdc$deleted_s=true",
            "1: 1 c=1 s=[\"x\"]",
            "2: 9 c=1 s=[\"x\"] v=\"b\" w=\"1\".",
            "0: 0 c=1 s=[\"x\"] v=\"b\" w=\"1\"",
            "1: 3 c=1.",
            "0: 2 c=1 v=\"x\"",
            "1: 2 c=2 v=\"y\"",
            "2: 9 c=1 v=\"x\"",
            "3: 9 c=2 v=\"y\".",
        ]
    );
}

#[test]
fn full_preimages_and_keys_only() {
    let node =
        Node::new(CdcOptions { preimage: PreimageMode::Full, delta_keys_only: true, ..options() });
    let t = node.now;
    let columns = vec![
        (V, ColumnValue::Atomic(live(t, "a"))),
        (W, ColumnValue::Atomic(live(t, "1"))),
        set(Some(tombstone(t - 1)), vec![("k", live(t, ""))]),
    ];
    node.write_rows(vec![(1, RowMutation { marker: marker(t), tombstone: None, columns })]);
    node.write_rows(vec![(1, update(t + 1, &[(V, "b")]))]);
    node.write(&Mutation { partition_tombstone: Some(tombstone(t + 2)), ..node.empty() });
    assert_eq!(
        node.log(),
        ["0: 2 c=1.", "0: 0 c=1 s=[\"k\"] v=\"a\" w=\"1\"", "1: 1 c=1.", "0: 4.",]
    );
}

#[test]
fn log_rows_expire_and_carry_the_time_of_the_write() {
    let node = Node::new(CdcOptions { ttl: 100, ..options() });
    node.write_rows(vec![(1, insert(node.now, &[(V, "a")]))]);
    let scan =
        |now| node.db.scan(node.log.id, TokenRange::ALL, None, &ReadSpec::all(now), 10).unwrap();
    let second = node.now / 1_000_000;
    let row = &scan(second + 99).partitions[0].rows[0];
    let LiveValue::Atomic(cell) = &row.columns[0].1 else { panic!() };
    assert_eq!((cell.timestamp, cell.ttl), (node.now, Some(1)));
    let time = Uuid::from_slice(
        &decode_clustering(&[(&CqlType::Timeuuid, false), (&CqlType::Int, false)], &row.key)[0],
    )
    .unwrap();
    assert_eq!(time.get_version_num(), 1);
    let (seconds, nanos) = time.get_timestamp().unwrap().to_unix();
    assert_eq!(seconds as i64 * 1_000_000 + i64::from(nanos) / 1000, node.now);
    assert!(scan(second + 100).partitions.is_empty());
}

#[test]
fn a_refused_write_logs_nothing_and_a_new_generation_takes_later_writes() {
    let node = Node::new(options());
    let augment =
        |mutation: &Mutation, now| node.cdc.augment(&node.base, &node.log, mutation, &node.db, now);
    let at = |t: i64| Mutation { rows: vec![(key(1), insert(t, &[(V, "a")]))], ..node.empty() };
    assert!(augment(&at(1000), node.now).is_err());
    assert!(augment(&at(4_000_000_000_000_000), node.now).is_err());
    let mut both = at(node.now);
    both.rows.push((key(2), insert(1000, &[])));
    assert!(augment(&both, node.now).is_err());

    let before = augment(&at(node.now), node.now).unwrap();
    let generation = node.cdc.streams().new_generation(Duration::from_secs(2));
    let after = augment(&at(generation.time * 1000), generation.time * 1000).unwrap();
    assert_ne!(before[0].key, after[0].key);
    assert!(generation.streams.iter().any(|(_, streams)| streams[0] == after[0].key.0));
    assert_eq!(augment(&at(node.now), node.now).unwrap()[0].key, before[0].key);
    assert_eq!(node.cdc.streams().generations().len(), 2);
}

#[test]
fn log_rows_come_twice_or_late_when_told_to() {
    let mut node = Node::new(options());
    node.effects.duplicate_log = true;
    node.write_rows(vec![(1, insert(node.now, &[(V, "a")])), (2, insert(node.now, &[]))]);
    assert_eq!(node.log().len(), 4);
    let late = |time| Effects { late_log: Some(time), ..Effects::default() };
    node.effects = late(Duration::from_secs(3600));
    node.write_rows(vec![(1, insert(node.now + 1, &[(V, "b")]))]);
    assert_eq!(node.log().len(), 4);
    node.effects = late(Duration::from_millis(1));
    node.write_rows(vec![(1, insert(node.now + 2, &[(V, "c")]))]);
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(node.log().len(), 5);
}

#[test]
fn a_log_keeps_its_columns_ids_when_the_base_changes() {
    let node = Node::new(options());
    let mut base = (*node.base).clone();
    base.columns.retain(|column| column.name != "v");
    base.columns.push(Column {
        name: "z".into(),
        cql_type: CqlType::List { element: CqlType::Int.into(), frozen: false },
        kind: ColumnKind::Regular,
        id: 6,
        descending: false,
    });
    let (columns, next) = log_columns(&base, Some(&node.log));
    let id = |columns: &[Column], name: &str| {
        columns.iter().find(|column| column.name == name).map(|column| column.id)
    };
    assert_eq!(id(&columns, "w"), id(&node.log.columns, "w"));
    assert_eq!(id(&columns, "v"), None);
    assert_eq!(id(&columns, "cdc$deleted_elements_z"), Some(next - 1));
    let z = columns.iter().find(|column| column.name == "z").unwrap();
    assert_eq!(z.cql_type.to_string(), "frozen<map<timeuuid, int>>");
    // An image's set in the log is a frozen one.
    assert_eq!(collection::decode_sequence(&Bytes::from_static(&[0; 4])).unwrap().len(), 0);
}
