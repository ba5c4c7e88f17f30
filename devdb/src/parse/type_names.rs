//! Types as written: `map<text, frozen<list<int>>>`.

use crate::error::CqlError;

use super::ast::TypeName;
use super::cursor::Cursor;
use super::keywords;

impl Cursor<'_> {
    /// A type.
    pub(super) fn type_name(&mut self) -> Result<TypeName, CqlError> {
        self.nested(Self::type_name_at_level)
    }

    fn type_name_at_level(&mut self) -> Result<TypeName, CqlError> {
        let generic = ["list", "set", "map", "tuple", "frozen"]
            .into_iter()
            .find(|word| self.is_word(word) && self.is_sign_at(1, "<"));
        let Some(word) = generic else {
            return self.named_type();
        };
        self.advance();
        self.expect_sign("<")?;
        let mut parameters = vec![self.type_name()?];
        let more = match word {
            "map" => 1,
            "tuple" => usize::MAX,
            _ => 0,
        };
        if word == "map" && !self.is_sign(",") {
            return Err(self.mismatch("','"));
        }
        while parameters.len() <= more && self.accept_sign(",") {
            parameters.push(self.type_name()?);
        }
        self.expect_sign(">")?;
        match (word, parameters.pop()) {
            ("frozen", Some(inner)) => Ok(TypeName::Frozen(Box::new(inner))),
            (_, Some(last)) => {
                parameters.push(last);
                Ok(TypeName::Generic { name: word.to_owned(), parameters })
            }
            (_, None) => Err(self.no_viable_alternative()),
        }
    }

    pub(super) fn named_type(&mut self) -> Result<TypeName, CqlError> {
        let quoted = matches!(self.peek(), super::lexer::TokenKind::QuotedName(_));
        let start = self.place();
        let first = self.identifier()?;
        if self.accept_sign(".") {
            let name = self.identifier()?;
            return Ok(TypeName::Named { keyspace: Some(first), name });
        }
        if !quoted && keywords::is_reserved_type_name(&first) {
            self.go_back(start);
            return Err(self.error(format_args!("Invalid (reserved) user type name {first}")));
        }
        Ok(TypeName::Named { keyspace: None, name: first })
    }
}
