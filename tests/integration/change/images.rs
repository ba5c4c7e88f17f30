//! Rows before and after a change.

use messina::change::{ChangeError, ChangeEvent, ColumnChange, Operation, Row};
use scylla::value::CqlValue;

use super::{Recorder, run, subscription};
use crate::support::{TestDb, until};

/// An image as text: `v=a w=1`.
fn image(row: &Option<Row<CqlValue>>) -> Option<String> {
    let row = row.as_ref()?;
    let mut columns: Vec<String> = row.iter().map(|(name, v)| format!("{name}={v}")).collect();
    columns.sort();
    Some(columns.join(" "))
}

fn described(change: &ChangeEvent) -> (Operation, String, Option<String>, Option<String>) {
    (change.operation, change.key.to_string(), image(&change.before), image(&change.after))
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_come_with_the_row_before_and_after() {
    let db = TestDb::start().await;
    run(
        &db,
        &[
            "CREATE TABLE {}.t (p int, c int, v text, w int, l list<int>, s text static, \
             PRIMARY KEY (p, c)) \
             WITH cdc = {'enabled': true, 'preimage': 'full', 'postimage': true}",
            "INSERT INTO {}.t (p, c, v, w) VALUES (1, 1, 'a', 1)",
            "UPDATE {}.t SET v = 'b', l = [3, 4] WHERE p = 1 AND c = 1",
            "BEGIN BATCH UPDATE {}.t SET w = 2 WHERE p = 1 AND c = 1; \
             INSERT INTO {}.t (p, c, w) VALUES (1, 2, 5); APPLY BATCH",
            "UPDATE {}.t SET s = 'all' WHERE p = 1",
            "DELETE FROM {}.t WHERE p = 1 AND c = 1",
            "DELETE FROM {}.t WHERE p = 1 AND c > 1",
        ],
    )
    .await;
    let recorder = Recorder::default();
    let subscription = subscription(&db, "images", recorder.clone()).await;
    let subscription = subscription.tables(["t"]).with_before().with_after().start().await.unwrap();
    until("all changes are handled", || async { recorder.len() >= 7 }).await;
    subscription.stop().await.unwrap();
    let changes: Vec<_> = recorder.changes().iter().map(described).collect();
    let text = |text: &str| Some(text.to_owned());
    use Operation as O;
    let (first, second) = ("p = 1, c = 1".to_owned(), "p = 1, c = 2".to_owned());
    assert_eq!(
        changes[..3],
        [
            (O::Insert, first.clone(), None, text("v='a' w=1")),
            (O::Update, first.clone(), text("v='a' w=1"), text("l=[3,4] v='b' w=1")),
            (O::Update, first.clone(), text("l=[3,4] v='b' w=1"), text("l=[3,4] v='b' w=2")),
        ]
    );
    assert_eq!(changes[3], (O::Insert, second, None, text("w=5")));
    assert_eq!(changes[4].0, O::Update);
    assert_eq!((&*changes[4].1, changes[4].3.clone()), ("p = 1", text("s='all'")));
    assert_eq!(changes[5].0, O::RowDelete);
    assert!(changes[5].2.as_ref().is_some_and(|row| row.contains("w=2")), "{:?}", changes[5]);
    assert_eq!(changes[5].3, None);
    assert_eq!(changes[6], (O::RangeDelete, "p = 1".to_owned(), None, None));
    // Two changes of one batch are one write.
    let events = recorder.changes();
    assert_eq!(events[2].time, events[3].time);
    assert!(events[2].sequence < events[3].sequence);
    let w = events[2].columns.as_ref().unwrap().get("w");
    assert_eq!(w, Some(&ColumnChange::Set(CqlValue::Int(2))));
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_a_log_does_not_have_are_refused_with_the_statement_that_mends_it() {
    let db = TestDb::start().await;
    run(
        &db,
        &[
            "CREATE TABLE {}.none (p int PRIMARY KEY, v text)",
            "CREATE TABLE {}.t (p int PRIMARY KEY, v text) WITH cdc = {'enabled': true, \
             'ttl': 3600}",
        ],
    )
    .await;
    let cases = [("none", "no CDC log"), ("t", "no preimages"), ("t", "no postimages")];
    for (table, expected) in cases {
        let start = async || {
            let recorder = Recorder::default();
            let subscription = subscription(&db, "refused", recorder).await.tables([table]);
            let subscription = match expected {
                "no preimages" => subscription.with_before(),
                "no postimages" => subscription.with_before().with_after(),
                _ => subscription,
            };
            subscription.start().await
        };
        let error = start().await.unwrap_err();
        let ChangeError::Table { reason, .. } = &error else { panic!("{error}") };
        assert!(reason.contains(expected), "{error}");
        let (_, mend) = reason.split_once("; ").unwrap();
        db.query_unpaged(mend, ()).await.unwrap();
        start().await.unwrap().stop().await.unwrap();
    }
    let missing = subscription(&db, "refused", Recorder::default()).await.tables(["nowhere"]);
    let error = missing.start().await.unwrap_err().to_string();
    assert_eq!(error, "table nowhere cannot be subscribed to: it does not exist");
}
