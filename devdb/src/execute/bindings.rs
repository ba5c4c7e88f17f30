//! Expressions with the bound values in them.

use bytes::Bytes;

use super::functions::{FunctionContext, call};
use super::timeuuid::ListSequence;
use crate::error::{CqlError, Result};
use crate::plan::{Expression, KeyValues, assemble};
use crate::request::Value;
use crate::types::{collection, validate};

/// What the expressions of one execution are evaluated with.
#[derive(Debug, Clone, Copy)]
pub struct Bindings<'a> {
    /// The bound values, in the markers' order.
    pub values: &'a [Value],
    /// For functions.
    pub context: FunctionContext<'a>,
    /// Numbers list elements.
    pub lists: &'a ListSequence,
}

impl Bindings<'_> {
    /// The expression's value.
    pub fn value(&self, expression: &Expression) -> Result<Value> {
        match expression {
            Expression::Constant(value) => Ok(value.clone()),
            Expression::Bind { index, cql_type, name } => {
                let value = self.values.get(*index).ok_or_else(|| {
                    CqlError::invalid(format!(
                        "Invalid amount of bind variables: no value for {name}"
                    ))
                })?;
                if let Value::Bytes(bytes) = value {
                    validate(cql_type, bytes, name)?;
                }
                Ok(value.clone())
            }
            Expression::Call { function, arguments } => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(match self.value(argument)? {
                        Value::Bytes(bytes) => Some(bytes),
                        Value::Null => None,
                        Value::Unset => {
                            return Err(CqlError::invalid(
                                "Invalid unset value for argument in call to function",
                            ));
                        }
                    });
                }
                Ok(call(function, &values, self.context)?.map_or(Value::Null, Value::Bytes))
            }
            composite => assemble(composite, &mut |part| self.value(part)),
        }
    }

    /// The value where UNSET means nothing.
    pub fn known(&self, expression: &Expression, what: &str) -> Result<Option<Bytes>> {
        match self.value(expression)? {
            Value::Bytes(bytes) => Ok(Some(bytes)),
            Value::Null => Ok(None),
            Value::Unset => Err(CqlError::invalid(format!("Invalid unset value for {what}"))),
        }
    }

    /// The values that `=` or `IN` name, as given. `None`: unset.
    pub fn values_of(&self, values: &KeyValues) -> Result<Option<Vec<Option<Bytes>>>> {
        let mut list = Vec::new();
        match values {
            KeyValues::One(value) => match self.value(value)? {
                Value::Bytes(bytes) => list.push(Some(bytes)),
                Value::Null => list.push(None),
                Value::Unset => return Ok(None),
            },
            KeyValues::Many(many) => {
                for value in many {
                    match self.value(value)? {
                        Value::Bytes(bytes) => list.push(Some(bytes)),
                        Value::Null => list.push(None),
                        Value::Unset => return Ok(None),
                    }
                }
            }
            KeyValues::Bound(bound) => match self.value(bound)? {
                Value::Bytes(bytes) => {
                    list.extend(collection::decode_sequence(&bytes)?.into_iter().map(Some));
                }
                Value::Null => {
                    return Err(CqlError::invalid("Invalid null value for IN relation"));
                }
                Value::Unset => return Ok(None),
            },
        }
        Ok(Some(list))
    }

    /// A positive `LIMIT`; `None` when there is none.
    pub fn limit(&self, limit: Option<&Expression>, clause: &str) -> Result<Option<usize>> {
        let Some(expression) = limit else {
            return Ok(None);
        };
        match self.value(expression)? {
            Value::Unset => Ok(None),
            Value::Null => Err(CqlError::invalid("Invalid null value of limit")),
            Value::Bytes(bytes) => {
                let value = bytes
                    .as_ref()
                    .try_into()
                    .map(i32::from_be_bytes)
                    .map_err(|_| CqlError::invalid("Invalid limit value"))?;
                match usize::try_from(value) {
                    Ok(value) if value > 0 => Ok(Some(value)),
                    _ => Err(CqlError::invalid(format!("{clause} must be strictly positive"))),
                }
            }
        }
    }
}
