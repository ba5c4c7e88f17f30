//! Faults of a node in another process, by CQL.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use scylla::client::session::Session;

/// Sends a request that makes trouble. It may be hit by that which is there already; but it
/// makes sense.
pub async fn make_trouble(session: &Session, cql: &str) {
    if let Err(error) = session.query_unpaged(cql, ()).await {
        let text = error.to_string();
        assert!(!text.contains("nvalid"), "{cql}: {text}");
    }
}

/// Ends all faults, and gives the node the right time. It may refuse for so long.
pub async fn peace(session: &Session, patience: Duration) {
    const PAUSE: Duration = Duration::from_millis(50);
    for cql in ["TRUNCATE devdb.faults", &control("clock_offset", 0)] {
        let mut result = session.query_unpaged(cql, ()).await;
        for _ in 0..patience.as_millis() / PAUSE.as_millis() {
            if result.is_ok() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            result = session.query_unpaged(cql, ()).await;
        }
        result.unwrap();
    }
}

/// A command to the node.
pub fn control(command: &str, milliseconds: i64) -> String {
    format!(
        "INSERT INTO devdb.control (command, milliseconds) VALUES ('{command}', {milliseconds})"
    )
}

/// The `n`-th fault, of these columns. It takes the place of one long past: a node does not
/// take any number of them.
pub fn fault(n: u32, mut columns: Vec<(&str, String)>) -> String {
    const AT_ONCE: u32 = 500;
    columns.push(("name", format!("'fault {}'", n % AT_ONCE)));
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    format!("INSERT INTO devdb.faults ({}) VALUES ({})", names.join(", "), values.join(", "))
}

/// An error that a server may give for such an operation, where a fault does this.
pub fn error_of(random: &mut StdRng, operation: &str, action: &str) -> &'static str {
    match (operation, action) {
        ("read", _) => pick(random, &["overloaded", "unavailable", "read_timeout", "server_error"]),
        // `Overloaded` and `Unavailable` promise that nothing was done.
        (_, "fail_before") => {
            pick(random, &["overloaded", "unavailable", "write_timeout", "server_error"])
        }
        _ => "write_timeout",
    }
}

/// One of them.
pub fn pick<'t>(random: &mut StdRng, of: &[&'t str]) -> &'t str {
    of[random.random_range(0..of.len())]
}
