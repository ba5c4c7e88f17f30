//! How fast a read model is rebuilt, beside a loop written by hand for it.
//!
//!     cargo run --release -p orders --example rebuild_rate -- --events 1000000
//!
//! Fills `event_store` of a node in another process with orders' histories, then replays
//! them into `order_read_model` and `order_items` twice: by a loop that scans the store and
//! executes the same statements, one by one and many at once, and by `Rebuild`. Prints both
//! rates and what memory this process took.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use futures::stream::{self, StreamExt, TryStreamExt};
use messina::projection::{Rebuild, RebuildMode};
use messina::store::TokenRange;
use messina::{Aggregate, DomainEvent, EventStore, Payload};
use orders::data::generate;
use orders::domain::{Order, OrderEvent};
use orders::projections::OrderReadModel;
use orders::service::{connect, open, schema};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::unprepared::Statement;
use scylla::value::{CqlDate, CqlTimestamp};
use uuid::Uuid;

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Parser)]
struct Arguments {
    /// Run a node until standard input ends, and print where it is
    #[arg(long)]
    node: bool,

    /// Events in the store, of about a tenth as many orders
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,

    /// Ranges read at once, by both
    #[arg(long, default_value_t = 4)]
    parallel: usize,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    if arguments.node {
        return node().await;
    }
    let (mut process, address) = start_node()?;
    let result = measure(&arguments, &address).await;
    process.kill()?;
    process.wait()?;
    result
}

async fn node() -> Result<(), Failure> {
    let node = messina_devdb::DevDb::builder().vnodes(4).start().await?;
    println!("{}", node.contact_point());
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}

fn start_node() -> Result<(Child, String), Failure> {
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .arg("--node")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let mut address = String::new();
    BufReader::new(stdout).read_line(&mut address)?;
    Ok((child, address.trim().to_owned()))
}

async fn measure(arguments: &Arguments, address: &str) -> Result<(), Failure> {
    let session = connect(address).await?;
    schema("orders").apply(&session).await?;
    let store = open(session, "orders").await?;
    let began = Instant::now();
    let (aggregates, events) = fill(&store, arguments.events).await?;
    println!("{events} events of {aggregates} orders, filled in {:.1?}", began.elapsed());
    println!("memory before: {}", memory()?);

    let began = Instant::now();
    let (read, writes) = by_hand(&store, arguments.parallel).await?;
    let by_hand = read as f64 / began.elapsed().as_secs_f64();
    println!("by hand:  {read} events, {writes} statements, {by_hand:.0} events/s");
    println!("memory then: {}", memory()?);

    let rebuild = Rebuild::new(store.clone(), Arc::new(OrderReadModel))
        .mode(RebuildMode::Truncate)
        .parallel(arguments.parallel);
    let report = rebuild.run(|_| {}).await?;
    let rate = report.events as f64 / report.replay.as_secs_f64();
    println!(
        "Rebuild:  {} events, {} statements, {rate:.0} events/s",
        report.events, report.writes
    );
    println!("memory then: {}", memory()?);
    println!("Rebuild reaches {:.0} % of the loop", rate / by_hand * 100.0);
    if (report.events, report.writes) != (read, writes) {
        return Err("the two did not do the same".into());
    }
    Ok(())
}

/// Of this process: now, and the most so far.
fn memory() -> Result<String, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or("?");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    Ok(format!("{} MB, at most {} MB", of("VmRSS"), of("VmHWM")))
}

const INSERT: &str = "INSERT INTO orders.event_store (aggregate_id, sequence_number, \
    aggregate_type, event_id, event_type, event_version, event_data, commit_id, committed_at, \
    created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// Writes orders' histories into `event_store` as the append protocol leaves them; how many
