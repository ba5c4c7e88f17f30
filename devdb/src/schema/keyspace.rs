//! CREATE, ALTER and DROP KEYSPACE.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ddl::{DdlContext, SchemaEdit, check_modifiable, check_name};
use super::model::Keyspace;
use super::options::{map_of, text_of};
use crate::cdc::MAX_TABLETS;
use crate::error::{CqlError, ErrorKind, Result};
use crate::parse::ast::{CreateKeyspace, OptionValue};

/// The only data centre there is.
pub const DATA_CENTER: &str = "datacenter1";

const LOCATOR: &str = "org.apache.cassandra.locator.";

pub(super) fn create(
    context: DdlContext<'_>,
    create: &CreateKeyspace,
) -> Result<Option<SchemaEdit>> {
    let name = &create.name;
    check_modifiable(context, name)?;
    check_name("keyspace", name)?;
    let mut keyspace = Keyspace {
        name: name.clone(),
        replication: BTreeMap::new(),
        durable_writes: true,
        // ScyllaDB's default for new keyspaces is a setting (`tablets_mode_for_new_keyspaces`).
        // Here it is vnodes: what clients expect of the version that the node gives itself.
        tablets: None,
        tables: BTreeMap::new(),
        types: BTreeMap::new(),
    };
    apply_options(context, &create.options, &mut keyspace, true)?;
    if context.catalog.keyspaces.contains_key(name) {
        if create.if_not_exists {
            return Ok(None);
        }
        return Err(CqlError {
            kind: ErrorKind::AlreadyExists { keyspace: name.clone(), table: String::new() },
            message: format!("Cannot add existing keyspace \"{name}\""),
        });
    }
    let mut edit = SchemaEdit::new(context.catalog, "CREATED", "KEYSPACE", name, "");
    edit.catalog.keyspaces.insert(name.clone(), Arc::new(keyspace));
    Ok(Some(edit))
}

pub(super) fn alter(
    context: DdlContext<'_>,
    name: &str,
    options: &[(String, OptionValue)],
) -> Result<Option<SchemaEdit>> {
    check_modifiable(context, name)?;
    let mut edit = SchemaEdit::new(context.catalog, "UPDATED", "KEYSPACE", name, "");
    if !context.catalog.keyspaces.contains_key(name) {
        return Err(CqlError::invalid(format!("Unknown keyspace {name}")));
    }
    apply_options(context, options, edit.keyspace_mut(name)?, false)?;
    Ok(Some(edit))
}

pub(super) fn drop(
    context: DdlContext<'_>,
    name: &str,
    if_exists: bool,
) -> Result<Option<SchemaEdit>> {
    check_modifiable(context, name)?;
    let mut edit = SchemaEdit::new(context.catalog, "DROPPED", "KEYSPACE", name, "");
    match edit.catalog.keyspaces.remove(name) {
        Some(keyspace) => {
            edit.dropped.extend(keyspace.tables.values().cloned());
            Ok(Some(edit))
        }
        None if if_exists => Ok(None),
        None => Err(CqlError::config(format!("Cannot drop non existing keyspace '{name}'."))),
    }
}

fn apply_options(
    context: DdlContext<'_>,
    options: &[(String, OptionValue)],
    keyspace: &mut Keyspace,
    creating: bool,
) -> Result<()> {
    let mut replicated = false;
    for (index, (name, value)) in options.iter().enumerate() {
        if options[..index].iter().any(|(earlier, _)| earlier == name) {
            return Err(CqlError::syntax(format!("Multiple definition for property '{name}'")));
        }
        match name.as_str() {
            "replication" => {
                keyspace.replication = replication(&keyspace.name, &map_of(name, value)?)?;
                replicated = true;
            }
            "durable_writes" => {
                keyspace.durable_writes = match text_of(value).as_deref() {
                    Some("true") => true,
                    Some("false") => false,
                    _ => {
                        return Err(CqlError::syntax(
                            "Invalid boolean value for property 'durable_writes'",
                        ));
                    }
                };
            }
            "tablets" if context.knows_tablets => {
                let tablets = initial_tablets(&map_of(name, value)?, keyspace.tablets)?;
                if !creating && tablets.is_some() != keyspace.tablets.is_some() {
                    return Err(CqlError::invalid(
                        "Cannot alter replication strategy vnode/tablets flavor",
                    ));
                }
                keyspace.tablets = tablets;
            }
            "storage" => {
                let storage = map_of(name, value)?;
                if storage.get("type").map(String::as_str) != Some("LOCAL") || storage.len() != 1 {
                    return Err(CqlError::unsupported("storage other than {'type': 'LOCAL'}"));
                }
            }
            _ => return Err(CqlError::syntax(format!("Unknown property '{name}'"))),
        }
    }
    if creating && !replicated {
        return Err(CqlError::config("Missing mandatory option: replication".to_owned()));
    }
    let strategy = keyspace.replication.get("class").and_then(|class| class.strip_prefix(LOCATOR));
    match strategy {
        Some(strategy) if keyspace.tablets.is_some() && strategy != "NetworkTopologyStrategy" => {
            Err(CqlError::config(format!("{strategy} doesn't support tablet replication")))
        }
        _ => Ok(()),
    }
}

