//! A deployed table's definition under another name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use scylla::client::session::Session;

use super::SchemaError;
use super::deployed::decode_map;

/// ScyllaDB's limit on names of tables.
/// <https://docs.scylladb.com/manual/stable/cql/ddl.html>
const LONGEST_NAME: usize = 48;

/// Extensions that hold a map, copied with the table. `cdc` is one.
const MAP_EXTENSIONS: [&str; 3] = ["cdc", "tombstone_gc", "per_partition_rate_limit"];

/// Why a table cannot be made again under another name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DefinitionError {
    #[error("table {keyspace}.{table} does not exist: apply the migrations first")]
    Missing { keyspace: String, table: String },
    #[error(
        "{kind} {name} of table {table} would not be on its new version: \
         rebuild it in place (or by truncating)"
    )]
    Dependent { table: String, kind: &'static str, name: String },
    #[error("{0:?} is longer than the {LONGEST_NAME} characters that a table's name may have")]
    TooLong(String),
    #[error(transparent)]
    Database(#[from] SchemaError),
}

/// The name of `table` in a version: its own in the first, `table__v2` and so on in later
/// ones.
pub(crate) fn versioned(table: &str, version: i32) -> Cow<'_, str> {
    if version <= 1 { Cow::Borrowed(table) } else { Cow::Owned(format!("{table}__v{version}")) }
}

/// `CREATE TABLE target` as `table` is deployed: columns, keys, order and options. Without
/// its CDC log if it is `scratch`.
pub(crate) async fn create_table(
    session: &Session,
    keyspace: &str,
    table: &str,
    target: &str,
    scratch: bool,
) -> Result<String, DefinitionError> {
    if target.len() > LONGEST_NAME {
        return Err(DefinitionError::TooLong(target.to_owned()));
    }
    // A scratch table is read by its primary key alone.
    if !scratch {
        refuse_dependents(session, keyspace, table).await?;
    }
    let missing =
        || DefinitionError::Missing { keyspace: keyspace.to_owned(), table: table.to_owned() };
    let options = options(session, keyspace, table, scratch).await?.ok_or_else(missing)?;
    let columns = columns(session, keyspace, table).await?;
    if columns.is_empty() {
        return Err(missing());
    }
    Ok(statement(keyspace, target, &columns, &options))
}

async fn refuse_dependents(
    session: &Session,
    keyspace: &str,
    table: &str,
) -> Result<(), DefinitionError> {
    let indexes = "SELECT index_name, table_name FROM system_schema.indexes \
                   WHERE keyspace_name = ?";
    let views = "SELECT view_name, base_table_name FROM system_schema.views \
                 WHERE keyspace_name = ?";
    for (kind, cql) in [("index", indexes), ("materialized view", views)] {
        for (name, base) in names(session, cql, keyspace).await? {
            if base == table {
                return Err(DefinitionError::Dependent { table: base, kind, name });
            }
        }
    }
    Ok(())
}

async fn names(
    session: &Session,
    cql: &str,
    keyspace: &str,
) -> Result<Vec<(String, String)>, SchemaError> {
    let rows = session.query_unpaged(cql, (keyspace,)).await?.into_rows_result()?;
    let names = rows.rows::<(String, String)>()?.collect::<Result<_, _>>()?;
    Ok(names)
}

/// A column of a deployed table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Column {
    /// 0 partition key, 1 clustering, 2 the rest: as they stand in the definition.
    pub(crate) rank: u8,
    position: i32,
    pub(crate) name: String,
    column_type: String,
    is_static: bool,
    descending: bool,
}

impl Column {
    pub(super) fn is_key(&self) -> bool {
        self.rank < 2
    }

    /// What of it a table cannot change: type, kind, order.
    pub(super) fn nature(&self) -> String {
        let more = match self {
            Self { is_static: true, .. } => " static",
            Self { descending: true, .. } => " DESC",
            _ => "",
        };
        format!("{}{more}", self.column_type)
    }

    /// As a definition has it.
    pub(super) fn definition(&self) -> String {
        let is_static = if self.is_static { " static" } else { "" };
        format!("{} {}{is_static}", quoted(&self.name), self.column_type)
    }
}

/// The table's columns, those of its key first, in their order.
pub(crate) async fn columns(
    session: &Session,
    keyspace: &str,
    table: &str,
) -> Result<Vec<Column>, SchemaError> {
    let rows = session
        .query_unpaged(
            "SELECT column_name, kind, position, type, clustering_order \
             FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ?",
            (keyspace, table),
        )
        .await?
        .into_rows_result()?;
    let mut columns = Vec::new();
    for row in rows.rows::<(String, String, i32, String, String)>()? {
        let (name, kind, position, column_type, order) = row?;
        columns.push(Column {
            rank: match kind.as_str() {
                "partition_key" => 0,
                "clustering" => 1,
                _ => 2,
            },
            position,
            name,
            column_type,
            is_static: kind == "static",
            descending: order.eq_ignore_ascii_case("desc"),
        });
    }
    columns.sort();
    Ok(columns)
}

