//! A group without a database: histories handed to a handler as a group does.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use messina::consumer::{EventHandler, Handled, HandlerError};
use messina::testing::envelope;
use messina::{AggregateId, EventEnvelope, EventId};

/// What came of it.
#[derive(Debug, Default)]
pub struct Fed {
    /// Refused events, with the reason.
    pub refused: Vec<(EventId, String)>,
    /// How often it began again at the checkpoint.
    pub restarts: usize,
}

/// Hands the events over in order, without waiting for those on their way; begins again at
/// the first that is not done when one fails. A refused event is set aside.
pub async fn feed(handler: &impl EventHandler, events: &[EventEnvelope]) -> Fed {
    let mut fed = Fed::default();
    let mut done: HashSet<EventId> = HashSet::new();
    let began = tokio::time::Instant::now();
    while let Some(checkpoint) = events.iter().position(|e| !done.contains(&e.event_id)) {
        assert!(began.elapsed() < Duration::from_secs(150), "it does not end: {fed:?}");
        if !run(handler, &events[checkpoint..], &mut done, &mut fed).await {
            fed.restarts += 1;
        }
    }
    fed
}

async fn run(
    handler: &impl EventHandler,
    events: &[EventEnvelope],
    done: &mut HashSet<EventId>,
    fed: &mut Fed,
) -> bool {
    let mut in_flight = FuturesUnordered::new();
    for event in events {
        if fed.refused.iter().any(|(id, _)| *id == event.event_id) {
            continue;
        }
        loop {
            match handler.handle(event).await {
                Ok(Handled::Done) => {
                    done.insert(event.event_id);
                }
                Ok(Handled::Pending(delivery)) => {
                    let id = event.event_id;
                    in_flight.push(async move { (id, delivery.await) });
                }
                Err(HandlerError::Poison(reason)) => {
                    done.insert(event.event_id);
                    fed.refused.push((event.event_id, reason.to_string()));
                }
                Err(HandlerError::Retry(_)) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            }
            break;
        }
    }
    let mut all = true;
    while let Some((id, result)) = in_flight.next().await {
        match result {
            Ok(()) => {
                done.insert(id);
            }
            Err(HandlerError::Retry(_)) => all = false,
            Err(other) => panic!("what is on its way is not refused: {other}"),
        }
    }
    all
}

/// Histories of as many aggregates, of as many events each, interleaved; every body has at
/// least `bytes` bytes.
pub fn histories(
    aggregate_type: &str,
    aggregates: usize,
    events: i64,
    bytes: usize,
) -> Vec<EventEnvelope> {
    let ids: Vec<AggregateId> = (0..aggregates).map(|_| AggregateId::new()).collect();
    (1..=events)
        .flat_map(|number| ids.iter().map(move |id| (number, *id)))
        .map(|(number, id)| {
            let mut event = envelope(aggregate_type, number);
            event.aggregate_id = id;
            let body = format!(r#"{{"n":{number},"pad":"{}"}}"#, "x".repeat(bytes));
            event.event = messina::Payload::from_json_text(body);
            event
        })
        .collect()
}
