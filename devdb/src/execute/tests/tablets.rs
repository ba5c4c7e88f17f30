//! Keyspaces on tablets: where their logs' streams are, and to which a write goes.

use std::time::Duration;

use super::node::Node;

const CURRENT: &str = "SELECT stream_id FROM system.cdc_streams WHERE keyspace_name = 'tk' AND table_name = 't' AND timestamp = {} AND stream_state = {state}";

fn with_table() -> Node {
    Node::with(&[
        "CREATE KEYSPACE tk WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1} AND tablets = {'initial': 4}",
        "CREATE TABLE tk.t (p int PRIMARY KEY, v int) WITH cdc = {'enabled': true}",
    ])
}

fn streams(node: &mut Node, time: i64, state: i8) -> Vec<String> {
    node.rows(&CURRENT.replace("{}", &time.to_string()).replace("{state}", &state.to_string()))
}

fn times(node: &mut Node) -> Vec<String> {
    node.rows("SELECT timestamp FROM system.cdc_timestamps WHERE keyspace_name = 'tk' AND table_name = 't'")
}

/// The stream of a row's last change.
fn stream_of(node: &mut Node, p: i32) -> String {
    node.rows(&format!(
        "SELECT \"cdc$stream_id\" FROM tk.t_scylla_cdc_log WHERE p = {p} ALLOW FILTERING"
    ))
    .pop()
    .unwrap()
}

#[test]
fn only_a_keyspace_on_tablets_has_a_number_of_them() {
    let mut node = with_table();
    node.ok("CREATE KEYSPACE auto WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1} AND tablets = {'enabled': true}");
    node.ok("CREATE KEYSPACE not_at_all WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1} AND tablets = {'enabled': false}");
    assert_eq!(
        node.rows("SELECT keyspace_name, initial_tablets FROM system_schema.scylla_keyspaces WHERE keyspace_name IN ('auto', 'k', 'not_at_all', 'tk')"),
        ["auto | 0", "tk | 4"]
    );
    node.ok("CREATE TABLE auto.t (p int PRIMARY KEY) WITH cdc = {'enabled': true}");
    let all = "SELECT count(*) FROM system.cdc_streams WHERE keyspace_name = 'auto' AND table_name = 't' AND stream_state = 0 ALLOW FILTERING";
    assert_eq!(node.rows(all), ["8"]);
}

#[test]
fn a_keyspace_stays_on_what_it_began_with() {
    let mut node = with_table();
    const REFUSED: &str = "Cannot alter replication strategy vnode/tablets flavor";
    assert_eq!(node.refusal("ALTER KEYSPACE tk WITH tablets = {'enabled': false}"), REFUSED);
    assert_eq!(node.refusal("ALTER KEYSPACE k WITH tablets = {'initial': 2}"), REFUSED);
    node.ok("ALTER KEYSPACE tk WITH tablets = {'initial': 16}");
    node.ok("ALTER KEYSPACE tk WITH durable_writes = false");
    assert_eq!(
        node.rows(
            "SELECT initial_tablets FROM system_schema.scylla_keyspaces WHERE keyspace_name = 'tk'"
        ),
        ["16"]
    );
    for (options, refused) in [
        (
            "{'class': 'SimpleStrategy', 'replication_factor': 1} AND tablets = {'enabled': true}",
            "SimpleStrategy doesn't support tablet replication",
        ),
        (
            "{'class': 'NetworkTopologyStrategy'} AND tablets = {'enabled': 'maybe'}",
            "Tablets enabled value must be true or false; found: maybe",
        ),
        (
            "{'class': 'NetworkTopologyStrategy'} AND tablets = {'initial': 'many'}",
            "Initial tablets value should be numeric; found many",
        ),
        (
            "{'class': 'NetworkTopologyStrategy'} AND tablets = {'final': 1}",
            "Unrecognized tablets option final",
        ),
    ] {
        let create = format!("CREATE KEYSPACE other WITH replication = {options}");
        assert_eq!(node.refusal(&create), refused);
    }
}

#[test]
fn a_table_has_one_stream_for_each_tablet_and_other_tables_have_others() {
    let mut node = with_table();
    let log = "SELECT timestamp, stream_state, stream_id FROM system.cdc_streams WHERE keyspace_name = 'tk' AND table_name = ";
    let of_t = node.rows(&format!("{log}'t'"));
    assert_eq!(of_t.len(), 8, "all four are current, and opened: {of_t:?}");
    node.ok("CREATE TABLE tk.u (p int PRIMARY KEY)");
    assert!(node.rows(&format!("{log}'u'")).is_empty());
    node.ok("ALTER TABLE tk.u WITH cdc = {'enabled': true}");
    let of_u = node.rows(&format!("{log}'u'"));
    assert_eq!(of_u.len(), 8);
    assert!(of_u.iter().all(|row| !of_t.contains(row)));
    node.ok("DROP TABLE tk.t");
    assert!(node.rows(&format!("{log}'t'")).is_empty());
    assert!(times(&mut node).is_empty());
    node.ok("CREATE TABLE tk.t (p int PRIMARY KEY, v int) WITH cdc = {'enabled': true}");
    assert_eq!(times(&mut node).len(), 1, "streams of its own again");
    node.ok("DROP KEYSPACE tk");
    assert!(node.rows("SELECT * FROM system.cdc_streams").is_empty());
}

