//! A command is carried out: load, look whether it was answered, decide, append.

use std::sync::Arc;

use tokio::time::Instant;
use uuid::Uuid;

use crate::aggregate::{Aggregate, CaptureState, Impact, Loaded};
use crate::command::execute::Request;
use crate::command::handler::Inner;
use crate::command::key::IdempotencyKey;
use crate::command::known::Known;
use crate::command::meters::Ended;
use crate::command::{CommandError, ConflictDecision, Conflicted, Reply};
use crate::event::{DomainEvent, EventEnvelope, Payload};
use crate::ids::{CommitId, EventId};
use crate::store::{Append, Commit, NewEvent, NewOutcome, StoreError, StoredOutcome};
use crate::time::now_micros;

/// One command, carried out by one handler.
pub(super) struct Run<'h, A: Aggregate> {
    handler: &'h Inner<A>,
    request: Request<A>,
    key: Option<IdempotencyKey>,
    /// Appends tried.
    attempts: u32,
}

type Outcome<A, T = Reply<A>> = Result<T, CommandError<<A as Aggregate>::Error>>;

/// A decision, worked out: what is appended, and what is answered when it is.
struct Worked<A> {
    append: Append,
    outcome: Option<NewOutcome>,
    state: A,
    response: Payload,
    impact: Impact,
}

impl<'h, A: Aggregate> Run<'h, A> {
    pub(super) fn new(
        handler: &'h Inner<A>,
        request: Request<A>,
        key: Option<IdempotencyKey>,
    ) -> Self {
        Self { handler, request, key, attempts: 0 }
    }

    pub(super) async fn run(mut self) -> Outcome<A> {
        let began = Instant::now();
        let result = self.carry_out(began).await;
        let ended = result.as_ref().map(|reply| match reply {
            Reply { repeated: true, .. } => Ended::Repeated,
            Reply { commit_id: None, .. } => Ended::Unchanged,
            Reply { .. } => Ended::Committed,
        });
        self.handler.meters.command(began.elapsed(), self.attempts, ended);
        result
    }

