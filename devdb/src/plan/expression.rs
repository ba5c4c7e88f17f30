//! Terms with their types resolved.

use bytes::Bytes;

use super::functions::{Argument, ScalarFunction, assignable, describe_literal_kind, resolve_call};
use super::planner::Planner;
use crate::error::{CqlError, Result};
use crate::parse::ast::Term;
use crate::request::{ColumnSpec, Value};
use crate::types::{CqlType, collection, compare, literal_to_bytes};

/// A value that is known, or will be when the markers are bound.
#[derive(Debug, Clone)]
pub enum Expression {
    /// A constant.
    Constant(Value),
    /// A bound value.
    Bind {
        /// Which marker.
        index: usize,
        /// Its type.
        cql_type: CqlType,
        /// What it is for, to name it in an error.
        name: String,
    },
    /// A list's elements.
    List(Vec<Expression>),
    /// A set's elements, with their type (they are sorted by it).
    Set(Vec<Expression>, CqlType),
    /// A map's entries, with the key's type.
    Map(Vec<(Expression, Expression)>, CqlType),
    /// A tuple's or UDT's fields.
    Tuple(Vec<Expression>),
    /// A function of values.
    Call {
        /// The function.
        function: ScalarFunction,
        /// What it is called with.
        arguments: Vec<Expression>,
    },
}

impl Expression {
    /// NULL.
    pub const NULL: Expression = Expression::Constant(Value::Null);

