//! A group's or a subscription's task, as its owner holds it.

use std::future::Future;

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A task that works until it ends by itself or is asked to stop. Dropping this asks it to.
pub(crate) struct Background<E> {
    /// `None` once its end has been told.
    task: Option<JoinHandle<Result<(), E>>>,
    stop: DropGuard,
}

impl<E: Send + 'static> Background<E> {
    /// Starts the task, which is to end soon after its token is cancelled.
    pub(crate) fn start<F>(work: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(work(stop.clone()));
        Self { task: Some(task), stop: stop.drop_guard() }
    }

    /// Asks the task to stop and waits for it. Its error, unless [`Background::finished`] has
    /// told it.
    pub(crate) async fn stop(self) -> Result<(), E> {
        drop(self.stop);
        match self.task {
            Some(task) => told(task.await),
            None => Ok(()),
        }
    }

    /// Waits until the task ends by itself. Returns at once if that has been told before.
    pub(crate) async fn finished(&mut self) -> Result<(), E> {
        let Some(task) = &mut self.task else { return Ok(()) };
        let result = task.await;
        self.task = None;
        told(result)
    }
}

/// A panic goes on in whoever asked.
fn told<E>(result: Result<Result<(), E>, JoinError>) -> Result<(), E> {
    match result {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down.
            Err(_) => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Background<&'static str> {
        Background::start(|stop| async move {
            stop.cancelled().await;
            Err("stopped")
        })
    }

    #[tokio::test]
    async fn a_task_is_asked_to_stop_and_its_end_is_told_once() {
        assert_eq!(waiting().stop().await, Err("stopped"));
        let mut ending = Background::start(|_| async { Err("ended") });
        assert_eq!(ending.finished().await, Err("ended"));
        assert_eq!(ending.finished().await, Ok(()));
        assert_eq!(ending.stop().await, Ok(()));
    }

    #[tokio::test]
    async fn a_task_that_nobody_holds_is_asked_to_stop() {
        let (told, hears) = tokio::sync::oneshot::channel();
        drop(Background::<()>::start(|stop| async move {
            stop.cancelled().await;
            told.send(()).map_err(drop)
        }));
        hears.await.unwrap();
    }
}
