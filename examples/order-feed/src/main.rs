//! Reads the orders' topic and says what is in it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use order_feed::{Feed, FeedError};
use tracing_subscriber::EnvFilter;

/// Reads the orders' topic with a consumer group, drops repetitions, and prints a small view
/// whenever the topic is quiet.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Redpanda or Kafka, as HOST:PORT,…
    #[arg(long, default_value = "127.0.0.1:19092", value_name = "HOST:PORT")]
    brokers: String,

    /// The topic
    #[arg(long, default_value = "order-events")]
    topic: String,

    /// The consumer group; a new one each time unless given, since the view is in memory
    #[arg(long)]
    group: Option<String>,

    /// End when nothing has come for three seconds
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), FeedError> {
    let group = arguments.group.unwrap_or_else(|| format!("order-feed-{}", uuid::Uuid::new_v4()));
    let mut feed = Feed::join(&arguments.brokers, &group, &arguments.topic)?;
    let mut last = None;
    loop {
        feed.read_until_quiet(Duration::from_secs(3)).await?;
        let counts = feed.view().counts();
        if last != Some(counts) {
            println!(
                "{} events of {} orders; {} records came again, {} histories begin late",
                counts.events,
                feed.view().orders(),
                counts.repeated,
                counts.gaps
            );
            for (event_type, number) in feed.view().by_type() {
                println!("  {number:>8} {event_type}");
            }
            last = Some(counts);
        }
        if arguments.once {
            return Ok(());
        }
    }
}
