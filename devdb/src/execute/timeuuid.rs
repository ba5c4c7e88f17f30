//! Version-1 UUIDs: made now, made of a time, and the keys of lists.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use uuid::Uuid;

use crate::error::{CqlError, Result};
use crate::store::Clock;
use crate::store::mutation::Timestamp;

/// 100 ns ticks between 1582-10-15 and 1970-01-01.
const GREGORIAN_OFFSET: i64 = 0x01b2_1dd2_1381_4000;

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

    /// The key of a list's element: the write's timestamp, and the element's number among
    /// those of the statement, or of the statements that count together.
    ///
    /// Source: ScyllaDB, utils/UUID_gen.hh, `get_time_UUID_bytes_from_micros_and_submicros`:
    /// three bits of the number are ticks, fourteen the clock sequence. Timeuuids compare
    /// their lower half as signed bytes, hence the flipped bit.
    fn list_key(&self, timestamp: Timestamp, number: u32) -> Result<Bytes> {
        if number >= MAX_LIST_NUMBER {
            return Err(CqlError::invalid(
                "Too many list values per single CQL statement or batch",
            ));
        }
        let ticks = timestamp.wrapping_mul(10).wrapping_add(GREGORIAN_OFFSET);
        let sequence = u64::from(number & 0x3fff ^ 0x80 | 0x8000);
        let half = sequence << 48 | self.node & 0xffff_ffff_ffff;
        let uuid = of_ticks(ticks.wrapping_add(i64::from(number >> 14)), half);
        Ok(Bytes::copy_from_slice(uuid.as_bytes()))
    }

    /// Keys for elements appended to a list, in their order.
    pub fn append_keys(
        &self,
        timestamp: Timestamp,
        sequence: &ListSequence,
        count: usize,
    ) -> Result<Vec<Bytes>> {
        let first = sequence.take(count)?;
        (first..).take(count).map(|number| self.list_key(timestamp, number)).collect()
    }

    /// Keys for elements put before a list, in their order: their time is mirrored at 2010,
    /// so that what is written later comes before. (ScyllaDB, cql3/lists.cc, `prepender`.)
    pub fn prepend_keys(
        &self,
        timestamp: Timestamp,
        sequence: &ListSequence,
        count: usize,
    ) -> Result<Vec<Bytes>> {
        /// 2010-01-01, in microseconds since 1970.
        const MIRROR: Timestamp = 1_262_304_000_000_000;
        if timestamp <= MIRROR {
            return Err(CqlError::invalid(
                "List prepend custom timestamp must be greater than Jan 1 2010 00:00:00",
            ));
        }
        let mirrored = MIRROR.saturating_sub(timestamp - MIRROR);
        let taken = sequence.take(count)?;
        let first = MAX_LIST_NUMBER.saturating_sub(taken + count as u32);
        (first..).take(count).map(|number| self.list_key(mirrored, number)).collect()
    }
}

/// Elements that the statements of one request may add to lists.
const MAX_LIST_NUMBER: u32 = 1 << 17;

/// Numbers the list elements that are written with one timestamp. A batch that comes as text
/// counts through all its statements; in a BATCH frame each statement counts for itself.
#[derive(Debug, Default)]
pub struct ListSequence(Cell<u32>);

impl ListSequence {
    /// The first of so many numbers.
    fn take(&self, count: usize) -> Result<u32> {
        let first = self.0.get();
        let next = u32::try_from(count).ok().and_then(|count| first.checked_add(count));
        match next {
            Some(next) if next <= MAX_LIST_NUMBER => {
                self.0.set(next);
                Ok(first)
            }
            _ => Err(CqlError::invalid("Too many list values per single CQL statement or batch")),
        }
    }
}

impl Default for TimeUuids {
    fn default() -> Self {
        Self::new()
    }
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

    fn sorted(keys: &[&Bytes]) -> Vec<Bytes> {
        let mut sorted: Vec<Bytes> = keys.iter().map(|key| (*key).clone()).collect();
        sorted.sort_by(|a, b| compare(&CqlType::Timeuuid, a, b));
        sorted
    }

    #[test]
    fn list_keys_keep_the_order_of_the_elements() {
        let uuids = TimeUuids::new();
        let sequence = ListSequence::default();
        const NOW: Timestamp = 1_700_000_000_000_000;
        let appended = uuids.append_keys(NOW, &sequence, 300).unwrap();
        let later = uuids.append_keys(NOW, &sequence, 2).unwrap();
        let before = uuids.prepend_keys(NOW, &sequence, 300).unwrap();
        let first = uuids.prepend_keys(NOW, &sequence, 2).unwrap();
        let expected: Vec<&Bytes> =
            first.iter().chain(&before).chain(&appended).chain(&later).collect();
        assert!(sorted(&expected).iter().eq(expected));
    }

    #[test]
    fn list_keys_are_the_same_for_the_same_time() {
        let uuids = TimeUuids::new();
        let keys = |timestamp| uuids.append_keys(timestamp, &ListSequence::default(), 2).unwrap();
        assert_eq!(keys(5), keys(5));
        assert!(keys(5)[1] != keys(5)[0]);
        assert_eq!(sorted(&[&keys(6)[0], &keys(5)[0]]), [keys(5)[0].clone(), keys(6)[0].clone()]);
        assert!(uuids.prepend_keys(5, &ListSequence::default(), 1).is_err());
        assert!(uuids.append_keys(5, &ListSequence::default(), 200_000).is_err());
    }
}
