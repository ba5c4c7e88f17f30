//! Generations of streams: which stream takes a partition's changes at which time.

use bytes::Bytes;
use rand::Rng;
use serde::{Deserialize, Serialize};

use crate::error::{CqlError, Result};

/// How far a write's timestamp may be ahead of the node's time, and how long a former
/// generation still takes writes. Source: ScyllaDB, cdc/generation.cc, `get_generation_leeway`.
const LEEWAY_MICROS: i64 = 5_000_000;

/// Tablets that a table has at most. It is a memory bound of this node.
pub const MAX_TABLETS: usize = 1 << 12;

/// A generation as `system_distributed.cdc_generation_timestamps` and
/// `cdc_streams_descriptions_v2` show it, or `system.cdc_timestamps` and `cdc_streams`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationInfo {
    /// When it begins, milliseconds since 1970 (the column `time`).
    pub time: i64,
    /// For each vnode or tablet: its last token (`range_end`) and its streams, sorted by token.
    pub streams: Vec<(i64, Vec<Bytes>)>,
}

impl GenerationInfo {
    fn start_micros(&self) -> i64 {
        self.time.saturating_mul(1000)
    }

    /// The stream of a token: that of the vnode or tablet that owns it (the first one's range goes
    /// around the ring's end).
    pub(super) fn stream(&self, token: i64) -> Option<&Bytes> {
        let index = self.streams.partition_point(|(end, _)| *end < token);
        let (_, streams) = self.streams.get(index).or_else(|| self.streams.first())?;
        streams.first()
    }
}

/// Random tokens for so many vnodes, sorted, about evenly apart.
pub(super) fn random_tokens(vnodes: usize) -> Vec<i64> {
    let vnodes = vnodes.clamp(1, 1 << 16) as u64;
    let width = u64::MAX / vnodes;
    let mut random = rand::rng();
    (0..vnodes)
        .map(|i| {
            let offset = i * width + width / 4 + random.random_range(0..width / 2);
            (offset ^ (1 << 63)) as i64
        })
        .collect()
}

/// A stream's id: token 64 bits; then 38 random bits, 22 bits of the vnode's index, and the
/// version 1 in 4 bits. Source: ScyllaDB, cdc/generation.cc, `stream_id`.
fn stream_id(token: i64, vnode: usize) -> Bytes {
    let random: u64 = rand::rng().random();
    let low = random << 26 | (vnode as u64 & 0x3f_ffff) << 4 | 1;
    let mut id = token.to_be_bytes().to_vec();
    id.extend(low.to_be_bytes());
    Bytes::from(id)
}

/// A generation with new streams for the same vnodes.
pub(super) fn generate(time: i64, tokens: &[i64]) -> GenerationInfo {
    let streams = tokens
        .iter()
        .enumerate()
        .map(|(vnode, end)| {
            let before = match vnode {
                0 => tokens.last(),
                _ => tokens.get(vnode - 1),
            };
            // The range's first token: a log's partition lies where the base's lie.
            let first = before.copied().unwrap_or(*end).checked_add(1).unwrap_or(i64::MIN + 1);
            (*end, vec![stream_id(first, vnode)])
        })
        .collect();
    GenerationInfo { time, streams }
}

/// The last tokens of so many tablets, rounded up to a power of two: they share the ring
/// evenly. Source: ScyllaDB, locator/tablets.cc, `get_last_token`.
fn tablet_tokens(tablets: usize) -> Vec<i64> {
    let bits = tablets.clamp(1, MAX_TABLETS).next_power_of_two().trailing_zeros();
    (1..=1u128 << bits).map(|i| (((i << (64 - bits)) - 1) as u64 ^ 1 << 63) as i64).collect()
}

/// A table's generation with a new stream for each tablet. Source: ScyllaDB,
/// cdc/generation.cc, `create_table_streams_mutation`: the stream's token is the tablet's
/// last one, its index 0.
pub(super) fn generate_tablets(time: i64, tablets: usize) -> GenerationInfo {
    let streams =
        tablet_tokens(tablets).into_iter().map(|last| (last, vec![stream_id(last, 0)])).collect();
    GenerationInfo { time, streams }
}

fn format_timestamp(micros: i64) -> String {
    let (year, month, day, time) = crate::types::civil(micros);
    format!("{year:04}/{month:02}/{day:02} {time}")
}

