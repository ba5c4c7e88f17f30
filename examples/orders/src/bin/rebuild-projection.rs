//! Rebuilds one read model from `event_store`, or compares it with a replay.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use messina::AggregateId;
use messina::projection::{
    OnError, Rebuild, RebuildMode, RebuildProgress, RebuildReport, Verify, VerifyReport,
};
use orders::service::{self, DatabaseArguments, ReadingArguments, ServiceError};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Rebuilds one read model: replays all events into new tables, brings them level with the
/// log, compares them with a second replay, and has queries go to them. All groups go on
/// meanwhile.
///
/// Exit codes: 0 done (with `verify`: every row is as a replay makes it); 1 something
/// failed, said on standard error (what is done is kept: run it again); 2 the flags make no
/// sense; 3 `verify` found rows that differ.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    rebuild: Option<RebuildArguments>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compare a read model's tables with a replay, row by row
    Verify(VerifyArguments),
}

#[derive(Debug, Args)]
struct Work {
    /// The projection: order_read_model, orders_by_customer or orders_by_status
    name: String,

    #[command(flatten)]
    database: DatabaseArguments,

    /// How many ranges of the token ring are read at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,

    /// Replay at most so many events per second
    #[arg(long, value_name = "EVENTS", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,

    /// What to do with an event that cannot be handled: stop or skip
    #[arg(long, default_value = "stop")]
    on_error: OnError,
}

#[derive(Debug, Args)]
struct VerifyArguments {
    #[command(flatten)]
    work: Work,
}

#[derive(Debug, Args)]
struct RebuildArguments {
    #[command(flatten)]
    work: Work,

    /// beside: into new tables; in-place: over the rows that are there; truncate: into
    /// emptied tables
    #[arg(long, default_value = "beside")]
    mode: RebuildMode,

    /// Begin at the beginning also if an interrupted rebuild could be gone on with
    #[arg(long)]
    from_scratch: bool,

    /// Replay this aggregate's events only (with --mode in-place)
    #[arg(long, value_name = "ID")]
    only_aggregate: Option<AggregateId>,

    /// Have queries go to the new tables without comparing them first
    #[arg(long)]
    no_verify: bool,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Drop versions that queries have left, instead of rebuilding
    #[arg(long, conflicts_with_all = ["dry_run", "from_scratch", "only_aggregate"])]
    drop_old: bool,

    /// Do not ask before emptying or dropping tables
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    reading: ReadingArguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let result = match (arguments.command, arguments.rebuild) {
        (Some(Command::Verify(arguments)), _) => verify(arguments).await,
        (None, Some(arguments)) => rebuild(arguments).await.map(|()| true),
        // Refused by the parser.
        (None, None) => Ok(true),
    };
    match result {
        Ok(false) => ExitCode::from(3),
        result => service::exit(result.map(drop)),
    }
}

async fn rebuild(arguments: RebuildArguments) -> Result<(), ServiceError> {
    let work = &arguments.work;
    let projection = service::projection(&work.name)?;
    let session = service::connect(&work.database.scylla).await?;
    let store = service::open(session, &work.database.keyspace).await?;
    let mut rebuild = Rebuild::new(store, projection)
        .mode(arguments.mode)
        .parallel(work.parallel.into())
        .on_error(work.on_error)
        .from_scratch(arguments.from_scratch)
        .verify_before_switch(!arguments.no_verify)
        .following(arguments.reading.settings())
        .stop_on(stop_on_signals()?);
    if let Some(rate) = work.rate {
        rebuild = rebuild.rate(rate.into());
    }
    if let Some(id) = arguments.only_aggregate {
        rebuild = rebuild.only_aggregate(id);
    }
    if arguments.drop_old {
        confirm(arguments.yes, "drop the tables of old versions")?;
        let dropped: Vec<String> =
            rebuild.drop_old().await?.iter().map(ToString::to_string).collect();
        println!("{}: {} old versions dropped {}", work.name, dropped.len(), dropped.join(", "));
        return Ok(());
    }
    let plan = rebuild.plan().await?;
    if arguments.dry_run {
        println!("{} would be rebuilt {}: {}", work.name, plan.mode, plan.tables.join(", "));
        println!("queries read version {}", plan.current_version);
        if let Some(done) = plan.resumes_at {
            println!("{:.0} % of the ring are done already", done * 100.0);
        }
        return Ok(());
    }
    if plan.mode == RebuildMode::Truncate {
        confirm(arguments.yes, &format!("empty {}", plan.tables.join(", ")))?;
    }
    let mut shown = Shown::new();
    let result = rebuild.run(|progress| shown.update(progress)).await;
    shown.bar.finish_and_clear();
    let report = result?;
    print_report(&report);
    Ok(())
}

