//! A run from beginning to end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use messina::consumer::{RunningGroup, StartFrom};
use messina::{CommandHandler, EventStore};

use super::figures::{CaughtUp, Figures, Group, Idle, Load};
use super::node::Node;
use super::usage::Watched;
use super::workload::{self, Pace};
use super::{catch_up, follow, report};
use crate::demo::Tracker;
use crate::domain::Order;
use crate::load::LoadArguments;
use crate::service::{self, ServiceError};

/// Measures.
///
/// # Errors
/// What failed, or that an event did not reach a group.
pub async fn run(arguments: LoadArguments) -> Result<(), ServiceError> {
    let node = Node::start(&arguments).await?;
    let session = service::connect(&node.address).await?;
    service::schema(&arguments.keyspace).apply(&session).await?;
    let store = service::open(session, &arguments.keyspace).await?;
    let measured = measure(&arguments, &node, &store).await;
    drop(store);
    node.stop().await;
    let figures = measured?;
    print(&figures, arguments.json.as_deref())?;
    verdict(&figures)
}

async fn measure(
    arguments: &LoadArguments,
    node: &Node,
    store: &EventStore,
) -> Result<Figures, ServiceError> {
    let began = SystemTime::now();
    let tracker = Arc::new(Tracker::new());
    let settings = arguments.reading.settings();
    let groups = follow::start(store, &settings, &tracker, arguments.groups).await?;
    until_following(&groups, arguments.patience).await?;
    let idle = match arguments.idle {
        0 => None,
        seconds => Some(idle(node, Duration::from_secs(seconds.into())).await),
    };
    let handler = CommandHandler::<Order>::new(store.clone());
    let load = load(arguments, node, &handler, &tracker, groups).await?;
    let (mut catching_up, mut replaying) = (None, None);
    if arguments.catch_up > 0 {
        let backlog = u64::from(arguments.catch_up);
        let rest = backlog.saturating_sub(load.appended);
        let pace = Pace::Fast { appends: rest };
        let more = workload::append(&handler, None, pace, arguments.concurrency).await?;
        let events = load.appended + more.events;
        // The log is read no closer to now than this.
        tokio::time::sleep(settings.safety_interval + Duration::from_millis(500)).await;
        let by_log = StartFrom::Time(began);
        let patience = arguments.patience;
        catching_up = Some(catch_up::measure(store, &settings, by_log, events, patience).await?);
        let beginning = StartFrom::Beginning;
        replaying = Some(catch_up::measure(store, &settings, beginning, events, patience).await?);
    }
    let (server, groups) = (node.describe(), arguments.groups);
    Ok(Figures { server, groups, idle, load, catching_up, replaying })
}

async fn until_following(groups: &[RunningGroup], patience: Duration) -> Result<(), ServiceError> {
    let began = Instant::now();
    while !groups.iter().all(|group| group.status().following) {
        if began.elapsed() > patience {
            return Err(ServiceError::Demo("the groups do not come to follow the log".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

async fn idle(node: &Node, time: Duration) -> Idle {
    // An idle log is read less often after a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (own, nodes) = watched(node);
    tokio::time::sleep(time).await;
    Idle {
        seconds: time.as_secs_f64(),
        cores: own.cores(),
        resident_mb: own.resident_mb(),
        node_cores: nodes.and_then(|node| node.cores()),
    }
}

fn watched(node: &Node) -> (Watched, Option<Watched>) {
    (Watched::begin(None), node.process_id().map(|id| Watched::begin(Some(id))))
}

async fn load(
    arguments: &LoadArguments,
    node: &Node,
    handler: &CommandHandler<Order>,
    tracker: &Arc<Tracker>,
    groups: Vec<RunningGroup>,
) -> Result<Load, ServiceError> {
    let (own, nodes) = watched(node);
    let appends = u64::from(arguments.rate) * u64::from(arguments.seconds);
    let pace = Pace::Even { rate: arguments.rate, appends };
    let appended = workload::append(handler, Some(tracker), pace, arguments.concurrency).await?;
    let (cores, resident_mb) = (own.cores(), own.resident_mb());
    let node_cores = nodes.and_then(|node| node.cores());
    // What has not come within the patience is lost.
    let (began, goal) = (Instant::now(), tracker.total() * groups.len());
    while tracker.handled_in_all() < goal && began.elapsed() < arguments.patience {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let total = tracker.total() as u64;
    let mut by_group = Vec::new();
    for (place, group) in groups.into_iter().enumerate() {
        let reached = tracker.reached(place);
        let status = group.stop().await?;
        by_group.push(Group {
            handled: reached.events as u64,
            lost: total - reached.events as u64,
            late: status.late,
            repaired: status.repaired,
            hints_lost: status.hints_lost,
            latency: (&reached.latency).into(),
        });
    }
    Ok(Load {
        rate: arguments.rate,
        appended: appended.events,
        appended_per_second: appended.events as f64 / appended.elapsed.as_secs_f64(),
        append: (&appended.latency).into(),
        cores,
        resident_mb,
        node_cores,
        by_group,
    })
}

fn print(figures: &Figures, json: Option<&Path>) -> Result<(), ServiceError> {
    let Some(path) = json else {
        report::print(figures);
        return Ok(());
    };
    let text = serde_json::to_string_pretty(figures)
        .map_err(|error| ServiceError::Demo(format!("the figures as JSON: {error}")))?;
    if path.as_os_str() == "-" {
        println!("{text}");
        return Ok(());
    }
    report::print(figures);
    std::fs::write(path, text)
        .map_err(|source| ServiceError::System { what: "writing the figures", source })
}

fn verdict(figures: &Figures) -> Result<(), ServiceError> {
    let lost: u64 = figures.load.by_group.iter().map(|group| group.lost).sum();
    let backlogs = [&figures.catching_up, &figures.replaying];
    let missing: u64 = backlogs.into_iter().flatten().map(|c: &CaughtUp| c.missing).sum();
    match lost + missing {
        0 => Ok(()),
        lost => Err(ServiceError::Demo(format!("{lost} events did not reach a group"))),
    }
}
