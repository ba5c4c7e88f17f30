//! A node with a data directory, without a network.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::engine::{Engine, EngineConfig};
use crate::error::Result;
use crate::faults::Effects;
use crate::journal::{Fsync, Journal, JournalConfig, JournalError};
use crate::request::{ClientState, Consistency, Outcome, QueryParameters};
use crate::store::ExportPosition;
use crate::types::to_text;

pub(super) struct Node {
    pub(super) engine: Arc<Engine>,
    state: ClientState,
    /// What a fault does to its statements.
    pub(super) effects: Effects,
}

pub(super) fn config(directory: &Path) -> JournalConfig {
    JournalConfig { fsync: Fsync::Always, ..JournalConfig::new(directory) }
}

/// A copy of a directory as it is now: what a killed process leaves.
pub(super) fn copy(directory: &Path) -> TempDir {
    loop {
        let copy = TempDir::new().unwrap();
        let before = files(directory);
        let copied = before
            .iter()
            .try_for_each(|(path, name)| std::fs::copy(path, copy.path().join(name)).map(drop));
        // A snapshot may have been taken meanwhile, which a kill does not wait for.
        if copied.is_ok() && files(directory) == before {
            return copy;
        }
    }
}

/// The journal's files, by name.
pub(super) fn files(directory: &Path) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.path(), entry.file_name().into_string().unwrap()))
        .filter(|(_, name)| name != "lock")
        .collect();
    files.sort();
    files
}

pub(super) fn names(directory: &Path) -> Vec<String> {
    files(directory).into_iter().map(|(_, name)| name).collect()
}

impl Node {
    pub(super) fn open(directory: &Path) -> Self {
        Self::open_with(config(directory)).unwrap()
    }

    pub(super) fn open_with(config: JournalConfig) -> std::result::Result<Self, JournalError> {
        let opened = Journal::open(config)?;
        let engine = Engine::recovered(EngineConfig::default(), opened).unwrap();
        let (state, effects) = (ClientState::default(), Effects::default());
        let mut node = Node { engine, state, effects };
        // Not there yet in a new directory.
        let _ = node.run("USE k");
        Ok(node)
    }

    /// With a keyspace `k` in use.
    pub(super) fn new(directory: &Path) -> Self {
        Self::new_with(config(directory))
    }

    pub(super) fn new_with(config: JournalConfig) -> Self {
        let mut node = Self::open_with(config).unwrap();
        node.all(&[
            "CREATE KEYSPACE k WITH replication = \
             {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
            "USE k",
        ]);
        node
    }

    pub(super) fn run(&mut self, statement: &str) -> Result<Outcome> {
        let parameters = QueryParameters {
            consistency: Consistency::One,
            serial_consistency: None,
            values: Vec::new(),
            names: None,
            page_size: None,
            paging_state: None,
            default_timestamp: None,
            effects: self.effects,
        };
        self.engine.clone().query(&mut self.state, statement, &parameters)
    }

    #[track_caller]
    pub(super) fn all(&mut self, statements: &[&str]) {
        for statement in statements {
            if let Err(error) = self.run(statement) {
                panic!("{statement}: {error}");
            }
        }
    }

    /// Rows as `a | b`.
    #[track_caller]
    pub(super) fn rows(&mut self, statement: &str) -> Vec<String> {
        let rows = match self.run(statement) {
            Ok(Outcome::Rows(rows)) => rows,
            other => panic!("{statement}: {other:?}"),
        };
        let mut data = rows.data.clone();
        let row = |_| {
            let cells = rows.columns.iter().map(|column| {
                let length = i32::from_be_bytes(data.split_to(4).as_ref().try_into().unwrap());
                match usize::try_from(length) {
                    Ok(length) => to_text(&column.cql_type, &data.split_to(length)),
                    Err(_) => "null".to_owned(),
                }
            });
            cells.collect::<Vec<_>>().join(" | ")
        };
        (0..rows.count).map(row).collect()
    }

    /// Dropping it closes its journal.
    pub(super) fn close(self) {
        drop(self);
    }

    /// The same node for another thread.
    pub(super) fn another(&self) -> Node {
        Node { engine: self.engine.clone(), state: self.state.clone(), effects: self.effects }
    }

    pub(super) fn force(&self) {
        self.engine.journal().unwrap().force().unwrap();
    }

    /// All that users have in the node: tables as they are defined, and every cell and
    /// tombstone, alive or not.
    pub(super) fn contents(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let catalog = self.engine.catalog();
        for keyspace in catalog.keyspaces.values() {
            if crate::schema::is_system_keyspace(&keyspace.name) {
                continue;
            }
            lines.push(format!("{keyspace:?}"));
            for table in keyspace.tables.values() {
                let mut position = ExportPosition::default();
                while let Some(piece) =
                    self.engine.database().export(table.id, &mut position).unwrap()
                {
                    lines.extend(piece.mutations.iter().map(|mutation| format!("{mutation:?}")));
                    lines.extend(piece.ranges.iter().map(|ranges| format!("{ranges:?}")));
                }
            }
        }
        lines
    }
}
