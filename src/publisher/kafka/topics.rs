//! Topics: there, to be made, or missing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};
use tokio::sync::Mutex;

use crate::consumer::HandlerError;
use crate::publisher::kafka::error::PublisherError;
use crate::publisher::kafka::redact::redact;
use crate::publisher::kafka::settings::{KafkaSettings, NewTopics};

/// How long a topic that is missing is taken to be missing: each of its events asks.
const MISSING_FOR: Duration = Duration::from_secs(10);

/// Sees to it, once for each topic, that it exists.
pub(super) struct Topics {
    settings: Arc<KafkaSettings>,
    known: RwLock<HashSet<Arc<str>>>,
    /// Held while a topic is looked for.
    missing: Mutex<HashMap<Arc<str>, (Instant, String)>>,
}

/// What a broker says of a topic.
enum Found {
    Yes,
    No(String),
    Refused(String),
}

impl Topics {
    pub(super) fn new(settings: Arc<KafkaSettings>) -> Self {
        Self { settings, known: RwLock::default(), missing: Mutex::default() }
    }

    /// Returns when the topic exists.
    ///
    /// # Errors
    /// [`HandlerError::Retry`] when no broker answers; [`HandlerError::Poison`] when the
    /// topic is missing or refused.
    pub(super) async fn ready(&self, topic: &Arc<str>) -> Result<(), HandlerError> {
        if self.known.read().contains(topic) {
            return Ok(());
        }
        let mut missing = self.missing.lock().await;
        if self.known.read().contains(topic) {
            return Ok(());
        }
        if let Some((since, reason)) = missing.get(topic)
            && since.elapsed() < MISSING_FOR
        {
            return Err(HandlerError::poison(reason.clone()));
        }
        match self.ensure(topic).await {
            Ok(()) => {
                missing.remove(topic);
                self.known.write().insert(Arc::clone(topic));
                Ok(())
            }
            Err(error @ PublisherError::Unreachable { .. }) => Err(HandlerError::retry(error)),
            Err(error) => {
                missing.insert(Arc::clone(topic), (Instant::now(), error.to_string()));
                Err(HandlerError::poison(error))
            }
        }
    }

    /// It has refused a message: it may be gone.
    pub(super) fn forget(&self, topic: &Arc<str>) {
        self.known.write().remove(topic);
    }

    /// Looks for a topic and makes it if that is wanted.
    pub(super) async fn ensure(&self, topic: &str) -> Result<(), PublisherError> {
        let began = Instant::now();
        let mut asked = false;
        loop {
            let reason = match self.find(topic).await? {
                Found::Yes => return Ok(()),
                Found::Refused(reason) => {
                    return Err(PublisherError::Topic { topic: topic.to_owned(), reason });
                }
                Found::No(reason) => reason,
            };
            if let Some(new) = &self.settings.new_topics
                && !asked
            {
                self.create(topic, new).await?;
                asked = true;
            }
            if began.elapsed() > self.settings.topic_timeout {
                return Err(PublisherError::MissingTopic { topic: topic.to_owned(), reason });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn find(&self, topic: &str) -> Result<Found, PublisherError> {
        let (settings, topic) = (Arc::clone(&self.settings), topic.to_owned());
        let unreachable = |reason: String| PublisherError::Unreachable {
            brokers: self.settings.brokers.clone(),
            reason: redact(reason, &self.settings.options),
        };
        let answer = tokio::task::spawn_blocking(move || {
            let (config, timeout) = (settings.client_config(), settings.connect_timeout);
            // Asked by a producer, a broker that makes topics by itself makes it; asked by a
            // consumer, it leaves the making to us.
            let metadata = if settings.new_topics.is_some() {
                let client: BaseConsumer = config.create()?;
                client.fetch_metadata(Some(&topic), timeout)?
            } else {
                let client: BaseProducer = config.create()?;
                client.client().fetch_metadata(Some(&topic), timeout)?
            };
            let found = metadata.topics().iter().find(|t| t.name() == topic);
            Ok::<_, rdkafka::error::KafkaError>(
                found.map(|t| (t.error().map(RDKafkaErrorCode::from), t.partitions().is_empty())),
            )
        })
        .await;
        let found = match answer {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(panic) => return Err(unreachable(panic.to_string())),
        };
        Ok(match found {
            Some((None, false)) => Found::Yes,
            Some((
                Some(
                    error @ (RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::InvalidTopic
                    | RDKafkaErrorCode::PolicyViolation),
                ),
                _,
            )) => Found::Refused(error.to_string()),
            // A leader is being elected: it exists.
            Some((Some(RDKafkaErrorCode::LeaderNotAvailable), false)) => Found::Yes,
            Some((Some(error), _)) => Found::No(error.to_string()),
            Some((None, true)) | None => Found::No("it has no partitions".to_owned()),
        })
    }

    async fn create(&self, topic: &str, new: &NewTopics) -> Result<(), PublisherError> {
        let failed = |reason: String| PublisherError::Topic {
            topic: topic.to_owned(),
            reason: format!("cannot be created: {}", redact(reason, &self.settings.options)),
        };
        let admin: AdminClient<DefaultClientContext> =
            self.settings.client_config().create().map_err(|e| failed(e.to_string()))?;
        let copies = TopicReplication::Fixed(new.replication.unwrap_or(-1));
        let wanted = new
            .config
            .iter()
            .fold(NewTopic::new(topic, new.partitions, copies), |t, (k, v)| t.set(k, v));
        let options = AdminOptions::new().operation_timeout(Some(self.settings.connect_timeout));
        let results = admin.create_topics([&wanted], &options).await;
        // Ending a client waits for its threads.
        std::thread::spawn(move || drop(admin));
        match results.map_err(|e| failed(e.to_string()))?.into_iter().next() {
            Some(Ok(_)) => {
                tracing::info!(topic, partitions = new.partitions, "topic created");
                Ok(())
            }
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((_, error))) => Err(failed(error.to_string())),
            None => Err(failed("the broker did not answer for it".to_owned())),
        }
    }
}
