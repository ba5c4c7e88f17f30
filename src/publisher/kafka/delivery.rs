//! A message on its way, as librdkafka carries and reports it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::publisher::kafka::error::Failure;
use crate::publisher::kafka::memory::{Memory, Sent};
use crate::publisher::{Headers, Message};

/// Waits for the broker's acknowledgement.
pub(super) struct Delivery {
    pub(super) sent: Sent,
    /// Nothing else is in flight: a refusal is this message's own.
    pub(super) alone: bool,
    pub(super) done: oneshot::Sender<Result<(), Failure>>,
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

/// The setting whose warning says nothing new.
const GAPLESS: &str = "enable.gapless.guarantee";

/// librdkafka's messages and the producer's end, by `tracing`.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // That the gapless guarantee is experimental is known, and chosen: see the settings.
    let level = match level {
        RDKafkaLogLevel::Warning if facility == "CONFWARN" && message.contains(GAPLESS) => {
            RDKafkaLogLevel::Debug
        }
        level => level,
    };
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "librdkafka", facility, "{message}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// An error of the connection, not of a message: librdkafka goes on trying.
pub(super) fn connection_error(error: &KafkaError, reason: &str) {
    tracing::warn!(target: "librdkafka", %error, reason, "the broker is not reached as it should");
}

/// Reports deliveries of a producer whose messages stand for themselves.
pub(super) struct StreamContext {
    pub(super) memory: Arc<Memory>,
    /// Set when the producer will take no more.
    pub(super) broken: Arc<AtomicBool>,
}

impl ClientContext for StreamContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.broken.store(true, Ordering::Release);
        }
        connection_error(&error, reason);
    }
}

impl ProducerContext for StreamContext {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let outcome = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => {
                let failure = Failure::from(error);
                if !delivery.alone {
                    self.memory.failed(&delivery.sent, &failure);
                }
                // After what the memory holds: whoever finds the producer broken, and
                // takes another, knows what is missing.
                self.broken.store(true, Ordering::Release);
                Err(failure)
            }
        };
        // Nobody waits for it when the group has been stopped meanwhile.
        let _ = delivery.done.send(outcome);
    }
}

/// The message as librdkafka takes it; it copies what it is given.
pub(super) fn record<'a, D: rdkafka::util::IntoOpaque>(
    message: &'a Message<'_>,
    opaque: D,
) -> BaseRecord<'a, str, [u8], D> {
    BaseRecord::with_opaque_to(&message.topic, opaque)
        .key(&*message.key)
        .payload(&*message.value)
        .timestamp(message.event.created_at)
        .headers(native(&message.headers))
}

pub(super) fn native(headers: &Headers<'_>) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (key, value)| {
        all.insert(Header { key, value: Some(value) })
    })
}
