//! Where messages go.

use async_trait::async_trait;

use crate::consumer::{Handled, HandlerError};
use crate::publisher::Message;

/// Takes messages over and says when they have arrived.
///
/// A sink is called with an aggregate's messages one after the other, in order, and with
/// those of several aggregates at once.
///
/// ```
/// use async_trait::async_trait;
/// use messina::consumer::{Handled, HandlerError};
/// use messina::publisher::{Message, Publisher, Sink};
///
/// struct Lengths(tokio::sync::mpsc::Sender<usize>);
///
/// #[async_trait]
/// impl Sink for Lengths {
///     async fn send(&self, message: Message<'_>) -> Result<Handled, HandlerError> {
///         // A failure of the receiving side is tried again, for ever.
///         self.0.send(message.value.len()).await.map_err(HandlerError::retry)?;
///         Ok(Handled::Done)
///     }
/// }
///
/// # let (sender, _receiver) = tokio::sync::mpsc::channel(1);
/// let publisher = Publisher::new(Lengths(sender));
/// ```
#[async_trait]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a sink",
    note = "implement `messina::publisher::Sink`: `send` takes a message over"
)]
pub trait Sink: Send + Sync + 'static {
    /// Sends a message.
    ///
    /// [`Handled::Done`]: it has arrived. [`Handled::Pending`]: it is on its way, and later
    /// messages of its aggregate will not overtake it; only sinks that can promise this
    /// return it.
    ///
    /// # Errors
    /// [`HandlerError::Retry`]: the other side is away or busy; the message comes again.
    /// [`HandlerError::Poison`]: the other side refuses this message for good; the reason is
    /// what it said.
    async fn send(&self, message: Message<'_>) -> Result<Handled, HandlerError>;
}

const _OBJECT_SAFE: fn(&dyn Sink) = |_| {};

#[async_trait]
impl Sink for Box<dyn Sink> {
    async fn send(&self, message: Message<'_>) -> Result<Handled, HandlerError> {
        (**self).send(message).await
    }
}
