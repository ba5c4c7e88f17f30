//! A command and its circumstances.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use serde::Serialize;

use crate::aggregate::Aggregate;
use crate::command::key::IdempotencyKey;
use crate::command::run::Run;
use crate::command::{CommandError, CommandHandler, Reply};
use crate::event::{EventEnvelope, Metadata};
use crate::ids::{AggregateId, CausationId, CorrelationId, EventId};

/// A command on its way. See [`CommandHandler::execute`].
#[must_use = "a command is carried out when it is awaited"]
pub struct Execute<'h, A: Aggregate> {
    handler: &'h CommandHandler<A>,
    request: Request<A>,
    key: Result<Option<IdempotencyKey>, String>,
}

/// A command and what is to be stored with its events.
pub(super) struct Request<A: Aggregate> {
    pub(super) id: AggregateId,
    pub(super) command: A::Command,
    pub(super) metadata: Metadata,
    pub(super) correlation_id: Option<CorrelationId>,
    pub(super) causation_id: Option<CausationId>,
    pub(super) expected_version: Option<i64>,
}

impl<'h, A: Aggregate> Execute<'h, A> {
    pub(super) fn new(
        handler: &'h CommandHandler<A>,
        id: AggregateId,
        command: A::Command,
    ) -> Self {
        let request = Request {
            id,
            command,
            metadata: Metadata::default(),
            correlation_id: None,
            causation_id: None,
            expected_version: None,
        };
        Self { handler, request, key: Ok(None) }
    }

    /// The request that it belongs to.
    pub fn correlation_id(mut self, id: CorrelationId) -> Self {
        self.request.correlation_id = Some(id);
        self
    }

    /// What caused it.
    pub fn causation_id(mut self, id: CausationId) -> Self {
        self.request.causation_id = Some(id);
        self
    }

    /// The event that caused it: its id becomes the causation id, its correlation id is
    /// carried on.
    pub fn caused_by<E>(mut self, event: &EventEnvelope<E>) -> Self {
        self.request.causation_id = Some(EventId::into(event.event_id));
        self.request.correlation_id = self.request.correlation_id.or(event.correlation_id);
        self
    }

    /// Who asks.
    pub fn user(mut self, user_id: impl Into<String>) -> Self {
        self.request.metadata.user_id = Some(user_id.into());
        self
    }

    /// Another fact to be stored with the events.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.metadata.set(key, value);
        self
    }

    /// Refuse if the aggregate is at another version, instead of deciding again.
    pub fn expected_version(mut self, version: i64) -> Self {
        self.request.expected_version = Some(version);
        self
    }

    /// The client's name for this command on this aggregate, 1 to 255 bytes: however often it
    /// is sent, at once or within
    /// [`outcome_ttl`](crate::store::StoreSettings::outcome_ttl), it is carried out once, and
    /// every repeat gets the reply of that one time. It costs a read, and one row in the
    /// commit's batch; a command that changes nothing costs a reservation, too.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self
    where
        A::Command: Serialize,
    {
        self.key = IdempotencyKey::new(key.into(), &self.request.command).map(Some);
        self
    }
}

impl<'h, A: Aggregate> IntoFuture for Execute<'h, A> {
    type Output = Result<Reply<A>, CommandError<A::Error>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'h>>;

    fn into_future(self) -> Self::IntoFuture {
        let Execute { handler, request, key } = self;
        Box::pin(async move {
            let key = key.map_err(CommandError::Invalid)?;
            Run::new(&handler.inner, request, key).run().await
        })
    }
}
