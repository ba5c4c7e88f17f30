//! CREATE, ALTER and DROP TYPE.

use std::sync::Arc;

use super::ddl::{DdlContext, SchemaEdit, check_modifiable};
use super::model::{Catalog, Keyspace};
use super::resolve::{frozen, mentions_udt, resolve_type, with_udt};
use crate::error::{CqlError, Result};
use crate::parse::ast::{TableName, TypeChange, TypeName};
use crate::types::{CqlType, UdtDefinition};

pub(super) fn create(
    context: DdlContext<'_>,
    name: &TableName,
    if_not_exists: bool,
    fields: &[(String, TypeName)],
) -> Result<Option<SchemaEdit>> {
    let keyspace_name = Catalog::keyspace_name(name, context.current)?;
    check_modifiable(context, keyspace_name)?;
    let keyspace = context.catalog.keyspaces.get(keyspace_name).ok_or_else(|| {
        CqlError::invalid(format!("Cannot add type in unknown keyspace {keyspace_name}"))
    })?;
    if keyspace.types.contains_key(&name.name) {
        if if_not_exists {
            return Ok(None);
        }
        return Err(CqlError::invalid(format!(
            "A user type of name {keyspace_name}.{} already exists",
            name.name
        )));
    }
    let mut definition = UdtDefinition {
        keyspace: keyspace_name.to_owned(),
        name: name.name.clone(),
        fields: Vec::with_capacity(fields.len()),
    };
    for (field, type_name) in fields {
        if definition.fields.iter().any(|(existing, _)| existing == field) {
            return Err(CqlError::invalid(format!(
                "Duplicate field name {field} in type {}",
                name.name
            )));
        }
        definition.fields.push((field.clone(), field_type(type_name, keyspace)?));
    }
    let mut edit = SchemaEdit::new(context.catalog, "CREATED", "TYPE", keyspace_name, &name.name);
    edit.keyspace_mut(keyspace_name)?.types.insert(name.name.clone(), Arc::new(definition));
    Ok(Some(edit))
}

fn field_type(name: &TypeName, keyspace: &Keyspace) -> Result<CqlType> {
    let ty = resolve_type(name, keyspace)?;
    if ty == CqlType::Counter {
        return Err(CqlError::invalid("A user type cannot contain counters"));
    }
    if matches!(ty, CqlType::Udt { frozen: false, .. }) {
        return Err(CqlError::invalid("A user type cannot contain non-frozen user type fields"));
    }
    // A field is part of one value: collections in it are frozen even if not written so.
    Ok(frozen(&ty))
}

fn definition_of(
    context: DdlContext<'_>,
    name: &TableName,
) -> Result<(String, Arc<UdtDefinition>)> {
    let keyspace_name = Catalog::keyspace_name(name, context.current)?;
    check_modifiable(context, keyspace_name)?;
    let definition = context
        .catalog
        .keyspaces
        .get(keyspace_name)
        .and_then(|keyspace| keyspace.types.get(&name.name))
        .ok_or_else(|| {
            CqlError::invalid(format!("No user type named {keyspace_name}.{} exists.", name.name))
        })?;
    Ok((keyspace_name.to_owned(), definition.clone()))
}

pub(super) fn alter(
    context: DdlContext<'_>,
    name: &TableName,
    change: &TypeChange,
) -> Result<Option<SchemaEdit>> {
    let (keyspace_name, old) = definition_of(context, name)?;
    let mut new = (*old).clone();
    match change {
        TypeChange::Add(field, type_name) => {
            if new.fields.iter().any(|(existing, _)| existing == field) {
                return Err(CqlError::invalid(format!(
                    "Cannot add new field {field} to type {keyspace_name}.{}: a field of the same name already exists",
                    name.name
                )));
            }
            let ty = field_type(type_name, context.catalog.keyspace(&keyspace_name)?)?;
            if mentions_udt(&ty, &name.name) {
                return Err(CqlError::invalid(format!(
                    "Cannot add new field {field} of type {ty} to type {keyspace_name}.{} as this would create a circular reference",
                    name.name
                )));
            }
            new.fields.push((field.clone(), ty));
        }
        TypeChange::Rename(renames) => {
            for (from, to) in renames {
                if new.fields.iter().any(|(existing, _)| existing == to) {
                    return Err(CqlError::invalid(format!(
                        "Duplicate field name {to} in type {}",
                        name.name
                    )));
                }
                let field =
                    new.fields.iter_mut().find(|(existing, _)| existing == from).ok_or_else(
                        || {
                            CqlError::invalid(format!(
                                "Unknown field {from} in type {keyspace_name}.{}",
                                name.name
                            ))
                        },
                    )?;
                field.0.clone_from(to);
            }
        }
    }
    let new = Arc::new(new);
    let mut edit = SchemaEdit::new(context.catalog, "UPDATED", "TYPE", &keyspace_name, &name.name);
    let keyspace = edit.keyspace_mut(&keyspace_name)?;
    keyspace.types.insert(name.name.clone(), new.clone());
    for definition in keyspace.types.values_mut() {
        if definition.name != new.name
            && definition.fields.iter().any(|(_, f)| mentions_udt(f, &new.name))
        {
            for (_, field) in &mut Arc::make_mut(definition).fields {
                *field = with_udt(field, &new);
            }
        }
    }
    let mut changed = Vec::new();
    for table in keyspace.tables.values_mut() {
        if table.columns.iter().any(|c| mentions_udt(&c.cql_type, &new.name)) {
            for column in &mut Arc::make_mut(table).columns {
                column.cql_type = with_udt(&column.cql_type, &new);
            }
            changed.push(table.clone());
        }
    }
    edit.altered = changed;
    Ok(Some(edit))
}

pub(super) fn drop(
    context: DdlContext<'_>,
    name: &TableName,
    if_exists: bool,
) -> Result<Option<SchemaEdit>> {
    let (keyspace_name, _) = match definition_of(context, name) {
        Ok(found) => found,
        Err(error) if if_exists && error.message.starts_with("No user type") => return Ok(None),
        Err(error) => return Err(error),
    };
    let keyspace = context.catalog.keyspace(&keyspace_name)?;
    for other in keyspace.types.values() {
        if other.name != name.name && other.fields.iter().any(|(_, f)| mentions_udt(f, &name.name))
        {
            return Err(CqlError::invalid(format!(
                "Cannot drop user type {keyspace_name}.{} as it is still used by user type {}",
                name.name, other.name
            )));
        }
    }
    for table in keyspace.tables.values() {
        if table.columns.iter().any(|c| mentions_udt(&c.cql_type, &name.name)) {
            return Err(CqlError::invalid(format!(
                "Cannot drop user type {keyspace_name}.{} as it is still used by table {keyspace_name}.{}",
                name.name, table.name
            )));
        }
    }
    let mut edit = SchemaEdit::new(context.catalog, "DROPPED", "TYPE", &keyspace_name, &name.name);
    edit.keyspace_mut(&keyspace_name)?.types.remove(&name.name);
    Ok(Some(edit))
}