/// Whether every row is as a replay makes it.
async fn verify(VerifyArguments { work }: VerifyArguments) -> Result<bool, ServiceError> {
    let projection = service::projection(&work.name)?;
    let session = service::connect(&work.database.scylla).await?;
    let store = service::open(session, &work.database.keyspace).await?;
    let mut verify = Verify::new(store, projection)
        .parallel(work.parallel.into())
        .on_error(work.on_error)
        .stop_on(stop_on_signals()?);
    if let Some(rate) = work.rate {
        verify = verify.rate(rate.into());
    }
    let mut shown = Shown::new();
    let result = verify.run(|progress| shown.update(progress)).await;
    shown.bar.finish_and_clear();
    let report = result?;
    print_verification(&report);
    Ok(report.is_equal())
}

fn print_report(report: &RebuildReport) {
    let seconds = report.replay.as_secs_f64();
    println!(
        "{} rebuilt: {} events, {} writes in {seconds:.1} s ({:.0} events/s)",
        report.projection,
        report.events,
        report.writes,
        report.events as f64 / seconds.max(0.001)
    );
    if report.version != report.previous_version {
        println!(
            "queries read version {}; version {} stays until --drop-old",
            report.version, report.previous_version
        );
    }
    if report.skipped > 0 {
        println!("{} events skipped", report.skipped);
        report.skipped_events.iter().for_each(|event| println!("  {event}"));
    }
}

fn print_verification(report: &VerifyReport) {
    for table in &report.tables {
        println!(
            "{}: {} rows, {} missing, {} extra, {} different, {} unsettled",
            table.table, table.rows, table.missing, table.extra, table.different, table.unsettled
        );
    }
    report.differences.iter().for_each(|difference| println!("  {difference}"));
    let verdict = if report.is_equal() { "is as a replay makes it" } else { "differs" };
    println!("{} (version {}) {verdict}", report.projection, report.version);
}

/// Asks on a terminal; elsewhere `--yes` must have been given.
fn confirm(yes: bool, what: &str) -> Result<(), ServiceError> {
    if yes {
        return Ok(());
    }
    let refused = || ServiceError::Refused(format!("this would {what}: say so with --yes"));
    if !std::io::stdin().is_terminal() {
        return Err(refused());
    }
    let system = |source| ServiceError::System { what: "asking", source };
    print!("This will {what}. Go on? [y/N] ");
    std::io::stdout().flush().map_err(system)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(system)?;
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { Err(refused()) }
}

/// Cancelled by SIGINT or SIGTERM.
fn stop_on_signals() -> Result<CancellationToken, ServiceError> {
    let system = |source| ServiceError::System { what: "waiting for signals", source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
    });
    Ok(token)
}

/// A progress bar on a terminal, a line every few seconds elsewhere.
struct Shown {
    bar: ProgressBar,
    line: Instant,
}

/// The bar's length: parts of the ring.
const STEPS: u64 = 10_000;

impl Shown {
    fn new() -> Self {
        let template = "{bar:40} {percent:>3} % of the ring, {msg}";
        // The template is ours; the plain style is as good if it does not parse.
        let style =
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(STEPS).with_style(style);
        Self { bar, line: Instant::now() }
    }

    fn update(&mut self, progress: RebuildProgress) {
        let left = progress.remaining.map_or_else(String::new, |left| {
            format!(", {} left", humantime::format_duration(Duration::from_secs(left.as_secs())))
        });
        let text = format!(
            "{:?}: {} events, {:.0}/s{left}",
            progress.phase, progress.events, progress.rate
        );
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
