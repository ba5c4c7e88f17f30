//! What a statement came to, in the words of the recording.

use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};

/// Why a statement has no result.
#[derive(Debug)]
pub enum Failure {
    /// The server refused it: kind with code as recorded, and message.
    Server {
        /// `SyntaxException 0x2000`, `InvalidRequest`, …
        kind: &'static str,
        /// The message as the recording client words it.
        message: String,
    },
    /// A driver refused it before it was sent.
    Driver(String),
}

impl Failure {
    /// The line of the recording.
    pub fn text(&self, any_message: bool) -> String {
        match self {
            Failure::Server { kind, .. } if any_message => format!("ERROR {kind}"),
            Failure::Server { kind, message } => format!("ERROR {kind}: {message}"),
            Failure::Driver(message) => format!("ERROR of the driver: {message}"),
        }
    }
}

/// Whether a recorded answer is a refusal of the client that recorded it, which is known
/// by Python's own exceptions.
pub fn is_refusal_of_client(recorded: &str) -> bool {
    ["ERROR TypeError", "ERROR ValueError"].iter().any(|prefix| recorded.starts_with(prefix))
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::LastAttemptError(attempt) => attempt.into(),
            ExecutionError::PrepareError(error) => error.into(),
            other => Failure::Driver(other.to_string()),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::AllAttemptsFailed { first_attempt } => first_attempt.into(),
            other => Failure::Driver(other.to_string()),
        }
    }
}

impl From<RequestAttemptError> for Failure {
    fn from(error: RequestAttemptError) -> Self {
        match error {
            RequestAttemptError::DbError(error, message) => server(&error, message),
            other => Failure::Driver(other.to_string()),
        }
    }
}

fn server(error: &DbError, message: String) -> Failure {
    let quoted = |code: &str, name: &str| {
        format!("Error from server: code={code} [{name}] message=\"{message}\"")
    };
    let (kind, message) = match error {
        DbError::SyntaxError => ("SyntaxException 0x2000", message),
        DbError::ConfigError => ("ConfigurationException 0x2300", message),
        DbError::Invalid => ("InvalidRequest", quoted("2200", "Invalid query")),
        DbError::Unauthorized => ("Unauthorized", quoted("2100", "Unauthorized")),
        DbError::AlreadyExists { keyspace, table } if table.is_empty() => {
            ("AlreadyExists", format!("Keyspace '{keyspace}' already exists"))
        }
        DbError::AlreadyExists { keyspace, table } => {
            ("AlreadyExists", format!("Table '{keyspace}.{table}' already exists"))
        }
        other => ("of a kind that no case expects", format!("{other}: {message}")),
    };
    Failure::Server { kind, message }
}
