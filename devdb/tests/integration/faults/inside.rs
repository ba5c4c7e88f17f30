//! Writes that are applied in part, log rows that are late, pages that are short.

use std::time::Duration;

use messina_devdb::error::CqlError;
use messina_devdb::faults::{BatchPart, Fault, FaultAction, Operation, errors};
use scylla::errors::DbError;
use scylla::response::PagingState;
use scylla::statement::unprepared::Statement;

use super::{NEVER, count, db_error, node, once, try_run};
use crate::common::{Node, start, until};

const SOON: Duration = Duration::from_millis(50);

const BATCH: &str = "BEGIN BATCH \
    INSERT INTO a (p, v) VALUES (1, 1); \
    INSERT INTO b (p, v) VALUES (1, 1); \
    APPLY BATCH";

async fn with_logs() -> Node {
    let node = start().await;
    for table in ["a", "b"] {
        node.run(&format!(
            "CREATE TABLE {table} (p int PRIMARY KEY, v int) WITH cdc = {{'enabled': true}}"
        ))
        .await;
    }
    node
}

async fn counts(node: &Node) -> [i64; 4] {
    [
        count(node, "a").await,
        count(node, "a_scylla_cdc_log").await,
        count(node, "b").await,
        count(node, "b_scylla_cdc_log").await,
    ]
}

fn half(part: BatchPart, rest_after: Duration, error: Option<CqlError>) -> Fault {
    Fault::new(FaultAction::HalfBatch { part, rest_after, error }).operation(Operation::Batch)
}

#[tokio::test]
async fn half_a_batch_is_applied_and_the_batchlog_brings_the_rest() {
    for (part, at_first) in [(BatchPart::First, [1, 1, 0, 0]), (BatchPart::Last, [0, 0, 1, 1])] {
        let applied = async |rest_after| {
            let node = with_logs().await;
            let error = Some(errors::write_timeout("BATCH"));
            node.devdb.faults().add(half(part, rest_after, error).times(1));
            let error = db_error(try_run(&node, BATCH).await.unwrap_err());
            assert!(matches!(error, DbError::WriteTimeout { .. }), "{error:?}");
            node
        };
        assert_eq!(counts(&applied(NEVER).await).await, at_first);
        let node = applied(SOON).await;
        until("the rest is there", || async { counts(&node).await == [1, 1, 1, 1] }).await;
        let times = "SELECT writetime(v) FROM a; SELECT writetime(v) FROM b";
        let mut written = Vec::new();
        for text in times.split("; ") {
            written.push(node.rows::<(i64,)>(text, ()).await);
        }
        assert_eq!(written[0], written[1], "one write, one time");
    }
}

#[tokio::test]
async fn a_batch_without_an_error_is_answered_when_it_is_whole() {
    let node = with_logs().await;
    node.devdb.faults().add(half(BatchPart::First, NEVER, None).table("a"));
    tokio::select! {
        answer = try_run(&node, BATCH) => panic!("answered by half: {answer:?}"),
        () = until("one half is seen", || async { counts(&node).await == [1, 1, 0, 0] }) => {}
    }
    let node = with_logs().await;
    node.devdb.faults().add(half(BatchPart::First, SOON, None).table("a"));
    try_run(&node, BATCH).await.unwrap();
    assert_eq!(counts(&node).await, [1, 1, 1, 1]);
}

#[tokio::test]
async fn a_batch_that_is_refused_has_no_half() {
    let node = with_logs().await;
    let error = Some(errors::write_timeout("BATCH"));
    node.devdb.faults().add(half(BatchPart::First, NEVER, error));
    let invalid = BATCH.replace("BATCH INSERT", "BATCH USING TIMESTAMP 1 INSERT");
    let error = db_error(try_run(&node, &invalid).await.unwrap_err());
    assert!(matches!(error, DbError::Invalid), "{error:?}");
    assert_eq!(counts(&node).await, [0; 4]);
}

#[tokio::test]
async fn log_rows_are_late_or_come_twice() {
    let node = with_logs().await;
    let faults = node.devdb.faults();
    let late = |time: Duration| {
        let late = Fault::new(FaultAction::LateLog(time)).times(1);
        faults.add(late.clone().operation(Operation::Write).table("a"));
        faults.add(late.operation(Operation::Lwt).table("b"));
    };
    let write = async |p: i32| {
        node.run(&format!("INSERT INTO a (p, v) VALUES ({p}, 1)")).await;
        node.run(&format!("INSERT INTO b (p, v) VALUES ({p}, 1) IF NOT EXISTS")).await;
    };
    late(NEVER);
    write(1).await;
    assert_eq!(counts(&node).await, [1, 0, 1, 0]);
    late(SOON);
    write(3).await;
    until("the log rows are there", || async { counts(&node).await == [2, 1, 2, 1] }).await;

    faults.add(Fault::new(FaultAction::DuplicateLog).table("a"));
    node.run("INSERT INTO a (p, v) VALUES (2, 2)").await;
    type LogRow = (scylla::value::CqlTimeuuid, Option<i32>);
    let text = "SELECT \"cdc$time\", v FROM a_scylla_cdc_log WHERE p = 2 ALLOW FILTERING";
    let rows = node.rows::<LogRow>(text, ()).await;
    assert_eq!(rows.iter().map(|(_, v)| *v).collect::<Vec<_>>(), [Some(2), Some(2)]);
    let micros = |row: &LogRow| row.0.as_ref().get_timestamp().map(|t| t.to_gregorian().0);
    assert_eq!(micros(&rows[0]), micros(&rows[1]));
    assert_ne!(rows[0].0, rows[1].0);
}

