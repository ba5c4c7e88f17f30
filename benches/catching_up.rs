//! How fast a projection catches up with the log, beside a loop written by hand that reads the
//! same log and inserts the same rows, in one run and in turn:
//!
//!     cargo bench --bench catching_up
//!
//! `EVENTS` of them (100 000), ten of each aggregate, appended before; `ROUNDS` (5). The embedded
//! node, in a process of its own. By hand: scylla-cdc and one prepared INSERT for each event, as
//! many at once as a group has lanes. It keeps no order within an aggregate, no checkpoints, and
//! repeats nothing that fails.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use messina::consumer::{ConsumerGroup, GroupSettings, StartFrom};
use messina::projection::{ProjectionHandler, Writes};
use messina::{
    Aggregate, AggregateId, CommandHandler, DomainEvent, EventEnvelope, EventStore, Migration,
    Payload, Projection, ProjectionError, Schema,
};
use messina_devdb::DevDb;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, CqlValue};
use scylla_cdc::consumer::{CDCRow, Consumer, ConsumerFactory, OperationType};
use scylla_cdc::log_reader::CDCLogReaderBuilder;
use tokio::sync::Semaphore;

mod shared;
use shared::{Add, Tally, TallyEvent, cpu, median, setting};

const NODE: &str = "MESSINA_BENCH_NODE";
const KEYSPACE: &str = "bench";
const EVENTS_EACH: usize = 10;
const AT_ONCE: usize = 64;

/// All events are older than this when reading begins, so that the sweep brings them and no
/// round waits for time to pass.
const SAFETY: Duration = Duration::from_secs(1);

const TABLE: Migration = Migration::new(
    1,
    "tallies",
    "CREATE TABLE tallies (tally_id uuid PRIMARY KEY, total bigint, note text, version bigint, \
     updated_at timestamp);",
);

struct Tallies;

impl Projection for Tallies {
    fn name(&self) -> &'static str {
        "tallies"
    }

    fn aggregate_types(&self) -> &'static [&'static str] {
        &[Tally::TYPE]
    }

    fn tables(&self) -> &'static [&'static str] {
        &["tallies"]
    }

    fn handle_event(
        &self,
        event: &EventEnvelope,
        writes: &mut Writes,
    ) -> Result<(), ProjectionError> {
        let TallyEvent::Added { total, note, .. } = event.decode_event()?;
        writes
            .put("tallies")
            .key("tally_id", event.aggregate_id.0)
            .set("total", total)
            .set("note", note)
            .set("version", event.sequence_number)
            .set("updated_at", CqlTimestamp(event.committed_at / 1000));
        Ok(())
    }
}

/// What the loop by hand does with each row of the log.
#[derive(Clone)]
struct ByHand {
    session: Arc<Session>,
    insert: PreparedStatement,
    room: Arc<Semaphore>,
    done: Arc<Done>,
}

#[async_trait]
impl ConsumerFactory for ByHand {
    async fn new_consumer(&self) -> Box<dyn Consumer> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Consumer for ByHand {
    async fn consume_cdc(&mut self, mut row: CDCRow<'_>) -> anyhow::Result<()> {
        if !matches!(row.operation, OperationType::RowInsert) {
            return Ok(());
        }
        let uuid = row.take_value("aggregate_id").and_then(|value| value.as_uuid());
        let bigint = |value: CqlValue| value.as_bigint();
        let version = row.take_value("sequence_number").and_then(bigint);
        let committed_at = row.take_value("committed_at").and_then(bigint);
        let mut text = |name| row.take_value(name).and_then(CqlValue::into_string);
        let (kind, payload) = (text("event_type"), text("payload"));
        let edition = row.take_value("event_version").and_then(|value| value.as_int());
        let (Some(id), Some(version), Some(at), Some(kind), Some(edition), Some(payload)) =
            (uuid, version, committed_at, kind, edition, payload)
        else {
            anyhow::bail!("a column is missing");
        };
        let payload = Payload::from_json_text(payload);
        let TallyEvent::Added { total, note, .. } =
            TallyEvent::from_payload(&kind, edition, &payload)?;
        let permit = Arc::clone(&self.room).acquire_owned().await?;
        let hand = self.clone();
        tokio::spawn(async move {
            let values = (id, total, note, version, CqlTimestamp(at / 1000), at);
            hand.session.execute_unpaged(&hand.insert, values).await.unwrap();
            hand.done.one();
            drop(permit);
        });
        Ok(())
    }
}

/// Counts, and knows when the first was there: what starting costs is not what is asked for.
#[derive(Default)]
struct Done {
    count: AtomicU64,
    first: OnceLock<(Instant, Duration)>,
}

impl Done {
    fn one(&self) {
        if self.count.fetch_add(1, Relaxed) == 0 {
            let _ = self.first.set((Instant::now(), cpu()));
        }
    }

