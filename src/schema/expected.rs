//! What the migrations say should be deployed.

use std::collections::BTreeMap;

use super::cql::{self, Token};

/// A table as its migrations define it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ExpectedTable {
    /// Type of each column, normalized.
    pub(super) columns: BTreeMap<String, String>,
    pub(super) partition_key: Vec<String>,
    /// Clustering columns and whether they descend.
    pub(super) clustering: Vec<(String, bool)>,
    pub(super) static_columns: Vec<String>,
    /// `cdc = {…}`, keys and values as text.
    pub(super) cdc: Option<BTreeMap<String, String>>,
    pub(super) default_time_to_live: Option<i32>,
}

/// Tables by name, as the statements leave them.
pub(super) fn tables<'s>(
    statements: impl Iterator<Item = &'s str>,
) -> Result<BTreeMap<String, ExpectedTable>, String> {
    let mut tables = BTreeMap::new();
    for statement in statements {
        let tokens = cql::tokens(statement);
        let Some(at) = cql::name_position(&tokens) else { continue };
        if !tokens[1].is("table") {
            continue;
        }
        let name = tokens[at].text.to_lowercase();
        let mut reader = Reader { tokens: &tokens, at: at + 1 };
        let result = if tokens[0].is("create") {
            reader.table().map(|table| {
                tables.insert(name.clone(), table);
            })
        } else if tokens[0].is("drop") {
            tables.remove(&name);
            Ok(())
        } else {
            tables
                .get_mut(&name)
                .ok_or_else(|| format!("ALTER TABLE {name} comes before its CREATE TABLE"))
                .and_then(|table| reader.alteration(table))
        };
        result.map_err(|reason| format!("{reason}, in: {statement}"))?;
    }
    Ok(tables)
}

/// `frozen <list< int >>` and `frozen<list<int>>` are one type, `varchar` is `text`.
pub(super) fn normalized_type(text: &str) -> String {
    let text = text.replace(' ', "").to_lowercase();
    cql::tokens(&text)
        .iter()
        .map(|t| if t.is("varchar") { "text" } else { t.text })
        .collect::<String>()
        .replace(',', ", ")
}

struct Reader<'t, 's> {
    tokens: &'t [Token<'s>],
    at: usize,
}

impl<'s> Reader<'_, 's> {
    fn peek(&self) -> Option<&Token<'s>> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<&'s str, String> {
        let token = self.tokens.get(self.at).ok_or("the statement ends too early")?;
        self.at += 1;
        Ok(token.text)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|t| t.is(word));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.take(word) {
            return Ok(());
        }
        Err(format!("{word:?} expected, found {:?}", self.peek().map_or("the end", |t| t.text)))
    }

    fn table(&mut self) -> Result<ExpectedTable, String> {
        let mut table = ExpectedTable::default();
        self.expect("(")?;
        loop {
            if self.take("primary") {
                self.expect("key")?;
                self.primary_key(&mut table)?;
            } else {
                self.column(&mut table)?;
            }
            if self.take(")") {
                break;
            }
            self.expect(",")?;
        }
        if self.take("with") {
            self.options(&mut table)?;
        }
        Ok(table)
    }

    fn column(&mut self, table: &mut ExpectedTable) -> Result<(), String> {
        let name = self.next()?.to_lowercase();
        let column_type = self.column_type()?;
        table.columns.insert(name.clone(), column_type);
        if self.take("static") {
            table.static_columns.push(name);
        } else if self.take("primary") {
            self.expect("key")?;
            table.partition_key = vec![name];
        }
        Ok(())
    }

    fn column_type(&mut self) -> Result<String, String> {
        let mut text = self.next()?.to_owned();
        if self.take("<") {
            text.push('<');
            let mut depth = 1;
            while depth > 0 {
                let part = self.next()?;
                depth += i32::from(part == "<") - i32::from(part == ">");
                text.push_str(part);
            }
        }
        Ok(normalized_type(&text))
    }

    fn primary_key(&mut self, table: &mut ExpectedTable) -> Result<(), String> {
        self.expect("(")?;
        if self.take("(") {
            table.partition_key = self.names()?;
        } else {
            table.partition_key = vec![self.next()?.to_lowercase()];
        }
        if self.take(",") {
            table.clustering = self.names()?.into_iter().map(|name| (name, false)).collect();
            return Ok(());
        }
        self.expect(")")
    }

    fn names(&mut self) -> Result<Vec<String>, String> {
        let mut names = vec![self.next()?.to_lowercase()];
        while self.take(",") {
            names.push(self.next()?.to_lowercase());
        }
        self.expect(")")?;
        Ok(names)
    }

    fn options(&mut self, table: &mut ExpectedTable) -> Result<(), String> {
        loop {
            if self.take("clustering") {
                self.expect("order")?;
                self.expect("by")?;
                self.expect("(")?;
                loop {
                    let name = self.next()?.to_lowercase();
                    let descending = self.take("desc");
                    self.take("asc");
                    for column in &mut table.clustering {
                        if column.0 == name {
                            column.1 = descending;
                        }
                    }
                    if !self.take(",") {
                        break;
                    }
                }
                self.expect(")")?;
            } else {
                let name = self.next()?.to_lowercase();
                self.expect("=")?;
                let value = self.option_value()?;
                match (name.as_str(), value) {
                    ("cdc", OptionText::Map(map)) => table.cdc = Some(map),
                    ("default_time_to_live", OptionText::Plain(text)) => {
                        let seconds = text.parse().map_err(|_| format!("{text:?} is no number"))?;
                        table.default_time_to_live = Some(seconds);
                    }
                    _ => {}
                }
            }
            if !self.take("and") {
                return Ok(());
            }
        }
    }

    fn option_value(&mut self) -> Result<OptionText, String> {
        if !self.take("{") {
            return Ok(OptionText::Plain(self.next()?.trim_matches('\'').to_owned()));
        }
        let mut map = BTreeMap::new();
        while !self.take("}") {
            let key = self.next()?.trim_matches('\'').to_owned();
            self.expect(":")?;
            map.insert(key, self.next()?.trim_matches('\'').to_owned());
            self.take(",");
        }
        Ok(OptionText::Map(map))
    }

    fn alteration(&mut self, table: &mut ExpectedTable) -> Result<(), String> {
        if self.take("add") {
            let many = self.take("(");
            loop {
                self.column(table)?;
                if !many || !self.take(",") {
                    return Ok(());
                }
            }
        }
        if self.take("drop") {
            let names =
                if self.take("(") { self.names()? } else { vec![self.next()?.to_lowercase()] };
            for name in names {
                table.columns.remove(&name);
            }
            return Ok(());
        }
        if self.take("with") {
            return self.options(table);
        }
        Err("only ADD, DROP and WITH are known here".to_owned())
    }
}

