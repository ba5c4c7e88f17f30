//! Signatures to come.
use super::CqlType;
use crate::error::{CqlError, Result};
use crate::parse::ast::Literal;
use bytes::Bytes;
use std::cmp::Ordering;

/// A constant as a value of a type; refused with ScyllaDB's texts.
pub fn literal_to_bytes(_l: &Literal, _ty: &CqlType, _column: &str) -> Result<Bytes> { Err(CqlError::unsupported("literals yet")) }
/// Refuses bytes that are no value of the type (bound values). `what` names the column.
pub fn validate(_ty: &CqlType, _bytes: &[u8], _what: &str) -> Result<()> { Ok(()) }
/// The type's own order.
pub fn compare(_ty: &CqlType, a: &[u8], b: &[u8]) -> Ordering { a.cmp(b) }
/// As `toJson` shows it. Bytes of a collection in the protocol's form.
pub fn to_json(_ty: &CqlType, _b: &[u8]) -> String { String::new() }
/// From `INSERT JSON`; `Ok(None)` for null.
pub fn from_json(_ty: &CqlType, _v: &serde_json::Value, _column: &str) -> Result<Option<Bytes>> { Ok(None) }
/// As `CAST(x AS text)` and `cqlsh` show it.
pub fn to_text(_ty: &CqlType, _b: &[u8]) -> String { String::new() }
/// From a string literal.
pub fn from_text(_ty: &CqlType, _s: &str) -> Result<Bytes> { Ok(Bytes::new()) }
