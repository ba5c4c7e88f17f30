//! What `wire` hands to the engine and what it gets back: the seam between the
//! protocol and the database.

use std::sync::Arc;

use bytes::Bytes;

use crate::faults::Effects;
use crate::types::CqlType;

/// A bound value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Serialized in the protocol's format.
    Bytes(Bytes),
    /// NULL.
    Null,
    /// Not set (protocol v4): leaves a column as it is.
    Unset,
}

/// Consistency levels. On one node they change nothing but what is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Consistency {
    Any,
    One,
    Two,
    Three,
    Quorum,
    All,
    LocalQuorum,
    EachQuorum,
    Serial,
    LocalSerial,
    LocalOne,
}

/// The parameters of QUERY and EXECUTE (native_protocol_v4.spec, section 4.1.4).
#[derive(Debug, Clone)]
pub struct QueryParameters {
    /// Consistency of the statement.
    pub consistency: Consistency,
    /// Serial consistency of a conditional statement.
    pub serial_consistency: Option<Consistency>,
    /// Bound values in order.
    pub values: Vec<Value>,
    /// Their names, when bound by name (as many as values).
    pub names: Option<Vec<String>>,
    /// Rows per page; `None`: unpaged.
    pub page_size: Option<i32>,
    /// Where the previous page ended: opaque bytes that the engine made.
    pub paging_state: Option<Bytes>,
    /// The client's default timestamp, µs.
    pub default_timestamp: Option<i64>,
    /// What a fault does to it.
    pub effects: Effects,
}

/// A statement of a BATCH frame.
#[derive(Debug, Clone)]
pub struct BatchItem {
    /// The text or the prepared statement.
    pub statement: BatchStatement,
    /// Its bound values.
    pub values: Vec<Value>,
}

/// How a BATCH frame names a statement.
#[derive(Debug, Clone)]
pub enum BatchStatement {
    /// By its text.
    Text(String),
    /// By the id of an earlier PREPARE.
    Prepared([u8; 16]),
}

/// A BATCH frame (native_protocol_v4.spec, section 4.1.7).
#[derive(Debug, Clone)]
pub struct BatchRequest {
    /// Logged, unlogged or counter.
    pub kind: crate::parse::ast::BatchKind,
    /// The statements.
    pub items: Vec<BatchItem>,
    /// Consistency of the batch.
    pub consistency: Consistency,
    /// Serial consistency of a conditional batch.
    pub serial_consistency: Option<Consistency>,
    /// The client's default timestamp, µs.
    pub default_timestamp: Option<i64>,
    /// What a fault does to it.
    pub effects: Effects,
}

/// What a client's connection remembers between statements.
#[derive(Debug, Clone, Default)]
pub struct ClientState {
    /// Set by `USE`.
    pub keyspace: Option<String>,
}

/// A column of a result, or a bind marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Keyspace of the table it comes from.
    pub keyspace: String,
    /// Table it comes from.
    pub table: String,
    /// Its name (for `count(*)` and the like: as ScyllaDB names it).
    pub name: String,
    /// Its type.
    pub cql_type: CqlType,
}

/// What PREPARE returns.
#[derive(Debug, Clone)]
pub struct PreparedInfo {
    /// MD5 of keyspace and text.
    pub id: [u8; 16],
    /// The bind markers.
    pub markers: Arc<[ColumnSpec]>,
    /// Indices of the markers that make up the partition key, in key order; empty if
    /// not all of it is bound.
    pub partition_key: Arc<[u16]>,
    /// The result's columns; empty when it has none.
    pub columns: Arc<[ColumnSpec]>,
    /// Whether it is conditional (the LWT mark of ScyllaDB's protocol extension).
    pub is_lwt: bool,
}

/// The outcome of a statement.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Nothing to say.
    Void,
    /// Rows.
    Rows(Rows),
    /// `USE`.
    SetKeyspace(String),
    /// DDL; also pushed as an event to connections that registered for it.
    SchemaChange(SchemaChange),
}

/// A page of rows, encoded already: for each row, for each column, `[bytes]`
/// (i32 length, −1 for null, then the value), as a ROWS result wants it.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The columns.
    pub columns: Arc<[ColumnSpec]>,
    /// How many rows `data` holds.
    pub count: i32,
    /// The rows' content.
    pub data: Bytes,
    /// Where the next page begins, if there may be one.
    pub paging_state: Option<Bytes>,
}

/// A schema change (native_protocol_v4.spec, section 4.2.5.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChange {
    /// `CREATED`, `UPDATED` or `DROPPED`.
    pub change: &'static str,
    /// `KEYSPACE`, `TABLE` or `TYPE`.
    pub target: &'static str,
    /// The keyspace.
    pub keyspace: String,
    /// The table or type; empty for a keyspace.
    pub name: String,
}
