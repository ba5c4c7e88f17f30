//! What a domain says of its events.

use crate::event::{Payload, PayloadError};

/// Something that happened to an aggregate: usually an enum with
/// `#[derive(DomainEvent)]`, a variant per type of event.
///
/// ```
/// use messina::DomainEvent;
///
/// #[derive(Debug, Clone, PartialEq, DomainEvent)]
/// enum OrderEvent {
///     #[event(name = "OrderPlaced", version = 2)]
///     Placed { customer: String, total_cents: i64 },
///     #[event(name = "OrderCancelled")]
///     Cancelled,
/// }
///
/// let event = OrderEvent::Placed { customer: "alfki".into(), total_cents: 1200 };
/// assert_eq!(event.event_type(), "OrderPlaced");
/// assert_eq!(event.event_version(), 2);
/// // The type stands in its own column; the payload is the variant's fields alone.
/// assert_eq!(event.to_payload()?.as_str(), r#"{"customer":"alfki","total_cents":1200}"#);
/// assert_eq!(OrderEvent::from_payload("OrderPlaced", 2, &event.to_payload()?)?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a domain event",
    note = "put `#[derive(messina::DomainEvent)]` on the enum of the aggregate's events"
)]
pub trait DomainEvent: Clone + Send + Sync + Sized + 'static {
    /// Type name and current version of each kind of event.
    const TYPES: &'static [(&'static str, i32)];

    /// The name stored in `event_type`. Stable: old events carry it for ever.
    fn event_type(&self) -> &'static str;

    /// The version of the payload's shape, stored in `event_version`; from 1.
    fn event_version(&self) -> i32;

    /// The fields as JSON.
    ///
    /// # Errors
    /// [`PayloadError::Encode`] when a field refuses to be serialized.
    fn to_payload(&self) -> Result<Payload, PayloadError>;

    /// The event that a stored type, version and payload mean.
    ///
    /// # Errors
    /// [`PayloadError::UnknownType`] and [`PayloadError::UnknownVersion`] for what this
    /// build does not know, [`PayloadError::Decode`] for a payload of another shape.
    fn from_payload(
        event_type: &str,
        event_version: i32,
        payload: &Payload,
    ) -> Result<Self, PayloadError>;
}