/// orders and events.
async fn fill(store: &EventStore, wanted: u64) -> Result<(u64, u64), Failure> {
    let insert = store.session().prepare(INSERT).await?;
    let (mut orders, mut events) = (0, 0);
    // A thousand different histories, again and again under other ids.
    let sources = generate(1000, 7);
    let histories: Vec<Vec<<Order as Aggregate>::Event>> = sources
        .iter()
        .map(|source| {
            let mut state = Order::default();
            let mut history = Vec::new();
            for command in source.commands() {
                for event in state.handle(&command).unwrap_or_default() {
                    state.apply(&event);
                    history.push(event);
                }
            }
            history
        })
        .collect();
    while events < wanted {
        let batch: Vec<_> = histories.iter().map(|h| (Uuid::new_v4(), h)).collect();
        let written: u64 = stream::iter(batch)
            .map(|(id, history)| fill_one(store.session(), &insert, id, history))
            .buffer_unordered(16)
            .try_fold(0, |sum, n| async move { Ok(sum + n) })
            .await?;
        events += written;
        orders += histories.len() as u64;
    }
    Ok((orders, events))
}

async fn fill_one(
    session: &Session,
    insert: &PreparedStatement,
    id: Uuid,
    history: &[<Order as Aggregate>::Event],
) -> Result<u64, Failure> {
    let mut batch = scylla::statement::batch::Batch::default();
    let mut rows = Vec::new();
    let commit = Uuid::now_v7();
    for (event, number) in history.iter().zip(1_i64..) {
        batch.append_statement(insert.clone());
        rows.push((
            id,
            number,
            Order::TYPE,
            Uuid::now_v7(),
            event.event_type(),
            event.event_version(),
            event.to_payload()?.as_str().to_owned(),
            commit,
            1_700_000_000_000_000 + number * 10,
            CqlTimestamp(1_700_000_000_000),
        ));
    }
    session.batch(&batch, rows).await?;
    Ok(history.len() as u64)
}

