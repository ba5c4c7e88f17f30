//! The errors of a cluster in trouble, ready to be answered with.

use crate::error::{CqlError, ErrorKind};

/// What a `WRITE_TIMEOUT` can say that it was writing.
pub(super) const WRITE_TYPES: [&str; 6] =
    ["SIMPLE", "BATCH", "BATCH_LOG", "UNLOGGED_BATCH", "CAS", "COUNTER"];

fn error(kind: ErrorKind, message: &str) -> CqlError {
    CqlError { kind, message: message.to_owned() }
}

/// The node has too much to do; nothing was done.
pub fn overloaded() -> CqlError {
    error(ErrorKind::Overloaded, "Overloaded (asked for by a fault)")
}

/// Not enough replicas are alive; nothing was done.
pub fn unavailable() -> CqlError {
    error(ErrorKind::Unavailable, "Not enough replicas are alive (asked for by a fault)")
}

/// Replicas did not answer a read in time.
pub fn read_timeout() -> CqlError {
    error(ErrorKind::ReadTimeout, "Operation timed out: no replica answered (asked for by a fault)")
}

/// Replicas did not answer a write in time. `write_type`: `SIMPLE`, `BATCH`, `BATCH_LOG`
/// (the batch was not begun), `UNLOGGED_BATCH`, `CAS` or `COUNTER`.
pub fn write_timeout(write_type: &'static str) -> CqlError {
    error(
        ErrorKind::WriteTimeout { write_type },
        "Operation timed out: no replica answered (asked for by a fault)",
    )
}

/// A defect of the server.
pub fn server_error() -> CqlError {
    error(ErrorKind::ServerError, "Server error (asked for by a fault)")
}
