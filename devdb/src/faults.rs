//! Faults on demand: what a test asks of the node so that its own code meets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::error::CqlError;

/// What happens to a matching request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FaultAction {
    /// Wait, then go on.
    Delay(Duration),
    /// Answer with this error and do nothing.
    FailBefore(CqlError),
    /// Do it, then answer with this error.
    FailAfter(CqlError),
    /// Close the connection and do nothing.
    DropBefore,
    /// Do it, then close the connection without an answer.
    DropAfter,
}

/// A rule: which requests, how often, what then.
#[derive(Debug, Clone)]
pub struct Fault {
    /// A request matches when the text of a statement in it contains this. A BATCH
    /// frame's text is its statements' texts joined by `; ` with `BATCH ` in front.
    pub statement_contains: String,
    /// Matching requests let through before the rule begins.
    pub skip: u64,
    /// Matching requests that it then hits; the rule is used up after.
    pub times: u64,
    /// What happens.
    pub action: FaultAction,
}

#[derive(Debug)]
struct Rule {
    fault: Fault,
    seen: AtomicU64,
}

/// The faults of a node. Cloning gives another handle on the same ones.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    rules: Arc<Mutex<Vec<Arc<Rule>>>>,
}

impl Faults {
    /// Adds a rule.
    pub fn add(&self, fault: Fault) {
        self.rules.lock().push(Arc::new(Rule { fault, seen: AtomicU64::new(0) }));
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules.lock().clear();
    }

    /// Whether there is no rule: lets the request path skip the look-up of texts.
    pub fn is_empty(&self) -> bool {
        self.rules.lock().is_empty()
    }

    /// Which action hits a request with this text, if any: the first rule that matches.
    pub fn action_for(&self, text: &str) -> Option<FaultAction> {
        let rules = self.rules.lock().clone();
        for rule in rules {
            if !text.contains(&rule.fault.statement_contains) {
                continue;
            }
            let seen = rule.seen.fetch_add(1, Ordering::Relaxed);
            if seen >= rule.fault.skip && seen < rule.fault.skip + rule.fault.times {
                return Some(rule.fault.action.clone());
            }
        }
        None
    }
}
