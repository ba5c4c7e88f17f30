//! Table options that ScyllaDB keeps as schema extensions: a blob each in
//! `system_schema.tables.extensions`. They are about replicas, repair and load, of which
//! one node in memory has none: they are checked, kept and shown again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{CqlError, Result};

/// The value of such an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extension {
    /// A map of texts.
    Map(BTreeMap<String, String>),
    /// A number.
    Int(i32),
    /// Yes or no.
    Flag(bool),
}

/// What an option's value has to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum ExtensionKind {
    /// A map.
    Map,
    /// A number of seconds.
    Seconds,
    /// Yes or no.
    Flag,
}

/// The kind of the option of this name, if it is one.
pub(super) fn kind(name: &str) -> Option<ExtensionKind> {
    Some(match name {
        "tombstone_gc" | "per_partition_rate_limit" | "tablets" => ExtensionKind::Map,
        "paxos_grace_seconds" => ExtensionKind::Seconds,
        "in_memory" | "synchronous_updates" => ExtensionKind::Flag,
        _ => return None,
    })
}

/// Checks the value of an option.
pub(super) fn check(name: &str, value: &Extension) -> Result<()> {
    match (name, value) {
        ("tombstone_gc", Extension::Map(map)) => check_tombstone_gc(map),
        ("per_partition_rate_limit", Extension::Map(map)) => {
            numbers(name, map, &["max_reads_per_second", "max_writes_per_second"])
        }
        ("tablets", Extension::Map(map)) => numbers(
            name,
            map,
            &[
                "min_tablet_count",
                "max_tablet_count",
                "min_per_shard_tablet_count",
                "expected_data_size_in_gb",
                "pow2_count",
            ],
        ),
        ("paxos_grace_seconds", Extension::Int(seconds)) if *seconds < 0 => Err(CqlError::config(
            format!("{name} must be greater than or equal to 0 (got {seconds})"),
        )),
        ("synchronous_updates", Extension::Flag(true)) => Err(CqlError::invalid(
            "The synchronous_updates option is only applicable to materialized views, not to base tables",
        )),
        _ => Ok(()),
    }
}

fn check_tombstone_gc(map: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in map {
        let known = match key.as_str() {
            "mode" => matches!(value.as_str(), "timeout" | "repair" | "disabled" | "immediate"),
            "propagation_delay_in_seconds" => value.parse::<u32>().is_ok(),
            _ => return Err(CqlError::config(format!("Unknown tombstone_gc option: {key}"))),
        };
        if !known {
            return Err(CqlError::config(format!(
                "Invalid value for tombstone_gc option {key}: {value}"
            )));
        }
    }
    Ok(())
}

/// Options that are numbers, or `pow2_count`, which is a flag.
fn numbers(name: &str, map: &BTreeMap<String, String>, known: &[&str]) -> Result<()> {
    for (key, value) in map {
        if !known.contains(&key.as_str()) {
            return Err(CqlError::config(format!("Unknown {name} option: {key}")));
        }
        let fits = match key.as_str() {
            "pow2_count" => value.parse::<bool>().is_ok(),
            _ => value.parse::<f64>().is_ok_and(|number| number >= 0.0),
        };
        if !fits {
            return Err(CqlError::config(format!(
                "Invalid value for {name} option {key}: {value}"
            )));
        }
    }
    Ok(())
}

impl Extension {
    /// The blob in `system_schema.tables.extensions`, in ScyllaDB's own serialization:
    /// little-endian numbers, lengths in front of texts.
    pub fn blob(&self) -> Vec<u8> {
        match self {
            Extension::Map(map) => text_map(map.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
            Extension::Int(number) => number.to_le_bytes().to_vec(),
            Extension::Flag(flag) => vec![u8::from(*flag)],
        }
    }
}

/// A map of texts in ScyllaDB's own serialization.
pub(super) fn text_map<'a>(pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut blob = Vec::with_capacity(100);
    let length = |n: usize, blob: &mut Vec<u8>| {
        blob.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    };
    length(pairs.len(), &mut blob);
    for text in pairs.flat_map(|(key, value)| [key, value]) {
        length(text.len(), &mut blob);
        blob.extend_from_slice(text.as_bytes());
    }
    blob
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Extension {
        Extension::Map(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn values_are_checked() {
        check("tombstone_gc", &map(&[("mode", "repair")])).unwrap();
        check("tombstone_gc", &map(&[("mode", "never")])).unwrap_err();
        check("per_partition_rate_limit", &map(&[("max_reads_per_second", "10")])).unwrap();
        check("per_partition_rate_limit", &map(&[("max_reads_per_second", "many")])).unwrap_err();
        check("tablets", &map(&[("min_tablet_count", "8"), ("pow2_count", "true")])).unwrap();
        check("tablets", &map(&[("enabled", "true")])).unwrap_err();
        check("paxos_grace_seconds", &Extension::Int(-1)).unwrap_err();
        check("synchronous_updates", &Extension::Flag(true)).unwrap_err();
    }
}
