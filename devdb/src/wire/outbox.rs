//! What waits to be written to a client: responses of many requests leave in one write.

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

/// A client that does not read is not read from once this much waits for it.
const HIGH_WATER: usize = 8 << 20;
/// A larger buffer is given back after use.
const KEPT_CAPACITY: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Write what is there, then close.
    Finishing,
    /// Close now.
    Aborted,
}

#[derive(Debug)]
struct Content {
    bytes: BytesMut,
    /// Bytes of answers that are made but not here yet.
    announced: usize,
    /// Bytes that the writer has taken and the socket has not.
    leaving: usize,
    state: State,
}

impl Content {
    fn has_room(&self) -> bool {
        let waiting = self.bytes.len() + self.announced + self.leaving;
        waiting < HIGH_WATER || self.state != State::Open
    }
}

/// Bytes of answers that count as waiting until they are pushed or given up.
#[derive(Debug)]
pub(super) struct Announced<'a> {
    outbox: &'a Outbox,
    length: usize,
}

impl Announced<'_> {
    /// There are so many of them now.
    pub(super) fn grow_to(&mut self, length: usize) {
        let mut content = self.outbox.content.lock();
        content.announced = (content.announced + length).saturating_sub(self.length);
        self.length = length;
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if self.length > 0 {
            self.grow_to(0);
            self.outbox.emptied.notify_waiters();
        }
    }
}

/// The responses of a connection.
#[derive(Debug)]
pub(super) struct Outbox {
    content: Mutex<Content>,
    filled: Notify,
    emptied: Notify,
    stop_reading: Notify,
    stop_writing: Notify,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            content: Mutex::new(Content {
                bytes: BytesMut::new(),
                announced: 0,
                leaving: 0,
                state: State::Open,
            }),
            filled: Notify::new(),
            emptied: Notify::new(),
            stop_reading: Notify::new(),
            stop_writing: Notify::new(),
        }
    }

    /// Appends frames.
    pub(super) fn push(&self, write: impl FnOnce(&mut BytesMut)) {
        let mut content = self.content.lock();
        if content.state == State::Open {
            write(&mut content.bytes);
        }
        drop(content);
        self.filled.notify_one();
    }

    /// Lets the writer write what is there, then close.
    pub(super) fn finish(&self) {
        let mut content = self.content.lock();
        if content.state == State::Open {
            content.state = State::Finishing;
        }
        drop(content);
        self.filled.notify_one();
    }

    /// Closes without writing what is there.
    pub(super) fn abort(&self) {
        self.content.lock().state = State::Aborted;
        self.filled.notify_one();
        self.emptied.notify_waiters();
        self.stop_reading.notify_one();
        self.stop_writing.notify_one();
    }

    /// Returns when [`Outbox::abort`] was called; for one waiter, the connection's reader.
    pub(super) async fn aborted(&self) {
        self.stop_reading.notified().await;
    }

    /// Whether one more response may be made.
    pub(super) fn has_room(&self) -> bool {
        self.content.lock().has_room()
    }

    /// Returns when there is room for more responses, or the connection ends. To be asked for
    /// before each: a response that is made has to be kept.
    pub(super) async fn room(&self) {
        loop {
            // Waiting begins before looking, so as not to miss what happens in between.
            let emptied = self.emptied.notified();
            if self.has_room() {
                return;
            }
            emptied.await;
        }
    }

    /// For answers that are being made: they take room before they are pushed.
    pub(super) fn announce(&self) -> Announced<'_> {
        Announced { outbox: self, length: 0 }
    }

    /// Writes what comes until the connection ends.
    pub(super) async fn write_to(&self, mut socket: OwnedWriteHalf) {
        let mut batch = BytesMut::new();
        loop {
            let state = {
                let mut content = self.content.lock();
                std::mem::swap(&mut content.bytes, &mut batch);
                content.leaving = batch.len();
                content.state
            };
            if state == State::Aborted {
                return;
            }
            if batch.is_empty() {
                if state == State::Finishing {
                    return;
                }
                self.filled.notified().await;
                continue;
            }
            let written = tokio::select! {
                result = socket.write_all(&batch) => result,
                () = self.stop_writing.notified() => return,
            };
            if written.is_err() {
                // The client is gone; the reader finds that out too.
                self.abort();
                return;
            }
            if batch.capacity() > KEPT_CAPACITY {
                batch = BytesMut::new();
            } else {
                batch.clear();
            }
            self.content.lock().leaving = 0;
            self.emptied.notify_waiters();
        }
    }
}
