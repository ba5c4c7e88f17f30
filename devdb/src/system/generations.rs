//! The generations of CDC streams: in `system_distributed` those of vnodes, in `system` those
//! of tables on tablets.

use bytes::Bytes;

use super::rows::{bigint, key, partition, sequence, table, text, tinyint};
use crate::cdc::GenerationInfo;
use crate::error::Result;
use crate::schema::{Catalog, Table};
use crate::store::mutation::{Mutation, Timestamp};

/// The rows of a generation: its streams first, so that who finds the generation finds
/// them.
pub fn mutations(
    catalog: &Catalog,
    generation: &GenerationInfo,
    timestamp: Timestamp,
) -> Result<Vec<Mutation>> {
    let time = bigint(generation.time);
    let rows: Vec<_> = generation
        .streams
        .iter()
        .map(|(range_end, streams)| {
            let mut streams = streams.clone();
            streams.sort();
            vec![("range_end", bigint(*range_end)), ("streams", sequence(&streams))]
        })
        .collect();
    let descriptions = table(catalog, "system_distributed", "cdc_streams_descriptions_v2")?;
    let timestamps = table(catalog, "system_distributed", "cdc_generation_timestamps")?;
    let streams =
        partition(descriptions, key(std::slice::from_ref(&time))?, &rows, timestamp, false);
    let row = vec![("time", time)];
    let times = partition(timestamps, key(&[text("timestamps")])?, &[row], timestamp, false);
    Ok(vec![streams, times])
}

/// `system.cdc_streams.stream_state`: all streams of a generation; those of the former one
/// that it has no more; those that it has in addition.
mod stream_state {
    pub(super) const CURRENT: i8 = 0;
    pub(super) const CLOSED: i8 = 1;
    pub(super) const OPENED: i8 = 2;
}

/// The rows of a generation of one table's streams, `table` being the one that is followed:
/// streams first, here too. Of the first generation all streams are opened.
///
/// Source: ScyllaDB, cdc/generation.cc, `query_cdc_streams`.
pub fn tablet_mutations(
    catalog: &Catalog,
    (keyspace, table_name): (&str, &str),
    before: Option<&GenerationInfo>,
    generation: &GenerationInfo,
    timestamp: Timestamp,
) -> Result<Vec<Mutation>> {
    let [streams, timestamps] = tablet_tables(catalog)?;
    let ids = |generation: Option<&GenerationInfo>| -> Vec<Bytes> {
        generation.into_iter().flat_map(|g| &g.streams).flat_map(|(_, s)| s.clone()).collect()
    };
    let (old, new) = (ids(before), ids(Some(generation)));
    let time = bigint(generation.time);
    let in_state = |state: i8, ids: Vec<Bytes>| {
        let time = time.clone();
        ids.into_iter().map(move |id| {
            vec![("timestamp", time.clone()), ("stream_state", tinyint(state)), ("stream_id", id)]
        })
    };
    let missing = |from: &[Bytes], of: &[Bytes]| -> Vec<Bytes> {
        let there: std::collections::HashSet<&Bytes> = from.iter().collect();
        of.iter().filter(|id| !there.contains(id)).cloned().collect()
    };
    let rows: Vec<_> = in_state(stream_state::CLOSED, missing(&new, &old))
        .chain(in_state(stream_state::OPENED, missing(&old, &new)))
        .chain(in_state(stream_state::CURRENT, new))
        .collect();
    let key = key(&[text(keyspace), text(table_name)])?;
    Ok(vec![
        partition(streams, key.clone(), &rows, timestamp, false),
        partition(timestamps, key, &[vec![("timestamp", time)]], timestamp, false),
    ])
}

/// Takes away the streams of a table that is gone.
pub fn forget_tablet_mutations(
    catalog: &Catalog,
    (keyspace, table_name): (&str, &str),
    timestamp: Timestamp,
) -> Result<Vec<Mutation>> {
    let key = key(&[text(keyspace), text(table_name)])?;
    let tables = tablet_tables(catalog)?;
    Ok(tables.map(|table| partition(table, key.clone(), &[], timestamp, true)).into())
}

fn tablet_tables(catalog: &Catalog) -> Result<[&Table; 2]> {
    Ok([table(catalog, "system", "cdc_streams")?, table(catalog, "system", "cdc_timestamps")?])
}
