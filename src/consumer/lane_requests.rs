//! How a lane retries and discards dead letters, between the aggregate's other events.

use crate::consumer::dead_letters::{Action, DeadLetter, Failure, Request};
use crate::consumer::error::GroupError;
use crate::consumer::handler::HandlerError;
use crate::consumer::lane_context::{Attempts, LaneContext};
use crate::consumer::status::Counters;
use crate::time::now_micros;

/// Letters read at once.
const CHUNK: i32 = 16;

/// Whether the letters behind it may be tried.
enum Retried {
    Worked,
    Failed,
    Abandoned,
}

impl LaneContext {
    /// Carries a request out. One that the end of the group interrupts stays posted, and the
    /// next runner carries it out.
    pub(crate) async fn carry_out(&self, request: Request) -> Result<(), GroupError> {
        let complete = match request.action {
            Action::Retry => self.retry(&request).await?,
            Action::Discard => self.discard(&request).await?,
        };
        let id = request.aggregate_id;
        if !complete {
            return Ok(());
        }
        let Some(first) = self.persisted(|| self.letters.first_parking(id)).await? else {
            return Ok(());
        };
        match first {
            None => self.parked.release(id),
            Some(first) => self.parked.advance(id, first),
        }
        self.persisted(|| self.requests.finish(request.id)).await?;
        Ok(())
    }

    async fn retry(&self, request: &Request) -> Result<bool, GroupError> {
        let id = request.aggregate_id;
        let Some(first) = self.persisted(|| self.letters.first_parking(id)).await? else {
            return Ok(false);
        };
        if first.is_some_and(|first| first < request.first) {
            tracing::warn!(
                group = %self.group, aggregate_id = %id, sequence_number = request.first,
                "not retried: earlier events of the aggregate wait"
            );
            return Ok(true);
        }
        let mut from = request.first;
        loop {
            let read = || self.letters.letters(id, from, request.last, CHUNK);
            let Some(letters) = self.persisted(read).await? else { return Ok(false) };
            let Some(last) = letters.last() else { return Ok(true) };
            let next = last.event.sequence_number.checked_add(1);
            for letter in letters {
                match self.retry_letter(&letter).await? {
                    Retried::Worked => {
                        let number = letter.event.sequence_number;
                        let delete = || self.letters.delete(id, number);
                        if self.persisted(delete).await?.is_none() {
                            return Ok(false);
                        }
                    }
                    Retried::Failed if letter.parks => return Ok(true),
                    Retried::Failed => {}
                    Retried::Abandoned => return Ok(false),
                }
            }
            match next {
                Some(next) => from = next,
                None => return Ok(true),
            }
        }
    }

    /// Tries a letter's event once more, and waits for its delivery.
    async fn retry_letter(&self, letter: &DeadLetter) -> Result<Retried, GroupError> {
        let event = &letter.event;
        let failure = match self.attempts(event).await {
            Attempts::Done => None,
            Attempts::Pending(delivery) => match delivery.await {
                Ok(()) => None,
                Err(HandlerError::Poison(reason)) => {
                    Some(Failure::new(1, now_micros() / 1000, reason.as_ref()))
                }
                Err(HandlerError::Retry(reason)) => {
                    let (group, reason) = (self.group.clone(), reason.to_string());
                    return Err(GroupError::Delivery { group, reason });
                }
            },
            Attempts::Poison(failure) => Some(failure),
            Attempts::Abandoned => return Ok(Retried::Abandoned),
        };
        let Some(failure) = failure else {
            self.observed(event);
            Counters::add(&self.counters.letters_retried, 1);
            return Ok(Retried::Worked);
        };
        tracing::warn!(
            group = %self.group,
            aggregate_id = %event.aggregate_id,
            sequence_number = event.sequence_number,
            reason = failure.errors.join(": "),
            "a dead letter failed again"
        );
        let write = || self.letters.put_failed(event, letter.parks, &failure);
        match self.persisted(write).await? {
            Some(()) => Ok(Retried::Failed),
            None => Ok(Retried::Abandoned),
        }
    }

    async fn discard(&self, request: &Request) -> Result<bool, GroupError> {
        let id = request.aggregate_id;
        let mut from = request.first;
        loop {
            let read = || self.letters.letters(id, from, request.last, CHUNK);
            let Some(letters) = self.persisted(read).await? else { return Ok(false) };
            let Some(last) = letters.last() else { return Ok(true) };
            let next = last.event.sequence_number.checked_add(1);
            for letter in &letters {
                let number = letter.event.sequence_number;
                if self.persisted(|| self.letters.delete(id, number)).await?.is_none() {
                    return Ok(false);
                }
                tracing::info!(
                    group = %self.group, aggregate_id = %id, sequence_number = number,
                    "a dead letter was discarded"
                );
            }
            match next {
                Some(next) => from = next,
                None => return Ok(true),
            }
        }
    }
}
