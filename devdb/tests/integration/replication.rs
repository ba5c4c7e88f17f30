//! A table replicated through its CDC log, each row of the log applied as ScyllaDB's
//! documentation says (using-scylla/cdc/cdc-log-table): the copy equals the original.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use scylla::client::session::Session;
use scylla::value::{CqlValue, Row};
use scylla_cdc::consumer::{CDCRow, Consumer, ConsumerFactory, OperationType};
use scylla_cdc::log_reader::CDCLogReaderBuilder;

use crate::cdc::now;
use crate::common::{Node, start, until};

const COLUMNS: &str = "(p int, c int, d int, v text, w int, l list<int>, s set<text>, \
    m map<text, int>, st text static, sm map<text, int> static, PRIMARY KEY (p, c, d))";

/// What a column is to whoever applies its changes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Atomic,
    List,
    Set,
    Map,
}

const REGULAR: [(&str, Kind); 5] = [
    ("v", Kind::Atomic),
    ("w", Kind::Atomic),
    ("l", Kind::List),
    ("s", Kind::Set),
    ("m", Kind::Map),
];
const STATIC: [(&str, Kind); 2] = [("st", Kind::Atomic), ("sm", Kind::Map)];

/// Applies a log's rows to the table `copy`.
struct Replicator {
    session: Arc<Session>,
    applied: Arc<AtomicUsize>,
    /// The first half of a range deletion: whether inclusive, and the key's prefix.
    range_start: Option<(bool, Vec<CqlValue>)>,
}

impl Replicator {
    async fn write(&self, statement: String, values: Vec<CqlValue>) -> anyhow::Result<()> {
        self.session.query_unpaged(statement, values).await?;
        Ok(())
    }

    /// The row's change of a column; `key` are the conditions that name the row, `values`
    /// their values.
    async fn column(
        &self,
        row: &CDCRow<'_>,
        (name, kind): (&str, Kind),
        key: &str,
        values: &[CqlValue],
    ) -> anyhow::Result<()> {
        let time = timestamp(row);
        let ttl = CqlValue::Int(row.ttl.unwrap_or(0).try_into()?);
        let with = |first: &[CqlValue]| [first, values].concat();
        if row.is_value_deleted(name) {
            // A collection is deleted a microsecond before: what comes with it stays.
            let time = if kind == Kind::Atomic { time } else { time - 1 };
            let delete = format!("DELETE {name} FROM copy USING TIMESTAMP {time} WHERE {key}");
            self.write(delete, values.to_vec()).await?;
        }
        let update = format!("UPDATE copy USING TIMESTAMP {time} AND TTL ? SET");
        if let Some(value) = row.get_value(name) {
            match (kind, value) {
                (Kind::Atomic, value) => {
                    let set = format!("{update} {name} = ? WHERE {key}");
                    self.write(set, with(&[ttl.clone(), value.clone()])).await?;
                }
                (Kind::List, CqlValue::Map(elements)) => {
                    let set =
                        format!("{update} {name}[SCYLLA_TIMEUUID_LIST_INDEX(?)] = ? WHERE {key}");
                    for (place, value) in elements {
                        let element = [ttl.clone(), uuid(place), value.clone()];
                        self.write(set.clone(), with(&element)).await?;
                    }
                }
                (_, value) => {
                    let add = format!("{update} {name} = {name} + ? WHERE {key}");
                    self.write(add, with(&[ttl.clone(), value.clone()])).await?;
                }
            }
        }
        if kind == Kind::Atomic || row.get_deleted_elements(name).is_empty() {
            return Ok(());
        }
        let update = format!("UPDATE copy USING TIMESTAMP {time} SET");
        let deleted = row.get_deleted_elements(name).to_vec();
        if kind != Kind::List {
            let remove = format!("{update} {name} = {name} - ? WHERE {key}");
            return self.write(remove, with(&[CqlValue::Set(deleted)])).await;
        }
        let remove = format!("{update} {name}[SCYLLA_TIMEUUID_LIST_INDEX(?)] = null WHERE {key}");
        for place in deleted {
            self.write(remove.clone(), with(&[uuid(&place)])).await?;
        }
        Ok(())
    }

