//! What a group does with an event.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::event::EventEnvelope;

/// Handles a group's events, one at a time per aggregate, several aggregates at once.
#[async_trait]
pub trait EventHandler: Send + Sync + 'static {
    /// Whether events of this type of aggregate are wanted; others count as done unseen.
    fn accepts(&self, aggregate_type: &str) -> bool {
        let _ = aggregate_type;
        true
    }

    /// Whether the handler takes events as they are stored and sees to upcasting itself, as
    /// projections do: what they write of a split event is one batch. Otherwise the group
    /// does it, and [`EventHandler::handle`] is called once for each of the parts.
    #[doc(hidden)]
    fn upcasts(&self) -> bool {
        false
    }

    /// Handles an event. It may come again: after a crash, after a repeated write. What
    /// comes again are an aggregate's last events, in their order.
    ///
    /// # Errors
    /// [`HandlerError::Retry`]: the event is given again after a while, for ever.
    /// [`HandlerError::Poison`]: the event will not work. It is tried a few times, and then
    /// what the group's [`PoisonPolicy`](crate::consumer::PoisonPolicy) says; so is an event
    /// whose handling panics.
    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError>;
}

/// A handler that is chosen at run time, or shared.
#[async_trait]
impl<H: EventHandler + ?Sized> EventHandler for Arc<H> {
    fn accepts(&self, aggregate_type: &str) -> bool {
        (**self).accepts(aggregate_type)
    }

    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        (**self).handle(event).await
    }
}

/// How far handling has come when [`EventHandler::handle`] returns.
pub enum Handled {
    /// The event is done.
    Done,
    /// The event is on its way, in order; it is done when this future says so. The next
    /// event of the aggregate may be handled meanwhile. If the future fails with
    /// [`HandlerError::Retry`], the group begins again at its checkpoint.
    Pending(BoxFuture<'static, Result<(), HandlerError>>),
}

impl fmt::Debug for Handled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Handled::Done => "Done",
            Handled::Pending(_) => "Pending",
        })
    }
}

/// Why an event was not handled.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// Something else is at fault (a database or broker is away) and will be back.
    #[error("{0}")]
    Retry(#[source] Box<dyn Error + Send + Sync>),
    /// The event itself is at fault, or the handler.
    #[error("{0}")]
    Poison(#[source] Box<dyn Error + Send + Sync>),
}

impl HandlerError {
    /// [`HandlerError::Retry`] with this reason.
    pub fn retry(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Retry(reason.into())
    }

    /// [`HandlerError::Poison`] with this reason.
    pub fn poison(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Poison(reason.into())
    }
}
