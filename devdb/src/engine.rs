//! The database behind the protocol: what `wire` calls.

mod describe;
mod generations;
mod prepared;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use md5::{Digest, Md5};
use parking_lot::{Mutex, RwLock};
use tokio::sync::broadcast;
use uuid::Uuid;

pub use self::prepared::PreparedStatement;
use self::prepared::PreparedStatements;
use crate::cdc::Cdc;
use crate::error::{CqlError, ErrorKind, Result};
use crate::execute::{Executor, Item, ListSequence, TimeUuids, WriteParameters};
use crate::faults::{self, Console, Faults, Target};
use crate::journal::{Journal, JournalError, NodeState, Opened, Persisted};
use crate::parse::ast::Statement;
use crate::parse::parse_statement;
use crate::plan::{ModifyPlan, Plan, Planned, plan};
use crate::request::{
    BatchRequest, BatchStatement, ClientState, ColumnSpec, Outcome, PreparedInfo, QueryParameters,
    SchemaChange, Value,
};
use crate::schema::{self, Catalog, DdlContext, SchemaEdit, SharedCatalog};
use crate::store::{Clock, Database, TableSize};
use crate::system::{self, Identity};

/// How often expired data is looked for.
const PURGE_INTERVAL: Duration = Duration::from_millis(100);

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
    /// What goes wrong on demand.
    pub faults: Faults,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            cluster_name: "messina-devdb".to_owned(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 9042,
            vnodes: 8,
            knows_tablets: true,
            faults: Faults::default(),
        }
    }
}

/// The database: one node, in memory. All methods are synchronous and may be called
/// from any thread.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    catalog: SharedCatalog,
    /// Held while the schema changes: one DDL statement after the other.
    ddl: Mutex<()>,
    pub(crate) executor: Executor,
    console: Console,
    prepared: RwLock<PreparedStatements>,
    schema_changes: broadcast::Sender<SchemaChange>,
    /// How long the node is to be away, each time that somebody wants it to restart.
    restarts: broadcast::Sender<Duration>,
}

impl Engine {
    /// A new, empty node that keeps nothing.
    pub fn new(config: EngineConfig) -> Result<Arc<Engine>> {
        let (db, clock) = (Arc::new(Database::new()), Arc::new(Clock::new()));
        Self::start(config, db, clock, Persisted::default(), None)
    }

    /// The node of a data directory, and a new one if that is empty. Its tokens are those it
    /// had before, whatever the configuration says.
    pub fn recovered(config: EngineConfig, opened: Opened) -> Result<Arc<Engine>> {
        let Opened { journal, database, clock, persisted } = opened;
        Self::start(config, database, clock, persisted, Some(journal))
    }

    fn start(
        config: EngineConfig,
        db: Arc<Database>,
        clock: Arc<Clock>,
        persisted: Persisted,
        journal: Option<Journal>,
    ) -> Result<Arc<Engine>> {
        let (schema_changes, _) = broadcast::channel(1024);
        let clock_of_cdc = clock.clone();
        let is_new = persisted.node.is_none();
        let (host_id, cdc) = match persisted.node {
            Some(node) => (node.host_id, Cdc::restored(node.streams, clock_of_cdc)),
            None => (Uuid::new_v4(), Cdc::new(config.vnodes, clock_of_cdc)),
        };
        let catalog = SharedCatalog::default();
        catalog.store(persisted.catalog);
        let engine = Arc::new(Engine {
            catalog,
            ddl: Mutex::new(()),
            executor: Executor { db, cdc: Arc::new(cdc), clock, uuids: TimeUuids::new(), journal },
            console: Console::default(),
            prepared: RwLock::default(),
            schema_changes,
            restarts: broadcast::channel(16).0,
            config,
        });
        engine.bootstrap(host_id)?;
        if let Some(journal) = &engine.executor.journal
            && is_new
        {
            let streams = engine.executor.cdc.streams().state();
            journal.alone().node(NodeState { host_id, streams })?;
            journal.force()?;
        }
        let (db, clock) = (Arc::downgrade(&engine.executor.db), engine.executor.clock.clone());
        std::thread::Builder::new()
            .name("messina-devdb-purge".to_owned())
            .spawn(move || purge(&db, &clock))
            .map_err(|error| CqlError::server(format!("cannot start a thread: {error}")))?;
        Ok(engine)
    }

