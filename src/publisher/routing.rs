//! Where an event goes, and under which key.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::event::EventEnvelope;
use crate::publisher::topic::{InvalidTopic, check_topic, kebab};

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'a> {
    /// The topic.
    pub topic: Arc<str>,
    /// The key: a topic keeps the order of the messages of one key.
    pub key: Cow<'a, str>,
}

type Function = dyn for<'a> Fn(&'a EventEnvelope) -> Route<'a> + Send + Sync;

/// Decides topic and key of each event.
///
/// ```
/// use messina::publisher::{Key, Routing};
/// # let mut event = messina::testing::envelope("Order", 1);
/// # event.event_type = "OrderPlaced".into();
///
/// let routing = Routing::default();
/// assert_eq!(&*routing.route(&event)?.topic, "order-events");
/// assert_eq!(routing.route(&event)?.key, event.aggregate_id.to_string());
///
/// let routing: Routing = "shop.{event-type}".parse()?;
/// assert_eq!(&*routing.route(&event)?.topic, "shop.order-placed");
/// # Ok::<(), messina::publisher::RoutingError>(())
/// ```
#[derive(Clone)]
pub struct Routing {
    topic: Topic,
    key: Key,
}

#[derive(Clone)]
enum Topic {
    Pattern(Arc<Pattern>),
    Function(Arc<Function>),
}

/// What a message's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Key {
    /// The aggregate's id: an aggregate's events stay in order.
    #[default]
    AggregateId,
    /// The correlation id, or the aggregate's where there is none. Events of one request
    /// share a partition; an aggregate's events may overtake each other.
    CorrelationId,
    /// The tenant, or the aggregate's id where there is none. A tenant's events share a
    /// partition, and an aggregate's stay in order as long as its tenant does not change.
    Tenant,
}

impl Key {
    fn of(self, event: &EventEnvelope) -> Cow<'_, str> {
        let other = match self {
            Key::AggregateId => None,
            Key::CorrelationId => event.correlation_id.map(|id| Cow::Owned(id.to_string())),
            Key::Tenant => event.metadata.tenant.as_deref().map(Cow::Borrowed),
        };
        other.unwrap_or_else(|| Cow::Owned(event.aggregate_id.to_string()))
    }
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoutingError {
    /// A pattern with something unknown in braces, or braces that do not match.
    #[error(
        "{pattern:?} is no pattern for topics: {reason}; there are {{aggregate-type}} and {{event-type}}"
    )]
    Pattern {
        /// As given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The topic's name is not valid.
    #[error(transparent)]
    Topic(#[from] InvalidTopic),
}

impl Default for Routing {
    fn default() -> Self {
        Self::by_aggregate_type()
    }
}

impl Routing {
    /// `{aggregate-type}-events`, in kebab case: one topic holds whole histories, so that
    /// readers see an aggregate's events in order.
    pub fn by_aggregate_type() -> Self {
        Self::of(Pattern::new([Part::AggregateType, Part::Text("-events".to_owned())]))
    }

    /// `{event-type}`, in kebab case. Order holds within each topic only.
    pub fn by_event_type() -> Self {
        Self::of(Pattern::new([Part::EventType]))
    }

    /// Whatever the function says. What it names must be valid topics; an event that is
    /// sent elsewhere is refused.
    ///
    /// ```
    /// use messina::publisher::{Route, Routing};
    ///
    /// let routing = Routing::function(|event| Route {
    ///     topic: if event.metadata.tenant.is_some() { "tenants" } else { "everyone" }.into(),
    ///     key: event.aggregate_id.to_string().into(),
    /// });
    /// # assert_eq!(routing.route(&messina::testing::envelope("A", 1)).unwrap().topic.to_string(), "everyone");
    /// ```
    pub fn function(
        function: impl for<'a> Fn(&'a EventEnvelope) -> Route<'a> + Send + Sync + 'static,
    ) -> Self {
        Self { topic: Topic::Function(Arc::new(function)), key: Key::default() }
    }

    /// Another key than the aggregate's id. A function's keys are its own.
    pub fn key(mut self, key: Key) -> Self {
        self.key = key;
        self
    }

    fn of(pattern: Pattern) -> Self {
        Self { topic: Topic::Pattern(Arc::new(pattern)), key: Key::default() }
    }

    /// The topics of events of these types (of aggregate and event); `None`: a function says
    /// where they go.
    ///
    /// # Errors
    /// [`RoutingError::Topic`] for one without a valid name.
    ///
    /// ```
    /// use messina::publisher::Routing;
    ///
    /// let topics = Routing::default().topics([("Order", "OrderPlaced"), ("Order", "OrderShipped")])?;
    /// assert_eq!(topics, Some(["order-events".to_owned()].into()));
    /// # Ok::<(), messina::publisher::RoutingError>(())
    /// ```
    pub fn topics<'t>(
        &self,
        types: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Option<BTreeSet<String>>, RoutingError> {
        let Topic::Pattern(pattern) = &self.topic else { return Ok(None) };
        let mut topics = BTreeSet::new();
        if pattern.parts.iter().all(|part| matches!(part, Part::Text(_))) {
            topics.insert(pattern.expand("", ""));
        }
        for (aggregate_type, event_type) in types {
            let topic = pattern.expand(aggregate_type, event_type);
            check_topic(&topic)?;
            topics.insert(topic);
        }
        Ok(Some(topics))
    }

    /// Whether two events of one aggregate may go to two topics.
    #[cfg(feature = "cli")]
    pub(crate) fn depends_on_event_type(&self) -> bool {
        match &self.topic {
            Topic::Pattern(pattern) => pattern.parts.contains(&Part::EventType),
            Topic::Function(_) => true,
        }
    }

    /// Topic and key of this event.
    ///
    /// # Errors
    /// [`RoutingError::Topic`].
    pub fn route<'a>(&self, event: &'a EventEnvelope) -> Result<Route<'a>, RoutingError> {
        match &self.topic {
            Topic::Pattern(pattern) => {
                Ok(Route { topic: pattern.topic(event)?, key: self.key.of(event) })
            }
            Topic::Function(function) => {
                let route = function(event);
                check_topic(&route.topic)?;
                Ok(route)
            }
        }
    }
}

