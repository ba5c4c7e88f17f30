//! What a client gets.

use std::borrow::Cow;

use super::ResponseError;
use super::render::{render, write_string};
use super::time::write_rfc3339;
use crate::aggregate::{Aggregate, Touched};
use crate::command::Reply;
use crate::event::Payload;

/// Renders replies of one type of aggregate. Made once, used for every reply.
///
/// ```
/// use messina::Payload;
/// use messina::response::Responder;
///
/// let orders = Responder::new("Order").nested("items", "OrderItem");
/// let response = Payload::from_json_text(r#"{"total_cents":7,"items":[{"unit_price":7}]}"#);
/// assert_eq!(
///     orders.render(&response)?,
///     r#"{"__typename":"Order","totalCents":7,"items":[{"__typename":"OrderItem","unitPrice":7}]}"#
/// );
/// # Ok::<(), messina::response::ResponseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Responder {
    typename: Cow<'static, str>,
    nested: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    verbatim: Vec<Cow<'static, str>>,
}

impl Responder {
    /// Of responses whose outermost objects have this `__typename`.
    pub fn new(typename: impl Into<Cow<'static, str>>) -> Self {
        Self { typename: typename.into(), nested: Vec::new(), verbatim: Vec::new() }
    }

    /// Of responses of this aggregate type: `__typename` is [`Aggregate::TYPE`].
    pub fn of<A: Aggregate>() -> Self {
        Self::new(A::TYPE)
    }

    /// The object in this field, or the objects in its array, have this `__typename`. The
    /// field is named as it is serialized.
    pub fn nested(
        mut self,
        field: impl Into<Cow<'static, str>>,
        typename: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.nested.push((field.into(), typename.into()));
        self
    }

    /// The object in this field is a map whose keys are data: they stay as they are. With
    /// [`Responder::nested`], its values have that type.
    pub fn verbatim(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.verbatim.push(field.into());
        self
    }

    pub(super) fn typename(&self) -> &str {
        &self.typename
    }

    pub(super) fn nested_typename(&self, field: &str) -> Option<&str> {
        self.nested.iter().find(|(name, _)| name == field).map(|(_, typename)| &**typename)
    }

    pub(super) fn is_verbatim(&self, field: &str) -> bool {
        self.verbatim.iter().any(|name| name == field)
    }

    /// JSON with camelCase keys and `__typename`, in one pass.
    ///
    /// # Errors
    /// [`ResponseError`] when it is not JSON.
    pub fn render(&self, response: &Payload) -> Result<String, ResponseError> {
        let json = response.as_str();
        let mut out = String::with_capacity(json.len() + json.len() / 8 + 64);
        render(self, json, &mut out)?;
        Ok(out)
    }

    /// The reply's response, rendered.
    ///
    /// # Errors
    /// As [`Responder::render`].
    pub fn response<A: Aggregate>(&self, reply: &Reply<A>) -> Result<String, ResponseError> {
        self.render(&reply.response)
    }

    /// The reply's response as `data`, and in `cascade` what the command touched, so that a
    /// client can correct what it has: `updated` and `deleted` (`__typename`, `id`; the
    /// aggregate itself with `operation`, `CREATED` or `UPDATED`, and `entity`),
    /// `invalidations` (`queryName`), and `metadata` (`timestamp`, `affectedCount`, and the
    /// last event's `eventId`). A command that changed nothing touched nothing.
    ///
    /// # Errors
    /// As [`Responder::render`].
    pub fn cascade<A: Aggregate>(&self, reply: &Reply<A>) -> Result<String, ResponseError> {
        let data = self.render(&reply.response)?;
        let mut out = String::with_capacity(2 * data.len() + 512);
        out.push_str("{\"data\":");
        out.push_str(&data);
        out.push_str(",\"cascade\":{");
        let changed = !reply.events.is_empty();
        let impact = &reply.impact;
        let itself =
            Touched { typename: self.typename.clone(), id: reply.aggregate_id.to_string() };
        let list = |out: &mut String, name: &str, own: Option<&str>, others: &[Touched]| {
            out.push_str(name);
            let mut first = true;
            if let Some(own) = own {
                write_touched(&itself, own, out);
                first = false;
            }
            for other in others {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                write_touched(other, "", out);
            }
            out.push(']');
        };
        let created = reply.events.first().is_some_and(|event| event.sequence_number == 1);
        let own = format!(
            ",\"operation\":\"{}\",\"entity\":{data}",
            if created { "CREATED" } else { "UPDATED" }
        );
        let updated = (changed && !impact.deletes_itself).then_some(own.as_str());
        list(&mut out, "\"updated\":[", updated, &impact.updated);
        let deleted = (changed && impact.deletes_itself).then_some("");
        list(&mut out, ",\"deleted\":[", deleted, &impact.deleted);
        out.push_str(",\"invalidations\":[");
        for (n, query) in impact.invalidations.iter().enumerate() {
            out.push_str(if n == 0 { "{\"queryName\":" } else { ",{\"queryName\":" });
            write_string(query, &mut out);
            out.push('}');
        }
        let affected = usize::from(changed) + impact.updated.len() + impact.deleted.len();
        out.push_str(&format!("],\"metadata\":{{\"affectedCount\":{affected}"));
        if let Some(last) = reply.events.last() {
            out.push_str(",\"timestamp\":\"");
            write_rfc3339(&mut out, last.created_at);
            out.push_str(&format!("\",\"eventId\":\"{}\"", last.event_id));
        }
        out.push_str("}}}");
        Ok(out)
    }
}

