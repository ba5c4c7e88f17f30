//! Types as written become types of a keyspace.

use std::sync::Arc;

use super::model::Keyspace;
use crate::error::{CqlError, Result};
use crate::parse::ast::TypeName;
use crate::types::CqlType;

/// The scalar type of this name.
pub fn native_type(name: &str) -> Option<CqlType> {
    Some(match name {
        "ascii" => CqlType::Ascii,
        "bigint" => CqlType::Bigint,
        "blob" => CqlType::Blob,
        "boolean" => CqlType::Boolean,
        "counter" => CqlType::Counter,
        "date" => CqlType::Date,
        "decimal" => CqlType::Decimal,
        "double" => CqlType::Double,
        "duration" => CqlType::Duration,
        "float" => CqlType::Float,
        "inet" => CqlType::Inet,
        "int" => CqlType::Int,
        "smallint" => CqlType::Smallint,
        "text" | "varchar" => CqlType::Text,
        "time" => CqlType::Time,
        "timestamp" => CqlType::Timestamp,
        "timeuuid" => CqlType::Timeuuid,
        "tinyint" => CqlType::Tinyint,
        "uuid" => CqlType::Uuid,
        "varint" => CqlType::Varint,
        _ => return None,
    })
}

/// Resolves a type in a keyspace, whose UDTs it may name.
pub fn resolve_type(name: &TypeName, keyspace: &Keyspace) -> Result<CqlType> {
    resolve(name, keyspace, false)
}

fn resolve(name: &TypeName, keyspace: &Keyspace, frozen: bool) -> Result<CqlType> {
    match name {
        TypeName::Named { keyspace: other, name: type_name } => {
            if other.is_none()
                && let Some(native) = native_type(type_name)
            {
                return Ok(native);
            }
            if let Some(other) = other
                && *other != keyspace.name
            {
                return Err(CqlError::invalid(format!(
                    "Statement on keyspace {} cannot refer to a user type in keyspace {other}; \
                     user types can only be used in the keyspace they are defined in",
                    keyspace.name
                )));
            }
            match keyspace.types.get(type_name) {
                Some(definition) => Ok(CqlType::Udt { definition: definition.clone(), frozen }),
                None => {
                    Err(CqlError::invalid(format!("Unknown type {}.{type_name}", keyspace.name)))
                }
            }
        }
        TypeName::Frozen(inner) => match resolve(inner, keyspace, true)? {
            ty @ (CqlType::List { .. }
            | CqlType::Set { .. }
            | CqlType::Map { .. }
            | CqlType::Udt { .. }
            | CqlType::Tuple(_)) => Ok(ty),
            _ => Err(CqlError::invalid(
                "frozen<> is only allowed on collections, tuples, and user-defined types",
            )),
        },
        TypeName::Generic { name: word, parameters } => {
            let nested = |index: usize| -> Result<Arc<CqlType>> {
                let parameter = parameters
                    .get(index)
                    .ok_or_else(|| CqlError::syntax(format!("{word}<> lacks a type parameter")))?;
                // What is inside a frozen collection is frozen with it.
                let ty = resolve(parameter, keyspace, frozen)?;
                if ty.is_multi_cell() {
                    return Err(CqlError::invalid(format!(
                        "Non-frozen user types or collections are not allowed inside collections: {name}"
                    )));
                }
                if ty == CqlType::Counter {
                    return Err(CqlError::invalid(format!(
                        "Counters are not allowed inside collections: {name}"
                    )));
                }
                Ok(Arc::new(ty))
            };
            let arity = |expected: usize| -> Result<()> {
                if parameters.len() == expected {
                    Ok(())
                } else {
                    Err(CqlError::syntax(format!(
                        "{word}<> takes {expected} type parameter(s), got {}",
                        parameters.len()
                    )))
                }
            };
            match word.as_str() {
                "list" => {
                    arity(1)?;
                    Ok(CqlType::List { element: nested(0)?, frozen })
                }
                "set" => {
                    arity(1)?;
                    let element = nested(0)?;
                    if *element == CqlType::Duration {
                        return Err(CqlError::invalid(format!(
                            "Durations are not allowed inside sets: {name}"
                        )));
                    }
                    Ok(CqlType::Set { element, frozen })
                }
                "map" => {
                    arity(2)?;
                    let key = nested(0)?;
                    if *key == CqlType::Duration {
                        return Err(CqlError::invalid(format!(
                            "Durations are not allowed as map keys: {name}"
                        )));
                    }
                    Ok(CqlType::Map { key, value: nested(1)?, frozen })
                }
                "tuple" => {
                    let mut fields = Vec::with_capacity(parameters.len());
                    for parameter in parameters {
                        // A tuple is one cell: its parts are frozen whether written so or not.
                        let ty = resolve(parameter, keyspace, true)?;
                        if ty == CqlType::Counter {
                            return Err(CqlError::invalid(
                                "Counters are not allowed inside tuples",
                            ));
                        }
                        fields.push(ty);
                    }
                    Ok(CqlType::Tuple(fields.into()))
                }
                _ => Err(CqlError::syntax(format!("unknown parameterized type {word}"))),
            }
        }
    }
}