    async fn apply(&mut self, row: &CDCRow<'_>) -> anyhow::Result<()> {
        let time = timestamp(row);
        let partition = row.get_value("p").clone().into_iter();
        let partition: Vec<CqlValue> = partition.collect();
        let rest = ["c", "d"].into_iter().map_while(|name| row.get_value(name).clone());
        let clustering: Vec<CqlValue> = rest.collect();
        let full = [partition.clone(), clustering.clone()].concat();
        let of_row = "p = ? AND c = ? AND d = ?";
        let delete = format!("DELETE FROM copy USING TIMESTAMP {time} WHERE");
        match row.operation {
            OperationType::RowInsert | OperationType::RowUpdate if clustering.is_empty() => {
                for column in STATIC {
                    self.column(row, column, "p = ?", &partition).await?;
                }
                Ok(())
            }
            OperationType::RowInsert | OperationType::RowUpdate => {
                if row.operation == OperationType::RowInsert {
                    let ttl = row.ttl.unwrap_or(0);
                    let insert = format!(
                        "INSERT INTO copy (p, c, d) VALUES (?, ?, ?) \
                         USING TIMESTAMP {time} AND TTL {ttl}"
                    );
                    self.write(insert, full.clone()).await?;
                }
                for column in REGULAR {
                    self.column(row, column, of_row, &full).await?;
                }
                Ok(())
            }
            OperationType::RowDelete => self.write(format!("{delete} {of_row}"), full).await,
            OperationType::PartitionDelete => {
                self.write(format!("{delete} p = ?"), partition).await
            }
            OperationType::RowRangeDelInclLeft | OperationType::RowRangeDelExclLeft => {
                let inclusive = row.operation == OperationType::RowRangeDelInclLeft;
                self.range_start = Some((inclusive, clustering));
                Ok(())
            }
            OperationType::RowRangeDelInclRight | OperationType::RowRangeDelExclRight => {
                let start = self.range_start.take();
                let (start_inclusive, start) =
                    start.ok_or_else(|| anyhow::anyhow!("a range deletion without a start"))?;
                let inclusive = row.operation == OperationType::RowRangeDelInclRight;
                let mut conditions = vec!["p = ?".to_owned()];
                conditions.extend(bound(&start, '>', start_inclusive));
                conditions.extend(bound(&clustering, '<', inclusive));
                let range = format!("{delete} {}", conditions.join(" AND "));
                self.write(range, [partition, start, clustering].concat()).await
            }
            OperationType::PreImage | OperationType::PostImage => {
                anyhow::bail!("an image in a log without images")
            }
        }
    }
}

/// `(c, d) >= (?, ?)`; nothing for a prefix of no columns.
fn bound(prefix: &[CqlValue], side: char, inclusive: bool) -> Option<String> {
    let (columns, marks) = match prefix.len() {
        0 => return None,
        1 => ("(c)", "(?)"),
        _ => ("(c, d)", "(?, ?)"),
    };
    Some(format!("{columns} {side}{} {marks}", if inclusive { "=" } else { "" }))
}

fn timestamp(row: &CDCRow<'_>) -> i64 {
    let (ticks, _) = row.time.get_timestamp().unwrap().to_gregorian();
    // From 1582 to 1970, and from 100 ns to 1 µs.
    ((ticks - 122_192_928_000_000_000) / 10) as i64
}

fn uuid(place: &CqlValue) -> CqlValue {
    match place {
        CqlValue::Timeuuid(place) => CqlValue::Uuid(uuid::Uuid::from_bytes(*place.as_bytes())),
        other => panic!("a list's key is {other:?}"),
    }
}

