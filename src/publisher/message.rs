//! What a sink is given.

use std::borrow::Cow;
use std::sync::Arc;

use crate::event::EventEnvelope;

/// An event as it leaves: where to, under which key, and in its envelope.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// Where it goes: a Kafka topic; other sinks say what they make of it.
    pub topic: Arc<str>,
    /// What order is kept by: the aggregate's id unless routed otherwise.
    pub key: Cow<'a, str>,
    /// In the order they are sent.
    pub headers: Headers<'a>,
    /// The body.
    pub value: Cow<'a, [u8]>,
    /// The event that it is made of, for what a sink needs beside it: its identity, its
    /// place in the aggregate's history, its time.
    pub event: &'a EventEnvelope,
}

/// Names and values of a message's headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Headers<'a> {
    /// None yet; most envelopes add some ten.
    pub fn new() -> Self {
        Self(Vec::with_capacity(10))
    }

    /// Adds one at the end.
    pub fn add(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        self.0.push((name.into(), value.into()));
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// In order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
