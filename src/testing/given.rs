//! Given events, when a command, then …: an aggregate's rules, without a database.

use std::fmt::{self, Debug};

use serde_json::{Value, json};

use super::diff::{diff, pretty};
use crate::aggregate::Aggregate;
use crate::event::{DomainEvent, Payload, PayloadError};

/// An aggregate to which these events have happened; none: a new one.
///
/// Events go through their stored form, so that one which does not come back as it went
/// fails the test. They are compared by type, version and payload.
///
/// ```
/// use messina::testing::given;
/// # use messina::{Aggregate, DomainEvent};
/// # #[derive(Clone, Debug, DomainEvent)]
/// # enum DoorEvent { Opened, Closed }
/// # enum Door { Open, Close }
/// # #[derive(Debug, PartialEq, thiserror::Error)]
/// # #[error("the door is already {0}")]
/// # struct Already(&'static str);
/// # #[derive(Default, Clone, Debug, PartialEq, serde::Serialize)]
/// # struct DoorState { open: bool }
/// # impl Aggregate for DoorState {
/// #     const TYPE: &'static str = "Door";
/// #     type Command = Door;
/// #     type Event = DoorEvent;
/// #     type Error = Already;
/// #     fn handle(&self, command: &Door) -> Result<Vec<DoorEvent>, Already> {
/// #         match command {
/// #             Door::Open if self.open => Err(Already("open")),
/// #             Door::Open => Ok(vec![DoorEvent::Opened]),
/// #             Door::Close if !self.open => Err(Already("closed")),
/// #             Door::Close => Ok(vec![DoorEvent::Closed]),
/// #         }
/// #     }
/// #     fn apply(&mut self, event: &DoorEvent) { self.open = matches!(event, DoorEvent::Opened); }
/// # }
/// given::<DoorState>([DoorEvent::Opened])
///     .when(Door::Close)
///     .then_events([DoorEvent::Closed])
///     .then_state(DoorState { open: false })
///     .then_response(serde_json::json!({ "open": false }));
///
/// given::<DoorState>([DoorEvent::Opened]).when(Door::Open).then_rejected(Already("open"));
/// ```
///
/// # Panics
/// When an event does not survive being stored; so do all the `then_…`, which are made for
/// tests.
#[track_caller]
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    let mut state = A::default();
    for event in events {
        state.apply(&stored(&event));
    }
    Given { state }
}

/// An aggregate with a history; see [`given`].
#[derive(Debug, Clone)]
#[must_use = "a test asks for something: `when`"]
pub struct Given<A> {
    state: A,
}

impl<A: Aggregate> Given<A> {
    /// Asks the aggregate for this.
    #[track_caller]
    pub fn when(self, command: A::Command) -> Outcome<A> {
        let Self { mut state } = self;
        let result = state.handle(&command);
        if let Ok(events) = &result {
            for event in events {
                state.apply(&stored(event));
            }
        }
        Outcome { state, result }
    }

    /// The state that the events lead to.
    pub fn state(&self) -> &A {
        &self.state
    }
}

/// What came of a command. Every `then_…` checks one thing and can be followed by others.
#[must_use = "a test checks something: `then_events`, `then_rejected`, …"]
pub struct Outcome<A: Aggregate> {
    state: A,
    result: Result<Vec<A::Event>, A::Error>,
}

impl<A: Aggregate + Debug> Debug for Outcome<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome").field("state", &self.state).finish_non_exhaustive()
    }
}

#[allow(clippy::panic, reason = "these are a test's assertions")]
impl<A: Aggregate> Outcome<A> {
    /// The command led to exactly these events, in this order; to none: `[]`.
    #[track_caller]
    pub fn then_events(self, expected: impl IntoIterator<Item = A::Event>) -> Accepted<A> {
        let expected: Vec<Value> = expected.into_iter().map(|event| shown(&event)).collect();
        let accepted = self.then_accepted();
        let found: Vec<Value> = accepted.events.iter().map(shown).collect();
        if expected != found {
            let difference = diff(&pretty(&expected.into()), &pretty(&found.into()));
            panic!("the command led to other events:\n{difference}");
        }
        accepted
    }

    /// The command was not refused, whatever its events.
    #[track_caller]
    pub fn then_accepted(self) -> Accepted<A> {
        match self.result {
            Ok(events) => Accepted { state: self.state, events },
            Err(error) => panic!("the command was rejected: {error} ({error:?})"),
        }
    }

    /// The command was refused for this reason.
    #[track_caller]
    pub fn then_rejected(self, expected: A::Error)
    where
        A::Error: PartialEq,
    {
        let error = self.rejection();
        if error != expected {
            let difference = diff(&format!("{expected:#?}"), &format!("{error:#?}"));
            panic!("the command was rejected for another reason:\n{difference}");
        }
    }

    /// The command was refused, with a message that says this: for errors that cannot be
    /// compared.
    #[track_caller]
    pub fn then_rejected_saying(self, part: &str) {
        let text = self.rejection().to_string();
        assert!(text.contains(part), "the rejection does not say {part:?}: {text}");
    }

    /// As [`Accepted::then_state`].
    #[track_caller]
    pub fn then_state(self, expected: A) -> Accepted<A>
    where
        A: Debug + PartialEq,
    {
        self.then_accepted().then_state(expected)
    }

    /// As [`Accepted::then_response`].
    #[track_caller]
    pub fn then_response(self, expected: Value) -> Accepted<A> {
        self.then_accepted().then_response(expected)
    }

    #[track_caller]
    fn rejection(self) -> A::Error {
        match self.result {
            Err(error) => error,
            Ok(events) => {
                let events: Vec<Value> = events.iter().map(shown).collect();
                panic!("the command was accepted, with the events {}", pretty(&events.into()))
            }
        }
    }
}