type OptionRow = (
    Option<f64>,
    Option<BTreeMap<String, String>>,
    Option<String>,
    Option<BTreeMap<String, String>>,
    Option<BTreeMap<String, String>>,
    Option<f64>,
    Option<i32>,
    Option<i32>,
    Option<i32>,
    Option<i32>,
    Option<i32>,
    Option<String>,
    Option<BTreeMap<String, Vec<u8>>>,
);

/// The table's options as clauses; `None`: there is no such table.
async fn options(
    session: &Session,
    keyspace: &str,
    table: &str,
    scratch: bool,
) -> Result<Option<Vec<String>>, SchemaError> {
    let row = session
        .query_unpaged(
            "SELECT bloom_filter_fp_chance, caching, comment, compaction, compression, \
             crc_check_chance, default_time_to_live, gc_grace_seconds, max_index_interval, \
             memtable_flush_period_in_ms, min_index_interval, speculative_retry, extensions \
             FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?",
            (keyspace, table),
        )
        .await?
        .into_rows_result()?
        .maybe_first_row::<OptionRow>()?;
    let Some((
        bloom,
        caching,
        comment,
        compaction,
        compression,
        crc,
        ttl,
        gc_grace,
        max_index,
        flush,
        min_index,
        speculative,
        extensions,
    )) = row
    else {
        return Ok(None);
    };
    let mut clauses = Vec::new();
    let mut clause = |name: &str, value: Option<String>| {
        clauses.extend(value.map(|value| format!("{name} = {value}")));
    };
    clause("bloom_filter_fp_chance", bloom.map(|v| v.to_string()));
    clause("caching", caching.as_ref().map(map));
    clause("comment", comment.as_deref().map(constant));
    clause("compaction", compaction.as_ref().map(map));
    clause("compression", compression.as_ref().map(map));
    clause("crc_check_chance", crc.map(|v| v.to_string()));
    clause("default_time_to_live", ttl.map(|v| v.to_string()));
    clause("gc_grace_seconds", gc_grace.map(|v| v.to_string()));
    clause("max_index_interval", max_index.map(|v| v.to_string()));
    clause("memtable_flush_period_in_ms", flush.map(|v| v.to_string()));
    clause("min_index_interval", min_index.map(|v| v.to_string()));
    clause("speculative_retry", speculative.as_deref().map(constant));
    let extensions = extensions.unwrap_or_default();
    for name in MAP_EXTENSIONS {
        if scratch && name == "cdc" {
            continue;
        }
        let value = extensions.get(name).and_then(|blob| decode_map(blob));
        clause(name, value.filter(|pairs| !pairs.is_empty()).as_ref().map(map));
    }
    Ok(Some(clauses))
}

fn statement(keyspace: &str, target: &str, columns: &[Column], options: &[String]) -> String {
    let definitions: Vec<String> = columns.iter().map(Column::definition).collect();
    let names = |rank: u8| {
        let of_rank = columns.iter().filter(|c| c.rank == rank);
        of_rank.map(|c| quoted(&c.name)).collect::<Vec<_>>().join(", ")
    };
    let clustering: Vec<String> = columns
        .iter()
        .filter(|c| c.rank == 1)
        .map(|c| format!("{} {}", quoted(&c.name), if c.descending { "DESC" } else { "ASC" }))
        .collect();
    let mut key = format!("({})", names(0));
    let mut clauses = options.to_vec();
    if !clustering.is_empty() {
        key = format!("{key}, {}", names(1));
        clauses.insert(0, format!("CLUSTERING ORDER BY ({})", clustering.join(", ")));
    }
    let mut text = format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.{target} ({}, PRIMARY KEY ({key}))",
        definitions.join(", ")
    );
    if !clauses.is_empty() {
        text.push_str(" WITH ");
        text.push_str(&clauses.join(" AND "));
    }
    text
}

/// The name as CQL has it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn constant(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn map(pairs: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(k, v)| format!("{}: {}", constant(k), constant(v))).collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(rank: u8, position: i32, name: &str, descending: bool) -> Column {
        Column {
            rank,
            position,
            name: name.to_owned(),
            column_type: "int".to_owned(),
            is_static: false,
            descending,
        }
    }

    #[test]
    fn keys_order_and_options_are_in_the_statement() {
        let columns = [
            column(0, 0, "a", false),
            column(0, 1, "B", false),
            column(1, 0, "c", true),
            Column { is_static: true, ..column(2, -1, "d", false) },
        ];
        assert_eq!(
            statement("k", "t__v2", &columns, &["comment = 'it''s'".to_owned()]),
            "CREATE TABLE IF NOT EXISTS k.t__v2 (\"a\" int, \"B\" int, \"c\" int, \"d\" int static, \
             PRIMARY KEY ((\"a\", \"B\"), \"c\")) \
             WITH CLUSTERING ORDER BY (\"c\" DESC) AND comment = 'it''s'"
        );
        let one = [column(0, 0, "a", false)];
        assert_eq!(
            statement("k", "t", &one, &[]),
            "CREATE TABLE IF NOT EXISTS k.t (\"a\" int, PRIMARY KEY ((\"a\")))"
        );
    }
}
