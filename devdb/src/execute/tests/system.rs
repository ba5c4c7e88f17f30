//! What drivers read about the node.

use super::node::Node;

#[test]
fn the_node_describes_itself() {
    let mut node = Node::new();
    assert_eq!(
        node.rows("SELECT key, bootstrapped, cql_version, native_protocol_version, partitioner, release_version, data_center, rack, rpc_address FROM system.local WHERE key = 'local'"),
        ["local | COMPLETED | 3.3.1 | 4 | org.apache.cassandra.dht.Murmur3Partitioner | 3.0.8 | datacenter1 | rack1 | 127.0.0.1"]
    );
    assert_eq!(node.rows("SELECT COUNT(*) FROM system.peers"), ["0"]);
    // The ring's tokens are the ends of the CDC generation's vnodes.
    let tokens = node.rows("SELECT tokens FROM system.local");
    for end in node.rows("SELECT range_end FROM system_distributed.cdc_streams_descriptions_v2") {
        assert!(tokens[0].contains(&format!("\"{end}\"")), "{end} in {tokens:?}");
    }
}

#[test]
fn tables_are_described_with_their_options() {
    let mut node = Node::with(&[
        "CREATE TABLE t (p1 int, p2 text, c int, v frozen<list<int>>, s text static, PRIMARY KEY ((p1, p2), c)) WITH CLUSTERING ORDER BY (c DESC) AND cdc = {'enabled': true, 'ttl': 3600} AND comment = 'shown'",
    ]);
    assert_eq!(
        node.rows("SELECT column_name, clustering_order, kind, position, type FROM system_schema.columns WHERE keyspace_name = 'k' AND table_name = 't'"),
        [
            "c | DESC | clustering | 0 | int",
            "p1 | NONE | partition_key | 0 | int",
            "p2 | NONE | partition_key | 1 | text",
            "s | NONE | static | -1 | text",
            "v | NONE | regular | -1 | frozen<list<int>>",
        ]
    );
    assert_eq!(
        node.rows("SELECT table_name, comment, gc_grace_seconds, compaction FROM system_schema.tables WHERE keyspace_name = 'k'"),
        [
            "t | shown | 864000 | {\"class\": \"SizeTieredCompactionStrategy\"}",
            "t_scylla_cdc_log | CDC log for k.t | 0 | {\"class\": \"TimeWindowCompactionStrategy\", \"compaction_window_size\": \"3\", \"compaction_window_unit\": \"MINUTES\", \"expired_sstable_check_frequency_seconds\": \"75\"}",
        ]
    );
    assert_eq!(
        node.rows("SELECT table_name, partitioner FROM system_schema.scylla_tables WHERE keyspace_name = 'k'"),
        ["t_scylla_cdc_log | com.scylladb.dht.CDCPartitioner"]
    );
}

#[test]
fn the_systems_own_tables_cannot_be_written() {
    let mut node = Node::new();
    for statement in [
        "INSERT INTO system.local (key) VALUES ('x')",
        "TRUNCATE system_schema.tables",
        "DROP TABLE system.local",
        "DROP KEYSPACE system",
    ] {
        assert!(
            node.refusal(statement).ends_with("keyspace is not user-modifiable."),
            "{statement}"
        );
    }
}
