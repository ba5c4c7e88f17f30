//! How a group's slices are spread over its runners.

use std::collections::HashMap;

use messina::consumer::GroupControl;

/// How many running slices each runner has, the fewest first.
pub async fn spread(control: &GroupControl, group: &str) -> Vec<usize> {
    let running = control.overview(group).await.unwrap().running;
    let mut counts = HashMap::<_, usize>::new();
    for slice in running.iter().filter(|s| s.state.as_deref() == Some("running")) {
        *counts.entry(slice.runner).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_values().collect();
    counts.sort_unstable();
    counts
}
