//! What is deployed, and how it differs from what the migrations define.

use std::collections::BTreeMap;
use std::fmt;

use scylla::client::session::Session;

use super::SchemaError;
use super::expected::{ExpectedTable, normalized_type};

/// One thing that is not as the migrations define it. Tables and columns beyond theirs are
/// no difference: a newer build may have made them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The keyspace does not exist.
    KeyspaceMissing {
        /// Which.
        keyspace: String,
    },
    /// A migration has not been applied.
    MigrationMissing {
        /// Whose migration.
        component: String,
        /// Its number.
        version: i32,
        /// Its name.
        name: String,
    },
    /// The script of an applied migration has another text than it had then.
    MigrationEdited {
        /// Whose migration.
        component: String,
        /// Its number.
        version: i32,
        /// Its name.
        name: String,
    },
    /// A table does not exist.
    TableMissing {
        /// Which.
        table: String,
    },
    /// A column does not exist.
    ColumnMissing {
        /// Its table.
        table: String,
        /// Its name.
        column: String,
    },
    /// A column or option has another value.
    Changed {
        /// Its table.
        table: String,
        /// What of it: a column, `primary key`, an option.
        what: String,
        /// As the migrations define it.
        expected: String,
        /// As deployed.
        deployed: String,
    },
    /// A version of a read model that is in use has a key or a column that the table which
    /// the migrations define has otherwise: nothing but a rebuild makes it level.
    VersionOutdated {
        /// Whose read model.
        projection: String,
        /// The version's table.
        table: String,
        /// What of it: a column, `primary key`.
        what: String,
        /// As the migrations define it.
        expected: String,
        /// As deployed.
        deployed: String,
    },
}

impl Difference {
    /// What makes it level; `None`: the message says it.
    fn remedy(&self) -> Option<String> {
        match self {
            Difference::MigrationEdited { .. } => None,
            Difference::VersionOutdated { projection, .. } => {
                Some(format!("rebuild-projection {projection}"))
            }
            _ => Some("projection-runner schema apply".to_owned()),
        }
    }

    /// What makes these level: commands, each once, in order.
    pub fn remedies(differences: &[Self]) -> Vec<String> {
        let mut commands: Vec<String> = Vec::new();
        for command in differences.iter().filter_map(Self::remedy) {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::KeyspaceMissing { keyspace } => {
                write!(f, "keyspace {keyspace} does not exist")
            }
            Difference::MigrationMissing { component, version, name } => {
                write!(f, "migration {component} {version:04} ({name}) has not been applied")
            }
            Difference::MigrationEdited { component, version, name } => write!(
                f,
                "migration {component} {version:04} ({name}) was edited after it had been applied: \
                 add a new migration instead"
            ),
            Difference::TableMissing { table } => write!(f, "table {table} does not exist"),
            Difference::ColumnMissing { table, column } => {
                write!(f, "column {table}.{column} does not exist")
            }
            Difference::Changed { table, what, expected, deployed } => {
                write!(f, "{table}: {what} is {deployed}, expected {expected}")
            }
            Difference::VersionOutdated { projection, table, what, expected, deployed } => write!(
                f,
                "{table}, a version of read model {projection}: {what} is {deployed}, expected \
                 {expected}: it was made before that was changed and has to be rebuilt"
            ),
        }
    }
}

/// A table as `system_schema` describes it.
#[derive(Debug, Default)]
struct DeployedTable {
    /// Type and kind of each column.
    columns: BTreeMap<String, (String, String)>,
    partition_key: Vec<(i32, String)>,
    clustering: Vec<(i32, String, bool)>,
    default_time_to_live: i32,
    cdc: Option<BTreeMap<String, String>>,
}

/// Compares tables. The keyspace exists.
pub(super) async fn differences(
    session: &Session,
    keyspace: &str,
    expected: &BTreeMap<String, ExpectedTable>,
) -> Result<Vec<Difference>, SchemaError> {
    let deployed = read(session, keyspace).await?;
    let mut differences = Vec::new();
    for (name, table) in expected {
        match deployed.get(name) {
            None => differences.push(Difference::TableMissing { table: name.clone() }),
            Some(found) => compare(name, table, found, &mut differences),
        }
    }
    Ok(differences)
}

