//! Runs the consumer groups of the orders, and looks after them.

use std::process::ExitCode;

fn main() -> ExitCode {
    messina::cli::projection_runner(orders::service::orders())
}
