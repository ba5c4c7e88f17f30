//! `events`: what is stored.

use futures::StreamExt;
use serde_json::{Value, json};

use super::arguments::EventsCommand;
use crate::cli::connect::store;
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output::{self, Output};
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::consumer::{Tail, TailSettings};
use crate::event::EventEnvelope;
use crate::store::{EventStore, StoreError};

/// Events shown in one table: an aggregate may have a million.
const PAGE: usize = 1_000;

pub(super) async fn run(
    command: EventsCommand,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    let store = store(service, settings).await?;
    match command {
        EventsCommand::Show { aggregate, from, to, output } => {
            let last = to.unwrap_or(i64::MAX);
            let mut history = store.history(aggregate, from..=last).ready_chunks(PAGE);
            let mut shown = 0;
            while let Some(events) = history.next().await {
                let (events, error) = until_error(events);
                print(&events, output)?;
                shown += events.len();
                if let Some(error) = error {
                    return Err(error.into());
                }
            }
            if shown == 0 && !store.exists(aggregate).await? {
                return Err(CommandLineError::Usage(format!(
                    "aggregate {aggregate} has no events in keyspace {}",
                    store.keyspace()
                )));
            }
            Ok(Outcome::Well)
        }
        EventsCommand::Tail { event_type, output } => {
            tail(&store, event_type.as_deref(), output).await
        }
    }
}

/// What was read before an error is shown before it is told.
fn until_error(
    events: Vec<Result<EventEnvelope, StoreError>>,
) -> (Vec<EventEnvelope>, Option<StoreError>) {
    let mut error = None;
    let read = events.into_iter().map_while(|event| event.map_err(|e| error = Some(e)).ok());
    (read.collect(), error)
}

/// Prints what comes, until Ctrl-C.
async fn tail(
    store: &EventStore,
    event_type: Option<&str>,
    form: Output,
) -> Result<Outcome, CommandLineError> {
    let failed = |source| CommandLineError::Database { what: "following the log", source };
    let tail = Tail::of(store, &TailSettings::default()).await.map_err(failed)?;
    let mut events = tail.subscribe();
    loop {
        let hints = tokio::select! {
            interrupted = tokio::signal::ctrl_c() => {
                let system = |source| CommandLineError::System {
                    what: "listening for Ctrl-C",
                    source,
                };
                interrupted.map_err(system)?;
                return Ok(Outcome::Well);
            }
            hints = events.next() => hints,
        };
        let Some(hints) = hints else { return Ok(Outcome::Well) };
        if events.take_lost().is_some() {
            eprintln!("some events are not shown: they came faster than they could be printed");
        }
        for hint in hints.iter() {
            if event_type.is_some_and(|wanted| *hint.event.event_type != *wanted) {
                continue;
            }
            match form {
                Output::Json => output::json_line(&as_json(&hint.event))?,
                Output::Table => output::line(&format!(
                    "{}  {} {}  {}  {} v{}  {}",
                    output::moment(hint.event.committed_at / 1000),
                    hint.event.aggregate_type,
                    hint.event.aggregate_id,
                    hint.event.sequence_number,
                    hint.event.event_type,
                    hint.event.event_version,
                    hint.event.event.as_str()
                ))?,
            }
        }
    }
}

fn print(events: &[EventEnvelope], form: Output) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return events.iter().try_for_each(|event| output::json_line(&as_json(event)));
    }
    if events.is_empty() {
        return Ok(());
    }
    let mut table = output::table(["sequence", "time", "type", "version", "data"]);
    for event in events {
        table.add_row([
            event.sequence_number.to_string(),
            output::moment(event.committed_at / 1000),
            event.event_type.to_string(),
            event.event_version.to_string(),
            event.event.as_str().to_owned(),
        ]);
    }
    output::print(&table)
}

/// An event as `event_store` has it.
pub(super) fn as_json(event: &EventEnvelope) -> Value {
    // Data that is not JSON is shown as the text that it is: this is for looking.
    let data = serde_json::from_str(event.event.as_str())
        .unwrap_or_else(|_| Value::String(event.event.as_str().to_owned()));
    json!({
        "aggregate_id": event.aggregate_id,
        "aggregate_type": &*event.aggregate_type,
        "sequence_number": event.sequence_number,
        "event_id": event.event_id,
        "event_type": &*event.event_type,
        "event_version": event.event_version,
        "data": data,
        "metadata": event.metadata,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        "commit_id": event.commit_id,
        "committed_at": event.committed_at,
        "created_at": event.created_at,
    })
}
