//! Effects that must not be repeated: claimed before, confirmed after.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::consumer::HandlerError;
use crate::consumer::once_table::{Claim, OnceTable, Place};
use crate::event::EventEnvelope;
use crate::store::{Backoff, DatabaseError, EventStore, is_transient};

/// How long a request to the database is repeated before it is given up. 10 s, as an append.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many claims are remembered whose outcome could not be written down. More handlers
/// than this do not wait for one database.
const REMEMBERED: usize = 10_000;

/// Names an event's effect in a group: the same at every attempt, in every process. Hand it
/// to whoever is called as their idempotency key, and the effect is there exactly once.
pub type OnceKey = Uuid;

/// What to do about an effect that was begun and whose end nobody wrote down: the process
/// died in between, and only the other side knows how far it had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unconfirmed {
    /// Do not begin again; say [`Ran::Unconfirmed`]. The effect happens *at most once*, and
    /// the handler is told of each that may not have happened. The default: what this is
    /// for does not bear repetition.
    Report,
    /// Begin again when the claim is this old. The effect happens *at least once*; repeated
    /// only after a crash, not after every redelivery. Longer than the effect may take: a
    /// younger claim may still be at work elsewhere.
    RunAfter(Duration),
}

/// What became of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran<T> {
    /// It was carried out now, with this result.
    Now(T),
    /// It had been carried out before.
    Before,
    /// It was begun at this time and is neither confirmed nor known to have failed. Ask the
    /// other side, then [`Once::confirm`] or [`Once::release`].
    Unconfirmed {
        /// When it was begun.
        since: SystemTime,
    },
}

/// Why an effect was not carried out, or not written down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnceError<E> {
    /// The effect itself failed, and says that it did not happen: the next attempt begins it
    /// again.
    #[error("{0}")]
    Effect(E),
    /// Another attempt has begun it and may still be at work.
    #[error("the effect was begun elsewhere {since:?} ago and may still be at work")]
    Busy {
        /// How long ago.
        since: Duration,
    },
    /// `handled_once` does not answer. If the effect was carried out, this process remembers
    /// and the next attempt only confirms it; if the process ends first, it is
    /// [`Ran::Unconfirmed`].
    #[error("handled_once: {0}")]
    Unavailable(DatabaseError),
}

impl<E> From<OnceError<E>> for HandlerError
where
    E: Into<HandlerError> + Error + Send + Sync + 'static,
{
    fn from(error: OnceError<E>) -> Self {
        match error {
            OnceError::Effect(error) => error.into(),
            OnceError::Unavailable(error) if !is_transient(&error) => Self::poison(error),
            error => Self::retry(error.to_string()),
        }
    }
}

/// Carries effects out once per event: calls to other systems, counters, mails.
///
/// An effect is *claimed* in `handled_once` by a lightweight transaction, carried out, then
/// *confirmed*. Its key is (group, aggregate, sequence number,
/// event id: the parts that an upcaster splits an event into have effects of their own).
///
/// What is guaranteed: a confirmed effect is not begun again, however often its event is
/// delivered, by however many processes. What is not, and cannot be from here: that an
/// effect whose process died between carrying it out and confirming it happened exactly
/// once. [`Unconfirmed`] says which way to err; the [`OnceKey`] closes the gap with others
/// that know idempotency keys.
///
/// ```no_run
/// # use messina::consumer::{EventHandler, Handled, HandlerError, Once, Ran};
/// # use messina::EventEnvelope;
/// # struct Bank;
/// # impl Bank { async fn charge(&self, _: uuid::Uuid) -> Result<(), HandlerError> { Ok(()) } }
/// struct Charges {
///     once: Once,
///     bank: Bank,
/// }
///
/// #[async_trait::async_trait]
/// impl EventHandler for Charges {
///     async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
///         match self.once.run(event, |key| self.bank.charge(key)).await? {
///             Ran::Now(()) | Ran::Before => Ok(Handled::Done),
///             Ran::Unconfirmed { since } => {
///                 Err(HandlerError::poison(format!("charged or not, since {since:?}?")))
///             }
///         }
///     }
/// }
/// ```
pub struct Once {
    table: OnceTable,
    unconfirmed: Unconfirmed,
    /// Claims of this process whose end could not be written down, and that end.
    ends: Mutex<HashMap<Place, (Uuid, End)>>,
}

/// How an effect ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Happened,
    Failed,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("group", &self.table.group())
            .field("unconfirmed", &self.unconfirmed)
            .finish_non_exhaustive()
    }
}

impl Once {
    /// Effects of this group, remembered for a week: longer than a letter lies about before
    /// it is looked at, and no archive.
    ///
    /// # Errors
    /// [`DatabaseError`] when the database does not answer.
    pub async fn connect(
        store: &EventStore,
        group: impl Into<String>,
    ) -> Result<Self, DatabaseError> {
        let table = OnceTable::prepare(store, group.into()).await?;
        Ok(Self { table, unconfirmed: Unconfirmed::Report, ends: Mutex::default() })
    }

    /// What to do about effects that were begun and not confirmed.
    #[must_use]
    pub fn unconfirmed(mut self, unconfirmed: Unconfirmed) -> Self {
        self.unconfirmed = unconfirmed;
        self
    }

    /// How long an effect is remembered; an event delivered after that has its effect again.
    /// At least a second; kept in whole seconds, 20 years at most (ScyllaDB's own limit,
    /// `max_ttl`).
    #[must_use]
    pub fn remembered_for(mut self, ttl: Duration) -> Self {
        self.table.set_ttl(ttl);
        self
    }

