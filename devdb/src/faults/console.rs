//! The keyspace `devdb`: faults and commands by CQL, for tests in other processes.
//!
//! Its tables show what the node has in memory. An INSERT, DELETE or TRUNCATE changes that;
//! a SELECT writes it into the table first, then reads the table as any other.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::Duration;

use super::columns::{self, Given};
use crate::engine::Engine;
use crate::error::{CqlError, Result};
use crate::execute::{Bindings, WriteSet};
use crate::plan::{ModifyKind, ModifyPlan};
use crate::schema::Table;
use crate::store::mutation::{CellContent, ColumnValue, Mutation};
use crate::system::rows::{NamedValues, bigint, key, partition, text};

/// The keyspace's name.
pub(crate) const KEYSPACE: &str = "devdb";
const FAULTS: &str = "faults";

/// More faults than this are not taken by CQL.
const MAX_FAULTS: usize = 1000;

const COMMANDS: [(&str, &str); 5] = [
    ("clock_offset", "put the node's clock off by so many milliseconds, from now on"),
    ("forget_prepared", "forget all prepared statements, as a node does that was restarted"),
    ("new_generation", "begin a generation of other CDC streams after so many milliseconds"),
    (
        "new_tablet_generation",
        "give table_name, in a keyspace on tablets, so many tablets and its CDC log a stream \
         for each, after so many milliseconds",
    ),
    (
        "restart",
        "close all connections and forget prepared statements; take connections again after so \
         many milliseconds, with the data as it was",
    ),
];

/// Creates the keyspace and its tables.
pub(crate) fn definitions() -> [String; 3] {
    [
        format!("CREATE KEYSPACE {KEYSPACE} WITH replication = {{'class': 'LocalStrategy'}}"),
        columns::DEFINITION.to_owned(),
        "CREATE TABLE devdb.control (command text PRIMARY KEY, means text, \
         milliseconds bigint, table_name text, tablets bigint, done bigint)"
            .to_owned(),
    ]
}

/// Whether a table is one of these.
pub(crate) fn owns(table: &Table) -> bool {
    table.keyspace == KEYSPACE
}

/// What the tables need besides the node's faults.
#[derive(Debug, Default)]
pub(crate) struct Console {
    /// How often each command was done.
    done: Mutex<BTreeMap<String, i64>>,
    /// Held from when a table is written until it is read.
    showing: Mutex<()>,
}

fn unsupported(table: &Table, what: &str) -> CqlError {
    CqlError::invalid(format!("{KEYSPACE}.{} does not take {what}", table.name))
}

impl Console {
    /// Reads one of the tables as it is now.
    pub(crate) fn select<T>(
        &self,
        engine: &Engine,
        table: &Table,
        read: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let _until_read = self.showing.lock();
        let rows: Vec<(String, NamedValues<'_>)> = if table.name == FAULTS {
            let all = engine.faults().list();
            all.iter().map(|status| (status.name.clone(), columns::row(status))).collect()
        } else {
            COMMANDS.iter().map(|(name, means)| self.command_row(engine, name, means)).collect()
        };
        let timestamp = engine.clock().now_micros();
        let db = engine.database();
        db.truncate(table.id);
        for (name, row) in rows {
            let key = key(&[text(&name)])?;
            db.apply(&partition(table, key, &[row], timestamp, false))?;
        }
        read()
    }

    fn command_row(
        &self,
        engine: &Engine,
        name: &str,
        means: &str,
    ) -> (String, NamedValues<'static>) {
        let done = self.done.lock().get(name).copied().unwrap_or(0);
        let mut row = vec![("means", text(means)), ("done", bigint(done))];
        if name == "clock_offset" {
            row.push(("milliseconds", bigint(engine.clock().offset_micros() / 1000)));
        }
        (name.to_owned(), row)
    }

    /// TRUNCATE: all faults go.
    pub(crate) fn truncate(&self, engine: &Engine, table: &Table) -> Result<()> {
        if table.name != FAULTS {
            return Err(unsupported(table, "TRUNCATE"));
        }
        engine.faults().clear();
        Ok(())
    }

