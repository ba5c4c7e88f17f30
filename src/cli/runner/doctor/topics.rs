//! The topics that publishers send to.

use std::collections::BTreeSet;

use super::brokers::{Cluster, Topic};
use super::finding::Finding;
use crate::cli::service::{GroupEntry, GroupKind, Sends, Service};
use crate::cli::settings::Settings;
use crate::publisher::{Routing, RoutingError};

/// Fewer copies than this lose what one broker loses.
const COPIES: usize = 3;

pub(super) fn topics(service: &Service, settings: &Settings, cluster: &Cluster) -> Vec<Finding> {
    let partitions = settings.count("kafka_partitions");
    service
        .groups
        .iter()
        .flat_map(|group| of_group(group, service, settings, cluster, partitions))
        .collect()
}

fn of_group(
    group: &GroupEntry,
    service: &Service,
    settings: &Settings,
    cluster: &Cluster,
    new_partitions: usize,
) -> Vec<Finding> {
    let check = format!("topics of {}", group.name);
    match &group.kind {
        GroupKind::Handler { sends: Sends::Routed, .. } => {}
        GroupKind::Handler { sends: Sends::Somewhere, .. } => {
            let found = "not known: the service's own code says where its events go";
            return vec![Finding::ok(check, found)];
        }
        _ => return Vec::new(),
    }
    let routing = settings.text("kafka_topic");
    match known(routing, service) {
        Err(error) => vec![Finding::problem(check, error.to_string()).advice("see --kafka-topic")],
        Ok(None) => vec![Finding::ok(
            check,
            format!(
                "not known: {routing:?} depends on the types of events, which Service::aggregate \
                 would tell"
            ),
        )],
        Ok(Some(names)) => names
            .iter()
            .map(|name| {
                let check = format!("topic {name} of {}", group.name);
                match cluster.topics.iter().find(|topic| topic.name == *name) {
                    Some(topic) => judge(check, topic, cluster.brokers),
                    None => missing(check, name, new_partitions),
                }
            })
            .collect(),
    }
}

/// Every topic that the service's events can go to; `None`: its types are not known.
fn known(routing: &str, service: &Service) -> Result<Option<BTreeSet<String>>, RoutingError> {
    let routing: Routing = routing.parse()?;
    let declared = service.event_types();
    if !declared.is_empty() {
        return routing.topics(declared);
    }
    // The projections name the types of aggregates, not those of events.
    if routing.depends_on_event_type() {
        return Ok(None);
    }
    routing.topics(service.followed_aggregates().into_iter().map(|name| (name, "any")))
}

fn missing(check: String, name: &str, new_partitions: usize) -> Finding {
    if new_partitions > 0 {
        let found = format!(
            "is not there yet; the publisher makes it, with {new_partitions} partitions, when it \
             has something to send there"
        );
        return Finding::ok(check, found);
    }
    let found = "is not there, and --kafka-partitions does not have it made: unless the broker \
                 makes it by itself, its events go to the dead letters";
    Finding::warning(check, found)
        .advice(format!("rpk topic create {name} -p 12, or --kafka-partitions 12"))
}

fn judge(check: String, topic: &Topic, brokers: usize) -> Finding {
    let (partitions, copies) = (topic.partitions, topic.copies);
    let found = format!(
        "{partitions} {}, {copies} {}",
        if partitions == 1 { "partition" } else { "partitions" },
        if copies == 1 { "copy" } else { "copies" }
    );
    if topic.leaderless > 0 {
        return Finding::problem(
            check,
            format!("{found}; {} partitions have no leader", topic.leaderless),
        )
        .advice("events for them wait; see which brokers are down: rpk cluster health");
    }
    if topic.behind > 0 {
        let found = format!("{found}; in {} partitions copies are behind", topic.behind);
        return Finding::warning(check, found)
            .advice("see which brokers are down or slow: rpk cluster health");
    }
    if topic.copies < COPIES && brokers >= COPIES {
        let advice = format!(
            "with fewer than {COPIES} copies a broker that is lost takes events with it: \
             rpk topic alter-config {} --set replication.factor={COPIES}",
            topic.name
        );
        return Finding::warning(check, format!("{found}, on {brokers} brokers")).advice(advice);
    }
    Finding::ok(check, found)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const TOPIC: Topic =
        Topic { name: String::new(), partitions: 12, copies: 3, leaderless: 0, behind: 0 };

    #[test]
    fn a_topic_is_judged_by_its_copies_and_leaders() {
        let level = |topic: Topic, brokers| judge(String::new(), &topic, brokers).level;
        assert_eq!(level(TOPIC, 3), Level::Ok);
        assert_eq!(level(Topic { copies: 1, ..TOPIC }, 1), Level::Ok);
        assert_eq!(level(Topic { copies: 1, ..TOPIC }, 3), Level::Warning);
        assert_eq!(level(Topic { behind: 1, ..TOPIC }, 3), Level::Warning);
        assert_eq!(level(Topic { leaderless: 1, ..TOPIC }, 3), Level::Problem);
    }

    #[test]
    fn topics_follow_from_what_the_service_says_of_its_events() {
        let names =
            |routing: &str, service: &Service| known(routing, service).unwrap().map(Vec::from_iter);
        let service = Service::new("shop");
        assert_eq!(names("all", &service), Some(vec!["all".to_owned()]));
        assert_eq!(names("{event-type}", &service), None);
        assert_eq!(names("{aggregate-type}-events", &service), Some(Vec::new()));
        assert!(known("{event", &service).is_err());
    }
}
