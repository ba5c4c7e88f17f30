//! The program killed under load, a hundred times.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tempfile::TempDir;

use crate::common::until;
use crate::process::Program;

const KILLS: i32 = 100;
const WRITERS: i32 = 4;
/// Partitions that a query may ask for at once.
const MAX_KEYS: usize = 100;

const SCHEMA: [&str; 4] = [
    "CREATE KEYSPACE ks WITH replication = \
     {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    "CREATE TABLE ks.one (round int, n int, v text, PRIMARY KEY (round, n))",
    "CREATE TABLE ks.other (n int, round int, v text, PRIMARY KEY (n, round)) \
     WITH cdc = {'enabled': true}",
    "CREATE TABLE ks.heads (id int PRIMARY KEY, n int)",
];

/// What a round tried, and what of it was acknowledged.
#[derive(Default)]
struct Round {
    next: AtomicI32,
    acknowledged: Mutex<BTreeSet<i32>>,
    /// Of each writer: the last conditional update acknowledged, and the last one tried.
    heads: Mutex<[(i32, i32); WRITERS as usize]>,
}

#[derive(Clone)]
struct Statements {
    batch: Arc<Batch>,
    head: PreparedStatement,
}

impl Statements {
    async fn prepare(session: &Session) -> Self {
        let mut batch = Batch::new(BatchType::Logged);
        for text in [
            "INSERT INTO ks.one (round, n, v) VALUES (?, ?, 'a value of some length')",
            "INSERT INTO ks.other (round, n, v) VALUES (?, ?, 'a value of some length')",
        ] {
            batch.append_statement(session.prepare(text).await.unwrap());
        }
        let head =
            session.prepare("UPDATE ks.heads SET n = ? WHERE id = ? IF n = ?").await.unwrap();
        Self { batch: Arc::new(batch), head }
    }
}

/// Batches over two partitions, each followed by a conditional update, until the node is gone.
async fn load(
    session: Arc<Session>,
    statements: Statements,
    number: i32,
    writer: i32,
    round: Arc<Round>,
) {
    loop {
        let n = round.next.fetch_add(1, Ordering::Relaxed);
        if session.batch(&statements.batch, ((number, n), (number, n))).await.is_err() {
            return;
        }
        round.acknowledged.lock().insert(n);
        let (_, last) = round.heads.lock()[writer as usize];
        round.heads.lock()[writer as usize].1 = last + 1;
        let values = (last + 1, writer, last);
        let Ok(result) = session.execute_unpaged(&statements.head, values).await else { return };
        let applied = result.into_rows_result().unwrap();
        let (applied, _) = applied.first_row::<(bool, Option<i32>)>().unwrap();
        assert!(applied, "writer {writer} is the only one of its head");
        round.heads.lock()[writer as usize].0 = last + 1;
    }
}

async fn rows<R>(session: &Session, text: &str) -> Vec<R>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let result = session.query_unpaged(text, ()).await.unwrap().into_rows_result().unwrap();
    result.rows::<R>().unwrap().map(|row| row.unwrap()).collect()
}

/// Nothing acknowledged is lost, and what is there of a batch is all of it.
async fn check(session: &Session, number: i32, round: &Round) {
    let one: BTreeSet<i32> =
        rows::<(i32,)>(session, &format!("SELECT n FROM ks.one WHERE round = {number}"))
            .await
            .into_iter()
            .map(|(n,)| n)
            .collect();
    let acknowledged = round.acknowledged.lock().clone();
    let lost: Vec<_> = acknowledged.difference(&one).collect();
    assert!(lost.is_empty(), "round {number} lost {lost:?}");
    let tried: Vec<String> =
        (0..round.next.load(Ordering::Relaxed)).map(|n| n.to_string()).collect();
    let mut other = BTreeSet::new();
    for some in tried.chunks(MAX_KEYS) {
        let text =
            format!("SELECT n FROM ks.other WHERE n IN ({}) AND round = {number}", some.join(", "));
        other.extend(rows::<(i32,)>(session, &text).await.into_iter().map(|(n,)| n));
    }
    assert_eq!(other, one, "round {number}: half a batch");
    let (last, tried): (Vec<_>, Vec<_>) = round.heads.lock().iter().copied().unzip();
    for (id, n) in rows::<(i32, i32)>(session, "SELECT id, n FROM ks.heads").await {
        let (last, tried) = (last[id as usize], tried[id as usize]);
        assert!((last..=tried).contains(&n), "head {id}: {n} of {last} to {tried}");
        round.heads.lock()[id as usize] = (n, n);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_in_a_hundred_kills_under_load() {
    let directory = TempDir::new().unwrap();
    let mut before: Option<Arc<Round>> = None;
    let mut all = BTreeSet::new();
    for number in 0..KILLS {
        let program = Program::start(directory.path());
        let session = Arc::new(program.connect().await);
        let round = Arc::new(Round::default());
        match &before {
            Some(before) => {
                check(&session, number - 1, before).await;
                *round.heads.lock() = *before.heads.lock();
            }
            None => {
                for text in SCHEMA {
                    session.query_unpaged(text, ()).await.unwrap();
                }
                for id in 0..WRITERS {
                    let text = format!("INSERT INTO ks.heads (id, n) VALUES ({id}, 0)");
                    session.query_unpaged(text, ()).await.unwrap();
                }
            }
        }
        let statements = Statements::prepare(&session).await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (session, statements) = (session.clone(), statements.clone());
                tokio::spawn(load(session, statements, number, writer, round.clone()))
            })
            .collect();
        let time = rand::rng().random_range(1_000..25_000);
        tokio::time::sleep(Duration::from_micros(time)).await;
        until("there is load", || async { !round.acknowledged.lock().is_empty() }).await;
        program.kill();
        for writer in writers {
            writer.await.unwrap();
        }
        all.extend(round.acknowledged.lock().iter().map(|n| (number, *n)));
        before = Some(round);
        if number % 5 == 4 {
            // Once more, while it reads what the last kill left.
            let mut starting =
                Program::command(directory.path()).stdout(Stdio::null()).spawn().unwrap();
            let time = rand::rng().random_range(0..40_000);
            tokio::time::sleep(Duration::from_micros(time)).await;
            starting.kill().unwrap();
            starting.wait().unwrap();
        }
    }
    let program = Program::start(directory.path());
    let session = program.connect().await;
    let found: BTreeSet<_> =
        rows::<(i32, i32)>(&session, "SELECT round, n FROM ks.one").await.into_iter().collect();
    assert!(all.is_subset(&found), "{:?}", all.difference(&found));
    let other: BTreeSet<_> =
        rows::<(i32, i32)>(&session, "SELECT round, n FROM ks.other").await.into_iter().collect();
    assert_eq!(other, found);
    let text = "SELECT round, n FROM ks.other_scylla_cdc_log";
    let logged: BTreeSet<_> = rows::<(i32, i32)>(&session, text).await.into_iter().collect();
    assert_eq!(logged, found, "a batch and its log rows are one");
    assert!(all.len() > KILLS as usize, "{} writes are no load", all.len());
}
