//! What a subscription knows of a table.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;

use crate::schema::decode_map;
use crate::store::DatabaseError;

/// A table and its log.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) keyspace: String,
    /// Without the keyspace.
    pub(crate) name: String,
    /// As the subscription names it.
    pub(crate) label: Arc<str>,
    pub(crate) partition_key: Vec<Arc<str>>,
    pub(crate) clustering_key: Vec<Arc<str>>,
    /// All other columns.
    pub(crate) columns: HashMap<Arc<str>, Kind>,
    pub(crate) log: LogOptions,
}

/// How a column's changes are logged.
/// <https://docs.scylladb.com/manual/stable/features/cdc/cdc-advanced-types.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Atomic,
    List,
    Set,
    Map,
    UserDefined,
}

/// The table's `cdc` option.
/// <https://docs.scylladb.com/manual/stable/features/cdc/cdc-log-table.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogOptions {
    pub(crate) enabled: bool,
    pub(crate) preimage: Preimage,
    pub(crate) postimage: bool,
    /// `'delta': 'keys'`.
    pub(crate) keys_only: bool,
    /// `None`: rows stay.
    pub(crate) ttl: Option<Duration>,
}

/// What the log shows of rows before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preimage {
    None,
    /// `true`: the columns that change.
    Changed,
    Full,
}

impl LogOptions {
    fn of(options: Option<&BTreeMap<String, String>>) -> Self {
        let get = |name: &str| options.and_then(|o| o.get(name)).map(String::as_str);
        let ttl = get("ttl").and_then(|ttl| ttl.parse().ok()).unwrap_or(86_400);
        Self {
            enabled: get("enabled").is_some_and(|value| value == "true"),
            preimage: match get("preimage") {
                Some("full") => Preimage::Full,
                Some("true") => Preimage::Changed,
                _ => Preimage::None,
            },
            postimage: get("postimage").is_some_and(|value| value == "true"),
            keys_only: get("delta").is_some_and(|value| value == "keys"),
            ttl: (ttl > 0).then(|| Duration::from_secs(ttl)),
        }
    }
}

impl Kind {
    /// Of a type as `system_schema.columns` writes it. Only collections and user-defined
    /// types that are not frozen are logged by element; a user-defined type is the one whose
    /// name is none of CQL's.
    fn of(cql_type: &str) -> Self {
        const NATIVE: [&str; 21] = [
            "ascii",
            "bigint",
            "blob",
            "boolean",
            "counter",
            "date",
            "decimal",
            "double",
            "duration",
            "float",
            "inet",
            "int",
            "smallint",
            "text",
            "time",
            "timestamp",
            "timeuuid",
            "tinyint",
            "uuid",
            "varchar",
            "varint",
        ];
        match cql_type.split('<').next().unwrap_or_default() {
            "list" => Self::List,
            "set" => Self::Set,
            "map" => Self::Map,
            "frozen" | "tuple" | "vector" => Self::Atomic,
            name if NATIVE.contains(&name) || name.starts_with('\'') => Self::Atomic,
            _ => Self::UserDefined,
        }
    }
}

impl Table {
    /// The table `label` (`table`, or `keyspace.table`) as it is deployed; `None`: there is
    /// none.
    pub(crate) async fn describe(
        session: &Session,
        keyspace: &str,
        label: &Arc<str>,
    ) -> Result<Option<Self>, DatabaseError> {
        let (keyspace, name) = label.split_once('.').unwrap_or((keyspace, label));
        let found = session
            .query_unpaged(
                "SELECT extensions FROM system_schema.tables \
                 WHERE keyspace_name = ? AND table_name = ?",
                (keyspace, name),
            )
            .await?
            .into_rows_result()?
            .maybe_first_row::<(Option<BTreeMap<String, Vec<u8>>>,)>()?;
        let Some((extensions,)) = found else { return Ok(None) };
        let options = extensions.and_then(|e| e.get("cdc").and_then(|blob| decode_map(blob)));
        let rows = session
            .query_unpaged(
                "SELECT column_name, kind, position, type FROM system_schema.columns \
                 WHERE keyspace_name = ? AND table_name = ?",
                (keyspace, name),
            )
            .await?
            .into_rows_result()?;
        let (mut partition_key, mut clustering_key) = (BTreeMap::new(), BTreeMap::new());
        let mut columns = HashMap::new();
        for row in rows.rows::<(String, String, i32, String)>()? {
            let (column, kind, position, cql_type) = row?;
            let column: Arc<str> = column.into();
            match kind.as_str() {
                "partition_key" => {
                    partition_key.insert(position, column);
                }
                "clustering" => {
                    clustering_key.insert(position, column);
                }
                _ => {
                    columns.insert(column, Kind::of(&cql_type));
                }
            }
        }
        Ok(Some(Self {
            keyspace: keyspace.to_owned(),
            name: name.to_owned(),
            label: Arc::clone(label),
            partition_key: partition_key.into_values().collect(),
            clustering_key: clustering_key.into_values().collect(),
            columns,
            log: LogOptions::of(options.as_ref()),
        }))
    }

    /// Whether a log's column, by its name without `cdc$…`, belongs to what is known.
    pub(crate) fn knows(&self, column: &str) -> bool {
        self.columns.contains_key(column) || self.is_key(column)
    }

    pub(crate) fn is_key(&self, column: &str) -> bool {
        self.partition_key.iter().chain(&self.clustering_key).any(|name| &**name == column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_by_element_is_told_from_what_is_not() {
        let cases = [
            ("int", Kind::Atomic),
            ("list<int>", Kind::List),
            ("frozen<list<int>>", Kind::Atomic),
            ("set<frozen<list<int>>>", Kind::Set),
            ("map<text, int>", Kind::Map),
            ("tuple<int, text>", Kind::Atomic),
            ("address", Kind::UserDefined),
            ("frozen<address>", Kind::Atomic),
            ("'org.apache.cassandra.db.marshal.EmptyType'", Kind::Atomic),
        ];
        for (cql_type, kind) in cases {
            assert_eq!(Kind::of(cql_type), kind, "{cql_type}");
        }
    }

    #[test]
    fn the_options_of_a_log_are_read() {
        let none = LogOptions::of(None);
        assert!(!none.enabled);
        let pairs = [("enabled", "true"), ("preimage", "full"), ("delta", "keys"), ("ttl", "0")];
        let map = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let options = LogOptions::of(Some(&map));
        let expected = LogOptions {
            enabled: true,
            preimage: Preimage::Full,
            postimage: false,
            keys_only: true,
            ttl: None,
        };
        assert_eq!(options, expected);
    }
}
