//! One tail for all groups of a process that follow the same log in the same way.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::poller::Poller;
use super::streams::CurrentStreams;
use super::subscription::{Hints, Subscriber, Subscription};
use crate::consumer::log_query::LogQuery;
use crate::consumer::log_streams::LogStreams;
use crate::consumer::progress::Millis;
use crate::consumer::settings::TailSettings;
use crate::store::{DatabaseError, EventStore};

/// A session by its address, a keyspace, and how it is read. The address stays the session's
/// for as long as the tail lives, since the tail keeps the session.
type Key = (usize, String, TailSettings);

static TAILS: LazyLock<Mutex<HashMap<Key, Weak<Tail>>>> = LazyLock::new(Mutex::default);

/// A poller and those who listen to it. It ends with the last of them.
#[derive(Debug)]
pub(crate) struct Tail {
    listeners: Arc<Listeners>,
    task: AbortOnDropHandle<()>,
}

/// Who listens.
#[derive(Debug, Default)]
pub(super) struct Listeners(Mutex<Vec<Subscriber>>);

impl Tail {
    /// The process's tail of this store's log; it is started if nobody listens yet.
    pub(crate) async fn of(
        store: &EventStore,
        settings: &TailSettings,
    ) -> Result<Arc<Self>, DatabaseError> {
        let session = Arc::as_ptr(store.session()).addr();
        let key = (session, store.keyspace().to_owned(), settings.clone());
        if let Some(tail) = running(&TAILS.lock(), &key) {
            return Ok(tail);
        }
        let query = LogQuery::prepare(store).await?;
        let streams = LogStreams::of(store).await?;
        let mut tails = TAILS.lock();
        tails.retain(|_, tail| tail.strong_count() > 0);
        // Another group may have been quicker.
        if let Some(tail) = running(&tails, &key) {
            return Ok(tail);
        }
        let listeners = Arc::new(Listeners::default());
        let poller = Poller::new(query, settings.clone(), Arc::clone(&listeners));
        let task = tokio::spawn(async move {
            let streams = CurrentStreams::watch(streams);
            poller.run(streams).await;
        });
        let tail = Arc::new(Self { listeners, task: AbortOnDropHandle::new(task) });
        tails.insert(key, Arc::downgrade(&tail));
        Ok(tail)
    }

    /// From now on.
    pub(crate) fn subscribe(self: &Arc<Self>) -> Subscription {
        let (subscriber, subscription) = Subscription::new(Arc::clone(self));
        self.listeners.0.lock().push(subscriber);
        subscription
    }
}

/// The tail of this key, unless the runtime that it ran on is gone.
fn running(tails: &HashMap<Key, Weak<Tail>>, key: &Key) -> Option<Arc<Tail>> {
    tails.get(key).and_then(Weak::upgrade).filter(|tail| !tail.task.is_finished())
}

impl Listeners {
    pub(super) fn give(&self, hints: &Hints) {
        let mut listeners = self.0.lock();
        listeners.retain(|listener| !listener.is_gone());
        listeners.iter().for_each(|listener| listener.give(hints));
    }

    pub(super) fn missed(&self, since: Millis) {
        self.0.lock().iter().for_each(|listener| listener.missed(since));
    }
}
