//! Statements that clients have prepared.

use std::collections::HashMap;
use std::sync::Arc;

use crate::plan::Planned;
use crate::request::PreparedInfo;

/// Statements that are kept; a client whose statement went prepares it again.
const MAX_STATEMENTS: usize = 10_000;
/// Nor more bytes of their texts than this.
const MAX_TEXT: usize = 64 << 20;

/// A statement that was prepared: its text, what PREPARE answers, and its plan.
#[derive(Debug)]
pub struct PreparedStatement {
    /// What PREPARE answers.
    pub info: PreparedInfo,
    /// The text it was prepared from.
    pub text: String,
    pub(super) planned: Planned,
}

/// Those that are kept, by id.
#[derive(Debug, Default)]
pub(super) struct PreparedStatements {
    by_id: HashMap<[u8; 16], Arc<PreparedStatement>>,
    text: usize,
}

impl PreparedStatements {
    pub(super) fn get(&self, id: &[u8; 16]) -> Option<Arc<PreparedStatement>> {
        self.by_id.get(id).cloned()
    }

    /// Takes one in, and lets others go if there are too many.
    pub(super) fn insert(&mut self, statement: Arc<PreparedStatement>) {
        self.text += statement.text.len();
        if let Some(old) = self.by_id.insert(statement.info.id, statement.clone()) {
            self.text -= old.text.len();
        }
        while self.by_id.len() > MAX_STATEMENTS || self.text > MAX_TEXT {
            // Any: which is as good as another, since the client has it back at once.
            let victim = self.by_id.keys().find(|id| **id != statement.info.id).copied();
            let Some(victim) = victim.and_then(|id| self.by_id.remove(&id)) else { return };
            self.text -= victim.text.len();
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&PreparedStatement) -> bool) {
        self.by_id.retain(|_, statement| keep(statement));
        self.text = self.by_id.values().map(|statement| statement.text.len()).sum();
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
