//! The handler of a publisher's group: events in, messages out.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::consumer::{EventHandler, Handled, HandlerError};
use crate::event::EventEnvelope;
use crate::publisher::{Envelope, Message, PayloadOnly, Routing, Sink, Wrapped};

/// Publishes events through a sink: give it to a
/// [`ConsumerGroup`](crate::consumer::ConsumerGroup).
///
/// ```no_run
/// # async fn example(store: messina::EventStore) -> Result<(), Box<dyn std::error::Error>> {
/// use messina::consumer::ConsumerGroup;
/// use messina::publisher::{CloudEvents, KafkaSettings, KafkaSink, Publisher};
///
/// let sink = KafkaSink::connect(KafkaSettings::new("127.0.0.1:9092")).await?;
/// let publisher = Publisher::new(sink).envelope(CloudEvents::structured());
/// let group = ConsumerGroup::builder(store, "redpanda_publisher", publisher).start().await?;
/// # Ok(())
/// # }
/// ```
pub struct Publisher<S> {
    sink: S,
    routing: Routing,
    envelope: Arc<dyn Envelope>,
    aggregate_types: Option<Vec<String>>,
}

impl<S: Sink> Publisher<S> {
    /// A publisher with the default routing ([`Routing::by_aggregate_type`]) and envelope
    /// ([`PayloadOnly`]).
    pub fn new(sink: S) -> Self {
        Self {
            sink,
            routing: Routing::default(),
            envelope: Arc::new(PayloadOnly),
            aggregate_types: None,
        }
    }

    /// Where events go.
    pub fn routing(mut self, routing: Routing) -> Self {
        self.routing = routing;
        self
    }

    /// What they look like there.
    pub fn envelope(self, envelope: impl Envelope) -> Self {
        self.shared_envelope(Arc::new(envelope))
    }

    /// As [`Publisher::envelope`], for one chosen when the program runs
    /// ([`EnvelopeKind::envelope`](crate::publisher::EnvelopeKind::envelope)).
    pub fn shared_envelope(mut self, envelope: Arc<dyn Envelope>) -> Self {
        self.envelope = envelope;
        self
    }

    /// Publishes events of these types of aggregate only; all of them unless called.
    pub fn aggregate_types(mut self, types: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.aggregate_types = Some(types.into_iter().map(Into::into).collect());
        self
    }

    /// The sink.
    pub fn sink(&self) -> &S {
        &self.sink
    }
}

impl<S> fmt::Debug for Publisher<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("sink", &std::any::type_name::<S>())
            .field("routing", &self.routing)
            .field("envelope", &self.envelope)
            .field("aggregate_types", &self.aggregate_types)
            .finish()
    }
}

#[async_trait]
impl<S: Sink> EventHandler for Publisher<S> {
    fn accepts(&self, aggregate_type: &str) -> bool {
        self.aggregate_types.as_ref().is_none_or(|types| types.iter().any(|t| t == aggregate_type))
    }

    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        let route = self.routing.route(event).map_err(HandlerError::poison)?;
        let Wrapped { headers, value } = self.envelope.wrap(event).map_err(HandlerError::poison)?;
        let key = self.envelope.key(route.key);
        self.sink.send(Message { topic: route.topic, key, headers, value, event }).await
    }
}
