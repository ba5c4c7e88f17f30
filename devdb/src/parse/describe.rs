//! `DESCRIBE …`.

use crate::error::CqlError;

use super::ast::{Describe, DescribeKind, Statement};
use super::cursor::Cursor;

impl Cursor<'_> {
    /// `DESCRIBE …` or `DESC …`.
    pub(super) fn describe(&mut self) -> Result<Statement, CqlError> {
        if !self.accept_word("desc") {
            self.expect_word("describe")?;
        }
        let kind = self.describe_kind()?;
        let internals = self.accept_word("with");
        if internals {
            self.expect_word("internals")?;
            // There are no passwords to show.
            if self.accept_word("and") {
                self.expect_word("passwords")?;
            }
        }
        Ok(Statement::Describe(Describe { kind, internals }))
    }

    fn describe_kind(&mut self) -> Result<DescribeKind, CqlError> {
        let lists: &[(&[&str], DescribeKind)] = &[
            (&["cluster"], DescribeKind::Cluster),
            (&["keyspaces"], DescribeKind::Keyspaces),
            (&["tables"], DescribeKind::Tables),
            (&["columnfamilies"], DescribeKind::Tables),
            (&["types"], DescribeKind::Types),
            (&["functions"], DescribeKind::Functions),
            (&["aggregates"], DescribeKind::Aggregates),
            (&["schema"], DescribeKind::Schema { full: false }),
            (&["full", "schema"], DescribeKind::Schema { full: true }),
        ];
        if let Some((_, kind)) = lists.iter().find(|(words, _)| self.accept_words(words)) {
            return Ok(kind.clone());
        }
        if self.accept_word("keyspace") {
            let name = if self.is_identifier() { Some(self.identifier()?) } else { None };
            let only = self.accept_word("only");
            return Ok(DescribeKind::Keyspace { name, only });
        }
        // What follows one of these words is a name of that kind; without one, of any kind.
        let kinds: &[(&[&str], &str)] = &[
            (&["table"], "table"),
            (&["columnfamily"], "table"),
            (&["type"], "type"),
            (&["index"], "index"),
            (&["materialized", "view"], "materialized view"),
            (&["function"], "user defined function"),
            (&["aggregate"], "user defined aggregate"),
        ];
        let place = self.place();
        for (words, what) in kinds {
            if self.accept_words(words) {
                if self.is_identifier() {
                    return Ok(DescribeKind::Element {
                        what: Some(what),
                        name: self.table_name()?,
                    });
                }
                self.go_back(place);
            }
        }
        Ok(DescribeKind::Element { what: None, name: self.table_name()? })
    }
}
