//! Rebuilds one read model from `event_store`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use messina::projection::{Rebuild, RebuildProgress};
use orders::service::{self, DatabaseArguments, ServiceError};

/// Rebuilds one read model: empties its tables and replays all events into them. Its
/// group, and all others, may go on meanwhile.
///
/// Exit codes: 0 rebuilt; 1 something failed, said on standard error (run it again); 2 the
/// flags make no sense.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The projection: order_read_model, orders_by_customer or orders_by_status
    name: String,

    #[command(flatten)]
    database: DatabaseArguments,

    /// How many ranges of the token ring are read at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
}

#[tokio::main]
async fn main() -> ExitCode {
    service::exit(run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<(), ServiceError> {
    let projection = service::projection(&arguments.name)?;
    let session = service::connect(&arguments.database.scylla).await?;
    let store = service::open(session, &arguments.database.keyspace).await?;
    let mut shown = Shown::new();
    let report = Rebuild::new(store, projection)
        .parallel(arguments.parallel.into())
        .run(|progress| shown.update(progress))
        .await?;
    shown.bar.finish_and_clear();
    let seconds = report.elapsed.as_secs_f64();
    println!(
        "{} rebuilt: {} events, {} writes in {seconds:.1} s ({:.0} events/s)",
        arguments.name,
        report.events,
        report.writes,
        report.events as f64 / seconds.max(0.001)
    );
    Ok(())
}

/// A progress bar on a terminal, a line every few seconds elsewhere.
struct Shown {
    bar: ProgressBar,
    began: Instant,
    line: Instant,
}

/// The bar's length: parts of the ring.
const STEPS: u64 = 10_000;

impl Shown {
    fn new() -> Self {
        let template = "{bar:40} {percent:>3} % of the ring, {msg}, {eta} left";
        // The template is ours; the plain style is as good if it does not parse.
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(STEPS).with_style(style);
        Self { bar, began: Instant::now(), line: Instant::now() }
    }

    fn update(&mut self, progress: RebuildProgress) {
        let rate = progress.events as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let text = format!("{} events, {rate:.0}/s", progress.events);
        if self.bar.is_hidden() {
            if self.line.elapsed() > Duration::from_secs(3) {
                self.line = Instant::now();
                println!("{:.1} % of the ring, {text}", progress.ring * 100.0);
            }
            return;
        }
        self.bar.set_message(text);
        self.bar.set_position((progress.ring * STEPS as f64) as u64);
    }
}
