//! This binary again, in processes of its own: a node, and whatever a test needs.

use std::process::Stdio;

use messina_devdb::DevDb;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const NODE: &str = "MESSINA_TEST_NODE";
const LISTENS: &str = "the node listens on ";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by other tests, in a process of its own"]
async fn node_process() {
    if std::env::var(NODE).is_err() {
        return;
    }
    let node = started().await;
    println!("{LISTENS}{}", node.contact_point());
    // Until the test goes, and its end of the pipe with it.
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
        .await
        .unwrap()
        .unwrap();
}

/// On a port that the system lends to no outgoing connection (those begin at 32768): a node
/// that restarts needs it again.
async fn started() -> DevDb {
    for _ in 0..100 {
        let port = rand::random_range(16_384..32_768);
        if let Ok(node) = DevDb::builder().port(port).start().await {
            return node;
        }
    }
    panic!("no port is free");
}

/// This binary again, as one of its tests that are left out otherwise.
pub fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]).kill_on_drop(true);
    command
}

/// A node in a process of its own, and where it listens.
pub async fn start_node() -> (Child, String) {
    let mut child = again("support::node::node_process")
        .env(NODE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, address)) = line.split_once(LISTENS) {
            // What it says later is read too: it would end if nobody did (a test says that it
            // takes long, after a minute).
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return (child, address.to_owned());
        }
    }
    panic!("the node does not start");
}
