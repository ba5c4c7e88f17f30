//! What a process manager is.

use std::error::Error;

use crate::event::{CorruptEvent, EventEnvelope};
use crate::ids::AggregateId;
use crate::process::Commands;

/// Decides which commands an event calls for. Pure, as decisions of aggregates are: no I/O,
/// no clock, the same commands in the same order whenever the event comes.
///
/// A process that has to remember something (which of two events has come) is an aggregate:
/// send what came to it, and react to its events.
///
/// ```
/// use messina::process::{Commands, ProcessError, ProcessManager};
/// use messina::{Aggregate, AggregateId, DomainEvent, EventEnvelope};
/// use serde::Serialize;
///
/// # #[derive(Debug, Clone, DomainEvent)]
/// # enum PaymentEvent { Received { order_id: AggregateId } }
/// # #[derive(Debug, Clone, DomainEvent)]
/// # enum OrderEvent { Shipped }
/// # #[derive(Default, Clone, Serialize, serde::Deserialize)]
/// # struct Order;
/// #[derive(Debug, Serialize)]
/// enum OrderCommand { Ship }
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "Order";
/// #     type Command = OrderCommand;
/// #     type Event = OrderEvent;
/// #     type Error = std::fmt::Error;
/// #     fn handle(&self, _: &OrderCommand) -> Result<Vec<OrderEvent>, std::fmt::Error> { Ok(vec![]) }
/// #     fn apply(&mut self, _: &OrderEvent) {}
/// # }
///
/// struct ShipWhenPaid;
///
/// impl ProcessManager for ShipWhenPaid {
///     fn name(&self) -> &'static str {
///         "ship_when_paid"
///     }
///     fn aggregate_types(&self) -> &'static [&'static str] {
///         &["Payment"]
///     }
///     fn react(&self, event: &EventEnvelope, commands: &mut Commands) -> Result<(), ProcessError> {
///         let PaymentEvent::Received { order_id } = event.decode_event()?;
///         commands.send::<Order>(order_id, OrderCommand::Ship);
///         Ok(())
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a process manager",
    note = "implement `messina::process::ProcessManager`: `react` collects the commands"
)]
pub trait ProcessManager: Send + Sync + 'static {
    /// Its name, and its group's: stable, since the commands' idempotency keys begin with it.
    /// At most 200 bytes.
    fn name(&self) -> &'static str;

    /// Types of the aggregates whose events it reacts to.
    fn aggregate_types(&self) -> &'static [&'static str];

    /// Collects the commands that the event calls for, possibly none.
    ///
    /// # Errors
    /// [`ProcessError`]: the event is poison to the group.
    fn react(&self, event: &EventEnvelope, commands: &mut Commands) -> Result<(), ProcessError>;

    /// Told of a command that its aggregate refused; collects what is to be done about it, by
    /// default nothing. The event counts as handled then: a refusal is an answer. (It is
    /// logged as a warning in any case.)
    ///
    /// If commands are collected here, let the refusing aggregate's
    /// [`CommandHandler`](crate::CommandHandler) record rejections: otherwise, after a crash,
    /// what was refused may be accepted when the event comes again, and both are done.
    ///
    /// # Errors
    /// [`ProcessError`]: the event is poison to the group.
    fn rejected(
        &self,
        event: &EventEnvelope,
        rejection: &Rejection,
        commands: &mut Commands,
    ) -> Result<(), ProcessError> {
        let _ = (event, rejection, commands);
        Ok(())
    }
}

const _: Option<&dyn ProcessManager> = None;

/// A command that its aggregate refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// Type of the aggregate.
    pub aggregate_type: &'static str,
    /// Which aggregate.
    pub aggregate_id: AggregateId,
    /// Place among the commands that [`ProcessManager::react`] collected, from 0.
    pub place: usize,
    /// What the aggregate said.
    pub reason: String,
}

/// Why an event calls for no commands that could be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The event cannot be read.
    #[error(transparent)]
    Corrupt(#[from] Box<CorruptEvent>),
    /// The process cannot deal with it.
    #[error("{0}")]
    Refused(String),
}

impl From<CorruptEvent> for ProcessError {
    fn from(error: CorruptEvent) -> Self {
        Self::Corrupt(Box::new(error))
    }
}

impl ProcessError {
    /// [`ProcessError::Refused`] with this reason.
    pub fn refused(reason: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Refused(reason.into().to_string())
    }
}
