//! An event as a Kafka record: where it goes and what its headers say.

use rdkafka::message::{Header, OwnedHeaders};

use crate::event::EventEnvelope;

/// The topic of an aggregate type: its name in kebab case and `-events`.
///
/// ```
/// assert_eq!(messina::publisher::topic_of("Order"), "order-events");
/// assert_eq!(messina::publisher::topic_of("CustomerAccount"), "customer-account-events");
/// ```
pub fn topic_of(aggregate_type: &str) -> String {
    let mut topic = String::with_capacity(aggregate_type.len() + 8);
    let mut after_lower = false;
    for c in aggregate_type.chars() {
        if !c.is_ascii_alphanumeric() {
            if after_lower {
                topic.push('-');
            }
            after_lower = false;
            continue;
        }
        if c.is_ascii_uppercase() && after_lower {
            topic.push('-');
        }
        topic.push(c.to_ascii_lowercase());
        after_lower = !c.is_ascii_uppercase();
    }
    topic.push_str("-events");
    topic
}

/// Everything that is known of an event beside its payload. Readers tell a repetition by
/// `event_id`, and an aggregate's order by `sequence_number`.
pub(super) fn headers_of(event: &EventEnvelope) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new_with_capacity(8);
    let mut add = |key, value: &str| {
        let all = std::mem::take(&mut headers);
        headers = all.insert(Header { key, value: Some(value) });
    };
    add("event_id", &event.event_id.to_string());
    add("event_type", &event.event_type);
    add("event_version", &event.event_version.to_string());
    add("aggregate_type", &event.aggregate_type);
    add("sequence_number", &event.sequence_number.to_string());
    if let Some(id) = event.correlation_id {
        add("correlation_id", &id.to_string());
    }
    if let Some(id) = event.causation_id {
        add("causation_id", &id.to_string());
    }
    if let Some(traceparent) = &event.metadata.traceparent {
        add("traceparent", traceparent);
    }
    headers
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;
    use crate::ids::CorrelationId;
    use crate::testing::envelope;

    #[test]
    fn headers_say_what_the_event_is() {
        let mut event = envelope("Order", 3);
        event.correlation_id = Some(CorrelationId::new());
        let headers = headers_of(&event);
        let names: Vec<&str> = headers.iter().map(|h| h.key).collect();
        assert_eq!(
            names,
            [
                "event_id",
                "event_type",
                "event_version",
                "aggregate_type",
                "sequence_number",
                "correlation_id"
            ]
        );
        assert_eq!(headers.get(4).value, Some(&b"3"[..]));
    }

    #[test]
    fn names_in_any_case_make_valid_topics() {
        for (aggregate_type, topic) in [
            ("HTTPServer", "httpserver-events"),
            ("order_line", "order-line-events"),
            ("Order2Cash", "order2-cash-events"),
        ] {
            assert_eq!(topic_of(aggregate_type), topic);
        }
    }
}
