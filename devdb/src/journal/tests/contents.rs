//! What survives, and who may go on with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::node::{Node, config, copy, names};
use crate::journal::{Fsync, JournalConfig, JournalError};

/// Something of everything.
pub(super) fn fill(node: &mut Node) {
    node.all(&[
        "CREATE TYPE address (street text, zip int)",
        "CREATE TABLE things (p int, c decimal, s text static, v text, l list<int>, \
         m map<text, int>, t set<text>, a address, f frozen<address>, PRIMARY KEY (p, c)) \
         WITH CLUSTERING ORDER BY (c DESC) AND comment = 'all kinds' \
         AND bloom_filter_fp_chance = 0.0725 \
         AND cdc = {'enabled': true, 'preimage': true, 'postimage': true, 'ttl': 3600}",
        "CREATE TABLE counts (p int PRIMARY KEY, n counter)",
        "CREATE TABLE heads (id int PRIMARY KEY, n bigint)",
        "CREATE TABLE gone (p int PRIMARY KEY)",
        "CREATE TABLE emptied (p int PRIMARY KEY)",
        "CREATE KEYSPACE tab WITH replication = {'class': 'NetworkTopologyStrategy', \
         'replication_factor': 1} AND tablets = {'initial': 2}",
        "CREATE TABLE tab.t (p int PRIMARY KEY, v int) WITH cdc = {'enabled': true}",
        "INSERT INTO tab.t (p, v) VALUES (1, 1)",
        "INSERT INTO things (p, c, s, v, l, m, t, a, f) VALUES (1, 1.50, 's', 'v', [3, 1], \
         {'a': 1}, {'x', 'y'}, {street: 'Main', zip: 1}, {street: 'High', zip: 2})",
        "CREATE TABLE old (p int PRIMARY KEY, v int)",
        "INSERT INTO old (p, v) VALUES (1, 1) USING TTL 1000 AND TIMESTAMP 17",
        "INSERT INTO old (p, v) VALUES (2, 1) USING TIMESTAMP -17",
        "INSERT INTO things (p, c, v) VALUES (1, 2, 'mortal') USING TTL 1000",
        "INSERT INTO things (p, c, v) VALUES (1, 3, 'deleted')",
        "DELETE FROM things WHERE p = 1 AND c = 3",
        "UPDATE things SET l = l + [7], m['b'] = 2, a.zip = 5 WHERE p = 1 AND c = 1.5",
        "UPDATE things SET m = {'only': 1}, v = null WHERE p = 1 AND c = 4",
        "DELETE m['only'] FROM things WHERE p = 1 AND c = 4",
        "DELETE FROM things WHERE p = 1 AND c > 10 AND c <= 20.25",
        "DELETE FROM things WHERE p = 2",
        "INSERT INTO things (p, s) VALUES (3, 'only static')",
        "UPDATE counts SET n = n + 5 WHERE p = 1",
        "UPDATE counts SET n = n - 2 WHERE p = 1",
        "INSERT INTO heads (id, n) VALUES (1, 1) IF NOT EXISTS",
        "UPDATE heads SET n = 2 WHERE id = 1 IF n = 1",
        "BEGIN BATCH INSERT INTO heads (id, n) VALUES (2, 1); \
         INSERT INTO things (p, c, v) VALUES (2, 1, 'batch'); APPLY BATCH",
        "INSERT INTO gone (p) VALUES (1)",
        "DROP TABLE gone",
        "CREATE TABLE gone (p int PRIMARY KEY)",
        "INSERT INTO emptied (p) VALUES (1)",
        "TRUNCATE emptied",
        "INSERT INTO emptied (p) VALUES (2)",
        "ALTER TABLE things DROP t",
        "ALTER TABLE things ADD t int",
        "INSERT INTO things (p, c, t) VALUES (1, 1.5, 9)",
        "ALTER TYPE address ADD city text",
        "UPDATE things SET a.city = 'Messina' WHERE p = 1 AND c = 1.5",
    ]);
    node.engine.new_cdc_generation(Duration::ZERO).unwrap();
    node.engine.new_tablet_generation("tab", "t", 4, Duration::ZERO).unwrap();
}

const LOOKS: [&str; 8] = [
    "SELECT * FROM things",
    "SELECT v, TTL(v), WRITETIME(v) FROM things WHERE p = 1 AND c = 1.5",
    "SELECT * FROM k.things_scylla_cdc_log",
    "SELECT n FROM counts WHERE p = 1",
    "SELECT * FROM heads",
    "SELECT * FROM emptied",
    "SELECT * FROM system_distributed.cdc_generation_timestamps",
    "SELECT * FROM system.cdc_streams",
];

fn looks(node: &mut Node) -> Vec<Vec<String>> {
    LOOKS.iter().map(|statement| node.rows(statement)).collect()
}

