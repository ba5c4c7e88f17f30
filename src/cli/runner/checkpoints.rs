//! `checkpoints`: how far each group's slices are.

use std::time::Duration;

use serde::Serialize;

use super::arguments::CheckpointsCommand;
use crate::cli::connect::store;
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output::{self, Output};
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::cli::time::moment;
use crate::consumer::{GroupControl, SliceProgress};
use crate::time::now_micros;

/// A slice's stored progress, as JSON has it.
#[derive(Debug, Serialize)]
struct Row {
    group: String,
    slice: u16,
    /// CDC streams with a checkpoint.
    streams: usize,
    /// Everything before this is done; null: it begins with the first event.
    done_before: Option<String>,
    /// The checkpoint of the stream that is farthest.
    farthest: Option<String>,
}

impl Row {
    fn of(group: &str, progress: &SliceProgress) -> Self {
        Self {
            group: group.to_owned(),
            slice: progress.slice,
            streams: progress.streams,
            done_before: position(progress.oldest),
            farthest: position(progress.newest),
        }
    }
}

/// A stored position as text; `None`: the beginning.
pub(super) fn position(millis: i64) -> Option<String> {
    (millis > 0).then(|| output::moment(millis))
}

pub(super) async fn run(
    command: CheckpointsCommand,
    service: &Service,
    settings: &Settings,
) -> Result<Outcome, CommandLineError> {
    match command {
        CheckpointsCommand::Reset { group, to } => {
            service.entry(&group)?;
            let to = moment(&to)?;
            let store = store(service, settings).await?;
            GroupControl::connect(&store).await?.begin_at(&group, to).await?;
            output::line(&format!(
                "{group} begins again at {}; resume it",
                humantime::format_rfc3339_millis(to)
            ))?;
        }
        CheckpointsCommand::Show { group, output } => {
            let groups = match &group {
                Some(name) => vec![service.entry(name)?.name.as_str()],
                None => service.group_names(),
            };
            let store = store(service, settings).await?;
            let control = GroupControl::connect(&store).await?;
            let mut rows = Vec::new();
            for name in groups {
                for progress in control.progress(name).await? {
                    rows.push((name, progress));
                }
            }
            show(&rows, output)?;
        }
    }
    Ok(Outcome::Well)
}

fn show(rows: &[(&str, SliceProgress)], form: Output) -> Result<(), CommandLineError> {
    if form == Output::Json {
        let rows: Vec<Row> = rows.iter().map(|(group, slice)| Row::of(group, slice)).collect();
        return output::json(&rows);
    }
    let now = now_micros() / 1000;
    let mut table = output::table(["group", "slice", "streams", "done before", "behind now"]);
    for (group, progress) in rows {
        let behind = Duration::from_millis((now - progress.oldest).max(0).unsigned_abs());
        let (at, behind) = match position(progress.oldest) {
            Some(at) => (at, output::span(behind)),
            None => ("the beginning".to_owned(), "-".to_owned()),
        };
        table.add_row([
            (*group).to_owned(),
            progress.slice.to_string(),
            progress.streams.to_string(),
            at,
            behind,
        ]);
    }
    output::print(&table)
}