/// How many tablets a table begins with, 0 for the node to decide; `None`: vnodes.
/// Source: ScyllaDB, cql3/statements/ks_prop_defs.cc, `get_initial_tablets`.
fn initial_tablets(
    tablets: &BTreeMap<String, String>,
    default: Option<u32>,
) -> Result<Option<u32>> {
    if let Some(unknown) = tablets.keys().find(|key| *key != "enabled" && *key != "initial") {
        return Err(CqlError::config(format!("Unrecognized tablets option {unknown}")));
    }
    let mut initial = default;
    match tablets.get("enabled").map(String::as_str) {
        Some("true") => initial = Some(0),
        Some("false") => return Ok(None),
        Some(value) => {
            return Err(CqlError::config(format!(
                "Tablets enabled value must be true or false; found: {value}"
            )));
        }
        None => {}
    }
    if let Some(text) = tablets.get("initial") {
        let number = text.parse::<u32>().map_err(|_| {
            CqlError::config(format!("Initial tablets value should be numeric; found {text}"))
        })?;
        if number as usize > MAX_TABLETS {
            return Err(CqlError::config(format!(
                "Initial tablets value should be at most {MAX_TABLETS}; found {text}"
            )));
        }
        initial = Some(number);
    }
    Ok(initial)
}

fn replication(
    keyspace: &str,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let class = given
        .get("class")
        .ok_or_else(|| CqlError::config("Missing mandatory replication strategy class"))?;
    let short = class.strip_prefix(LOCATOR).unwrap_or(class);
    let full = format!("{LOCATOR}{short}");
    let mut result = BTreeMap::from([("class".to_owned(), full.clone())]);
    let factor = |text: &str| -> Result<String> {
        text.parse::<u32>().map(|n| n.to_string()).map_err(|_| {
            CqlError::config(format!(
                "Replication factor must be numeric and non-negative, found '{text}'"
            ))
        })
    };
    let unrecognized = |option: &str| {
        CqlError::config(format!(
            "Unrecognized strategy option {{{option}}} passed to {full} for keyspace {keyspace}"
        ))
    };
    match short {
        "SimpleStrategy" => {
            for (key, value) in given {
                match key.as_str() {
                    "class" => {}
                    "replication_factor" => {
                        result.insert(key.clone(), factor(value)?);
                    }
                    other => return Err(unrecognized(other)),
                }
            }
            if !result.contains_key("replication_factor") {
                return Err(CqlError::config(
                    "SimpleStrategy requires a replication_factor strategy option.",
                ));
            }
        }
        "NetworkTopologyStrategy" => {
            for (key, value) in given {
                match key.as_str() {
                    "class" => {}
                    // One factor for every data centre that does not have its own.
                    "replication_factor" => {
                        let value = factor(value)?;
                        result.entry(DATA_CENTER.to_owned()).or_insert(value);
                    }
                    DATA_CENTER => {
                        result.insert(key.clone(), factor(value)?);
                    }
                    other => return Err(unrecognized(other)),
                }
            }
        }
        "LocalStrategy" | "EverywhereStrategy" => {
            if let Some(option) = given.keys().find(|key| *key != "class") {
                return Err(unrecognized(option));
            }
        }
        _ => return Err(CqlError::config(format!("unable to find class '{class}'"))),
    }
    Ok(result)
}
