//! How far the groups are, against how long the log keeps its rows.

use std::time::Duration;

use super::finding::Finding;
use crate::cli::output::span;
use crate::cli::service::Service;
use crate::consumer::{GroupControl, LOG_TTL, SliceProgress};
use crate::store::EventStore;
use crate::time::now_micros;

pub(super) async fn groups(store: &EventStore, service: &Service) -> Vec<Finding> {
    let control = match GroupControl::connect(store).await {
        Ok(control) => control,
        Err(error) => return vec![Finding::problem("checkpoints", error.to_string())],
    };
    let mut findings = Vec::new();
    for name in service.group_names() {
        let check = format!("group {name}");
        findings.push(match control.progress(name).await {
            Ok(slices) => group(check, name, &slices),
            Err(error) => Finding::problem(check, error.to_string()),
        });
    }
    findings
}

fn group(check: String, name: &str, slices: &[SliceProgress]) -> Finding {
    let Some(oldest) = slices.iter().map(|slice| slice.oldest).min() else {
        return Finding::warning(check, "has never run")
            .advice(format!("projection-runner run --group {name}"));
    };
    if oldest <= 0 {
        return Finding::warning(
            check,
            "has stored no progress yet: it begins with the first event",
        )
        .advice("see whether it runs, and how far it is: projection-runner status");
    }
    let behind = (now_micros() / 1000 - oldest).max(0).unsigned_abs();
    judge(check, Duration::from_millis(behind))
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
