//! A partition key from its columns' values and back.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{CqlError, Result};
use crate::store::mutation::PartitionKey;

/// The key from its columns' values, in key order. One column is its own key; several
/// are each `u16 length, bytes, 0`.
pub fn encode(values: &[Bytes]) -> Result<PartitionKey> {
    // ScyllaDB, partition_key::validate: a component's length is a u16.
    if let Some(long) = values.iter().find(|v| v.len() > usize::from(u16::MAX)) {
        return Err(CqlError::invalid(format!("Key size too large: {} > 65535", long.len())));
    }
    if let [single] = values {
        // A slice of a frame would keep the frame.
        return Ok(PartitionKey(Bytes::copy_from_slice(single)));
    }
    let mut key = BytesMut::with_capacity(values.iter().map(|v| v.len() + 3).sum());
    for value in values {
        key.put_u16(value.len() as u16);
        key.put_slice(value);
        key.put_u8(0);
    }
    Ok(PartitionKey(key.freeze()))
}

/// The values of a key's `columns` columns.
pub fn decode(columns: usize, key: &PartitionKey) -> Vec<Bytes> {
    if columns == 1 {
        return vec![key.0.clone()];
    }
    let mut values = Vec::with_capacity(columns);
    let mut at = 0;
    while let Some(length) = key.0.get(at..at + 2) {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let end = (at + 2 + length).min(key.0.len());
        values.push(key.0.slice(at + 2..end));
        at = end + 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composite_key_comes_apart_again() {
        let values = vec![Bytes::from_static(b"ab"), Bytes::new(), Bytes::from_static(b"\0c")];
        let key = encode(&values).unwrap();
        assert_eq!(&key.0[..], b"\0\x02ab\0\0\0\0\0\x02\0c\0");
        assert_eq!(decode(3, &key), values);
        assert_eq!(decode(1, &encode(&values[..1]).unwrap()), values[..1]);
    }
}
