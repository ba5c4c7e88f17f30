//! Upcasters at work.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::builder::{Change, Step, Upcasted, UpcastersBuilder};
use crate::event::{CorruptEvent, DomainEvent, EventEnvelope, Payload, PayloadError};
use crate::ids::EventId;

/// What one stored event may become at most: an event has 10 µs of logical time to itself,
/// and each of its parts a `committed_at` of its own.
const MAX_PARTS: usize = 10;

/// Where a type and version stand.
pub(super) enum Place {
    /// An event of today.
    Current,
    /// An event of the past.
    Step(Step),
}

/// By type and version.
pub(super) type Places = BTreeMap<Box<str>, BTreeMap<i32, Place>>;

/// Leads stored events of earlier types and versions to those of today.
///
/// Registered once, with the store ([`EventStore::with_upcasters`]); from there it reaches
/// whatever reads events: loading, consumer groups, projections, rebuilds. Stored events
/// never change. Of the steps each leads one type and version to others, and they are
/// chained until an event of today is reached.
///
/// ```
/// use messina::event::{Upcasted, Upcasters};
/// use messina::{DomainEvent, EventEnvelope, Payload};
///
/// #[derive(Debug, Clone, PartialEq, DomainEvent)]
/// enum OrderEvent {
///     #[event(version = 2)]
///     Placed { customer: String, currency: String },
///     ItemAdded { sku: String },
/// }
///
/// let upcasters = Upcasters::builder()
///     .events::<OrderEvent>("Order", |steps| {
///         steps
///             // Version 1 had no currency.
///             .revise("Placed", 1, |fields| {
///                 fields.insert("currency".to_owned(), "EUR".into());
///                 Ok(())
///             })
///             // What was one event is two now.
///             .split(("PlacedWithItem", 1), &[("Placed", 1), ("ItemAdded", 1)], |old| {
///                 Ok(vec![
///                     Upcasted::new("Placed", 1, serde_json::json!({ "customer": old["customer"] })),
///                     Upcasted::new("ItemAdded", 1, serde_json::json!({ "sku": old["sku"] })),
///                 ])
///             })
///             .drop("Looked", 1)
///     })
///     .build()?;
///
/// let mut stored = messina::testing::envelope("Order", 1);
/// stored.event_type = "PlacedWithItem".into();
/// stored.event = Payload::from_json_text(r#"{"customer":"alfki","sku":"tofu"}"#);
/// let events = upcasters.events::<OrderEvent>(&stored)?;
/// assert_eq!(events, [
///     OrderEvent::Placed { customer: "alfki".into(), currency: "EUR".into() },
///     OrderEvent::ItemAdded { sku: "tofu".into() },
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`EventStore::with_upcasters`]: crate::EventStore::with_upcasters
#[derive(Default)]
pub struct Upcasters {
    aggregates: HashMap<Box<str>, Places>,
}

impl Upcasters {
    /// Upcasters to be told.
    pub fn builder() -> UpcastersBuilder {
        UpcastersBuilder::default()
    }

    /// After the check.
    pub(super) fn of(aggregates: HashMap<Box<str>, Places>) -> Self {
        Self { aggregates }
    }

    /// What a stored event is today: usually itself, borrowed; or what the steps make of it.
    ///
    /// The parts of a split event share its sequence number, commit and `created_at`. The
    /// first keeps its event id, the others have one derived from it and their place, the
    /// same at every reading; `committed_at` grows by 1 µs from part to part. Aggregates of
    /// types that were not registered are not looked at.
    ///
    /// # Errors
    /// [`CorruptEvent`] for a type or version that is neither today's nor a step's, and for
    /// a step that fails.
    pub fn upcast<'e>(
        &self,
        stored: &'e EventEnvelope,
    ) -> Result<Cow<'e, [EventEnvelope]>, CorruptEvent> {
        let as_it_is = Cow::Borrowed(std::slice::from_ref(stored));
        let Some(places) = self.aggregates.get(&*stored.aggregate_type) else {
            return Ok(as_it_is);
        };
        let step = match place(places, &stored.event_type, stored.event_version) {
            Ok(Place::Current) => return Ok(as_it_is),
            Ok(Place::Step(step)) => step,
            Err(source) => return Err(stored.corrupt(source)),
        };
        let current = follow(places, step, stored).map_err(|source| stored.corrupt(source))?;
        let parts = current.into_iter().zip(0_i64..);
        Ok(Cow::Owned(parts.map(|(part, n)| envelope_of(stored, part, n)).collect()))
    }

    /// The events that a stored one is today, as the domain knows them.
    ///
    /// # Errors
    /// As [`Upcasters::upcast`], and for a payload that is not what its type promises.
    pub fn events<E: DomainEvent>(&self, stored: &EventEnvelope) -> Result<Vec<E>, CorruptEvent> {
        self.upcast(stored)?.iter().map(EventEnvelope::decode_event).collect()
    }
}

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps = |places: &Places| {
            places
                .values()
                .flat_map(|versions| versions.values())
                .filter(|place| matches!(place, Place::Step(_)))
                .count()
        };
        f.debug_map().entries(self.aggregates.iter().map(|(name, p)| (name, steps(p)))).finish()
    }
}

