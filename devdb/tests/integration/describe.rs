//! DESCRIBE: what was defined is shown again.

use crate::common::{Node, start};

const TABLE: &str = "CREATE TABLE t (p1 int, p2 text, c timeuuid, d int, \"Mixed\" text static, \
    \"order\" int, m map<text, frozen<inner>>, t tuple<int, text>, \
    PRIMARY KEY ((p1, p2), c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC) \
    AND comment = 'it''s' AND default_time_to_live = 60 AND gc_grace_seconds = 1000 \
    AND cdc = {'enabled': true, 'preimage': 'full', 'ttl': 3600} \
    AND caching = {'keys': 'NONE', 'rows_per_partition': 'NONE'} \
    AND compaction = {'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 160} \
    AND compression = {'sstable_compression': 'ZstdCompressor', 'chunk_length_in_kb': 64} \
    AND speculative_retry = '10ms' AND tombstone_gc = {'mode': 'repair'} \
    AND per_partition_rate_limit = {'max_writes_per_second': 100} \
    AND paxos_grace_seconds = 100 AND tablets = {'min_tablet_count': 4}";

/// `create_statement` of everything that a statement describes.
async fn statements(node: &Node, text: &str) -> Vec<String> {
    let rows: Vec<(String, String, String, String)> = node.rows(text, ()).await;
    rows.into_iter().map(|(_, _, _, statement)| statement).collect()
}

#[tokio::test]
async fn what_is_described_can_be_made_again_and_is_the_same() {
    let node = start().await;
    node.run("CREATE TYPE inner (a int)").await;
    // By name it would come before what it is made of.
    node.run("CREATE TYPE a_outer (\"Field\" frozen<inner>)").await;
    node.run(TABLE).await;
    let described = statements(&node, "DESCRIBE KEYSPACE ks").await;
    let shown = |text: &str| {
        assert!(
            described.iter().any(|statement| statement.contains(text)),
            "{text}: {described:?}"
        );
    };
    shown("\"Mixed\" text static");
    shown("\"order\" int");
    shown("PRIMARY KEY ((p1, p2), c, d)");
    shown("CLUSTERING ORDER BY (c DESC, d ASC)");
    shown("comment = 'it''s'");
    shown("speculative_retry = '10.00ms'");
    shown("tombstone_gc = {'mode': 'repair'}");
    shown("per_partition_rate_limit = {'max_writes_per_second': '100'}");
    shown("paxos_grace_seconds = 100");
    shown("'preimage': 'full', 'ttl': '3600'");
    node.run("DROP KEYSPACE ks").await;
    for statement in &described {
        node.run(statement).await;
    }
    assert_eq!(statements(&node, "DESC KEYSPACE ks").await, described);
}

#[tokio::test]
async fn names_are_listed_of_the_keyspace_in_use() {
    let node = start().await;
    node.run("CREATE TABLE t (p int PRIMARY KEY) WITH cdc = {'enabled': true}").await;
    let tables: Vec<(String, String, String)> = node.rows("DESCRIBE TABLES", ()).await;
    let names: Vec<&str> = tables.iter().map(|(_, _, name)| name.as_str()).collect();
    assert_eq!(names, ["t", "t_scylla_cdc_log"]);
    let keyspaces: Vec<(String, String, String)> = node.rows("DESCRIBE KEYSPACES", ()).await;
    assert!(keyspaces.contains(&("ks".to_owned(), "keyspace".to_owned(), "ks".to_owned())));
    // A log is made by its base's option, not by a statement of its own.
    let log = statements(&node, "DESCRIBE TABLE t_scylla_cdc_log").await;
    assert!(log[0].starts_with("/*"), "{log:?}");
    assert_eq!(statements(&node, "DESCRIBE KEYSPACE").await.len(), 2);
    let refused = node.session.query_unpaged("DESCRIBE TABLE nope", ()).await.unwrap_err();
    assert!(refused.to_string().contains("Table 'nope' not found in keyspace 'ks'"), "{refused}");
}

#[tokio::test]
async fn options_that_cannot_be_are_refused() {
    let node = start().await;
    for (option, why) in [
        ("tombstone_gc = {'mode': 'never'}", "tombstone_gc"),
        ("speculative_retry = 'sometimes'", "speculative_retry"),
        ("compression = {'sstable_compression': 'Squeeze'}", "Squeeze"),
        ("compaction = {'class': 'Nothing'}", "Nothing"),
        ("tablets = {'enabled': true}", "tablets"),
        ("colour = 'red'", "Unknown property 'colour'"),
    ] {
        let text = format!("CREATE TABLE bad (p int PRIMARY KEY) WITH {option}");
        let refused = node.session.query_unpaged(text, ()).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{option}: {refused}");
    }
}
