//! How much may be on its way at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::publisher::Message;

/// Bounds messages and bytes in flight by one count of bytes: a message counts at least as
/// much as leaves room for the allowed number of them.
pub(super) struct Room {
    bytes: Arc<Semaphore>,
    whole: u32,
    least: u32,
}

impl Room {
    pub(super) fn new(messages: u32, bytes: u32) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(bytes as usize)),
            whole: bytes,
            least: (bytes / messages.max(1)).max(1),
        }
    }

    /// Waits for room; it is given back when the permit is dropped. `None` is never: the
    /// semaphore is not closed.
    pub(super) async fn take(&self, message: &Message<'_>) -> Option<OwnedSemaphorePermit> {
        let headers: usize = message.headers.iter().map(|(k, v)| k.len() + v.len()).sum();
        let size = message.value.len() + message.key.len() + headers;
        let size = u32::try_from(size).unwrap_or(u32::MAX).clamp(self.least, self.whole);
        Arc::clone(&self.bytes).acquire_many_owned(size).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::{Envelope, PayloadOnly};
    use crate::testing::envelope;
    use futures::FutureExt;

    #[test]
    fn both_messages_and_bytes_are_bounded() {
        let room = Room::new(4, 1 << 20);
        let event = envelope("Order", 1);
        let of_size = |size: usize| Message {
            topic: "t".into(),
            key: "k".into(),
            headers: PayloadOnly.wrap(&event).unwrap().headers,
            value: vec![0; size].into(),
            event: &event,
        };
        let mut small: Vec<_> = (0..4).map(|_| room.take(&of_size(1)).now_or_never()).collect();
        assert!(small.iter().all(Option::is_some));
        assert!(room.take(&of_size(1)).now_or_never().is_none(), "four is enough");
        small.clear();
        let huge = room.take(&of_size(5 << 20)).now_or_never();
        assert!(huge.is_some(), "a message above the bound goes alone");
        assert!(room.take(&of_size(1)).now_or_never().is_none());
    }
}
