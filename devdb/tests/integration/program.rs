//! The binary: starts, says where, refuses a taken port, stops on a signal.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::common::start;

const PROGRAM: &str = env!("CARGO_BIN_EXE_messina-devdb");

#[test]
fn it_says_where_it_listens_and_ends_cleanly() {
    let mut child =
        Command::new(PROGRAM).args(["--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("messina-devdb listens on 127.0.0.1:"), "{line}");
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn it_refuses_a_port_that_is_taken() {
    let node = start().await;
    let port = node.devdb.addr().port().to_string();
    let output = Command::new(PROGRAM).args(["--port", &port]).output().unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(message.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{message}");
}
