//! How upcasters are told.

use std::error::Error;

use serde_json::{Map, Value};

use super::check;
use super::error::UpcastersError;
use super::upcasters::Upcasters;
use crate::event::DomainEvent;

/// What an upcaster's function returns; an error makes the event unreadable, and names it.
pub type UpcastResult<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// One of the events that a stored one is split into.
#[derive(Debug, Clone, PartialEq)]
pub struct Upcasted {
    /// Its type.
    pub event_type: String,
    /// Its version.
    pub event_version: i32,
    /// Its payload.
    pub payload: Value,
}

impl Upcasted {
    /// An event of this type and version.
    pub fn new(event_type: impl Into<String>, event_version: i32, payload: Value) -> Self {
        Self { event_type: event_type.into(), event_version, payload }
    }
}

pub(super) type Edit = Box<dyn Fn(&mut Map<String, Value>) -> UpcastResult + Send + Sync>;
pub(super) type Split = Box<dyn Fn(Value) -> UpcastResult<Vec<Upcasted>> + Send + Sync>;

/// What a step does.
pub(super) enum Change {
    /// The event is as if it had not been.
    Drop,
    /// Its fields change; type and version are those of the only target.
    Edit(Edit),
    /// It becomes several, or one whose payload is no object.
    Split(Split),
}

/// A step from one type and version to others.
pub(super) struct Step {
    pub(super) into: Vec<(String, i32)>,
    pub(super) change: Change,
}

/// The steps of one aggregate type as they were told, not checked yet.
pub(super) struct Told {
    pub(super) aggregate_type: String,
    pub(super) current: &'static [(&'static str, i32)],
    pub(super) steps: Vec<((String, i32), Step)>,
    pub(super) first_versions: Vec<(String, i32)>,
}

/// Collects upcasters; see [`Upcasters`].
#[must_use = "upcasters are checked when they are built"]
#[derive(Default)]
pub struct UpcastersBuilder {
    told: Vec<Told>,
}

impl UpcastersBuilder {
    /// The steps that lead from what was stored to the events `E` of an aggregate type.
    pub fn events<E: DomainEvent>(
        mut self,
        aggregate_type: &str,
        tell: impl FnOnce(EventSteps) -> EventSteps,
    ) -> Self {
        let told = Told {
            aggregate_type: aggregate_type.to_owned(),
            current: E::TYPES,
            steps: Vec::new(),
            first_versions: Vec::new(),
        };
        self.told.push(tell(EventSteps { told }).told);
        self
    }

    /// The upcasters, after a check that every version up to today's can be read, that every
    /// chain ends in an event of today and that none goes in a circle.
    ///
    /// # Errors
    /// [`UpcastersError`] lists everything that is wrong.
    pub fn build(self) -> Result<Upcasters, UpcastersError> {
        check::checked(self.told)
    }
}

impl std::fmt::Debug for UpcastersBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let types = self.told.iter().map(|told| &told.aggregate_type);
        f.debug_list().entries(types).finish()
    }
}

/// The steps of one aggregate type; given to the closure of [`UpcastersBuilder::events`].
#[must_use = "return it from the closure"]
pub struct EventSteps {
    told: Told,
}

impl EventSteps {
    /// Payloads of this version become those of the next.
    pub fn revise(
        self,
        event_type: &str,
        version: i32,
        edit: impl Fn(&mut Map<String, Value>) -> UpcastResult + Send + Sync + 'static,
    ) -> Self {
        let next = version.saturating_add(1);
        self.rename((event_type, version), (event_type, next), edit)
    }

    /// Events of one type and version become events of another.
    pub fn rename(
        self,
        from: (&str, i32),
        to: (&str, i32),
        edit: impl Fn(&mut Map<String, Value>) -> UpcastResult + Send + Sync + 'static,
    ) -> Self {
        self.step(from, &[to], Change::Edit(Box::new(edit)))
    }

    /// An event becomes several, in this order, each of one of the types and versions in
    /// `into`; also the way for payloads that are not objects. At most ten in all, since
    /// projections write with the event's `committed_at` and up to 9 µs more.
    pub fn split(
        self,
        from: (&str, i32),
        into: &[(&str, i32)],
        split: impl Fn(Value) -> UpcastResult<Vec<Upcasted>> + Send + Sync + 'static,
    ) -> Self {
        self.step(from, into, Change::Split(Box::new(split)))
    }

    /// Events of this type and version are passed over. Their sequence number stays taken.
    pub fn drop(self, event_type: &str, version: i32) -> Self {
        self.step((event_type, version), &[], Change::Drop)
    }

    /// Versions of this type below `version` were never stored: none of them is missed.
    pub fn first_version(mut self, event_type: &str, version: i32) -> Self {
        self.told.first_versions.push((event_type.to_owned(), version));
        self
    }

    fn step(mut self, from: (&str, i32), into: &[(&str, i32)], change: Change) -> Self {
        let owned = |(name, version): &(&str, i32)| ((*name).to_owned(), *version);
        let step = Step { into: into.iter().map(owned).collect(), change };
        self.told.steps.push((owned(&from), step));
        self
    }
}

impl std::fmt::Debug for EventSteps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.told.steps.iter().map(|(from, _)| from)).finish()
    }
}
