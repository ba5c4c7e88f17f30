//! The check at the start: no gaps, no circles, no dead ends.

use std::collections::{BTreeMap, HashMap};

use super::builder::{Change, Told};
use super::error::{UpcastersError, UpcastersProblem};
use super::upcasters::{Place, Places, Upcasters};

/// The upcasters, if nothing is wrong with what was told.
pub(super) fn checked(told: Vec<Told>) -> Result<Upcasters, UpcastersError> {
    let mut problems = Vec::new();
    let mut aggregates = HashMap::new();
    for told in told {
        let aggregate_type = told.aggregate_type.clone();
        let places = Checker { aggregate_type: &aggregate_type, problems: &mut problems };
        let places = places.check(told);
        if aggregates.insert(aggregate_type.clone().into_boxed_str(), places).is_some() {
            problems.push(UpcastersProblem::RegisteredTwice { aggregate_type });
        }
    }
    if problems.is_empty() {
        Ok(Upcasters::of(aggregates))
    } else {
        Err(UpcastersError { problems })
    }
}

/// Type and version as a message shows them.
fn shown(event_type: &str, version: i32) -> String {
    format!("{event_type:?} version {version}")
}

struct Checker<'c> {
    aggregate_type: &'c str,
    problems: &'c mut Vec<UpcastersProblem>,
}

