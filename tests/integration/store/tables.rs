//! What both tables hold, compared.

use std::collections::BTreeMap;

use messina::{AggregateId, CommitId};
use uuid::Uuid;

use crate::support::TestDb;

/// A row of either table: its commit, its type, its content.
pub type Row = (Uuid, String, String);

/// `event_store` and `outbox_messages` of an aggregate, by sequence number.
pub async fn both(db: &TestDb, id: AggregateId) -> (BTreeMap<i64, Row>, BTreeMap<i64, Row>) {
    (
        read(db, id, "event_store", "event_data").await,
        read(db, id, "outbox_messages", "payload").await,
    )
}

async fn read(db: &TestDb, id: AggregateId, table: &str, content: &str) -> BTreeMap<i64, Row> {
    let cql = format!(
        "SELECT sequence_number, commit_id, event_type, {content} FROM {}.{table} \
         WHERE aggregate_id = ?",
        db.keyspace
    );
    let rows = db.query_unpaged(cql, (id.0,)).await.unwrap().into_rows_result().unwrap();
    rows.rows::<(i64, Uuid, String, String)>()
        .unwrap()
        .map(|row| {
            let (number, commit, event_type, content) = row.unwrap();
            (number, (commit, event_type, content))
        })
        .collect()
}

/// Checks that both tables hold the same events, numbered 1, 2, 3, …, and that each of
/// these commits is among them, whole: it has as many events as told.
#[track_caller]
pub fn assert_sound(
    (events, outbox): &(BTreeMap<i64, Row>, BTreeMap<i64, Row>),
    acknowledged: &[(CommitId, usize)],
) {
    assert_eq!(events, outbox, "the tables differ");
    let numbers: Vec<i64> = events.keys().copied().collect();
    assert_eq!(numbers, (1..=events.len() as i64).collect::<Vec<_>>(), "numbers have gaps");
    for (commit, expected) in acknowledged {
        let found = events.values().filter(|(id, _, _)| *id == commit.0).count();
        assert_eq!(found, *expected, "events of the acknowledged commit {commit}");
    }
}
