//! What must be true at the end, whatever went wrong.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt;
use messina::{AggregateId, CommitId};
use scylla::client::session::Session;
use scylla::value::{CqlTimestamp, CqlTimeuuid};
use uuid::Uuid;

use super::journal::{Outcome, Told};

/// Between 1582-10-15, where version 1 uuids count from, and 1970, in 100 ns.
const GREGORIAN_OFFSET: u64 = 0x01B2_1DD2_1381_4000;

/// A row of either table.
#[derive(Debug, PartialEq)]
struct Row {
    event_id: Uuid,
    aggregate_type: String,
    event_type: String,
    event_version: i32,
    content: String,
    metadata: Option<String>,
    commit_id: Uuid,
    committed_at: i64,
    created_at: CqlTimestamp,
}

struct Table {
    rows: BTreeMap<i64, Row>,
    write_times: BTreeMap<i64, i64>,
}

async fn table(session: &Session, name: &str, content: &str, id: AggregateId) -> Table {
    let cql = format!(
        "SELECT sequence_number, event_id, aggregate_type, event_type, event_version, {content}, \
         metadata, commit_id, committed_at, created_at, writetime(event_type) \
         FROM {name} WHERE aggregate_id = ?"
    );
    let result = session.query_unpaged(cql, (id.0,)).await.unwrap().into_rows_result().unwrap();
    type Columns =
        (i64, Uuid, String, String, i32, String, Option<String>, Uuid, i64, CqlTimestamp, i64);
    let mut table = Table { rows: BTreeMap::new(), write_times: BTreeMap::new() };
    for row in result.rows::<Columns>().unwrap() {
        let (
            number,
            event_id,
            aggregate_type,
            event_type,
            event_version,
            content,
            metadata,
            commit_id,
            committed_at,
            created_at,
            write_time,
        ) = row.unwrap();
        table.write_times.insert(number, write_time);
        let row = Row {
            event_id,
            aggregate_type,
            event_type,
            event_version,
            content,
            metadata,
            commit_id,
            committed_at,
            created_at,
        };
        assert!(table.rows.insert(number, row).is_none(), "{number} of {id} is there twice");
    }
    table
}

/// When each event came first in the outbox's log, µs since 1970.
async fn first_times(session: &Session, keyspace: &str) -> HashMap<(Uuid, i64), i64> {
    let cql = format!(
        "SELECT aggregate_id, sequence_number, \"cdc$time\" \
         FROM {keyspace}.outbox_messages_scylla_cdc_log"
    );
    let rows = session.query_iter(cql, ()).await.unwrap();
    let mut rows = rows.rows_stream::<(Uuid, i64, CqlTimeuuid)>().unwrap();
    let mut first = HashMap::new();
    while let Some((id, number, time)) = rows.try_next().await.unwrap() {
        let time: Uuid = time.into();
        let (ticks, _) = time.get_timestamp().unwrap().to_gregorian();
        let micros = (ticks - GREGORIAN_OFFSET) as i64 / 10;
        let known = first.entry((id, number)).or_insert(micros);
        *known = micros.min(*known);
    }
    first
}

/// What the runs came to.
#[derive(Debug, Default)]
pub struct Report {
    pub acknowledged: usize,
    pub refused: usize,
    pub indeterminate: usize,
    pub killed: usize,
    /// Indeterminate commands and killed writers' that were carried out after all.
    pub carried_out: usize,
    pub events: usize,
    /// What the refused were told, by its first word.
    pub reasons: BTreeMap<String, usize>,
}

/// Checks the tables against what writers were told.
pub async fn check(
    session: &Session,
    keyspace: &str,
    accounts: &[AggregateId],
    told: &HashMap<Uuid, Told>,
) -> Report {
    let mut report = Report::default();
    // By command: of which aggregate and commit, at which numbers.
    let mut found: HashMap<Uuid, (AggregateId, Uuid, Vec<i64>)> = HashMap::new();
    let log = first_times(session, keyspace).await;
    for id in accounts {
        let events = table(session, &format!("{keyspace}.event_store"), "event_data", *id).await;
        let outbox = table(session, &format!("{keyspace}.outbox_messages"), "payload", *id).await;
        assert_eq!(events.rows, outbox.rows, "the tables differ for {id}");
        let numbers: Vec<i64> = events.rows.keys().copied().collect();
        assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "gaps in {id}");
        report.events += numbers.len();
        let (mut at, mut logged) = (0, 0);
        let mut commit = Uuid::nil();
        for (number, row) in &events.rows {
            let place = format!("event {number} of {id}");
            assert!(row.committed_at >= at + 10, "{place}: committed_at {at}, then {row:?}");
            at = row.committed_at;
            assert_eq!(
                events.write_times[number], outbox.write_times[number],
                "{place} was written at two times"
            );
            // A repeat may write an event again after its successor, which the log shows as a
            // duplicate; what counts is when each was there first.
            let first = *log.get(&(id.0, *number)).unwrap_or_else(|| panic!("{place}: no log"));
            let earliest = if row.commit_id == commit { logged } else { logged + 1 };
            assert!(first >= earliest, "{place} is {} µs early in the log", earliest - first);
            logged = first;
            commit = row.commit_id;
            let Some(metadata) = &row.metadata else { continue };
            let metadata: HashMap<String, String> = serde_json::from_str(metadata).unwrap();
            let command: Uuid = metadata["command"].parse().unwrap();
            let entry = found.entry(command).or_insert((*id, row.commit_id, Vec::new()));
            assert_eq!((entry.0, entry.1), (*id, row.commit_id), "{command} was made twice");
            entry.2.push(*number);
        }
    }
    for (command, told) in told {
        let found = found.remove(command);
        if let Some((aggregate, _, numbers)) = &found {
            assert_eq!(*aggregate, told.aggregate, "{command}");
            assert_eq!(numbers.len(), told.events, "{command} is not whole: {told:?}");
            assert!(numbers.windows(2).all(|n| n[1] == n[0] + 1), "{command} is scattered");
        }
        let stands = found.map(|(_, commit, numbers)| (CommitId(commit), numbers));
        match &told.outcome {
            Some(Outcome::Acknowledged { commit, version, events }) => {
                report.acknowledged += 1;
                let (stored, numbers) = stands.unwrap_or_else(|| panic!("{command} is lost"));
                assert_eq!(stored, *commit, "{command}");
                assert_eq!((numbers.last(), numbers.len()), (Some(version), *events), "{command}");
            }
            Some(Outcome::Nothing(reason)) => {
                report.refused += 1;
                let beginning = reason.split([' ', ':']).next().unwrap_or_default().to_owned();
                *report.reasons.entry(beginning).or_default() += 1;
                assert_eq!(stands, None, "{command} was made, but its caller was told: {reason}");
            }
            Some(Outcome::Indeterminate { commit }) => {
                report.indeterminate += 1;
                report.carried_out += usize::from(stands.is_some());
                assert!(stands.is_none_or(|(stored, _)| stored == *commit), "{command}");
            }
            Some(Outcome::Unknown) => {
                report.indeterminate += 1;
                report.carried_out += usize::from(stands.is_some());
            }
            None => {
                report.killed += 1;
                report.carried_out += usize::from(stands.is_some());
            }
        }
    }
    assert!(found.is_empty(), "events of commands that nobody gave: {found:?}");
    report
}
