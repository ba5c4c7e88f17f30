//! Headers that every envelope has.

use crate::event::EventEnvelope;
use crate::publisher::Headers;

/// By these, readers of any envelope tell a repetition (`event_id`), the order within an
/// aggregate (`sequence_number`), and the trace that it belongs to.
pub(super) fn identity<'a>(headers: &mut Headers<'a>, event: &'a EventEnvelope) {
    headers.add("event_id", event.event_id.to_string());
    headers.add("sequence_number", event.sequence_number.to_string());
    traceparent(headers, event);
}

/// W3C trace context, <https://www.w3.org/TR/trace-context/>.
pub(super) fn traceparent<'a>(headers: &mut Headers<'a>, event: &'a EventEnvelope) {
    if let Some(traceparent) = &event.metadata.traceparent {
        headers.add("traceparent", traceparent.as_str());
    }
}
