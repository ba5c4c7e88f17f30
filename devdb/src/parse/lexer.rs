//! From text to tokens.

use crate::error::CqlError;

/// A statement of more tokens than this is refused, so that a text of the largest
/// frame cannot grow to gigabytes of syntax tree.
const MAX_TOKENS: usize = 2_000_000;

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    /// A bare word, in lower case; keywords are words too.
    Word(String),
    /// `"Name"`, unquoted.
    QuotedName(String),
    /// `'text'` or `$$text$$`, unquoted.
    String(String),
    /// Digits, maybe with a minus sign.
    Integer(String),
    /// A number with a point or exponent.
    Float(String),
    /// `true` or `false`.
    Boolean(bool),
    /// `1h30m`, `P1DT2H`.
    Duration(String),
    /// A bare uuid.
    Uuid(uuid::Uuid),
    /// `0x…`.
    Hex(Vec<u8>),
    /// A sign of one or two characters.
    Sign(&'static str),
    /// The end of the text.
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Byte offset of its first character.
    pub start: usize,
    /// Byte offset behind its last character.
    pub end: usize,
}

/// Line (from 1) and column (from 0) of a byte offset.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count();
    (line, column)
}

/// Splits a statement into tokens; the last one is [`TokenKind::End`].
pub(super) fn tokenize(text: &str) -> Result<Vec<Token>, CqlError> {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0 };
    let mut tokens = Vec::with_capacity(text.len() / 5 + 2);
    loop {
        let token = lexer.next()?;
        let last = token.kind == TokenKind::End;
        tokens.push(token);
        if last {
            return Ok(tokens);
        }
        if tokens.len() > MAX_TOKENS {
            return Err(CqlError::syntax(format!("more than {MAX_TOKENS} tokens in a statement")));
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Lexer<'_> {
    fn byte(&self, offset: usize) -> u8 {
        // 0 stands for the end: no rule begins with it.
        self.bytes.get(self.at + offset).copied().unwrap_or(0)
    }

    fn error(&self, offset: usize, what: impl std::fmt::Display) -> CqlError {
        let (line, column) = position(self.text, offset);
        CqlError::syntax(format!("line {line}:{column} {what}"))
    }

    fn unexpected_character(&self) -> CqlError {
        let character = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        match character {
            Some(c) => {
                self.error(self.at, format_args!("no viable alternative at character '{c}'"))
            }
            None => self.error(self.at, "no viable alternative at character '<EOF>'"),
        }
    }

    fn skip_blanks(&mut self) -> Result<(), CqlError> {
        loop {
            match (self.byte(0), self.byte(1)) {
                (b' ' | b'\t' | b'\n' | b'\r', _) => self.at += 1,
                (b'-', b'-') | (b'/', b'/') => {
                    while self.at < self.bytes.len() && !matches!(self.byte(0), b'\n' | b'\r') {
                        self.at += 1;
                    }
                }
                (b'/', b'*') => {
                    let rest = self.text.get(self.at + 2..).unwrap_or("");
                    match rest.find("*/") {
                        Some(length) => self.at += length + 4,
                        None => {
                            return Err(self.error(self.at, "the comment has no end"));
                        }
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn next(&mut self) -> Result<Token, CqlError> {
        self.skip_blanks()?;
        let start = self.at;
        let kind = self.kind()?;
        Ok(Token { kind, start, end: self.at })
    }

    fn kind(&mut self) -> Result<TokenKind, CqlError> {
        if self.at >= self.bytes.len() {
            return Ok(TokenKind::End);
        }
        let c = self.byte(0);
        if c.is_ascii_hexdigit()
            && let Some(uuid) = self.uuid()
        {
            return Ok(TokenKind::Uuid(uuid));
        }
        match c {
            b'\'' => self.quoted(b'\'').map(TokenKind::String),
            b'"' => {
                let start = self.at;
                let name = self.quoted(b'"')?;
                if name.is_empty() {
                    return Err(self.error(start, "a quoted name is empty"));
                }
                Ok(TokenKind::QuotedName(name))
            }
            b'$' if self.byte(1) == b'$' => {
                let start = self.at;
                let rest = self.text.get(start + 2..).unwrap_or("");
                let Some(length) = rest.find("$$") else {
                    return Err(self.error(start, "mismatched character '<EOF>' expecting '$'"));
                };
                self.at = start + length + 4;
                Ok(TokenKind::String(rest[..length].to_owned()))
            }
            b'0'..=b'9' => self.number(),
            b'-' if self.byte(1).is_ascii_digit() => self.number(),
            b'-' if self.byte(1) == b'P' => match iso_duration_length(&self.bytes[self.at + 1..]) {
                Some(length) => Ok(TokenKind::Duration(self.take(length + 1))),
                None => self.sign(),
            },
            b'A'..=b'Z' | b'a'..=b'z' => Ok(self.word()),
            _ => self.sign(),
        }
    }

    fn take(&mut self, length: usize) -> String {
        let text = self.text.get(self.at..self.at + length).unwrap_or("").to_owned();
        self.at += length;
        text
    }

    fn quoted(&mut self, quote: u8) -> Result<String, CqlError> {
        let start = self.at;
        let mut content = String::new();
        self.at += 1;
        loop {
            let from = self.at;
            while self.at < self.bytes.len() && self.bytes[self.at] != quote {
                self.at += 1;
            }
            content.push_str(self.text.get(from..self.at).unwrap_or(""));
            if self.at >= self.bytes.len() {
                let expected = char::from(quote);
                return Err(self.error(
                    start,
                    format_args!("mismatched character '<EOF>' expecting '{expected}'"),
                ));
            }
            self.at += 1;
            if self.byte(0) != quote || self.at >= self.bytes.len() {
                return Ok(content);
            }
            content.push(char::from(quote));
            self.at += 1;
        }
    }

    fn uuid(&mut self) -> Option<uuid::Uuid> {
        let text = self.text.get(self.at..self.at + 36)?;
        let shape = text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
        if !shape {
            return None;
        }
        let uuid = uuid::Uuid::try_parse(text).ok()?;
        self.at += 36;
        Some(uuid)
    }

    fn digits(&self, mut offset: usize) -> usize {
        while self.byte(offset).is_ascii_digit() {
            offset += 1;
        }
        offset
    }

    fn number(&mut self) -> Result<TokenKind, CqlError> {
        if self.byte(0) == b'0' && matches!(self.byte(1), b'x' | b'X') {
            return self.hex();
        }
        let sign = usize::from(self.byte(0) == b'-');
        let digits = self.digits(sign);
        if let Some(length) = self.duration(sign) {
            return Ok(TokenKind::Duration(self.take(length)));
        }
        let mut end = digits;
        if self.byte(end) == b'.' {
            end = self.digits(end + 1);
        }
        if matches!(self.byte(end), b'e' | b'E') {
            let signed = usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
            let exponent = self.digits(end + 1 + signed);
            if exponent > end + 1 + signed {
                end = exponent;
            }
        }
        if end > digits {
            return Ok(TokenKind::Float(self.take(end)));
        }
        Ok(TokenKind::Integer(self.take(digits)))
    }

    fn hex(&mut self) -> Result<TokenKind, CqlError> {
        let start = self.at;
        self.at += 2;
        let from = self.at;
        while self.byte(0).is_ascii_hexdigit() {
            self.at += 1;
        }
        let digits = &self.bytes[from..self.at];
        if digits.len() % 2 == 1 {
            // ScyllaDB lexes it and refuses it later, as a value of no type.
            return Err(self.error(start, "odd number of digits in a hexadecimal constant"));
        }
        let nibble = |b: u8| char::from(b).to_digit(16).unwrap_or(0) as u8;
        Ok(TokenKind::Hex(digits.chunks(2).map(|c| nibble(c[0]) << 4 | nibble(c[1])).collect()))
    }

    /// The length of a duration like `1y2mo3d` that begins here, if one does.
    fn duration(&self, sign: usize) -> Option<usize> {
        let mut at = sign;
        loop {
            let digits = self.digits(at);
            if digits == at {
                break;
            }
            let unit = self.duration_unit(digits)?;
            at = digits + unit;
        }
        // A word that goes on is no duration: `1day`.
        (at > sign && !self.byte(at).is_ascii_alphanumeric()).then_some(at)
    }

    fn duration_unit(&self, offset: usize) -> Option<usize> {
        let lower = |n: usize| self.byte(offset + n).to_ascii_lowercase();
        match (lower(0), lower(1)) {
            (b'm', b'o') | (b'm' | b'u' | b'n', b's') => Some(2),
            (b'y' | b'w' | b'd' | b'h' | b'm' | b's', _) => Some(1),
            // µs, two bytes of UTF-8 for the sign.
            (0xC2, 0xB5) if lower(2) == b's' => Some(3),
            _ => None,
        }
    }

    fn word(&mut self) -> TokenKind {
        if self.byte(0) == b'P'
            && let Some(length) = iso_duration_length(&self.bytes[self.at..])
        {
            return TokenKind::Duration(self.take(length));
        }
        let mut length = 1;
        while matches!(self.byte(length), b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_') {
            length += 1;
        }
        let mut word = self.take(length);
        word.make_ascii_lowercase();
        match word.as_str() {
            "true" => TokenKind::Boolean(true),
            "false" => TokenKind::Boolean(false),
            _ => TokenKind::Word(word),
        }
    }

    fn sign(&mut self) -> Result<TokenKind, CqlError> {
        let two = match (self.byte(0), self.byte(1)) {
            (b'<', b'=') => Some("<="),
            (b'>', b'=') => Some(">="),
            (b'!', b'=') => Some("!="),
            _ => None,
        };
        if let Some(sign) = two {
            self.at += 2;
            return Ok(TokenKind::Sign(sign));
        }
        let one = match self.byte(0) {
            b'(' => "(",
            b')' => ")",
            b'[' => "[",
            b']' => "]",
            b'{' => "{",
            b'}' => "}",
            b',' => ",",
            b';' => ";",
            b':' => ":",
            b'.' => ".",
            b'*' => "*",
            b'=' => "=",
            b'<' => "<",
            b'>' => ">",
            b'+' => "+",
            b'-' => "-",
            b'?' => "?",
            _ => return Err(self.unexpected_character()),
        };
        self.at += 1;
        Ok(TokenKind::Sign(one))
    }
}

/// The length of an ISO 8601 duration (`P1Y2M3DT4H5M6S`, `P2W`,
/// `P0001-02-03T04:05:06`) at the beginning of the bytes.
fn iso_duration_length(bytes: &[u8]) -> Option<usize> {
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let alternative = b"PDDDD-DD-DDTDD:DD:DD";
    let is_alternative = alternative.iter().enumerate().all(|(i, &shape)| match shape {
        b'D' => at(i).is_ascii_digit(),
        _ => at(i) == shape,
    });
    if is_alternative {
        return Some(alternative.len());
    }
    let mut end = 1;
    let mut parts = 0;
    let mut units: &[u8] = b"YMWD";
    loop {
        if at(end) == b'T' && units != b"HMS" && at(end + 1).is_ascii_digit() {
            units = b"HMS";
            end += 1;
        }
        let mut digits = end;
        while at(digits).is_ascii_digit() {
            digits += 1;
        }
        if digits == end {
            break;
        }
        if !units.contains(&at(digits)) {
            return None;
        }
        parts += 1;
        end = digits + 1;
    }
    let goes_on = at(end).is_ascii_alphanumeric() || at(end) == b'_';
    (parts > 0 && !goes_on).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        let mut tokens = tokenize(text).unwrap();
        tokens.pop();
        tokens.into_iter().map(|t| t.kind).collect()
    }
    fn word(text: &str) -> TokenKind {
        TokenKind::Word(text.into())
    }

    #[test]
    fn words_fold_to_lower_case_and_quoted_names_do_not() {
        assert_eq!(
            kinds(r#"Foo "Bar""baz" "cdc$time""#),
            [
                word("foo"),
                TokenKind::QuotedName("Bar\"baz".into()),
                TokenKind::QuotedName("cdc$time".into())
            ]
        );
    }

    #[test]
    fn strings_have_two_forms() {
        assert_eq!(
            kinds("'it''s' $$a 'b' $c$$ ''"),
            [
                TokenKind::String("it's".into()),
                TokenKind::String("a 'b' $c".into()),
                TokenKind::String(String::new())
            ]
        );
    }

    #[test]
    fn numbers_of_every_kind() {
        assert_eq!(
            kinds("1 -2 12.50 1.5e10 -0.25 1e5 0xDEad 0x 5."),
            [
                TokenKind::Integer("1".into()),
                TokenKind::Integer("-2".into()),
                TokenKind::Float("12.50".into()),
                TokenKind::Float("1.5e10".into()),
                TokenKind::Float("-0.25".into()),
                TokenKind::Float("1e5".into()),
                TokenKind::Hex(vec![0xde, 0xad]),
                TokenKind::Hex(vec![]),
                TokenKind::Float("5.".into()),
            ]
        );
    }

    #[test]
    fn a_minus_without_a_digit_is_a_sign_and_two_are_a_comment() {
        assert_eq!(
            kinds("n - 5 n-5 -- rest\n// more\nx /* y\n */ z"),
            [
                word("n"),
                TokenKind::Sign("-"),
                TokenKind::Integer("5".into()),
                word("n"),
                TokenKind::Integer("-5".into()),
                word("x"),
                word("z"),
            ]
        );
    }

    #[test]
    fn durations_and_uuids_are_told_from_words_and_numbers() {
        let uuid = "ffffffff-ffff-4fff-bfff-ffffffffffff";
        assert_eq!(
            kinds(&format!("1y2mo3d4h -5ms 3µs P1Y2M3DT4H P2W PT5S P p1y {uuid}")),
            [
                TokenKind::Duration("1y2mo3d4h".into()),
                TokenKind::Duration("-5ms".into()),
                TokenKind::Duration("3µs".into()),
                TokenKind::Duration("P1Y2M3DT4H".into()),
                TokenKind::Duration("P2W".into()),
                TokenKind::Duration("PT5S".into()),
                word("p"),
                word("p1y"),
                TokenKind::Uuid(uuid.parse().unwrap()),
            ]
        );
    }

    #[test]
    fn what_does_not_end_is_an_error_with_its_place() {
        let message = |text: &str| tokenize(text).unwrap_err().message;
        assert_eq!(message("a\n 'b"), "line 2:1 mismatched character '<EOF>' expecting '''");
        assert_eq!(message("é"), "line 1:0 no viable alternative at character 'é'");
        assert!(tokenize("/* a").is_err());
        assert!(tokenize("$$ a").is_err());
        assert!(tokenize("\"\"").is_err());
    }
}
