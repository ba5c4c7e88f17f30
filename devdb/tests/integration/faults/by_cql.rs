//! Faults asked for by CQL, as another process does it.

use std::time::{Duration, Instant};

use messina_devdb::faults::{Fault, FaultAction, Operation, errors};
use scylla::errors::DbError;
use tokio::net::TcpStream;

use super::{NEVER, count, db_error, insert, node, once, try_run};
use crate::common::{Node, until};
use crate::raw::Client;

async fn refusal(node: &Node, text: &str) -> String {
    match try_run(node, text).await {
        Err(error) => error.to_string(),
        Ok(()) => panic!("{text}: not refused"),
    }
}

#[tokio::test]
async fn an_inserted_row_is_a_fault_until_it_is_deleted() {
    let node = node().await;
    node.run(
        "INSERT INTO devdb.faults (name, action, error, table_name, operation, times) \
         VALUES ('f', 'fail_after', 'write_timeout', 't', 'write', 2)",
    )
    .await;
    let error = db_error(insert(&node, 1).await.unwrap_err());
    assert!(matches!(error, DbError::WriteTimeout { .. }), "{error:?}");
    assert_eq!(count(&node, "t").await, 1);
    let shown = "SELECT action, write_type, operation, skip, times, seen, hits FROM devdb.faults \
                 WHERE name = 'f'";
    type Shown = (String, String, String, i64, i64, i64, i64);
    let row = |seen| {
        let [action, write_type, operation] = ["fail_after", "SIMPLE", "write"].map(str::to_owned);
        (action, write_type, operation, 0, 2, seen, seen)
    };
    assert_eq!(node.rows::<Shown>(shown, ()).await, [row(1)]);
    insert(&node, 1).await.unwrap_err();
    assert_eq!(node.rows::<Shown>(shown, ()).await, [row(2)]);
    insert(&node, 1).await.unwrap();
    node.run("DELETE FROM devdb.faults WHERE name = 'f'").await;
    assert_eq!(count(&node, "devdb.faults").await, 0);
    assert!(node.devdb.faults().is_empty());
}