fn write_touched(touched: &Touched, more: &str, out: &mut String) {
    out.push_str("{\"__typename\":");
    write_string(&touched.typename, out);
    out.push_str(",\"id\":");
    write_string(&touched.id, out);
    out.push_str(more);
    out.push('}');
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::DomainEvent;
    use crate::aggregate::Impact;
    use crate::ids::AggregateId;
    use crate::testing::envelope;

    #[derive(Debug, Clone, DomainEvent)]
    enum DoorEvent {
        Opened,
    }

    #[derive(Debug, Clone, Default, Serialize)]
    struct Door;

    impl Aggregate for Door {
        const TYPE: &'static str = "Door";
        type Command = ();
        type Event = DoorEvent;
        type Error = std::convert::Infallible;
        fn handle(&self, (): &()) -> Result<Vec<DoorEvent>, Self::Error> {
            Ok(vec![DoorEvent::Opened])
        }
        fn apply(&mut self, DoorEvent::Opened: &DoorEvent) {}
    }

    fn reply(sequence_numbers: &[i64], impact: Impact) -> Reply<Door> {
        let events = sequence_numbers
            .iter()
            .map(|n| {
                let mut event = envelope("Door", *n).with_event(DoorEvent::Opened);
                event.created_at = 1_795_249_800_123;
                event
            })
            .collect();
        Reply {
            aggregate_id: AggregateId::new(),
            version: 1,
            events,
            state: Door,
            response: Payload::from_json_text(r#"{"is_open":true}"#),
            impact,
            commit_id: None,
            repeated: false,
        }
    }

    fn cascade(reply: &Reply<Door>) -> Value {
        serde_json::from_str(&Responder::of::<Door>().cascade(reply).unwrap()).unwrap()
    }

    #[test]
    fn a_cascade_tells_what_was_touched() {
        let impact = Impact::new()
            .updates("House", "h\"1")
            .updates("Key", "k1")
            .deletes("Lock", "l1")
            .invalidates("openDoors");
        let reply = reply(&[1, 2], impact);
        let id = reply.aggregate_id.to_string();
        let data = json!({ "__typename": "Door", "isOpen": true });
        let own = json!({ "__typename": "Door", "id": id, "operation": "CREATED", "entity": data });
        let expected = json!({
            "data": data,
            "cascade": {
                "updated": [
                    own,
                    { "__typename": "House", "id": "h\"1" },
                    { "__typename": "Key", "id": "k1" },
                ],
                "deleted": [{ "__typename": "Lock", "id": "l1" }],
                "invalidations": [{ "queryName": "openDoors" }],
                "metadata": {
                    "timestamp": "2026-11-21T08:30:00.123Z",
                    "affectedCount": 4,
                    "eventId": reply.events[1].event_id.to_string(),
                },
            },
        });
        assert_eq!(cascade(&reply), expected);
    }

    #[test]
    fn what_deletes_itself_is_deleted_and_what_changed_nothing_touched_nothing() {
        let reply_to_deletion = reply(&[7], Impact::new().deletes_itself());
        let told = cascade(&reply_to_deletion);
        assert_eq!(told["cascade"]["updated"], json!([]));
        assert_eq!(told["cascade"]["deleted"][0]["__typename"], "Door");
        let told = cascade(&reply(&[], Impact::new()));
        assert_eq!(told["cascade"]["metadata"], json!({ "affectedCount": 0 }));
        assert_eq!(told["cascade"]["updated"], json!([]));
    }
}
