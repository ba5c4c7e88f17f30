//! Ranges of clustering keys as ranges of bytes, and the tombstones over them.

use super::mutation::{ClusteringBound, ClusteringRange, Timestamp, Tombstone};

/// The keys from `low` (included) up to `high` (left out; `None`: no limit).
///
/// A prefix is before every key that it begins, and its successor (the next bytes of the
/// same length) after them all, so that every range of clustering keys is one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByteRange {
    pub(crate) low: Box<[u8]>,
    pub(crate) high: Option<Box<[u8]>>,
}

/// The first bytes that are after everything that begins with `prefix`.
fn successor(prefix: &[u8]) -> Option<Box<[u8]>> {
    let end = prefix.iter().rposition(|b| *b != 0xff)?;
    let mut bytes: Box<[u8]> = prefix[..=end].into();
    bytes[end] += 1;
    Some(bytes)
}

impl ByteRange {
    /// `None`: an empty range.
    pub(crate) fn new(range: &ClusteringRange) -> Option<Self> {
        Self::of(range, |key| key)
    }

    /// With keys cut to what orders them.
    pub(super) fn of(
        range: &ClusteringRange,
        bare: impl for<'a> Fn(&'a [u8]) -> &'a [u8],
    ) -> Option<Self> {
        let low = match &range.start {
            ClusteringBound::Unbounded => Box::default(),
            ClusteringBound::Inclusive(key) => bare(&key.0).into(),
            ClusteringBound::Exclusive(key) => successor(bare(&key.0))?,
        };
        let high = match &range.end {
            ClusteringBound::Unbounded => None,
            ClusteringBound::Inclusive(key) => successor(bare(&key.0)),
            ClusteringBound::Exclusive(key) => Some(bare(&key.0).into()),
        };
        let range = Self { low, high };
        (!range.is_empty()).then_some(range)
    }

    fn is_empty(&self) -> bool {
        self.high.as_ref().is_some_and(|high| *high <= self.low)
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        *self.low <= *key && self.high.as_ref().is_none_or(|high| *key < **high)
    }

    /// Without what a read has already returned: up to `after`, or down to it when reversed.
    pub(super) fn resume(mut self, after: &[u8], reversed: bool) -> Option<Self> {
        if reversed {
            if self.high.as_ref().is_none_or(|high| *after < **high) {
                self.high = Some(after.into());
            }
        } else {
            let next = successor(after)?;
            if next > self.low {
                self.low = next;
            }
        }
        (!self.is_empty()).then_some(self)
    }
}

