//! The node as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use scylla::client::PoolSize;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::common::CONNECTION_TIMEOUT;

/// A process; killed when it is dropped.
pub struct Program {
    child: Child,
    address: String,
}

impl Program {
    /// With a data directory, and snapshots after little.
    pub fn command(directory: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_messina-devdb"));
        command.args(["--port", "0", "--vnodes", "1", "--fsync", "always"]);
        command.args(["--snapshot-after", "40000", "--data-dir"]).arg(directory);
        command
    }

    /// With a data directory; returns when it listens.
    pub fn start(directory: &Path) -> Self {
        Self::run(&mut Self::command(directory))
    }

    /// Without; returns when it listens.
    pub fn in_memory() -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_messina-devdb")).args(["--port", "0"]))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line
            .strip_prefix("messina-devdb listens on ")
            .and_then(|rest| rest.split(' ').next())
            .map(str::to_owned);
        let Some(address) = address else {
            let mut told = String::new();
            child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
            panic!("it did not start: {line}{told}");
        };
        Self { child, address }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The most memory that it ever had, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> usize {
        self.status("VmHWM:")
    }

    /// The memory that it has, in bytes.
    #[cfg(target_os = "linux")]
    pub fn memory(&self) -> usize {
        self.status("VmRSS:")
    }

    /// A line of proc_pid_status(5).
    #[cfg(target_os = "linux")]
    fn status(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let found = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        found.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    pub async fn connect(&self) -> Session {
        SessionBuilder::new()
            .known_node(&self.address)
            .connection_timeout(CONNECTION_TIMEOUT)
            .pool_size(PoolSize::PerHost(std::num::NonZeroUsize::MIN))
            .fetch_schema_metadata(false)
            .build()
            .await
            .unwrap()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
