//! Values: constants, markers, collections, tuples, function calls.

use crate::error::CqlError;

use super::ast::{InValues, Literal, Term};
use super::cursor::Cursor;
use super::lexer::TokenKind;

impl Cursor<'_> {
    /// A value expression.
    pub(super) fn term(&mut self) -> Result<Term, CqlError> {
        self.nested(Self::term_at_level)
    }

    fn term_at_level(&mut self) -> Result<Term, CqlError> {
        if self.is_marker() {
            return Ok(Term::Bind(self.marker()?));
        }
        if let Some(literal) = self.accept_literal() {
            return Ok(Term::Literal(literal));
        }
        if self.accept_word("null") {
            return Ok(Term::Null);
        }
        match self.peek() {
            TokenKind::Sign("[") => {
                self.advance();
                Ok(Term::List(self.terms_until("]")?))
            }
            TokenKind::Sign("{") => self.braces(),
            TokenKind::Sign("(") => self.parentheses(),
            TokenKind::Word(_) | TokenKind::QuotedName(_) => self.function_call(),
            _ => Err(self.no_viable_alternative()),
        }
    }

    /// A constant, if one stands here.
    pub(super) fn accept_literal(&mut self) -> Option<Literal> {
        let literal = match self.peek() {
            TokenKind::String(text) => Literal::String(text.clone()),
            TokenKind::Integer(text) => Literal::Integer(text.clone()),
            TokenKind::Float(text) => Literal::Float(text.clone()),
            TokenKind::Boolean(value) => Literal::Boolean(*value),
            TokenKind::Duration(text) => Literal::Duration(text.clone()),
            TokenKind::Uuid(uuid) => Literal::Uuid(*uuid),
            TokenKind::Hex(bytes) => Literal::Hex(bytes.clone()),
            _ => {
                let sign = usize::from(self.is_sign("-"));
                let name = ["NaN", "Infinity"]
                    .into_iter()
                    .find(|name| self.is_word_at(sign, &name.to_ascii_lowercase()))?;
                if sign == 1 {
                    self.advance();
                }
                self.advance();
                return Some(Literal::Float(format!("{}{name}", if sign == 1 { "-" } else { "" })));
            }
        };
        self.advance();
        Some(literal)
    }

    /// The rest of a list of terms, closed by a sign; may be empty.
    fn terms_until(&mut self, close: &str) -> Result<Vec<Term>, CqlError> {
        let mut terms = Vec::new();
        if self.accept_sign(close) {
            return Ok(terms);
        }
        loop {
            terms.push(self.term()?);
            if !self.accept_sign(",") {
                self.expect_sign(close)?;
                return Ok(terms);
            }
        }
    }

    fn braces(&mut self) -> Result<Term, CqlError> {
        self.expect_sign("{")?;
        if self.accept_sign("}") {
            return Ok(Term::Set(Vec::new()));
        }
        if self.is_identifier() && self.is_sign_at(1, ":") {
            return self.user_type_value();
        }
        let first = self.term()?;
        if self.accept_sign(":") {
            let mut entries = vec![(first, self.term()?)];
            while self.accept_sign(",") {
                let key = self.term()?;
                self.expect_sign(":")?;
                entries.push((key, self.term()?));
            }
            self.expect_sign("}")?;
            return Ok(Term::Map(entries));
        }
        let mut elements = vec![first];
        while self.accept_sign(",") {
            elements.push(self.term()?);
        }
        self.expect_sign("}")?;
        Ok(Term::Set(elements))
    }

    fn user_type_value(&mut self) -> Result<Term, CqlError> {
        let mut fields = Vec::new();
        loop {
            let field = self.identifier()?;
            self.expect_sign(":")?;
            fields.push((field, self.term()?));
            if !self.accept_sign(",") {
                self.expect_sign("}")?;
                return Ok(Term::Udt(fields));
            }
        }
    }

    /// `(a, b)`, or a type hint: `(int) ?`.
    fn parentheses(&mut self) -> Result<Term, CqlError> {
        let start = self.place();
        self.expect_sign("(")?;
        if let TokenKind::Word(_) | TokenKind::QuotedName(_) = self.peek()
            && let Ok(type_name) = self.type_name()
            && self.accept_sign(")")
        {
            return Ok(Term::TypeHint { type_name, term: Box::new(self.term()?) });
        }
        self.go_back(start);
        Ok(Term::Tuple(self.tuple()?))
    }

    /// `(a, b)`, at least one term.
    pub(super) fn tuple(&mut self) -> Result<Vec<Term>, CqlError> {
        self.expect_sign("(")?;
        if self.is_sign(")") {
            return Err(self.no_viable_alternative());
        }
        self.terms_until(")")
    }

    fn function_call(&mut self) -> Result<Term, CqlError> {
        let name = self.function_name()?;
        if !self.accept_sign("(") {
            return Err(self.no_viable_alternative());
        }
        Ok(Term::Function { name, arguments: self.terms_until(")")? })
    }

    /// Whether a function's name and its `(` stand here.
    pub(super) fn is_function_call(&self) -> bool {
        let name_at = if self.is_sign_at(1, ".") { 2 } else { 0 };
        self.is_sign_at(name_at + 1, "(")
            && (self.is_identifier_at(name_at) || self.is_word_at(name_at, "token"))
    }

    /// The name of a function; those of `system` are the native ones.
    pub(super) fn function_name(&mut self) -> Result<String, CqlError> {
        if self.accept_word("token") {
            return Ok("token".to_owned());
        }
        let first = self.identifier()?;
        if !self.accept_sign(".") {
            return Ok(first);
        }
        let name = self.identifier()?;
        if first == "system" {
            return Ok(name);
        }
        Err(CqlError::unsupported(format_args!("user-defined functions ({first}.{name})")))
    }

    /// What stands behind `IN`: `(a, b)`, `()` or a marker.
    pub(super) fn in_values(&mut self) -> Result<InValues, CqlError> {
        if self.is_marker() {
            return Ok(InValues::Bind(self.marker()?));
        }
        self.expect_sign("(")?;
        Ok(InValues::Terms(self.terms_until(")")?))
    }

    /// What LIMIT, TIMESTAMP and TTL take: a whole number or a marker.
    pub(super) fn integer_term(&mut self) -> Result<Term, CqlError> {
        if self.is_marker() {
            return Ok(Term::Bind(self.marker()?));
        }
        if let TokenKind::Integer(text) = self.peek() {
            let literal = Literal::Integer(text.clone());
            self.advance();
            return Ok(Term::Literal(literal));
        }
        Err(self.no_viable_alternative())
    }
}