fn ends_before(a: &Option<Box<[u8]>>, b: &Option<Box<[u8]>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a < b,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// The range tombstones of a partition: sorted, none over another, so that a key has one.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct RangeTombstones(Vec<(ByteRange, Tombstone)>);

impl RangeTombstones {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn to_vec(&self) -> Vec<(ByteRange, Tombstone)> {
        self.0.clone()
    }

    /// The tombstone over a key.
    pub(super) fn covering(&self, key: &[u8]) -> Option<Tombstone> {
        let after = self.0.partition_point(|(range, _)| *range.low <= *key);
        let (range, tombstone) = self.0.get(after.checked_sub(1)?)?;
        range.contains(key).then_some(*tombstone)
    }

    /// Adds one; where it meets another, the newer counts.
    pub(super) fn add(&mut self, range: ByteRange, tombstone: Tombstone) {
        let first = self.0.partition_point(|(other, _)| {
            other.high.as_ref().is_some_and(|high| *high <= range.low)
        });
        let last = self
            .0
            .partition_point(|(other, _)| range.high.as_ref().is_none_or(|high| other.low < *high));
        let mut pieces: Vec<(ByteRange, Tombstone)> = Vec::new();
        let mut push = |low: Box<[u8]>, high: Option<Box<[u8]>>, tombstone: Tombstone| {
            let piece = ByteRange { low, high };
            if piece.is_empty() {
                return;
            }
            match pieces.last_mut() {
                Some((before, same))
                    if *same == tombstone && before.high.as_ref() == Some(&piece.low) =>
                {
                    before.high = piece.high;
                }
                _ => pieces.push((piece, tombstone)),
            }
        };
        // How far the new range is done; `None`: to its end.
        let mut at = Some(range.low.clone());
        for (other, theirs) in self.0[first..last].iter().cloned() {
            let Some(from) = at.take() else { break };
            let start = if other.low < from {
                push(other.low, Some(from.clone()), theirs);
                from
            } else {
                push(from, Some(other.low.clone()), tombstone);
                other.low
            };
            let newer = theirs.max(tombstone);
            if ends_before(&range.high, &other.high) {
                push(start, range.high.clone(), newer);
                if let Some(end) = range.high.clone() {
                    push(end, other.high, theirs);
                }
            } else {
                push(start, other.high.clone(), newer);
                at = other.high;
            }
        }
        if let Some(from) = at {
            push(from, range.high, tombstone);
        }
        self.0.splice(first..last, pieces);
    }

    /// Drops those that a tombstone of the partition covers.
    pub(super) fn shadow(&mut self, timestamp: Timestamp) {
        self.0.retain(|(_, tombstone)| tombstone.timestamp > timestamp);
    }

    /// Drops those past their grace; returns when the next one will be.
    pub(super) fn purge(&mut self, now: i64, gc_grace: i64) -> i64 {
        let due = |t: &Tombstone| t.deletion_time.saturating_add(gc_grace);
        self.0.retain(|(_, tombstone)| due(tombstone) > now);
        self.0.iter().map(|(_, tombstone)| due(tombstone)).min().unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mutation::ClusteringKey;
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn key(bytes: &[u8]) -> ClusteringKey {
        ClusteringKey(Bytes::copy_from_slice(bytes))
    }

    fn bound() -> impl Strategy<Value = ClusteringBound> {
        let prefix = proptest::collection::vec(prop_oneof![Just(0u8), Just(7), Just(255)], 0..3);
        prop_oneof![
            1 => Just(ClusteringBound::Unbounded),
            3 => prefix.clone().prop_map(|p| ClusteringBound::Inclusive(key(&p))),
            3 => prefix.prop_map(|p| ClusteringBound::Exclusive(key(&p))),
        ]
    }

    fn all_keys() -> Vec<Vec<u8>> {
        let digits = [0u8, 7, 255];
        let mut keys = Vec::new();
        for a in digits {
            for b in digits {
                for c in digits {
                    keys.push(vec![a, b, c]);
                }
            }
        }
        keys
    }

    /// By the meaning of the bounds.
    fn holds(range: &ClusteringRange, k: &[u8]) -> bool {
        let from = match &range.start {
            ClusteringBound::Unbounded => true,
            ClusteringBound::Inclusive(p) => k.starts_with(&p.0) || *k >= p.0[..],
            ClusteringBound::Exclusive(p) => !k.starts_with(&p.0) && *k > p.0[..],
        };
        let to = match &range.end {
            ClusteringBound::Unbounded => true,
            ClusteringBound::Inclusive(p) => k.starts_with(&p.0) || *k < p.0[..],
            ClusteringBound::Exclusive(p) => !k.starts_with(&p.0) && *k < p.0[..],
        };
        from && to
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn range_tombstones_are_the_newest_of_those_written(
            writes in proptest::collection::vec((bound(), bound(), 0i64..4), 0..7),
        ) {
            let mut list = RangeTombstones::default();
            for (start, end, timestamp) in &writes {
                let range = ClusteringRange { start: start.clone(), end: end.clone() };
                if let Some(range) = ByteRange::new(&range) {
                    list.add(range, Tombstone { timestamp: *timestamp, deletion_time: 0 });
                }
            }
            for k in all_keys() {
                let expected = writes.iter()
                    .filter(|(s, e, _)| {
                        holds(&ClusteringRange { start: s.clone(), end: e.clone() }, &k)
                    })
                    .map(|(_, _, timestamp)| *timestamp)
                    .max();
                prop_assert_eq!(list.covering(&k).map(|t| t.timestamp), expected, "{:?}", k);
            }
            for pair in list.0.windows(2) {
                prop_assert!(pair[0].0.high.as_ref().unwrap() <= &pair[1].0.low);
            }
        }
    }

    #[test]
    fn a_read_goes_on_after_the_last_row() {
        let all = || ByteRange::new(&ClusteringRange::all()).unwrap();
        let rest = all().resume(&[7], false).unwrap();
        assert!(!rest.contains(&[7]) && rest.contains(&[8]));
        let rest = all().resume(&[7], true).unwrap();
        assert!(!rest.contains(&[7]) && rest.contains(&[6]));
        assert_eq!(all().resume(&[255], false), None);
        assert_eq!(all().resume(&[], true), None);
    }
}
