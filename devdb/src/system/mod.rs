//! The tables in which the node describes itself and its schema.
mod definitions;
mod generations;
mod local;
pub(crate) mod rows;
mod schema_tables;

pub use definitions::statements;
pub use generations::{
    forget_tablet_mutations, mutations as generation_mutations,
    tablet_mutations as tablet_generation_mutations,
};
pub use local::{
    Identity, RACK, mutations as identity_mutations, schema_version as schema_version_mutation,
};
pub use schema_tables::{MURMUR3_PARTITIONER, mutations as schema_mutations};
