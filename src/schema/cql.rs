//! Just enough reading of CQL to split scripts, put a keyspace before table names and
//! know which tables and columns a script makes.

/// A token: its text, and where it stands in the statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'t> {
    pub(super) text: &'t str,
    pub(super) start: usize,
}

impl Token<'_> {
    pub(super) fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

/// Splits a script at its semicolons, leaving out comments and empty statements.
pub(super) fn statements(script: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut current = String::new();
    let mut rest = script;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("--") || rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
            current.push('\n');
            continue;
        }
        if c == '\'' || c == '"' {
            let end = rest[1..].find(c).map_or(rest.len(), |i| i + 2);
            current.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        if c == ';' {
            statements.push(std::mem::take(&mut current));
        } else {
            current.push(c);
        }
        rest = &rest[c.len_utf8()..];
    }
    statements.push(current);
    statements.iter().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

/// Words, quoted texts and single signs.
pub(super) fn tokens(statement: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut chars = statement.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if c.is_whitespace() {
            continue;
        }
        let mut end = start + c.len_utf8();
        if c == '\'' || c == '"' {
            for (i, d) in chars.by_ref() {
                end = i + d.len_utf8();
                if d == c {
                    break;
                }
            }
        } else if c.is_alphanumeric() || c == '_' {
            while let Some(&(i, d)) = chars.peek() {
                if !(d.is_alphanumeric() || d == '_' || d == '.') {
                    break;
                }
                end = i + d.len_utf8();
                chars.next();
            }
        }
        tokens.push(Token { text: &statement[start..end], start });
    }
    tokens
}

/// Index of the name in `CREATE|ALTER|DROP TABLE|TYPE [IF [NOT] EXISTS] name`.
pub(super) fn name_position(tokens: &[Token<'_>]) -> Option<usize> {
    let verb = tokens.first()?;
    let object = tokens.get(1)?;
    if !["create", "alter", "drop"].iter().any(|v| verb.is(v)) {
        return None;
    }
    if !object.is("table") && !object.is("type") {
        return None;
    }
    let mut at = 2;
    if tokens.get(at)?.is("if") {
        at += if tokens.get(at + 1)?.is("not") { 3 } else { 2 };
    }
    tokens.get(at).map(|_| at)
}

/// The statement with `keyspace.` before the name it creates, alters or drops.
pub(super) fn qualified(statement: &str, keyspace: &str) -> Option<String> {
    let tokens = tokens(statement);
    let name = tokens.get(name_position(&tokens)?)?;
    let (before, after) = statement.split_at(name.start);
    Some(format!("{before}{keyspace}.{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_split_at_semicolons_outside_of_comments_and_strings() {
        let script =
            "-- one; two\nCREATE TABLE a (x int);  -- c\nALTER TABLE a WITH comment = 'b;c';;";
        assert_eq!(
            statements(script),
            ["CREATE TABLE a (x int)", "ALTER TABLE a WITH comment = 'b;c'"]
        );
    }

    #[test]
    fn a_name_gets_its_keyspace() {
        assert_eq!(
            qualified("CREATE TABLE IF NOT EXISTS a (x int)", "k").as_deref(),
            Some("CREATE TABLE IF NOT EXISTS k.a (x int)")
        );
        assert_eq!(qualified("drop table a", "k").as_deref(), Some("drop table k.a"));
        assert_eq!(qualified("GRANT x", "k"), None);
    }
}