#[tokio::test]
async fn faults_are_listed_whoever_asked_for_them() {
    let node = node().await;
    let faults = node.devdb.faults();
    let read = Fault::new(FaultAction::FailBefore(errors::read_timeout()));
    let handle = faults.add(read.operation(Operation::Read).probability(0.5));
    let prepared = node.session.prepare("INSERT INTO devdb.faults (name, action) VALUES (?, ?)");
    let prepared = prepared.await.unwrap();
    node.session.execute_unpaged(&prepared, ("mine", "drop_before")).await.unwrap();
    let mut rows = node
        .rows::<(String, String, Option<String>)>(
            "SELECT name, action, error FROM devdb.faults",
            (),
        )
        .await;
    rows.sort();
    let row = |name: &str, action: &str, error: Option<&str>| {
        (name.to_owned(), action.to_owned(), error.map(str::to_owned))
    };
    let expected =
        [row(handle.name(), "fail_before", Some("read_timeout")), row("mine", "drop_before", None)];
    assert_eq!(rows, expected);
    node.run("TRUNCATE devdb.faults").await;
    assert_eq!(count(&node, "devdb.faults").await, 0);
    insert(&node, 1).await.unwrap();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_the_reason() {
    let node = node().await;
    for (text, reason) in [
        (
            "INSERT INTO devdb.faults (name, action) VALUES ('f', 'explode')",
            "Invalid fault 'f': action 'explode' is none of delay, ",
        ),
        ("INSERT INTO devdb.faults (name) VALUES ('f')", "Invalid fault 'f': action is needed"),
        (
            "INSERT INTO devdb.faults (name, action) VALUES ('f', 'delay')",
            "Invalid fault 'f': its action needs delay_ms",
        ),
        (
            "INSERT INTO devdb.faults (name, action, rows) VALUES ('f', 'drop_after', 1)",
            "Invalid fault 'f': rows does not belong to action 'drop_after'",
        ),
        (
            "INSERT INTO devdb.faults (name, action, colour) VALUES ('f', 'drop_after', 'red')",
            "colour",
        ),
        (
            "INSERT INTO devdb.faults (name, action) VALUES ('f', 'drop_after') USING TTL 5",
            "devdb.faults does not take TTL",
        ),
        (
            "INSERT INTO devdb.faults (name, action) VALUES ('f', 'drop_after') IF NOT EXISTS",
            "devdb.faults does not take conditions",
        ),
        ("UPDATE devdb.faults SET times = 1 WHERE name = 'f'", "does not take UPDATE"),
        ("DELETE action FROM devdb.faults WHERE name = 'f'", "does not take DELETE of single"),
        (
            "BEGIN BATCH DELETE FROM devdb.faults WHERE name = 'f'; APPLY BATCH",
            "Tables of devdb cannot be written in a batch",
        ),
        ("DROP TABLE devdb.faults", "devdb keyspace is not user-modifiable"),
        ("INSERT INTO devdb.control (command) VALUES ('dance')", "it is none of clock_offset"),
        ("INSERT INTO devdb.control (command) VALUES ('clock_offset')", "it needs milliseconds"),
        (
            "INSERT INTO devdb.control (command, milliseconds) VALUES ('new_generation', -1)",
            "milliseconds is negative",
        ),
        (
            "INSERT INTO devdb.control (command, tablets) VALUES ('new_generation', 1)",
            "it takes no tablets",
        ),
        (
            "INSERT INTO devdb.control (command, done) VALUES ('restart', 1)",
            "done is shown by the node",
        ),
        (
            "INSERT INTO devdb.control (command, table_name) VALUES ('new_tablet_generation', 't')",
            "it needs table_name, as keyspace.table",
        ),
        (
            "INSERT INTO devdb.control (command, table_name, tablets) \
             VALUES ('new_tablet_generation', 'ks.t', 2)",
            "Table ks.t has no CDC log",
        ),
        ("DELETE FROM devdb.control WHERE command = 'clock_offset'", "does not take DELETE"),
        ("TRUNCATE devdb.control", "does not take TRUNCATE"),
    ] {
        let refused = refusal(&node, text).await;
        assert!(refused.contains(reason), "{text}: {refused}");
    }
    assert!(node.devdb.faults().is_empty());
}

#[tokio::test]
async fn commands_are_done_and_counted() {
    let node = node().await;
    node.run("INSERT INTO devdb.control (command, milliseconds) VALUES ('clock_offset', -5000)")
        .await;
    node.run("INSERT INTO devdb.control (command) VALUES ('new_generation')").await;
    node.run("INSERT INTO devdb.control (command) VALUES ('forget_prepared')").await;
    assert_eq!(node.devdb.engine().clock().offset_micros(), -5_000_000);
    assert_eq!(count(&node, "system_distributed.cdc_generation_timestamps").await, 2);
    let mut rows = node
        .rows::<(String, Option<i64>, i64)>(
            "SELECT command, milliseconds, done FROM devdb.control",
            (),
        )
        .await;
    rows.sort();
    let row = |command: &str, milliseconds, done| (command.to_owned(), milliseconds, done);
    let expected = [
        row("clock_offset", Some(-5000), 1),
        row("forget_prepared", None, 1),
        row("new_generation", None, 1),
        row("new_tablet_generation", None, 0),
        row("restart", None, 0),
    ];
    assert_eq!(rows, expected);
    node.run("INSERT INTO devdb.control (command, milliseconds) VALUES ('clock_offset', 0)").await;
    assert_eq!(node.devdb.engine().clock().offset_micros(), 0);
}

#[tokio::test]
async fn a_fault_that_hits_everything_can_be_removed() {
    let node = node().await;
    node.run("INSERT INTO devdb.faults (name, action) VALUES ('all', 'drop_before')").await;
    insert(&node, 1).await.unwrap_err();
    let delete = "DELETE FROM devdb.faults WHERE name = 'all'";
    until("connected again", || async { try_run(&node, delete).await.is_ok() }).await;
    until("connected again", || async { insert(&node, 1).await.is_ok() }).await;
}

#[tokio::test]
async fn a_restart_closes_connections_and_keeps_the_data() {
    let node = node().await;
    insert(&node, 1).await.unwrap();
    let prepared = node.session.prepare("SELECT v FROM t WHERE p = 1").await.unwrap();
    let mut other = Client::started(&node.devdb).await;
    let restart = "INSERT INTO devdb.control (command, milliseconds) VALUES ('restart', 300)";
    let asked = Instant::now();
    // The answer to it arrives.
    node.run(restart).await;
    assert!(other.receive().await.is_none());
    until("it listens again", || async { TcpStream::connect(node.devdb.addr()).await.is_ok() })
        .await;
    assert!(asked.elapsed() >= Duration::from_millis(300), "it is away for a while");
    until("connected again", || async { insert(&node, 2).await.is_ok() }).await;
    assert_eq!(count(&node, "t").await, 2);
    // The driver prepares again what the node has forgotten.
    assert!(node.session.execute_unpaged(&prepared, ()).await.unwrap().is_rows());
}

#[tokio::test]
async fn requests_under_way_are_answered_before_a_restart() {
    const ROWS: usize = 60;
    let node = node().await;
    node.run("CREATE TABLE large (p int, c int, v text, PRIMARY KEY (p, c))").await;
    let value = "x".repeat(100_000);
    for c in 0..ROWS {
        node.run(&format!("INSERT INTO large (p, c, v) VALUES (1, {c}, '{value}')")).await;
    }
    let mut client = Client::started(&node.devdb).await;
    // More than sockets hold: the node has the most of it when the next request comes.
    client.query(1, "SELECT v FROM ks.large WHERE p = 1").await;
    let mut other = Client::started(&node.devdb).await;
    client.query(2, "INSERT INTO devdb.control (command) VALUES ('restart')").await;
    assert!(other.receive().await.is_none());
    let mut answers = [client.receive().await.unwrap(), client.receive().await.unwrap()];
    answers.sort_by_key(|answer| answer.stream);
    assert!(answers[0].body.len() > ROWS * value.len());
    assert_eq!(answers.map(|answer| answer.opcode), [8, 8]);
    assert!(client.receive().await.is_none());
}

#[tokio::test]
async fn a_restart_does_not_wait_for_requests_that_a_fault_holds_up() {
    let node = node().await;
    let (before, after) = (FaultAction::Delay(NEVER), FaultAction::DelayAnswer(NEVER));
    let before = node.devdb.faults().add(once("VALUES (1, 0)", before));
    let after = node.devdb.faults().add(once("VALUES (2, 0)", after));
    let restart = async {
        until("both are held up", || async { before.hits() + after.hits() == 2 }).await;
        let asked = Instant::now();
        node.run("INSERT INTO devdb.control (command) VALUES ('restart')").await;
        asked
    };
    let (first, second, asked) = tokio::join!(insert(&node, 1), insert(&node, 2), restart);
    // As long as it waits for a client that does not read.
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    first.unwrap_err();
    second.unwrap_err();
    until("connected again", || async { insert(&node, 3).await.is_ok() }).await;
}

#[tokio::test]
async fn tablets_are_split_by_command() {
    let node = node().await;
    node.run(
        "CREATE KEYSPACE tabs WITH replication = {'class': 'NetworkTopologyStrategy', \
         'replication_factor': 1} AND tablets = {'enabled': true, 'initial': 2}",
    )
    .await;
    node.run("CREATE TABLE tabs.t (p int PRIMARY KEY) WITH cdc = {'enabled': true}").await;
    let generations = || async { count(&node, "system.cdc_timestamps").await };
    assert_eq!(generations().await, 1);
    node.run(
        "INSERT INTO devdb.control (command, table_name, tablets, milliseconds) \
         VALUES ('new_tablet_generation', 'tabs.t', 8, 50)",
    )
    .await;
    assert_eq!(generations().await, 2);
}
