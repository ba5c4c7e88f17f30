//! What the node offers in SUPPORTED and what a client takes of it in STARTUP.

use crate::error::CqlError;

use super::compression::Compression;

/// Marks a prepared statement as conditional (docs/dev/protocol-extensions.md of ScyllaDB).
const LWT_MARK: &str = "SCYLLA_LWT_ADD_METADATA_MARK";
/// The bit of the metadata flags that is the mark.
pub(super) const LWT_MARK_BIT: u32 = 0x8000_0000;
/// Ids of result metadata, as protocol v5 has them.
const METADATA_ID: &str = "SCYLLA_USE_METADATA_ID";

/// What a connection agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Extensions {
    /// Compression of bodies.
    pub compression: Compression,
    /// Conditional statements are marked when prepared.
    pub lwt_mark: bool,
    /// PREPARED, EXECUTE and ROWS carry metadata ids.
    pub metadata_id: bool,
}

/// The content of SUPPORTED. One shard, so that a shard-aware driver opens one
/// connection and computes tokens as with ScyllaDB.
pub(super) fn supported() -> Vec<(&'static str, Vec<String>)> {
    vec![
        ("CQL_VERSION", vec!["3.3.1".to_owned()]),
        ("COMPRESSION", Compression::NAMES.map(str::to_owned).to_vec()),
        (LWT_MARK, vec![format!("LWT_OPTIMIZATION_META_BIT_MASK={LWT_MARK_BIT}")]),
        (METADATA_ID, vec![String::new()]),
        ("SCYLLA_NR_SHARDS", vec!["1".to_owned()]),
        ("SCYLLA_SHARD", vec!["0".to_owned()]),
        ("SCYLLA_SHARDING_ALGORITHM", vec!["biased-token-round-robin".to_owned()]),
        ("SCYLLA_SHARDING_IGNORE_MSB", vec!["12".to_owned()]),
        ("SCYLLA_PARTITIONER", vec!["org.apache.cassandra.dht.Murmur3Partitioner".to_owned()]),
    ]
}

/// Reads the options of STARTUP.
pub(super) fn negotiate(options: &[(String, String)]) -> Result<Extensions, CqlError> {
    let option = |name: &str| options.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
    if option("CQL_VERSION").is_none() {
        return Err(CqlError::protocol("Missing value CQL_VERSION in STARTUP message"));
    }
    let compression = match option("COMPRESSION") {
        None | Some("") => Compression::None,
        Some(name) => Compression::named(name)
            .ok_or_else(|| CqlError::protocol(format!("Unknown compression algorithm: {name}")))?,
    };
    Ok(Extensions {
        compression,
        lwt_mark: option(LWT_MARK).is_some(),
        metadata_id: option(METADATA_ID).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_client_takes_what_it_knows() {
        let agreed = negotiate(&options(&[("CQL_VERSION", "3.0.0")])).unwrap();
        assert_eq!(agreed, Extensions::default());
        let agreed = negotiate(&options(&[
            ("CQL_VERSION", "4.0.0"),
            ("COMPRESSION", "LZ4"),
            (LWT_MARK, "LWT_OPTIMIZATION_META_BIT_MASK=2147483648"),
        ]))
        .unwrap();
        assert_eq!(agreed.compression, Compression::Lz4);
        assert!(agreed.lwt_mark && !agreed.metadata_id);
    }

    #[test]
    fn unknown_compression_and_missing_version_are_refused() {
        assert!(negotiate(&options(&[("CQL_VERSION", "3"), ("COMPRESSION", "zstd")])).is_err());
        assert!(negotiate(&[]).is_err());
    }
}