/// What an accepted command led to.
#[derive(Debug, Clone)]
pub struct Accepted<A: Aggregate> {
    state: A,
    events: Vec<A::Event>,
}

#[allow(clippy::panic, reason = "these are a test's assertions")]
impl<A: Aggregate> Accepted<A> {
    /// The aggregate is in this state now.
    #[track_caller]
    pub fn then_state(self, expected: A) -> Self
    where
        A: Debug + PartialEq,
    {
        if self.state != expected {
            let difference = diff(&format!("{expected:#?}"), &format!("{:#?}", self.state));
            panic!("the aggregate is in another state:\n{difference}");
        }
        self
    }

    /// The client is told this ([`Aggregate::respond`]).
    #[track_caller]
    pub fn then_response(self, expected: Value) -> Self {
        let found = match self.state.respond(&self.events) {
            Ok(payload) => json_of(&payload),
            Err(error) => panic!("the response does not turn into JSON: {error}"),
        };
        if found != expected {
            let difference = diff(&pretty(&expected), &pretty(&found));
            panic!("the client is told something else:\n{difference}");
        }
        self
    }

    /// What happens next: a further command, after this one's events.
    #[track_caller]
    pub fn when(self, command: A::Command) -> Outcome<A> {
        Given { state: self.state }.when(command)
    }

    /// The state now.
    pub fn state(&self) -> &A {
        &self.state
    }

    /// The events that the command led to.
    pub fn events(&self) -> &[A::Event] {
        &self.events
    }
}

/// The event as it is read back after it was stored.
#[track_caller]
#[allow(clippy::panic, reason = "a test's assertion")]
fn stored<E: DomainEvent>(event: &E) -> E {
    let back: Result<E, PayloadError> = event
        .to_payload()
        .and_then(|text| E::from_payload(event.event_type(), event.event_version(), &text));
    let back = match back {
        Ok(back) => back,
        Err(error) => panic!("the event does not survive being stored: {error}"),
    };
    let (before, after) = (shown(event), shown(&back));
    if before != after {
        let difference = diff(&pretty(&before), &pretty(&after));
        panic!("the event changes by being stored:\n{difference}");
    }
    back
}

/// The event as a test's message shows it.
#[track_caller]
#[allow(clippy::panic, reason = "a test's assertion")]
fn shown<E: DomainEvent>(event: &E) -> Value {
    match event.to_payload() {
        Ok(payload) => json!({
            "type": event.event_type(),
            "version": event.event_version(),
            "payload": json_of(&payload),
        }),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
#[allow(clippy::panic, reason = "a test's assertion")]
pub(super) fn json_of(payload: &Payload) -> Value {
    match serde_json::from_str(payload.as_str()) {
        Ok(value) => value,
        Err(error) => panic!("{} is not JSON: {error}", payload.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::DomainEvent;

    #[derive(Debug, Clone, PartialEq, DomainEvent)]
    enum Event {
        Added {
            n: i64,
        },
        Lossy {
            #[serde(skip_serializing, default)]
            secret: String,
            #[serde(serialize_with = "as_zero")]
            n: i64,
        },
    }

    fn as_zero<S: serde::Serializer>(n: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&n.to_string())
    }

    #[derive(Debug, Clone, PartialEq, thiserror::Error)]
    #[error("{0} is too much")]
    struct TooMuch(i64);

    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    struct Sum {
        total: i64,
    }

    impl Aggregate for Sum {
        const TYPE: &'static str = "Sum";
        type Command = i64;
        type Event = Event;
        type Error = TooMuch;

        fn handle(&self, n: &i64) -> Result<Vec<Event>, TooMuch> {
            if *n > 9 { Err(TooMuch(*n)) } else { Ok(vec![Event::Added { n: *n }]) }
        }

        fn apply(&mut self, event: &Event) {
            let (Event::Added { n } | Event::Lossy { n, .. }) = event;
            self.total += n;
        }
    }

    fn failure(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
        *std::panic::catch_unwind(test).unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn what_is_as_expected_passes() {
        given::<Sum>([Event::Added { n: 1 }])
            .when(2)
            .then_events([Event::Added { n: 2 }])
            .then_state(Sum { total: 3 })
            .then_response(json!({ "total": 3 }))
            .when(10)
            .then_rejected(TooMuch(10));
        given::<Sum>([]).when(11).then_rejected_saying("too much");
    }

    #[test]
    fn what_is_not_is_shown_as_a_difference() {
        let text = failure(|| {
            given::<Sum>([]).when(2).then_events([Event::Added { n: 3 }]);
        });
        assert!(text.contains("-       \"n\": 3\n+       \"n\": 2\n"), "{text}");
        let text = failure(|| {
            given::<Sum>([]).when(2).then_state(Sum { total: 5 });
        });
        assert!(text.contains("-     total: 5,\n+     total: 2,\n"), "{text}");
        let text = failure(|| given::<Sum>([]).when(12).then_rejected(TooMuch(13)));
        assert!(text.contains("-     13,\n+     12,\n"), "{text}");
        let text = failure(|| given::<Sum>([]).when(1).then_rejected(TooMuch(1)));
        assert!(text.contains("was accepted"), "{text}");
        let text = failure(|| {
            given::<Sum>([]).when(99).then_events([]);
        });
        assert!(text.contains("rejected: 99 is too much"), "{text}");
    }

    #[test]
    fn an_event_that_does_not_survive_being_stored_fails() {
        let text = failure(|| {
            let _ = given::<Sum>([Event::Lossy { secret: "s".to_owned(), n: 1 }]);
        });
        assert!(text.contains("does not survive"), "{text}");
    }
}
