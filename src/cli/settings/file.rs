//! The configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::resolve::SettingsError;
use super::setting::{Kind, Setting};

/// What a file says of one setting, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) values: Vec<String>,
    pub(super) line: usize,
}

/// A file's settings by key.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) entries: BTreeMap<&'static str, Entry>,
}

impl File {
    /// Reads and checks a file. Keys of `known` are taken; those of `others` belong to the
    /// service's other commands, which may share the file, and are left alone.
    pub(super) fn read(
        path: &Path,
        known: &'static [Setting],
        others: &'static [Setting],
    ) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::File { path: path.to_owned(), source })?;
        Self::parse(path, &text, known, others)
    }

    fn parse(
        path: &Path,
        text: &str,
        known: &'static [Setting],
        others: &'static [Setting],
    ) -> Result<Self, SettingsError> {
        let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
        let table = DeTable::parse(text).map_err(|error| SettingsError::Toml {
            path: path.to_owned(),
            line: error.span().map_or(1, |span| line_of(span.start)),
            reason: error.message().to_owned(),
        })?;
        let mut entries = BTreeMap::new();
        for (key, value) in table.get_ref() {
            let name: &str = key.get_ref();
            let line = line_of(key.span().start);
            let Some(setting) = known.iter().find(|s| s.key == name) else {
                if others.iter().any(|s| s.key == name) {
                    continue;
                }
                return Err(SettingsError::UnknownKey {
                    path: path.to_owned(),
                    line,
                    key: name.to_owned(),
                    nearest: nearest(name, known),
                });
            };
            let invalid = |reason: String| SettingsError::Value {
                place: format!("{}, line {line}", path.display()),
                key: setting.key.to_owned(),
                reason,
            };
            let values = values_of(setting.kind, value.get_ref()).map_err(invalid)?;
            for value in &values {
                setting.check(value).map_err(invalid)?;
            }
            entries.insert(setting.key, Entry { values, line });
        }
        Ok(Self { path: path.to_owned(), entries })
    }
}

fn values_of(kind: Kind, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match (kind, value) {
        (Kind::List, DeValue::Array(array)) => array
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                other => Err(format!("a list of texts is expected, not of {}", other.type_str())),
            })
            .collect(),
        (Kind::Pairs, DeValue::Table(table)) => table
            .iter()
            .map(|(name, value)| match scalar(value.get_ref()) {
                Some(text) => Ok(format!("{}={text}", name.get_ref())),
                None => Err(format!("{} must be a text, a number, true or false", name.get_ref())),
            })
            .collect(),
        (Kind::Pairs, other) => Err(format!("a table is expected, not {}", other.type_str())),
        (Kind::Count { .. } | Kind::Switch, other) => scalar(other)
            .map(|text| vec![text])
            .ok_or_else(|| format!("a {} does not fit here", other.type_str())),
        (_, DeValue::String(text)) => Ok(vec![text.to_string()]),
        (_, other) => Err(format!("a text is expected, not {}", other.type_str())),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(n) => Some(n.as_str().replace('_', "")),
        DeValue::Float(n) => Some(n.as_str().replace('_', "")),
        DeValue::Boolean(on) => Some(on.to_string()),
        _ => None,
    }
}

/// The known key that is most like `name`, if one is like it at all.
fn nearest(name: &str, known: &'static [Setting]) -> Option<&'static str> {
    known
        .iter()
        .map(|s| (strsim::normalized_damerau_levenshtein(name, s.key), s.key))
        .filter(|(likeness, _)| *likeness > 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::super::known::RUNNER;
    use super::*;

    fn parse(text: &str) -> Result<File, SettingsError> {
        File::parse(Path::new("messina.toml"), text, RUNNER, &[])
    }

    #[test]
    fn texts_lists_tables_and_numbers_are_read_with_their_lines() {
        let file = parse(
            "scylla = [\"a:9042\", \"b:9042\"]\nkeyspace = \"shop\"\nlanes = 1_6\n\n\
             [kafka_options]\n\"security.protocol\" = \"ssl\"\n",
        )
        .unwrap();
        let values = |key| file.entries.get(key).map(|e| (e.values.join(" "), e.line));
        assert_eq!(values("scylla"), Some(("a:9042 b:9042".to_owned(), 1)));
        assert_eq!(values("keyspace"), Some(("shop".to_owned(), 2)));
        assert_eq!(values("lanes"), Some(("16".to_owned(), 3)));
        assert_eq!(values("kafka_options"), Some(("security.protocol=ssl".to_owned(), 5)));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_name() {
        let error = parse("keyspce = \"shop\"\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "messina.toml, line 1: there is no setting \"keyspce\"; did you mean \"keyspace\"?"
        );
        let error = parse("\n\nxyz = 1\n").unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("--help"), "{error}");
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_with_its_place() {
        for (text, parts) in [
            ("drain_timeout = 30\n", ["line 1", "a text is expected"]),
            ("\nlanes = 0\n", ["line 2", "from 1 to"]),
            ("scylla = [1]\n", ["line 1", "a list of texts"]),
            ("scylla = \n", ["line 1", "messina.toml"]),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
