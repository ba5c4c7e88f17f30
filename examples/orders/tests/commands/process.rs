//! Running the commands.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use messina::publisher::topic_of;
use messina_devdb::DevDb;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub const ORDERS: &str = env!("CARGO_BIN_EXE_orders");
pub const RUNNER: &str = env!("CARGO_BIN_EXE_projection-runner");
pub const REBUILD: &str = env!("CARGO_BIN_EXE_rebuild-projection");

/// Longer than any of them takes.
const LONGEST: Duration = Duration::from_secs(60);

/// What a command did.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Checks that it failed with 1 and said all of this on standard error.
    #[track_caller]
    pub fn failed_saying(&self, parts: &[&str]) {
        self.ended_saying(1, parts);
    }

    /// Checks that it was refused with 2: the caller can set it right.
    #[track_caller]
    pub fn refused_saying(&self, parts: &[&str]) {
        self.ended_saying(2, parts);
    }

    #[track_caller]
    fn ended_saying(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(self.stderr.contains("error: "), "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} in {self:#?}");
        }
    }

    #[track_caller]
    pub fn succeeded_saying(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(0), "{self:#?}");
        for part in parts {
            assert!(self.stdout.contains(part), "{part:?} in {self:#?}");
        }
    }
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .env("NO_COLOR", "1");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MESSINA_")) {
        command.env_remove(name);
    }
    command
}

/// Starts a command.
pub fn start(program: &str, arguments: &[&str]) -> Child {
    command(program, arguments).spawn().unwrap()
}

/// Starts a command in an environment.
pub fn start_in(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    command(program, arguments).envs(environment.iter().copied()).spawn().unwrap()
}

/// Runs a command to its end.
pub async fn run(program: &str, arguments: &[&str]) -> Ended {
    ended(start(program, arguments)).await
}

/// Waits for a command's end.
pub async fn ended(child: Child) -> Ended {
    let output = timeout(LONGEST, child.wait_with_output()).await.expect("it ends").unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Asks a command to end, as an operator or a container's runtime does. One that has only just
/// been started is given the time to listen for that: the signal would end it at once.
pub async fn terminate(child: &Child) {
    let id = child.id().expect("it runs").to_string();
    let began = Instant::now();
    while !hears_terminate(&id) && began.elapsed() < LONGEST {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
}

/// Whether a process handles SIGTERM, or has ended; proc_pid_status(5).
fn hears_terminate(id: &str) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{id}/status")) else { return true };
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let caught = field("SigCgt:").and_then(|mask| u64::from_str_radix(mask, 16).ok());
    field("State:").is_some_and(|state| state.starts_with('Z'))
        || caught.is_none_or(|mask| mask & 1 << (15 - 1) != 0)
}

/// A broker with the orders' topic.
pub fn broker() -> MockCluster<'static, DefaultProducerContext> {
    let broker = MockCluster::new(1).unwrap();
    broker.create_topic(&topic_of("Order"), 4, 1).unwrap();
    broker
}

/// A node, and where it is.
pub async fn node() -> (DevDb, String) {
    let node = DevDb::builder().vnodes(4).start().await.unwrap();
    let address = node.contact_point();
    (node, address)
}

/// The path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
