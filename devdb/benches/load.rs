//! How fast the node is through the `scylla` driver, all in one process:
//!
//!     cargo bench -p messina-devdb --bench load -- [--appends 1000000 --steps 10]
//!
//! Three loads: prepared inserts of one row, reads by pages, and appends as an event
//! store does them (a conditional update, then a logged batch into a table with CDC).

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use futures::{StreamExt, TryStreamExt};
use messina_devdb::DevDb;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::batch::{Batch, BatchType};
use uuid::Uuid;

type Failure = Box<dyn Error + Send + Sync>;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Arguments {
    /// Rows to insert, then read
    #[arg(long, default_value_t = 300_000)]
    rows: u32,
    /// Appends: each a conditional update and a logged batch
    #[arg(long, default_value_t = 100_000)]
    appends: u32,
    /// Requests at once
    #[arg(long, default_value_t = 256)]
    concurrency: usize,
    /// Steps into which each load is split, to see whether it stays level
    #[arg(long, default_value_t = 4)]
    steps: u32,
    /// Another node than one started here
    #[arg(long)]
    node: Option<String>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let devdb = match arguments.node {
        Some(_) => None,
        None => Some(DevDb::start().await?),
    };
    let address = match (&arguments.node, &devdb) {
        (Some(address), _) => address.clone(),
        (None, Some(devdb)) => devdb.contact_point(),
        (None, None) => return Err("no node".into()),
    };
    let session = Arc::new(SessionBuilder::new().known_node(&address).build().await?);
    prepare_schema(&session).await?;
    inserts(&session, &arguments).await?;
    reads(&session).await?;
    appends(&session, &arguments).await?;
    if let Some(devdb) = &devdb {
        a_day_later(devdb, &session).await?;
    }
    Ok(())
}

async fn prepare_schema(session: &Session) -> Result<(), Failure> {
    for text in [
        "DROP KEYSPACE IF EXISTS load",
        "CREATE KEYSPACE load WITH replication = \
         {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
        "CREATE TABLE load.rows (p uuid, c bigint, a text, b text, n int, t timestamp, \
         PRIMARY KEY (p, c))",
        "CREATE TABLE load.heads (id uuid PRIMARY KEY, n bigint, pending blob)",
        "CREATE TABLE load.events (id uuid, n bigint, event_type text, event_data text, \
         PRIMARY KEY (id, n))",
        "CREATE TABLE load.outbox (id uuid, n bigint, event_type text, payload text, \
         PRIMARY KEY (id, n)) WITH cdc = {'enabled': true} AND default_time_to_live = 86400 AND gc_grace_seconds = 0",
    ] {
        session.query_unpaged(text, ()).await?;
    }
    session.refresh_metadata().await?;
    Ok(())
}

/// Prints how a load went: the rate, the processor time of each (client and node), and the
/// memory. The processor time tells whether it stays level on a machine that others use, too.
fn report(what: &str, count: u64, started: Started) {
    let time = started.at.elapsed();
    let rate = count as f64 / time.as_secs_f64();
    let each = match count {
        0 => 0.0,
        count => (cpu() - started.cpu).as_secs_f64() * 1e6 / count as f64,
    };
    println!(
        "{what:<28} {count:>9} in {:>6.2} s {rate:>10.0}/s {each:>7.1} µs each {:>6} MiB",
        time.as_secs_f64(),
        resident()
    );
}

/// When a load began.
#[derive(Debug, Clone, Copy)]
struct Started {
    at: Instant,
    cpu: Duration,
}

impl Started {
    fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu() }
    }
}

/// Processor time of this process, where the system tells: hundredths of a second in fields
/// 14 and 15 of proc_pid_stat(5), counted behind the name, which may hold anything.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(11).take(2);
    Duration::from_millis(10 * ticks.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
}

