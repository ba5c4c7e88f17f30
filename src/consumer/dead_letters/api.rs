//! What people do with dead letters, from any process.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

use super::error::{DeadLetterError, failed};
use super::letter::{DeadLetter, RequestId};
use super::request::{Action, Requests};
use super::rows::BUCKETS;
use super::table::LetterTable;
use crate::ids::AggregateId;
use crate::store::EventStore;

/// One group's dead letters: to look at, to retry, to discard. Works in any process; no
/// handler is needed.
///
/// Retrying and discarding are *requests*. The runner of the aggregate's slice carries them
/// out, within a second or so, in the lane that the aggregate's events go through: so a
/// retried event comes before the later ones, whatever arrives meanwhile. A group that is
/// paused, or that no runner runs, does it when it runs again.
///
/// A parked aggregate goes on when its last letter has gone. A retried event that fails again
/// stays, with its attempts and the new error, and so do those behind it.
///
/// ```no_run
/// # use messina::consumer::{DeadLetters, DeadLetterError};
/// # async fn example(store: &messina::EventStore) -> Result<(), DeadLetterError> {
/// let letters = DeadLetters::connect(store, "order_read_model").await?;
/// let page = letters.list(100, None).await?;
/// for letter in &page.letters {
///     println!("{} {}", letter.event.aggregate_id, letter.errors.join(": "));
/// }
/// if let Some(letter) = page.letters.first() {
///     let request = letters.retry_aggregate(letter.event.aggregate_id).await?;
///     letters.carried_out(request, std::time::Duration::from_secs(10)).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DeadLetters {
    table: LetterTable,
    requests: Requests,
}

/// Some of a group's letters.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetterPage {
    /// An aggregate's letters are next to each other, in order.
    pub letters: Vec<DeadLetter>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<PageToken>,
}

/// A place in the list of a group's letters. As text it is short and may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken {
    bucket: i32,
    after: Option<(AggregateId, i64)>,
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            None => write!(f, "{}", self.bucket),
            Some((id, number)) => write!(f, "{}:{id}:{number}", self.bucket),
        }
    }
}

impl FromStr for PageToken {
    type Err = DeadLetterError;

    fn from_str(text: &str) -> Result<Self, DeadLetterError> {
        let invalid = || DeadLetterError::PageToken(text.to_owned());
        let mut parts = text.split(':');
        let bucket: i32 = parts.next().and_then(|p| p.parse().ok()).ok_or_else(invalid)?;
        let after = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some(id), Some(number), None) => {
                Some((id.parse().map_err(|_| invalid())?, number.parse().map_err(|_| invalid())?))
            }
            _ => return Err(invalid()),
        };
        if !(0..BUCKETS).contains(&bucket) {
            return Err(invalid());
        }
        Ok(Self { bucket, after })
    }
}

impl DeadLetters {
    /// The letters of the group of this name.
    ///
    /// # Errors
    /// [`DeadLetterError::Database`] when the database does not answer.
    pub async fn connect(
        store: &EventStore,
        group: impl AsRef<str>,
    ) -> Result<Self, DeadLetterError> {
        let group = group.as_ref();
        let preparing = "preparing statements";
        Ok(Self {
            table: LetterTable::prepare(store.clone(), group).await.map_err(failed(preparing))?,
            requests: Requests::prepare(store.clone(), group).await.map_err(failed(preparing))?,
        })
    }

    /// The group.
    pub fn group(&self) -> &str {
        &self.table.group
    }

    /// At most `limit` letters (at least one, at most 1000), from where an earlier page
    /// ended.
    ///
    /// # Errors
    /// [`DeadLetterError::Database`], and [`DeadLetterError::Corrupt`] for a row that is not
    /// as it was written.
    pub async fn list(
        &self,
        limit: usize,
        from: Option<&PageToken>,
    ) -> Result<DeadLetterPage, DeadLetterError> {
        let limit = limit.clamp(1, 1000);
        let mut letters: Vec<DeadLetter> = Vec::new();
        let (mut bucket, mut after) = from.map_or((0, None), |token| (token.bucket, token.after));
        while bucket < BUCKETS {
            let room = i32::try_from(limit - letters.len()).unwrap_or(i32::MAX);
            let found = self.table.bucket_page(bucket, after, room).await?;
            letters.extend(found);
            if letters.len() >= limit {
                let last = letters.last();
                let after = last.map(|l| (l.event.aggregate_id, l.event.sequence_number));
                return Ok(DeadLetterPage { letters, next: Some(PageToken { bucket, after }) });
            }
            (bucket, after) = (bucket + 1, None);
        }
        Ok(DeadLetterPage { letters, next: None })
    }

    /// One letter.
    ///
    /// # Errors
    /// [`DeadLetterError::NotFound`]; otherwise as [`DeadLetters::list`].
    pub async fn show(
        &self,
        id: AggregateId,
        sequence_number: i64,
    ) -> Result<DeadLetter, DeadLetterError> {
        let found = self.table.letters(id, sequence_number, sequence_number, 1).await?;
        found.into_iter().next().ok_or_else(|| DeadLetterError::NotFound {
            group: self.group().to_owned(),
            aggregate_id: id,
            sequence_number,
        })
    }

