//! The parser's place among the tokens, and the errors it reports from there.

use std::sync::Arc;

use crate::error::CqlError;

use super::ast::BindMarker;
use super::keywords;
use super::lexer::{Token, TokenKind, position, tokenize};

/// Deepest nesting of terms, relations, selectors and types: far above what people
/// write, far below what the stack holds.
const MAX_NESTING: usize = 32;

/// Tokens, the place among them and what is collected on the way.
pub(super) struct Cursor<'a> {
    text: &'a str,
    tokens: Arc<[Token]>,
    at: usize,
    nesting: usize,
    markers: Vec<Option<String>>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Result<Self, CqlError> {
        let tokens = tokenize(text)?.into();
        Ok(Self { text, tokens, at: 0, nesting: 0, markers: Vec::new() })
    }

    /// The token `n` places ahead; behind the end, the end.
    pub(super) fn peek_at(&self, n: usize) -> &TokenKind {
        match self.tokens.get(self.at + n).or(self.tokens.last()) {
            Some(token) => &token.kind,
            None => &TokenKind::End,
        }
    }

    pub(super) fn peek(&self) -> &TokenKind {
        self.peek_at(0)
    }

    pub(super) fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    /// The place, for going back to it; only where no marker was read since.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn go_back(&mut self, place: usize) {
        self.at = place;
    }

    pub(super) fn is_sign_at(&self, n: usize, sign: &str) -> bool {
        matches!(self.peek_at(n), TokenKind::Sign(s) if *s == sign)
    }

    pub(super) fn is_sign(&self, sign: &str) -> bool {
        self.is_sign_at(0, sign)
    }

    pub(super) fn accept_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect_sign(&mut self, sign: &str) -> Result<(), CqlError> {
        if self.accept_sign(sign) {
            return Ok(());
        }
        Err(self.mismatch(&format!("'{sign}'")))
    }

    pub(super) fn is_word_at(&self, n: usize, word: &str) -> bool {
        matches!(self.peek_at(n), TokenKind::Word(w) if w == word)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub(super) fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// All the words, or none of them.
    pub(super) fn accept_words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(n, word)| self.is_word_at(n, word));
        if found {
            words.iter().for_each(|_| self.advance());
        }
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), CqlError> {
        if self.accept_word(word) {
            return Ok(());
        }
        Err(self.mismatch(&format!("K_{}", word.to_ascii_uppercase())))
    }

    pub(super) fn is_identifier_at(&self, n: usize) -> bool {
        match self.peek_at(n) {
            TokenKind::Word(word) => !keywords::is_reserved(word),
            TokenKind::QuotedName(_) => true,
            _ => false,
        }
    }

    pub(super) fn is_identifier(&self) -> bool {
        self.is_identifier_at(0)
    }

    /// A name: a word that is not reserved, or a quoted name.
    pub(super) fn identifier(&mut self) -> Result<String, CqlError> {
        let name = match self.peek() {
            TokenKind::Word(word) if !keywords::is_reserved(word) => word.clone(),
            TokenKind::QuotedName(name) => name.clone(),
            _ => return Err(self.no_viable_alternative()),
        };
        self.advance();
        Ok(name)
    }

    /// `a, b, …`, at least one.
    pub(super) fn identifiers(&mut self) -> Result<Vec<String>, CqlError> {
        let mut names = vec![self.identifier()?];
        while self.accept_sign(",") {
            names.push(self.identifier()?);
        }
        Ok(names)
    }

    pub(super) fn is_end(&self) -> bool {
        *self.peek() == TokenKind::End
    }

    /// Runs a rule one level deeper, or refuses to.
    pub(super) fn nested<T>(
        &mut self,
        rule: impl FnOnce(&mut Self) -> Result<T, CqlError>,
    ) -> Result<T, CqlError> {
        if self.nesting >= MAX_NESTING {
            return Err(self.error("expression nested too deeply"));
        }
        self.nesting += 1;
        let result = rule(self);
        self.nesting -= 1;
        result
    }

    pub(super) fn is_marker(&self) -> bool {
        self.is_sign("?") || (self.is_sign(":") && self.is_identifier_at(1))
    }

    /// `?` or `:name`.
    pub(super) fn marker(&mut self) -> Result<BindMarker, CqlError> {
        let name = if self.accept_sign("?") {
            None
        } else {
            if !self.accept_sign(":") {
                return Err(self.no_viable_alternative());
            }
            Some(self.identifier()?)
        };
        let index = self.markers.len();
        self.markers.push(name);
        Ok(BindMarker { index })
    }

    pub(super) fn into_markers(self) -> Vec<Option<String>> {
        self.markers
    }

    fn token_text(&self) -> &str {
        match self.tokens.get(self.at) {
            Some(Token { kind: TokenKind::QuotedName(content), .. })
            | Some(Token { kind: TokenKind::String(content), .. }) => content,
            Some(Token { kind: TokenKind::End, .. }) | None => "<EOF>",
            Some(token) => self.text.get(token.start..token.end).unwrap_or(""),
        }
    }

    /// An error at the current token.
    pub(super) fn error(&self, what: impl std::fmt::Display) -> CqlError {
        let offset = self.tokens.get(self.at).map_or(self.text.len(), |token| token.start);
        let (line, column) = position(self.text, offset);
        CqlError::syntax(format!("line {line}:{column} {what}"))
    }

    /// No rule begins with the current token.
    pub(super) fn no_viable_alternative(&self) -> CqlError {
        self.error(format_args!("no viable alternative at input '{}'", self.token_text()))
    }

    /// The rule goes on with something else than the current token.
    pub(super) fn mismatch(&self, expected: &str) -> CqlError {
        self.error(format_args!("mismatched input '{}' expecting {expected}", self.token_text()))
    }
}
