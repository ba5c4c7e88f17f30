//! Errors as a CQL client sees them: a protocol code and ScyllaDB's text.

use std::fmt;

/// A refusal or failure, as it travels in an `ERROR` frame.
///
/// The texts are ScyllaDB's where ScyllaDB refuses the same thing; where only
/// devdb refuses (something it does not implement), the text says so and names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CqlError {
    /// What went wrong, which decides the protocol's error code.
    pub kind: ErrorKind,
    /// The text shown to the user.
    pub message: String,
}

/// The protocol's error codes that devdb answers with, and what some of them carry.
///
/// Source: native_protocol_v4.spec, section 9.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// 0x0000: a defect of the server.
    ServerError,
    /// 0x000A: the client broke the protocol.
    ProtocolError,
    /// 0x0100: wrong credentials.
    BadCredentials,
    /// 0x1000: not enough live replicas (only by fault injection).
    Unavailable,
    /// 0x1001: too busy (only by fault injection).
    Overloaded,
    /// 0x1100: a write timed out (only by fault injection).
    WriteTimeout {
        /// `SIMPLE`, `BATCH`, `BATCH_LOG`, `UNLOGGED_BATCH`, `CAS` or `COUNTER`.
        write_type: &'static str,
    },
    /// 0x1200: a read timed out (only by fault injection).
    ReadTimeout,
    /// 0x2000: the text is not CQL.
    SyntaxError,
    /// 0x2100: not allowed.
    Unauthorized,
    /// 0x2200: CQL, but not valid here.
    Invalid,
    /// 0x2300: a configuration (keyspace or table option) that cannot be.
    ConfigError,
    /// 0x2400: the keyspace (empty table) or table exists already.
    AlreadyExists {
        /// Keyspace name.
        keyspace: String,
        /// Table name, empty when the keyspace itself is meant.
        table: String,
    },
    /// 0x2500: EXECUTE or BATCH with an id that was never prepared here.
    Unprepared {
        /// The unknown id.
        id: [u8; 16],
    },
}

impl ErrorKind {
    /// The number on the wire.
    pub fn code(&self) -> i32 {
        match self {
            ErrorKind::ServerError => 0x0000,
            ErrorKind::ProtocolError => 0x000A,
            ErrorKind::BadCredentials => 0x0100,
            ErrorKind::Unavailable => 0x1000,
            ErrorKind::Overloaded => 0x1001,
            ErrorKind::WriteTimeout { .. } => 0x1100,
            ErrorKind::ReadTimeout => 0x1200,
            ErrorKind::SyntaxError => 0x2000,
            ErrorKind::Unauthorized => 0x2100,
            ErrorKind::Invalid => 0x2200,
            ErrorKind::ConfigError => 0x2300,
            ErrorKind::AlreadyExists { .. } => 0x2400,
            ErrorKind::Unprepared { .. } => 0x2500,
        }
    }
}

impl CqlError {
    /// 0x2200.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Invalid, message: message.into() }
    }
    /// 0x2000.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::SyntaxError, message: message.into() }
    }
    /// 0x2300.
    pub fn config(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::ConfigError, message: message.into() }
    }
    /// 0x2100.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Unauthorized, message: message.into() }
    }
    /// 0x000A.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::ProtocolError, message: message.into() }
    }
    /// 0x0000.
    pub fn server(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::ServerError, message: message.into() }
    }
    /// 0x2200 for what ScyllaDB can do and devdb cannot: `what` names the clause.
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Self::invalid(format!("messina-devdb does not support {what}"))
    }
}

impl fmt::Display for CqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Shorthand for results inside devdb.
pub type Result<T, E = CqlError> = std::result::Result<T, E>;
