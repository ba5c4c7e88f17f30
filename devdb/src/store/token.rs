//! Tokens: where on the ring a partition lies.

use super::mutation::PartitionKey;
use crate::schema::Partitioner;

/// The token of a partition. Never `i64::MIN`, which is no token of the ring.
pub fn token(partitioner: Partitioner, key: &PartitionKey) -> i64 {
    let token = match partitioner {
        Partitioner::Murmur3 => murmur3(&key.0),
        // A stream id begins with its token (ScyllaDB, cdc/cdc_partitioner.cc).
        Partitioner::Cdc => match key.0.first_chunk::<8>() {
            Some(head) => i64::from_be_bytes(*head),
            None => i64::MIN,
        },
    };
    // ScyllaDB, dht::token: the minimum is not a key's; such a key gets the maximum.
    if token == i64::MIN { i64::MAX } else { token }
}

fn fmix(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

/// Murmur3 x64 128, first half, with Cassandra's peculiarity: the bytes of the tail are
/// taken as signed.
fn murmur3(data: &[u8]) -> i64 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let (mut h1, mut h2) = (0u64, 0u64);
    let (blocks, tail) = data.as_chunks::<16>();
    for block in blocks {
        let (low, high) = block.split_at(8);
        let k1 = low.iter().rev().fold(0u64, |k, b| k << 8 | u64::from(*b));
        let k2 = high.iter().rev().fold(0u64, |k, b| k << 8 | u64::from(*b));
        h1 ^= k1.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= k2.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let signed = |b: u8, shift: usize| (i64::from(b as i8) as u64) << shift;
    let (mut k1, mut k2) = (0u64, 0u64);
    for (i, b) in tail.iter().enumerate() {
        if i < 8 { k1 ^= signed(*b, i * 8) } else { k2 ^= signed(*b, (i - 8) * 8) }
    }
    if tail.len() > 8 {
        h2 ^= k2.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    }
    if !tail.is_empty() {
        h1 ^= k1.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    }
    h1 ^= data.len() as u64;
    h2 ^= data.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = fmix(h1);
    h2 = fmix(h2);
    h1.wrapping_add(h2) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn of(bytes: &[u8]) -> i64 {
        token(Partitioner::Murmur3, &PartitionKey(Bytes::copy_from_slice(bytes)))
    }

    #[test]
    fn tokens_are_those_of_a_real_server() {
        assert_eq!(of(&[0xff; 16]), -2824192546314762522);
        assert_eq!(of(&1u128.to_be_bytes()), 2589554819249504804);
        assert_eq!(of(&2u128.to_be_bytes()), -1269335609491535025);
        assert_eq!(of(&0x123e4567e89b12d3a456426614174000u128.to_be_bytes()), -44119901388393997);
        assert_eq!(of(b"a"), -8839064797231613815);
        assert_eq!(of(b"the quick brown fox"), -8555461455748673368);
        assert_eq!(of(&(-1i64).to_be_bytes()), 7071048584287372947);
        assert_eq!(of(&1i64.to_be_bytes()), 6292367497774912474);
        assert_eq!(of(b"\0\x04\0\0\0\x01\0\0\x01x\0"), 746584927563629270);
        assert_eq!(of(b"\0\x04\0\0\0\x02\0\0\x02yy\0"), -4577661913518231145);
    }

    #[test]
    fn a_stream_id_begins_with_its_token() {
        let mut id = (-5i64).to_be_bytes().to_vec();
        id.extend([7; 8]);
        assert_eq!(token(Partitioner::Cdc, &PartitionKey(Bytes::from(id))), -5);
    }
}