enum OptionText {
    Plain(String),
    Map(BTreeMap<String, String>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::migration::OWN;

    fn own() -> BTreeMap<String, ExpectedTable> {
        let statements: Vec<String> = OWN.iter().flat_map(|m| cql::statements(m.script)).collect();
        tables(statements.iter().map(String::as_str)).unwrap()
    }

    #[test]
    fn the_librarys_own_tables_are_read() {
        let tables = own();
        let outbox = &tables["outbox_messages"];
        assert_eq!(outbox.partition_key, ["aggregate_id"]);
        assert_eq!(outbox.clustering, [("sequence_number".to_owned(), false)]);
        assert_eq!(outbox.default_time_to_live, Some(86400));
        assert_eq!(outbox.cdc.as_ref().unwrap()["enabled"], "true");
        assert_eq!(outbox.columns["previous_committed_at"], "bigint");
        assert_eq!(tables["aggregate_heads"].partition_key, ["aggregate_id"]);
    }

    #[test]
    fn composite_keys_orders_statics_and_additions_are_read() {
        let tables = tables(
            [
                "CREATE TABLE t (a int, b Text, c timestamp, s varchar static, \
                 m map<text, frozen<list<int>>>, PRIMARY KEY ((a, b), c)) \
                 WITH CLUSTERING ORDER BY (c DESC) AND comment = 'x'",
                "ALTER TABLE t ADD d uuid",
                "ALTER TABLE t ADD (e int, f int, g int)",
                "ALTER TABLE t DROP (e, f)",
            ]
            .into_iter(),
        )
        .unwrap();
        let t = &tables["t"];
        assert_eq!(t.partition_key, ["a", "b"]);
        assert_eq!(t.clustering, [("c".to_owned(), true)]);
        assert_eq!(t.static_columns, ["s"]);
        assert_eq!(t.columns["m"], "map<text, frozen<list<int>>>");
        assert_eq!(t.columns["s"], "text");
        assert_eq!(t.columns["d"], "uuid");
        assert!(t.columns.contains_key("g"));
        assert!(!t.columns.contains_key("e") && !t.columns.contains_key("f"));
    }

    #[test]
    fn a_statement_that_cannot_be_read_is_named() {
        let error = tables(["CREATE TABLE t (a int, PRIMARY KEY"].into_iter()).unwrap_err();
        assert!(error.contains("CREATE TABLE t"), "{error}");
    }
}
