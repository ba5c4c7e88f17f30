//! Rebuilds one read model of the orders from `event_store`, or compares it with a replay.

use std::process::ExitCode;

fn main() -> ExitCode {
    messina::cli::rebuild_projection(orders::service::orders())
}
