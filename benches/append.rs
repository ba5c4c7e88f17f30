//! What handling a command costs beside the same statements, written by hand with the driver,
//! in one run and in turn, so that whatever else the machine does meets both:
//!
//!     cargo bench --bench append
//!
//! The embedded node, in the same process. `APPENDS` of them a round (8000), `ROUNDS` (10),
//! 64 at once on 1024 aggregates. By hand there is no retry, no recovery, no error that says
//! what to do; the pending commit is bytes that were made before, of the same length.

// A global allocator cannot be written without.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use messina::{Aggregate, AggregateId, CommandHandler, DomainEvent, EventStore, Schema};
use messina_devdb::DevDb;
use messina_devdb::faults::{Fault, FaultAction, Operation};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::{CqlTimestamp, MaybeUnset};
use uuid::Uuid;

mod shared;
use shared::{Add, NOTE, Tally, TallyEvent, cpu, median, setting};

const CONCURRENCY: usize = 64;
const AGGREGATES: usize = 16 * CONCURRENCY;

/// Counts what is allocated on the threads that are marked: the client's, not the node's.
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

fn count(bytes: usize) {
    if COUNTING.load(Relaxed) && OURS.get() {
        ALLOCATIONS.fetch_add(1, Relaxed);
        BYTES.fetch_add(bytes as u64, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The statements of an append, as `src/store/statements.rs` has them.
struct ByHand {
    session: Arc<Session>,
    reserve: PreparedStatement,
    batch: Batch,
    pending: Vec<u8>,
}

/// What a writer by hand remembers of an aggregate.
struct Written {
    id: Uuid,
    version: i64,
    commit: Option<Uuid>,
    committed_at: i64,
    write_time: i64,
    total: i64,
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}

impl ByHand {
    async fn new(session: Arc<Session>, keyspace: &str, pending: Vec<u8>) -> Self {
        let prepared = async |cql: String| {
            let mut statement = session.prepare(cql).await.unwrap();
            statement.set_consistency(Consistency::LocalQuorum);
            statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
            statement
        };
        let reserve = prepared(format!(
            "UPDATE {keyspace}.aggregate_heads SET sequence_number = ?, commit_id = ?, pending = ? \
             WHERE aggregate_id = ? IF sequence_number = ? AND commit_id = ?"
        ))
        .await;
        let event = prepared(format!(
            "INSERT INTO {keyspace}.event_store (aggregate_id, sequence_number, aggregate_type, \
             event_id, event_type, event_version, event_data, metadata, correlation_id, \
             causation_id, commit_id, committed_at, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))
        .await;
        let outbox = prepared(format!(
            "INSERT INTO {keyspace}.outbox_messages (aggregate_id, sequence_number, \
             aggregate_type, event_id, event_type, event_version, payload, metadata, \
             correlation_id, causation_id, commit_id, committed_at, previous_committed_at, \
             state_before, state_after, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ))
        .await;
        let mut batch = Batch::new(BatchType::Logged);
        batch.append_statement(event);
        batch.append_statement(outbox);
        batch.set_consistency(Consistency::LocalQuorum);
        Self { session, reserve, batch, pending }
    }

    /// One append. The batch is the caller's, since it has a timestamp of its own each time.
    async fn append(&self, batch: &mut Batch, known: &mut Written) {
        let (event_id, commit) = (Uuid::now_v7(), Uuid::now_v7());
        let version = known.version + 1;
        let before = (known.version > 0).then_some(known.version);
        let total = known.total + 7;
        let event = TallyEvent::Added { points: 7, total, note: NOTE.to_owned() };
        let payload = event.to_payload().unwrap();
        let payload = payload.as_str();
        let created_at = now();
        let values = (version, commit, &self.pending[..], known.id, before, known.commit);
        let answer = self.session.execute_unpaged(&self.reserve, values).await.unwrap();
        let rows = answer.into_rows_result().unwrap();
        // The table's columns are in the order of their names.
        let (applied, ..) = rows.single_row::<(bool, Option<Uuid>, Option<i64>)>().unwrap();
        assert!(applied, "nobody else writes to this aggregate");
        let committed_at = created_at.max(known.committed_at + 10);
        let write_time = now().max(known.write_time + 1);
        let previous = match known.version {
            0 => MaybeUnset::Unset,
            _ => MaybeUnset::Set(known.committed_at),
        };
        let metadata = r#"{"user_id":"alice"}"#;
        let none = MaybeUnset::<Uuid>::Unset;
        let state = MaybeUnset::<&str>::Unset;
        let at = CqlTimestamp(created_at / 1000);
        let name = event.event_type();
        let edition = event.event_version();
        batch.set_timestamp(Some(write_time));
        let rows = (
            (
                known.id,
                version,
                Tally::TYPE,
                event_id,
                name,
                edition,
                payload,
                metadata,
                none,
                none,
                commit,
                committed_at,
                at,
            ),
            (
                known.id,
                version,
                Tally::TYPE,
                event_id,
                name,
                edition,
                payload,
                metadata,
                none,
                none,
                commit,
                committed_at,
                previous,
                state,
                state,
                at,
            ),
        );
        self.session.batch(batch, rows).await.unwrap();
        *known = Written {
            id: known.id,
            version,
            commit: Some(commit),
            committed_at,
            write_time,
            total,
        };
    }
}

/// How a round went.
#[derive(Clone, Copy)]
struct Round {
    rate: f64,
    /// Processor time of each append, client and node.
    cpu: Duration,
}

/// `appends` of them by `CONCURRENCY` tasks, each with aggregates of its own.
async fn round<W, F>(appends: usize, workers: &mut Vec<W>, work: F) -> Round
where
    W: Send + 'static,
    F: AsyncStep<W>,
{
    let left = Arc::new(AtomicI64::new(appends as i64));
    let (began, cpu_before) = (Instant::now(), cpu());
    let tasks: Vec<_> = workers
        .drain(..)
        .map(|mut worker| {
            let (left, work) = (Arc::clone(&left), work.clone());
            tokio::spawn(async move {
                let mut turn = 0;
                while left.fetch_sub(1, Relaxed) > 0 {
                    work.step(&mut worker, turn).await;
                    turn += 1;
                }
                worker
            })
        })
        .collect();
    for task in tasks {
        workers.push(task.await.unwrap());
    }
    let cpu = (cpu() - cpu_before) / appends as u32;
    Round { rate: appends as f64 / began.elapsed().as_secs_f64(), cpu }
}

/// One append of one worker.
trait AsyncStep<W>: Clone + Send + Sync + 'static {
    fn step(&self, worker: &mut W, turn: usize) -> impl Future<Output = ()> + Send;
}

/// By hand: a worker has its aggregates and its batch.
impl AsyncStep<(Vec<Written>, Batch)> for Arc<ByHand> {
    async fn step(&self, (aggregates, batch): &mut (Vec<Written>, Batch), turn: usize) {
        let at = turn % aggregates.len();
        self.append(batch, &mut aggregates[at]).await;
    }
}

/// Through the handler: a worker has the ids.
impl AsyncStep<Vec<AggregateId>> for CommandHandler<Tally> {
    async fn step(&self, ids: &mut Vec<AggregateId>, turn: usize) {
        self.execute(ids[turn % ids.len()], Add).user("alice").await.unwrap();
    }
}

/// What a round allocates on the client's side, for each append: times and bytes.
async fn allocations<W, F>(appends: usize, workers: &mut Vec<W>, work: F) -> (f64, f64)
where
    W: Send + 'static,
    F: AsyncStep<W>,
{
    ALLOCATIONS.store(0, Relaxed);
    BYTES.store(0, Relaxed);
    COUNTING.store(true, Relaxed);
    round(appends, workers, work).await;
    COUNTING.store(false, Relaxed);
    let each = |n: &AtomicU64| n.load(Relaxed) as f64 / appends as f64;
    (each(&ALLOCATIONS), each(&BYTES))
}

/// Requests that the node sees in a round, for each append: reads, LWTs, batches.
async fn requests<W, F>(node: &DevDb, appends: usize, workers: &mut Vec<W>, work: F) -> [f64; 3]
where
    W: Send + 'static,
    F: AsyncStep<W>,
{
    // Faults that never hit only count.
    let counters = [Operation::Read, Operation::Lwt, Operation::Batch].map(|operation| {
        node.faults().add(Fault::new(FaultAction::DropBefore).operation(operation).times(0))
    });
    round(appends, workers, work).await;
    let seen = counters.each_ref().map(|counter| counter.seen() as f64 / appends as f64);
    counters.iter().for_each(|counter| counter.remove());
    seen
}

fn ids() -> Vec<Vec<AggregateId>> {
    let each = AGGREGATES / CONCURRENCY;
    (0..CONCURRENCY).map(|_| (0..each).map(|_| AggregateId::new()).collect()).collect()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .on_thread_start(|| OURS.set(true))
        .build()
        .unwrap();
    runtime.block_on(runtime.spawn(bench())).unwrap();
}

async fn bench() {
    let (appends, rounds) = (setting("APPENDS", 8000), setting("ROUNDS", 10));
    let node = DevDb::start().await.unwrap();
    let session = SessionBuilder::new().known_node(node.contact_point()).build().await.unwrap();
    let session = Arc::new(session);
    Schema::new("bench").apply(&session).await.unwrap();
    let store = EventStore::connect(Arc::clone(&session), "bench").await.unwrap();
    let warm = CommandHandler::<Tally>::new(store.clone());

    let mut handled = ids();
    warm.execute(handled[0][0], Add).user("alice").await.unwrap();
    let cql = "SELECT pending FROM bench.aggregate_heads WHERE aggregate_id = ?";
    let answer = session.query_unpaged(cql, (handled[0][0].0,)).await.unwrap();
    let (pending,) = answer.into_rows_result().unwrap().single_row::<(Vec<u8>,)>().unwrap();
    let hand = Arc::new(ByHand::new(Arc::clone(&session), "bench", pending).await);
    let mut by_hand: Vec<_> = ids()
        .into_iter()
        .map(|ids| {
            let new = |id: AggregateId| Written {
                id: id.0,
                version: 0,
                commit: None,
                committed_at: 0,
                write_time: 0,
                total: 0,
            };
            (ids.into_iter().map(new).collect::<Vec<_>>(), hand.batch.clone())
        })
        .collect();

    round(2 * AGGREGATES, &mut by_hand, Arc::clone(&hand)).await;
    round(2 * AGGREGATES, &mut handled, warm.clone()).await;
    println!("warm: {appends} appends a round, {CONCURRENCY} at once, {AGGREGATES} aggregates");
    println!("round      by hand      handler   ratio   cpu by hand / handler");
    let mut pairs = Vec::new();
    for n in 1..=rounds {
        let a = round(appends, &mut by_hand, Arc::clone(&hand)).await;
        let b = round(appends, &mut handled, warm.clone()).await;
        print_pair(&format!("{n:>5}"), a, b);
        pairs.push((a, b));
    }
    print_pair("   all", mean(pairs.iter().map(|p| p.0)), mean(pairs.iter().map(|p| p.1)));
    let ratios = pairs.iter().map(|(a, b)| b.rate / a.rate).collect();
    println!("median of the rounds' ratios: {:.1} %", 100.0 * median(ratios));

    let cold = CommandHandler::<Tally>::builder(store).cache_capacity(0).build();
    let mut loaded = ids();
    round(10 * AGGREGATES, &mut loaded, warm.clone()).await;
    println!("cold: each command loads its aggregate, of 10 events and more");
    let mut pairs = Vec::new();
    for _ in 0..rounds.div_ceil(3) {
        let a = round(appends / 2, &mut by_hand, Arc::clone(&hand)).await;
        let b = round(appends / 2, &mut loaded, cold.clone()).await;
        pairs.push((a, b));
    }
    print_pair("   all", mean(pairs.iter().map(|p| p.0)), mean(pairs.iter().map(|p| p.1)));

    for (what, [reads, lwts, batches]) in [
        ("by hand", requests(&node, 1000, &mut by_hand, Arc::clone(&hand)).await),
        ("warm", requests(&node, 1000, &mut handled, warm.clone()).await),
        ("cold", requests(&node, 1000, &mut loaded, cold).await),
    ] {
        println!("requests each, {what:<8} {reads:.3} reads, {lwts:.3} LWTs, {batches:.3} batches");
    }
    let (times, bytes) = allocations(4000, &mut by_hand, hand).await;
    println!("allocations each, by hand  {times:>6.1}  {bytes:>7.0} bytes (driver included)");
    let (times, bytes) = allocations(4000, &mut handled, warm).await;
    println!("allocations each, handler  {times:>6.1}  {bytes:>7.0} bytes");
    node.shutdown().await;
}

fn mean(rounds: impl ExactSizeIterator<Item = Round> + Clone) -> Round {
    let n = rounds.len() as f64;
    // Rates of equal numbers of appends: the harmonic mean is all appends over all time.
    let rate = n / rounds.clone().map(|r| 1.0 / r.rate).sum::<f64>();
    Round { rate, cpu: rounds.map(|r| r.cpu).sum::<Duration>().div_f64(n) }
}

fn print_pair(label: &str, a: Round, b: Round) {
    println!(
        "{label:<6} {:>9.0}/s  {:>9.0}/s  {:>5.1} %   {:>5.1} / {:.1} µs",
        a.rate,
        b.rate,
        100.0 * b.rate / a.rate,
        a.cpu.as_secs_f64() * 1e6,
        b.cpu.as_secs_f64() * 1e6,
    );
}
