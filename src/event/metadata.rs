//! What is known about an event beside its fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What else is known about an event. Stored as JSON in `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// W3C trace context, carried through to publishers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Anything else.
    #[serde(flatten)]
    pub extra: BTreeMap<String, String>,
}

impl Metadata {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.user_id.is_none()
            && self.tenant.is_none()
            && self.traceparent.is_none()
            && self.extra.is_empty()
    }

    /// Sets a key: `user_id`, `tenant` and `traceparent` by their fields, others in `extra`.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        match key.as_str() {
            "user_id" => self.user_id = Some(value),
            "tenant" => self.tenant = Some(value),
            "traceparent" => self.traceparent = Some(value),
            _ => {
                self.extra.insert(key, value);
            }
        }
    }
}
