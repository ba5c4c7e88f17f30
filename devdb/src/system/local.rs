//! `system.local` and what else the node says of itself.

use std::net::IpAddr;

use uuid::Uuid;

use super::rows::{inet, int, key, partition, sequence, table, text, uuid};
use super::schema_tables::MURMUR3_PARTITIONER;
use crate::error::Result;
use crate::schema::{Catalog, DATA_CENTER};
use crate::store::mutation::{Mutation, Timestamp};

/// What the recorded server says it is; drivers decide by it what they may ask.
const RELEASE_VERSION: &str = "3.0.8";
const CQL_VERSION: &str = "3.3.1";
const SCYLLA_VERSION: &str = "5.1.19";
/// The only rack there is.
pub const RACK: &str = "rack1";

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Of the cluster.
    pub cluster_name: String,
    /// Where clients reach it.
    pub address: IpAddr,
    /// New with each start.
    pub host_id: Uuid,
    /// Of its vnodes.
    pub tokens: Vec<i64>,
}

/// The rows about the node itself.
pub fn mutations(
    catalog: &Catalog,
    identity: &Identity,
    schema_version: Uuid,
    timestamp: Timestamp,
) -> Result<Vec<Mutation>> {
    let mut tokens: Vec<String> = identity.tokens.iter().map(ToString::to_string).collect();
    tokens.sort();
    let local = vec![
        ("bootstrapped", text("COMPLETED")),
        ("broadcast_address", inet(identity.address)),
        ("cluster_name", text(&identity.cluster_name)),
        ("cql_version", text(CQL_VERSION)),
        ("data_center", text(DATA_CENTER)),
        ("gossip_generation", int(i32::try_from(timestamp / 1_000_000).unwrap_or(i32::MAX))),
        ("host_id", uuid(identity.host_id)),
        ("listen_address", inet(identity.address)),
        ("native_protocol_version", text("4")),
        ("partitioner", text(MURMUR3_PARTITIONER)),
        ("rack", text(RACK)),
        ("release_version", text(RELEASE_VERSION)),
        ("rpc_address", inet(identity.address)),
        ("schema_version", uuid(schema_version)),
        ("supported_features", text("CDC,LWT,UDF")),
        ("tokens", sequence(&tokens)),
    ];
    let versions = vec![
        ("build_id", text("messina-devdb")),
        ("build_mode", text("release")),
        ("version", text(SCYLLA_VERSION)),
    ];
    let row = |name: &str, values| -> Result<Mutation> {
        let system = table(catalog, "system", name)?;
        Ok(partition(system, key(&[text("local")])?, &[values], timestamp, false))
    };
    Ok(vec![row("local", local)?, row("versions", versions)?])
}

/// The schema's new version.
pub fn schema_version(catalog: &Catalog, version: Uuid, timestamp: Timestamp) -> Result<Mutation> {
    let system = table(catalog, "system", "local")?;
    let row = vec![("schema_version", uuid(version))];
    Ok(partition(system, key(&[text("local")])?, &[row], timestamp, false))
}
