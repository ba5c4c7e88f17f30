//! From the command line to what it asks for.

use std::process::ExitCode;

use super::arguments::{Arguments, Command};
use super::control::Wanted;
use super::{checkpoints, control, dead_letters, doctor, events, run, schema, status};
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::service::Service;
use crate::cli::settings::{RUNNER, Settings};
use crate::cli::{front, pages};

const NAME: &str = "projection-runner";

/// The whole of a `projection-runner`: reads arguments, environment and configuration file,
/// does what they ask, and says how it ended.
///
/// `run`, `checkpoints`, `schema`, `events`, `doctor` and more: `--help` lists them.
///
/// Exit codes: 0 all is well; 1 something failed; 2 the flags or the configuration make no
/// sense; 3 it was looked, and something is not as it should be.
pub fn projection_runner(service: Service) -> ExitCode {
    front::answer(NAME, RUNNER, &service, |arguments: Arguments, settings, program| match arguments
        .command
        .unwrap_or(Command::Run)
    {
        Command::Completions { shell } => pages::completions(program, NAME, shell),
        Command::Man => pages::manual(program),
        command => {
            let runs = matches!(command, Command::Run);
            front::block_on(settings, runs, carry_out(command, &service, settings))
        }
    })
}

async fn carry_out(
    command: Command,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    match command {
        Command::Run => run::run(service, settings).await,
        Command::Status { watch, output } => {
            status::run(watch.map(Into::into), output, service, settings).await
        }
        Command::Pause { group, wait } => {
            control::run(&group, Wanted::Pause { wait: *wait }, service, settings).await
        }
        Command::Resume { group } => control::run(&group, Wanted::Resume, service, settings).await,
        Command::Stop { group } => control::run(&group, Wanted::Stop, service, settings).await,
        Command::Slices { group, slices } => {
            control::run(&group, Wanted::Slices(slices), service, settings).await
        }
        Command::Checkpoints(command) => checkpoints::run(command, service, settings).await,
        Command::DeadLetters(command) => dead_letters::run(command, service, settings).await,
        Command::Schema(command) => schema::run(command, service, settings).await,
        Command::Events(command) => events::run(command, service, settings).await,
        Command::Doctor { output } => doctor::run(output, service, settings).await,
        // They need no database and have been answered.
        Command::Completions { .. } | Command::Man => Ok(Outcome::Well),
    }
}
