//! The types a column can have.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A CQL type. Values of it travel and are stored in the protocol's own
/// serialization (native_protocol_v4.spec, section 6), as [`bytes::Bytes`].
///
/// `varchar` is [`CqlType::Text`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // the scalar names are CQL's own
pub enum CqlType {
    Ascii,
    Bigint,
    Blob,
    Boolean,
    Counter,
    Date,
    Decimal,
    Double,
    Duration,
    Float,
    Inet,
    Int,
    Smallint,
    Text,
    Time,
    Timestamp,
    Timeuuid,
    Tinyint,
    Uuid,
    Varint,
    /// `list<T>`; not frozen: one cell per element, keyed by a timeuuid.
    List {
        element: Arc<CqlType>,
        frozen: bool,
    },
    /// `set<T>`; not frozen: one cell per element.
    Set {
        element: Arc<CqlType>,
        frozen: bool,
    },
    /// `map<K, V>`; not frozen: one cell per entry.
    Map {
        key: Arc<CqlType>,
        value: Arc<CqlType>,
        frozen: bool,
    },
    /// `tuple<…>`, always one cell.
    Tuple(Arc<[CqlType]>),
    /// A user-defined type; not frozen: one cell per field, keyed by its big-endian i16 index.
    Udt {
        definition: Arc<UdtDefinition>,
        frozen: bool,
    },
}

/// A user-defined type of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UdtDefinition {
    /// Keyspace it lives in.
    pub keyspace: String,
    /// Its name.
    pub name: String,
    /// Fields in order of definition.
    pub fields: Vec<(String, CqlType)>,
}

impl CqlType {
    /// A collection or UDT whose elements are cells of their own.
    pub fn is_multi_cell(&self) -> bool {
        matches!(
            self,
            CqlType::List { frozen: false, .. }
                | CqlType::Set { frozen: false, .. }
                | CqlType::Map { frozen: false, .. }
                | CqlType::Udt { frozen: false, .. }
        )
    }
}
