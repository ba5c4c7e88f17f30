//! What the domain implements.

use serde::Serialize;

use crate::aggregate::{CaptureState, Impact};
use crate::event::{DomainEvent, Payload};

/// A thing with a history and rules: an order, an account.
///
/// `handle` decides, `apply` remembers. Neither does I/O, so both are tested without a
/// database and may be run again when a concurrent writer was faster.
///
/// The state is `Serialize`, since by default it is what a client is told
/// ([`Aggregate::respond`]); for snapshots it is `Deserialize` as well.
///
/// ```
/// use messina::{Aggregate, DomainEvent};
/// use serde::Serialize;
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
/// #[derive(Default, Clone, Serialize)]
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
pub trait Aggregate: Default + Clone + Serialize + Send + Sync + 'static {
    /// Stored in `aggregate_type`; stable.
    const TYPE: &'static str;
    /// Which states go to the outbox with each event. None unless said otherwise.
    const CAPTURE_STATE: CaptureState = CaptureState::None;
    /// Version of the state's shape, stored with snapshots; those of another version are not
    /// used. Raise it when a state that was stored before would be read wrongly.
    const STATE_VERSION: i32 = 1;
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

    /// What the client is told of a command that was carried out, as JSON; asked of the state
    /// after its events. The state itself unless said otherwise. With an idempotency key it is
    /// stored, and a repeat of the command gets this very text.
    ///
    /// # Errors
    /// What does not turn into JSON; nothing is written then.
    fn respond(&self, events: &[Self::Event]) -> Result<Payload, serde_json::Error> {
        let _ = events;
        Payload::of(self)
    }

    /// What the events touched besides the aggregate itself, for clients that keep what they
    /// were told; asked of the state after the events. Nothing unless said otherwise.
    fn impact(&self, events: &[Self::Event]) -> Impact {
        let _ = events;
        Impact::default()
    }
}
