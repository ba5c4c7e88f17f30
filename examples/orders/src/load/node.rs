//! The embedded node: in this process, or in one of its own.

use std::process::Stdio;

use messina_devdb::DevDb;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::load::{LoadArguments, NodeArguments};
use crate::service::ServiceError;

/// Where the database is, and what of it is ours.
pub(super) struct Node {
    pub(super) address: String,
    kind: Kind,
}

enum Kind {
    Elsewhere,
    Here(DevDb),
    Process(Child),
}

impl Node {
    pub(super) async fn start(arguments: &LoadArguments) -> Result<Self, ServiceError> {
        if let Some(address) = &arguments.scylla {
            return Ok(Self { address: address.clone(), kind: Kind::Elsewhere });
        }
        if arguments.node_process {
            return process(arguments.vnodes).await;
        }
        let node = embedded(arguments.vnodes).await?;
        Ok(Self { address: node.contact_point(), kind: Kind::Here(node) })
    }

    /// Its process, where it has one of its own.
    pub(super) fn process_id(&self) -> Option<u32> {
        match &self.kind {
            Kind::Process(child) => child.id(),
            Kind::Elsewhere | Kind::Here(_) => None,
        }
    }

    pub(super) fn describe(&self) -> String {
        let kind = match &self.kind {
            Kind::Elsewhere => "real",
            Kind::Here(_) => "embedded, in this process",
            Kind::Process(_) => "embedded, in a process of its own",
        };
        format!("{} ({kind})", self.address)
    }

    pub(super) async fn stop(self) {
        match self.kind {
            Kind::Elsewhere => {}
            Kind::Here(node) => node.shutdown().await,
            // It is killed when it is dropped; its data is nobody's.
            Kind::Process(child) => drop(child),
        }
    }
}

async fn embedded(vnodes: u32) -> Result<DevDb, ServiceError> {
    DevDb::builder()
        .vnodes(vnodes)
        .start()
        .await
        .map_err(|error| ServiceError::Demo(format!("the embedded node does not start: {error}")))
}

/// This program once more, as a node.
async fn process(vnodes: u32) -> Result<Node, ServiceError> {
    let failed = |source| ServiceError::System { what: "starting the node's process", source };
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(["node", "--vnodes", &vnodes.to_string()])
        // When this process ends in whatever way, its end of the pipe closes.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut address = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut address).await.map_err(failed)?;
    }
    if address.trim().is_empty() {
        return Err(ServiceError::Demo("the node's process ended at once".to_owned()));
    }
    Ok(Node { address: address.trim().to_owned(), kind: Kind::Process(child) })
}

/// Runs an embedded node and prints its address, until standard input ends.
///
/// # Errors
/// That it does not start.
pub async fn serve(arguments: NodeArguments) -> Result<(), ServiceError> {
    let node = embedded(arguments.vnodes).await?;
    println!("{}", node.contact_point());
    let mut rest = Vec::new();
    let ended = tokio::io::stdin().read_to_end(&mut rest).await;
    node.shutdown().await;
    ended.map(drop).map_err(|source| ServiceError::System { what: "waiting for the end", source })
}
