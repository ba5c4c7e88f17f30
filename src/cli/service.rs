//! What a service's own commands are made of: its schema, its projections, its groups.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::aggregate::Aggregate;
use crate::consumer::EventHandler;
use crate::event::{DomainEvent, Upcasters};
use crate::projection::{Projection, ProjectionHandler};
use crate::publisher::{EnvelopeKind, KafkaSettings, KafkaSink, Publisher, Routing};
use crate::schema::{Migration, Schema};
use crate::store::EventStore;

/// Why a group's handler could not be made.
pub type HandlerFailure = Box<dyn Error + Send + Sync>;

/// What a group's handler is made with.
#[derive(Debug, Clone)]
pub struct HandlerContext {
    /// The service's events.
    pub store: EventStore,
    /// The brokers and librdkafka's options, as configured.
    pub kafka: KafkaSettings,
    /// Where events go, as configured.
    pub routing: Routing,
    /// What they look like there, as configured.
    pub envelope: EnvelopeKind,
}

type MakeHandler = Arc<
    dyn Fn(HandlerContext) -> BoxFuture<'static, Result<Arc<dyn EventHandler>, HandlerFailure>>
        + Send
        + Sync,
>;

/// What a group is.
#[derive(Clone)]
pub(crate) enum GroupKind {
    Projection(Arc<dyn Projection>),
    Handler { make: MakeHandler, sends: Sends },
}

/// Whether a group sends to the brokers: what `doctor` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sends {
    Nothing,
    /// As the configured routing says.
    Routed,
    /// Where its own code says.
    Somewhere,
}

/// A group of the service.
#[derive(Clone)]
pub(crate) struct GroupEntry {
    pub(crate) name: String,
    pub(crate) kind: GroupKind,
}

impl fmt::Debug for GroupEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupEntry").field(&self.name).finish()
    }
}

/// A service: what [`projection_runner`](crate::cli::projection_runner) and
/// [`rebuild_projection`](crate::cli::rebuild_projection) work on.
///
/// ```no_run
/// use messina::cli::Service;
/// # use messina::{EventEnvelope, Migration, Projection, ProjectionError};
/// # use messina::projection::Writes;
/// # struct CartSizes;
/// # impl Projection for CartSizes {
/// #     fn name(&self) -> &'static str { "cart_sizes" }
/// #     fn aggregate_types(&self) -> &'static [&'static str] { &["Cart"] }
/// #     fn tables(&self) -> &'static [&'static str] { &["cart_sizes"] }
/// #     fn handle_event(&self, _: &EventEnvelope, _: &mut Writes) -> Result<(), ProjectionError> { Ok(()) }
/// # }
/// # const MIGRATIONS: &[Migration] = &[];
/// fn shop() -> Service {
///     Service::new("shop")
///         .migrations(MIGRATIONS)
///         .projection(CartSizes)
///         .kafka_publisher("redpanda_publisher")
/// }
///
/// fn main() -> std::process::ExitCode {
///     messina::cli::projection_runner(shop())
/// }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Service {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) keyspace: String,
    migrations: Vec<(String, &'static [Migration])>,
    pub(crate) groups: Vec<GroupEntry>,
    pub(crate) upcasters: Arc<Upcasters>,
    /// Types of aggregates and of their events.
    event_types: Vec<(&'static str, &'static str)>,
}

