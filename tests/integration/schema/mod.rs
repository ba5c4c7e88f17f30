//! Migrations: applied, verified, refused.

use messina::schema::{Difference, SchemaError};
use messina::{EventStore, Migration, StoreError};

use crate::support::TestDb;

const ITEMS: Migration = Migration::new(
    1,
    "items",
    "CREATE TABLE items (owner text, at timestamp, name text, tags set<text>, \
     PRIMARY KEY ((owner), at, name)) WITH CLUSTERING ORDER BY (at DESC, name ASC);",
);

/// Not one statement of it can be repeated as it is.
const MORE: Migration = Migration::new(
    2,
    "more",
    "CREATE TYPE money (cents bigint, currency text);
     CREATE TABLE prices (item text PRIMARY KEY, price frozen<money>);
     ALTER TABLE items ADD (price bigint, sizes map<text, int>);
     ALTER TABLE items DROP tags;
     ALTER TABLE items ADD (colour text);",
);

#[tokio::test]
async fn migrations_are_applied_once_and_then_verify() {
    let db = TestDb::empty().await;
    let schema = db.schema(&[ITEMS]);
    let missing = schema.verify(&db.session).await.unwrap();
    assert_eq!(missing, [Difference::KeyspaceMissing { keyspace: db.keyspace.clone() }]);
    let applied = schema.apply(&db.session).await.unwrap();
    assert_eq!(applied.migrations.last().unwrap().0, "test", "{applied:?}");
    assert!(applied.migrations.len() > 2, "{applied:?}");
    let again = schema.apply(&db.session).await.unwrap();
    assert_eq!((again.migrations.len(), again.already), (0, applied.migrations.len()));
    assert_eq!(schema.verify(&db.session).await.unwrap(), []);
}

#[tokio::test]
async fn a_later_migration_is_missed_then_applied_alone() {
    let db = TestDb::empty().await.with_schema(&[ITEMS]).await;
    let more = Migration::new(2, "price", "ALTER TABLE items ADD price bigint;");
    let schema = db.schema(&[ITEMS, more.clone()]);
    let differences: Vec<String> =
        schema.verify(&db.session).await.unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        differences,
        ["migration test 0002 (price) has not been applied", "column items.price does not exist"]
    );
    let applied = schema.apply(&db.session).await.unwrap();
    assert_eq!(applied.migrations, [("test".to_owned(), 2, "price".to_owned())]);
    assert_eq!(schema.verify(&db.session).await.unwrap(), []);
}

#[tokio::test]
async fn what_differs_is_said_exactly() {
    let db = TestDb::empty().await.with_schema(&[ITEMS]).await;
    for statement in [
        "ALTER TABLE {}.outbox_messages WITH cdc = {'enabled': false}",
        "ALTER TABLE {}.outbox_messages WITH default_time_to_live = 60",
        "DROP TABLE {}.aggregate_heads",
        "DROP TABLE {}.items",
        "CREATE TABLE {}.items (owner text PRIMARY KEY, at text, name text, tags set<text>)",
    ] {
        db.query_unpaged(statement.replace("{}", &db.keyspace), ()).await.unwrap();
    }
    let differences: Vec<String> = db
        .schema(&[ITEMS])
        .verify(&db.session)
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    for expected in [
        "table aggregate_heads does not exist",
        "outbox_messages: cdc option enabled is false, expected true",
        "outbox_messages: default_time_to_live is 60, expected 86400",
        "items: primary key is ((owner), ), expected ((owner), at DESC, name)",
        "items: column at is text, expected timestamp",
    ] {
        assert!(differences.iter().any(|d| d == expected), "{expected} in {differences:#?}");
    }
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let db = TestDb::empty().await.with_schema(&[ITEMS]).await;
    let edited = Migration::new(1, "items", "CREATE TABLE items (owner text PRIMARY KEY);");
    let error = db.schema(&[edited]).apply(&db.session).await.unwrap_err();
    assert!(matches!(error, SchemaError::Edited(_)), "{error}");
    assert!(error.to_string().contains("test 0001 (items) was edited"), "{error}");
}

#[tokio::test]
async fn a_store_does_not_open_without_its_schema() {
    let db = TestDb::empty().await;
    let error = EventStore::connect(db.session.clone(), &db.keyspace).await.unwrap_err();
    assert!(matches!(error, StoreError::Schema(SchemaError::Different { .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains("does not exist") && text.contains("schema apply"), "{text}");
}

#[tokio::test]
async fn two_processes_may_apply_at_once() {
    let db = TestDb::empty().await;
    let schema = db.schema(&[ITEMS, MORE]);
    let (a, b) = tokio::join!(schema.apply(&db.session), schema.apply(&db.session));
    a.unwrap();
    b.unwrap();
    assert_eq!(schema.verify(&db.session).await.unwrap(), []);
}

#[tokio::test]
async fn a_migration_that_was_cut_short_is_carried_out_again() {
    let db = TestDb::empty().await.with_schema(&[ITEMS]).await;
    for statement in [
        "CREATE TYPE {}.money (cents bigint, currency text)",
        "CREATE TABLE {}.prices (item text PRIMARY KEY, price frozen<money>)",
        "ALTER TABLE {}.items ADD (price bigint, sizes map<text, int>)",
        "ALTER TABLE {}.items DROP tags",
    ] {
        db.query_unpaged(statement.replace("{}", &db.keyspace), ()).await.unwrap();
        let schema = db.schema(&[ITEMS, MORE]);
        assert!(!schema.verify(&db.session).await.unwrap().is_empty());
    }
    let schema = db.schema(&[ITEMS, MORE]);
    assert_eq!(schema.apply(&db.session).await.unwrap().migrations.len(), 1);
    assert_eq!(schema.verify(&db.session).await.unwrap(), []);
}

#[tokio::test]
async fn a_migration_that_the_database_refuses_is_an_error_and_not_recorded() {
    let db = TestDb::empty().await.with_schema(&[ITEMS]).await;
    let wrong = Migration::new(2, "wrong", "ALTER TABLE items ADD (price bigint, name int);");
    let schema = db.schema(&[ITEMS, wrong]);
    for _ in 0..2 {
        let error = schema.apply(&db.session).await.unwrap_err();
        assert!(error.to_string().contains("name"), "{error}");
    }
}
