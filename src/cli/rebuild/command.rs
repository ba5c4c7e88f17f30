//! From the command line to the rebuild.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::arguments::{Arguments, Command, RebuildArguments, Work};
use super::report;
use super::shown::Shown;
use crate::cli::connect::{store_to_rebuild, store_with_tables};
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output::Output;
use crate::cli::service::Service;
use crate::cli::settings::{REBUILD, Settings};
use crate::cli::{front, pages};
use crate::consumer::GroupSettings;
use crate::projection::{Rebuild, RebuildMode, Verify};

const NAME: &str = "rebuild-projection";

/// The whole of a `rebuild-projection`: reads arguments, environment and configuration file,
/// rebuilds or verifies, and says how it ended.
///
/// Exit codes: 0 done; 1 something failed; 2 the flags or the configuration make no sense;
/// 3 `verify` found rows that differ; 130 interrupted, and to be gone on with.
pub fn rebuild_projection(service: Service) -> ExitCode {
    front::answer(NAME, REBUILD, &service, |arguments: Arguments, settings, program| {
        match (arguments.command, arguments.name) {
            (Some(Command::Completions { shell }), _) => pages::completions(program, NAME, shell),
            (Some(Command::Man), _) => pages::manual(program),
            (Some(Command::Verify { name, work }), _) => {
                front::block_on(settings, false, verify(&name, work, &service, settings))
            }
            (None, Some(name)) => {
                let work = rebuild(&name, arguments.rebuild, &service, settings);
                front::block_on(settings, false, work)
            }
            // Refused by the parser.
            (None, None) => Err(CommandLineError::Usage("name a projection".to_owned())),
        }
    })
}

async fn rebuild(
    name: &str,
    arguments: RebuildArguments,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    let work = &arguments.work;
    let projection = service.projection_named(name)?;
    let stop = stop_on_signals()?;
    let store = if arguments.mode == RebuildMode::Beside {
        store_to_rebuild(service, settings, name).await?
    } else {
        store_with_tables(service, settings).await?
    };
    let mut rebuild = Rebuild::new(store, projection)
        .mode(arguments.mode)
        .parallel(work.parallel.into())
        .on_error(work.on_error)
        .from_scratch(arguments.from_scratch)
        .verify_before_switch(!arguments.no_verify)
        .following(GroupSettings {
            safety_interval: settings.duration("safety_interval"),
            sweep_interval: settings.duration("sweep_interval"),
            ..GroupSettings::default()
        })
        .stop_on(stop.clone());
    if let Some(rate) = work.rate {
        rebuild = rebuild.rate(rate.into());
    }
    if let Some(id) = arguments.only_aggregate {
        rebuild = rebuild.only_aggregate(id);
    }
    let plan = rebuild.plan().await?;
    if arguments.dry_run {
        report::plan(&plan, work.output)?;
        return Ok(Outcome::Well);
    }
    if arguments.drop_old {
        if plan.old_versions.is_empty() {
            report::dropped(name, &[], work.output)?;
            return Ok(Outcome::Well);
        }
        let versions: Vec<String> = plan.old_versions.iter().map(ToString::to_string).collect();
        confirm(arguments.yes, &format!("drop version {} of {}", versions.join(", "), name))?;
        let dropped = rebuild.drop_old().await?;
        report::dropped(name, &dropped, work.output)?;
        return Ok(Outcome::Well);
    }
    if plan.mode == RebuildMode::Truncate && plan.resumes_at.is_none() {
        confirm(arguments.yes, &format!("empty {}", plan.tables.join(", ")))?;
    }
    let mut shown = Shown::new(work.output == Output::Table);
    let result = rebuild.run(|progress| shown.update(&progress)).await;
    shown.finish();
    if result.is_err() && stop.is_cancelled() {
        return Ok(interrupted());
    }
    let result = result?;
    if let Some(id) = arguments.only_aggregate
        && result.events == 0
    {
        return Err(CommandLineError::Usage(format!(
            "aggregate {id} has no events that {name} follows in keyspace {}",
            settings.text("keyspace")
        )));
    }
    report::rebuilt(&result, work.output)?;
    Ok(Outcome::Well)
}

async fn verify(
    name: &str,
    work: Work,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    let projection = service.projection_named(name)?;
    let stop = stop_on_signals()?;
    let store = store_with_tables(service, settings).await?;
    let mut verify = Verify::new(store, projection)
        .parallel(work.parallel.into())
        .on_error(work.on_error)
        .stop_on(stop.clone());
    if let Some(rate) = work.rate {
        verify = verify.rate(rate.into());
    }
    let mut shown = Shown::new(work.output == Output::Table);
    let result = verify.run(|progress| shown.update(&progress)).await;
    shown.finish();
    if result.is_err() && stop.is_cancelled() {
        return Ok(interrupted());
    }
    let found = result?;
    report::verified(&found, work.output)?;
    Ok(if found.is_equal() { Outcome::Well } else { Outcome::Findings })
}

/// The same command goes on: it is what the shell has in its history.
fn interrupted() -> Outcome {
    let again: Vec<String> = std::env::args().collect();
    // No argument has a NUL, which is all that it refuses.
    let again = shlex::try_join(again.iter().map(String::as_str)).unwrap_or_default();
    eprintln!("interrupted: what is done is kept; go on with: {again}");
    Outcome::Interrupted
}

/// Asks on a terminal; elsewhere `--yes` must have been given.
fn confirm(yes: bool, what: &str) -> Result<(), CommandLineError> {
    if yes {
        return Ok(());
    }
    let refused = || CommandLineError::Usage(format!("this would {what}: say so with --yes"));
    if !std::io::stdin().is_terminal() {
        return Err(refused());
    }
    let system = |source| CommandLineError::System { what: "asking", source };
    eprint!("This will {what}. Go on? [y/N] ");
    std::io::stderr().flush().map_err(system)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(system)?;
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { Err(refused()) }
}

/// Cancelled by SIGINT or SIGTERM; a second signal ends the process at once.
fn stop_on_signals() -> Result<CancellationToken, CommandLineError> {
    let system = |source| CommandLineError::System { what: "listening for signals", source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if last {
                std::process::exit(130);
            }
            stop.cancel();
        }
    });
    Ok(token)
}