    /// INSERT and DELETE.
    pub(crate) fn modify(
        &self,
        engine: &Engine,
        plan: &ModifyPlan,
        bindings: Bindings<'_>,
    ) -> Result<()> {
        let table = &plan.table;
        if plan.is_conditional() {
            return Err(unsupported(table, "conditions"));
        }
        let is_delete = plan.kind == ModifyKind::Delete;
        if plan.kind == ModifyKind::Update {
            return Err(unsupported(table, "UPDATE: INSERT replaces the whole row"));
        }
        if is_delete && !plan.operations.is_empty() {
            return Err(unsupported(table, "DELETE of single columns"));
        }
        if is_delete && table.name != FAULTS {
            return Err(unsupported(table, "DELETE"));
        }
        let mut set = WriteSet::default();
        engine.executor.build(plan, bindings, engine.clock().now_micros(), &mut set)?;
        for write in set.into_writes() {
            let mutation = write.finish();
            let name = std::str::from_utf8(&mutation.key.0)
                .map_err(|_| CqlError::invalid("a name that is not UTF-8"))?;
            if is_delete {
                engine.faults().remove(name);
                continue;
            }
            let given = Given { name, values: values(table, &mutation)? };
            if table.name == FAULTS {
                add(engine, &given)?;
            } else {
                self.command(engine, &given)?;
            }
        }
        Ok(())
    }

    fn command(&self, engine: &Engine, given: &Given<'_>) -> Result<()> {
        let name = given.name;
        let invalid = |why: &str| CqlError::invalid(format!("Invalid command '{name}': {why}"));
        let settings: &[&str] = match name {
            "clock_offset" | "new_generation" | "restart" => &["milliseconds"],
            "new_tablet_generation" => &["milliseconds", "table_name", "tablets"],
            "forget_prepared" => &[],
            _ => {
                let known = COMMANDS.map(|(name, _)| name).join(", ");
                return Err(invalid(&format!("it is none of {known}")));
            }
        };
        if let Some(column) = given.values.keys().find(|column| !settings.contains(column)) {
            return Err(invalid(&match *column {
                "means" | "done" => format!("{column} is shown by the node, not written"),
                _ => format!("it takes no {column}"),
            }));
        }
        let milliseconds = given.bigint("milliseconds")?;
        let after = || match u64::try_from(milliseconds.unwrap_or(0)) {
            Ok(after) => Ok(Duration::from_millis(after)),
            Err(_) => Err(invalid("milliseconds is negative")),
        };
        match name {
            "clock_offset" => match milliseconds {
                Some(offset) => engine.clock().set_offset_micros(offset.saturating_mul(1000)),
                None => return Err(invalid("it needs milliseconds")),
            },
            "new_generation" => {
                engine.new_cdc_generation(after()?)?;
            }
            "new_tablet_generation" => {
                let table = given.text("table_name")?.unwrap_or_default();
                let Some((keyspace, table)) = table.split_once('.') else {
                    return Err(invalid("it needs table_name, as keyspace.table"));
                };
                let tablets = given.bigint("tablets")?.and_then(|n| usize::try_from(n).ok());
                let Some(tablets) = tablets else {
                    return Err(invalid("it needs tablets"));
                };
                engine.new_tablet_generation(keyspace, table, tablets, after()?)?;
            }
            "restart" => engine.restart_connections(after()?),
            _ => engine.forget_prepared(),
        }
        *self.done.lock().entry(name.to_owned()).or_default() += 1;
        Ok(())
    }
}

fn add(engine: &Engine, given: &Given<'_>) -> Result<()> {
    let fault = given.fault()?;
    let faults = engine.faults();
    if faults.len() >= MAX_FAULTS && faults.get(given.name).is_none() {
        return Err(CqlError::invalid(format!("There are {MAX_FAULTS} faults; no more are taken")));
    }
    faults.set(given.name, fault);
    Ok(())
}

/// What an INSERT gives, by column.
fn values<'t>(table: &'t Table, mutation: &Mutation) -> Result<BTreeMap<&'t str, Bytes>> {
    let mut values = BTreeMap::new();
    for (id, value) in mutation.rows.iter().flat_map(|(_, row)| &row.columns) {
        let (Some(column), ColumnValue::Atomic(cell)) = (table.column_by_id(*id), value) else {
            return Err(CqlError::server("a column that the table does not have"));
        };
        match &cell.content {
            CellContent::Live { value } => {
                values.insert(column.name.as_str(), value.clone());
            }
            CellContent::Expiring { .. } => return Err(unsupported(table, "TTL")),
            CellContent::Dead { .. } => {}
        }
    }
    Ok(values)
}