async fn read(
    session: &Session,
    keyspace: &str,
) -> Result<BTreeMap<String, DeployedTable>, SchemaError> {
    let mut tables: BTreeMap<String, DeployedTable> = BTreeMap::new();
    let rows = session
        .query_unpaged(
            "SELECT table_name, default_time_to_live, extensions FROM system_schema.tables \
             WHERE keyspace_name = ?",
            (keyspace,),
        )
        .await?
        .into_rows_result()?;
    type TableRow = (String, Option<i32>, Option<BTreeMap<String, Vec<u8>>>);
    for row in rows.rows::<TableRow>()? {
        let (name, ttl, extensions) = row?;
        let table = tables.entry(name).or_default();
        table.default_time_to_live = ttl.unwrap_or(0);
        table.cdc = extensions.and_then(|e| e.get("cdc").and_then(|blob| decode_map(blob)));
    }
    let rows = session
        .query_unpaged(
            "SELECT table_name, column_name, kind, position, type, clustering_order \
             FROM system_schema.columns WHERE keyspace_name = ?",
            (keyspace,),
        )
        .await?
        .into_rows_result()?;
    for row in rows.rows::<(String, String, String, i32, String, String)>()? {
        let (table, name, kind, position, column_type, order) = row?;
        let table = tables.entry(table).or_default();
        match kind.as_str() {
            "partition_key" => table.partition_key.push((position, name.clone())),
            "clustering" => {
                table.clustering.push((position, name.clone(), order.eq_ignore_ascii_case("desc")));
            }
            _ => {}
        }
        table.columns.insert(name, (normalized_type(&column_type), kind));
    }
    for table in tables.values_mut() {
        table.partition_key.sort();
        table.clustering.sort();
    }
    Ok(tables)
}

/// `system_schema.tables.extensions['cdc']`: a little-endian u32 count, then as many keys
/// and values, each a little-endian u32 length and its text. Seen on ScyllaDB 5.1.
pub(crate) fn decode_map(blob: &[u8]) -> Option<BTreeMap<String, String>> {
    fn number(rest: &mut &[u8]) -> Option<usize> {
        let (head, tail) = rest.split_first_chunk::<4>()?;
        *rest = tail;
        usize::try_from(u32::from_le_bytes(*head)).ok()
    }
    fn text(rest: &mut &[u8]) -> Option<String> {
        let length = number(rest)?;
        let (head, tail) = rest.split_at_checked(length)?;
        *rest = tail;
        String::from_utf8(head.to_vec()).ok()
    }
    let mut rest = blob;
    let count = number(&mut rest)?;
    (0..count).map(|_| Some((text(&mut rest)?, text(&mut rest)?))).collect()
}

fn compare(
    name: &str,
    expected: &ExpectedTable,
    deployed: &DeployedTable,
    differences: &mut Vec<Difference>,
) {
    let mut changed = |what: String, expected: String, deployed: String| {
        if expected != deployed {
            differences.push(Difference::Changed {
                table: name.to_owned(),
                what,
                expected,
                deployed,
            });
        }
    };
    let key = |partition: Vec<&str>, clustering: Vec<(&str, bool)>| {
        let clustering: Vec<String> = clustering
            .into_iter()
            .map(|(c, descending)| format!("{c}{}", if descending { " DESC" } else { "" }))
            .collect();
        format!("(({}), {})", partition.join(", "), clustering.join(", "))
    };
    changed(
        "primary key".to_owned(),
        key(
            expected.partition_key.iter().map(String::as_str).collect(),
            expected.clustering.iter().map(|(c, d)| (c.as_str(), *d)).collect(),
        ),
        key(
            deployed.partition_key.iter().map(|(_, c)| c.as_str()).collect(),
            deployed.clustering.iter().map(|(_, c, d)| (c.as_str(), *d)).collect(),
        ),
    );
    if let Some(ttl) = expected.default_time_to_live {
        changed(
            "default_time_to_live".to_owned(),
            ttl.to_string(),
            deployed.default_time_to_live.to_string(),
        );
    }
    if let Some(cdc) = &expected.cdc {
        let none = BTreeMap::new();
        let found = deployed.cdc.as_ref().unwrap_or(&none);
        for (option, value) in cdc {
            let found = found.get(option).map_or("not set", String::as_str);
            changed(format!("cdc option {option}"), value.clone(), found.to_owned());
        }
    }
    for (column, expected_type) in &expected.columns {
        let Some((deployed_type, kind)) = deployed.columns.get(column) else { continue };
        let mark = |is_static: bool| if is_static { " static" } else { "" };
        changed(
            format!("column {column}"),
            format!("{expected_type}{}", mark(expected.static_columns.contains(column))),
            format!("{deployed_type}{}", mark(kind == "static")),
        );
    }
    for column in expected.columns.keys().filter(|c| !deployed.columns.contains_key(*c)) {
        differences
            .push(Difference::ColumnMissing { table: name.to_owned(), column: column.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cdc_extension_of_a_real_server_is_read() {
        // From system_schema.tables of ScyllaDB 5.1.19.
        let hex = "050000000500000064656c7461040000006675\
                   6c6c07000000656e61626c6564040000007472756509000000706f7374696d616765050000006661\
                   6c736508000000707265696d6167650500000066616c73650300000074746c0400000033363030";
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
            .collect();
        let map = decode_map(&bytes).unwrap();
        assert_eq!(map["enabled"], "true");
        assert_eq!(map["ttl"], "3600");
        assert_eq!(map["delta"], "full");
        assert_eq!(decode_map(&bytes[..20]), None);
    }
}
