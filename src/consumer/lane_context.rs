//! What lanes do with an event: attempts, and what follows when they fail.

use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::consumer::dead_letters::{DeadLetterError, Failure, LetterTable, Parked, Requests};
use crate::consumer::error::GroupError;
use crate::consumer::fence::Fence;
use crate::consumer::handler::{EventHandler, Handled, HandlerError};
use crate::consumer::lanes::Job;
use crate::consumer::settings::{GroupSettings, PoisonPolicy};
use crate::consumer::slice::Slice;
use crate::consumer::status::Counters;
use crate::event::EventEnvelope;
use crate::store::{Backoff, is_transient};
use crate::time::now_micros;

/// Called after each event that is done.
pub(crate) type Observer = Arc<dyn Fn(&EventEnvelope) + Send + Sync>;

/// What every lane of a slice works with.
pub(crate) struct LaneContext {
    pub(crate) group: String,
    pub(crate) slice: Slice,
    pub(crate) handler: Arc<dyn EventHandler>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) settings: GroupSettings,
    pub(crate) observer: Option<Observer>,
    /// The group is stopping: what is in the lanes is finished, nothing is tried again.
    pub(crate) closing: CancellationToken,
    pub(crate) fence: Fence,
    pub(crate) letters: LetterTable,
    pub(crate) parked: Arc<Parked>,
    pub(crate) requests: Requests,
}

/// An event that the handler has begun and will report on.
pub(crate) type InFlight = BoxFuture<'static, (Job, Result<(), HandlerError>)>;

/// Where handling an event has led.
pub(crate) enum Outcome {
    Done,
    InFlight(InFlight),
    /// The group is closing while the event waited to be tried again.
    Abandoned,
}

/// What all attempts at an event have come to.
pub(crate) enum Attempts {
    Done,
    Pending(BoxFuture<'static, Result<(), HandlerError>>),
    /// It was tried as often as the settings say.
    Poison(Failure),
    /// The group is closing.
    Abandoned,
}

impl LaneContext {
    /// Handles one event, as often as it takes.
    pub(crate) async fn handle(&self, job: Job) -> Result<Outcome, GroupError> {
        match self.accepts(&job.event) {
            Ok(true) => {}
            Ok(false) => {
                job.ticket.done();
                return Ok(Outcome::Done);
            }
            Err(failure) => return self.give_up(job, failure).await,
        }
        if self.parked.holds(job.event.aggregate_id, job.event.sequence_number) {
            return self.wait_behind(job).await;
        }
        match self.attempts(&job.event).await {
            Attempts::Done => {
                self.done(job);
                Ok(Outcome::Done)
            }
            Attempts::Pending(delivery) => {
                Ok(Outcome::InFlight(Box::pin(async move { (job, delivery.await) })))
            }
            Attempts::Poison(failure) => self.give_up(job, failure).await,
            Attempts::Abandoned => Ok(Outcome::Abandoned),
        }
    }

    /// Attempts at an event: without end while something else is at fault, so many while it
    /// is the event.
    pub(crate) async fn attempts(&self, event: &EventEnvelope) -> Attempts {
        let mut backoff = self.backoff();
        let (mut attempts, mut poisonous, mut first_at) = (0, 0, None);
        loop {
            attempts += 1;
            let error = match self.attempt(event).await {
                Ok(Handled::Done) => return Attempts::Done,
                Ok(Handled::Pending(delivery)) => return Attempts::Pending(caught(delivery)),
                Err(error) => error,
            };
            let first_at = *first_at.get_or_insert_with(|| now_micros() / 1000);
            if let HandlerError::Poison(reason) = &error {
                poisonous += 1;
                if poisonous >= self.settings.poison_attempts {
                    return Attempts::Poison(Failure::new(attempts, first_at, reason.as_ref()));
                }
            }
            Counters::add(&self.counters.retries, 1);
            let delay = backoff.delay();
            tracing::warn!(
                group = %self.group,
                aggregate_id = %event.aggregate_id,
                sequence_number = event.sequence_number,
                reason = %error,
                ?delay,
                "an event could not be handled yet"
            );
            if self.closing_within(delay).await {
                return Attempts::Abandoned;
            }
        }
    }

    /// An event that was on its way has arrived, or not.
    pub(crate) async fn delivered(
        &self,
        job: Job,
        result: Result<(), HandlerError>,
    ) -> Result<(), GroupError> {
        match result {
            // One before it did not arrive and will be sent again: so must this one be, or
            // the order would be another.
            Ok(()) if self.parked.holds(job.event.aggregate_id, job.event.sequence_number) => {
                self.wait_behind(job).await?;
            }
            Ok(()) => self.done(job),
            Err(HandlerError::Poison(reason)) => {
                let failure = Failure::new(1, now_micros() / 1000, reason.as_ref());
                self.give_up(job, failure).await?;
            }
            // Later events may have arrived: only a new beginning keeps the order.
            Err(HandlerError::Retry(reason)) => {
                return Err(GroupError::Delivery {
                    group: self.group.clone(),
                    reason: reason.to_string(),
                });
            }
        }
        Ok(())
    }

