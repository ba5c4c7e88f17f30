//! The trait that read models implement.

use crate::event::{CorruptEvent, EventEnvelope};
use crate::projection::Writes;

/// Turns events into rows of a read model.
///
/// A projection is a pure function: it is given one event and says what to write, looking
/// at nothing else. So it can be replayed, repeated and rebuilt beside the live group.
/// Let events carry what read models need (the customer, the new total).
pub trait Projection: Send + Sync + 'static {
    /// Its name, which is also its consumer group's.
    fn name(&self) -> &'static str;

    /// The aggregate types whose events it is given.
    fn aggregate_types(&self) -> &'static [&'static str];

    /// The tables it writes, all of them, as the migrations name them: writing to another one
    /// is refused, and a rebuild makes these anew. No other projection writes them.
    fn tables(&self) -> &'static [&'static str];

    /// What `event` changes.
    ///
    /// # Errors
    /// [`ProjectionError`] when the event cannot be read or makes no sense here: the group
    /// stops at it rather than skip it.
    fn handle_event(
        &self,
        event: &EventEnvelope,
        writes: &mut Writes,
    ) -> Result<(), ProjectionError>;
}

/// Why a projection cannot handle an event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// The event's payload is not what its type promises.
    #[error(transparent)]
    Corrupt(Box<CorruptEvent>),
    /// The projection's own reason.
    #[error("{0}")]
    Refused(String),
}

impl From<CorruptEvent> for ProjectionError {
    fn from(error: CorruptEvent) -> Self {
        Self::Corrupt(Box::new(error))
    }
}
