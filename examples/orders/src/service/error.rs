//! Why a binary stops, and how it says so.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use messina::consumer::GroupError;
use messina::import::ImportError;
use messina::publisher::PublisherError;
use messina::schema::SchemaError;
use messina::{StoreError, schema::Difference};
use scylla::errors::NewSessionError;

use crate::data::FileError;

/// Why a binary stops.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The database does not answer.
    #[error("no ScyllaDB answers at {address}")]
    Database {
        /// Where it was looked for.
        address: String,
        /// What the driver says.
        source: Box<NewSessionError>,
    },
    /// The keyspace lacks tables, or has older ones.
    #[error(
        "keyspace {keyspace} is not ready:\n{}\nto set it right: {}",
        .differences.iter().map(|d| format!("  - {d}")).collect::<Vec<_>>().join("\n"),
        Difference::remedies(.differences).join(", then ")
    )]
    NotReady {
        /// Which.
        keyspace: String,
        /// What is missing or different.
        differences: Vec<Difference>,
    },
    /// The schema cannot be applied or looked at.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The write side.
    #[error(transparent)]
    Store(Box<StoreError>),
    /// A consumer group.
    #[error(transparent)]
    Group(Box<GroupError>),
    /// The publisher.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// A read model that is queried.
    #[error(transparent)]
    ReadModel(#[from] messina::read_model::ReadModelError),
    /// A file of orders.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file that is to be imported.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// An import has stopped.
    #[error(transparent)]
    Import(Box<ImportError>),
    /// An order's command failed for another reason than the domain's.
    #[error("order {order}: {reason}")]
    Command {
        /// The order's number where it comes from.
        order: String,
        /// What was answered.
        reason: String,
    },
    /// Something of the demonstration's own.
    #[error("{0}")]
    Demo(String),
    /// The process's own surroundings: signals, terminal.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
}

impl From<GroupError> for ServiceError {
    fn from(error: GroupError) -> Self {
        Self::Group(Box::new(error))
    }
}

impl From<ImportError> for ServiceError {
    fn from(error: ImportError) -> Self {
        Self::Import(Box::new(error))
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// Ends a binary: 0, or 1 with the error and what caused it on standard error.
pub fn exit(result: Result<(), ServiceError>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Many errors repeat their cause in their own text.
        let text = error.to_string();
        if !said.contains(&text) {
            eprintln!("  caused by: {text}");
            said = text;
        }
        cause = error.source();
    }
    ExitCode::FAILURE
}
