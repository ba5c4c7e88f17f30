//! The demonstration from beginning to end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messina::consumer::GroupStatus;
use messina::publisher::{KafkaSettings, topic_of};
use messina::{Aggregate, CommandHandler, EventStore};

use crate::data::{OrderFile, SourceOrder, generate};
use crate::demo::DemoArguments;
use crate::demo::progress::Progress;
use crate::demo::servers::Servers;
use crate::demo::topic::{Read, TopicReader};
use crate::demo::tracker::{Reached, Tracker};
use crate::demo::{read_models, report, workload};
use crate::domain::Order;
use crate::service::{self, RunningGroups, ServiceError, group_names};

/// Of the made-up orders: each run makes the same.
const SEED: u64 = 1;

/// Runs the demonstration.
///
/// # Errors
/// What failed, or that an event did not reach a group.
pub async fn run(arguments: DemoArguments) -> Result<(), ServiceError> {
    let orders = orders(&arguments)?;
    let servers = Servers::start(&arguments).await?;
    println!("{servers}");
    let session = service::connect(&servers.scylla).await?;
    let applied = service::schema(&arguments.keyspace).apply(&session).await?;
    println!(
        "keyspace {}: {} migrations applied, {} were",
        arguments.keyspace,
        applied.migrations.len(),
        applied.already
    );
    let store = service::open(session, &arguments.keyspace).await?;
    let outcome = follow(&arguments, &servers, &store, orders).await;
    // The session first: it would look for a node that is gone.
    drop(store);
    servers.stop().await;
    outcome
}

/// The orders to be handled, and what is wrong with the file, if that is where they are from.
fn orders(arguments: &DemoArguments) -> Result<Vec<SourceOrder>, ServiceError> {
    let Some(path) = &arguments.data else {
        let count = arguments.generated();
        println!("{count} made-up orders");
        return Ok(generate(count, SEED));
    };
    let mut file = OrderFile::read(path)?;
    println!(
        "{}: {} orders from {} lines, {} lines left out",
        path.display(),
        file.orders.len(),
        file.lines,
        file.bad_lines.len()
    );
    for bad in file.bad_lines.iter().take(20) {
        eprintln!("  {bad}");
    }
    if file.bad_lines.len() > 20 {
        eprintln!("  and {} more", file.bad_lines.len() - 20);
    }
    if let Some(orders) = arguments.orders {
        file.orders.truncate(orders as usize);
    }
    if file.orders.is_empty() {
        return Err(ServiceError::Demo(format!("{} holds no orders", path.display())));
    }
    Ok(file.orders)
}

/// Starts the groups and the topic's reader, handles the orders, and reports.
async fn follow(
    arguments: &DemoArguments,
    servers: &Servers,
    store: &EventStore,
    orders: Vec<SourceOrder>,
) -> Result<(), ServiceError> {
    let tracker = Arc::new(Tracker::new());
    let reader =
        TopicReader::start(servers.kafka.clone(), topic_of(Order::TYPE), Arc::clone(&tracker))
            .await?;
    let mut groups = start_groups(arguments, servers, store, &tracker).await?;
    println!("consumer groups: {}\n", group_names().join(", "));

    let handler = CommandHandler::<Order>::new(store.clone());
    let concurrency = arguments.concurrency.into();
    let handled = workload::run(&handler, orders, concurrency, &tracker).await?;
    catch_up(&mut groups, &tracker, arguments.patience).await?;

    let total = tracker.total();
    let reached: Vec<(GroupStatus, Reached)> = groups
        .statuses()
        .into_iter()
        .enumerate()
        .map(|(place, status)| (status, tracker.reached(place)))
        .collect();
    let samples = read_models::samples(store, &handled.orders).await?;
    let agreeing = read_models::agreeing(store, &handled.orders).await?;
    let topic = reader.topic.clone();
    report::commands(&handled);
    report::groups(&reached, total);
    report::read_models(&samples, agreeing, handled.orders.len());
    if arguments.keep_running {
        println!(
            "\nstill running, until Ctrl-C:\n  cqlsh {}\n  Kafka {}, topic {topic}",
            servers.scylla.replace(':', " "),
            servers.kafka
        );
        tokio::signal::ctrl_c()
            .await
            .map_err(|source| ServiceError::System { what: "waiting for Ctrl-C", source })?;
        println!("\nstopping");
    }
    groups.stop().await?;
    let read = reader.finish().await?;
    report::topic(&topic, &read);
    verdict(&tracker, &reached, &read, agreeing == handled.orders.len())
}

async fn start_groups(
    arguments: &DemoArguments,
    servers: &Servers,
    store: &EventStore,
    tracker: &Arc<Tracker>,
) -> Result<RunningGroups, ServiceError> {
    let settings = arguments.reading.settings();
    let observing = Arc::clone(tracker);
    let observer: service::Observer =
        Arc::new(move |place, event| observing.handled(place, event.event_id));
    let kafka = KafkaSettings::new(&servers.kafka);
    service::start(store, &kafka, &settings, observer).await
}

/// Waits until every group and the topic's reader have every event, or nothing has moved
/// for as long as patience lasts.
async fn catch_up(
    groups: &mut RunningGroups,
    tracker: &Tracker,
    patience: Duration,
) -> Result<(), ServiceError> {
    let events = tracker.total();
    let goal = events * group_names().len();
    let progress = Progress::new("handled by groups", goal as u64);
    let mut last = (0, Instant::now());
    loop {
        let handled = tracker.handled_in_all();
        progress.set(handled as u64);
        let read = tracker.read_from_topic();
        let seen = handled + read;
        if handled >= goal && read >= events {
            break;
        }
        if seen > last.0 {
            last = (seen, Instant::now());
        }
        if last.1.elapsed() > patience {
            println!("nothing has moved for {} s: reporting what there is", patience.as_secs());
            break;
        }
        let pause = Duration::from_millis(20);
        if let Ok(halted) = tokio::time::timeout(pause, groups.halted()).await {
            return Ok(halted?);
        }
    }
    progress.finish();
    Ok(())
}

/// The last line, and the exit code.
fn verdict(
    tracker: &Tracker,
    reached: &[(GroupStatus, Reached)],
    read: &Read,
    read_models_agree: bool,
) -> Result<(), ServiceError> {
    let ids: HashSet<_> = tracker.ids().into_iter().collect();
    let mut wrong = Vec::new();
    for (status, reached) in reached {
        if reached.events < ids.len() {
            wrong.push(format!("{} missed {}", status.name, ids.len() - reached.events));
        }
    }
    let unread = ids.difference(&read.events).count();
    if unread > 0 {
        wrong.push(format!("{unread} were not read from the topic"));
    }
    if !read.out_of_order.is_empty() {
        wrong.push(format!("{} came out of order from the topic", read.out_of_order.len()));
    }
    if !read_models_agree {
        wrong.push("order_read_model does not agree with the replies".to_owned());
    }
    println!();
    if wrong.is_empty() {
        println!(
            "Every one of {} events reached every one of {} groups and the topic, in order.",
            ids.len(),
            reached.len()
        );
        return Ok(());
    }
    Err(ServiceError::Demo(format!("of {} events: {}", ids.len(), wrong.join("; "))))
}
