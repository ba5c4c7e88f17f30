//! Idempotency keys.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::ids::AggregateId;

/// Longest key in bytes: it is part of a row and of what a repeat has to send.
const MAX_KEY_BYTES: usize = 255;

/// A client's name for one command, and what tells whether it is that command.
#[derive(Debug, Clone)]
pub(super) struct IdempotencyKey {
    pub(super) text: String,
    pub(super) fingerprint: Uuid,
}

impl IdempotencyKey {
    /// The key of this command, or why it cannot be one.
    pub(super) fn new(text: String, command: &impl Serialize) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_KEY_BYTES {
            return Err(format!(
                "an idempotency key has 1 to {MAX_KEY_BYTES} bytes, this one has {}",
                text.len()
            ));
        }
        let fingerprint =
            fingerprint(command).map_err(|e| format!("the command does not serialize: {e}"))?;
        Ok(Self { text, fingerprint })
    }

    /// Names the command in `command_outcomes`, and its commit.
    pub(super) fn command_id(&self, id: AggregateId) -> Uuid {
        Uuid::new_v5(&id.0, self.text.as_bytes())
    }
}

/// The same for the same command, whatever the order of a map, and whether an absent value
/// was written as null (a field that a newer build knows) or not at all.
fn fingerprint(command: &impl Serialize) -> Result<Uuid, serde_json::Error> {
    let mut canonical = String::new();
    write(&serde_json::to_value(command)?, &mut canonical);
    Ok(Uuid::new_v5(&Uuid::NAMESPACE_OID, canonical.as_bytes()))
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().filter(|(_, v)| !v.is_null()).collect();
            fields.sort_unstable_by_key(|(name, _)| name.as_str());
            out.push('{');
            for (name, value) in fields {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for value in values {
                write(value, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn key(command: &impl Serialize) -> IdempotencyKey {
        IdempotencyKey::new("k".to_owned(), command).unwrap()
    }

    #[derive(Serialize)]
    struct Old {
        cents: i64,
    }

    #[derive(Serialize)]
    struct New {
        note: Option<String>,
        cents: i64,
    }

    #[test]
    fn a_command_has_one_fingerprint_and_another_command_another() {
        let amounts =
            |n: i64| -> HashMap<String, i64> { (0..50).map(|i| (i.to_string(), i + n)).collect() };
        assert_eq!(key(&amounts(0)).fingerprint, key(&amounts(0)).fingerprint);
        assert_ne!(key(&amounts(0)).fingerprint, key(&amounts(1)).fingerprint);
        assert_ne!(key(&["ab", "c"]).fingerprint, key(&["a", "bc"]).fingerprint);
        assert_ne!(key(&"1").fingerprint, key(&1).fingerprint);
    }

    #[test]
    fn a_field_that_was_added_and_is_absent_changes_nothing() {
        let new = New { note: None, cents: 5 };
        assert_eq!(key(&Old { cents: 5 }).fingerprint, key(&new).fingerprint);
    }

    #[test]
    fn a_key_belongs_to_its_aggregate() {
        let (key, here, there) = (key(&1), AggregateId::new(), AggregateId::new());
        assert_eq!(key.command_id(here), key.command_id(here));
        assert_ne!(key.command_id(here), key.command_id(there));
        assert_eq!(key.command_id(here).get_version_num(), 5);
    }

    #[test]
    fn a_key_that_is_empty_or_long_is_refused() {
        for text in [String::new(), "x".repeat(256)] {
            assert!(IdempotencyKey::new(text, &1).unwrap_err().contains("1 to 255 bytes"));
        }
    }
}
