//! The end of a run: lanes finish what they have, within a time.

use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::consumer::fence::Fence;

/// How long a handler that is broken off may take to notice.
const ABORT: Duration = Duration::from_secs(1);

/// How lanes have ended.
#[derive(Debug)]
pub(crate) struct Drained<E> {
    /// The first failure; the other lanes finish all the same.
    pub(crate) result: Result<(), E>,
    /// Whether all ended by themselves. Otherwise they were broken off.
    pub(crate) in_time: bool,
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
    loop {
        match timeout_at(deadline, tasks.join_next()).await {
            Ok(Some(end)) => result = result.and(ended(end)),
            Ok(None) => return Drained { result, in_time: true },
            Err(_) => break,
        }
    }
    tasks.abort_all();
    let deadline = Instant::now() + ABORT;
    while let Ok(Some(_)) = timeout_at(deadline, tasks.join_next()).await {}
    if !tasks.is_empty() {
        fence.lose();
    }
    Drained { result, in_time: false }
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
        assert_eq!((drained.result, drained.in_time), (Err("first"), true));
        assert!(fence.is_valid());
    }

    #[tokio::test]
    async fn what_takes_too_long_is_broken_off() {
        let (mut tasks, fence) = (JoinSet::new(), fence());
        tasks.spawn(std::future::pending());
        let drained = drain(&mut tasks, SOON, &fence, ended).await;
        assert_eq!((drained.result, drained.in_time), (Ok(()), false));
        assert!(fence.is_valid(), "nothing is at work any more");
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
        assert!(!drained.in_time);
        assert!(!fence.is_valid());
        drop(release);
    }
}
