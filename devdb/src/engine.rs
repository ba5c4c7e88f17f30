//! The database behind the protocol: what `wire` calls.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::error::{CqlError, Result};
use crate::request::{BatchRequest, ClientState, Outcome, PreparedInfo, QueryParameters, SchemaChange};

/// What a node is told at its start.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// `system.local.cluster_name`.
    pub cluster_name: String,
    /// The address that clients reach the node at (`rpc_address`).
    pub address: IpAddr,
    /// The port that clients reach the node at.
    pub port: u16,
    /// Tokens that the node owns; scylla-cdc runs one reader for each, so few.
    pub vnodes: usize,
    /// Whether CREATE KEYSPACE takes `tablets = {…}`, as ScyllaDB does from 6.0 on.
    pub knows_tablets: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cluster_name: "messina-devdb".to_owned(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 9042,
            vnodes: 8,
            knows_tablets: true,
        }
    }
}

/// A statement that was prepared: its text, what PREPARE answers, and its plan.
#[derive(Debug)]
pub struct PreparedStatement {
    /// What PREPARE answers.
    pub info: PreparedInfo,
    /// The text it was prepared from.
    pub text: String,
}

/// The database: one node, in memory. All methods are synchronous and may be called
/// from any thread.
#[derive(Debug)]
pub struct Engine {
    schema_changes: broadcast::Sender<SchemaChange>,
}

impl Engine {
    /// A new, empty node.
    pub fn new(_config: EngineConfig) -> Result<Arc<Engine>> {
        let (schema_changes, _) = broadcast::channel(1024);
        Ok(Arc::new(Engine { schema_changes }))
    }

    /// PREPARE: resolves the statement and keeps it under its id.
    pub fn prepare(&self, _state: &ClientState, _text: &str) -> Result<Arc<PreparedStatement>> {
        Err(CqlError::unsupported("PREPARE"))
    }

    /// The statement prepared under this id; `None` asks the client to prepare again.
    pub fn prepared(&self, _id: &[u8; 16]) -> Option<Arc<PreparedStatement>> {
        None
    }

    /// QUERY: parses, resolves and executes a text.
    pub fn query(&self, _state: &mut ClientState, _text: &str, _parameters: &QueryParameters) -> Result<Outcome> {
        Err(CqlError::unsupported("QUERY"))
    }

    /// EXECUTE.
    pub fn execute(
        &self,
        _state: &mut ClientState,
        _prepared: &PreparedStatement,
        _parameters: &QueryParameters,
    ) -> Result<Outcome> {
        Err(CqlError::unsupported("EXECUTE"))
    }

    /// A BATCH frame.
    pub fn batch(&self, _state: &mut ClientState, _batch: &BatchRequest) -> Result<Outcome> {
        Err(CqlError::unsupported("BATCH"))
    }

    /// Every schema change from now on.
    pub fn subscribe_schema(&self) -> broadcast::Receiver<SchemaChange> {
        self.schema_changes.subscribe()
    }
}
