//! `scylla-cdc` reads what was written, in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use scylla::value::CqlValue;
use scylla_cdc::consumer::{CDCRow, Consumer, ConsumerFactory, OperationType};
use scylla_cdc::log_reader::CDCLogReaderBuilder;

use crate::common::{Node, start, until};

/// What was received, by partition, in order of arrival.
type Received = Arc<Mutex<BTreeMap<i32, Vec<i32>>>>;

struct Collector(Received);

#[async_trait::async_trait]
impl Consumer for Collector {
    async fn consume_cdc(&mut self, row: CDCRow<'_>) -> anyhow::Result<()> {
        assert_eq!(row.operation, OperationType::RowInsert);
        let number = |name| match row.get_value(name) {
            Some(CqlValue::Int(n)) => *n,
            other => panic!("{name}: {other:?}"),
        };
        self.0.lock().entry(number("p")).or_default().push(number("c"));
        Ok(())
    }
}

struct Factory(Received);

#[async_trait::async_trait]
impl ConsumerFactory for Factory {
    async fn new_consumer(&self) -> Box<dyn Consumer> {
        Box::new(Collector(self.0.clone()))
    }
}

pub async fn write(node: &Node, rounds: std::ops::Range<i32>) {
    let insert = node.session.prepare("INSERT INTO t (p, c, v) VALUES (?, ?, 'x')").await.unwrap();
    for c in rounds {
        for p in 0..20 {
            node.session.execute_unpaged(&insert, (p, c)).await.unwrap();
        }
    }
}

pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A reader from `since` on gets 50 rows of each of 20 partitions of `t`, in order.
pub async fn read_all(node: &Node, since: Duration, writes: impl AsyncFnOnce()) {
    let received = Received::default();
    let (mut reader, handle) = CDCLogReaderBuilder::new()
        .session(node.session.clone())
        .keyspace("ks")
        .table_name("t")
        .start_timestamp(since)
        .safety_interval(Duration::from_secs(1))
        .sleep_interval(Duration::from_millis(50))
        .window_size(Duration::from_secs(5))
        .consumer_factory(Arc::new(Factory(received.clone())))
        .build()
        .await
        .unwrap();
    let running = tokio::spawn(handle);
    writes().await;
    until("every row is received", || async {
        let count: usize = received.lock().values().map(Vec::len).sum();
        count >= 1000 || running.is_finished()
    })
    .await;
    reader.stop();
    running.await.unwrap().unwrap();
    let received = received.lock().clone();
    assert_eq!(received.len(), 20);
    for (p, rows) in received {
        assert_eq!(rows, (0..50).collect::<Vec<_>>(), "partition {p}");
    }
}

#[tokio::test]
async fn a_reader_receives_every_row_in_order() {
    let node = start().await;
    node.run(
        "CREATE TABLE t (p int, c int, v text, PRIMARY KEY (p, c)) WITH cdc = {'enabled': true}",
    )
    .await;
    read_all(&node, now(), async || write(&node, 0..50).await).await;
}
