//! Orders on a bare machine: the demonstration, from command to read models and Kafka, and
//! the load tool; for a database that runs, orders to be placed or moved in.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use orders::demo::{self, DemoArguments, PlaceArguments};
use orders::import::{self, ImportArguments};
use orders::load::{self, LoadArguments, NodeArguments};
use orders::service;
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(flatten)]
    demo: DemoArguments,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Load(LoadArguments),
    Place(PlaceArguments),
    Import(ImportArguments),
    #[command(hide = true)]
    Node(NodeArguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Arguments { demo, command } = Arguments::parse();
    service::exit(match command {
        None => demo::run(demo).await,
        Some(Command::Load(arguments)) => load::run(arguments).await,
        Some(Command::Place(arguments)) => demo::place(arguments).await,
        Some(Command::Import(arguments)) => import::run(arguments).await,
        Some(Command::Node(arguments)) => load::serve(arguments).await,
    })
}