    /// How it went, when all are done.
    async fn round(&self, events: u64) -> Round {
        while self.count.load(Relaxed) < events {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (began, cpu_before) = self.first.get().unwrap();
        let micros = (cpu() - *cpu_before).as_micros() as f64;
        Round { rate: events as f64 / began.elapsed().as_secs_f64(), cpu: micros / events as f64 }
    }
}

#[derive(Clone, Copy)]
struct Round {
    /// Events a second.
    rate: f64,
    /// Processor time of this process for each event, µs. What the node takes comes on top.
    cpu: f64,
}

async fn by_hand(store: &EventStore, from: SystemTime, events: u64) -> Round {
    let session = Arc::clone(store.session());
    let cql = format!(
        "INSERT INTO {KEYSPACE}.tallies (tally_id, total, note, version, updated_at) \
         VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?"
    );
    let mut insert = session.prepare(cql).await.unwrap();
    insert.set_consistency(Consistency::LocalQuorum);
    insert.set_is_idempotent(true);
    let done = Arc::<Done>::default();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let consumer = ByHand { session: Arc::clone(&session), insert, room, done: Arc::clone(&done) };
    let (reader, _finished) = CDCLogReaderBuilder::new()
        .session(session)
        .keyspace(KEYSPACE)
        .table_name("outbox_messages")
        .start_timestamp(from.duration_since(SystemTime::UNIX_EPOCH).unwrap())
        .window_size(Duration::from_secs(3600))
        .safety_interval(SAFETY)
        .sleep_interval(Duration::from_secs(5))
        .consumer_factory(Arc::new(consumer))
        .build()
        .await
        .unwrap();
    let round = done.round(events).await;
    drop(reader);
    round
}

async fn by_a_group(store: &EventStore, start: StartFrom, events: u64) -> Round {
    let done = Arc::<Done>::default();
    let observed = Arc::clone(&done);
    let settings = GroupSettings {
        safety_interval: SAFETY,
        start_from: start,
        lanes: AT_ONCE,
        ..GroupSettings::default()
    };
    let name = format!("tallies_{}", uuid::Uuid::new_v4().simple());
    let group = ConsumerGroup::builder(store.clone(), name, ProjectionHandler::new(store, Tallies))
        .settings(settings)
        .observer(move |_| observed.one())
        .start()
        .await
        .unwrap();
    let round = done.round(events).await;
    group.stop().await.unwrap();
    round
}

async fn fill(store: &EventStore, aggregates: usize) {
    let handler = CommandHandler::<Tally>::new(store.clone());
    let ids: Arc<[AggregateId]> = (0..aggregates).map(|_| AggregateId::new()).collect();
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|task| {
            let (handler, ids) = (handler.clone(), Arc::clone(&ids));
            tokio::spawn(async move {
                for _ in 0..EVENTS_EACH {
                    for id in ids.iter().skip(task).step_by(AT_ONCE) {
                        handler.execute(*id, Add).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Every aggregate's row is that of its last event.
async fn check(session: &Session, aggregates: usize) {
    let cql = format!("SELECT COUNT(*) FROM {KEYSPACE}.tallies WHERE version = ? ALLOW FILTERING");
    let answer = session.query_unpaged(cql, (EVENTS_EACH as i64,)).await.unwrap();
    let (rows,) = answer.into_rows_result().unwrap().single_row::<(i64,)>().unwrap();
    assert_eq!(rows, aggregates as i64);
    session.query_unpaged(format!("TRUNCATE {KEYSPACE}.tallies"), ()).await.unwrap();
}

#[tokio::main]
async fn main() {
    if std::env::var(NODE).is_ok() {
        let node = DevDb::start().await.unwrap();
        println!("{}", node.contact_point());
        // Until the other process ends, and its end of the pipe with it.
        let wait = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        tokio::task::spawn_blocking(wait).await.unwrap().unwrap();
        return;
    }
    let (mut node, address) = start_node();
    bench(&address).await;
    node.kill().unwrap();
    node.wait().unwrap();
}

/// This program again, as a node; and where that listens.
fn start_node() -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(NODE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (child, address.trim().to_owned())
}

async fn bench(address: &str) {
    let (events, rounds) = (setting("EVENTS", 100_000), setting("ROUNDS", 5));
    let aggregates = events / EVENTS_EACH;
    let events = (aggregates * EVENTS_EACH) as u64;
    let session = SessionBuilder::new().known_node(address).build().await.unwrap();
    let session = Arc::new(session);
    Schema::new(KEYSPACE).migrations(KEYSPACE, &[TABLE]).apply(&session).await.unwrap();
    let store = EventStore::connect(Arc::clone(&session), KEYSPACE).await.unwrap();
    let (from, began) = (SystemTime::now(), Instant::now());
    fill(&store, aggregates).await;
    println!("{events} events of {aggregates} aggregates, appended in {:.1?}", began.elapsed());
    tokio::time::sleep(2 * SAFETY).await;

    println!("events/s, and this process's µs of processor time for each:");
    println!("            by hand, the log          group, the log          group, event_store");
    let mut ratios = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        let hand = by_hand(&store, from, events).await;
        check(&session, aggregates).await;
        let log = by_a_group(&store, StartFrom::Time(from), events).await;
        check(&session, aggregates).await;
        let replay = by_a_group(&store, StartFrom::Beginning, events).await;
        check(&session, aggregates).await;
        let name = if round == 0 { "warming up".to_owned() } else { format!("round {round}") };
        print!("{name:<10} {:>7.0} {:>5.1} µs", hand.rate, hand.cpu);
        for (of, ratios) in [log, replay].iter().zip(&mut ratios) {
            let ratio = 100.0 * of.rate / hand.rate;
            print!("   {:>7.0} {:>5.1} µs ({ratio:>3.0} %)", of.rate, of.cpu);
            if round > 0 {
                ratios.push(ratio);
            }
        }
        println!();
    }
    let [log, replay] = ratios.map(median);
    println!("median of the rounds: {log:.0} % from the log, {replay:.0} % from event_store");
}
