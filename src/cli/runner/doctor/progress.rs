//! How far the groups are, against how long the log keeps its rows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::Finding;
use crate::cli::output::span;
use crate::cli::runner::checkpoints::stored;
use crate::cli::service::Service;
use crate::store::EventStore;
use crate::time::now_micros;

/// `cdc` option `ttl` of the outbox (cql/0001_write_side.cql).
const LOG_TTL: Duration = Duration::from_secs(86_400);

pub(super) async fn groups(store: &EventStore, service: &Service) -> Vec<Finding> {
    let progress = match stored(store, None).await {
        Ok(progress) => progress,
        Err(error) => return vec![Finding::problem("checkpoints", error.to_string())],
    };
    let mut oldest: BTreeMap<&str, i64> = BTreeMap::new();
    for slice in &progress {
        let entry = oldest.entry(&slice.group).or_insert(slice.oldest);
        *entry = slice.oldest.min(*entry);
    }
    let now = now_micros() / 1000;
    service
        .group_names()
        .into_iter()
        .map(|name| {
            let check = format!("group {name}");
            match oldest.get(name) {
                None => Finding::warning(check, "has never run")
                    .advice(format!("projection-runner run --group {name}")),
                Some(oldest) => {
                    let behind = Duration::from_millis((now - oldest).max(0).unsigned_abs());
                    judge(check, behind)
                }
            }
        })
        .collect()
}

fn judge(check: String, behind: Duration) -> Finding {
    let found = format!("{} behind; the log keeps its rows for {}", span(behind), span(LOG_TTL));
    if behind >= LOG_TTL {
        return Finding::problem(check, found).advice(
            "the log no longer has all it missed: when it is started it replays event_store \
             first, which takes its time",
        );
    }
    if behind >= LOG_TTL / 4 {
        return Finding::warning(check, found)
            .advice("start its runner, or see what holds it up: projection-runner status");
    }
    Finding::ok(check, found)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_group_is_judged_by_what_the_log_still_has() {
        let level = |hours: u64| judge(String::new(), Duration::from_secs(hours * 3600)).level;
        assert_eq!(level(1), Level::Ok);
        assert_eq!(level(7), Level::Warning);
        assert_eq!(level(25), Level::Problem);
    }
}
