//! A commit as it stands in `aggregate_heads.pending`: everything that its batch writes,
//! so that anyone can finish it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::{EventEnvelope, Metadata, Payload};
use crate::ids::{AggregateId, CausationId, CommitId, CorrelationId, EventId};

/// First byte of the blob: the format, so that a later build can change it.
const FORMAT_POSTCARD_LZ4: u8 = 1;

/// The same without compression.
const FORMAT_POSTCARD: u8 = 2;

/// Bytes from which on compression is worth its cost: a table of 8 KiB or more that is made
/// anew each time, and some microseconds. A commit of a few small events is not.
const WORTH_COMPRESSING: usize = 1024;

/// A blob that claims to be larger is not decompressed. A commit is under 1 MiB (the
/// server's batch limit), so this leaves room and bounds memory.
const MAX_DECODED: usize = 16 << 20;

/// The events of one command, to be written together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) commit_id: Uuid,
    pub(crate) aggregate_id: Uuid,
    pub(crate) aggregate_type: Arc<str>,
    pub(crate) first_sequence_number: i64,
    /// `committed_at` of the event before the first; `None` for a new aggregate.
    pub(crate) previous_committed_at: Option<i64>,
    pub(crate) correlation_id: Option<Uuid>,
    pub(crate) causation_id: Option<Uuid>,
    /// JSON; empty: none.
    pub(crate) metadata: String,
    /// ms since 1970.
    pub(crate) created_at: i64,
    /// JSON; before the first event, where the aggregate asks for it.
    pub(crate) state_before: Option<Payload>,
    pub(crate) events: Vec<CommitEvent>,
    /// The answer to the command, if it has an idempotency key.
    pub(crate) outcome: Option<CommitOutcome>,
}

/// One event of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommitEvent {
    pub(crate) event_id: Uuid,
    pub(crate) event_type: Arc<str>,
    pub(crate) event_version: i32,
    pub(crate) payload: Payload,
    pub(crate) committed_at: i64,
    /// JSON; after the event, where the aggregate asks for it.
    pub(crate) state_after: Option<Payload>,
}

/// What `command_outcomes` keeps of a command beside what its commit says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CommitOutcome {
    pub(crate) idempotency_key: String,
    pub(crate) fingerprint: Uuid,
    /// JSON.
    pub(crate) response: Option<Payload>,
    /// JSON.
    pub(crate) impact: Option<Payload>,
    pub(crate) rejection: Option<String>,
    /// Seconds that the row lives.
    pub(crate) ttl: i32,
}

impl CommitOutcome {
    /// The texts of its row.
    fn text_size(&self) -> usize {
        let text = |t: &Option<Payload>| t.as_ref().map_or(0, |t| t.as_str().len());
        self.idempotency_key.len()
            + text(&self.response)
            + text(&self.impact)
            + self.rejection.as_ref().map_or(0, String::len)
    }
}

/// What a row of the batch takes beside its texts; see [`Commit::batch_size`].
const ROW_OVERHEAD: usize = 1_700;

/// Bytes that an event without states counts in [`Commit::batch_size`], given the lengths of
/// its texts.
pub(crate) fn event_batch_size(payload: usize, metadata: usize) -> usize {
    2 * (ROW_OVERHEAD + payload + metadata)
}

impl Commit {
    pub(crate) fn last_sequence_number(&self) -> i64 {
        self.first_sequence_number + self.events.len() as i64 - 1
    }

    /// Bytes that ScyllaDB will count for the batch. It counts the memory of the mutations
    /// (`batch_statement::verify_batch_size` adds up their `external_memory_usage`), not what
    /// was sent: a row of these tables with small values takes some 1.7 KiB (300 small
    /// events, 600 rows, were refused at 1 MiB), and each text stands in both tables. Log
    /// rows are made later and not counted.
    pub(crate) fn batch_size(&self) -> usize {
        let state = |state: &Option<Payload>| state.as_ref().map_or(0, |s| s.as_str().len());
        let mut before = state(&self.state_before);
        let captures_before = self.state_before.is_some();
        let mut size = 0;
        for event in &self.events {
            let after = state(&event.state_after);
            size += event_batch_size(event.payload.as_str().len(), self.metadata.len());
            size += after + if captures_before { before } else { 0 };
            before = after;
        }
        let outcome = self.outcome.as_ref();
        size + outcome.map_or(0, |o| ROW_OVERHEAD + o.text_size() + self.metadata.len())
    }