    /// Carries the effect of an event out, unless that has been done.
    ///
    /// `effect` returns an error only if it did *not* happen: then the claim is given back
    /// and the next attempt begins again. Who does not know (a timeout) returns what it is
    /// asked again with: see [`OnceKey`]. A panic, and a future that is dropped half-way,
    /// leave the effect unconfirmed.
    ///
    /// # Errors
    /// See [`OnceError`]. All of them turn into a [`HandlerError`] by `?`.
    pub async fn run<T, E, F>(
        &self,
        event: &EventEnvelope,
        effect: impl FnOnce(OnceKey) -> F,
    ) -> Result<Ran<T>, OnceError<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let place = place_of(event);
        let claim = match self.claim(place).await? {
            Claimed::Ours(claim) => claim,
            Claimed::Before => return Ok(Ran::Before),
            Claimed::Unconfirmed { since } => return Ok(Ran::Unconfirmed { since }),
        };
        match effect(self.table.key(place)).await {
            Ok(value) => {
                self.end(place, claim, End::Happened).await.map_err(OnceError::Unavailable)?;
                Ok(Ran::Now(value))
            }
            Err(error) => {
                if let Err(kept) = self.end(place, claim, End::Failed).await {
                    tracing::warn!(
                        group = %self.table.group(),
                        aggregate_id = %event.aggregate_id,
                        sequence_number = event.sequence_number,
                        error = %kept,
                        "the claim of an effect that failed is not given back yet"
                    );
                }
                Err(OnceError::Effect(error))
            }
        }
    }

    /// Writes down that the unconfirmed effect of this event happened.
    ///
    /// # Errors
    /// [`DatabaseError`] when the database does not answer.
    pub async fn confirm(&self, event: &EventEnvelope) -> Result<(), DatabaseError> {
        self.settle(event, End::Happened).await
    }

    /// Writes down that the unconfirmed effect of this event did not happen: the next
    /// delivery begins it again.
    ///
    /// # Errors
    /// [`DatabaseError`] when the database does not answer.
    pub async fn release(&self, event: &EventEnvelope) -> Result<(), DatabaseError> {
        self.settle(event, End::Failed).await
    }

    async fn settle(&self, event: &EventEnvelope, end: End) -> Result<(), DatabaseError> {
        let place = place_of(event);
        match repeated(|| self.table.read(place)).await? {
            Some(Claim { claim, done: false, .. }) => self.end(place, claim, end).await,
            _ => Ok(()),
        }
    }

    /// Takes the effect for this attempt, or finds what became of an earlier one.
    async fn claim<E>(&self, place: Place) -> Result<Claimed, OnceError<E>> {
        let known = self.ends.lock().get(&place).copied();
        if let Some((claim, end)) = known {
            self.end(place, claim, end).await.map_err(OnceError::Unavailable)?;
            if end == End::Happened {
                return Ok(Claimed::Before);
            }
        }
        let own = Uuid::now_v7();
        loop {
            if repeated(|| self.table.claim(place, own)).await.map_err(OnceError::Unavailable)? {
                return Ok(Claimed::Ours(own));
            }
            let found =
                repeated(|| self.table.read(place)).await.map_err(OnceError::Unavailable)?;
            match found {
                // Given back, or past its time, since.
                None => {}
                Some(found) if found.claim == own => return Ok(Claimed::Ours(own)),
                Some(found) if found.done => return Ok(Claimed::Before),
                Some(found) => match self.unconfirmed {
                    Unconfirmed::Report => {
                        return Ok(Claimed::Unconfirmed { since: found.since });
                    }
                    Unconfirmed::RunAfter(age) => {
                        let since = found.since.elapsed().unwrap_or_default();
                        if since < age {
                            return Err(OnceError::Busy { since });
                        }
                        // Whoever else takes it over changes the claim: one succeeds.
                        let taken = repeated(|| self.table.take_over(place, found.claim, own))
                            .await
                            .map_err(OnceError::Unavailable)?;
                        if taken {
                            return Ok(Claimed::Ours(own));
                        }
                    }
                },
            }
        }
    }

    /// Writes the end of an effect down. What cannot be written is remembered for the next
    /// attempt in this process.
    async fn end(&self, place: Place, claim: Uuid, end: End) -> Result<(), DatabaseError> {
        let written = repeated(|| async {
            match end {
                End::Happened => self.table.confirm(place, claim).await,
                End::Failed => self.table.release(place, claim).await,
            }
        })
        .await;
        let mut ends = self.ends.lock();
        match written {
            Ok(()) => {
                ends.remove(&place);
                Ok(())
            }
            Err(error) => {
                if ends.len() < REMEMBERED || ends.contains_key(&place) {
                    ends.insert(place, (claim, end));
                }
                Err(error)
            }
        }
    }
}

fn place_of(event: &EventEnvelope) -> Place {
    (event.aggregate_id, event.sequence_number, event.event_id)
}

/// What a claim found.
enum Claimed {
    Ours(Uuid),
    Before,
    Unconfirmed { since: SystemTime },
}

/// Repeats a request that may succeed a moment later. Every request here may be repeated: it
/// is conditional on a claim that is its own.
async fn repeated<T, F: Future<Output = Result<T, DatabaseError>>>(
    request: impl Fn() -> F,
) -> Result<T, DatabaseError> {
    let began = tokio::time::Instant::now();
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
    loop {
        match request().await {
            Err(error) if is_transient(&error) && began.elapsed() < PATIENCE => {
                backoff.wait().await;
            }
            result => return result,
        }
    }
}