    fn bootstrap(&self, host_id: Uuid) -> Result<()> {
        let own = system::statements(self.config.knows_tablets);
        for text in own.into_iter().chain(faults::definitions()) {
            let statement = parse_statement(&text)?.statement;
            self.change_schema(&statement, None, true)?;
        }
        let generations = self.executor.cdc.streams().generations();
        let identity = Identity {
            cluster_name: self.config.cluster_name.clone(),
            address: self.config.address,
            host_id,
            tokens: generations
                .first()
                .map(|g| g.streams.iter().map(|(token, _)| *token).collect())
                .unwrap_or_default(),
        };
        let catalog = self.catalog.load();
        let timestamp = self.executor.clock.now_micros();
        let mut mutations =
            system::identity_mutations(&catalog, &identity, Uuid::new_v4(), timestamp)?;
        for name in catalog.keyspaces.keys() {
            mutations.extend(system::schema_mutations(&catalog, name, timestamp)?);
        }
        for generation in &generations {
            mutations.extend(system::generation_mutations(&catalog, generation, timestamp)?);
        }
        for mutation in &mutations {
            self.executor.db.apply(mutation)?;
        }
        self.describe_tablets(&catalog)
    }

    /// PREPARE: resolves the statement and keeps it under its id.
    pub fn prepare(&self, state: &ClientState, text: &str) -> Result<Arc<PreparedStatement>> {
        let mut digest = Md5::new();
        digest.update(state.keyspace.as_deref().unwrap_or_default());
        digest.update([0]);
        digest.update(text);
        let id: [u8; 16] = digest.finalize().into();
        if let Some(known) = self.prepared(&id) {
            return Ok(known);
        }
        loop {
            let catalog = self.catalog.load();
            let planned = plan(&catalog, state.keyspace.as_deref(), parse_statement(text)?)?;
            let prepared = Arc::new(PreparedStatement {
                info: PreparedInfo {
                    id,
                    markers: planned.markers.clone(),
                    partition_key: planned.partition_key.clone(),
                    columns: planned.columns.clone(),
                    is_lwt: planned.is_lwt,
                },
                text: text.to_owned(),
                planned,
            });
            let mut all = self.prepared.write();
            // DDL puts the catalog in place first and sifts this map after: a plan of an
            // older catalog must not come in behind it.
            if !Arc::ptr_eq(&catalog, &self.catalog.load()) {
                continue;
            }
            all.insert(prepared.clone());
            return Ok(prepared);
        }
    }

    /// The statement prepared under this id; `None` asks the client to prepare again.
    pub fn prepared(&self, id: &[u8; 16]) -> Option<Arc<PreparedStatement>> {
        self.prepared.read().get(id)
    }

    /// Forgets all prepared statements, as a node does that was restarted.
    pub fn forget_prepared(&self) {
        self.prepared.write().clear();
    }

    fn plan(&self, state: &ClientState, text: &str) -> Result<Planned> {
        let parsed = parse_statement(text)?;
        plan(&self.catalog.load(), state.keyspace.as_deref(), parsed)
    }

    /// What faults look at of a statement.
    pub(crate) fn target(&self, state: &ClientState, text: &str) -> Target {
        Target::new(text, self.plan(state, text).ok().as_ref())
    }

    /// The same of a prepared one.
    pub(crate) fn target_of(&self, prepared: &PreparedStatement) -> Target {
        Target::new(&prepared.text, Some(&prepared.planned))
    }

    /// QUERY: parses, resolves and executes a text.
    pub fn query(
        &self,
        state: &mut ClientState,
        text: &str,
        parameters: &QueryParameters,
    ) -> Result<Outcome> {
        let planned = self.plan(state, text)?;
        self.run(state, &planned, parameters)
    }

    /// EXECUTE.
    pub fn execute(
        &self,
        state: &mut ClientState,
        prepared: &PreparedStatement,
        parameters: &QueryParameters,
    ) -> Result<Outcome> {
        self.run(state, &prepared.planned, parameters)
    }

