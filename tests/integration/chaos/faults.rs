//! Everything that goes wrong, at random, by CQL: the node is another process.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;

use crate::support::{control, error_of, fault, make_trouble, pick};

/// What goes wrong all the time: rows of the log that are late, and doubled; appends that
/// are visible in part.
pub async fn steady(session: &Session, keyspace: &str, late: Duration, seed: u64) {
    let table = format!("{keyspace}.outbox_messages");
    for (n, part) in [10, 3, 1].into_iter().enumerate() {
        let delay = late.as_millis() / part;
        make_trouble(
            session,
            &format!(
                "INSERT INTO devdb.faults (name, action, delay_ms, operation, table_name, \
                 probability, seed) VALUES ('late {n}', 'late_log', {delay}, 'batch', '{table}', \
                 0.04, {seed})"
            ),
        )
        .await;
    }
    for part in ["first", "last"] {
        make_trouble(
            session,
            &format!(
                "INSERT INTO devdb.faults (name, action, delay_ms, error, part, operation, \
                 table_name, probability, seed) VALUES ('half, {part}', 'half_batch', 700, \
                 'write_timeout', '{part}', 'batch', '{table}', 0.01, {seed})"
            ),
        )
        .await;
    }
    make_trouble(
        session,
        &format!(
            "INSERT INTO devdb.faults (name, action, operation, table_name, probability, seed) \
             VALUES ('twice', 'duplicate_log', 'batch', '{table}', 0.05, {seed})"
        ),
    )
    .await;
}

/// Does something bad now and then, for ever.
pub async fn trouble(session: &Session, keyspace: &str, mut random: StdRng) {
    let mut n = 0_u32;
    loop {
        n += 1;
        make_trouble(session, &one(&mut random, keyspace, n)).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(50..300))).await;
    }
}

/// How often each action was done.
pub async fn hits(session: &Session) -> Result<BTreeMap<String, i64>, ExecutionError> {
    let result = session.query_unpaged("SELECT action, hits FROM devdb.faults", ()).await?;
    let result = result.into_rows_result().unwrap();
    let mut hits = BTreeMap::new();
    for row in result.rows::<(String, i64)>().unwrap() {
        let (action, n) = row.unwrap();
        *hits.entry(action).or_default() += n;
    }
    Ok(hits)
}

fn one(random: &mut StdRng, keyspace: &str, n: u32) -> String {
    // Of these there is one in any run.
    match n {
        10 => return control("clock_offset", 2000),
        20 => return control("new_generation", 4000),
        40 => return control("clock_offset", -2000),
        50 => return control("restart", 0),
        _ => {}
    }
    match random.random_range(0..100) {
        0..4 => return control("clock_offset", random.random_range(-2000..=2000)),
        // Announced before it begins, by any of the clocks.
        4..6 => return control("new_generation", 4000),
        6..8 => return "INSERT INTO devdb.control (command) VALUES ('forget_prepared')".to_owned(),
        _ => {}
    }
    let (table, operation) = [
        ("outbox_messages", "batch"),
        ("outbox_messages", "batch"),
        ("aggregate_heads", "lwt"),
        ("event_store", "read"),
        ("outbox_messages_scylla_cdc_log", "read"),
        ("outbox_messages_scylla_cdc_log", "read"),
        ("consumer_checkpoints", "lwt"),
        ("consumer_checkpoints", "read"),
        ("consumer_leases", "lwt"),
        ("consumer_leases", "read"),
        ("consumer_groups", "read"),
        ("consumer_members", "write"),
        ("dead_letters", "write"),
        ("dead_letters", "read"),
        ("balances", "batch"),
        ("by_level", "batch"),
    ][random.random_range(0..16)];
    let mut actions = vec!["fail_before", "fail_after", "fail_before", "fail_after", "delay"];
    match (operation, random.random_bool(0.3)) {
        ("batch", _) if table == "outbox_messages" => actions.push("half_batch"),
        (_, true) => actions.extend(["drop_before", "drop_after"]),
        _ => {}
    }
    if table.ends_with("_log") {
        actions.push("short_page");
    }
    let action = pick(random, &actions);
    let times = if action.starts_with("drop") { 1 } else { random.random_range(1..5) };
    let mut columns = vec![
        ("action", format!("'{action}'")),
        ("operation", format!("'{operation}'")),
        ("table_name", format!("'{keyspace}.{table}'")),
        ("skip", random.random_range(0..4).to_string()),
        ("times", times.to_string()),
    ];
    let error = error_of(random, operation, action);
    match action {
        "delay" => columns.push(("delay_ms", random.random_range(50..900).to_string())),
        "short_page" => columns.push(("rows", random.random_range(0..3).to_string())),
        "half_batch" => {
            columns.push(("part", format!("'{}'", pick(random, &["first", "last"]))));
            columns.push(("delay_ms", random.random_range(50..900).to_string()));
            columns.push(("error", "'write_timeout'".to_owned()));
        }
        "fail_before" | "fail_after" => columns.push(("error", format!("'{error}'"))),
        _ => {}
    }
    fault(n, columns)
}
