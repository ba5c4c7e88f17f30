//! Identifiers: a type for each, so that two uuids cannot be swapped.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new one: uuid version 7, so ids made later sort later.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

identifier! {
    /// Names an aggregate, and with it its partition in every table of the write side.
    AggregateId
}
identifier! {
    /// Names one event, for ever: what readers deduplicate by.
    EventId
}
identifier! {
    /// Names a commit: the events that one command made, stored together.
    CommitId
}
identifier! {
    /// Ties together everything that one request set off.
    CorrelationId
}
identifier! {
    /// Names what caused an event: usually another event's id.
    CausationId
}

impl AggregateId {
    /// The id of what another system knows by this key: the uuid v5 of the key, in a namespace
    /// of the aggregate's type (its uuid v5 in the namespace for object identifiers). The same
    /// at every time and in every process; equal keys of different types differ.
    pub fn from_key(aggregate_type: &str, key: &str) -> Self {
        let namespace = Uuid::new_v5(&Uuid::NAMESPACE_OID, aggregate_type.as_bytes());
        Self(Uuid::new_v5(&namespace, key.as_bytes()))
    }
}

impl From<EventId> for CausationId {
    fn from(id: EventId) -> Self {
        Self(id.0)
    }
}
