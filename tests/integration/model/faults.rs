//! Everything that goes wrong, at random, by CQL: the node is another process.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use scylla::client::session::Session;

use crate::support::{control, error_of, fault, make_trouble, pick};

/// Does something bad now and then, for ever.
pub async fn trouble(session: &Session, keyspace: &str, mut random: StdRng) {
    let mut n = 0_u32;
    loop {
        n += 1;
        make_trouble(session, &one(&mut random, keyspace, n)).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(5..60))).await;
    }
}

fn one(random: &mut StdRng, keyspace: &str, n: u32) -> String {
    match random.random_range(0..100) {
        0..3 => return control("clock_offset", random.random_range(-4000..=4000)),
        3..5 => return control("new_generation", 200),
        5..6 => return "INSERT INTO devdb.control (command) VALUES ('forget_prepared')".to_owned(),
        _ => {}
    }
    let skip = random.random_range(0..6);
    let operation = pick(random, &["lwt", "lwt", "batch", "batch", "read"]);
    let write_type = match operation {
        "lwt" => "CAS",
        _ => pick(random, &["BATCH", "BATCH_LOG"]),
    };
    let action = match operation {
        "batch" => pick(
            random,
            &["fail_before", "fail_after", "drop_before", "drop_after", "delay", "half_batch"],
        ),
        _ => pick(random, &["fail_before", "fail_after", "drop_before", "drop_after", "delay"]),
    };
    // A dropped connection costs a writer all its requests, and a while for a new one.
    let dropped = action.starts_with("drop");
    if dropped && random.random_bool(0.7) {
        return "SELECT name FROM devdb.faults".to_owned();
    }
    let times = if dropped { 1 } else { random.random_range(1..4) };
    let error = error_of(random, operation, action);
    let table = match operation {
        "lwt" => format!("{keyspace}.aggregate_heads"),
        "batch" => format!("{keyspace}.outbox_messages"),
        _ => format!("{keyspace}.{}", pick(random, &["aggregate_heads", "event_store"])),
    };
    let mut columns = vec![
        ("action", format!("'{action}'")),
        ("operation", format!("'{operation}'")),
        ("table_name", format!("'{table}'")),
        ("skip", skip.to_string()),
        ("times", times.to_string()),
    ];
    match action {
        "delay" => columns.push(("delay_ms", random.random_range(50..900).to_string())),
        "half_batch" => {
            columns.push(("part", format!("'{}'", pick(random, &["first", "last"]))));
            columns.push(("delay_ms", random.random_range(50..900).to_string()));
            columns.push(("error", "'write_timeout'".to_owned()));
            columns.push(("write_type", "'BATCH'".to_owned()));
        }
        "fail_before" | "fail_after" => {
            columns.push(("error", format!("'{error}'")));
            if error == "write_timeout" {
                columns.push(("write_type", format!("'{write_type}'")));
            }
        }
        _ => {}
    }
    fault(n, columns)
}
