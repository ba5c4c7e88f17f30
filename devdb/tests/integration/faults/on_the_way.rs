//! Requests that are late, refused, or lose their answer.

use std::time::{Duration, Instant};

use messina_devdb::error::CqlError;
use messina_devdb::faults::{Fault, FaultAction, Operation, errors};
use scylla::errors::DbError;
use scylla::statement::batch::Batch;

use super::{NEVER, count, db_error, insert, node, once, try_run};
use crate::common::until;

#[tokio::test]
async fn a_failure_before_leaves_nothing_and_one_after_leaves_the_write() {
    let node = node().await;
    let faults = node.devdb.faults();
    let timeout = || errors::write_timeout("SIMPLE");
    faults.add(once("INSERT INTO t", FaultAction::FailBefore(timeout())));
    let error = db_error(insert(&node, 1).await.unwrap_err());
    assert!(matches!(error, DbError::WriteTimeout { .. }), "{error:?}");
    assert_eq!(count(&node, "t").await, 0);
    faults.add(once("INSERT INTO t", FaultAction::FailAfter(timeout())));
    insert(&node, 2).await.unwrap_err();
    assert_eq!(count(&node, "t").await, 1);
    insert(&node, 3).await.unwrap();
    assert_eq!(count(&node, "t").await, 2);
}

#[tokio::test]
async fn the_errors_of_a_cluster_in_trouble_arrive_as_what_they_are() {
    let node = node().await;
    let faults = node.devdb.faults();
    let mut seen = Vec::new();
    for error in [errors::overloaded(), errors::unavailable(), errors::read_timeout()] {
        let read = Fault::new(FaultAction::FailBefore(error)).operation(Operation::Read);
        let fault = faults.add(read.table("t").times(1));
        seen.push(db_error(try_run(&node, "SELECT * FROM t").await.unwrap_err()));
        assert_eq!((fault.seen(), fault.hits()), (1, 1));
    }
    assert!(
        matches!(
            seen[..],
            [DbError::Overloaded, DbError::Unavailable { .. }, DbError::ReadTimeout { .. }]
        ),
        "{seen:?}"
    );
    try_run(&node, "SELECT * FROM t").await.unwrap();
}

#[tokio::test]
async fn a_dropped_connection_is_an_error_and_the_driver_comes_back() {
    for (action, applied) in [(FaultAction::DropBefore, 0), (FaultAction::DropAfter, 1)] {
        let node = node().await;
        node.devdb.faults().add(once("INSERT INTO t", action));
        insert(&node, 1).await.unwrap_err();
        until("connected again", || async { insert(&node, 2).await.is_ok() }).await;
        assert_eq!(count(&node, "t").await, 1 + applied);
    }
}

