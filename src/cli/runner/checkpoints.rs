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

/// A slice's stored progress.
#[derive(Debug, Serialize)]
struct Row {
    group: String,
    #[serde(flatten)]
    progress: SliceProgress,
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
                    rows.push(Row { group: name.to_owned(), progress });
                }
            }
            show(&rows, output)?;
        }
    }
    Ok(Outcome::Well)
}

fn show(rows: &[Row], form: Output) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return output::json(&rows);
    }
    let now = now_micros() / 1000;
    let mut table = output::table(["group", "slice", "streams", "done before", "behind now"]);
    for Row { group, progress } in rows {
        let behind = Duration::from_millis((now - progress.oldest).max(0).unsigned_abs());
        table.add_row([
            group.clone(),
            progress.slice.to_string(),
            progress.streams.to_string(),
            position(progress.oldest),
            if progress.oldest > 0 { output::span(behind) } else { "-".to_owned() },
        ]);
    }
    output::print(&table)
}

/// A stored position as people read it.
pub(super) fn position(millis: i64) -> String {
    if millis > 0 { output::moment(millis) } else { "the beginning".to_owned() }
}
