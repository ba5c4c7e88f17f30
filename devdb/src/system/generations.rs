//! `system_distributed`: the generations of CDC streams.

use super::rows::{bigint, key, partition, sequence, table, text};
use crate::cdc::GenerationInfo;
use crate::error::Result;
use crate::schema::Catalog;
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