    /// What most commands do not come to is boxed: the future of a command is allocated, and
    /// is as large as the largest that it may wait for.
    async fn carry_out(&mut self, began: Instant) -> Outcome<A> {
        let handler = self.handler;
        let id = self.request.id;
        let _queued = handler.locks.lock(id).await;
        let (mut known, mut may_be_stale) = match handler.cache.take(id) {
            Some(known) => {
                handler.meters.cache_hits.increment(1);
                (known, true)
            }
            None => {
                handler.meters.cache_misses.increment(1);
                (Box::pin(handler.load(id)).await?, false)
            }
        };
        let mut head_seen = false;
        let mut head_only = false;
        loop {
            if (self.key.is_some() || self.last_command(&known).is_some())
                && let Some(answered) = Box::pin(self.answered(&mut known)).await?
            {
                return Box::pin(self.repeat(known, answered)).await;
            }
            let decision = self.decide(&known.loaded);
            if !self.is_to_be_appended(&decision) {
                // Only what is appended is checked by the reservation: anything else must
                // not rest on what is remembered.
                if std::mem::take(&mut may_be_stale) {
                    Box::pin(self.refresh(&mut known)).await?;
                    continue;
                }
                // Nor, with a key, on what an earlier attempt at this command has reserved
                // and not written; nor may an expected version be missed for that reason.
                let ahead = matches!(&decision, Err(CommandError::Conflict { expected, actual, .. })
                    if expected > actual);
                let look = self.key.is_some() || ahead;
                if look
                    && !std::mem::replace(&mut head_seen, true)
                    && Box::pin(self.catch_up(&mut known)).await?
                {
                    continue;
                }
                handler.cache.put(&known);
                decision?;
                return self.unchanged(known);
            }
            let (events, rejection) = match decision {
                Ok(events) => (events, None),
                Err(CommandError::Rejected(reason)) => (Vec::new(), Some(reason)),
                Err(other) => return Err(other),
            };
            let worked = self.work_out(&known.loaded, &events, rejection.as_ref())?;
            self.attempts += 1;
            match handler.store.append_with(&worked.append, worked.outcome).await {
                Ok((commit, write_time)) => {
                    let (response, impact) = (worked.response, worked.impact);
                    advance(&mut known, &commit, write_time, worked.state);
                    let events = commit.envelopes(&worked.append.metadata, events);
                    if let Some(snapshots) = &handler.snapshots {
                        snapshots.consider(&handler.store, &mut known);
                    }
                    handler.cache.put(&known);
                    if let Some(reason) = rejection {
                        return Err(CommandError::Rejected(reason));
                    }
                    let Loaded { version, state, last_commit, .. } = known.loaded;
                    let commit_id = last_commit.filter(|_| !events.is_empty());
                    return Ok(Reply {
                        aggregate_id: id,
                        version,
                        events,
                        state,
                        response,
                        impact,
                        commit_id,
                        repeated: false,
                    });
                }
                Err(StoreError::Conflict { expected, actual, .. }) => {
                    handler.meters.conflicts.increment(1);
                    // With a remembered state a conflict is no race, only news. So is a head
                    // whose version is the expected one: events do not tell of its commit.
                    let news = std::mem::take(&mut may_be_stale)
                        || (actual == expected && !std::mem::replace(&mut head_only, true));
                    if !news {
                        self.wait_or_give_up(began, expected, actual).await?;
                    }
                    Box::pin(self.refresh(&mut known)).await?;
                    // Reserved, but not written: its writer is slow or gone. Or nothing has
                    // changed but the head: another command was answered without events.
                    if known.loaded.version < actual || actual == expected {
                        Box::pin(self.catch_up(&mut known)).await?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What the domain makes of the command, if the version is the expected one.
    fn decide(&self, loaded: &Loaded<A>) -> Outcome<A, Vec<A::Event>> {
        match self.request.expected_version {
            Some(expected) if expected != loaded.version => Err(CommandError::Conflict {
                aggregate_id: self.request.id,
                expected,
                actual: loaded.version,
                attempts: self.attempts,
            }),
            _ => loaded.state.handle(&self.request.command).map_err(CommandError::Rejected),
        }
    }

    /// Events are; with a key, so is an answer without events, and by setting a refusal.
    fn is_to_be_appended(&self, decision: &Outcome<A, Vec<A::Event>>) -> bool {
        match decision {
            Ok(events) => !events.is_empty() || self.key.is_some(),
            Err(CommandError::Rejected(_)) => self.key.is_some() && self.handler.record_rejections,
            Err(_) => false,
        }
    }

    async fn wait_or_give_up(&self, began: Instant, expected: i64, actual: i64) -> Outcome<A, ()> {
        let (aggregate_id, attempts) = (self.request.id, self.attempts);
        let conflict = Conflicted { aggregate_id, attempts, elapsed: began.elapsed() };
        match self.handler.retry.decide(&conflict) {
            ConflictDecision::RetryAfter(delay) => {
                tokio::time::sleep(delay).await;
                Ok(())
            }
            ConflictDecision::GiveUp => {
                Err(CommandError::Conflict { aggregate_id, expected, actual, attempts })
            }
        }
    }

    async fn refresh(&self, known: &mut Known<A>) -> Result<(), StoreError> {
        let before = known.loaded.version;
        self.handler.store.refresh(&mut known.loaded).await?;
        known.settled &= known.loaded.version == before;
        Ok(())
    }

    /// Finishes what is pending and takes it in; whether there was anything new.
    async fn catch_up(&self, known: &mut Known<A>) -> Result<bool, StoreError> {
        let head = self.handler.store.settle_head(self.request.id).await.map_err(|e| match e {
            // Another command's commit stays pending; this one was not begun.
            StoreError::Indeterminate { source, .. } => {
                StoreError::Unavailable { operation: "finishing a pending commit", source }
            }
            other => other,
        })?;
        let Some(head) = head else { return Ok(false) };
        let before = (known.loaded.version, known.loaded.last_commit);
        self.refresh(known).await?;
        if known.loaded.version == head.sequence_number {
            known.loaded.last_commit = Some(head.commit_id);
            known.settled = true;
        }
        Ok(head.finished || before != (known.loaded.version, known.loaded.last_commit))
    }

    /// The command of the last commit, if its answer has not been seen and may be there.
    fn last_command(&self, known: &Known<A>) -> Option<Uuid> {
        let ttl = self.handler.store.outcome_ttl_micros();
        known.unsettled_command(now_micros().saturating_sub(ttl))
    }

    /// The stored answer, if the command has a key and was answered. Asked after loading: an
    /// answer that is not there belongs to no event that is, once the last commit's is there.
    async fn answered(&self, known: &mut Known<A>) -> Result<Option<StoredOutcome>, StoreError> {
        let own = self.key.as_ref().map(|key| key.command_id(self.request.id));
        loop {
            let last = self.last_command(known);
            let wanted: Vec<Uuid> =
                own.into_iter().chain(last.filter(|last| Some(*last) != own)).collect();
            if wanted.is_empty() {
                return Ok(None);
            }
            let mut found = self.handler.store.outcomes(self.request.id, &wanted).await?;
            if let Some(at) = found.iter().position(|o| Some(o.command_id) == own) {
                return Ok(Some(found.swap_remove(at)));
            }
            if last.is_none() || found.iter().any(|o| Some(o.command_id) == last) {
                known.settled = true;
                return Ok(None);
            }
            let changed = self.catch_up(known).await?;
            if !changed {
                // All that the head promised is there, so this answer has expired.
                known.settled = true;
            }
        }
    }

    /// The reply that was given before.
    async fn repeat(&self, mut known: Known<A>, answered: StoredOutcome) -> Outcome<A> {
        let (id, store) = (self.request.id, &self.handler.store);
        let corrupt = |what: &str| StoreError::Corrupt {
            aggregate_id: id,
            sequence_number: answered.version.unwrap_or(0),
            reason: format!("command_outcomes, command {}: {what}", answered.command_id),
        };
        let same = self.key.as_ref().is_some_and(|key| {
            answered.idempotency_key.as_deref() == Some(&key.text)
                && answered.fingerprint == Some(key.fingerprint)
        });
        if !same {
            let key = self.key.as_ref().map(|key| key.text.clone()).unwrap_or_default();
            return Err(CommandError::KeyReused { aggregate_id: id, key });
        }
        if let Some(message) = answered.rejection {
            return Err(CommandError::RejectedBefore { aggregate_id: id, message });
        }
        let (Some(version), Some(count), Some(response)) =
            (answered.version, answered.events, &answered.response)
        else {
            return Err(corrupt("version, events or response is null").into());
        };
        let impact = match &answered.impact {
            Some(text) => serde_json::from_str(text)
                .map_err(|e| corrupt(&format!("impact does not deserialize: {e}")))?,
            None => Impact::default(),
        };
        if known.loaded.version < version {
            self.refresh(&mut known).await?;
        }
        if known.loaded.version < version {
            // Its answer was visible before its events.
            self.catch_up(&mut known).await?;
        }
        let stored = store.events(id, version - i64::from(count), version).await?;
        if stored.len() as i64 != i64::from(count) {
            return Err(
                corrupt(&format!("of its {count} events {} are there", stored.len())).into()
            );
        }
        let mut events: Vec<EventEnvelope<A::Event>> = Vec::with_capacity(stored.len());
        for event in &stored {
            for part in store.upcasters().upcast(event).map_err(StoreError::from)?.iter() {
                events.push(part.decode().map_err(StoreError::from)?);
            }
        }
        let state = if known.loaded.version == version {
            known.loaded.state.clone()
        } else {
            store.load_at::<A>(id, version).await?.state
        };
        self.handler.cache.put(&known);
        Ok(Reply {
            aggregate_id: id,
            version,
            commit_id: events.first().map(|event| event.commit_id),
            events,
            state,
            response: Payload::from_json_text(response.as_str()),
            impact,
            repeated: true,
        })
    }

    /// The reply to a command without a key that had nothing to do.
    fn unchanged(&self, known: Known<A>) -> Outcome<A> {
        let Loaded { version, state, .. } = known.loaded;
        Ok(Reply {
            aggregate_id: self.request.id,
            version,
            events: Vec::new(),
            response: state.respond(&[]).map_err(|e| unanswerable(&e))?,
            impact: state.impact(&[]),
            state,
            commit_id: None,
            repeated: false,
        })
    }

    /// Everything that a decision means, before anything is sent: what cannot be answered is
    /// not appended either.
    fn work_out(
        &self,
        loaded: &Loaded<A>,
        events: &[A::Event],
        rejection: Option<&A::Error>,
    ) -> Outcome<A, Worked<A>> {
        let captures = A::CAPTURE_STATE != CaptureState::None;
        let capture = |state: &A| -> Outcome<A, Option<Payload>> {
            if !captures {
                return Ok(None);
            }
            Payload::of(state)
                .map(Some)
                .map_err(|e| CommandError::Invalid(format!("the state does not serialize: {e}")))
        };
        let state_before = match A::CAPTURE_STATE {
            CaptureState::BeforeAndAfter if !events.is_empty() => capture(&loaded.state)?,
            _ => None,
        };
        let mut state = loaded.state.clone();
        let mut new_events = Vec::with_capacity(events.len());
        for event in events {
            state.apply(event);
            new_events.push(NewEvent {
                event_id: EventId::new(),
                event_type: event.event_type().into(),
                event_version: event.event_version(),
                payload: event.to_payload().map_err(StoreError::from)?,
                state_after: capture(&state)?,
            });
        }
        let response = state.respond(events).map_err(|e| unanswerable(&e))?;
        let impact = state.impact(events);
        let outcome = match &self.key {
            Some(key) => {
                let told = rejection.is_none();
                let impact = Payload::of(&impact).map_err(|e| unanswerable(&e))?;
                Some(NewOutcome {
                    command_id: key.command_id(self.request.id),
                    idempotency_key: key.text.clone(),
                    fingerprint: key.fingerprint,
                    response: Some(response.clone()).filter(|_| told),
                    impact: Some(impact).filter(|_| told),
                    rejection: rejection.map(ToString::to_string),
                })
            }
            None => None,
        };
        let append = Append {
            aggregate_id: self.request.id,
            aggregate_type: Arc::clone(&self.handler.aggregate_type),
            expected_version: loaded.version,
            last_committed_at: loaded.last_committed_at,
            last_write_time: loaded.last_write_time,
            last_commit: loaded.last_commit,
            state_before,
            events: new_events,
            metadata: self.request.metadata.clone(),
            correlation_id: self.request.correlation_id,
            causation_id: self.request.causation_id,
            created_at: None,
        };
        Ok(Worked { append, outcome, state, response, impact })
    }
}

/// Takes an acknowledged commit in, and the state after it.
fn advance<A: Aggregate>(known: &mut Known<A>, commit: &Commit, write_time: i64, state: A) {
    let Known { loaded, settled, .. } = known;
    loaded.state = state;
    loaded.last_commit = Some(CommitId(commit.commit_id));
    *settled = true;
    if let Some(last) = commit.events.last() {
        loaded.version = commit.last_sequence_number();
        loaded.last_committed_at = last.committed_at;
        loaded.last_write_time = write_time;
    }
}

fn unanswerable<E: std::error::Error>(error: &serde_json::Error) -> CommandError<E> {
    CommandError::Invalid(format!("the response does not serialize: {error}"))
}
