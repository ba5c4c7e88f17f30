//! Which states of an aggregate go to the outbox with its events.

/// Which states go to the outbox with each event, as JSON, for publishers that send what was
/// and what is. Set by [`Aggregate::CAPTURE_STATE`](crate::Aggregate::CAPTURE_STATE).
///
/// A state counts towards the size of a commit (see
/// [`StoreSettings::max_batch_bytes`](crate::store::StoreSettings)), once per event and column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureState {
    /// None: events say what happened, and that is enough. The default, since states are
    /// mostly larger than events.
    #[default]
    None,
    /// The state after each event, in `state_after`.
    After,
    /// Also the state before it, in `state_before`.
    BeforeAndAfter,
}
