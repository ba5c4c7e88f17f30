//! Types as CQL writes them.

use std::fmt;

use super::CqlType;

/// A name as CQL text, quoted where it has to be.
pub(super) fn quote_identifier(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

impl fmt::Display for CqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            CqlType::Ascii => "ascii",
            CqlType::Bigint => "bigint",
            CqlType::Blob => "blob",
            CqlType::Boolean => "boolean",
            CqlType::Counter => "counter",
            CqlType::Date => "date",
            CqlType::Decimal => "decimal",
            CqlType::Double => "double",
            CqlType::Duration => "duration",
            CqlType::Float => "float",
            CqlType::Inet => "inet",
            CqlType::Int => "int",
            CqlType::Smallint => "smallint",
            CqlType::Text => "text",
            CqlType::Time => "time",
            CqlType::Timestamp => "timestamp",
            CqlType::Timeuuid => "timeuuid",
            CqlType::Tinyint => "tinyint",
            CqlType::Uuid => "uuid",
            CqlType::Varint => "varint",
            CqlType::List { element, frozen } => {
                return frozen_or_not(f, *frozen, format_args!("list<{element}>"));
            }
            CqlType::Set { element, frozen } => {
                return frozen_or_not(f, *frozen, format_args!("set<{element}>"));
            }
            CqlType::Map { key, value, frozen } => {
                return frozen_or_not(f, *frozen, format_args!("map<{key}, {value}>"));
            }
            CqlType::Tuple(fields) => {
                f.write_str("frozen<tuple<")?;
                for (i, field) in fields.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{field}")?;
                }
                return f.write_str(">>");
            }
            CqlType::Udt { definition, frozen } => {
                let name = quote_identifier(&definition.name);
                return frozen_or_not(f, *frozen, format_args!("{name}"));
            }
        };
        f.write_str(name)
    }
}

fn frozen_or_not(
    f: &mut fmt::Formatter<'_>,
    frozen: bool,
    inner: fmt::Arguments<'_>,
) -> fmt::Result {
    if frozen { write!(f, "frozen<{inner}>") } else { f.write_fmt(inner) }
}

/// The name of the class that Cassandra has for the type, which ScyllaDB's messages show.
pub fn class_name(cql_type: &CqlType) -> String {
    let simple = |name: &str| format!("org.apache.cassandra.db.marshal.{name}");
    let wrap = |frozen: bool, inner: String| {
        if frozen { simple(&format!("FrozenType({inner})")) } else { inner }
    };
    match cql_type {
        CqlType::Ascii => simple("AsciiType"),
        CqlType::Bigint => simple("LongType"),
        CqlType::Blob => simple("BytesType"),
        CqlType::Boolean => simple("BooleanType"),
        CqlType::Counter => simple("CounterColumnType"),
        CqlType::Date => simple("SimpleDateType"),
        CqlType::Decimal => simple("DecimalType"),
        CqlType::Double => simple("DoubleType"),
        CqlType::Duration => simple("DurationType"),
        CqlType::Float => simple("FloatType"),
        CqlType::Inet => simple("InetAddressType"),
        CqlType::Int => simple("Int32Type"),
        CqlType::Smallint => simple("ShortType"),
        CqlType::Text => simple("UTF8Type"),
        CqlType::Time => simple("TimeType"),
        CqlType::Timestamp => simple("TimestampType"),
        CqlType::Timeuuid => simple("TimeUUIDType"),
        CqlType::Tinyint => simple("ByteType"),
        CqlType::Uuid => simple("UUIDType"),
        CqlType::Varint => simple("IntegerType"),
        CqlType::List { element, frozen } => {
            wrap(*frozen, simple(&format!("ListType({})", class_name(element))))
        }
        CqlType::Set { element, frozen } => {
            wrap(*frozen, simple(&format!("SetType({})", class_name(element))))
        }
        CqlType::Map { key, value, frozen } => {
            wrap(*frozen, simple(&format!("MapType({},{})", class_name(key), class_name(value))))
        }
        CqlType::Tuple(fields) => {
            let fields: Vec<String> = fields.iter().map(class_name).collect();
            simple(&format!("TupleType({})", fields.join(",")))
        }
        CqlType::Udt { definition, frozen } => {
            let hex = |text: &str| -> String { text.bytes().map(|b| format!("{b:02x}")).collect() };
            let mut inside = vec![definition.keyspace.clone(), hex(&definition.name)];
            for (name, field) in &definition.fields {
                inside.push(format!("{}:{}", hex(name), class_name(field)));
            }
            wrap(*frozen, simple(&format!("UserType({})", inside.join(","))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::UdtDefinition;
    use std::sync::Arc;

    #[test]
    fn types_read_as_system_schema_shows_them() {
        let list = CqlType::List { element: Arc::new(CqlType::Int), frozen: true };
        assert_eq!(list.to_string(), "frozen<list<int>>");
        let map =
            CqlType::Map { key: Arc::new(CqlType::Text), value: Arc::new(list), frozen: false };
        assert_eq!(map.to_string(), "map<text, frozen<list<int>>>");
        let tuple = CqlType::Tuple(vec![CqlType::Int, CqlType::Text].into());
        assert_eq!(tuple.to_string(), "frozen<tuple<int, text>>");
        let definition =
            Arc::new(UdtDefinition { keyspace: "ks".into(), name: "Addr".into(), fields: vec![] });
        assert_eq!(CqlType::Udt { definition, frozen: true }.to_string(), "frozen<\"Addr\">");
    }
}