/// Where a type and version stand.
fn place<'p>(
    places: &'p Places,
    event_type: &str,
    event_version: i32,
) -> Result<&'p Place, PayloadError> {
    let Some(versions) = places.get(event_type) else {
        return Err(PayloadError::UnknownType { event_type: event_type.to_owned() });
    };
    versions.get(&event_version).ok_or_else(|| PayloadError::UnknownVersion {
        event_type: event_type.to_owned(),
        event_version,
    })
}

/// Takes a step, and those that follow, until all is of today. Ends, since the check has
/// found no circle.
fn follow(
    places: &Places,
    first: &Step,
    stored: &EventEnvelope,
) -> Result<Vec<Upcasted>, PayloadError> {
    let payload =
        serde_json::from_str(stored.event.as_str()).map_err(|source| PayloadError::Decode {
            event_type: stored.event_type.to_string(),
            event_version: stored.event_version,
            source,
        })?;
    let begin = Upcasted::new(&*stored.event_type, stored.event_version, payload);
    let mut open = VecDeque::from(take(first, begin)?);
    let mut current = Vec::new();
    while let Some(event) = open.pop_front() {
        match place(places, &event.event_type, event.event_version)? {
            Place::Current => current.push(event),
            // Its parts stand where it stood.
            Place::Step(step) => {
                for part in take(step, event)?.into_iter().rev() {
                    open.push_front(part);
                }
            }
        }
        if current.len() + open.len() > MAX_PARTS {
            return Err(PayloadError::Upcast {
                event_type: stored.event_type.to_string(),
                event_version: stored.event_version,
                reason: format!("it becomes more than {MAX_PARTS} events"),
            });
        }
    }
    Ok(current)
}

/// One step.
fn take(step: &Step, event: Upcasted) -> Result<Vec<Upcasted>, PayloadError> {
    let Upcasted { event_type, event_version, mut payload } = event;
    let failed = |reason: String| PayloadError::Upcast {
        event_type: event_type.clone(),
        event_version,
        reason,
    };
    match &step.change {
        Change::Drop => Ok(Vec::new()),
        Change::Edit(edit) => {
            let Value::Object(fields) = &mut payload else {
                return Err(failed("its payload is not an object: use `split`".to_owned()));
            };
            edit(fields).map_err(|e| failed(e.to_string()))?;
            let to = step.into.iter();
            Ok(to.map(|(name, version)| Upcasted::new(name, *version, payload.clone())).collect())
        }
        Change::Split(split) => {
            let parts = split(payload).map_err(|e| failed(e.to_string()))?;
            let promised = |part: &Upcasted| {
                step.into.iter().any(|(n, v)| *n == part.event_type && *v == part.event_version)
            };
            match parts.iter().find(|part| !promised(part)) {
                None => Ok(parts),
                Some(part) => Err(failed(format!(
                    "its step gave {:?} version {}, which is not among its targets",
                    part.event_type, part.event_version
                ))),
            }
        }
    }
}

