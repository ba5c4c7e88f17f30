//! What faults look at of a request.

use super::fault::Operation;
use crate::plan::{ModifyPlan, Plan, Planned};
use crate::schema::{Table, is_system_keyspace};

/// A request as faults see it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    /// The statement's text.
    pub text: String,
    /// `None` when the statement is not valid.
    pub operation: Option<Operation>,
    /// Keyspace and name of each table.
    pub tables: Vec<(String, String)>,
    /// USE, with which drivers open connections.
    pub is_use: bool,
}

fn name(table: &Table) -> (String, String) {
    (table.keyspace.clone(), table.name.clone())
}

impl Target {
    /// A statement; `None`: one that is not valid.
    pub(crate) fn new(text: &str, planned: Option<&Planned>) -> Self {
        let mut target = Target { text: text.to_owned(), ..Target::default() };
        if let Some(planned) = planned {
            target.add(planned);
        }
        target
    }

    /// The same as PREPARE.
    pub(crate) fn prepare(mut self) -> Self {
        self.operation = Some(Operation::Prepare);
        self
    }

    /// A BATCH frame's target, of those of its statements.
    pub(crate) fn batch(statements: impl IntoIterator<Item = Target>) -> Self {
        let mut batch = Target { operation: Some(Operation::Batch), ..Target::default() };
        let mut texts = Vec::new();
        for statement in statements {
            if statement.operation == Some(Operation::Lwt) {
                batch.operation = Some(Operation::Lwt);
            }
            batch.tables.extend(statement.tables);
            texts.push(statement.text);
        }
        batch.text = format!("BATCH {}", texts.join("; "));
        batch
    }

    fn add(&mut self, planned: &Planned) {
        let operation = match &planned.plan {
            Plan::Select(select) => {
                self.tables.push(name(&select.table));
                Operation::Read
            }
            Plan::Modify(modify) => {
                self.tables.push(name(&modify.table));
                if modify.is_conditional() { Operation::Lwt } else { Operation::Write }
            }
            Plan::Batch(batch) => {
                self.tables.extend(batch.statements.iter().map(|s| name(&s.table)));
                match batch.statements.iter().any(ModifyPlan::is_conditional) {
                    true => Operation::Lwt,
                    false => Operation::Batch,
                }
            }
            Plan::Truncate(table) => {
                self.tables.push(name(table));
                Operation::Write
            }
            Plan::Use(_) => {
                self.is_use = true;
                Operation::Schema
            }
            _ => Operation::Schema,
        };
        self.operation = Some(operation);
    }

    /// Whether one of its tables has this name, with or without its keyspace.
    pub(super) fn is_on(&self, wanted: &str) -> bool {
        self.tables.iter().any(|(keyspace, table)| match wanted.split_once('.') {
            Some((k, t)) => k == keyspace && t == table,
            None => wanted == table,
        })
    }

    /// Whether it is what drivers send of their own accord: they would not come to the
    /// requests that a fault is meant for.
    pub(super) fn is_of_drivers(&self) -> bool {
        let system = |(keyspace, _): &(String, String)| is_system_keyspace(keyspace);
        self.is_use || !self.tables.is_empty() && self.tables.iter().all(system)
    }

    /// Whether it asks for faults itself: no fault may stand in the way of that.
    pub(super) fn is_about_faults(&self) -> bool {
        self.tables.iter().any(|(keyspace, _)| keyspace == super::KEYSPACE)
    }
}
