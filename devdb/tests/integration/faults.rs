//! Faults reach the client as the failures that they stand for.

use std::time::{Duration, Instant};

use messina_devdb::error::{CqlError, ErrorKind};
use messina_devdb::faults::{Fault, FaultAction};
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::batch::Batch;
use scylla::statement::unprepared::Statement;

use crate::common::{Node, start};

async fn node() -> Node {
    let node = start().await;
    node.run("CREATE TABLE t (p int PRIMARY KEY, v int)").await;
    node
}

fn fault(text: &str, action: FaultAction) -> Fault {
    Fault { statement_contains: text.into(), skip: 0, times: 1, action }
}

fn timeout() -> CqlError {
    let kind = ErrorKind::WriteTimeout { write_type: "SIMPLE" };
    CqlError { kind, message: "as the test wants it".into() }
}

/// Without retries of the driver's own.
async fn insert(node: &Node, p: i32) -> Result<(), ExecutionError> {
    let mut statement = Statement::new("INSERT INTO t (p, v) VALUES (?, 0)");
    statement.set_retry_policy(Some(std::sync::Arc::new(FallthroughRetryPolicy::new())));
    node.session.query_unpaged(statement, (p,)).await.map(|_| ())
}

async fn count(node: &Node) -> i64 {
    node.rows::<(i64,)>("SELECT count(*) FROM t", ()).await[0].0
}

#[tokio::test]
async fn a_failure_before_leaves_nothing_and_one_after_leaves_the_write() {
    let node = node().await;
    node.devdb.faults().add(fault("INSERT INTO t", FaultAction::FailBefore(timeout())));
    let error = insert(&node, 1).await.unwrap_err();
    assert!(
        matches!(
            error,
            ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                DbError::WriteTimeout { .. },
                _
            ))
        ),
        "{error:?}"
    );
    assert_eq!(count(&node).await, 0);
    node.devdb.faults().add(fault("INSERT INTO t", FaultAction::FailAfter(timeout())));
    insert(&node, 2).await.unwrap_err();
    assert_eq!(count(&node).await, 1);
    insert(&node, 3).await.unwrap();
    assert_eq!(count(&node).await, 2);
}

#[tokio::test]
async fn a_dropped_connection_is_an_error_and_the_driver_comes_back() {
    let node = node().await;
    node.devdb.faults().add(fault("INSERT INTO t", FaultAction::DropAfter));
    insert(&node, 1).await.unwrap_err();
    for _ in 0..500 {
        if insert(&node, 2).await.is_ok() {
            assert_eq!(count(&node).await, 2);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the driver did not connect again");
}

#[tokio::test]
async fn a_delay_holds_up_its_request_and_no_other() {
    let node = node().await;
    let delay = Duration::from_millis(700);
    node.devdb.faults().add(fault("UPDATE t", FaultAction::Delay(delay)));
    let started = Instant::now();
    let session = node.session.clone();
    let slow = tokio::spawn(async move {
        session.query_unpaged("UPDATE t SET v = 1 WHERE p = 1", ()).await.map(|_| ())
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    insert(&node, 2).await.unwrap();
    assert!(started.elapsed() < delay, "{:?}", started.elapsed());
    slow.await.unwrap().unwrap();
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn prepared_statements_and_batches_match_by_their_texts() {
    let node = node().await;
    let prepared = node.session.prepare("UPDATE t SET v = ? WHERE p = ?").await.unwrap();
    let mut batch = Batch::default();
    batch.append_statement(prepared.clone());
    node.devdb.faults().add(Fault {
        statement_contains: "BATCH UPDATE t".into(),
        skip: 1,
        times: 1,
        action: FaultAction::FailBefore(CqlError::invalid("hit")),
    });
    node.session.execute_unpaged(&prepared, (1, 1)).await.unwrap();
    node.session.batch(&batch, ((1, 1),)).await.unwrap();
    let error = node.session.batch(&batch, ((1, 1),)).await.unwrap_err();
    assert!(error.to_string().contains("hit"), "{error}");
    node.session.batch(&batch, ((1, 1),)).await.unwrap();
}
