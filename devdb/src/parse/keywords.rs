//! Which words may name things and which belong to the grammar alone.

/// Words that are never identifiers unless quoted.
const RESERVED: &[&str] = &[
    "add",
    "allow",
    "alter",
    "and",
    "apply",
    "asc",
    "authorize",
    "batch",
    "begin",
    "by",
    "cast",
    "columnfamily",
    "create",
    "default",
    "delete",
    "desc",
    "drop",
    "entries",
    "from",
    "full",
    "grant",
    "if",
    "in",
    "index",
    "infinity",
    "insert",
    "into",
    "is",
    "keyspace",
    "limit",
    "materialized",
    "modify",
    "nan",
    "norecursive",
    "not",
    "null",
    "of",
    "on",
    "or",
    "order",
    "primary",
    "rename",
    "replace",
    "revoke",
    "schema",
    "scylla_clustering_bound",
    "scylla_counter_shard_list",
    "scylla_timeuuid_list_index",
    "select",
    "set",
    "table",
    "to",
    "token",
    "truncate",
    "unlogged",
    "unset",
    "update",
    "use",
    "using",
    "view",
    "where",
    "with",
];

/// Words of the grammar that are identifiers too. Only these, beside constants, may
/// stand as a bare option value (`WITH x = all`).
const UNRESERVED: &[&str] = &[
    "aggregate",
    "aggregates",
    "all",
    "as",
    "ascii",
    "attach",
    "attached",
    "bigint",
    "blob",
    "boolean",
    "bypass",
    "cache",
    "called",
    "cluster",
    "clustering",
    "compact",
    "contains",
    "count",
    "counter",
    "custom",
    "date",
    "decimal",
    "describe",
    "detach",
    "distinct",
    "double",
    "duration",
    "empty",
    "execute",
    "exists",
    "filtering",
    "finalfunc",
    "float",
    "for",
    "frozen",
    "function",
    "functions",
    "group",
    "hashed",
    "inet",
    "initcond",
    "input",
    "int",
    "internals",
    "json",
    "key",
    "keys",
    "keyspaces",
    "language",
    "level",
    "levels",
    "like",
    "list",
    "login",
    "map",
    "nologin",
    "nosuperuser",
    "only",
    "options",
    "partition",
    "password",
    "per",
    "permission",
    "permissions",
    "prune",
    "reducefunc",
    "returns",
    "role",
    "roles",
    "service",
    "service_level",
    "service_levels",
    "sfunc",
    "smallint",
    "static",
    "storage",
    "stype",
    "superuser",
    "tables",
    "text",
    "time",
    "timeout",
    "timestamp",
    "timeuuid",
    "tinyint",
    "trigger",
    "ttl",
    "tuple",
    "type",
    "types",
    "user",
    "users",
    "uuid",
    "values",
    "varchar",
    "varint",
    "writetime",
];

/// Names that no user-defined type may have.
const RESERVED_TYPE_NAMES: &[&str] =
    &["byte", "complex", "enum", "interval", "macaddr", "bitstring", "empty"];

/// Whether a lower-case word cannot be an identifier.
pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

/// Whether a lower-case word is a keyword that can be an identifier.
pub(super) fn is_unreserved(word: &str) -> bool {
    UNRESERVED.binary_search(&word).is_ok()
}

/// A name as CQL text: in quotes where it could not be read back without.
pub fn quoted(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !is_reserved(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Whether a lower-case word is refused as the name of a user-defined type.
pub(super) fn is_reserved_type_name(word: &str) -> bool {
    RESERVED_TYPE_NAMES.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_disjoint() {
        assert!(RESERVED.is_sorted());
        assert!(UNRESERVED.is_sorted());
        assert!(RESERVED.iter().all(|w| !is_unreserved(w)));
    }
}
