//! What a subscription does with a change.

use async_trait::async_trait;

use crate::change::ChangeEvent;
use crate::consumer::HandlerError;

/// Handles a subscription's changes: one at a time per partition key of a table, several
/// partitions at once.
#[async_trait]
pub trait ChangeHandler: Send + Sync + 'static {
    /// Handles a change. It may come again: after a crash, after a write that its client or
    /// a coordinator repeated. What comes again are the last changes, in their order.
    ///
    /// # Errors
    /// [`HandlerError::Retry`]: the change is given again after a while, for ever, and the
    /// later ones of its partition wait. [`HandlerError::Poison`]: the change will not work;
    /// see [`OnPoison`](crate::change::OnPoison).
    async fn handle(&self, change: &ChangeEvent) -> Result<(), HandlerError>;
}

const _: Option<&dyn ChangeHandler> = None;
