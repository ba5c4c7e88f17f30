//! The end of a run: lanes finish what they have, within a time.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::consumer::fence::Fence;

/// How long a handler that is broken off may take to notice.
const ABORT: Duration = Duration::from_secs(1);

/// How lanes have ended.
#[derive(Debug)]
pub(crate) struct Drained<E> {
    /// The first failure; the other lanes finish all the same.
    result: Result<(), E>,
    end: DrainEnd,
}

/// Why lanes are at work no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DrainEnd {
    /// All ended by themselves.
    InTime,
    /// They were broken off when the time was over.
    TooLate,
    /// They were broken off since the lease had lapsed: another runner may have begun.
    Lapsed,
}

impl<E> Drained<E> {
    /// The run's result: the first failure, or why lanes were broken off.
    pub(crate) fn or(
        self,
        lapsed: impl FnOnce() -> E,
        too_late: impl FnOnce() -> E,
    ) -> Result<(), E> {
        match self.end {
            DrainEnd::InTime => self.result,
            DrainEnd::Lapsed => Err(lapsed()),
            DrainEnd::TooLate => self.result.and(Err(too_late())),
        }
    }
}

/// Waits for the lanes to finish what they have. Where a handler cannot be broken off when the
/// time is over, the fence closes: the lease must lapse, and not be given back.
pub(crate) async fn drain<E: 'static>(
    tasks: &mut JoinSet<Result<(), E>>,
    time: Duration,
    fence: &Fence,
    ended: impl Fn(Result<Result<(), E>, JoinError>) -> Result<(), E>,
) -> Drained<E> {
    let deadline = Instant::now() + time;
    let mut result = Ok(());
    let end = loop {
        tokio::select! {
            end = tasks.join_next() => match end {
                Some(end) => result = result.and(ended(end)),
                None => return Drained { result, end: DrainEnd::InTime },
            },
            () = fence.lost() => break DrainEnd::Lapsed,
            () = sleep_until(deadline) => break DrainEnd::TooLate,
        }
    };
    tasks.abort_all();
    let deadline = Instant::now() + ABORT;
    while let Ok(Some(_)) = timeout_at(deadline, tasks.join_next()).await {}
    if !tasks.is_empty() {
        fence.lose();
    }
    Drained { result, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    fn ended(end: Result<Result<(), &'static str>, JoinError>) -> Result<(), &'static str> {
        end.unwrap()
    }

    fn fence() -> Fence {
        Fence::until(std::time::Instant::now() + Duration::from_secs(60))
    }

    #[tokio::test]
    async fn all_finish_and_the_first_failure_is_told() {
        let (mut tasks, fence) = (JoinSet::new(), fence());
        tasks.spawn(async { Err("first") });
        tasks.spawn(async {
            tokio::time::sleep(SOON).await;
            Err("second")
        });
        let drained = drain(&mut tasks, Duration::from_secs(60), &fence, ended).await;
        assert_eq!((drained.result, drained.end), (Err("first"), DrainEnd::InTime));
        assert!(fence.is_valid());
    }

    #[tokio::test]
    async fn what_takes_too_long_is_broken_off() {
        let (mut tasks, fence) = (JoinSet::new(), fence());
        tasks.spawn(std::future::pending());
        let drained = drain(&mut tasks, SOON, &fence, ended).await;
        assert_eq!((drained.result, drained.end), (Ok(()), DrainEnd::TooLate));
        assert!(fence.is_valid(), "nothing is at work any more");
    }

    #[tokio::test]
    async fn nothing_is_finished_once_the_lease_has_lapsed() {
        let (mut tasks, fence) = (JoinSet::new(), fence());
        tasks.spawn(std::future::pending());
        fence.lose();
        let drained = drain(&mut tasks, Duration::from_secs(3600), &fence, ended).await;
        assert_eq!((drained.result, drained.end), (Ok(()), DrainEnd::Lapsed));
        assert!(tasks.is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_cannot_be_broken_off_keeps_the_lease_from_being_given_back() {
        let (mut tasks, fence) = (JoinSet::new(), fence());
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (begun, begins) = tokio::sync::oneshot::channel();
        tasks.spawn(async move {
            begun.send(()).unwrap();
            blocked.recv().unwrap_err();
            Ok(())
        });
        begins.await.unwrap();
        let drained = drain(&mut tasks, SOON, &fence, ended).await;
        assert_eq!(drained.end, DrainEnd::TooLate);
        assert!(!fence.is_valid());
        drop(release);
    }
}
