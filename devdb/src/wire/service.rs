//! A request's way through the engine, and the faults that a test put in that way.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::BytesMut;
use parking_lot::{Mutex, RwLock};

use crate::engine::{Engine, PreparedStatement};
use crate::error::{CqlError, ErrorKind};
use crate::faults::{FaultAction, Target};
use crate::request::{
    BatchRequest, BatchStatement, ClientState, ColumnSpec, Consistency, Outcome, Rows,
};

use super::request::Request;
use super::response::{Envelope, RowsMetadata, metadata_id};

/// More than this many ids of result metadata are not remembered: they are computed again.
const MAX_METADATA_IDS: usize = 10_000;

/// The columns of a prepared statement's result, and their metadata's id.
type ResultMetadata = (Arc<[ColumnSpec]>, [u8; 16]);

/// What answers requests.
#[derive(Debug)]
pub(super) struct Service {
    engine: Arc<Engine>,
    /// By the id of the prepared statement: its columns and their metadata's id.
    metadata_ids: RwLock<HashMap<[u8; 16], ResultMetadata>>,
}

impl Service {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, metadata_ids: RwLock::default() }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The fault that hits a request, if any.
    pub(super) fn fault_for(
        &self,
        state: &Mutex<ClientState>,
        request: &Request,
    ) -> Option<FaultAction> {
        let faults = self.engine.faults();
        if faults.is_empty() {
            return None;
        }
        let client = || state.lock().clone();
        let target = match request {
            Request::Query { text, .. } => self.engine.target(&client(), text),
            Request::Prepare { text } => self.engine.target(&client(), text).prepare(),
            Request::Execute { id, .. } => self.engine.target_of(&*self.engine.prepared(id)?),
            Request::Batch(batch) => self.target_of_batch(&client(), batch),
            Request::Options | Request::Startup(_) | Request::Register(_) => return None,
        };
        faults.action_for(&target)
    }

    fn target_of_batch(&self, client: &ClientState, batch: &BatchRequest) -> Target {
        Target::batch(batch.items.iter().map(|item| match &item.statement {
            BatchStatement::Text(text) => self.engine.target(client, text),
            BatchStatement::Prepared(id) => match self.engine.prepared(id) {
                Some(prepared) => self.engine.target_of(&prepared),
                None => Target::default(),
            },
        }))
    }

    /// Executes a request and appends its response; `false`: that is an error.
    pub(super) fn answer(
        &self,
        envelope: &Envelope,
        state: &Mutex<ClientState>,
        request: &Request,
        out: &mut BytesMut,
    ) -> bool {
        let start = out.len();
        let attempt =
            catch_unwind(AssertUnwindSafe(|| self.try_answer(envelope, state, request, out)));
        let error = match attempt {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error,
            Err(_) => {
                tracing::error!(?request, "a request made the engine panic");
                CqlError::server("internal error of messina-devdb: a request made it panic")
            }
        };
        out.truncate(start);
        envelope.error(out, &error, consistency_of(request));
        false
    }

    fn try_answer(
        &self,
        envelope: &Envelope,
        state: &Mutex<ClientState>,
        request: &Request,
        out: &mut BytesMut,
    ) -> Result<(), CqlError> {
        let mut client = state.lock().clone();
        let (outcome, prepared) = match request {
            Request::Query { text, parameters, .. } => {
                (self.engine.query(&mut client, text, parameters)?, None)
            }
            Request::Execute { id, parameters, .. } => {
                let prepared = self.engine.prepared(id).ok_or_else(|| unprepared(*id))?;
                (self.engine.execute(&mut client, &prepared, parameters)?, Some(prepared))
            }
            Request::Batch(batch) => (self.engine.batch(&mut client, batch)?, None),
            Request::Prepare { text } => {
                let prepared = self.engine.prepare(&client, text)?;
                envelope.prepared(out, &prepared.info);
                return Ok(());
            }
            Request::Options | Request::Startup(_) | Request::Register(_) => {
                return Err(CqlError::server("a request of the connection reached the engine"));
            }
        };
        match outcome {
            Outcome::Void => envelope.void(out),
            Outcome::Rows(rows) => {
                let metadata = self.rows_metadata(request, prepared.as_deref(), &rows);
                envelope.rows(out, &rows, &metadata);
            }
            Outcome::SetKeyspace(keyspace) => {
                envelope.set_keyspace(out, &keyspace);
                state.lock().keyspace = Some(keyspace);
            }
            Outcome::SchemaChange(change) => envelope.schema_change(out, &change),
        }
        Ok(())
    }

    /// Whether the client knows the columns of these rows.
    fn rows_metadata(
        &self,
        request: &Request,
        prepared: Option<&PreparedStatement>,
        rows: &Rows,
    ) -> RowsMetadata {
        match (request, prepared) {
            (Request::Query { skip_metadata: true, .. }, _) => RowsMetadata::Skipped,
            (Request::Execute { skip_metadata: true, metadata_id: Some(known), id, .. }, _) => {
                let current = self.metadata_id(*id, &rows.columns);
                if current == known[..] {
                    RowsMetadata::Skipped
                } else {
                    RowsMetadata::Changed(current)
                }
            }
            (Request::Execute { skip_metadata: true, .. }, Some(prepared)) => {
                let columns = &prepared.info.columns;
                if Arc::ptr_eq(columns, &rows.columns) || *columns == rows.columns {
                    RowsMetadata::Skipped
                } else {
                    RowsMetadata::Full
                }
            }
            _ => RowsMetadata::Full,
        }
    }

    fn metadata_id(&self, statement: [u8; 16], columns: &Arc<[ColumnSpec]>) -> [u8; 16] {
        if let Some((known, id)) = self.metadata_ids.read().get(&statement)
            && Arc::ptr_eq(known, columns)
        {
            return *id;
        }
        let id = metadata_id(columns);
        let mut ids = self.metadata_ids.write();
        if ids.len() >= MAX_METADATA_IDS {
            ids.clear();
        }
        ids.insert(statement, (columns.clone(), id));
        id
    }
}

fn unprepared(id: [u8; 16]) -> CqlError {
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    CqlError {
        kind: ErrorKind::Unprepared { id },
        message: format!("No prepared statement with ID {hex} found."),
    }
}

pub(super) fn consistency_of(request: &Request) -> Option<Consistency> {
    match request {
        Request::Query { parameters, .. } | Request::Execute { parameters, .. } => {
            Some(parameters.consistency)
        }
        Request::Batch(batch) => Some(batch.consistency),
        Request::Options | Request::Startup(_) | Request::Register(_) | Request::Prepare { .. } => {
            None
        }
    }
}