    /// Whether the row of the command's answer is to be there at this time, ms since 1970.
    pub(crate) fn has_outcome_at(&self, now: i64) -> bool {
        self.outcome.as_ref().is_some_and(|o| now < self.created_at + i64::from(o.ttl) * 1000)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        let mut plain = Vec::with_capacity(1 + self.text_size() + 256 + 64 * self.events.len());
        plain.push(FORMAT_POSTCARD);
        let plain = postcard::to_extend(self, plain).map_err(|e| e.to_string())?;
        let Some(body) = plain.get(1..).filter(|body| body.len() >= WORTH_COMPRESSING) else {
            return Ok(plain);
        };
        let mut blob = vec![FORMAT_POSTCARD_LZ4];
        blob.extend(lz4_flex::block::compress_prepend_size(body));
        Ok(blob)
    }

    /// About the bytes of its texts.
    fn text_size(&self) -> usize {
        let size = |text: &Option<Payload>| text.as_ref().map_or(0, |t| t.as_str().len());
        let event =
            |e: &CommitEvent| e.payload.as_str().len() + e.event_type.len() + size(&e.state_after);
        self.metadata.len()
            + size(&self.state_before)
            + self.events.iter().map(event).sum::<usize>()
            + self.outcome.as_ref().map_or(0, CommitOutcome::text_size)
    }

    pub(crate) fn decode(blob: &[u8]) -> Result<Self, String> {
        let Some((&format, body)) = blob.split_first() else {
            return Err("the pending commit is empty".to_owned());
        };
        match format {
            FORMAT_POSTCARD => postcard::from_bytes(body).map_err(|e| e.to_string()),
            FORMAT_POSTCARD_LZ4 => Self::decode_compressed(body),
            _ => Err(format!(
                "the pending commit has format {format}, this build knows {FORMAT_POSTCARD_LZ4} \
                 and {FORMAT_POSTCARD}: a newer build wrote it and must finish it"
            )),
        }
    }

    fn decode_compressed(body: &[u8]) -> Result<Self, String> {
        let (size, compressed) =
            lz4_flex::block::uncompressed_size(body).map_err(|e| e.to_string())?;
        if size > MAX_DECODED {
            return Err(format!("the pending commit claims {size} bytes"));
        }
        let plain = lz4_flex::block::decompress(compressed, size).map_err(|e| e.to_string())?;
        postcard::from_bytes(&plain).map_err(|e| e.to_string())
    }

