//! What every command line begins with: arguments, configuration, log, runtime.

use std::process::ExitCode;

use clap::{Command, CommandFactory, FromArgMatches};

use crate::cli::error::{CommandLineError, Outcome, exit};
use crate::cli::service::Service;
use crate::cli::settings::{self, Setting, Settings};
use crate::cli::{logging, output};

/// Reads the arguments of the program `name` and its settings, has `carry_out` do what they
/// ask (it is given the arguments, the settings, and what clap knows of the program), and
/// says how it ended. `--print-config` is answered here.
pub(crate) fn answer<A: CommandFactory + FromArgMatches>(
    name: &'static str,
    known: &'static [Setting],
    service: &Service,
    carry_out: impl FnOnce(A, &Settings, Command) -> Result<Outcome, CommandLineError>,
) -> ExitCode {
    let command = settings::add_to(A::command().name(name).version(service.version), known);
    let mut matches = match command.clone().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => error.exit(),
    };
    let configured = Settings::resolve(&matches, known, &service.keyspace);
    let print_config = matches.get_flag("print_config");
    let verbose = matches.get_flag("verbose");
    let arguments = match A::from_arg_matches_mut(&mut matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let result = configured.map_err(CommandLineError::from).and_then(|settings| {
        if print_config {
            output::line(settings::print(&settings).trim_end())?;
            return Ok(Outcome::Well);
        }
        carry_out(arguments, &settings, command)
    });
    exit(result, verbose)
}

/// Does this in a runtime, with a log as configured; quiet, unless it runs for long.
pub(crate) fn block_on(
    settings: &Settings,
    long_running: bool,
    work: impl Future<Output = Result<Outcome, CommandLineError>>,
) -> Result<Outcome, CommandLineError> {
    logging::start(settings, long_running)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| CommandLineError::System { what: "starting the runtime", source })?;
    runtime.block_on(work)
}