    /// The event will not work: what then, the group's policy says.
    async fn give_up(&self, job: Job, failure: Failure) -> Result<Outcome, GroupError> {
        let (event, policy) = (&job.event, self.settings.poison);
        let reason = failure.errors.join(": ");
        if policy == PoisonPolicy::HaltGroup {
            return Err(self.halted(event, reason));
        }
        let parks = policy == PoisonPolicy::ParkAggregate;
        let write = || self.letters.put_failed(event, parks, &failure);
        if self.persisted(write).await?.is_none() {
            return Ok(Outcome::Abandoned);
        }
        tracing::error!(
            group = %self.group,
            aggregate_id = %event.aggregate_id,
            sequence_number = event.sequence_number,
            event_type = %event.event_type,
            attempts = failure.attempts,
            %reason,
            parks,
            "an event went to the dead letters"
        );
        Counters::add(&self.counters.dead_letters, 1);
        if parks {
            self.park(event)?;
        }
        job.ticket.done();
        Ok(Outcome::Done)
    }

    /// The event follows the aggregate's earlier ones into the dead letters.
    async fn wait_behind(&self, job: Job) -> Result<Outcome, GroupError> {
        if self.persisted(|| self.letters.put_behind(&job.event)).await?.is_none() {
            return Ok(Outcome::Abandoned);
        }
        Counters::add(&self.counters.dead_letters, 1);
        job.ticket.done();
        Ok(Outcome::Done)
    }

    fn park(&self, event: &EventEnvelope) -> Result<(), GroupError> {
        self.parked.park(event.aggregate_id, event.sequence_number);
        let (parked, limit) = (self.parked.count(), self.settings.max_parked);
        if parked > limit {
            return Err(GroupError::TooManyParked { group: self.group.clone(), limit });
        }
        Ok(())
    }

    /// Does something with dead letters, again and again while the database is away; `None`
    /// when the group is closing meanwhile.
    pub(crate) async fn persisted<T, F>(&self, act: impl Fn() -> F) -> Result<Option<T>, GroupError>
    where
        F: Future<Output = Result<T, DeadLetterError>>,
    {
        let mut backoff = self.backoff();
        loop {
            match act().await {
                Ok(value) => return Ok(Some(value)),
                Err(error) => self.letters_failed(error)?,
            }
            Counters::add(&self.counters.retries, 1);
            if self.closing_within(backoff.delay()).await {
                return Ok(None);
            }
        }
    }

    /// What a repeat may cure is only told.
    pub(crate) fn letters_failed(&self, error: DeadLetterError) -> Result<(), GroupError> {
        match &error {
            DeadLetterError::Database { source, .. } if is_transient(source) => {
                tracing::warn!(group = %self.group, %error, "dead letters cannot be reached yet");
                Ok(())
            }
            _ => Err(GroupError::DeadLetters { group: self.group.clone(), source: error }),
        }
    }

    fn backoff(&self) -> Backoff {
        let (first, longest) = self.settings.retry_delay;
        Backoff::new(first, longest)
    }

    async fn closing_within(&self, delay: std::time::Duration) -> bool {
        tokio::time::timeout(delay, self.closing.cancelled()).await.is_ok()
    }

    fn accepts(&self, event: &EventEnvelope) -> Result<bool, Failure> {
        catch_unwind(AssertUnwindSafe(|| self.handler.accepts(&event.aggregate_type)))
            .map_err(|panic| Failure::new(1, now_micros() / 1000, &*panicked(&*panic)))
    }

    /// One call of the handler; a panic in it is the event's fault, not the process's end.
    async fn attempt(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        let call = async { self.handler.handle(event).await };
        match AssertUnwindSafe(call).catch_unwind().await {
            Ok(result) => result,
            Err(panic) => Err(HandlerError::Poison(panicked(&*panic))),
        }
    }

    pub(crate) fn done(&self, job: Job) {
        self.observed(&job.event);
        job.ticket.done();
    }

    /// The event is handled.
    pub(crate) fn observed(&self, event: &EventEnvelope) {
        Counters::add(&self.counters.handled, 1);
        let Some(observer) = &self.observer else { return };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer(event))) {
            let error = panicked(&*panic);
            tracing::error!(group = %self.group, %error, "the observer of handled events failed");
        }
    }

    fn halted(&self, event: &EventEnvelope, reason: String) -> GroupError {
        GroupError::Poison {
            group: self.group.clone(),
            aggregate_id: event.aggregate_id,
            aggregate_type: event.aggregate_type.to_string(),
            sequence_number: event.sequence_number,
            event_type: event.event_type.to_string(),
            event_version: event.event_version,
            reason,
        }
    }
}

/// A panic in a delivery is the event's fault.
fn caught(
    delivery: BoxFuture<'static, Result<(), HandlerError>>,
) -> BoxFuture<'static, Result<(), HandlerError>> {
    Box::pin(async move {
        match AssertUnwindSafe(delivery).catch_unwind().await {
            Ok(result) => result,
            Err(panic) => Err(HandlerError::Poison(panicked(&*panic))),
        }
    })
}

/// What a handler panicked with, as an error.
pub(crate) fn panicked(panic: &(dyn std::any::Any + Send)) -> Box<dyn Error + Send + Sync> {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown reason".to_owned());
    format!("the handler panicked: {text}").into()
}