/// Memory of this process in MiB, where the system tells.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Runs `count` requests, `concurrency` at once.
async fn run<F, Fut>(count: u32, concurrency: usize, request: F) -> Result<Started, Failure>
where
    F: Fn(u32) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Failure>> + Send,
{
    let started = Started::now();
    let request = Arc::new(request);
    let next = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let workers = (0..concurrency).map(|_| {
        let (request, next) = (request.clone(), next.clone());
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if n >= count {
                    return Ok::<(), Failure>(());
                }
                request(n).await?;
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    Ok(started)
}

async fn inserts(session: &Arc<Session>, arguments: &Arguments) -> Result<(), Failure> {
    let insert = Arc::new(
        session
            .prepare("INSERT INTO load.rows (p, c, a, b, n, t) VALUES (?, ?, ?, ?, ?, ?)")
            .await?,
    );
    let each = arguments.rows / arguments.steps;
    for step in 0..arguments.steps {
        let (session, insert) = (session.clone(), insert.clone());
        let time = run(each, arguments.concurrency, move |n| {
            let (session, insert) = (session.clone(), insert.clone());
            let n = i64::from(step * each + n);
            async move {
                let p = Uuid::from_u64_pair(n as u64 / 20, 7);
                let t = scylla::value::CqlTimestamp(n);
                let values =
                    (p, n, "a value of some length", "{\"json\":\"of some length\"}", 1, t);
                session.execute_unpaged(&insert, values).await?;
                Ok(())
            }
        })
        .await?;
        report("prepared inserts", u64::from(each), time);
    }
    Ok(())
}

async fn reads(session: &Session) -> Result<(), Failure> {
    let mut select = session.prepare("SELECT p, c, a, b, n, t FROM load.rows").await?;
    select.set_page_size(5000);
    let started = Started::now();
    let pager = session.execute_iter(select, ()).await?;
    type Row = (Uuid, i64, String, String, i32, scylla::value::CqlTimestamp);
    let count = pager
        .rows_stream::<Row>()?
        .try_fold(0u64, |count, _| std::future::ready(Ok(count + 1)))
        .await?;
    report("rows read by pages", count, started);

    let select = session.prepare("SELECT a, b FROM load.rows WHERE p = ?").await?;
    let partitions = 20_000u64;
    let started = Started::now();
    let rows: Vec<usize> = futures::stream::iter(0..partitions)
        .map(|n| {
            let select = &select;
            async move {
                let p = Uuid::from_u64_pair(n % (count / 20).max(1), 7);
                let result = session.execute_unpaged(select, (p,)).await?;
                Ok::<_, Failure>(result.into_rows_result()?.rows_num())
            }
        })
        .buffer_unordered(256)
        .try_collect()
        .await?;
    report("partitions of 20 rows read", rows.len() as u64, started);
    Ok(())
}

async fn appends(session: &Arc<Session>, arguments: &Arguments) -> Result<(), Failure> {
    let reserve = Arc::new(
        session.prepare("UPDATE load.heads SET n = ?, pending = ? WHERE id = ? IF n = ?").await?,
    );
    let mut batch = Batch::new(BatchType::Logged);
    for text in [
        "INSERT INTO load.events (id, n, event_type, event_data) VALUES (?, ?, ?, ?)",
        "INSERT INTO load.outbox (id, n, event_type, payload) VALUES (?, ?, ?, ?)",
    ] {
        batch.append_statement(session.prepare(text).await?);
    }
    let batch = Arc::new(batch);
    let each = arguments.appends / arguments.steps;
    for step in 0..arguments.steps {
        let (session, reserve, batch) = (session.clone(), reserve.clone(), batch.clone());
        let time = run(each, arguments.concurrency, move |n| {
            let (session, reserve, batch) = (session.clone(), reserve.clone(), batch.clone());
            async move {
                let id = Uuid::from_u64_pair(u64::from(n), 9);
                let version = i64::from(step) + 1;
                let expected = (step > 0).then_some(i64::from(step));
                let pending = vec![7u8; 200];
                let result =
                    session.execute_unpaged(&reserve, (version, pending, id, expected)).await?;
                let (applied, _) =
                    result.into_rows_result()?.single_row::<(bool, Option<i64>)>()?;
                if !applied {
                    return Err(format!("append {n} of step {step} was not applied").into());
                }
                let json = "{\"item\":\"of an order\",\"quantity\":3,\"price\":\"12.50\"}";
                let row = (id, version, "ItemAdded", json);
                session.batch(&batch, (row, row)).await?;
                Ok(())
            }
        })
        .await?;
        report("appends (LWT, logged batch)", u64::from(each), time);
    }
    Ok(())
}

/// The outbox and its log expire; their memory comes back while the node is in use.
async fn a_day_later(devdb: &DevDb, session: &Session) -> Result<(), Failure> {
    let engine = devdb.engine();
    engine.clock().set_offset_micros(86_460 * 1_000_000);
    let started = Started::now();
    let mut left = u64::MAX;
    while left > 0 && started.at.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        left = 0;
        for table in ["outbox", "outbox_scylla_cdc_log"] {
            let size = engine.table_size("load", table)?;
            left += size.map_or(0, |size| size.rows as u64);
        }
    }
    report("expired: rows left", left, started);
    for _ in 0..5 {
        let started = Started::now();
        let select = session.prepare("SELECT n FROM load.heads WHERE id = ?").await?;
        for n in 0..2000u64 {
            session.execute_unpaged(&select, (Uuid::from_u64_pair(n, 9),)).await?;
        }
        report("single reads after that", 2000, started);
    }
    Ok(())
}
