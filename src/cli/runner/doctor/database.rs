//! The database itself: who answers, how the keyspace is kept, whether the tables are there.

use std::collections::HashMap;

use scylla::client::session::Session;
use scylla::cluster::metadata::Strategy;

use super::finding::Finding;
use crate::cli::service::Service;
use crate::schema::Difference;
use crate::store::DatabaseError;

pub(super) async fn connection(session: &Session) -> Finding {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info();
    let down: Vec<String> = nodes
        .iter()
        .filter(|node| !node.is_connected())
        .map(|node| node.address.to_string())
        .collect();
    match release(session).await {
        Err(error) => Finding::problem("connection", format!("the node does not answer: {error}")),
        Ok(release) if !down.is_empty() => Finding::warning(
            "connection",
            format!(
                "{} of {} nodes are not connected: {} (release {release})",
                down.len(),
                nodes.len(),
                down.join(", ")
            ),
        )
        .advice("look at these nodes: nodetool status"),
        Ok(release) => {
            Finding::ok("connection", format!("{} node(s), release {release}", nodes.len()))
        }
    }
}

async fn release(session: &Session) -> Result<String, DatabaseError> {
    let rows = session
        .query_unpaged("SELECT release_version FROM system.local WHERE key = 'local'", ())
        .await?
        .into_rows_result()?;
    Ok(rows.maybe_first_row::<(String,)>()?.map_or_else(|| "unknown".to_owned(), |row| row.0))
}

pub(super) async fn replication(session: &Session, keyspace: &str) -> Finding {
    const CHECK: &str = "replication";
    let state = session.get_cluster_state();
    let Some(found) = state.get_keyspace(keyspace) else {
        return Finding::problem(CHECK, format!("keyspace {keyspace} does not exist"))
            .advice("projection-runner schema apply");
    };
    let (text, least) = match &found.strategy {
        Strategy::SimpleStrategy { replication_factor } => {
            (format!("SimpleStrategy, {replication_factor}"), *replication_factor)
        }
        Strategy::NetworkTopologyStrategy { datacenter_repfactors } => {
            (factors(datacenter_repfactors), smallest(datacenter_repfactors))
        }
        other => (format!("{other:?}"), 1),
    };
    let nodes = state.get_nodes_info().len();
    if least < 3 && nodes >= 3 {
        return Finding::warning(CHECK, format!("{text}, on {nodes} nodes")).advice(
            "with fewer than three copies a node that is lost takes events with it: \
             ALTER KEYSPACE … WITH replication = {'class': 'NetworkTopologyStrategy', \
             'replication_factor': 3}, then nodetool repair",
        );
    }
    Finding::ok(CHECK, text)
}

fn factors(all: &HashMap<String, usize>) -> String {
    let mut all: Vec<String> =
        all.iter().map(|(name, factor)| format!("{name} {factor}")).collect();
    all.sort();
    all.join(", ")
}

fn smallest(all: &HashMap<String, usize>) -> usize {
    all.values().copied().min().unwrap_or(0)
}

/// The tables, among them whether the outbox's CDC log is on and how long it keeps rows.
pub(super) async fn schema(session: &Session, service: &Service, keyspace: &str) -> Finding {
    const CHECK: &str = "schema";
    match service.schema(keyspace).verify(session).await {
        Err(error) => Finding::problem(CHECK, error.to_string()),
        Ok(differences) if differences.is_empty() => {
            Finding::ok(CHECK, "tables as needed, CDC on the outbox enabled, its TTL 24 h")
        }
        Ok(differences) => {
            let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
            let remedies = Difference::remedies(&differences);
            let finding = Finding::problem(CHECK, all.join("; "));
            if remedies.is_empty() { finding } else { finding.advice(remedies.join(", then ")) }
        }
    }
}