/// The sizes of the pages of a query, and its rows.
async fn pages(node: &Node, text: &str) -> (Vec<usize>, Vec<i32>) {
    let statement = Statement::new(text).with_page_size(4);
    let (mut sizes, mut rows) = (Vec::new(), Vec::new());
    let mut state = PagingState::start();
    loop {
        let page = node.session.query_single_page(statement.clone(), (), state).await;
        let (page, next) = page.unwrap();
        let page = page.into_rows_result().unwrap();
        sizes.push(page.rows_num());
        rows.extend(page.rows::<(i32,)>().unwrap().map(|row| row.unwrap().0));
        match next.into_paging_control_flow() {
            std::ops::ControlFlow::Continue(next) => state = next,
            std::ops::ControlFlow::Break(()) => return (sizes, rows),
        }
    }
}

#[tokio::test]
async fn pages_are_short_or_empty_and_no_row_is_lost() {
    let node = node().await;
    node.run("CREATE TABLE many (p int, c int, PRIMARY KEY (p, c))").await;
    for c in 0..11 {
        node.run(&format!("INSERT INTO many (p, c) VALUES (1, {c})")).await;
    }
    let all: Vec<i32> = (0..11).collect();
    let faults = node.devdb.faults();
    for text in ["SELECT c FROM many", "SELECT c FROM many WHERE p = 1 LIMIT 11"] {
        assert_eq!(pages(&node, text).await, (vec![4, 4, 3], all.clone()));
        let short =
            faults.add(Fault::new(FaultAction::ShortPage(1)).table("many").skip(1).times(2));
        assert_eq!(pages(&node, text).await, (vec![4, 1, 1, 4, 1], all.clone()));
        short.remove();
        let empty = faults.add(Fault::new(FaultAction::ShortPage(0)).table("many").every(2));
        assert_eq!(pages(&node, text).await, (vec![0, 4, 0, 4, 0, 3], all.clone()));
        empty.remove();
    }
    // What is not paged is not cut.
    faults.add(Fault::new(FaultAction::ShortPage(1)));
    assert_eq!(node.rows::<(i32,)>("SELECT c FROM many", ()).await.len(), 11);
    assert_eq!(count(&node, "many").await, 11);
    // Nor asks a page for more than the client did.
    faults.clear();
    faults.add(Fault::new(FaultAction::ShortPage(100)));
    assert_eq!(pages(&node, "SELECT c FROM many").await.0, [4, 4, 3]);
}

#[tokio::test]
async fn forgotten_statements_are_prepared_again_by_the_driver() {
    let node = node().await;
    let faults = node.devdb.faults();
    let prepared = node.session.prepare("INSERT INTO t (p, v) VALUES (?, ?)").await.unwrap();
    let pass = FaultAction::Delay(Duration::ZERO);
    let prepares = faults.add(Fault::new(pass).operation(Operation::Prepare));
    let forget = Fault::new(FaultAction::ForgetPrepared).operation(Operation::Write);
    let forget = faults.add(forget.every(5));
    for p in 0..20 {
        node.session.execute_unpaged(&prepared, (p, p)).await.unwrap();
    }
    assert_eq!(count(&node, "t").await, 20);
    assert!(forget.hits() >= 4, "{}", forget.hits());
    assert_eq!(prepares.hits(), forget.hits());
}

#[tokio::test]
async fn a_generation_begins_and_the_clock_goes_wrong_in_the_middle_of_requests() {
    let node = node().await;
    let faults = node.devdb.faults();
    const GENERATIONS: &str = "system_distributed.cdc_generation_timestamps";
    assert_eq!(count(&node, GENERATIONS).await, 1);
    faults.add(once("INSERT INTO t", FaultAction::NewGeneration(Duration::from_secs(1))));
    node.run("INSERT INTO t (p, v) VALUES (1, 1)").await;
    assert_eq!(count(&node, GENERATIONS).await, 2);

    let hour = 3_600_000_000;
    faults.add(once("INSERT INTO t", FaultAction::ClockOffset(-hour)));
    // The text's own timestamp would be the driver's; a conditional write has the node's.
    let write = "INSERT INTO t (p, v) VALUES (2, 2) IF NOT EXISTS";
    node.run(write).await;
    let time = node.rows::<(i64,)>("SELECT writetime(v) FROM t WHERE p = 2", ()).await[0].0;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as i64;
    assert!((now - time - hour).abs() < 60_000_000, "{}", now - time);
}