fn envelope_of(stored: &EventEnvelope, part: Upcasted, n: i64) -> EventEnvelope {
    let Upcasted { event_type, event_version, payload } = part;
    let mut envelope = stored.with_event(Payload::from_json_text(payload.to_string()));
    if *envelope.event_type != *event_type {
        envelope.event_type = Arc::from(event_type);
    }
    envelope.event_version = event_version;
    if n > 0 {
        envelope.event_id = EventId(Uuid::new_v5(&stored.event_id.0, &n.to_be_bytes()));
        envelope.committed_at = stored.committed_at + n;
        envelope.previous_committed_at = Some(envelope.committed_at - 1);
    }
    envelope
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::DomainEvent;
    use crate::testing::envelope;

    #[derive(Debug, Clone, PartialEq, DomainEvent)]
    enum Event {
        #[event(version = 3)]
        Placed {
            customer: String,
            cents: i64,
        },
        Item {
            sku: String,
        },
    }

    fn upcasters() -> Upcasters {
        Upcasters::builder()
            .events::<Event>("Order", |steps| {
                steps
                    .revise("Placed", 1, |fields| {
                        let name = fields.remove("name").ok_or("name is missing")?;
                        fields.insert("customer".to_owned(), name);
                        Ok(())
                    })
                    .revise("Placed", 2, |fields| {
                        let euros = fields.remove("euros").and_then(|v| v.as_i64());
                        let cents = euros.ok_or("euros is not a number")? * 100;
                        fields.insert("cents".to_owned(), cents.into());
                        Ok(())
                    })
                    .rename(("Line", 1), ("Item", 1), |_| Ok(()))
                    .split(("Bought", 1), &[("Placed", 1), ("Line", 1)], |old| {
                        let placed = json!({ "name": old["name"], "euros": old["euros"] });
                        let lines = old["skus"].as_array().ok_or("skus is no array")?;
                        let lines =
                            lines.iter().map(|s| Upcasted::new("Line", 1, json!({"sku": s})));
                        Ok([Upcasted::new("Placed", 1, placed)].into_iter().chain(lines).collect())
                    })
                    .drop("Seen", 1)
            })
            .build()
            .unwrap()
    }

    fn stored(event_type: &str, version: i32, payload: &str) -> EventEnvelope {
        let mut event = envelope("Order", 7);
        event.event_type = event_type.into();
        event.event_version = version;
        event.event = Payload::from_json_text(payload);
        event
    }

    #[test]
    fn chains_lead_to_today() {
        let old = stored("Placed", 1, r#"{"name":"ann","euros":2}"#);
        let expected = Event::Placed { customer: "ann".to_owned(), cents: 200 };
        assert_eq!(upcasters().events::<Event>(&old).unwrap(), [expected]);
        let seen = stored("Seen", 1, "{}");
        assert_eq!(upcasters().events::<Event>(&seen).unwrap(), []);
    }

    #[test]
    fn what_is_of_today_is_borrowed() {
        let event = stored("Item", 1, r#"{"sku":"a"}"#);
        assert!(matches!(upcasters().upcast(&event).unwrap(), Cow::Borrowed(_)));
        let mut other = stored("Anything", 9, "{}");
        other.aggregate_type = "Unregistered".into();
        assert!(matches!(upcasters().upcast(&other).unwrap(), Cow::Borrowed(_)));
    }

    #[test]
    fn parts_have_ids_and_times_of_their_own_always_the_same() {
        let event = stored("Bought", 1, r#"{"name":"ann","euros":2,"skus":["a","b"]}"#);
        let upcasters = upcasters();
        let parts = upcasters.upcast(&event).unwrap();
        let types: Vec<_> = parts.iter().map(|p| (&*p.event_type, p.event_version)).collect();
        assert_eq!(types, [("Placed", 3), ("Item", 1), ("Item", 1)]);
        assert_eq!(parts[0].event_id, event.event_id);
        assert_ne!(parts[1].event_id, parts[2].event_id);
        assert!(parts.iter().all(|p| p.sequence_number == 7));
        let times: Vec<i64> = parts.iter().map(|p| p.committed_at - event.committed_at).collect();
        assert_eq!(times, [0, 1, 2]);
        assert_eq!(upcasters.upcast(&event).unwrap(), parts);
    }

    #[test]
    fn an_event_that_cannot_be_upcast_is_named() {
        let many = format!(r#"{{"name":"ann","euros":2,"skus":[{}]}}"#, ["\"a\""; 10].join(","));
        let cases = [
            ("Burnt", 1, "{}", "unknown event type \"Burnt\""),
            ("Placed", 9, "{}", "has no version 9"),
            ("Placed", 1, "{}", "name is missing"),
            ("Placed", 2, r#"{"euros":"x"}"#, "euros is not a number"),
            ("Placed", 1, "[]", "is not an object"),
            ("Placed", 1, "{", "does not deserialize"),
            ("Bought", 1, &many, "more than 10 events"),
        ];
        for (event_type, version, payload, reason) in cases {
            let event = stored(event_type, version, payload);
            let error = upcasters().upcast(&event).unwrap_err().to_string();
            let place = format!("event 7 of Order {}", event.aggregate_id);
            for part in [reason, &place, event_type, &format!("version {version}")] {
                assert!(error.contains(part), "{part} in: {error}");
            }
        }
    }

    #[test]
    fn a_split_keeps_to_its_targets() {
        let upcasters = Upcasters::builder()
            .events::<Event>("Order", |steps| {
                steps.first_version("Placed", 3).split(("Old", 1), &[("Item", 1)], |old| {
                    Ok(vec![Upcasted::new("Placed", 3, old)])
                })
            })
            .build()
            .unwrap();
        let error = upcasters.upcast(&stored("Old", 1, "{}")).unwrap_err().to_string();
        assert!(error.contains("not among its targets"), "{error}");
    }
}