/// What somebody writes who needs it once: ranges in parallel, prepared statements, many on
/// their way at once.
async fn by_hand(store: &EventStore, parallel: usize) -> Result<(u64, u64), Failure> {
    let loops = Arc::new(ByHand {
        session: Arc::clone(store.session()),
        statements: Statements::prepare(store.session()).await?,
        events: AtomicU64::new(0),
        writes: AtomicU64::new(0),
    });
    let ranges = Arc::new(parking_lot::Mutex::new(TokenRange::split_ring(256)));
    let workers: Vec<_> = (0..parallel)
        .map(|_| {
            let (loops, ranges) = (Arc::clone(&loops), Arc::clone(&ranges));
            tokio::spawn(async move {
                let next = || ranges.lock().pop();
                while let Some(range) = next() {
                    loops.range(range).await?;
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok((loops.events.load(Ordering::Relaxed), loops.writes.load(Ordering::Relaxed)))
}

struct ByHand {
    session: Arc<Session>,
    statements: Statements,
    events: AtomicU64,
    writes: AtomicU64,
}

/// The statements, by what kind of event they are for.
struct Statements {
    select: PreparedStatement,
    plain: PreparedStatement,
    created: PreparedStatement,
    confirmed: PreparedStatement,
    shipped: PreparedStatement,
    delivered: PreparedStatement,
    cancelled: PreparedStatement,
    put_item: PreparedStatement,
    remove_item: PreparedStatement,
}

impl Statements {
    async fn prepare(session: &Session) -> Result<Self, Failure> {
        let put = async |own: &str| {
            let markers = "?, ".repeat(8 + own.matches(',').count());
            let cql = format!(
                "INSERT INTO orders.order_read_model (order_id, customer_id, status, item_count, \
                 total_cents, placed_at, version, updated_at{own}) VALUES ({}) USING TIMESTAMP ?",
                markers.trim_end_matches(", ")
            );
            session.prepare(cql).await
        };
        Ok(Self {
            select: session
                .prepare(
                    Statement::new(
                        "SELECT aggregate_id, sequence_number, event_type, event_version, \
                         event_data, committed_at FROM orders.event_store \
                         WHERE token(aggregate_id) >= ? AND token(aggregate_id) <= ?",
                    )
                    .with_page_size(1000),
                )
                .await?,
            plain: put("").await?,
            created: put(", currency, ship_country, required_by").await?,
            confirmed: put(", confirmed_at").await?,
            shipped: put(", shipper, freight_cents, shipped_at").await?,
            delivered: put(", delivered_at").await?,
            cancelled: put(", cancel_reason, cancelled_at").await?,
            put_item: session
                .prepare(
                    "INSERT INTO orders.order_items (order_id, product_id, product_name, quantity, \
                     unit_price_cents, discount_percent, total_cents) \
                     VALUES (?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
                )
                .await?,
            remove_item: session
                .prepare(
                    "DELETE FROM orders.order_items USING TIMESTAMP ? \
                     WHERE order_id = ? AND product_id = ?",
                )
                .await?,
        })
    }
}

type EventRow = (Uuid, i64, String, i32, String, i64);

/// CQL counts days with 1970-01-01 in the middle, at 2^31.
fn date(day: chrono::NaiveDate) -> CqlDate {
    let since = day.signed_duration_since(chrono::NaiveDate::default()).num_days();
    CqlDate(((1_i64 << 31) + since) as u32)
}

fn millis(time: chrono::DateTime<chrono::Utc>) -> CqlTimestamp {
    CqlTimestamp(time.timestamp_millis())
}

impl ByHand {
    async fn range(&self, range: TokenRange) -> Result<(), Failure> {
        let rows = self
            .session
            .execute_iter(self.statements.select.clone(), (range.first, range.last))
            .await?;
        rows.rows_stream::<EventRow>()?
            .map_err(Failure::from)
            .try_for_each_concurrent(64, |row| self.write(row))
            .await
    }

    async fn write(&self, row: EventRow) -> Result<(), Failure> {
        let (id, number, event_type, version, data, at) = row;
        let payload = Payload::from_json_text(data);
        let event = OrderEvent::from_payload(&event_type, version, &payload)?;
        let o = event.order();
        let (updated, placed) = (CqlTimestamp(at / 1000), millis(o.placed_at));
        let (status, s) = (o.status.as_str(), &self.statements);
        macro_rules! put {
            ($statement:expr $(, $own:expr)*) => {
                self.session.execute_unpaged(
                    $statement,
                    (id, &o.customer_id, status, o.item_count, o.total_cents, placed, number,
                     updated, $($own,)* at),
                ).await?
            };
        }
        match &event {
            OrderEvent::Created { currency, ship_country, required_by, .. } => {
                let required = required_by.map(date);
                put!(&s.created, currency, ship_country, required)
            }
            OrderEvent::Confirmed { confirmed_at, .. } => put!(&s.confirmed, millis(*confirmed_at)),
            OrderEvent::Shipped { shipper, freight_cents, shipped_at, .. } => {
                put!(&s.shipped, shipper, freight_cents, millis(*shipped_at))
            }
            OrderEvent::Delivered { delivered_at, .. } => put!(&s.delivered, millis(*delivered_at)),
            OrderEvent::Cancelled { reason, cancelled_at, .. } => {
                put!(&s.cancelled, reason, millis(*cancelled_at))
            }
            _ => put!(&s.plain),
        };
        let mut writes = 1;
        match &event {
            OrderEvent::ItemAdded { item, .. } | OrderEvent::ItemQuantityChanged { item, .. } => {
                let values = (
                    id,
                    &item.product_id,
                    &item.product_name,
                    item.quantity,
                    item.unit_price_cents,
                    i32::from(item.discount_percent),
                    item.total_cents(),
                    at + 1,
                );
                self.session.execute_unpaged(&s.put_item, values).await?;
                writes += 1;
            }
            OrderEvent::ItemRemoved { product_id, .. } => {
                self.session.execute_unpaged(&s.remove_item, (at + 1, id, product_id)).await?;
                writes += 1;
            }
            _ => {}
        }
        self.events.fetch_add(1, Ordering::Relaxed);
        self.writes.fetch_add(writes, Ordering::Relaxed);
        Ok(())
    }
}
