//! Clustering keys as bytes whose order is the table's.

use bytes::Bytes;

use super::CqlType;
use crate::store::mutation::ClusteringKey;

/// The key of a row from its clustering columns' values, or of all rows with a prefix when
/// there are fewer values than columns. Columns: type and whether descending.
pub fn encode_clustering(_columns: &[(&CqlType, bool)], _values: &[Bytes]) -> ClusteringKey { ClusteringKey::default() }

/// The clustering columns' values of a key, as many as it has.
pub fn decode_clustering(_columns: &[(&CqlType, bool)], _key: &ClusteringKey) -> Vec<Bytes> { Vec::new() }