    /// The envelopes of its events, given these in any form and the metadata as it was before
    /// encoding.
    pub(crate) fn envelopes<E>(
        &self,
        metadata: &Metadata,
        events: impl IntoIterator<Item = E>,
    ) -> Vec<EventEnvelope<E>> {
        let mut previous = self.previous_committed_at;
        self.events
            .iter()
            .zip(self.first_sequence_number..)
            .zip(events)
            .map(|((event, sequence_number), form)| EventEnvelope {
                aggregate_id: AggregateId(self.aggregate_id),
                aggregate_type: Arc::clone(&self.aggregate_type),
                sequence_number,
                event_id: EventId(event.event_id),
                event_type: Arc::clone(&event.event_type),
                event_version: event.event_version,
                event: form,
                metadata: metadata.clone(),
                correlation_id: self.correlation_id.map(CorrelationId),
                causation_id: self.causation_id.map(CausationId),
                commit_id: CommitId(self.commit_id),
                committed_at: event.committed_at,
                previous_committed_at: previous.replace(event.committed_at),
                created_at: self.created_at,
                state_before: None,
                state_after: None,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(payload: &str, events: usize) -> Commit {
        Commit {
            commit_id: Uuid::now_v7(),
            aggregate_id: Uuid::now_v7(),
            aggregate_type: "Order".into(),
            first_sequence_number: 3,
            previous_committed_at: Some(5),
            correlation_id: Some(Uuid::now_v7()),
            causation_id: None,
            metadata: r#"{"tenant":"acme"}"#.to_owned(),
            created_at: 1_700_000_000_000,
            state_before: None,
            outcome: None,
            events: (0..events)
                .map(|i| CommitEvent {
                    event_id: Uuid::now_v7(),
                    event_type: "ItemAdded".into(),
                    event_version: 1,
                    payload: Payload::from_json_text(payload),
                    committed_at: 15 + 10 * i as i64,
                    state_after: None,
                })
                .collect(),
        }
    }

    fn outcome() -> CommitOutcome {
        CommitOutcome {
            idempotency_key: "k".to_owned(),
            fingerprint: Uuid::now_v7(),
            response: Some(Payload::from_json_text("{}")),
            impact: None,
            rejection: None,
            ttl: 60,
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for payload in [r#"{"sku":"häß"}"#, &format!(r#"{{"text":"{}"}}"#, "x".repeat(2_000))] {
            whole(commit(payload, 3));
        }
    }

    fn whole(mut commit: Commit) {
        commit.state_before = Some(Payload::from_json_text("{}"));
        commit.events[0].state_after = Some(Payload::from_json_text(r#"{"items":1}"#));
        commit.outcome = Some(outcome());
        assert_eq!(Commit::decode(&commit.encode().unwrap()).unwrap(), commit);
        assert_eq!(commit.last_sequence_number(), 5);
    }

    #[test]
    fn repetitive_payloads_shrink() {
        let commit = commit(&"{\"a\":1}".repeat(100), 50);
        assert!(commit.encode().unwrap().len() < 6_000);
    }

    #[test]
    fn states_and_the_answer_count() {
        let text = |n: usize| Some(Payload::from_json_text("x".repeat(n)));
        let mut commit = commit("{}", 2);
        let plain = commit.batch_size();
        commit.events[0].state_after = text(1_000);
        commit.events[1].state_after = text(2_000);
        assert_eq!(commit.batch_size() - plain, 3_000);
        commit.state_before = text(500);
        // Each state but the last is also the one before the next event.
        assert_eq!(commit.batch_size() - plain, 500 + 1_000 + 1_000 + 2_000);
        let before = commit.batch_size();
        commit.outcome = Some(CommitOutcome { response: text(300), ..outcome() });
        assert_eq!(commit.batch_size() - before, 1_700 + 1 + 300 + commit.metadata.len());
    }

    #[test]
    fn an_answer_is_kept_for_its_time() {
        let mut commit = commit("{}", 1);
        assert!(!commit.has_outcome_at(commit.created_at));
        commit.outcome = Some(outcome());
        assert!(commit.has_outcome_at(commit.created_at + 59_999));
        assert!(!commit.has_outcome_at(commit.created_at + 60_000));
    }

    #[test]
    fn a_blob_of_another_format_or_with_damage_is_refused() {
        let blob = commit("{}", 1).encode().unwrap();
        let mut newer = blob.clone();
        newer[0] = 9;
        assert!(Commit::decode(&newer).unwrap_err().contains("newer build"));
        assert!(Commit::decode(&blob[..blob.len() - 3]).is_err());
        assert!(Commit::decode(&[]).is_err());
        assert!(Commit::decode(&[1, 255, 255, 255, 255, 0]).unwrap_err().contains("claims"));
    }

    #[test]
    fn envelopes_chain_their_committed_at() {
        let envelopes = commit("{}", 2).envelopes(&Metadata::default(), [(), ()]);
        assert_eq!(envelopes[0].previous_committed_at, Some(5));
        assert_eq!(envelopes[1].previous_committed_at, Some(15));
        assert_eq!(envelopes[1].sequence_number, 4);
    }
}