    fn run(
        &self,
        state: &mut ClientState,
        planned: &Planned,
        parameters: &QueryParameters,
    ) -> Result<Outcome> {
        let ordered;
        let values = match &parameters.names {
            None => {
                check_count(&planned.markers, parameters.values.len())?;
                &parameters.values
            }
            Some(names) => {
                ordered = by_name(&planned.markers, names, &parameters.values)?;
                &ordered
            }
        };
        let lists = ListSequence::default();
        let bindings = self.executor.bindings(values, &lists);
        let write = WriteParameters {
            consistency: parameters.consistency,
            serial_consistency: parameters.serial_consistency,
            default_timestamp: parameters.default_timestamp,
            effects: parameters.effects,
        };
        match &planned.plan {
            Plan::Select(select) if faults::owns(&select.table) => {
                let read = || self.executor.select(select, bindings, parameters);
                self.console.select(self, &select.table, read).map(Outcome::Rows)
            }
            Plan::Modify(modify) if faults::owns(&modify.table) => {
                self.console.modify(self, modify, bindings).map(|()| Outcome::Void)
            }
            Plan::Truncate(table) if faults::owns(table) => {
                self.console.truncate(self, table).map(|()| Outcome::Void)
            }
            Plan::Select(select) => {
                self.executor.select(select, bindings, parameters).map(Outcome::Rows)
            }
            Plan::Modify(modify) => self.executor.modify(modify, bindings, write),
            Plan::Batch(batch) => {
                let timestamp = self.executor.own_timestamp(batch.timestamp.as_ref(), bindings)?;
                let items: Vec<Item<'_>> =
                    batch.statements.iter().map(|plan| Item { plan, bindings }).collect();
                self.executor.batch(batch.kind, timestamp, &items, write)
            }
            Plan::Truncate(table) => {
                let alone = self.executor.journal.as_ref().map(Journal::alone);
                if let Some(alone) = &alone {
                    alone.truncate(table.id)?;
                }
                self.executor.db.truncate(table.id);
                Ok(Outcome::Void)
            }
            Plan::Use(keyspace) => {
                if !self.catalog.load().keyspaces.contains_key(keyspace) {
                    return Err(CqlError::invalid(format!("Keyspace '{keyspace}' does not exist")));
                }
                state.keyspace = Some(keyspace.clone());
                Ok(Outcome::SetKeyspace(keyspace.clone()))
            }
            Plan::Describe(describe) => {
                self.describe_schema(describe, state.keyspace.as_deref()).map(Outcome::Rows)
            }
            Plan::Schema(statement) => {
                let change = self.change_schema(statement, state.keyspace.as_deref(), false)?;
                Ok(change.map_or(Outcome::Void, Outcome::SchemaChange))
            }
        }
    }

    /// A BATCH frame.
    pub fn batch(&self, state: &mut ClientState, batch: &BatchRequest) -> Result<Outcome> {
        enum Source {
            Prepared(Arc<PreparedStatement>),
            Text(Box<Planned>),
        }
        let mut sources = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            sources.push(match &item.statement {
                BatchStatement::Prepared(id) => {
                    Source::Prepared(self.prepared(id).ok_or_else(|| CqlError {
                        kind: ErrorKind::Unprepared { id: *id },
                        message: "No prepared statement with this id".to_owned(),
                    })?)
                }
                BatchStatement::Text(text) => Source::Text(Box::new(self.plan(state, text)?)),
            });
        }
        let mut items = Vec::with_capacity(sources.len());
        let lists: Vec<ListSequence> =
            batch.items.iter().map(|_| ListSequence::default()).collect();
        for ((source, item), lists) in sources.iter().zip(&batch.items).zip(&lists) {
            let planned = match source {
                Source::Prepared(prepared) => &prepared.planned,
                Source::Text(planned) => planned,
            };
            check_count(&planned.markers, item.values.len())?;
            let plan: &ModifyPlan = match &planned.plan {
                Plan::Modify(modify) => modify,
                _ => {
                    return Err(CqlError::invalid(
                        "Invalid statement in batch: only UPDATE, INSERT and DELETE statements are allowed.",
                    ));
                }
            };
            items.push(Item { plan, bindings: self.executor.bindings(&item.values, lists) });
        }
        let write = WriteParameters {
            consistency: batch.consistency,
            serial_consistency: batch.serial_consistency,
            default_timestamp: batch.default_timestamp,
            effects: batch.effects,
        };
        self.executor.batch(batch.kind, None, &items, write)
    }

    /// Returns when everything that was answered until now is as durable as asked for; at
    /// once without a journal.
    ///
    /// # Errors
    /// When the disk failed: what was written since is in doubt.
    pub async fn settled(&self) -> Result<(), JournalError> {
        match &self.executor.journal {
            Some(journal) => journal.settled().await,
            None => Ok(()),
        }
    }

    #[cfg(test)]
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.executor.journal.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load()
    }

    /// Writes what is left to the data directory and lets that go. Writes are refused from
    /// then on.
    pub fn close(&self) {
        if let Some(journal) = &self.executor.journal {
            journal.close();
        }
    }

    /// Every schema change from now on.
    pub fn subscribe_schema(&self) -> broadcast::Receiver<SchemaChange> {
        self.schema_changes.subscribe()
    }

    /// Asks whoever serves clients to answer what is under way, to close their connections, and
    /// to take new ones after a while. What was prepared is forgotten.
    pub fn restart_connections(&self, away: Duration) {
        self.forget_prepared();
        // An engine that nobody serves has no connections.
        let _ = self.restarts.send(away);
    }

    /// Every [`Engine::restart_connections`] from now on.
    pub(crate) fn subscribe_restarts(&self) -> broadcast::Receiver<Duration> {
        self.restarts.subscribe()
    }

    /// The node's clock, which a test may put wrong.
    pub fn clock(&self) -> &Arc<Clock> {
        &self.executor.clock
    }

    /// The faults that are asked for.
    pub fn faults(&self) -> &Faults {
        &self.config.faults
    }

    /// The data, for measurements.
    pub fn database(&self) -> &Arc<Database> {
        &self.executor.db
    }

    /// How much a table holds, dead rows included; `None` if there is no such table.
    pub fn table_size(&self, keyspace: &str, table: &str) -> Result<Option<TableSize>> {
        let catalog = self.catalog.load();
        let found = catalog.keyspaces.get(keyspace).and_then(|k| k.tables.get(table));
        found.map(|table| self.executor.db.table_size(table.id)).transpose()
    }

    fn change_schema(
        &self,
        statement: &Statement,
        current: Option<&str>,
        internal: bool,
    ) -> Result<Option<SchemaChange>> {
        let _one_at_a_time = self.ddl.lock();
        let catalog = self.catalog.load();
        let context = DdlContext {
            catalog: &catalog,
            current,
            knows_tablets: self.config.knows_tablets,
            now: self.executor.clock.now_micros(),
            internal,
        };
        let Some(edit) = schema::apply(context, statement)? else {
            return Ok(None);
        };
        self.open_streams(&edit)?;
        // The node's own tables are made anew at each start.
        let journal = self.executor.journal.as_ref().filter(|_| !internal);
        let alone = journal.map(Journal::alone);
        if let Some(alone) = &alone {
            alone.schema(&edit, &self.executor.cdc.streams().state())?;
        }
        for table in &edit.created {
            self.executor.db.create_table(table);
        }
        for table in &edit.altered {
            self.executor.db.alter_table(table);
        }
        self.catalog.store(edit.catalog.clone());
        for table in &edit.dropped {
            self.executor.db.drop_table(table.id);
        }
        self.close_streams(&edit)?;
        // Statements resolved against the old definitions must not be used again.
        let changed: Vec<Uuid> =
            edit.altered.iter().chain(&edit.dropped).map(|table| table.id).collect();
        if !changed.is_empty() {
            self.prepared
                .write()
                .retain(|p| !p.planned.tables.iter().any(|table| changed.contains(table)));
        }
        if !internal {
            self.describe(&edit.catalog, &edit)?;
            for change in changes(&edit) {
                // Nobody may be listening.
                let _ = self.schema_changes.send(change);
            }
        }
        Ok(Some(edit.event))
    }

    /// Writes `system_schema` and the schema's new version.
    fn describe(&self, catalog: &Catalog, edit: &SchemaEdit) -> Result<()> {
        let timestamp = self.executor.clock.now_micros();
        for name in &edit.touched {
            for mutation in system::schema_mutations(catalog, name, timestamp)? {
                self.executor.db.apply(&mutation)?;
            }
        }
        let version = system::schema_version_mutation(catalog, Uuid::new_v4(), timestamp)?;
        self.executor.db.apply(&version)
    }
}

