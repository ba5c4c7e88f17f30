//! An envelope by its name, for command lines and configuration.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::publisher::envelope::{
    CloudEvents, DebeziumChange, DebeziumOutbox, Envelope, PayloadOnly,
};

/// The envelopes that ship with the library, by name.
///
/// ```
/// use messina::publisher::EnvelopeKind;
///
/// let kind: EnvelopeKind = "cloudevents-structured".parse()?;
/// assert_eq!(kind, EnvelopeKind::CloudEventsStructured);
/// assert_eq!(kind.to_string(), "cloudevents-structured");
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum EnvelopeKind {
    /// `payload`: [`PayloadOnly`].
    #[default]
    Payload,
    /// `cloudevents`: [`CloudEvents::binary`].
    CloudEventsBinary,
    /// `cloudevents-structured`: [`CloudEvents::structured`].
    CloudEventsStructured,
    /// `debezium-outbox`: [`DebeziumOutbox`].
    DebeziumOutbox,
    /// `debezium-change`: [`DebeziumChange`].
    DebeziumChange,
}

impl EnvelopeKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Payload,
        Self::CloudEventsBinary,
        Self::CloudEventsStructured,
        Self::DebeziumOutbox,
        Self::DebeziumChange,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::CloudEventsBinary => "cloudevents",
            Self::CloudEventsStructured => "cloudevents-structured",
            Self::DebeziumOutbox => "debezium-outbox",
            Self::DebeziumChange => "debezium-change",
        }
    }

    /// The envelope, with its default settings.
    pub fn envelope(self) -> Arc<dyn Envelope> {
        match self {
            Self::Payload => Arc::new(PayloadOnly),
            Self::CloudEventsBinary => Arc::new(CloudEvents::binary()),
            Self::CloudEventsStructured => Arc::new(CloudEvents::structured()),
            Self::DebeziumOutbox => Arc::new(DebeziumOutbox),
            Self::DebeziumChange => Arc::new(DebeziumChange::default()),
        }
    }
}

impl fmt::Display for EnvelopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EnvelopeKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            format!("there is no envelope {name:?}; there are: {known}")
        })
    }
}
