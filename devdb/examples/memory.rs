//! What rows take in memory, and whether it comes back:
//!
//!     cargo run --release -p messina-devdb --example memory
//!
//! Rows are written without a network, so that the memory is the store's. *Data* is what a
//! row says: its key, its values, and 8 bytes for each timestamp and expiry that it has of
//! its own. Then everything expires, and is purged.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use messina_devdb::engine::{Engine, EngineConfig};
use messina_devdb::error::CqlError;
use messina_devdb::request::{ClientState, Consistency, QueryParameters, Value};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
struct Arguments {
    /// Rows of each kind
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// One kind only, by its number
    #[arg(long)]
    kind: Option<usize>,
}

struct Node {
    engine: Arc<Engine>,
    state: ClientState,
}

/// A kind of rows: a table, and an INSERT with a key and values of these lengths.
struct Kind {
    name: &'static str,
    table: &'static str,
    insert: &'static str,
    rows_per_partition: u64,
    text: usize,
    /// Bytes of data in a row; in its log row too, if there is one.
    data: u64,
}

const TTL: i64 = 86_400;

const KINDS: [Kind; 5] = [
    Kind {
        name: "tiny, one a partition",
        table: "CREATE TABLE m.t (p uuid PRIMARY KEY, v int)",
        insert: "INSERT INTO m.t (p, v) VALUES (?, ?)",
        rows_per_partition: 1,
        text: 0,
        data: 16 + 4 + 8,
    },
    Kind {
        name: "tiny, expiring",
        table: "CREATE TABLE m.t (p uuid PRIMARY KEY, v int) WITH default_time_to_live = 86400 \
                AND gc_grace_seconds = 0",
        insert: "INSERT INTO m.t (p, v) VALUES (?, ?)",
        rows_per_partition: 1,
        text: 0,
        data: 16 + 4 + 16,
    },
    Kind {
        name: "read model, one a partition",
        table: "CREATE TABLE m.t (p uuid PRIMARY KEY, v int, a text, b text)",
        insert: "INSERT INTO m.t (p, v, a, b) VALUES (?, ?, ?, ?)",
        rows_per_partition: 1,
        text: 40,
        data: 16 + 4 + 80 + 8,
    },
    Kind {
        name: "events, ten a partition",
        table: "CREATE TABLE m.t (p uuid, v int, a text, b text, PRIMARY KEY (p, v))",
        insert: "INSERT INTO m.t (p, v, a, b) VALUES (?, ?, ?, ?)",
        rows_per_partition: 10,
        text: 100,
        data: 2 + 4 + 200 + 8,
    },
    Kind {
        name: "the same, expiring, logged",
        table: "CREATE TABLE m.t (p uuid, v int, a text, b text, PRIMARY KEY (p, v)) \
                WITH cdc = {'enabled': true} AND default_time_to_live = 86400 \
                AND gc_grace_seconds = 0",
        insert: "INSERT INTO m.t (p, v, a, b) VALUES (?, ?, ?, ?)",
        rows_per_partition: 10,
        text: 100,
        data: (2 + 4 + 200 + 16) + (16 + 4 + 16 + 4 + 200 + 8 + 2 + 16),
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(kind) = arguments.kind.and_then(|kind| KINDS.get(kind)) {
        return Ok(measure(kind, arguments.rows)?);
    }
    println!("{:<30} {:>6} {:>8} {:>6}   resident MiB", "", "data", "taken", "");
    for kind in 0..KINDS.len() {
        // A process for each: none begins with what another has left.
        std::process::Command::new(std::env::current_exe()?)
            .args(["--kind", &kind.to_string(), "--rows", &arguments.rows.to_string()])
            .status()?;
    }
    Ok(())
}

fn measure(kind: &Kind, rows: u64) -> Result<(), CqlError> {
    let engine = Engine::new(EngineConfig::default())?;
    let mut node = Node { engine, state: ClientState::default() };
    node.run(
        "CREATE KEYSPACE m WITH replication = \
         {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    )?;
    node.run(kind.table)?;
    let before = resident();
    let prepared = node.engine.prepare(&node.state, kind.insert)?;
    let text = Value::Bytes(Bytes::from(vec![b'x'; kind.text]));
    for n in 0..rows {
        // Spread over the ring, as random keys are.
        let partition = (n / kind.rows_per_partition).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut key = partition.to_be_bytes().to_vec();
        key.extend(n.wrapping_div(kind.rows_per_partition).to_be_bytes());
        let mut values = vec![
            Value::Bytes(Bytes::from(key)),
            Value::Bytes(Bytes::copy_from_slice(&(n as i32).to_be_bytes())),
        ];
        if kind.text > 0 {
            values.extend([text.clone(), text.clone()]);
        }
        node.engine.execute(&mut node.state, &prepared, &parameters(values))?;
    }
    let full = resident();
    let taken = full.saturating_sub(before) / rows;
    println!(
        "{:<30} {:>6} {:>8} {:>5.1}x   {} → {}",
        kind.name,
        kind.data,
        taken,
        taken as f64 / kind.data as f64,
        before >> 20,
        full >> 20
    );
    // Everything with a TTL expires; what has none is dropped with its table.
    if kind.table.contains("default_time_to_live") {
        node.engine.clock().set_offset_micros((TTL + 10) * 1_000_000);
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(60) && !node.is_empty()? {
            std::thread::sleep(Duration::from_millis(50));
        }
        report("  all expired and purged", started);
    }
    let started = Instant::now();
    node.run("DROP TABLE m.t")?;
    drop(node);
    report("  the table dropped", started);
    Ok(())
}

fn report(what: &str, since: Instant) {
    let time = since.elapsed();
    // Memory goes back a little later, and when the thread that took it is at work again.
    let deadline = Instant::now() + Duration::from_secs(1);
    while Instant::now() < deadline {
        std::hint::black_box(vec![0u8; 48]);
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("{what:<30} {:>45} {} MiB after {time:.1?}", "", resident() >> 20);
}

impl Node {
    fn run(&mut self, text: &str) -> Result<(), CqlError> {
        self.engine.query(&mut self.state, text, &parameters(Vec::new())).map(|_| ())
    }

    /// Whether no table of users has a row left, dead or alive.
    fn is_empty(&self) -> Result<bool, CqlError> {
        for name in ["t", "t_scylla_cdc_log"] {
            if let Some(size) = self.engine.table_size("m", name)?
                && size.rows > 0
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn parameters(values: Vec<Value>) -> QueryParameters {
    QueryParameters {
        consistency: Consistency::One,
        serial_consistency: None,
        values,
        names: None,
        page_size: None,
        paging_state: None,
        default_timestamp: None,
        effects: messina_devdb::faults::Effects::default(),
    }
}

/// Memory of this process in bytes, where the system tells.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}