impl Service {
    /// A service; its keyspace has its name unless configured otherwise.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            version: env!("CARGO_PKG_VERSION"),
            keyspace: name.to_owned(),
            migrations: Vec::new(),
            groups: Vec::new(),
            upcasters: Arc::default(),
            event_types: Vec::new(),
        }
    }

    /// What `--version` says; the library's own version unless set. `env!("CARGO_PKG_VERSION")`.
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// The keyspace unless configured otherwise; the service's name unless set.
    pub fn keyspace(mut self, keyspace: impl Into<String>) -> Self {
        self.keyspace = keyspace.into();
        self
    }

    /// The service's own tables: read models and whatever else it has.
    pub fn migrations(mut self, migrations: &'static [Migration]) -> Self {
        self.migrations.push((self.name.to_owned(), migrations));
        self
    }

    /// How events of earlier types and versions are read.
    pub fn upcasters(mut self, upcasters: impl Into<Arc<Upcasters>>) -> Self {
        self.upcasters = upcasters.into();
        self
    }

    /// An aggregate of the service, so that `doctor` knows which events there are, and to which
    /// topics they go.
    pub fn aggregate<A: Aggregate>(mut self) -> Self {
        let types = A::Event::TYPES.iter().map(|(event_type, _)| (A::TYPE, *event_type));
        self.event_types.extend(types);
        self
    }

    /// A read model. Its group has the projection's name.
    pub fn projection(self, projection: impl Projection) -> Self {
        self.shared_projection(Arc::new(projection))
    }

    /// As [`Service::projection`], for one that is shared.
    pub fn shared_projection(mut self, projection: Arc<dyn Projection>) -> Self {
        let name = projection.name().to_owned();
        self.groups.push(GroupEntry { name, kind: GroupKind::Projection(projection) });
        self
    }

    /// A group that publishes to the configured brokers, topics and envelope.
    pub fn kafka_publisher(self, name: impl Into<String>) -> Self {
        self.group(name, Sends::Routed, |context| async move {
            let sink = KafkaSink::connect(context.kafka).await?;
            Ok(Publisher::new(sink)
                .routing(context.routing)
                .shared_envelope(context.envelope.envelope()))
        })
    }

    /// A group that publishes to the configured brokers, made as the service wants it.
    pub fn publisher<H, F>(
        self,
        name: impl Into<String>,
        make: impl Fn(HandlerContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        H: EventHandler,
        F: Future<Output = Result<H, HandlerFailure>> + Send + 'static,
    {
        self.group(name, Sends::Somewhere, make)
    }

    /// Any other group: a process manager, a cache's invalidation, a webhook.
    pub fn handler<H, F>(
        self,
        name: impl Into<String>,
        make: impl Fn(HandlerContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        H: EventHandler,
        F: Future<Output = Result<H, HandlerFailure>> + Send + 'static,
    {
        self.group(name, Sends::Nothing, make)
    }

    fn group<H, F>(
        mut self,
        name: impl Into<String>,
        sends: Sends,
        make: impl Fn(HandlerContext) -> F + Send + Sync + 'static,
    ) -> Self
    where
        H: EventHandler,
        F: Future<Output = Result<H, HandlerFailure>> + Send + 'static,
    {
        let make: MakeHandler = Arc::new(move |context| {
            let making = make(context);
            Box::pin(async move { Ok(Arc::new(making.await?) as Arc<dyn EventHandler>) })
        });
        let name = name.into();
        self.groups.push(GroupEntry { name, kind: GroupKind::Handler { make, sends } });
        self
    }

    /// The names of all groups, as they were added.
    pub fn group_names(&self) -> Vec<&str> {
        self.groups.iter().map(|group| group.name.as_str()).collect()
    }

    /// The service's schema in this keyspace.
    pub fn schema(&self, keyspace: &str) -> Schema {
        let schema = self
            .migrations
            .iter()
            .fold(Schema::new(keyspace), |schema, (name, list)| schema.migrations(name, list));
        self.groups.iter().fold(schema, |schema, group| match &group.kind {
            GroupKind::Projection(projection) => {
                schema.read_model(projection.name(), projection.tables())
            }
            GroupKind::Handler { .. } => schema,
        })
    }

    /// Types of aggregates and of their events, as far as they were told.
    pub(crate) fn event_types(&self) -> Vec<(&str, &str)> {
        self.event_types.clone()
    }

    /// Types of aggregates that projections follow.
    pub(crate) fn followed_aggregates(&self) -> BTreeSet<&str> {
        self.groups
            .iter()
            .filter_map(|group| match &group.kind {
                GroupKind::Projection(projection) => Some(projection.aggregate_types()),
                GroupKind::Handler { .. } => None,
            })
            .flatten()
            .copied()
            .collect()
    }

    /// The groups of these names, or all for none.
    pub(crate) fn chosen(&self, names: &[String]) -> Result<Vec<&GroupEntry>, UnknownName> {
        if names.is_empty() {
            return Ok(self.groups.iter().collect());
        }
        names.iter().map(|name| self.entry(name)).collect()
    }

    /// The group of this name.
    pub(crate) fn entry(&self, name: &str) -> Result<&GroupEntry, UnknownName> {
        self.groups
            .iter()
            .find(|group| group.name == name)
            .ok_or_else(|| UnknownName::new("group", name, self.group_names()))
    }

    /// The projection of this name; groups of another kind are not among them.
    pub(crate) fn projection_named(&self, name: &str) -> Result<Arc<dyn Projection>, UnknownName> {
        let projections = || {
            self.groups.iter().filter_map(|group| match &group.kind {
                GroupKind::Projection(projection) => Some((group.name.as_str(), projection)),
                GroupKind::Handler { .. } => None,
            })
        };
        projections()
            .find(|(own, _)| *own == name)
            .map(|(_, projection)| Arc::clone(projection))
            .ok_or_else(|| {
                let known = projections().map(|(name, _)| name).collect();
                let mut unknown = UnknownName::new("projection", name, known);
                unknown.has_effects = self.entry(name).is_ok();
                unknown
            })
    }
}

impl GroupEntry {
    /// The handler, connected to what it needs.
    pub(crate) async fn handler(
        &self,
        context: HandlerContext,
    ) -> Result<Arc<dyn EventHandler>, HandlerFailure> {
        match &self.kind {
            GroupKind::Projection(projection) => {
                let projection = Arc::clone(projection);
                Ok(Arc::new(ProjectionHandler::shared(&context.store, projection)))
            }
            GroupKind::Handler { make, .. } => make(context).await,
        }
    }

    pub(crate) fn sends_to_brokers(&self) -> bool {
        match self.kind {
            GroupKind::Projection(_) => false,
            GroupKind::Handler { sends, .. } => sends != Sends::Nothing,
        }
    }
}

/// A name that nothing has.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no {kind} {name:?}; there are: {}{}",
    known.join(", "),
    if *has_effects { format!(" ({name} has effects outside of tables: it cannot be rebuilt)") }
    else { String::new() }
)]
pub struct UnknownName {
    kind: &'static str,
    name: String,
    known: Vec<String>,
    /// It is a group, but none that can be rebuilt.
    has_effects: bool,
}

impl UnknownName {
    fn new(kind: &'static str, name: &str, known: Vec<&str>) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            known: known.into_iter().map(str::to_owned).collect(),
            has_effects: false,
        }
    }
}
