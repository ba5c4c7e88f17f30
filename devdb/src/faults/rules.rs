//! The faults that are asked for, and how often each was met.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::action::FaultAction;
use super::fault::Fault;
use super::target::Target;

/// A fault that a node has.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultStatus {
    /// Its name.
    pub name: String,
    /// What was asked for.
    pub fault: Fault,
    /// Requests that matched.
    pub seen: u64,
    /// Requests that it hit.
    pub hits: u64,
}

#[derive(Debug)]
struct Rule {
    status: FaultStatus,
    random: StdRng,
}

impl Rule {
    fn new(name: String, fault: Fault) -> Self {
        let random = StdRng::seed_from_u64(fault.seed);
        Self { status: FaultStatus { name, fault, seen: 0, hits: 0 }, random }
    }

    /// Counts a matching request; whether it is hit.
    fn is_hit(&mut self) -> bool {
        let FaultStatus { fault, seen, hits, .. } = &mut self.status;
        let index = *seen;
        *seen += 1;
        if fault.times.is_some_and(|times| *hits >= times) {
            return false;
        }
        let due = index.checked_sub(fault.skip).is_some_and(|n| n.is_multiple_of(fault.every));
        let hit = due && fault.probability.is_none_or(|p| self.random.random::<f64>() < p);
        *hits += u64::from(hit);
        hit
    }
}

#[derive(Debug, Default)]
struct Shared {
    rules: Mutex<Vec<Rule>>,
    /// How many there are: requests of a node without faults take no lock.
    count: AtomicUsize,
    named: AtomicU64,
}

/// The faults of a node. Cloning gives another handle on the same ones.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

impl Faults {
    /// Adds a fault. It stays until it is removed, also when it hits no more.
    pub fn add(&self, fault: Fault) -> FaultHandle {
        let name = loop {
            let number = self.shared.named.fetch_add(1, Ordering::Relaxed) + 1;
            let name = format!("fault-{number}");
            if self.get(&name).is_none() {
                break name;
            }
        };
        self.set(&name, fault)
    }

    /// Adds a fault with a name, in the place of one that has it.
    pub fn set(&self, name: &str, fault: Fault) -> FaultHandle {
        self.change(|rules| {
            let rule = Rule::new(name.to_owned(), fault);
            match rules.iter_mut().find(|rule| rule.status.name == name) {
                Some(existing) => *existing = rule,
                None => rules.push(rule),
            }
        });
        FaultHandle { faults: self.clone(), name: name.to_owned() }
    }

