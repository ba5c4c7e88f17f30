//! What has expired is gone, and its memory is the system's again.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use crate::process::Program;

/// Rows of so many bytes: 60 MB, and as much in the log.
const ROWS: i32 = 3000;
const BYTES: usize = 20_000;

#[tokio::test]
async fn the_memory_of_expired_rows_and_log_rows_comes_back() {
    let node = Program::in_memory();
    let session = node.connect().await;
    for text in [
        "CREATE KEYSPACE ks WITH replication = \
         {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
        "CREATE TABLE ks.t (p int PRIMARY KEY, v text) WITH default_time_to_live = 86400 \
         AND gc_grace_seconds = 0 AND cdc = {'enabled': true, 'ttl': 86400}",
        "CREATE TABLE ks.stays (p int PRIMARY KEY, v text)",
    ] {
        session.query_unpaged(text, ()).await.unwrap();
    }
    let before = node.memory();
    let value = "x".repeat(BYTES);
    for table in ["t", "stays"] {
        let insert = format!("INSERT INTO ks.{table} (p, v) VALUES (?, ?)");
        let insert = session.prepare(insert).await.unwrap();
        let rows = if table == "t" { ROWS } else { ROWS / 30 };
        for p in 0..rows {
            session.execute_unpaged(&insert, (p, &value)).await.unwrap();
        }
    }
    let full = node.memory() - before;
    let data = ROWS as usize * BYTES;
    assert!(full > 2 * data && full < 4 * data, "{} MiB", full >> 20);
    // A day and a minute later.
    let day = 86_460_000i64;
    let later = "INSERT INTO devdb.control (command, milliseconds) VALUES ('clock_offset', ?)";
    session.query_unpaged(later, (day,)).await.unwrap();
    let began = Instant::now();
    loop {
        let left = node.memory().saturating_sub(before);
        if left < data / 4 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{} MiB are left", left >> 20);
        // The allocator takes back a thread's memory when that thread next has something to do.
        session.query_unpaged("SELECT p FROM ks.stays WHERE p = 1", ()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let count = async |table: &str| {
        let result = session.query_unpaged(format!("SELECT count(*) FROM ks.{table}"), ()).await;
        result.unwrap().into_rows_result().unwrap().single_row::<(i64,)>().unwrap().0
    };
    assert_eq!(count("t").await, 0);
    assert_eq!(count("t_scylla_cdc_log").await, 0);
    assert_eq!(count("stays").await, i64::from(ROWS / 30));
}
