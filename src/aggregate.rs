//! Aggregates: the unit of consistency. Decisions are pure functions of state and command.

use crate::event::{DomainEvent, EventEnvelope};
use crate::ids::AggregateId;

/// A thing with a history and rules: an order, an account.
///
/// `handle` decides, `apply` remembers. Neither does I/O, so both are tested without a
/// database and may be run again when a concurrent writer was faster.
///
/// ```
/// use messina::{Aggregate, DomainEvent};
///
/// #[derive(Clone, Debug, DomainEvent)]
/// enum DoorEvent { Opened, Closed }
///
/// #[derive(Debug)]
/// enum DoorCommand { Open, Close }
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the door is already {0}")]
/// struct Already(&'static str);
///
/// #[derive(Default, Clone)]
/// struct Door { open: bool }
///
/// impl Aggregate for Door {
///     const TYPE: &'static str = "Door";
///     type Command = DoorCommand;
///     type Event = DoorEvent;
///     type Error = Already;
///
///     fn handle(&self, command: &DoorCommand) -> Result<Vec<DoorEvent>, Already> {
///         match command {
///             DoorCommand::Open if self.open => Err(Already("open")),
///             DoorCommand::Open => Ok(vec![DoorEvent::Opened]),
///             DoorCommand::Close if !self.open => Err(Already("closed")),
///             DoorCommand::Close => Ok(vec![DoorEvent::Closed]),
///         }
///     }
///
///     fn apply(&mut self, event: &DoorEvent) {
///         self.open = matches!(event, DoorEvent::Opened);
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an aggregate",
    note = "implement `messina::Aggregate`: `handle` decides, `apply` remembers"
)]
pub trait Aggregate: Default + Clone + Send + Sync + 'static {
    /// Stored in `aggregate_type`; stable.
    const TYPE: &'static str;
    /// What it can be asked to do.
    type Command: Send + Sync;
    /// What can happen to it.
    type Event: DomainEvent;
    /// Why it refuses a command.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Decides: the events that the command leads to (possibly none), or a refusal.
    ///
    /// # Errors
    /// The domain's own reason; nothing is written then.
    fn handle(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// Takes an event into the state. Infallible: it has happened.
    fn apply(&mut self, event: &Self::Event);
}

/// An aggregate with its place in time, as loaded from `event_store`.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// Which one.
    pub id: AggregateId,
    /// Its state after `version` events.
    pub state: A,
    /// Sequence number of its last event; 0: it has none yet.
    pub version: i64,
    /// `committed_at` of its last event, µs; 0 without events.
    pub last_committed_at: i64,
    /// Write timestamp of its last event, µs; 0 without events.
    pub last_write_time: i64,
}

impl<A: Aggregate> Loaded<A> {
    /// An aggregate without history.
    pub fn new(id: AggregateId) -> Self {
        Self { id, state: A::default(), version: 0, last_committed_at: 0, last_write_time: 0 }
    }

    /// Takes the next event in.
    pub fn apply(&mut self, envelope: &EventEnvelope<A::Event>) {
        self.state.apply(&envelope.event);
        self.version = envelope.sequence_number;
        self.last_committed_at = envelope.committed_at;
    }
}
