//! The pages that show the commands at work, carried out.

use std::path::Path;

use orders::service::connect;

use super::process::{broker, node};
use super::session::follow;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_operators_session_is_as_the_page_says() {
    carried_out("../../docs/operations.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_prints_and_ends_as_written() {
    carried_out("tests/commands/commands.md").await;
}

async fn carried_out(page: &str) {
    let (_node, scylla) = node().await;
    let broker = broker();
    let kafka = broker.bootstrap_servers();
    let database = connect(&scylla).await.unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let environment = [
        ("MESSINA_SCYLLA", scylla.as_str()),
        ("MESSINA_KAFKA", kafka.as_str()),
        // What the pages do not show: the sweep's interval, which delays what the tail
        // misses, and a rebuild's last phase.
        ("MESSINA_SAFETY_INTERVAL", "500ms"),
        ("MESSINA_SWEEP_INTERVAL", "100ms"),
    ];
    follow(&page, &database, &environment).await;
}
