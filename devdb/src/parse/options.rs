//! `WITH name = value AND …`.

use crate::error::CqlError;

use super::ast::{Ident, Literal, OptionValue, Term};
use super::cursor::Cursor;
use super::keywords;
use super::lexer::TokenKind;

impl Cursor<'_> {
    /// `name = value`.
    pub(super) fn option(&mut self) -> Result<(Ident, OptionValue), CqlError> {
        let name = self.identifier()?;
        self.expect_sign("=")?;
        Ok((name, self.option_value()?))
    }

    /// `name = value AND …`.
    pub(super) fn options(&mut self) -> Result<Vec<(Ident, OptionValue)>, CqlError> {
        let mut options = vec![self.option()?];
        while self.accept_word("and") {
            options.push(self.option()?);
        }
        Ok(options)
    }

    fn option_value(&mut self) -> Result<OptionValue, CqlError> {
        self.nested(|cursor| {
            if cursor.is_sign("{") {
                return cursor.option_map();
            }
            if let Some(literal) = cursor.accept_literal() {
                return Ok(OptionValue::Literal(literal));
            }
            match cursor.peek() {
                TokenKind::Word(word) if word == "null" || keywords::is_unreserved(word) => {
                    let word = word.clone();
                    cursor.advance();
                    Ok(OptionValue::Literal(Literal::String(word)))
                }
                _ => Err(cursor.no_viable_alternative()),
            }
        })
    }

    fn option_map(&mut self) -> Result<OptionValue, CqlError> {
        self.expect_sign("{")?;
        let mut entries = Vec::new();
        if self.accept_sign("}") {
            return Ok(OptionValue::Map(entries));
        }
        loop {
            let key = match self.accept_literal() {
                Some(Literal::String(text)) => text,
                Some(other) => other.to_string(),
                None => return Err(self.refuse_option_term()),
            };
            self.expect_sign(":")?;
            let value = if self.is_sign("{") {
                self.option_value()?
            } else {
                match self.accept_literal() {
                    Some(literal) => OptionValue::Literal(literal),
                    None => return Err(self.refuse_option_term()),
                }
            };
            entries.push((key, value));
            if !self.accept_sign(",") {
                self.expect_sign("}")?;
                return Ok(OptionValue::Map(entries));
            }
        }
    }

    /// A term that is no constant parses as a map literal, but not as an option.
    fn refuse_option_term(&mut self) -> CqlError {
        let place = self.place();
        match self.term() {
            Ok(Term::Bind(_)) | Err(_) => {
                self.go_back(place);
                self.no_viable_alternative()
            }
            Ok(term) => {
                CqlError::syntax(format!("Invalid property value: {term} is not a constant"))
            }
        }
    }
}