    /// The marker that the whole expression is, if it is one.
    pub fn bind_index(&self) -> Option<usize> {
        match self {
            Expression::Bind { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// Whether it is the constant NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Expression::Constant(Value::Null))
    }

    fn constant(&self) -> Option<&Value> {
        match self {
            Expression::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// A composite of constants is a constant: computed once, not at each execution.
    fn folded(self) -> Result<Expression> {
        let constant = match &self {
            Expression::List(elements) | Expression::Set(elements, _) => {
                elements.iter().all(|e| e.constant().is_some())
            }
            Expression::Tuple(fields) => fields.iter().all(|e| e.constant().is_some()),
            Expression::Map(entries, _) => {
                entries.iter().all(|(k, v)| k.constant().is_some() && v.constant().is_some())
            }
            _ => false,
        };
        if !constant {
            return Ok(self);
        }
        Ok(Expression::Constant(assemble(&self, &mut |e| {
            Ok(e.constant().cloned().unwrap_or(Value::Null))
        })?))
    }
}

/// Builds the value of a composite from the values of its parts.
pub fn assemble(
    expression: &Expression,
    evaluate: &mut dyn FnMut(&Expression) -> Result<Value>,
) -> Result<Value> {
    let mut element = |e: &Expression| -> Result<Bytes> {
        match evaluate(e)? {
            Value::Bytes(bytes) => Ok(bytes),
            Value::Null => Err(CqlError::invalid("null is not supported inside collections")),
            Value::Unset => {
                Err(CqlError::invalid("unset value is not supported inside collections"))
            }
        }
    };
    let bytes = match expression {
        Expression::List(elements) => {
            let values = elements.iter().map(&mut element).collect::<Result<Vec<_>>>()?;
            collection::encode_sequence(values.iter().map(|v| &v[..]))
        }
        Expression::Set(elements, ty) => {
            let mut values = elements.iter().map(&mut element).collect::<Result<Vec<_>>>()?;
            values.sort_by(|a, b| compare(ty, a, b));
            values.dedup();
            collection::encode_sequence(values.iter().map(|v| &v[..]))
        }
        Expression::Map(entries, ty) => {
            let mut values = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                values.push((element(key)?, element(value)?));
            }
            // Of two entries with one key the later counts.
            values.reverse();
            values.sort_by(|a, b| compare(ty, &a.0, &b.0));
            values.dedup_by(|later, earlier| later.0 == earlier.0);
            collection::encode_map(values.iter().map(|(k, v)| (&k[..], &v[..])))
        }
        Expression::Tuple(fields) => {
            let mut values = Vec::with_capacity(fields.len());
            for field in fields {
                values.push(match evaluate(field)? {
                    Value::Bytes(bytes) => Some(bytes),
                    Value::Null => None,
                    Value::Unset => {
                        return Err(CqlError::invalid("Invalid unset value for tuple field"));
                    }
                });
            }
            collection::encode_tuple(values.iter().map(|v| v.as_ref().map(|v| &v[..])))
        }
        other => return evaluate(other),
    };
    Ok(Value::Bytes(bytes))
}

/// A receiver inside another: `value(l)`, `key(m)`, …
pub fn inner(receiver: &ColumnSpec, name: String, ty: &CqlType) -> ColumnSpec {
    ColumnSpec { name, cql_type: ty.clone(), ..receiver.clone() }
}

impl Planner<'_> {
    /// Resolves a term that is to become a value of the receiver.
    pub fn term(&mut self, term: &Term, receiver: &ColumnSpec) -> Result<Expression> {
        let name = &receiver.name;
        let ty = &receiver.cql_type;
        match term {
            Term::Null => Ok(Expression::NULL),
            Term::Literal(literal) => {
                Ok(Expression::Constant(Value::Bytes(literal_to_bytes(literal, ty, name)?)))
            }
            Term::Bind(marker) => {
                self.markers.set(marker, receiver)?;
                Ok(Expression::Bind {
                    index: marker.index,
                    cql_type: ty.clone(),
                    name: name.clone(),
                })
            }
            Term::List(terms) => match ty {
                CqlType::List { element, .. } => {
                    let spec = inner(receiver, format!("value({name})"), element);
                    Expression::List(self.elements(terms, &spec, "list", receiver, "value")?)
                        .folded()
                }
                _ => Err(invalid_literal("list", receiver)),
            },
            Term::Set(terms) => match ty {
                CqlType::Set { element, .. } => {
                    let spec = inner(receiver, format!("value({name})"), element);
                    let elements = self.elements(terms, &spec, "set", receiver, "value")?;
                    Expression::Set(elements, (**element).clone()).folded()
                }
                // `{}` is written alike for sets and maps.
                CqlType::Map { key, .. } if terms.is_empty() => {
                    Expression::Map(Vec::new(), (**key).clone()).folded()
                }
                _ => Err(invalid_literal("set", receiver)),
            },
            Term::Map(pairs) => match ty {
                CqlType::Map { key, value, .. } => {
                    let key_spec = inner(receiver, format!("key({name})"), key);
                    let value_spec = inner(receiver, format!("value({name})"), value);
                    let mut entries = Vec::with_capacity(pairs.len());
                    for (k, v) in pairs {
                        entries.push((
                            self.element(k, &key_spec, "map", receiver, "key")?,
                            self.element(v, &value_spec, "map", receiver, "value")?,
                        ));
                    }
                    Expression::Map(entries, (**key).clone()).folded()
                }
                _ => Err(invalid_literal("map", receiver)),
            },
            Term::Udt(given) => {
                let CqlType::Udt { definition, .. } = ty else {
                    return Err(invalid_literal("user type", receiver));
                };
                for (field, _) in given {
                    if !definition.fields.iter().any(|(known, _)| known == field) {
                        return Err(CqlError::invalid(format!(
                            "Unknown field '{field}' in value of user defined type {}",
                            definition.name
                        )));
                    }
                }
                let definition = definition.clone();
                let mut fields = Vec::with_capacity(definition.fields.len());
                for (field, field_type) in &definition.fields {
                    let value = given.iter().find(|(known, _)| known == field);
                    fields.push(match value {
                        Some((_, term)) => {
                            let spec = inner(receiver, format!("{name}.{field}"), field_type);
                            self.check_fits(term, field_type, || {
                                format!(
                                    "Invalid user type literal for {name}: field {field} is not of type {field_type}"
                                )
                            })?;
                            self.term(term, &spec)?
                        }
                        None => Expression::NULL,
                    });
                }
                Expression::Tuple(fields).folded()
            }
            Term::Tuple(terms) => {
                let CqlType::Tuple(types) = ty else {
                    return Err(invalid_literal("tuple", receiver));
                };
                if terms.len() != types.len() {
                    return Err(CqlError::invalid(format!(
                        "Invalid tuple literal for {name}: too {} elements. Type {ty} expects {} but got {}",
                        if terms.len() < types.len() { "few" } else { "many" },
                        types.len(),
                        terms.len()
                    )));
                }
                let types = types.clone();
                let mut fields = Vec::with_capacity(terms.len());
                for (index, (term, field_type)) in terms.iter().zip(types.iter()).enumerate() {
                    self.check_fits(term, field_type, || {
                        format!(
                            "Invalid tuple literal for {name}: component {index} is not of type {field_type}"
                        )
                    })?;
                    let spec = inner(receiver, format!("{name}[{index}]"), field_type);
                    fields.push(self.term(term, &spec)?);
                }
                Expression::Tuple(fields).folded()
            }
            Term::Function { name: function, arguments } => {
                let (call, returned) = self.call(function, arguments, Some(receiver))?;
                if !same_type(&returned, ty) {
                    return Err(CqlError::invalid(format!(
                        "Type error: cannot assign result of function system.{function} (type {returned}) to {name} (type {ty})"
                    )));
                }
                Ok(call)
            }
            Term::TypeHint { type_name, term: inner_term } => {
                let hinted = self.resolve_type(type_name)?;
                if !same_type(&hinted, ty) {
                    return Err(CqlError::invalid(format!(
                        "Cannot assign value {term} to {name} of type {ty}"
                    )));
                }
                self.term(inner_term, receiver)
            }
        }
    }

    fn elements(
        &mut self,
        terms: &[Term],
        spec: &ColumnSpec,
        kind: &str,
        receiver: &ColumnSpec,
        part: &str,
    ) -> Result<Vec<Expression>> {
        terms.iter().map(|term| self.element(term, spec, kind, receiver, part)).collect()
    }

    fn element(
        &mut self,
        term: &Term,
        spec: &ColumnSpec,
        kind: &str,
        receiver: &ColumnSpec,
        part: &str,
    ) -> Result<Expression> {
        if matches!(term, Term::Null) {
            return Err(CqlError::invalid("null is not supported inside collections"));
        }
        self.check_fits(term, &spec.cql_type, || {
            format!(
                "Invalid {kind} literal for {}: {part} {term} is not of type {}",
                receiver.name, spec.cql_type
            )
        })?;
        self.term(term, spec)
    }

    fn check_fits(
        &self,
        term: &Term,
        ty: &CqlType,
        message: impl FnOnce() -> String,
    ) -> Result<()> {
        if assignable(&Argument::Term(term), ty) {
            Ok(())
        } else {
            Err(CqlError::invalid(message()))
        }
    }

    /// Resolves a function call; the receiver decides what `fromJson` returns.
    pub fn call(
        &mut self,
        name: &str,
        arguments: &[Term],
        receiver: Option<&ColumnSpec>,
    ) -> Result<(Expression, CqlType)> {
        let given: Vec<Argument<'_>> = arguments.iter().map(Argument::Term).collect();
        let signature =
            resolve_call(name, &given, receiver.map(|r| &r.cql_type), self.table.as_deref())?;
        let mut resolved = Vec::with_capacity(arguments.len());
        for (index, (term, ty)) in arguments.iter().zip(&signature.arguments).enumerate() {
            let spec = ColumnSpec {
                keyspace: receiver.map_or_else(String::new, |r| r.keyspace.clone()),
                table: receiver.map_or_else(String::new, |r| r.table.clone()),
                name: format!("arg{index}(system.{name})"),
                cql_type: ty.clone(),
            };
            resolved.push(self.term(term, &spec)?);
        }
        Ok((
            Expression::Call { function: signature.function, arguments: resolved },
            signature.returns,
        ))
    }

    /// The type that a term has by itself, where it has one.
    pub fn natural_type(&self, term: &Term) -> Result<CqlType> {
        match term {
            Term::TypeHint { type_name, .. } => self.resolve_type(type_name),
            Term::Literal(literal) => Ok(describe_literal_kind(literal)),
            other => Err(CqlError::invalid(format!(
                "Cannot infer type for term {other} in selection clause (try using a cast to force a type)"
            ))),
        }
    }
}

/// Equal but for `frozen`, which says how a value is stored, not what it is.
pub fn same_type(a: &CqlType, b: &CqlType) -> bool {
    match (a, b) {
        (CqlType::List { element: a, .. }, CqlType::List { element: b, .. })
        | (CqlType::Set { element: a, .. }, CqlType::Set { element: b, .. }) => same_type(a, b),
        (CqlType::Map { key: ka, value: va, .. }, CqlType::Map { key: kb, value: vb, .. }) => {
            same_type(ka, kb) && same_type(va, vb)
        }
        (CqlType::Udt { definition: a, .. }, CqlType::Udt { definition: b, .. }) => a == b,
        // What is read as one of these is stored alike.
        (CqlType::Timeuuid, CqlType::Uuid)
        | (CqlType::Ascii, CqlType::Text)
        | (CqlType::Bigint, CqlType::Counter) => true,
        _ => a == b,
    }
}

fn invalid_literal(kind: &str, receiver: &ColumnSpec) -> CqlError {
    CqlError::invalid(format!(
        "Invalid {kind} literal for {} of type {}",
        receiver.name, receiver.cql_type
    ))
}
