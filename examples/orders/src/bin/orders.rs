//! The demonstration: orders from command to read models and Kafka, on a bare machine.

use std::process::ExitCode;

use clap::Parser;
use orders::demo::{self, DemoArguments};
use orders::service;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    service::exit(demo::run(DemoArguments::parse()).await)
}