#[test]
fn everything_is_there_again_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let mut node = Node::new(directory.path());
    fill(&mut node);
    let (contents, seen) = (node.contents(), looks(&mut node));
    let host = node.rows("SELECT host_id, tokens FROM system.local");
    let streams = node.rows("SELECT * FROM system_distributed.cdc_streams_descriptions_v2");
    assert_eq!(seen[3], ["3"]);
    assert_eq!(seen[5], ["2"]);
    assert_eq!(seen[6].len(), 2);
    node.force();
    let killed = copy(directory.path());
    node.engine.close();
    let refused = node.run("INSERT INTO heads (id, n) VALUES (3, 1)").unwrap_err();
    assert!(refused.message.contains("shut down"), "{refused}");
    for directory in [directory.path(), killed.path()] {
        // Twice: what is read is gone on with.
        for _ in 0..2 {
            let mut node = Node::open(directory);
            assert_eq!(node.contents(), contents);
            assert_eq!(looks(&mut node), seen);
            assert_eq!(node.rows("SELECT host_id, tokens FROM system.local"), host);
            assert_eq!(
                node.rows("SELECT * FROM system_distributed.cdc_streams_descriptions_v2"),
                streams
            );
        }
        let mut node = Node::open(directory);
        node.all(&[
            "INSERT INTO things (p, c, v, t) VALUES (1, 1.5, 'later', 3)",
            "UPDATE counts SET n = n + 1 WHERE p = 1",
            "INSERT INTO tab.t (p, v) VALUES (2, 2)",
        ]);
        let seen = looks(&mut node);
        node.close();
        let mut node = Node::open(directory);
        assert_eq!(looks(&mut node), seen);
        assert_eq!(node.rows("SELECT n FROM counts WHERE p = 1"), ["4"]);
    }
}

#[test]
fn a_write_is_durable_in_every_mode_once_the_process_is_killed() {
    for fsync in [Fsync::Never, Fsync::Batch, Fsync::Always] {
        let directory = TempDir::new().unwrap();
        let mut node =
            Node::new_with(JournalConfig { fsync, ..JournalConfig::new(directory.path()) });
        node.all(&["CREATE TABLE t (p int PRIMARY KEY)"]);
        for p in 0..20 {
            node.all(&[&format!("INSERT INTO t (p) VALUES ({p})")]);
        }
        let settled = node.engine.settled();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(settled).unwrap();
        let killed = copy(directory.path());
        assert_eq!(Node::open(killed.path()).rows("SELECT p FROM t").len(), 20, "{fsync:?}");
    }
}

#[test]
fn the_clock_goes_on_where_it_was() {
    let directory = TempDir::new().unwrap();
    let mut node = Node::new(directory.path());
    node.all(&["CREATE TABLE t (p int PRIMARY KEY, v int)"]);
    // The machine's own clock was ahead in that run, and is set right in the next.
    node.engine.clock().not_before(node.engine.clock().read_micros() + 3_600_000_000);
    node.all(&["INSERT INTO t (p, v) VALUES (1, 1)"]);
    node.close();
    let mut node = Node::open(directory.path());
    node.all(&["INSERT INTO t (p, v) VALUES (1, 2)"]);
    assert_eq!(node.rows("SELECT v FROM t"), ["2"]);
}

#[test]
fn a_directory_is_for_one_node_at_a_time() {
    let directory = TempDir::new().unwrap();
    let node = Node::new(directory.path());
    let refused = Node::open_with(config(directory.path())).err().unwrap();
    assert!(matches!(refused, JournalError::InUse { .. }), "{refused}");
    node.engine.close();
    Node::open(directory.path());
}

#[test]
fn a_journal_that_cannot_be_written_takes_no_writes() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("data");
    let mut node = Node::new_with(JournalConfig { segment_bytes: 1, ..config(&path) });
    node.all(&["CREATE TABLE t (p int PRIMARY KEY)"]);
    node.force();
    std::fs::remove_dir_all(&path).unwrap();
    // Accepted, perhaps, before the disk's answer is known; but never said to be durable.
    let _ = node.run("INSERT INTO t (p) VALUES (1)");
    let settled = node.engine.settled();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(settled).unwrap_err();
    let refused = node.run("INSERT INTO t (p) VALUES (2)").unwrap_err();
    assert!(refused.message.contains("the journal failed"), "{refused}");
    // What is in memory can be read still.
    node.rows("SELECT * FROM t");
}

#[test]
fn what_is_written_at_once_is_read_back_as_it_was_in_memory() {
    let directory = TempDir::new().unwrap();
    let journal = JournalConfig {
        snapshot_after: 20_000,
        segment_bytes: 7_000,
        fsync: Fsync::Never,
        ..config(directory.path())
    };
    let mut node = Node::new_with(journal.clone());
    node.all(&["CREATE TABLE t (p int, c int, v text, m map<int, int>, PRIMARY KEY (p, c)) \
         WITH cdc = {'enabled': true}"]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let mut node = node.another();
            let stop = &stop;
            scope.spawn(move || {
                for i in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (p, c) = (i % 7, (i * 31 + writer) % 40);
                    node.all(&[&match i % 5 {
                        0 => format!("DELETE FROM t WHERE p = {p} AND c > {c}"),
                        1 => format!("UPDATE t SET m[{c}] = {i} WHERE p = {p} AND c = {c}"),
                        _ => format!("INSERT INTO t (p, c, v) VALUES ({p}, {c}, 'value {i}')"),
                    }]);
                }
            });
        }
        let is_snapshot = |name: &String| name.starts_with("snapshot-0");
        for round in 0.. {
            std::thread::sleep(Duration::from_millis(20));
            node.all(&["TRUNCATE t", &format!("ALTER TABLE t ADD c{round} int")]);
            if round >= 15 && names(directory.path()).iter().any(is_snapshot) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    node.force();
    let contents = node.contents();
    let killed = copy(directory.path());
    node.close();
    for directory in [directory.path(), killed.path()] {
        assert_eq!(Node::open(directory).contents(), contents);
    }
}
