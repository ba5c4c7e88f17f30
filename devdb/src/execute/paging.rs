//! Paging states: where a page ended, as bytes that the client hands back.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::{CqlError, Result};
use crate::store::mutation::{ClusteringKey, PartitionKey};
use crate::store::read::ScanPosition;

const VERSION: u8 = 1;
/// Before the first row: where an empty first page ends.
const START: u8 = 0;

/// Where a query goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagingState {
    /// The last row returned.
    pub position: ScanPosition,
    /// Rows that LIMIT still allows.
    pub remaining: u64,
}

impl PagingState {
    /// As bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u8(VERSION);
        out.put_u64(self.remaining);
        out.put_i64(self.position.token);
        out.put_u64(self.position.taken as u64);
        out.put_u32(u32::try_from(self.position.key.0.len()).unwrap_or(u32::MAX));
        out.put_slice(&self.position.key.0);
        match &self.position.row {
            Some(row) => {
                out.put_u8(1);
                out.put_slice(&row.0);
            }
            None => out.put_u8(0),
        }
        out.freeze()
    }

    /// The state of a query whose first page was empty.
    pub fn start() -> Bytes {
        Bytes::from_static(&[START])
    }

    /// From what a client sent; `None`: from the start.
    pub fn decode(state: &Bytes) -> Result<Option<Self>> {
        let invalid = || CqlError::protocol("Invalid value for the paging state");
        if state[..] == [START] {
            return Ok(None);
        }
        let mut rest = state.clone();
        if rest.try_get_u8().map_err(|_| invalid())? != VERSION {
            return Err(invalid());
        }
        let remaining = rest.try_get_u64().map_err(|_| invalid())?;
        let token = rest.try_get_i64().map_err(|_| invalid())?;
        let taken = rest.try_get_u64().map_err(|_| invalid())?;
        let length = rest.try_get_u32().map_err(|_| invalid())? as usize;
        if rest.remaining() < length {
            return Err(invalid());
        }
        let key = PartitionKey(rest.split_to(length));
        let row = match rest.try_get_u8().map_err(|_| invalid())? {
            0 => None,
            1 => Some(ClusteringKey(rest)),
            _ => return Err(invalid()),
        };
        let taken = usize::try_from(taken).map_err(|_| invalid())?;
        Ok(Some(PagingState { position: ScanPosition { token, key, row, taken }, remaining }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was_and_nonsense_is_refused() {
        let state = PagingState {
            position: ScanPosition {
                token: -5,
                key: PartitionKey(Bytes::from_static(b"key")),
                row: Some(ClusteringKey(Bytes::from_static(b"row"))),
                taken: 3,
            },
            remaining: u64::MAX,
        };
        assert_eq!(PagingState::decode(&state.encode()).unwrap(), Some(state));
        assert_eq!(PagingState::decode(&PagingState::start()).unwrap(), None);
        assert!(PagingState::decode(&Bytes::from_static(b"\x01abc")).is_err());
        assert!(PagingState::decode(&Bytes::new()).is_err());
        let giant = Bytes::from_static(&[
            1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
            0xff, 0xff,
        ]);
        assert!(PagingState::decode(&giant).is_err());
    }
}
