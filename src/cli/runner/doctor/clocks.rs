//! The servers' clocks against this machine's.

use std::sync::Arc;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::unprepared::Statement;

use super::finding::Finding;
use crate::store::DatabaseError;
use crate::time::now_micros;

/// ScyllaDB refuses CDC writes more than 5 s ahead of it; half of it is time to act.
/// (`cdc::generation_leeway` in ScyllaDB's cdc/generation.hh)
const PROBLEM: i64 = 2_500;
/// Above this, latencies and "a time" mean less than people think. NTP keeps to a few ms.
const WARNING: i64 = 250;

pub(super) async fn clocks(session: &Session) -> Vec<Finding> {
    let state = session.get_cluster_state();
    let mut findings = Vec::new();
    for node in state.get_nodes_info() {
        let check = format!("clock of {}", node.address);
        let target = NodeIdentifier::Node(Arc::clone(node));
        findings.push(match difference(session, target).await {
            Err(error) => Finding::warning(check, format!("not known: {error}")),
            Ok((ahead, uncertain)) => judge(check, ahead, uncertain),
        });
    }
    findings
}

fn judge(check: String, ahead: i64, uncertain: i64) -> Finding {
    let direction = if ahead < 0 { "behind" } else { "ahead of" };
    let found = format!("{} ms {direction} this machine's (±{uncertain} ms)", ahead.unsigned_abs());
    // What the measurement itself may be wrong by is not held against the clock.
    match ahead.abs().saturating_sub(uncertain) {
        d if d >= PROBLEM => Finding::problem(check, found).advice(
            "set the clocks by NTP: appends from a machine more than 5 s ahead are refused",
        ),
        d if d >= WARNING => Finding::warning(check, found).advice("set the clocks by NTP"),
        _ => Finding::ok(check, found),
    }
}

/// How far the node's clock is ahead, and by how much that may be wrong, in ms.
async fn difference(
    session: &Session,
    target: NodeIdentifier,
) -> Result<(i64, i64), DatabaseError> {
    let policy = SingleTargetLoadBalancingPolicy::new(target, None::<u32>);
    let profile = ExecutionProfile::builder().load_balancing_policy(policy).build();
    let mut statement =
        Statement::new("SELECT toUnixTimestamp(now()) FROM system.local WHERE key = 'local'");
    statement.set_execution_profile_handle(Some(profile.into_handle()));
    let before = now_micros();
    let rows = session.query_unpaged(statement, ()).await?.into_rows_result()?;
    let after = now_micros();
    let (server,) = rows.single_row::<(i64,)>()?;
    let middle = (before + after) / 2;
    Ok((server - middle / 1000, (after - before) / 2000 + 1))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_difference_is_judged_by_what_it_surely_is() {
        let level = |ahead, uncertain| judge("clock".to_owned(), ahead, uncertain).level;
        assert_eq!(level(5, 1), Level::Ok);
        assert_eq!(level(-300, 1), Level::Warning);
        assert_eq!(level(300, 100), Level::Ok);
        assert_eq!(level(-3_000, 1), Level::Problem);
    }
}
