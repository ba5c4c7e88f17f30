//! `checkpoints`: how far each group's slices are.

use std::collections::BTreeMap;
use std::time::Duration;

use scylla::value::CqlTimestamp;
use serde::Serialize;

use super::arguments::CheckpointsCommand;
use crate::cli::connect::store;
use crate::cli::error::{CommandLineError, Outcome};
use crate::cli::output::{self, Output};
use crate::cli::service::Service;
use crate::cli::settings::Settings;
use crate::cli::time::moment;
use crate::consumer::GroupControl;
use crate::store::{DatabaseError, EventStore};
use crate::time::now_micros;

/// The stored progress of one slice.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SliceProgress {
    pub(super) group: String,
    pub(super) slice: i32,
    /// CDC streams with a checkpoint.
    pub(super) streams: usize,
    /// Everything before this is done, in all streams. ms since 1970.
    pub(super) oldest: i64,
    /// Of the stream that is farthest.
    pub(super) newest: i64,
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
            if let Some(name) = &group {
                service.entry(name)?;
            }
            let store = store(service, settings).await?;
            let progress = stored(&store, group.as_deref()).await?;
            show(&progress, output)?;
        }
    }
    Ok(Outcome::Well)
}

fn show(progress: &[SliceProgress], form: Output) -> Result<(), CommandLineError> {
    if form == Output::Json {
        return output::json(&progress);
    }
    let now = now_micros() / 1000;
    let mut table = output::table(["group", "slice", "streams", "done before", "behind now"]);
    for slice in progress {
        let behind = Duration::from_millis((now - slice.oldest).max(0).unsigned_abs());
        table.add_row([
            slice.group.clone(),
            slice.slice.to_string(),
            slice.streams.to_string(),
            output::moment(slice.oldest),
            output::span(behind),
        ]);
    }
    output::print(&table)
}

/// All stored progress, or one group's, by group and slice.
pub(super) async fn stored(
    store: &EventStore,
    group: Option<&str>,
) -> Result<Vec<SliceProgress>, CommandLineError> {
    let failed =
        |source| CommandLineError::Database { what: "reading consumer_checkpoints", source };
    read(store, group).await.map_err(failed)
}

async fn read(
    store: &EventStore,
    group: Option<&str>,
) -> Result<Vec<SliceProgress>, DatabaseError> {
    // Unpaged: as many rows as there are streams times slices.
    let cql = format!(
        "SELECT group_name, slice, stream_id, position FROM {}.consumer_checkpoints",
        store.keyspace()
    );
    type Row = (String, i32, Option<Vec<u8>>, Option<CqlTimestamp>);
    let rows = store.session().query_unpaged(cql, ()).await?.into_rows_result()?;
    let mut slices: BTreeMap<(String, i32), SliceProgress> = BTreeMap::new();
    for row in rows.rows::<Row>()? {
        let (name, slice, _, position) = row?;
        // A partition may hold its static column alone.
        let Some(CqlTimestamp(position)) = position else { continue };
        if group.is_some_and(|group| group != name) {
            continue;
        }
        let entry = slices.entry((name.clone(), slice)).or_insert(SliceProgress {
            group: name,
            slice,
            streams: 0,
            oldest: position,
            newest: position,
        });
        entry.streams += 1;
        entry.oldest = entry.oldest.min(position);
        entry.newest = entry.newest.max(position);
    }
    Ok(slices.into_values().collect())
}