#[async_trait::async_trait]
impl Consumer for Replicator {
    async fn consume_cdc(&mut self, row: CDCRow<'_>) -> anyhow::Result<()> {
        self.apply(&row).await?;
        self.applied.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

struct Factory(Arc<Session>, Arc<AtomicUsize>);

#[async_trait::async_trait]
impl ConsumerFactory for Factory {
    async fn new_consumer(&self) -> Box<dyn Consumer> {
        let (session, applied) = (self.0.clone(), self.1.clone());
        Box::new(Replicator { session, applied, range_start: None })
    }
}

/// A statement of any kind on few keys, so that changes meet.
fn statement(random: &mut StdRng) -> String {
    let mut number = |up_to: i32| random.random_range(0..up_to);
    let (p, c, d, n) = (number(3), number(3), number(3), number(100));
    let ttl = if number(4) == 0 { " USING TTL 100000" } else { "" };
    let row = format!("p = {p} AND c = {c} AND d = {d}");
    let (a, b) = (["x", "y", "z"][number(3) as usize], ["x", "y", "z"][number(3) as usize]);
    let changes = [
        format!("v = 'v{n}', w = {n}"),
        "v = null, w = 7".to_owned(),
        format!("l = [{n}, {n}, 1], s = {{'{a}', '{b}'}}, m = {{'{a}': {n}}}"),
        "l = [], s = null".to_owned(),
        format!("l = l + [{n}, 2]"),
        format!("l = [{n}, 3] + l"),
        "l = l - [1, 2]".to_owned(),
        format!("l[0] = {n}"),
        format!("s = s + {{'{a}', '{b}'}}, m['{a}'] = {n}"),
        format!("s = s - {{'{a}'}}, m = m - {{'{a}', '{b}'}}"),
        format!("m['{a}'] = null, m['q'] = {n}"),
    ];
    let all = [
        format!("INSERT INTO src (p, c, d, v, w) VALUES ({p}, {c}, {d}, 'v{n}', {n}){ttl}"),
        format!("INSERT INTO src (p, c, d) VALUES ({p}, {c}, {d}){ttl}"),
        format!(
            "INSERT INTO src (p, c, d, v, l, s, m) VALUES ({p}, {c}, {d}, null, [{n}, 4], \
             {{'{a}'}}, {{'{b}': {n}}}){ttl}"
        ),
        format!("INSERT INTO src (p, c, d, v, st) VALUES ({p}, {c}, {d}, 'v', 's{n}'){ttl}"),
        format!("UPDATE src{ttl} SET st = 's{n}', sm = sm + {{'{a}': {n}}} WHERE p = {p}"),
        format!("UPDATE src SET sm = {{'{b}': {n}}} WHERE p = {p}"),
        format!("UPDATE src SET st = null, sm['{a}'] = null WHERE p = {p}"),
        format!("DELETE v, l, s FROM src WHERE {row}"),
        format!("DELETE s['{a}'], m['{b}'] FROM src WHERE {row}"),
        format!("DELETE FROM src WHERE {row}"),
        format!("DELETE FROM src WHERE p = {p} AND c = {c}"),
        format!("DELETE FROM src WHERE p = {p} AND c = {c} AND d > {d}"),
        format!("DELETE FROM src WHERE p = {p} AND c = {c} AND d >= 0 AND d < {d}"),
        format!("DELETE FROM src WHERE p = {p} AND c > {c}"),
        format!("DELETE FROM src WHERE p = {p} AND (c, d) <= ({c}, {d})"),
    ];
    match number(40) {
        0 => format!("DELETE FROM src WHERE p = {p}"),
        kind if kind < 16 => all.choose(random).unwrap().clone(),
        _ => format!("UPDATE src{ttl} SET {} WHERE {row}", changes.choose(random).unwrap()),
    }
}

/// All rows, with write times where a column has one.
async fn contents(node: &Node, table: &str) -> Vec<Row> {
    node.rows(
        &format!(
            "SELECT p, c, d, v, writetime(v), w, writetime(w), l, s, m, st, writetime(st), sm \
             FROM {table}"
        ),
        (),
    )
    .await
}

/// Which values have a TTL; how much is left of it is a little less in the copy.
async fn mortal(node: &Node, table: &str) -> Vec<[bool; 2]> {
    let text = format!("SELECT ttl(v), ttl(w) FROM {table}");
    let rows: Vec<(Option<i32>, Option<i32>)> = node.rows(&text, ()).await;
    rows.into_iter().map(|(v, w)| [v.is_some(), w.is_some()]).collect()
}

#[tokio::test]
async fn a_table_of_collections_is_replicated_through_its_log() {
    let node = start().await;
    node.run(&format!("CREATE TABLE src {COLUMNS} WITH cdc = {{'enabled': true}}")).await;
    node.run(&format!("CREATE TABLE copy {COLUMNS}")).await;
    let began = now();
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..1000 {
        let text = match random.random_range(0..5) {
            0 => {
                let count = random.random_range(2..5);
                let statements: Vec<String> = (0..count).map(|_| statement(&mut random)).collect();
                format!("BEGIN BATCH {}; APPLY BATCH", statements.join("; "))
            }
            _ => statement(&mut random),
        };
        // Only an element of a list that is too short for it is refused.
        if let Err(error) = node.session.query_unpaged(text.as_str(), &[]).await {
            assert!(error.to_string().contains("list"), "{text}: {error}");
        }
    }
    let logged: Vec<(i64,)> = node.rows("SELECT count(*) FROM src_scylla_cdc_log", ()).await;
    let logged = logged[0].0 as usize;
    // Begun only now: a reader misses what a busy machine is late to write.
    let applied = Arc::new(AtomicUsize::new(0));
    let (mut reader, handle) = CDCLogReaderBuilder::new()
        .session(node.session.clone())
        .keyspace("ks")
        .table_name("src")
        .start_timestamp(began)
        .safety_interval(Duration::from_millis(200))
        .sleep_interval(Duration::from_millis(50))
        .window_size(Duration::from_secs(5))
        .consumer_factory(Arc::new(Factory(node.session.clone(), applied.clone())))
        .build()
        .await
        .unwrap();
    let running = tokio::spawn(handle);
    until("every row is applied", || async {
        applied.load(Ordering::SeqCst) >= logged || running.is_finished()
    })
    .await;
    reader.stop();
    running.await.unwrap().unwrap();
    assert_eq!(applied.load(Ordering::SeqCst), logged);
    let original = contents(&node, "src").await;
    assert!(original.len() > 3, "{} rows are left to compare", original.len());
    assert_eq!(contents(&node, "copy").await, original);
    assert_eq!(mortal(&node, "copy").await, mortal(&node, "src").await);
}
