//! Waiting between attempts.

use std::time::Duration;

use rand::Rng;

/// Delays that double from `first` to `cap`, each drawn from its upper half so that
/// writers who met once do not meet again.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    next: Duration,
    cap: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, cap: Duration) -> Self {
        Self { next: first.min(cap), cap }
    }

    /// The delay before the next attempt.
    pub(crate) fn delay(&mut self) -> Duration {
        let delay = self.next.mul_f64(rand::rng().random_range(0.5..1.0));
        self.next = (self.next * 2).min(self.cap);
        delay
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.delay()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(35));
        for upper in [10, 20, 35, 35] {
            let delay = backoff.delay();
            assert!(delay <= Duration::from_millis(upper), "{delay:?}");
            assert!(delay >= Duration::from_millis(upper) / 2, "{delay:?}");
        }
    }
}
