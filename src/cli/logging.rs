//! Logs: for people on a terminal, JSON for what collects them elsewhere.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::error::CommandLineError;
use crate::cli::settings::Settings;

/// Begins to log on standard error, as configured. A command that looks and answers is
/// quiet unless it is told otherwise: what it has to say it prints.
pub(crate) fn start(settings: &Settings, long_running: bool) -> Result<(), CommandLineError> {
    let quiet = !long_running && !settings.is_set("log");
    let filter =
        EnvFilter::try_new(if quiet { "off" } else { settings.text("log") }).map_err(|error| {
            CommandLineError::Usage(format!(
                "log: {error}; write it like info or warn,messina=debug"
            ))
        })?;
    let human = match settings.text("log_format") {
        "human" => true,
        "json" => false,
        _ => std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Set already: the service's own main does it. That one is kept.
    let _ = if human { builder.try_init() } else { builder.json().try_init() };
    Ok(())
}