/// What clients hear of: the statement's own change, and the log tables that came or went
/// with it.
fn changes(edit: &SchemaEdit) -> Vec<SchemaChange> {
    let mut changes = vec![edit.event.clone()];
    if edit.event.target != "TABLE" {
        return changes;
    }
    for (tables, change) in
        [(&edit.created, "CREATED"), (&edit.altered, "UPDATED"), (&edit.dropped, "DROPPED")]
    {
        for table in tables.iter().filter(|t| t.cdc_log_of.is_some()) {
            if table.name != edit.event.name {
                changes.push(SchemaChange {
                    change,
                    target: "TABLE",
                    keyspace: table.keyspace.clone(),
                    name: table.name.clone(),
                });
            }
        }
    }
    changes
}

fn check_count(markers: &[ColumnSpec], values: usize) -> Result<()> {
    if markers.len() == values {
        return Ok(());
    }
    Err(CqlError::invalid(format!(
        "Invalid amount of bind variables: expected {}, got {values}",
        markers.len()
    )))
}

fn by_name(markers: &[ColumnSpec], names: &[String], values: &[Value]) -> Result<Vec<Value>> {
    if names.len() != values.len() {
        return Err(CqlError::protocol("as many names as values are needed"));
    }
    if let Some(unknown) = names.iter().find(|name| !markers.iter().any(|m| m.name == **name)) {
        return Err(CqlError::invalid(format!("No bind variable is named {unknown}")));
    }
    Ok(markers
        .iter()
        .map(|marker| {
            names
                .iter()
                .position(|name| *name == marker.name)
                .and_then(|index| values.get(index).cloned())
                .unwrap_or(Value::Unset)
        })
        .collect())
}

/// Never holds the engine: dropping that closes the journal, which must not wait for this.
fn purge(db: &Weak<Database>, clock: &Clock) {
    loop {
        std::thread::sleep(PURGE_INTERVAL);
        let Some(db) = db.upgrade() else {
            return;
        };
        db.purge(clock.now_seconds());
    }
}
