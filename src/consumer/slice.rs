//! Slices: parts of a group that run apart.

use std::fmt;

use crate::ids::AggregateId;

/// A part of a group's aggregates. A group has one slice, which holds all of them, unless it
/// is scaled out; each slice has its own runner, progress and order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slice {
    index: u16,
    count: u16,
}

impl Slice {
    /// The slice that holds every aggregate.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The `index`-th (from 0) of `count` slices; `None` where there is no such slice.
    pub const fn new(index: u16, count: u16) -> Option<Self> {
        if index < count { Some(Self { index, count }) } else { None }
    }

    /// All slices of a group with `count` of them.
    pub fn all(count: u16) -> impl Iterator<Item = Self> {
        (0..count).map(move |index| Self { index, count })
    }

    /// Which one it is, from 0.
    pub const fn index(self) -> u16 {
        self.index
    }

    /// Of how many.
    pub const fn count(self) -> u16 {
        self.count
    }

    /// Whether an aggregate belongs to this slice: the FNV-1a hash (64 bits) of its id's 16
    /// bytes, its upper half folded onto its lower by exclusive or, modulo `count`. Every
    /// build gives the same answer, since stored progress rests on it.
    pub fn contains(self, id: AggregateId) -> bool {
        self.count == 1 || stable_hash(id) % u64::from(self.count) == u64::from(self.index)
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// FNV-1a, 64 bits, with the two halves folded so that its low bits depend on all of it.
pub(crate) fn stable_hash(id: AggregateId) -> u64 {
    let hash = id.0.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_aggregate_is_in_exactly_one_slice() {
        for count in [1, 2, 3, 7, 16] {
            let mut sizes = vec![0; usize::from(count)];
            for _ in 0..4000 {
                let id = AggregateId::new();
                let homes: Vec<_> = Slice::all(count).filter(|slice| slice.contains(id)).collect();
                assert_eq!(homes.len(), 1);
                sizes[usize::from(homes[0].index())] += 1;
            }
            let fair = 4000 / i32::from(count);
            assert!(sizes.iter().all(|size| (fair / 2..=fair * 2).contains(size)), "{sizes:?}");
        }
    }

    #[test]
    fn the_hash_stays_what_it_was() {
        let id = |text: &str| text.parse::<AggregateId>().unwrap();
        assert_eq!(
            stable_hash(id("00000000-0000-0000-0000-000000000000")),
            0x8820_1fb9_60ff_6465 ^ (0x8820_1fb9_60ff_6465 >> 32)
        );
    }

    #[test]
    fn a_slice_beyond_the_count_does_not_exist() {
        assert_eq!(Slice::new(1, 1), None);
        assert_eq!(Slice::new(0, 1), Some(Slice::WHOLE));
    }
}
