//! What a statement of a migration leaves behind. A migration that was cut short, or that
//! another process applies too, is carried out again from its beginning: what is there
//! already is no error then.

use scylla::client::session::Session;

use super::SchemaError;
use super::cql::{self, Token};

/// What there is, or is not, after a statement.
#[derive(Debug, Clone, PartialEq)]
enum Effect {
    Exists { kind: Kind, name: String, wanted: bool },
    Columns { table: String, names: Vec<String>, wanted: bool },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Table,
    Type,
}

/// Executes a statement (`qualified`: with the keyspace in it). One that the server refuses
/// although, or because, its effect is there already has been executed before.
pub(super) async fn execute(
    session: &Session,
    keyspace: &str,
    statement: &str,
    qualified: &str,
) -> Result<(), SchemaError> {
    let Err(error) = session.query_unpaged(qualified, ()).await else { return Ok(()) };
    match Effect::of(statement) {
        Some(effect) if effect.is_there(session, keyspace).await? => Ok(()),
        _ => Err(error.into()),
    }
}

impl Effect {
    /// `None`: it may be repeated as it is, or nothing is known of it.
    fn of(statement: &str) -> Option<Self> {
        let tokens = cql::tokens(statement);
        let at = cql::name_position(&tokens)?;
        let name = tokens[at].text.to_lowercase();
        let kind = if tokens[1].is("table") { Kind::Table } else { Kind::Type };
        if !tokens[0].is("alter") {
            return Some(Effect::Exists { kind, name, wanted: tokens[0].is("create") });
        }
        let (how, rest) = tokens[at + 1..].split_first()?;
        if kind == Kind::Type || !(how.is("add") || how.is("drop")) {
            return None;
        }
        Some(Effect::Columns { table: name, names: names(rest), wanted: how.is("add") })
    }

    async fn is_there(&self, session: &Session, keyspace: &str) -> Result<bool, SchemaError> {
        match self {
            Effect::Exists { kind, name, wanted } => {
                let cql = match kind {
                    Kind::Table => {
                        "SELECT table_name FROM system_schema.tables \
                         WHERE keyspace_name = ? AND table_name = ?"
                    }
                    Kind::Type => {
                        "SELECT type_name FROM system_schema.types \
                         WHERE keyspace_name = ? AND type_name = ?"
                    }
                };
                let rows = session.query_unpaged(cql, (keyspace, name)).await?;
                Ok((rows.into_rows_result()?.rows_num() > 0) == *wanted)
            }
            Effect::Columns { table, names, wanted } => {
                let columns = super::definition::columns(session, keyspace, table).await?;
                let there = |name: &String| columns.iter().any(|column| column.name == *name);
                Ok(!columns.is_empty() && names.iter().all(|name| there(name) == *wanted))
            }
        }
    }
}

/// The columns' names in `name [type]`, or in `(name [type], …)`: each first word, where
/// types may have commas of their own.
fn names(tokens: &[Token<'_>]) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut begins) = (0, true);
    for token in tokens {
        match token.text {
            "(" | ")" => {}
            "<" => depth += 1,
            ">" => depth -= 1,
            "," if depth == 0 => begins = true,
            text if begins => {
                names.push(text.to_lowercase());
                begins = false;
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_statement_leaves_is_known_by_its_form() {
        let columns = |names: &[&str], wanted| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Some(Effect::Columns { table: "t".to_owned(), names, wanted })
        };
        for (statement, effect) in [
            ("ALTER TABLE t ADD a map<text, int>", columns(&["a"], true)),
            ("ALTER TABLE T ADD (A map<text, int>, b tuple<int, int>)", columns(&["a", "b"], true)),
            ("ALTER TABLE t DROP a", columns(&["a"], false)),
            ("ALTER TABLE t DROP (a, b)", columns(&["a", "b"], false)),
            ("ALTER TABLE t WITH comment = 'x'", None),
            ("ALTER TYPE t ADD a int", None),
        ] {
            assert_eq!(Effect::of(statement), effect, "{statement}");
        }
        let exists = |kind, wanted| Some(Effect::Exists { kind, name: "t".to_owned(), wanted });
        assert_eq!(Effect::of("CREATE TABLE t (a int PRIMARY KEY)"), exists(Kind::Table, true));
        assert_eq!(Effect::of("DROP TABLE t"), exists(Kind::Table, false));
        assert_eq!(Effect::of("CREATE TYPE t (a int)"), exists(Kind::Type, true));
    }
}