    /// Removes the fault of this name, if there is one.
    pub fn remove(&self, name: &str) {
        self.change(|rules| rules.retain(|rule| rule.status.name != name));
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.change(Vec::clear);
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Rule>)) {
        let mut rules = self.shared.rules.lock();
        change(&mut rules);
        self.shared.count.store(rules.len(), Ordering::Release);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shared.count.load(Ordering::Acquire)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them with how often they were met, in their order.
    pub fn list(&self) -> Vec<FaultStatus> {
        self.shared.rules.lock().iter().map(|rule| rule.status.clone()).collect()
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<FaultStatus> {
        let rules = self.shared.rules.lock();
        rules.iter().find(|rule| rule.status.name == name).map(|rule| rule.status.clone())
    }

    /// What happens to a request, if anything: the first fault that hits decides, and those
    /// behind it do not count the request.
    pub(crate) fn action_for(&self, target: &Target) -> Option<FaultAction> {
        if target.is_about_faults() {
            return None;
        }
        let mut rules = self.shared.rules.lock();
        let hit = rules.iter_mut().find_map(|rule| {
            (rule.status.fault.matches(target) && rule.is_hit()).then_some(&rule.status)
        })?;
        tracing::debug!(fault = %hit.name, statement = %target.text, "a fault hits");
        Some(hit.fault.action.clone())
    }
}

/// A fault that was added.
#[derive(Debug, Clone)]
pub struct FaultHandle {
    faults: Faults,
    name: String,
}

impl FaultHandle {
    /// Its name, which `devdb.faults` shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Requests that matched; 0 once it is removed.
    pub fn seen(&self) -> u64 {
        self.faults.get(&self.name).map_or(0, |status| status.seen)
    }

    /// Requests that it hit; 0 once it is removed.
    pub fn hits(&self) -> u64 {
        self.faults.get(&self.name).map_or(0, |status| status.hits)
    }

    /// Removes it.
    pub fn remove(&self) {
        self.faults.remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Operation;
    use super::*;

    fn target(operation: Operation, keyspace: &str, table: &str, text: &str) -> Target {
        Target {
            text: text.to_owned(),
            operation: Some(operation),
            tables: vec![(keyspace.to_owned(), table.to_owned())],
            is_use: false,
        }
    }

    fn hits(fault: Fault, requests: usize) -> String {
        let faults = Faults::default();
        let handle = faults.add(fault);
        let read = target(Operation::Read, "ks", "t", "SELECT * FROM t");
        let hits: String = (0..requests)
            .map(|_| if faults.action_for(&read).is_some() { 'x' } else { '.' })
            .collect();
        assert_eq!(handle.hits(), hits.matches('x').count() as u64);
        hits
    }

    fn fault() -> Fault {
        Fault::new(FaultAction::DropBefore)
    }

    #[test]
    fn a_fault_hits_the_requests_that_it_counts_to() {
        assert_eq!(hits(fault(), 4), "xxxx");
        assert_eq!(hits(fault().times(2), 4), "xx..");
        assert_eq!(hits(fault().skip(1).times(2), 5), ".xx..");
        assert_eq!(hits(fault().nth(3), 5), "..x..");
        assert_eq!(hits(fault().skip(1).every(2).times(2), 7), ".x.x...");
        assert_eq!(hits(fault().nth(0).every(0), 2), "x.");
        assert_eq!(hits(fault().times(0), 2), "..");
    }

    #[test]
    fn probabilities_are_met_and_repeat_with_their_seed() {
        let half = hits(fault().probability(0.5).seed(3), 1000);
        assert_eq!(half, hits(fault().probability(0.5).seed(3), 1000));
        assert_ne!(half, hits(fault().probability(0.5).seed(4), 1000));
        let count = half.matches('x').count();
        assert!((400..600).contains(&count), "{count}");
        assert_eq!(hits(fault().probability(0.0), 100), ".".repeat(100));
        assert_eq!(hits(fault().probability(1.0), 100), "x".repeat(100));
        assert_eq!(hits(fault().probability(f64::NAN), 3), "...");
    }

    #[test]
    fn a_fault_hits_what_it_names() {
        let matches = |fault: Fault, target: &Target| fault.matches(target);
        let read = target(Operation::Read, "ks", "t", "SELECT a FROM ks.t");
        assert!(matches(fault().table("t"), &read));
        assert!(matches(fault().table("ks.t"), &read));
        assert!(!matches(fault().table("other.t"), &read));
        assert!(!matches(fault().table("s"), &read));
        assert!(matches(fault().operation(Operation::Read).statement("FROM ks.t"), &read));
        assert!(!matches(fault().operation(Operation::Write), &read));
        assert!(!matches(fault().statement("UPDATE"), &read));
        let prepare = read.clone().prepare();
        assert!(!matches(fault(), &prepare));
        assert!(matches(fault().operation(Operation::Prepare).table("t"), &prepare));
        let invalid = Target { text: "SELEKT".to_owned(), ..Target::default() };
        assert!(matches(fault(), &invalid));
        assert!(!matches(fault().table("t"), &invalid));
    }

    #[test]
    fn what_drivers_read_is_hit_only_when_named_and_the_faults_tables_never() {
        let local = target(Operation::Read, "system", "local", "SELECT * FROM system.local");
        assert!(!fault().matches(&local));
        assert!(fault().table("system.local").matches(&local));
        assert!(fault().statement("system.local").matches(&local));
        let faults = Faults::default();
        faults.add(fault());
        let own = target(Operation::Read, "devdb", "faults", "SELECT * FROM devdb.faults");
        assert_eq!(faults.action_for(&own), None);
    }

    #[test]
    fn the_first_that_hits_decides_and_names_can_be_used_again() {
        let faults = Faults::default();
        let first = faults.set("a", fault().times(1));
        let second = faults.add(Fault::new(FaultAction::ForgetPrepared));
        let read = target(Operation::Read, "ks", "t", "");
        assert_eq!(faults.action_for(&read), Some(FaultAction::DropBefore));
        assert_eq!(faults.action_for(&read), Some(FaultAction::ForgetPrepared));
        assert_eq!((first.seen(), first.hits(), second.seen()), (2, 1, 1));
        faults.set("a", Fault::new(FaultAction::DropAfter));
        assert_eq!((faults.len(), first.seen()), (2, 0));
        assert_eq!(faults.action_for(&read), Some(FaultAction::DropAfter));
        first.remove();
        assert_eq!(faults.list().len(), 1);
        faults.clear();
        assert!(faults.is_empty());
    }
}
