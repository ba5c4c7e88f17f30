//! Gives a handler the events of today.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt, TryFutureExt, try_join_all};

use crate::consumer::handler::{EventHandler, Handled, HandlerError};
use crate::event::{EventEnvelope, Upcasters};

/// A handler behind upcasters. What was stored as one event stays one for the group: its
/// parts are handled one after the other and are done, or come again, together.
pub(crate) struct Upcasting {
    handler: Arc<dyn EventHandler>,
    upcasters: Arc<Upcasters>,
}

impl Upcasting {
    /// The handler, or the handler behind the upcasters if it does not see to them itself.
    pub(crate) fn around(
        handler: Arc<dyn EventHandler>,
        upcasters: &Arc<Upcasters>,
    ) -> Arc<dyn EventHandler> {
        if handler.upcasts() {
            return handler;
        }
        Arc::new(Self { handler, upcasters: Arc::clone(upcasters) })
    }
}

#[async_trait]
impl EventHandler for Upcasting {
    fn accepts(&self, aggregate_type: &str) -> bool {
        self.handler.accepts(aggregate_type)
    }

    async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
        let parts = match self.upcasters.upcast(event).map_err(HandlerError::poison)? {
            Cow::Borrowed(_) => return self.handler.handle(event).await,
            Cow::Owned(parts) => parts,
        };
        let mut pending: Vec<BoxFuture<'static, Result<(), HandlerError>>> = Vec::new();
        for part in &parts {
            if let Handled::Pending(delivery) = self.handler.handle(part).await? {
                pending.push(delivery);
            }
        }
        if pending.is_empty() {
            return Ok(Handled::Done);
        }
        Ok(Handled::Pending(try_join_all(pending).map_ok(|_| ()).boxed()))
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::DomainEvent;
    use crate::event::{Payload, Upcasted};
    use crate::testing::envelope;

    #[derive(Debug, Clone, DomainEvent)]
    enum Event {
        Counted { n: i64 },
    }

    #[derive(Default)]
    struct Recorder(Mutex<Vec<(String, i64)>>);

    #[async_trait]
    impl EventHandler for Arc<Recorder> {
        async fn handle(&self, event: &EventEnvelope) -> Result<Handled, HandlerError> {
            let text = event.event.as_str().to_owned();
            self.0.lock().push((text, event.committed_at));
            Ok(Handled::Pending(async { Ok(()) }.boxed()))
        }
    }

    #[tokio::test]
    async fn parts_are_handled_in_order_and_an_unreadable_event_is_poison() {
        let upcasters = Upcasters::builder()
            .events::<Event>("Counter", |steps| {
                steps.drop("Seen", 1).split(("Twice", 1), &[("Counted", 1)], |_| {
                    let part = |n: i64| Upcasted::new("Counted", 1, serde_json::json!({ "n": n }));
                    Ok(vec![part(1), part(2)])
                })
            })
            .build()
            .unwrap();
        let recorder = Arc::new(Recorder::default());
        let handler = Upcasting::around(Arc::new(Arc::clone(&recorder)), &Arc::new(upcasters));
        let mut event = envelope("Counter", 1);
        event.event = Payload::from_json_text("{}");
        event.event_type = "Twice".into();
        let Handled::Pending(delivery) = handler.handle(&event).await.unwrap() else {
            panic!("both deliveries are pending");
        };
        delivery.await.unwrap();
        let at = event.committed_at;
        let expected = [(r#"{"n":1}"#.to_owned(), at), (r#"{"n":2}"#.to_owned(), at + 1)];
        assert_eq!(*recorder.0.lock(), expected);
        event.event_type = "Seen".into();
        assert!(matches!(handler.handle(&event).await, Ok(Handled::Done)));
        event.event_type = "Unheard".into();
        let error = handler.handle(&event).await.unwrap_err();
        assert!(matches!(error, HandlerError::Poison(_)), "{error}");
        assert_eq!(recorder.0.lock().len(), 2);
    }
}
