//! Faults reach the client as the failures that they stand for.
mod by_cql;
mod inside;
mod on_the_way;

use std::sync::Arc;
use std::time::Duration;

use messina_devdb::faults::{Fault, FaultAction};
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::unprepared::Statement;

use crate::common::{Node, start};

/// Not before the test ends, however long that takes.
const NEVER: Duration = Duration::from_secs(3600);

async fn node() -> Node {
    let node = start().await;
    node.run("CREATE TABLE t (p int PRIMARY KEY, v int)").await;
    node
}

/// Hits the next request with this text, once.
fn once(text: &str, action: FaultAction) -> Fault {
    Fault::new(action).statement(text).times(1)
}

/// Without retries of the driver's own.
fn plain(text: &str) -> Statement {
    let mut statement = Statement::new(text);
    statement.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
    statement
}

async fn try_run(node: &Node, text: &str) -> Result<(), ExecutionError> {
    node.session.query_unpaged(plain(text), ()).await.map(|_| ())
}

async fn insert(node: &Node, p: i32) -> Result<(), ExecutionError> {
    try_run(node, &format!("INSERT INTO t (p, v) VALUES ({p}, 0)")).await
}

async fn count(node: &Node, table: &str) -> i64 {
    node.rows::<(i64,)>(&format!("SELECT count(*) FROM {table}"), ()).await[0].0
}

/// What the node answered instead.
fn db_error(error: ExecutionError) -> DbError {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => error,
        other => panic!("{other:?}"),
    }
}
