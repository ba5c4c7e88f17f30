//! A node for tests, with rows shown as text.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{Engine, EngineConfig};
use crate::error::{CqlError, Result};
use crate::request::{ClientState, Consistency, Outcome, QueryParameters, Rows, Value};
use crate::types::to_text;

pub(super) struct Node {
    pub(super) engine: Arc<Engine>,
    pub(super) state: ClientState,
}

pub(super) fn parameters(values: Vec<Value>) -> QueryParameters {
    QueryParameters {
        consistency: Consistency::One,
        serial_consistency: None,
        values,
        names: None,
        page_size: None,
        paging_state: None,
        default_timestamp: None,
        effects: crate::faults::Effects::default(),
    }
}

pub(super) fn int(value: i32) -> Value {
    Value::Bytes(Bytes::copy_from_slice(&value.to_be_bytes()))
}

pub(super) fn bigint(value: i64) -> Value {
    Value::Bytes(Bytes::copy_from_slice(&value.to_be_bytes()))
}

pub(super) fn text(value: &str) -> Value {
    Value::Bytes(Bytes::copy_from_slice(value.as_bytes()))
}

/// Rows as `a | b`, null as `null`.
pub(super) fn shown(rows: &Rows) -> Vec<String> {
    let mut data = rows.data.clone();
    let mut lines = Vec::new();
    for _ in 0..rows.count {
        let mut cells = Vec::new();
        for column in rows.columns.iter() {
            let length = i32::from_be_bytes(data.split_to(4).as_ref().try_into().unwrap());
            cells.push(match usize::try_from(length) {
                Ok(length) => to_text(&column.cql_type, &data.split_to(length)),
                Err(_) => "null".to_owned(),
            });
        }
        lines.push(cells.join(" | "));
    }
    assert!(data.is_empty(), "bytes left behind the rows");
    lines
}

impl Node {
    /// With a keyspace `k` in use.
    pub(super) fn new() -> Self {
        let engine = Engine::new(EngineConfig::default()).unwrap();
        let mut node = Node { engine, state: ClientState::default() };
        node.ok("CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}");
        node.ok("USE k");
        node
    }

    pub(super) fn with(statements: &[&str]) -> Self {
        let mut node = Node::new();
        for statement in statements {
            node.ok(statement);
        }
        node
    }

    pub(super) fn try_run(&mut self, statement: &str, values: Vec<Value>) -> Result<Outcome> {
        let engine = self.engine.clone();
        engine.query(&mut self.state, statement, &parameters(values))
    }

    #[track_caller]
    pub(super) fn ok(&mut self, statement: &str) {
        if let Err(error) = self.try_run(statement, Vec::new()) {
            panic!("{statement}: {error}");
        }
    }

    #[track_caller]
    pub(super) fn rows_of(&mut self, statement: &str, values: Vec<Value>) -> Rows {
        match self.try_run(statement, values) {
            Ok(Outcome::Rows(rows)) => rows,
            other => panic!("{statement}: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn rows(&mut self, statement: &str) -> Vec<String> {
        shown(&self.rows_of(statement, Vec::new()))
    }

    #[track_caller]
    pub(super) fn error(&mut self, statement: &str) -> CqlError {
        match self.try_run(statement, Vec::new()) {
            Err(error) => error,
            Ok(outcome) => panic!("{statement}: not refused, {outcome:?}"),
        }
    }

    #[track_caller]
    pub(super) fn refusal(&mut self, statement: &str) -> String {
        self.error(statement).message
    }

    /// All rows by pages of a size, with the pages' sizes.
    pub(super) fn pages(&mut self, statement: &str, size: i32) -> (Vec<String>, Vec<i32>) {
        let mut request = parameters(Vec::new());
        request.page_size = Some(size);
        let (mut all, mut sizes) = (Vec::new(), Vec::new());
        loop {
            let engine = self.engine.clone();
            match engine.query(&mut self.state, statement, &request) {
                Ok(Outcome::Rows(rows)) => {
                    sizes.push(rows.count);
                    all.extend(shown(&rows));
                    match rows.paging_state {
                        Some(state) => request.paging_state = Some(state),
                        None => return (all, sizes),
                    }
                }
                other => panic!("{statement}: {other:?}"),
            }
        }
    }
}
