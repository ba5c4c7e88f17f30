//! Why a command ends, and how it says so.

use std::error::Error;
use std::process::ExitCode;

use scylla::errors::NewSessionError;

use crate::cli::service::{HandlerFailure, UnknownName};
use crate::cli::settings::SettingsError;
use crate::consumer::{ControlError, DeadLetterError, GroupError};
use crate::projection::RebuildError;
use crate::read_model::ReadModelError;
use crate::schema::{Difference, SchemaError};
use crate::store::{DatabaseError, StoreError};

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandLineError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A name that nothing has.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    /// An argument that clap cannot judge.
    #[error("{0}")]
    Usage(String),
    /// The database does not answer.
    #[error("no ScyllaDB answers at {address}")]
    Connect {
        /// Where it was looked for.
        address: String,
        /// What the driver says.
        source: Box<NewSessionError>,
    },
    /// The keyspace lacks tables, or has older ones.
    #[error(
        "keyspace {keyspace} is not ready: {}{}",
        differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        remedy(differences)
    )]
    NotReady {
        /// Which.
        keyspace: String,
        /// What is missing or different.
        differences: Vec<Difference>,
    },
    /// The schema cannot be applied or looked at.
    #[error(transparent)]
    Schema(SchemaError),
    /// The event store.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// The database.
    #[error("{what}: {source}")]
    Database {
        /// What was tried.
        what: &'static str,
        /// What it said.
        source: DatabaseError,
    },
    /// A consumer group.
    #[error(transparent)]
    Group(Box<GroupError>),
    /// A group's handler cannot be made.
    #[error("group {group} cannot start: {source}")]
    Handler {
        /// Which.
        group: String,
        /// Why.
        source: HandlerFailure,
    },
    /// A rebuild.
    #[error(transparent)]
    Rebuild(Box<RebuildError>),
    /// A group cannot be controlled so.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A read model's version cannot be read.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// Dead letters.
    #[error(transparent)]
    DeadLetter(#[from] DeadLetterError),
    /// The process's own surroundings: signals, terminal, runtime.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

impl CommandLineError {
    /// 2 for what the caller can set right by another call, 1 for everything else.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::UnknownName(_) | Self::Usage(_) => 2,
            Self::Rebuild(error) if matches!(**error, RebuildError::Settings(_)) => 2,
            _ => 1,
        }
    }
}

impl From<SchemaError> for CommandLineError {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::Different { keyspace, differences } => {
                Self::NotReady { keyspace, differences }
            }
            error => Self::Schema(error),
        }
    }
}

impl From<StoreError> for CommandLineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Schema(error @ SchemaError::Different { .. }) => error.into(),
            error => Self::Store(Box::new(error)),
        }
    }
}

impl From<GroupError> for CommandLineError {
    fn from(error: GroupError) -> Self {
        Self::Group(Box::new(error))
    }
}

impl From<RebuildError> for CommandLineError {
    fn from(error: RebuildError) -> Self {
        Self::Rebuild(Box::new(error))
    }
}

fn remedy(differences: &[Difference]) -> String {
    match Difference::remedies(differences).join(", then ") {
        none if none.is_empty() => none,
        commands => format!("; to set it right: {commands}"),
    }
}

/// What a command found, when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Well,
    /// It looked, and something is not as it should be: differences, findings.
    Findings,
    /// A signal ended it before its end; it can be gone on with.
    Interrupted,
}

/// Ends a command: one line on standard error, with `verbose` its causes too.
pub(crate) fn exit(result: Result<Outcome, CommandLineError>, verbose: bool) -> ExitCode {
    let error = match result {
        Ok(Outcome::Well) => return ExitCode::SUCCESS,
        Ok(Outcome::Findings) => return ExitCode::from(3),
        // As shells say of a command that Ctrl-C ended.
        Ok(Outcome::Interrupted) => return ExitCode::from(130),
        Err(error) => error,
    };
    let mut said = error.to_string();
    eprintln!("error: {}", said.replace('\n', "; "));
    let mut cause = error.source();
    let mut more = false;
    while let Some(source) = cause {
        // Many errors repeat their cause in their own text.
        let text = source.to_string();
        if !said.contains(&text) {
            if verbose {
                eprintln!("  caused by: {}", text.replace('\n', "; "));
            }
            more = true;
            said = text;
        }
        cause = source.source();
    }
    if more && !verbose {
        eprintln!("  (-v shows what caused it)");
    }
    ExitCode::from(error.exit_code())
}
