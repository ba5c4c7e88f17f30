//! What `#[derive(DomainEvent)]` makes of enums and structs.

use messina::{DomainEvent, Payload, PayloadError};

#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
struct Address {
    city: String,
}

/// Dates as they are written on paper, to see that `with` functions get the field's type.
mod on_paper {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(day: &u8, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("day {day}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.trim_start_matches("day ").parse().map_err(serde::de::Error::custom)
    }
}

fn one() -> i32 {
    1
}

#[derive(Debug, Clone, PartialEq, DomainEvent)]
#[event(prefix = "Order")]
enum Event {
    #[event(name = "OrderPlaced", version = 2)]
    New {
        customer: String,
        #[serde(rename = "totalCents")]
        total: i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(default = "one")]
        boxes: i32,
        #[serde(with = "on_paper")]
        day: u8,
        #[serde(skip)]
        cached: Vec<u8>,
        #[serde(flatten)]
        address: Address,
    },
    Moved(Address),
    Dated(#[serde(with = "on_paper")] u8),
    Cancelled,
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    Shipped {
        ship_to: String,
        r#type: u8,
    },
    Emptied {},
}

fn placed() -> Event {
    Event::New {
        customer: "alfki".into(),
        total: 5,
        note: None,
        boxes: 2,
        day: 7,
        cached: Vec::new(),
        address: Address { city: "Berlin".into() },
    }
}

fn text(event: &impl DomainEvent) -> String {
    event.to_payload().expect("the event serializes").as_str().to_owned()
}

fn json(text: &str) -> Payload {
    Payload::from_json_text(text)
}

#[test]
fn the_payload_is_the_fields_alone() {
    assert_eq!(
        text(&placed()),
        r#"{"customer":"alfki","totalCents":5,"boxes":2,"day":"day 7","city":"Berlin"}"#
    );
    assert_eq!(text(&Event::Moved(Address { city: "Ulm".into() })), r#"{"city":"Ulm"}"#);
    assert_eq!(text(&Event::Dated(3)), r#""day 3""#);
    assert_eq!(text(&Event::Cancelled), "{}");
    assert_eq!(text(&Event::Emptied {}), "{}");
    let shipped = Event::Shipped { ship_to: "Ulm".into(), r#type: 1 };
    assert_eq!(text(&shipped), r#"{"shipTo":"Ulm","type":1}"#);
}

#[test]
fn an_event_comes_back_from_its_payload() {
    let events = [
        placed(),
        Event::Moved(Address { city: "Ulm".into() }),
        Event::Dated(3),
        Event::Cancelled,
        Event::Emptied {},
        Event::Shipped { ship_to: "Ulm".into(), r#type: 1 },
    ];
    for event in events {
        let payload = event.to_payload().unwrap();
        let back = Event::from_payload(event.event_type(), event.event_version(), &payload);
        assert_eq!(back.unwrap(), event);
    }
}

#[test]
fn types_are_listed_with_their_versions() {
    assert_eq!(
        Event::TYPES,
        [
            ("OrderPlaced", 2),
            ("OrderMoved", 1),
            ("OrderDated", 1),
            ("OrderCancelled", 1),
            ("OrderShipped", 1),
            ("OrderEmptied", 1)
        ]
    );
}

#[test]
fn missing_optional_fields_and_defaults_are_filled_in() {
    let stored = json(r#"{"customer":"a","totalCents":1,"day":"day 1","city":"c","later":true}"#);
    let Ok(Event::New { note, boxes, .. }) = Event::from_payload("OrderPlaced", 2, &stored) else {
        panic!("not read");
    };
    assert_eq!((note, boxes), (None, 1));
}

#[test]
fn unknown_types_and_versions_are_told_apart() {
    let unknown = Event::from_payload("OrderLost", 1, &json("{}"));
    assert!(
        matches!(unknown, Err(PayloadError::UnknownType { event_type }) if event_type == "OrderLost")
    );
    for version in [0, 1, 3] {
        let other = Event::from_payload("OrderPlaced", version, &json("{}"));
        assert!(
            matches!(other, Err(PayloadError::UnknownVersion { event_version, .. }) if event_version == version)
        );
    }
}

#[test]
fn a_payload_of_another_shape_is_an_error_that_names_the_type() {
    for (event_type, version, stored) in [
        ("OrderPlaced", 2, "{}"),
        ("OrderCancelled", 1, "7"),
        ("OrderShipped", 1, r#"{"shipTo":"a","type":1,"more":2}"#),
        ("OrderMoved", 1, "not json"),
    ] {
        let error = Event::from_payload(event_type, version, &json(stored)).unwrap_err();
        assert!(matches!(error, PayloadError::Decode { .. }), "{error}");
        assert!(error.to_string().contains(event_type), "{error}");
    }
}

#[derive(Debug, Clone, PartialEq, DomainEvent)]
#[event(name = "invoice.sent", version = 4)]
#[serde(rename_all = "camelCase")]
struct InvoiceSent {
    sent_to: String,
}

#[derive(Debug, Clone, PartialEq, DomainEvent)]
struct Renamed(String);

#[derive(Debug, Clone, PartialEq, DomainEvent)]
struct Closed;

#[test]
fn a_struct_is_a_single_type_of_event() {
    let sent = InvoiceSent { sent_to: "a".into() };
    assert_eq!(InvoiceSent::TYPES, [("invoice.sent", 4)]);
    assert_eq!(text(&sent), r#"{"sentTo":"a"}"#);
    assert_eq!(InvoiceSent::from_payload("invoice.sent", 4, &json(&text(&sent))).unwrap(), sent);

    assert_eq!(text(&Renamed("x".into())), r#""x""#);
    assert_eq!(Renamed::from_payload("Renamed", 1, &json(r#""x""#)).unwrap(), Renamed("x".into()));

    assert_eq!(text(&Closed), "{}");
    assert_eq!(Closed::from_payload("Closed", 1, &json("{}")).unwrap(), Closed);
}

mod renamed_crate {
    /// A path to the crate other than `::messina`.
    pub(super) mod library {
        pub(crate) use messina::*;
    }

    #[derive(Debug, Clone, messina::DomainEvent)]
    #[event(crate = "library")]
    pub(super) enum Event {
        Happened { times: u8 },
    }
}

#[test]
fn the_crate_may_go_by_another_name() {
    assert_eq!(text(&renamed_crate::Event::Happened { times: 2 }), r#"{"times":2}"#);
}
