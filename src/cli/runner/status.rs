//! `status`: how the groups are doing, wherever they run.

use std::collections::HashMap;
use std::time::Duration;

use comfy_table::CellAlignment;
use serde::Serialize;
use tokio::time::Instant;

use crate::cli::connect::store;
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output::{self, Output};
use crate::cli::runner::checkpoints::position;
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::consumer::{GroupControl, GroupOverview, SliceProgress, SliceStatus};
use crate::read_model::ReadModel;
use crate::store::EventStore;
use crate::time::now_micros;

/// Runners speak about once a second: two looks so far apart show a rate.
const APART: Duration = Duration::from_millis(1_500);

/// A runner that has said nothing for so long, in ms, is gone or stuck.
const SILENT: i64 = 10_000;

/// A slice of a group, or a group that has none at work.
#[derive(Debug, Clone, Serialize)]
struct Row {
    group: String,
    slice: Option<i32>,
    state: String,
    reason: Option<String>,
    runner: Option<String>,
    lag_ms: Option<i64>,
    /// Events read and not done.
    lag_events: Option<i64>,
    /// Events handled per second, between two looks.
    rate: Option<f64>,
    handled: Option<i64>,
    retries: Option<i64>,
    duplicates: Option<i64>,
    repaired: Option<i64>,
    late: Option<i64>,
    /// Events that went to the dead letters since the runner started.
    dead_letters: Option<i64>,
    /// Aggregates that wait behind a dead letter.
    parked: Option<i64>,
    /// Everything before this is done, as stored.
    checkpoint: Option<String>,
    /// The version of a read model that queries read.
    version: Option<i32>,
}

/// When a slice was last looked at, and what it had handled then.
type Seen = HashMap<(String, i32), (i64, i64)>;

pub(super) async fn run(
    watch: Option<Duration>,
    form: Output,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    let store = store(service, settings).await?;
    let control = GroupControl::connect(&store).await?;
    let mut seen = Seen::new();
    look(&store, &control, service, &mut seen).await?;
    let pause = watch.unwrap_or(APART);
    loop {
        let next = Instant::now() + pause.max(APART);
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Outcome::Well),
            () = tokio::time::sleep_until(next) => {}
        }
        let rows = look(&store, &control, service, &mut seen).await?;
        print(&rows, form, watch.is_some())?;
        if watch.is_none() {
            return Ok(Outcome::Well);
        }
    }
}

async fn look(
    store: &EventStore,
    control: &GroupControl,
    service: &Service,
    seen: &mut Seen,
) -> Result<Vec<Row>, CommandLineError> {
    let mut rows = Vec::new();
    for name in service.group_names() {
        let version = match service.projection_named(name) {
            Ok(_) => Some(ReadModel::new(store.clone(), name).version().await?),
            Err(_) => None,
        };
        let overview = control.overview(name).await?;
        let progress = control.progress(name).await?;
        let first = rows.len();
        for slice in &overview.running {
            rows.extend(at_work(&overview, slice, seen));
        }
        if rows.len() == first {
            rows.push(resting(&overview));
        }
        for row in &mut rows[first..] {
            row.version = version;
            row.checkpoint = checkpoint(&progress, row.slice).and_then(position);
        }
    }
    Ok(rows)
}

/// The smallest checkpoint of the slice, or of the group.
fn checkpoint(all: &[SliceProgress], slice: Option<i32>) -> Option<i64> {
    all.iter()
        .filter(|progress| slice.is_none_or(|slice| slice == i32::from(progress.slice)))
        .map(|progress| progress.oldest)
        .min()
}

/// `None`: its runner has given it back.
fn at_work(overview: &GroupOverview, slice: &SliceStatus, seen: &mut Seen) -> Option<Row> {
    let key = (overview.name.clone(), slice.slice);
    let said = slice.updated_at.map_or_else(|| now_micros() / 1000, |at| at.0);
    let handled = slice.handled.unwrap_or(0);
    let silent = seen.get(&key).is_some_and(|(at, _)| *at == said);
    let ended = matches!(slice.state.as_deref(), Some("stopped" | "halted"));
    if overview.paused && (silent || ended) {
        return None;
    }
    let rate = match seen.get(&key) {
        // A runner that took over counts from nought.
        Some((at, before)) if said > *at && handled >= *before => {
            Some((handled - before) as f64 * 1000.0 / (said - at) as f64)
        }
        _ => None,
    };
    seen.insert(key, (said, handled));
    let state = match &slice.state {
        _ if overview.paused => "pausing",
        _ if !ended && silent && now_micros() / 1000 - said > SILENT => "silent",
        Some(state) => state,
        None => "unknown",
    };
    Some(Row {
        group: overview.name.clone(),
        slice: Some(slice.slice),
        state: state.to_owned(),
        reason: slice.reason.clone(),
        runner: slice.host.clone(),
        lag_ms: slice.lag_ms,
        lag_events: slice.lag_events,
        rate,
        handled: slice.handled,
        retries: slice.retries,
        duplicates: slice.duplicates,
        repaired: slice.repaired,
        late: slice.late,
        dead_letters: slice.dead_letters,
        parked: slice.parked,
        checkpoint: None,
        version: None,
    })
}

fn resting(overview: &GroupOverview) -> Row {
    let state = match (overview.paused, overview.slices) {
        (true, _) => "paused",
        (false, None) => "never ran",
        (false, Some(_)) => "not running",
    };
    Row {
        group: overview.name.clone(),
        slice: None,
        state: state.to_owned(),
        reason: None,
        runner: None,
        lag_ms: None,
        lag_events: None,
        rate: None,
        handled: None,
        retries: None,
        duplicates: None,
        repaired: None,
        late: None,
        dead_letters: None,
        parked: None,
        checkpoint: None,
        version: None,
    }
}

fn print(rows: &[Row], form: Output, again: bool) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return if again { output::json_line(&rows) } else { output::json(&rows) };
    }
    let mut table = output::table([
        "group",
        "slice",
        "state",
        "lag",
        "in flight",
        "events/s",
        "retries",
        "dead",
        "parked",
        "checkpoint",
        "version",
        "runner",
    ]);
    for number in 4..9 {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for row in rows {
        let lag = row.lag_ms.map(|ms| Duration::from_millis(ms.max(0).unsigned_abs()));
        table.add_row([
            row.group.clone(),
            row.slice.map_or_else(|| "-".to_owned(), |slice| slice.to_string()),
            row.state.clone(),
            lag.map_or_else(|| "-".to_owned(), output::span),
            number(row.lag_events),
            row.rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
            number(row.retries),
            number(row.dead_letters),
            number(row.parked),
            row.checkpoint.clone().unwrap_or_else(|| "-".to_owned()),
            row.version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
            row.runner.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    if again {
        output::line(&format!("\n{}", output::moment(now_micros() / 1000)))?;
    }
    output::print(&table)?;
    for row in rows {
        if let Some(reason) = &row.reason {
            output::line(&format!("{}: {}", row.group, reason.replace('\n', "; ")))?;
        }
    }
    Ok(())
}
