//! `scylla-cdc` reads on while the streams change: it misses nothing, and each partition's
//! changes come in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use messina_devdb::cdc::GenerationInfo;
use parking_lot::Mutex;
use scylla::value::CqlValue;
use scylla_cdc::consumer::{CDCRow, Consumer, ConsumerFactory};
use scylla_cdc::log_reader::CDCLogReaderBuilder;

use crate::common::{Node, start, until};

const PARTITIONS: i32 = 16;
/// Long enough for a reader to hear of it before.
const DELAY: Duration = Duration::from_millis(600);

/// What was received, by partition, in order of arrival.
type Received = Arc<Mutex<BTreeMap<i32, Vec<i32>>>>;

struct Collector(Received);

#[async_trait::async_trait]
impl Consumer for Collector {
    async fn consume_cdc(&mut self, row: CDCRow<'_>) -> anyhow::Result<()> {
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

fn millis_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A node with a table `t` in keyspaces `ks`, on vnodes, and `tk`, on two tablets.
async fn node() -> Node {
    let node = start().await;
    node.run(
        "CREATE KEYSPACE tk WITH replication = {'class': 'NetworkTopologyStrategy', \
         'replication_factor': 1} AND tablets = {'initial': 2}",
    )
    .await;
    for keyspace in ["ks", "tk"] {
        node.run(&format!(
            "CREATE TABLE {keyspace}.t (p int, c int, v text, PRIMARY KEY (p, c)) \
             WITH cdc = {{'enabled': true}}"
        ))
        .await;
    }
    node
}

/// Writes rounds of one row a partition from `first` on: at least 20, and 5 of them after this
/// time; returns the rounds.
async fn write_until(node: &Node, keyspace: &str, first: i32, until: i64) -> Range<i32> {
    let insert = format!("INSERT INTO {keyspace}.t (p, c, v) VALUES (?, ?, 'x')");
    let insert = node.session.prepare(insert).await.unwrap();
    let (mut round, mut after) = (first, 0);
    while round < first + 20 || after < 5 {
        after += i32::from(millis_now() >= until);
        for p in 0..PARTITIONS {
            node.session.execute_unpaged(&insert, (p, round)).await.unwrap();
        }
        round += 1;
    }
    first..round
}

/// Runs a reader of `keyspace.t` beside the writes, until it has received the rounds that
/// they say there are.
async fn follow(
    node: &Node,
    keyspace: &str,
    since: Duration,
    writes: impl Future<Output = Range<i32>>,
) {
    let received = Received::default();
    let (mut reader, handle) = CDCLogReaderBuilder::new()
        .session(node.session.clone())
        .keyspace(keyspace)
        .table_name("t")
        .start_timestamp(since)
        .safety_interval(Duration::from_secs(1))
        .sleep_interval(Duration::from_millis(40))
        .window_size(Duration::from_secs(5))
        .consumer_factory(Arc::new(Factory(received.clone())))
        .build()
        .await
        .unwrap();
    let running = tokio::spawn(handle);
    let rounds = writes.await;
    let expected = rounds.len() * PARTITIONS as usize;
    until("every row is received", || async {
        let count: usize = received.lock().values().map(Vec::len).sum();
        count >= expected || running.is_finished()
    })
    .await;
    reader.stop();
    running.await.unwrap().unwrap();
    let received = received.lock().clone();
    assert_eq!(received.len(), PARTITIONS as usize);
    let all: Vec<i32> = rounds.collect();
    for (p, rows) in received {
        assert_eq!(rows, all, "partition {p} of {keyspace}");
    }
}

/// Of a generation's streams, those that have log rows.
async fn used(node: &Node, keyspace: &str, generation: &GenerationInfo) -> usize {
    let streams: Vec<(Vec<u8>,)> =
        node.rows(&format!("SELECT \"cdc$stream_id\" FROM {keyspace}.t_scylla_cdc_log"), ()).await;
    let streams: BTreeSet<Vec<u8>> = streams.into_iter().map(|(stream,)| stream).collect();
    generation
        .streams
        .iter()
        .flat_map(|(_, streams)| streams)
        .filter(|stream| streams.contains(&stream[..]))
        .count()
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

#[tokio::test]
async fn a_reader_crosses_a_generation_of_vnodes_under_writes() {
    let node = node().await;
    follow(&node, "ks", now(), async {
        let generation = node.devdb.new_cdc_generation(DELAY).unwrap();
        let rounds = write_until(&node, "ks", 0, generation.time + 100).await;
        assert!(used(&node, "ks", &generation).await > 1);
        rounds
    })
    .await;
}

#[tokio::test]
async fn a_reader_crosses_splits_and_merges_of_tablets_under_writes() {
    let node = node().await;
    follow(&node, "tk", now(), async {
        let mut end = 0;
        for tablets in [8, 1] {
            let generation = node.devdb.new_tablet_generation("tk", "t", tablets, DELAY).unwrap();
            end = write_until(&node, "tk", end, generation.time + 100).await.end;
            assert!(used(&node, "tk", &generation).await >= tablets.min(2));
        }
        0..end
    })
    .await;
}

#[tokio::test]
async fn a_reader_of_the_past_goes_through_all_generations() {
    let node = node().await;
    let began = now();
    let mut end = 0;
    for tablets in [4, 16] {
        end = write_until(&node, "tk", end, 0).await.end;
        let generation =
            node.devdb.new_tablet_generation("tk", "t", tablets, Duration::ZERO).unwrap();
        // From then on the node's own timestamps are of the new generation.
        end = write_until(&node, "tk", end, generation.time + 1).await.end;
    }
    follow(&node, "tk", began, async { 0..end }).await;
}

#[tokio::test]
async fn tables_on_vnodes_do_not_notice_those_on_tablets() {
    let node = node().await;
    follow(&node, "ks", now(), async {
        node.devdb.new_tablet_generation("tk", "t", 8, Duration::ZERO).unwrap();
        write_until(&node, "ks", 0, 0).await
    })
    .await;
    let logged: Vec<(i64,)> = node.rows("SELECT count(*) FROM tk.t_scylla_cdc_log", ()).await;
    assert_eq!(logged, [(0,)]);
}
