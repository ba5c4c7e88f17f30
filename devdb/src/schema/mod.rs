//! Keyspaces and tables: what there is, and how DDL changes it.
mod alter_table;
mod catalog;
mod ddl;
mod describe;
mod extensions;
mod keyspace;
mod log_table;
mod model;
mod options;
mod resolve;
mod table;
mod user_type;

pub use catalog::{SharedCatalog, is_system_keyspace, log_table_name};
pub use ddl::{DdlContext, SchemaEdit, apply};
pub use describe::{create_keyspace, create_table, create_type};
pub use extensions::Extension;
pub use keyspace::DATA_CENTER;
pub use model::*;
pub use options::MAX_TTL;
pub use resolve::{native_type, resolve_type};
