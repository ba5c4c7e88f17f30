//! Version-1 UUIDs: made now, made of a time, and the keys of lists.

use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use uuid::Uuid;

use crate::store::Clock;

/// 100 ns ticks between 1582-10-15 and 1970-01-01.
const GREGORIAN_OFFSET: i64 = 0x01b2_1dd2_1381_4000;

/// Ticks of 2010-01-01 since 1582: where ScyllaDB mirrors the times of prepended list
/// elements, so that later ones sort before earlier ones.
const PREPEND_REFERENCE: i64 = 1_262_304_000_000 * 10_000 + GREGORIAN_OFFSET;

/// The least significant half of `minTimeuuid`: the smallest as ScyllaDB compares them.
pub const MIN_NODE: u64 = 0x8080_8080_8080_8080;
/// The least significant half of `maxTimeuuid`.
pub const MAX_NODE: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// A version-1 UUID of a tick and a clock-sequence-and-node half.
pub fn of_ticks(ticks: i64, node: u64) -> Uuid {
    let ticks = ticks as u64;
    let time_low = ticks & 0xffff_ffff;
    let time_mid = (ticks >> 32) & 0xffff;
    let time_high = (ticks >> 48) & 0x0fff;
    let most = (time_low << 32) | (time_mid << 16) | 0x1000 | time_high;
    Uuid::from_u64_pair(most, node)
}

/// Ticks since 1582 of a time in milliseconds since 1970.
pub fn ticks_of_millis(millis: i64) -> i64 {
    millis.saturating_mul(10_000).saturating_add(GREGORIAN_OFFSET)
}

/// Milliseconds since 1970 of a version-1 UUID.
pub fn millis_of(uuid: Uuid) -> i64 {
    let (most, _) = uuid.as_u64_pair();
    let ticks = ((most & 0x0fff) << 48) | ((most >> 16 & 0xffff) << 32) | (most >> 32);
    (ticks as i64 - GREGORIAN_OFFSET).div_euclid(10_000)
}

/// Makes version-1 UUIDs of this node, never the same twice.
#[derive(Debug)]
pub struct TimeUuids {
    node: u64,
    last: AtomicI64,
}

impl TimeUuids {
    /// With a random node id.
    pub fn new() -> Self {
        // The variant's bits, and the multicast bit that marks a node id as random.
        let node = (rand::random::<u64>() & 0x3fff_ffff_ffff_ffff) | 0x8000_0100_0000_0000;
        TimeUuids { node, last: AtomicI64::new(0) }
    }

    /// Reserves `count` ticks that follow each other, from now on; returns the first.
    fn reserve(&self, clock: &Clock, count: i64) -> i64 {
        let now = clock.read_micros() * 10 + GREGORIAN_OFFSET;
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let first = now.max(last + 1);
            match self.last.compare_exchange_weak(
                last,
                first + count - 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return first,
                Err(seen) => last = seen,
            }
        }
    }

    /// `now()`.
    pub fn now(&self, clock: &Clock) -> Uuid {
        of_ticks(self.reserve(clock, 1), self.node)
    }

    /// Keys for elements appended to a list, in their order.
    pub fn append_keys(&self, clock: &Clock, count: usize) -> impl Iterator<Item = Bytes> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let first = self.reserve(clock, count.max(1));
        let node = self.node;
        (0..count).map(move |i| key(of_ticks(first + i, node)))
    }

    /// Keys for elements put before a list, in their order.
    pub fn prepend_keys(&self, clock: &Clock, count: usize) -> impl Iterator<Item = Bytes> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let first = self.reserve(clock, count.max(1));
        let node = self.node;
        (0..count).rev().map(move |i| key(of_ticks(2 * PREPEND_REFERENCE - (first + i), node)))
    }
}

impl Default for TimeUuids {
    fn default() -> Self {
        Self::new()
    }
}

fn key(uuid: Uuid) -> Bytes {
    Bytes::copy_from_slice(uuid.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{CqlType, compare};

    #[test]
    fn a_uuid_tells_the_time_it_was_made_of() {
        let uuid = of_ticks(ticks_of_millis(1_436_838_000_123), MIN_NODE);
        assert_eq!(uuid.get_version_num(), 1);
        assert_eq!(millis_of(uuid), 1_436_838_000_123);
    }

    #[test]
    fn list_keys_keep_the_order_of_the_elements() {
        let clock = Clock::new();
        let uuids = TimeUuids::new();
        let appended: Vec<Bytes> = uuids.append_keys(&clock, 3).collect();
        let later: Vec<Bytes> = uuids.append_keys(&clock, 2).collect();
        let before: Vec<Bytes> = uuids.prepend_keys(&clock, 2).collect();
        let first: Vec<Bytes> = uuids.prepend_keys(&clock, 2).collect();
        let expected: Vec<&Bytes> =
            first.iter().chain(&before).chain(&appended).chain(&later).collect();
        let mut sorted = expected.clone();
        sorted.sort_by(|a, b| compare(&CqlType::Timeuuid, a, b));
        assert_eq!(sorted, expected);
    }
}
