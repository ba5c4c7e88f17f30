//! Migrations: numbered CQL scripts, each applied once.

use uuid::Uuid;

/// A numbered CQL script of a component. Table names in it carry no keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// 1, 2, 3, … within its component.
    pub version: i32,
    /// What it is about, for people.
    pub name: &'static str,
    /// Statements, each ended by `;`, with `--` comments.
    pub script: &'static str,
}

impl Migration {
    /// A migration.
    pub const fn new(version: i32, name: &'static str, script: &'static str) -> Self {
        Self { version, name, script }
    }

    /// Tells whether an applied script was edited later: a SHA-1 based uuid of its text.
    pub(crate) fn checksum(&self) -> Uuid {
        Uuid::new_v5(&Uuid::NAMESPACE_OID, self.script.as_bytes())
    }
}

/// The component name of the library's own tables.
pub(crate) const MESSINA: &str = "messina";

/// The library's own tables.
pub(crate) const OWN: &[Migration] = &[
    Migration::new(1, "write_side", include_str!("../../cql/0001_write_side.cql")),
    Migration::new(2, "consumer_groups", include_str!("../../cql/0002_consumer_groups.cql")),
    Migration::new(3, "commands", include_str!("../../cql/0003_commands.cql")),
    Migration::new(4, "rebuild", include_str!("../../cql/0004_rebuild.cql")),
    Migration::new(5, "handled_once", include_str!("../../cql/0005_handled_once.cql")),
    Migration::new(6, "replay", include_str!("../../cql/0006_replay.cql")),
];