impl Checker<'_> {
    fn check(mut self, told: Told) -> Places {
        let mut places = Places::new();
        for &(name, version) in told.current {
            places.entry(name.into()).or_default().insert(version, Place::Current);
        }
        for ((name, version), step) in told.steps {
            let from = || shown(&name, version);
            let aggregate_type = || self.aggregate_type.to_owned();
            if version < 1 || step.into.iter().any(|(_, version)| *version < 1) {
                let reason = format!("the step from {}: versions count from 1", from());
                self.invalid(reason);
                continue;
            }
            if step.into.is_empty() && !matches!(step.change, Change::Drop) {
                self.invalid(format!("the step from {} leads nowhere: use `drop`", from()));
                continue;
            }
            let versions = places.entry(name.as_str().into()).or_default();
            match versions.get(&version) {
                Some(Place::Current) => self.problems.push(UpcastersProblem::Current {
                    aggregate_type: aggregate_type(),
                    from: from(),
                }),
                Some(Place::Step(_)) => self.problems.push(UpcastersProblem::Twice {
                    aggregate_type: aggregate_type(),
                    from: from(),
                }),
                None => {
                    versions.insert(version, Place::Step(step));
                }
            }
        }
        self.dead_ends(&places);
        self.gaps(&places, &told.first_versions);
        self.cycles(&places);
        places
    }

    fn invalid(&mut self, reason: String) {
        let aggregate_type = self.aggregate_type.to_owned();
        self.problems.push(UpcastersProblem::Invalid { aggregate_type, reason });
    }

    fn dead_ends(&mut self, places: &Places) {
        for (name, version, into) in steps(places) {
            for (to, to_version) in into {
                if places.get(to.as_str()).is_none_or(|v| !v.contains_key(to_version)) {
                    self.problems.push(UpcastersProblem::DeadEnd {
                        aggregate_type: self.aggregate_type.to_owned(),
                        from: shown(name, version),
                        to: shown(to, *to_version),
                    });
                }
            }
        }
    }

    fn gaps(&mut self, places: &Places, first_versions: &[(String, i32)]) {
        for (name, version) in first_versions {
            let known = places.get(name.as_str()).and_then(|versions| versions.keys().next());
            match known {
                None => self.invalid(format!("first_version of {name:?}, which is unknown")),
                Some(first) if first < version => self.invalid(format!(
                    "{} is read, though {version} is said to be the first version",
                    shown(name, *first)
                )),
                Some(_) => {}
            }
        }
        for (name, versions) in places {
            let said = first_versions.iter().find(|(of, _)| **of == **name);
            let mut expected = said.map_or(1, |(_, version)| *version);
            for &version in versions.keys() {
                if expected < version {
                    self.problems.push(UpcastersProblem::Gap {
                        aggregate_type: self.aggregate_type.to_owned(),
                        event_type: name.to_string(),
                        event_version: expected,
                        later: version,
                    });
                }
                expected = version.saturating_add(1);
            }
        }
    }

    /// Walks the steps depth first; a step that is met while it is on the path closes a
    /// circle.
    fn cycles(&mut self, places: &Places) {
        let mut seen: BTreeMap<(&str, i32), bool> = BTreeMap::new();
        let mut path: Vec<(&str, i32)> = Vec::new();
        for (name, version, _) in steps(places) {
            if self.walk((name, version), places, &mut seen, &mut path) {
                return;
            }
        }
    }

    /// Whether a circle was found; `seen` says of each step whether it is on the path.
    fn walk<'p>(
        &mut self,
        at: (&'p str, i32),
        places: &'p Places,
        seen: &mut BTreeMap<(&'p str, i32), bool>,
        path: &mut Vec<(&'p str, i32)>,
    ) -> bool {
        let Some(Place::Step(step)) = places.get(at.0).and_then(|v| v.get(&at.1)) else {
            return false;
        };
        match seen.get(&at) {
            Some(false) => return false,
            Some(true) => {
                let circle = path.iter().skip_while(|step| **step != at).chain([&at]);
                let shown: Vec<String> =
                    circle.map(|(name, version)| shown(name, *version)).collect();
                self.problems.push(UpcastersProblem::Cycle {
                    aggregate_type: self.aggregate_type.to_owned(),
                    path: shown.join(" → "),
                });
                return true;
            }
            None => {}
        }
        seen.insert(at, true);
        path.push(at);
        for (name, version) in &step.into {
            if self.walk((name, *version), places, seen, path) {
                return true;
            }
        }
        path.pop();
        seen.insert(at, false);
        false
    }
}

/// All steps: where each begins, and where it leads.
fn steps(places: &Places) -> impl Iterator<Item = (&str, i32, &[(String, i32)])> {
    places.iter().flat_map(|(name, versions)| {
        versions.iter().filter_map(|(version, place)| match place {
            Place::Current => None,
            Place::Step(step) => Some((&**name, *version, step.into.as_slice())),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DomainEvent;

    #[derive(Debug, Clone, DomainEvent)]
    #[allow(dead_code)]
    enum Event {
        #[event(name = "Placed", version = 3)]
        Placed { total: i64 },
        #[event(name = "Closed")]
        Closed,
    }

    fn problems(
        tell: impl FnOnce(super::super::EventSteps) -> super::super::EventSteps,
    ) -> Vec<String> {
        match Upcasters::builder().events::<Event>("Order", tell).build() {
            Ok(_) => Vec::new(),
            Err(error) => error.problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn complete_chains_are_accepted() {
        let found = problems(|steps| {
            steps
                .revise("Placed", 1, |_| Ok(()))
                .revise("Placed", 2, |_| Ok(()))
                .rename(("Made", 1), ("Placed", 2), |_| Ok(()))
                .drop("Noise", 1)
        });
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn versions_that_nothing_reads_are_named() {
        let found = problems(|steps| steps.revise("Placed", 2, |_| Ok(())));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("no upcaster for \"Placed\" version 1"), "{found:?}");
        let found = problems(|steps| steps.revise("Placed", 1, |_| Ok(())));
        assert!(found[0].contains("leads to \"Placed\" version 2"), "{found:?}");
    }

    #[test]
    fn versions_that_were_never_stored_are_not_missed() {
        assert!(problems(|steps| steps.first_version("Placed", 3)).is_empty());
        let found =
            problems(|steps| steps.first_version("Placed", 3).revise("Placed", 2, |_| Ok(())));
        assert!(found[0].contains("said to be the first"), "{found:?}");
        let found = problems(|steps| steps.first_version("Placed", 3).first_version("X", 1));
        assert!(found[0].contains("\"X\", which is unknown"), "{found:?}");
    }

    #[test]
    fn circles_dead_ends_and_repetitions_are_named() {
        let found = problems(|steps| {
            steps.first_version("Placed", 3).rename(("A", 1), ("B", 1), |_| Ok(())).rename(
                ("B", 1),
                ("A", 1),
                |_| Ok(()),
            )
        });
        assert!(found[0].contains("\"A\" version 1 → \"B\" version 1 → \"A\" version 1"));
        let found = problems(|steps| {
            steps
                .first_version("Placed", 3)
                .rename(("A", 1), ("Gone", 1), |_| Ok(()))
                .drop("N", 1)
                .drop("N", 1)
                .drop("Closed", 1)
                .drop("Z", 0)
                .split(("S", 1), &[], |_| Ok(Vec::new()))
        });
        for part in [
            "leads to \"Gone\"",
            "two steps from \"N\"",
            "event of this build",
            "from 1",
            "leads nowhere",
        ] {
            assert!(found.iter().any(|p| p.contains(part)), "{part} in {found:?}");
        }
        let twice = Upcasters::builder()
            .events::<Event>("Order", |steps| steps.first_version("Placed", 3))
            .events::<Event>("Order", |steps| steps.first_version("Placed", 3))
            .build();
        assert!(twice.unwrap_err().to_string().contains("registered twice"));
    }
}
