//! Payloads: JSON text.

use std::sync::Arc;

use serde::Serialize;

/// JSON text: an event's fields, as stored in `event_data` and `payload`; a state; what a
/// client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(Arc<str>);

impl Payload {
    /// Takes JSON text as it is.
    pub fn from_json_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// A value as JSON text.
    ///
    /// # Errors
    /// What serde found, when the value refuses to be serialized.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(text.into()))
    }

    /// The JSON text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