impl FromStr for Routing {
    type Err = RoutingError;

    /// A topic's name in which `{aggregate-type}` and `{event-type}` stand for these, in
    /// kebab case.
    fn from_str(pattern: &str) -> Result<Self, RoutingError> {
        Pattern::parse(pattern).map(Self::of)
    }
}

impl fmt::Debug for Routing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.topic {
            Topic::Pattern(pattern) => write!(f, "Routing({pattern}, {:?})", self.key),
            Topic::Function(_) => f.write_str("Routing(function)"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    AggregateType,
    EventType,
}

/// Type of aggregate and type of event.
type Names = (Arc<str>, Arc<str>);

/// Topics by a pattern, each made and checked once.
struct Pattern {
    parts: Vec<Part>,
    topics: RwLock<HashMap<Names, Arc<str>>>,
}

impl Pattern {
    fn new(parts: impl Into<Vec<Part>>) -> Self {
        Self { parts: parts.into(), topics: RwLock::default() }
    }

    fn parse(text: &str) -> Result<Self, RoutingError> {
        let wrong = |reason: &str| RoutingError::Pattern {
            pattern: text.to_owned(),
            reason: reason.to_owned(),
        };
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            let close = from.find('}').ok_or_else(|| wrong("a '{' without its '}'"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match &from[1..close] {
                "aggregate-type" => Part::AggregateType,
                "event-type" => Part::EventType,
                other => return Err(wrong(&format!("nothing is called {{{other}}}"))),
            });
            rest = &from[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let pattern = Self::new(parts);
        check_topic(&pattern.expand("a", "a"))?;
        Ok(pattern)
    }

    fn topic(&self, event: &EventEnvelope) -> Result<Arc<str>, InvalidTopic> {
        let names = (Arc::clone(&event.aggregate_type), Arc::clone(&event.event_type));
        if let Some(topic) = self.topics.read().get(&names) {
            return Ok(Arc::clone(topic));
        }
        let topic: Arc<str> = self.expand(&names.0, &names.1).into();
        check_topic(&topic)?;
        self.topics.write().insert(names, Arc::clone(&topic));
        Ok(topic)
    }

    fn expand(&self, aggregate_type: &str, event_type: &str) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Cow::Borrowed(text.as_str()),
                Part::AggregateType => Cow::Owned(kebab(aggregate_type)),
                Part::EventType => Cow::Owned(kebab(event_type)),
            })
            .collect()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::AggregateType => f.write_str("{aggregate-type}"),
            Part::EventType => f.write_str("{event-type}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CorrelationId;
    use crate::testing::envelope;

    #[test]
    fn a_topic_follows_the_type_of_aggregate_or_event() {
        let mut event = envelope("CustomerAccount", 1);
        event.event_type = "MoneyDeposited".into();
        for (routing, topic) in [
            (Routing::default(), "customer-account-events"),
            (Routing::by_event_type(), "money-deposited"),
            ("all".parse().unwrap(), "all"),
            (
                "{aggregate-type}.{event-type}.v1".parse().unwrap(),
                "customer-account.money-deposited.v1",
            ),
        ] {
            assert_eq!(&*routing.route(&event).unwrap().topic, topic, "{routing:?}");
        }
    }

    #[test]
    fn a_key_falls_back_on_the_aggregate() {
        let mut event = envelope("Order", 1);
        let id = event.aggregate_id.to_string();
        for key in [Key::AggregateId, Key::CorrelationId, Key::Tenant] {
            assert_eq!(Routing::default().key(key).route(&event).unwrap().key, id);
        }
        let request = CorrelationId::new();
        event.correlation_id = Some(request);
        event.metadata.tenant = Some("acme".to_owned());
        let key = |key| Routing::default().key(key).route(&event).unwrap().key.into_owned();
        assert_eq!(key(Key::CorrelationId), request.to_string());
        assert_eq!(key(Key::Tenant), "acme");
    }

    #[test]
    fn a_pattern_that_makes_no_topics_is_refused_when_it_is_read() {
        for (pattern, part) in [
            ("{tenant}", "{tenant}"),
            ("{event-type", "without"),
            ("a b", "cannot be a topic's name"),
            ("", "cannot be a topic's name"),
        ] {
            let error = pattern.parse::<Routing>().unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn an_event_whose_topic_has_no_valid_name_has_no_route() {
        let event = envelope("Order", 1);
        let routing = Routing::function(|event| Route {
            topic: "not a topic".into(),
            key: event.aggregate_id.to_string().into(),
        });
        assert!(matches!(routing.route(&event), Err(RoutingError::Topic(_))));
        let nameless = envelope("Ö", 1);
        assert!(Routing::by_event_type().route(&nameless).is_ok());
        assert!("{aggregate-type}".parse::<Routing>().unwrap().route(&nameless).is_err());
    }
}
