//! The fence around a slice's work: once its lease has lapsed, nothing of it goes on.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// How long the work may go on, by the clock of this process that does not step. It goes on
/// counting while the process is suspended.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    origin: Instant,
    /// Nanoseconds after `origin`; all bits set: no end.
    until: AtomicU64,
    lost: CancellationToken,
}

/// The lease has lapsed, or another runner has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lapsed;

impl Fence {
    /// For work that needs no lease.
    pub(crate) fn none() -> Self {
        Self::with(u64::MAX)
    }

    /// Up to this moment, unless it is extended.
    pub(crate) fn until(until: Instant) -> Self {
        let fence = Self::with(0);
        fence.inner.until.store(fence.after_origin(until), Ordering::Release);
        fence
    }

    fn with(until: u64) -> Self {
        let lost = CancellationToken::new();
        Self { inner: Arc::new(Inner { origin: Instant::now(), until: until.into(), lost }) }
    }

    fn after_origin(&self, moment: Instant) -> u64 {
        let after = moment.saturating_duration_since(self.inner.origin).as_nanos();
        u64::try_from(after).unwrap_or(u64::MAX - 1)
    }

    /// The lease was renewed. One that has lapsed stays so: another runner may have begun.
    pub(crate) fn extend(&self, until: Instant) {
        if self.is_valid() {
            self.inner.until.fetch_max(self.after_origin(until), Ordering::AcqRel);
        } else {
            self.lose();
        }
    }

    /// Ends the work at once.
    pub(crate) fn lose(&self) {
        self.inner.lost.cancel();
    }

    pub(crate) fn is_valid(&self) -> bool {
        let until = self.inner.until.load(Ordering::Acquire);
        until == u64::MAX
            || (!self.inner.lost.is_cancelled() && self.after_origin(Instant::now()) < until)
    }

    /// How long it is valid if it is not extended.
    pub(crate) fn remaining(&self) -> Duration {
        let until = self.inner.until.load(Ordering::Acquire);
        Duration::from_nanos(until).saturating_sub(self.inner.origin.elapsed())
    }

    /// Waits until [`Fence::lose`] is called. Someone has to call it when time runs out:
    /// see [`Fence::watch`].
    pub(crate) async fn lost(&self) {
        self.inner.lost.cancelled().await;
    }

    /// Calls [`Fence::lose`] when the time has run out. Ends then, or when it was called.
    pub(crate) async fn watch(&self) {
        while self.is_valid() {
            tokio::select! {
                () = self.lost() => return,
                () = tokio::time::sleep(self.remaining()) => {}
            }
        }
        self.lose();
    }

    /// The future, which is not polled any more when the fence is no longer valid: what a
    /// suspended process was about to do, it does not do after waking.
    pub(crate) fn guard<F: Future>(
        &self,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Lapsed>> + use<F> {
        let fence = self.clone();
        let mut future = Box::pin(future);
        poll_fn(move |context| {
            if !fence.is_valid() {
                return Poll::Ready(Err(Lapsed));
            }
            future.as_mut().poll(context).map(Ok)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_when_the_time_has_run_out() {
        let fence = Fence::until(Instant::now() + Duration::from_secs(60));
        assert_eq!(fence.guard(async { 1 }).await, Ok(1));
        let fence = Fence::until(Instant::now() + Duration::from_millis(30));
        let (guarded, ()) = tokio::join!(
            fence.guard(async {
                loop {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }),
            fence.watch()
        );
        let guarded: Result<(), Lapsed> = guarded;
        assert_eq!(guarded, Err(Lapsed));
        fence.extend(Instant::now() + Duration::from_secs(60));
        assert!(!fence.is_valid(), "what has lapsed is not revived");
    }

    #[tokio::test]
    async fn a_renewed_lease_goes_on_and_a_lost_one_ends() {
        let fence = Fence::until(Instant::now() + Duration::from_secs(60));
        fence.extend(Instant::now() + Duration::from_secs(1));
        assert!(fence.remaining() > Duration::from_secs(50), "never shortened");
        fence.lose();
        assert_eq!(fence.guard(async {}).await, Err(Lapsed));
        assert_eq!(Fence::none().guard(async {}).await, Ok(()));
    }
}