#[test]
fn a_log_row_is_in_the_stream_of_the_tablet_that_owns_the_token() {
    let mut node = with_table();
    for p in 0..40 {
        node.ok(&format!("INSERT INTO tk.t (p, v) VALUES ({p}, 0)"));
        let token: i64 =
            node.rows(&format!("SELECT token(p) FROM tk.t WHERE p = {p}"))[0].parse().unwrap();
        let stream = stream_of(&mut node, p);
        let last = u64::from_str_radix(&stream[2..18], 16).unwrap() as i64;
        // Four tablets: a quarter of the ring ends at the stream's token.
        assert!(token <= last && last.wrapping_sub(token) < 1 << 62, "{token} {stream}");
    }
}

#[test]
fn a_split_closes_streams_and_opens_others_for_later_writes() {
    let mut node = with_table();
    node.ok("INSERT INTO tk.t (p, v) VALUES (1, 1)");
    let stream_before = stream_of(&mut node, 1);
    // Less than a write may be ahead of the clock.
    let split = node.engine.new_tablet_generation("tk", "t", 8, Duration::from_secs(4)).unwrap();
    assert_eq!(times(&mut node).len(), 2, "the newest comes first");
    assert!(times(&mut node)[0] > times(&mut node)[1]);
    let (current, closed, opened) = (
        streams(&mut node, split.time, 0),
        streams(&mut node, split.time, 1),
        streams(&mut node, split.time, 2),
    );
    assert_eq!((current.len(), closed.len(), opened.len()), (8, 4, 8));
    assert!(closed.contains(&stream_before));

    node.ok("INSERT INTO tk.t (p, v) VALUES (1, 2)");
    if node.engine.clock().now_millis() < split.time {
        assert_eq!(stream_of(&mut node, 1), stream_before, "not yet");
    }
    let (before, after) = (split.time * 1000 - 1, split.time * 1000);
    node.ok(&format!("INSERT INTO tk.t (p, v) VALUES (2, 1) USING TIMESTAMP {before}"));
    assert!(closed.contains(&stream_of(&mut node, 2)));
    node.ok(&format!("INSERT INTO tk.t (p, v) VALUES (3, 1) USING TIMESTAMP {after}"));
    assert!(current.contains(&stream_of(&mut node, 3)));

    // Long after, nothing goes to the streams that are closed.
    node.engine.clock().set_offset_micros(60_000_000);
    let late = format!("INSERT INTO tk.t (p, v) VALUES (4, 1) USING TIMESTAMP {before}");
    assert!(node.refusal(&late).contains("earlier generation"));
    node.ok("INSERT INTO tk.t (p, v) VALUES (4, 2)");
    assert!(current.contains(&stream_of(&mut node, 4)));
}

#[test]
fn generations_of_vnodes_and_of_a_table_do_not_meet() {
    let mut node = with_table();
    node.ok("CREATE TABLE t (p int PRIMARY KEY, v int) WITH cdc = {'enabled': true}");
    let vnodes =
        "SELECT time FROM system_distributed.cdc_generation_timestamps WHERE key = 'timestamps'";
    node.engine.new_tablet_generation("tk", "t", 2, Duration::ZERO).unwrap();
    assert_eq!((node.rows(vnodes).len(), times(&mut node).len()), (1, 2));
    node.engine.new_cdc_generation(Duration::ZERO).unwrap();
    assert_eq!((node.rows(vnodes).len(), times(&mut node).len()), (2, 2));
    let refusal = |keyspace, table, tablets| {
        let generation =
            node.engine.new_tablet_generation(keyspace, table, tablets, Duration::ZERO);
        generation.unwrap_err().message
    };
    assert_eq!(refusal("k", "t", 2), "Keyspace k is not on tablets");
    assert_eq!(refusal("tk", "none", 2), "unconfigured table none");
    assert_eq!(refusal("tk", "t", 0), "A table has 1 to 4096 tablets");
}

#[test]
fn a_server_without_tablets_knows_nothing_of_them() {
    let config = crate::engine::EngineConfig { knows_tablets: false, ..Default::default() };
    let mut node = Node {
        engine: crate::engine::Engine::new(config).unwrap(),
        state: crate::request::ClientState::default(),
    };
    let create = "CREATE KEYSPACE tk WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}";
    assert_eq!(
        node.refusal(&format!("{create} AND tablets = {{'enabled': true}}")),
        "Unknown property 'tablets'"
    );
    node.ok(create);
    node.refusal("SELECT initial_tablets FROM system_schema.scylla_keyspaces");
    node.refusal("SELECT * FROM system.cdc_streams");
}
