//! `dead-letters`: what a group could not handle.

use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::DeadLettersCommand;
use super::events::as_json;
use crate::cli::connect::store;
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output::{self, Output};
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::consumer::{DeadLetter, DeadLetters, RequestId};
use crate::ids::AggregateId;

/// Letters read at once.
const PAGE: usize = 500;

pub(super) async fn run(
    command: DeadLettersCommand,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    service.entry(command.group())?;
    let store = store(service, settings).await?;
    let letters = DeadLetters::connect(&store, command.group()).await?;
    match command {
        DeadLettersCommand::List { limit, output, .. } => {
            list(&letters, limit as usize, output).await?
        }
        DeadLettersCommand::Show { aggregate, sequence, output, .. } => {
            show(&letters.show(aggregate, sequence).await?, output)?;
        }
        DeadLettersCommand::Retry { aggregate, sequence, all, wait, .. } => {
            match (aggregate, sequence) {
                (None, _) if all => {
                    let aggregates = letters.retry_all().await?;
                    output::line(&format!(
                        "asked to retry the letters of {aggregates} aggregates"
                    ))?;
                    return all_carried_out(&letters, *wait).await;
                }
                (None, _) => {
                    return Err(CommandLineError::Usage(
                        "name an aggregate, or say --all".to_owned(),
                    ));
                }
                (Some(id), Some(sequence)) => {
                    let request = letters.retry(id, sequence).await?;
                    return carried_out(&letters, request, id, *wait).await;
                }
                (Some(id), None) => {
                    let request = letters.retry_aggregate(id).await?;
                    return carried_out(&letters, request, id, *wait).await;
                }
            }
        }
        DeadLettersCommand::Discard { aggregate, sequence, wait, .. } => {
            let request = match sequence {
                Some(sequence) => letters.discard(aggregate, sequence).await?,
                None => letters.discard_aggregate(aggregate).await?,
            };
            return carried_out(&letters, request, aggregate, *wait).await;
        }
    }
    Ok(Outcome::Well)
}

/// Waits, and says what is left of the aggregate's letters.
async fn carried_out(
    letters: &DeadLetters,
    request: RequestId,
    id: AggregateId,
    wait: Duration,
) -> Result<Outcome, CommandLineError> {
    letters.carried_out(request, wait).await?;
    let left = letters.of_aggregate(id, PAGE).await?;
    match left.iter().find(|letter| letter.failed) {
        None if left.is_empty() => {
            output::line(&format!("{id}: no letters left"))?;
            Ok(Outcome::Well)
        }
        None => {
            output::line(&format!("{id}: {} letters left, which wait", left.len()))?;
            Ok(Outcome::Well)
        }
        Some(letter) => {
            output::line(&format!(
                "{id}: {} letters left; event {} failed again: {}",
                left.len(),
                letter.event.sequence_number,
                letter.errors.join(": ")
            ))?;
            Ok(Outcome::Findings)
        }
    }
}

/// Waits until no request is open, and says what is left.
async fn all_carried_out(
    letters: &DeadLetters,
    wait: Duration,
) -> Result<Outcome, CommandLineError> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let open = letters.open_requests().await?;
        if open == 0 {
            break;
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(CommandLineError::Usage(format!(
                "{open} requests have not been carried out yet: see whether a runner is up and \
                 the group is not paused; they stay"
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    if letters.list(1, None).await?.letters.is_empty() {
        output::line("no letters left")?;
        return Ok(Outcome::Well);
    }
    output::line("letters are left: dead-letters list shows them")?;
    Ok(Outcome::Findings)
}

async fn list(letters: &DeadLetters, limit: usize, form: Output) -> Result<(), CommandLineError> {
    let mut table =
        output::table(["aggregate", "sequence", "type", "attempts", "last failed", "error"]);
    let mut from = None;
    let mut left = limit;
    let mut shown = 0;
    loop {
        let page = letters.list(left.min(PAGE), from.as_ref()).await?;
        left -= page.letters.len().min(left);
        shown += page.letters.len();
        for letter in &page.letters {
            if form == Output::Json {
                output::json_line(&letter_json(letter))?;
                continue;
            }
            let error = letter.errors.first().map_or_else(
                || "waits behind an earlier one".to_owned(),
                |error| error.replace('\n', " "),
            );
            table.add_row([
                letter.event.aggregate_id.to_string(),
                letter.event.sequence_number.to_string(),
                letter.event.event_type.to_string(),
                letter.attempts.to_string(),
                letter.last_failed_at.map(output::moment).unwrap_or_default(),
                error,
            ]);
        }
        from = page.next;
        if from.is_none() || left == 0 {
            break;
        }
    }
    if form == Output::Json {
        return Ok(());
    }
    if shown == 0 {
        return output::line(&format!("group {} has no dead letters", letters.group()));
    }
    output::print(&table)?;
    if from.is_some() {
        output::line(&format!(
            "and more: --limit {} shows more of them",
            limit.saturating_mul(10)
        ))?;
    }
    Ok(())
}

fn show(letter: &DeadLetter, form: Output) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return output::json(&letter_json(letter));
    }
    let event = &letter.event;
    let time = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), output::moment);
    let facts = [
        ("group", letter.group.clone()),
        ("aggregate", format!("{} {}", event.aggregate_type, event.aggregate_id)),
        ("sequence", event.sequence_number.to_string()),
        ("event", format!("{} version {}", event.event_type, event.event_version)),
        ("event id", event.event_id.to_string()),
        ("committed", output::moment(event.committed_at / 1000)),
        ("attempts", letter.attempts.to_string()),
        ("first failed", time(letter.first_failed_at)),
        ("last failed", time(letter.last_failed_at)),
        ("parks", if letter.parks { "later events wait" } else { "no" }.to_owned()),
        ("data", event.event.as_str().to_owned()),
    ];
    for (name, value) in facts {
        output::line(&format!("{name:14}{value}"))?;
    }
    if letter.errors.is_empty() {
        return output::line(&format!("{:14}none: it waits behind an earlier event", "error"));
    }
    for (depth, error) in letter.errors.iter().enumerate() {
        let name = if depth == 0 { "error" } else { "caused by" };
        output::line(&format!("{name:14}{error}"))?;
    }
    Ok(())
}

fn letter_json(letter: &DeadLetter) -> Value {
    json!({
        "group": letter.group,
        "parks": letter.parks,
        "failed": letter.failed,
        "attempts": letter.attempts,
        "errors": letter.errors,
        "first_failed_at": letter.first_failed_at.map(output::moment),
        "last_failed_at": letter.last_failed_at.map(output::moment),
        "event": as_json(&letter.event),
    })
}