/// The same type with everything in it frozen.
pub fn frozen(ty: &CqlType) -> CqlType {
    match ty {
        CqlType::List { element, .. } => CqlType::List { element: element.clone(), frozen: true },
        CqlType::Set { element, .. } => CqlType::Set { element: element.clone(), frozen: true },
        CqlType::Map { key, value, .. } => {
            CqlType::Map { key: key.clone(), value: value.clone(), frozen: true }
        }
        CqlType::Udt { definition, .. } => {
            CqlType::Udt { definition: definition.clone(), frozen: true }
        }
        other => other.clone(),
    }
}

/// Whether a type is, or contains, the user type of this name.
pub fn mentions_udt(ty: &CqlType, name: &str) -> bool {
    match ty {
        CqlType::List { element, .. } | CqlType::Set { element, .. } => mentions_udt(element, name),
        CqlType::Map { key, value, .. } => mentions_udt(key, name) || mentions_udt(value, name),
        CqlType::Tuple(fields) => fields.iter().any(|f| mentions_udt(f, name)),
        CqlType::Udt { definition, .. } => {
            definition.name == name || definition.fields.iter().any(|(_, f)| mentions_udt(f, name))
        }
        _ => false,
    }
}

/// The type with the user type's new definition wherever the old one was.
pub fn with_udt(ty: &CqlType, new: &Arc<crate::types::UdtDefinition>) -> CqlType {
    match ty {
        CqlType::List { element, frozen } => {
            CqlType::List { element: Arc::new(with_udt(element, new)), frozen: *frozen }
        }
        CqlType::Set { element, frozen } => {
            CqlType::Set { element: Arc::new(with_udt(element, new)), frozen: *frozen }
        }
        CqlType::Map { key, value, frozen } => CqlType::Map {
            key: Arc::new(with_udt(key, new)),
            value: Arc::new(with_udt(value, new)),
            frozen: *frozen,
        },
        CqlType::Tuple(fields) => {
            CqlType::Tuple(fields.iter().map(|f| with_udt(f, new)).collect::<Vec<_>>().into())
        }
        CqlType::Udt { definition, frozen } if definition.name == new.name => {
            CqlType::Udt { definition: new.clone(), frozen: *frozen }
        }
        CqlType::Udt { definition, frozen } if mentions_udt(ty, &new.name) => {
            let mut changed = (**definition).clone();
            for (_, field) in &mut changed.fields {
                *field = with_udt(field, new);
            }
            CqlType::Udt { definition: Arc::new(changed), frozen: *frozen }
        }
        other => other.clone(),
    }
}