    /// An aggregate's first letters, at most `limit` (at least one, at most 1000), in order.
    ///
    /// # Errors
    /// As [`DeadLetters::list`].
    pub async fn of_aggregate(
        &self,
        id: AggregateId,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        let limit = i32::try_from(limit.clamp(1, 1000)).unwrap_or(1000);
        self.table.letters(id, i64::MIN, i64::MAX, limit).await
    }

    /// Asks for one event to be tried again. For a parked aggregate only its first letter
    /// can be, so that the order stays.
    ///
    /// # Errors
    /// [`DeadLetterError::NotFound`], [`DeadLetterError::NotFirst`]; otherwise as
    /// [`DeadLetters::list`].
    pub async fn retry(
        &self,
        id: AggregateId,
        sequence_number: i64,
    ) -> Result<RequestId, DeadLetterError> {
        let letter = self.show(id, sequence_number).await?;
        if letter.parks {
            match self.table.first_parking(id).await? {
                Some(first) if first < sequence_number => {
                    return Err(DeadLetterError::NotFirst {
                        aggregate_id: id,
                        sequence_number,
                        first,
                    });
                }
                _ => {}
            }
        }
        self.ask(id, Action::Retry, sequence_number, sequence_number).await
    }

    /// Asks for all of an aggregate's letters to be tried again, in order, until one fails.
    ///
    /// # Errors
    /// [`DeadLetterError::NotParked`] when it has none; otherwise as [`DeadLetters::list`].
    pub async fn retry_aggregate(&self, id: AggregateId) -> Result<RequestId, DeadLetterError> {
        self.whole(id, Action::Retry).await
    }

    /// Asks for the letters of every aggregate to be tried again; of how many aggregates.
    ///
    /// # Errors
    /// [`DeadLetterError::Database`]; what has been asked for until then stays asked for.
    pub async fn retry_all(&self) -> Result<usize, DeadLetterError> {
        let mut asked = 0;
        for bucket in 0..BUCKETS {
            let mut ids: Vec<AggregateId> = Vec::new();
            self.table
                .keys_of_bucket(bucket, |key| {
                    if ids.last() != Some(&key.aggregate_id) {
                        ids.push(key.aggregate_id);
                    }
                    ControlFlow::Continue(())
                })
                .await?;
            for id in ids {
                self.requests.post(id, Action::Retry, i64::MIN, i64::MAX).await?;
                asked += 1;
            }
        }
        if asked > 0 {
            self.requests.announce().await?;
        }
        Ok(asked)
    }

    /// Asks for one letter to be deleted: the group never handles this event. Those behind
    /// it stay; retry the aggregate to let it go on.
    ///
    /// A group that crashes within half a minute after the event first came may meet it
    /// again, as any event of its last moments.
    ///
    /// # Errors
    /// [`DeadLetterError::NotFound`]; otherwise as [`DeadLetters::list`].
    pub async fn discard(
        &self,
        id: AggregateId,
        sequence_number: i64,
    ) -> Result<RequestId, DeadLetterError> {
        self.show(id, sequence_number).await?;
        self.ask(id, Action::Discard, sequence_number, sequence_number).await
    }

    /// Asks for all of an aggregate's letters to be deleted; it goes on with its next event.
    ///
    /// # Errors
    /// [`DeadLetterError::NotParked`] when it has none; otherwise as [`DeadLetters::list`].
    pub async fn discard_aggregate(&self, id: AggregateId) -> Result<RequestId, DeadLetterError> {
        self.whole(id, Action::Discard).await
    }

    /// How many requests of the group have not been carried out.
    ///
    /// # Errors
    /// [`DeadLetterError::Database`].
    pub async fn open_requests(&self) -> Result<usize, DeadLetterError> {
        Ok(self.requests.open().await?.len())
    }

    /// Waits until a request has been carried out: whether the events then worked is seen
    /// by which letters are left.
    ///
    /// # Errors
    /// [`DeadLetterError::NotCarriedOut`] after `timeout`; [`DeadLetterError::Database`].
    pub async fn carried_out(
        &self,
        request: RequestId,
        timeout: Duration,
    ) -> Result<(), DeadLetterError> {
        let deadline = Instant::now() + timeout;
        while self.requests.is_open(request).await? {
            if Instant::now() >= deadline {
                let group = self.group().to_owned();
                return Err(DeadLetterError::NotCarriedOut { group, waited: timeout });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn whole(&self, id: AggregateId, action: Action) -> Result<RequestId, DeadLetterError> {
        if self.table.letters(id, i64::MIN, i64::MAX, 1).await?.is_empty() {
            let group = self.group().to_owned();
            return Err(DeadLetterError::NotParked { group, aggregate_id: id });
        }
        self.ask(id, action, i64::MIN, i64::MAX).await
    }

    async fn ask(
        &self,
        id: AggregateId,
        action: Action,
        first: i64,
        last: i64,
    ) -> Result<RequestId, DeadLetterError> {
        let request = self.requests.post(id, action, first, last).await?;
        self.requests.announce().await?;
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_token_survives_as_text() {
        let tokens = [
            PageToken { bucket: 3, after: None },
            PageToken { bucket: 0, after: Some((AggregateId::new(), 7)) },
        ];
        for token in tokens {
            assert_eq!(token.to_string().parse::<PageToken>().unwrap(), token);
        }
        for text in ["", "x", "16", "-1", "1:2", "1:no uuid:3", "1:2:3:4"] {
            assert!(text.parse::<PageToken>().is_err(), "{text}");
        }
    }
}
