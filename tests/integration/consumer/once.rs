//! Effects that must not be repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use messina::consumer::{HandlerError, Once, OnceError, OnceKey, Ran, Unconfirmed};
use messina::testing::envelope;
use messina_devdb::error::{CqlError, ErrorKind};
use messina_devdb::faults::{Fault, FaultAction, Operation};
use parking_lot::Mutex;

use crate::support::TestDb;

async fn once(db: &TestDb) -> Once {
    Once::connect(&db.store().await, "mailer").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_happens_once_however_often_and_by_however_many_it_is_asked_for() {
    let db = TestDb::start().await;
    let event = envelope("Account", 3);
    let effects = Arc::new(AtomicUsize::new(0));
    let attempts: Vec<_> = (0..8)
        .map(|_| {
            let (event, effects, store) = (event.clone(), Arc::clone(&effects), db.store());
            async move {
                let once = Once::connect(&store.await, "mailer").await.unwrap();
                once.run(&event, |_| async {
                    effects.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, HandlerError>(7)
                })
                .await
                .unwrap()
            }
        })
        .collect();
    let ran = futures::future::join_all(attempts).await;
    assert_eq!(ran.iter().filter(|ran| **ran == Ran::Now(7)).count(), 1, "{ran:?}");
    assert_eq!(effects.load(Ordering::SeqCst), 1);
    let once = once(&db).await;
    let again = once.run(&event, |_| async { Ok::<_, HandlerError>(8) }).await.unwrap();
    assert_eq!(again, Ran::Before);
    // Another event and another group have effects of their own.
    let mut next = event.clone();
    next.sequence_number = 4;
    let now = once.run(&next, |_| async { Ok::<_, HandlerError>(9) }).await.unwrap();
    assert_eq!(now, Ran::Now(9));
    // So have the parts that an upcaster splits an event into.
    let mut part = event.clone();
    part.event_id = messina::EventId::new();
    let now = once.run(&part, |_| async { Ok::<_, HandlerError>(9) }).await.unwrap();
    assert_eq!(now, Ran::Now(9));
    let other = Once::connect(&db.store().await, "counter").await.unwrap();
    let now = other.run(&event, |_| async { Ok::<_, HandlerError>(9) }).await.unwrap();
    assert_eq!(now, Ran::Now(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_failed_is_begun_again_under_the_same_key() {
    let db = TestDb::start().await;
    let event = envelope("Account", 1);
    let keys: Mutex<Vec<OnceKey>> = Mutex::default();
    let once = once(&db).await;
    let failed = once
        .run(&event, |key| {
            keys.lock().push(key);
            async { Err::<(), _>(HandlerError::retry("the bank is closed")) }
        })
        .await;
    assert!(matches!(failed, Err(OnceError::Effect(HandlerError::Retry(_)))), "{failed:?}");
    let ran = once
        .run(&event, |key| {
            keys.lock().push(key);
            async { Ok::<_, HandlerError>(()) }
        })
        .await;
    assert_eq!(ran.unwrap(), Ran::Now(()));
    let keys = keys.into_inner();
    assert_eq!(keys[0], keys[1]);
}

/// Begins an effect and dies in it.
async fn die_in_the_effect(once: &Once, event: &messina::EventEnvelope) {
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let running = once.run(event, |_| async {
        begun.send(()).unwrap();
        std::future::pending::<Result<(), HandlerError>>().await
    });
    tokio::select! {
        _ = running => unreachable!(),
        _ = has_begun => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_cut_short_is_reported_and_settled_by_who_knows() {
    let db = TestDb::start().await;
    let effect = || async { Ok::<_, HandlerError>(()) };
    for (happened, then) in [(true, Ran::Before), (false, Ran::Now(()))] {
        let event = envelope("Account", 1);
        die_in_the_effect(&once(&db).await, &event).await;
        let once = once(&db).await;
        for _ in 0..2 {
            let ran = once.run(&event, |_| effect()).await.unwrap();
            let Ran::Unconfirmed { since } = ran else { panic!("{ran:?}") };
            assert!(since.elapsed().unwrap() < Duration::from_secs(60));
        }
        if happened {
            once.confirm(&event).await.unwrap();
        } else {
            once.release(&event).await.unwrap();
        }
        assert_eq!(once.run(&event, |_| effect()).await.unwrap(), then);
        assert_eq!(once.run(&event, |_| effect()).await.unwrap(), Ran::Before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_cut_short_is_begun_again_when_its_claim_is_old_if_that_is_wanted() {
    let db = TestDb::start().await;
    let event = envelope("Account", 1);
    die_in_the_effect(&once(&db).await, &event).await;
    let patient = once(&db).await.unconfirmed(Unconfirmed::RunAfter(Duration::from_secs(60)));
    let busy = patient.run(&event, |_| async { Ok::<_, HandlerError>(()) }).await.unwrap_err();
    assert!(matches!(busy, OnceError::Busy { .. }), "{busy:?}");
    assert!(matches!(HandlerError::from(busy), HandlerError::Retry(_)));
    let quick = once(&db).await.unconfirmed(Unconfirmed::RunAfter(Duration::ZERO));
    let ran = quick.run(&event, |_| async { Ok::<_, HandlerError>(()) }).await.unwrap();
    assert_eq!(ran, Ran::Now(()));
    let ran = patient.run(&event, |_| async { Ok::<_, HandlerError>(()) }).await.unwrap();
    assert_eq!(ran, Ran::Before);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_get_lost_change_nothing() {
    let db = TestDb::embedded().await;
    let timeout = || CqlError { kind: ErrorKind::ServerError, message: "lost".into() };
    for action in [FaultAction::FailBefore(timeout()), FaultAction::FailAfter(timeout())] {
        let once = once(&db).await;
        let event = envelope("Account", 1);
        let effects = AtomicUsize::new(0);
        // The claim, its look-up, and the confirmation each lose an answer.
        for skip in [0, 2] {
            db.node().faults().add(
                Fault::new(action.clone())
                    .table(format!("{}.handled_once", db.keyspace))
                    .operation(Operation::Lwt)
                    .skip(skip)
                    .times(1),
            );
        }
        let ran = once
            .run(&event, |_| async {
                effects.fetch_add(1, Ordering::SeqCst);
                Ok::<_, HandlerError>(())
            })
            .await;
        assert_eq!(ran.unwrap(), Ran::Now(()));
        let ran = once.run(&event, |_| async { Ok::<_, HandlerError>(()) }).await;
        assert_eq!(ran.unwrap(), Ran::Before);
        assert_eq!(effects.load(Ordering::SeqCst), 1);
        db.node().faults().clear();
    }
}
