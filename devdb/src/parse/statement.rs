//! One statement, whole.

use crate::error::CqlError;

use super::ast::{Parsed, Statement, TypeName};
use super::cursor::Cursor;
use super::lexer::TokenKind;

/// Parses one statement, with or without a `;` behind it.
///
/// # Errors
/// A syntax error with line and column, or a refusal that names what devdb cannot do.
pub fn parse_statement(text: &str) -> Result<Parsed, CqlError> {
    let mut cursor = Cursor::new(text)?;
    let statement = cursor.statement()?;
    while cursor.accept_sign(";") {}
    if !cursor.is_end() {
        return Err(cursor.mismatch("EOF"));
    }
    Ok(Parsed { statement, markers: cursor.into_markers() })
}

/// Parses a type, as in a column definition.
///
/// # Errors
/// A syntax error with line and column.
pub fn parse_type(text: &str) -> Result<TypeName, CqlError> {
    let mut cursor = Cursor::new(text)?;
    let type_name = cursor.type_name()?;
    if !cursor.is_end() {
        return Err(cursor.mismatch("EOF"));
    }
    Ok(type_name)
}

impl Cursor<'_> {
    fn statement(&mut self) -> Result<Statement, CqlError> {
        let TokenKind::Word(word) = self.peek() else {
            return Err(self.no_viable_alternative());
        };
        match word.as_str() {
            "select" => self.select(),
            "insert" => self.insert(),
            "update" => self.update(),
            "delete" => self.delete(),
            "begin" => self.batch(),
            "create" => self.create(),
            "alter" => self.alter(),
            "drop" => self.drop_statement(),
            "truncate" => self.truncate(),
            "use" => self.use_keyspace(),
            "describe" | "desc" => self.describe(),
            "grant" | "revoke" => Err(CqlError::unsupported("roles and permissions")),
            "list" => Err(CqlError::unsupported("LIST")),
            "prune" => Err(CqlError::unsupported("PRUNE MATERIALIZED VIEW")),
            "attach" | "detach" => Err(CqlError::unsupported("service levels")),
            _ => Err(self.no_viable_alternative()),
        }
    }
}