/// The generation that takes a write with this timestamp; refused if there is none.
/// `generations` from the oldest to the newest.
///
/// Source: ScyllaDB, cdc/metadata.cc, `get_vnode_stream`; the texts are those of 5.1.
pub(super) fn generation_for<G: AsRef<GenerationInfo>>(
    generations: &[G],
    timestamp: i64,
    now: i64,
) -> Result<&G> {
    if timestamp > now.saturating_add(LEEWAY_MICROS) {
        return Err(CqlError::invalid(format!(
            "cdc: attempted to get a stream \"from the future\" ({}; current server time: {}). \
             With CDC you cannot send writes with timestamps arbitrarily into the future, because \
             we don't know what streams will be used at that time.\n\
             We *do* allow sending writes into the near future, but our ability to do that is \
             limited. If you really must use your own timestamps, then make sure your clocks are \
             well-synchronized  with the database's clocks.",
            format_timestamp(timestamp),
            format_timestamp(now)
        )));
    }
    let used_at = |micros: i64| {
        generations.partition_point(|g| g.as_ref().start_micros() <= micros).checked_sub(1)
    };
    let earlier = |current: Option<usize>| {
        let started = current
            .and_then(|i| generations.get(i))
            .map_or_else(|| "never".to_owned(), |g| format_timestamp(g.as_ref().start_micros()));
        CqlError::invalid(format!(
            "cdc: attempted to get a stream from an earlier generation than the currently used \
             one. With CDC you cannot send writes with timestamps too far into the past, because \
             that would break consistency properties (write timestamp: {}, current generation \
             started at: {started})",
            format_timestamp(timestamp)
        ))
    };
    let current = used_at(now);
    let still_used = used_at(now.saturating_sub(LEEWAY_MICROS)).or(current);
    let of_write = used_at(timestamp);
    if of_write.is_none() || of_write < still_used {
        return Err(earlier(current));
    }
    // Old enough to be late for a generation that has ended.
    if timestamp <= now.saturating_sub(LEEWAY_MICROS) && of_write < current {
        return Err(earlier(current));
    }
    of_write.and_then(|i| generations.get(i)).ok_or_else(|| earlier(current))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn every_token_has_the_stream_of_its_vnode() {
        let tokens = random_tokens(8);
        assert!(tokens.is_sorted() && tokens.len() == 8);
        let generation = generate(1, &tokens);
        assert_eq!(generation.streams.len(), 8);
        for (i, end) in tokens.iter().enumerate() {
            let stream = generation.stream(*end).unwrap();
            assert_eq!(stream, &generation.streams[i].1[0]);
            assert_eq!(generation.stream(end + 1), Some(&generation.streams[(i + 1) % 8].1[0]));
            assert_eq!(stream[15] & 0xf, 1);
            let low = u64::from_be_bytes(stream[8..].try_into().unwrap());
            assert_eq!(low >> 4 & 0x3f_ffff, i as u64);
            // A stream's own token belongs to its vnode.
            let token = i64::from_be_bytes(stream[..8].try_into().unwrap());
            assert_eq!(generation.stream(token), Some(stream));
        }
        assert_eq!(generation.stream(i64::MAX), Some(&generation.streams[0].1[0]));
        let single = generate(1, &[7]);
        assert_eq!(single.stream(-9), single.stream(9));
    }

    #[test]
    fn every_token_has_the_stream_of_its_tablet() {
        assert_eq!(tablet_tokens(1), [i64::MAX]);
        assert_eq!(tablet_tokens(2), [-1, i64::MAX]);
        assert_eq!(tablet_tokens(3), [i64::MIN / 2 - 1, -1, i64::MAX / 2, i64::MAX]);
        assert_eq!(tablet_tokens(usize::MAX).len(), MAX_TABLETS);
        let generation = generate_tablets(1, 4);
        for (last, streams) in &generation.streams {
            let stream = &streams[0];
            assert_eq!(stream[..8], last.to_be_bytes());
            assert_eq!(stream[15] & 0xf, 1);
            assert_eq!(generation.stream(*last), Some(stream));
            assert_ne!(generation.stream(last.wrapping_add(1)), Some(stream));
        }
    }

    #[test]
    fn a_write_goes_to_the_generation_of_its_time_or_is_refused() {
        const SECOND: i64 = 1_000_000;
        let tokens = random_tokens(2);
        let generations: Vec<Arc<GenerationInfo>> =
            [100_000, 200_000, 300_000].map(|ms| Arc::new(generate(ms, &tokens))).into();
        let of = |timestamp: i64, now: i64| {
            generation_for(&generations, timestamp, now).map(|g| g.time / 100_000)
        };
        assert_eq!(of(150 * SECOND, 150 * SECOND), Ok(1));
        assert_eq!(of(154 * SECOND, 150 * SECOND), Ok(1));
        assert!(of(156 * SECOND, 150 * SECOND).unwrap_err().message.contains("from the future"));
        // Old writes are welcome as long as their generation is the current one.
        assert_eq!(of(100 * SECOND, 150 * SECOND), Ok(1));
        let refused = of(99 * SECOND, 150 * SECOND).unwrap_err().message;
        assert!(refused.contains("earlier generation"), "{refused}");
        assert!(refused.contains("1970/01/01 00:01:39"), "{refused}");
        // A write of the near future goes to the generation of that time.
        assert_eq!(of(201 * SECOND, 199 * SECOND), Ok(2));
        // The former generation takes writes for the leeway.
        assert_eq!(of(199 * SECOND, 203 * SECOND), Ok(1));
        assert!(of(197 * SECOND, 203 * SECOND).is_err());
        assert!(of(199 * SECOND, 206 * SECOND).is_err());
        assert_eq!(of(200 * SECOND, 206 * SECOND), Ok(2));
        assert!(of(150 * SECOND, 350 * SECOND).is_err());
    }
}