#[tokio::test]
async fn a_delay_holds_up_its_request_and_no_other() {
    let node = node().await;
    let late = node.devdb.faults().add(once("INSERT INTO t", FaultAction::Delay(NEVER)));
    let meanwhile = async {
        until("the fault is met", || async { late.hits() == 1 }).await;
        assert_eq!(count(&node, "t").await, 0);
    };
    tokio::select! {
        answer = insert(&node, 1) => panic!("not held up: {answer:?}"),
        () = meanwhile => {}
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_late_is_seen_before() {
    let node = node().await;
    node.devdb.faults().add(once("INSERT INTO t", FaultAction::DelayAnswer(NEVER)));
    tokio::select! {
        answer = insert(&node, 1) => panic!("not held up: {answer:?}"),
        () = until("the write is seen", || async { count(&node, "t").await == 1 }) => {}
    }
}

#[tokio::test]
async fn what_is_delayed_is_answered_when_its_time_has_come() {
    let node = node().await;
    let delay = Duration::from_millis(200);
    for (p, action) in [(1, FaultAction::Delay(delay)), (2, FaultAction::DelayAnswer(delay))] {
        node.devdb.faults().add(once("INSERT INTO t", action));
        let started = Instant::now();
        insert(&node, p).await.unwrap();
        assert!(started.elapsed() >= delay);
    }
    assert_eq!(count(&node, "t").await, 2);
}

#[tokio::test]
async fn faults_choose_by_kind_of_request_and_table() {
    let node = node().await;
    node.run("CREATE TABLE other (p int PRIMARY KEY, v int)").await;
    let faults = node.devdb.faults();
    let refuse = |what: &str| Fault::new(FaultAction::FailBefore(CqlError::invalid(what)));
    faults.add(refuse("read").operation(Operation::Read).table("t"));
    faults.add(refuse("write").operation(Operation::Write).table("ks.t"));
    faults.add(refuse("lwt").operation(Operation::Lwt).table("t"));
    faults.add(refuse("batch").operation(Operation::Batch).table("t"));
    faults.add(refuse("prepare").operation(Operation::Prepare).table("t"));
    faults.add(refuse("schema").operation(Operation::Schema).statement("ALTER"));
    for (text, refusal) in [
        ("SELECT * FROM t", "read"),
        ("DELETE FROM t WHERE p = 1", "write"),
        ("TRUNCATE t", "write"),
        ("INSERT INTO t (p, v) VALUES (1, 1) IF NOT EXISTS", "lwt"),
        ("BEGIN BATCH UPDATE t SET v = 1 WHERE p = 1; APPLY BATCH", "batch"),
        (
            "BEGIN BATCH UPDATE other SET v = 1 WHERE p = 1; UPDATE t SET v = 1 WHERE p = 1; \
             APPLY BATCH",
            "batch",
        ),
        ("BEGIN BATCH UPDATE t SET v = 1 WHERE p = 1 IF EXISTS; APPLY BATCH", "lwt"),
        ("ALTER TABLE other ADD w int", "schema"),
    ] {
        let error = try_run(&node, text).await.unwrap_err().to_string();
        assert!(error.contains(refusal), "{text}: {error}");
        let elsewhere = text.replace(" t ", " other ").replace(" t", " other");
        if !elsewhere.starts_with("ALTER") {
            try_run(&node, &elsewhere).await.unwrap_or_else(|e| panic!("{elsewhere}: {e}"));
        }
    }
    let error = node.session.prepare("SELECT v FROM t").await.unwrap_err().to_string();
    assert!(error.contains("prepare"), "{error}");
    node.session.prepare("SELECT v FROM other").await.unwrap();
}

#[tokio::test]
async fn prepared_statements_and_batches_match_by_their_texts() {
    let node = node().await;
    let prepared = node.session.prepare("UPDATE t SET v = ? WHERE p = ?").await.unwrap();
    let mut batch = Batch::default();
    batch.append_statement(prepared.clone());
    let refuse = FaultAction::FailBefore(CqlError::invalid("hit"));
    node.devdb.faults().add(Fault::new(refuse).statement("BATCH UPDATE t").nth(2));
    node.session.execute_unpaged(&prepared, (1, 1)).await.unwrap();
    node.session.batch(&batch, ((1, 1),)).await.unwrap();
    let error = node.session.batch(&batch, ((1, 1),)).await.unwrap_err();
    assert!(error.to_string().contains("hit"), "{error}");
    node.session.batch(&batch, ((1, 1),)).await.unwrap();
}

#[tokio::test]
async fn a_fault_by_chance_hits_some() {
    let node = node().await;
    let refuse = Fault::new(FaultAction::FailBefore(errors::overloaded()));
    let fault = node.devdb.faults().add(refuse.table("t").probability(0.3).seed(1));
    let mut refused = 0;
    for p in 0..100 {
        refused += u64::from(insert(&node, p).await.is_err());
    }
    assert_eq!((fault.seen(), fault.hits()), (100, refused));
    assert!((10..60).contains(&refused), "{refused}");
    fault.remove();
    assert_eq!(count(&node, "t").await, 100 - refused.cast_signed());
}

#[tokio::test]
async fn faults_outlive_a_restart() {
    let mut node = node().await;
    node.devdb.faults().add(once("INSERT INTO t", FaultAction::FailBefore(errors::overloaded())));
    node.devdb.restart().await.unwrap();
    until("connected again", || async { try_run(&node, "SELECT * FROM t").await.is_ok() }).await;
    insert(&node, 1).await.unwrap_err();
    insert(&node, 1).await.unwrap();
}
