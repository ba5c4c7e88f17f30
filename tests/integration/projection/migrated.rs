//! Migrations of a read model whose queries read a version that was built beside.

use std::sync::Arc;

use messina::consumer::ConsumerGroup;
use messina::projection::{ProjectionHandler, Rebuild, Verify, Writes};
use messina::read_model::ReadModel;
use messina::schema::SchemaError;
use messina::{EventEnvelope, EventStore, Migration, Projection, ProjectionError, Schema};

use super::model::{Balances, TABLES, fill};
use crate::support::{TestDb, quick, until};

const NAMES: [&str; 3] = ["balances", "by_level", "by_length"];

/// Version 2 is in use and holds what is in the store.
async fn prepared() -> (TestDb, EventStore) {
    let db = TestDb::empty().await.with_schema(&[TABLES]).await;
    let store = db.store().await;
    fill(&store).await;
    build(&store, Balances).await;
    (db, store)
}

/// Builds the next version and has it used.
async fn build(store: &EventStore, projection: impl Projection) -> i32 {
    let rebuild = Rebuild::new(store.clone(), Arc::new(projection)).following(quick());
    rebuild.verify_before_switch(false).run(|_| {}).await.unwrap().version
}

fn schema(db: &TestDb, later: &[Migration], tables: &[&str]) -> Schema {
    db.schema(&[&[TABLES], later].concat()).read_model("balances", tables)
}

async fn differences(db: &TestDb, schema: &Schema) -> Vec<String> {
    let differences = schema.verify(&db.session).await.unwrap();
    differences.iter().map(ToString::to_string).collect()
}

/// Writes what the later migrations add, alone.
struct Added;

impl Projection for Added {
    fn name(&self) -> &'static str {
        "balances"
    }

    fn aggregate_types(&self) -> &'static [&'static str] {
        &["Account"]
    }

    fn tables(&self) -> &'static [&'static str] {
        &NAMES
    }

    fn handle_event(
        &self,
        event: &EventEnvelope,
        writes: &mut Writes,
    ) -> Result<(), ProjectionError> {
        let (id, length) = (event.aggregate_id.0, event.sequence_number);
        writes.put("balances").key("account", id).set("note", event.event_type.to_string());
        writes.put("by_length").key("length", length).key("account", id);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_tables_that_a_migration_adds_reach_the_version_in_use() {
    let (db, store) = prepared().await;
    let later = [Migration::new(
        2,
        "notes",
        "ALTER TABLE balances ADD note text;
         ALTER TABLE balances ADD tags frozen<list<text>>;
         CREATE TABLE by_length (length bigint, account uuid, PRIMARY KEY (length, account))
           WITH CLUSTERING ORDER BY (account DESC);",
    )];
    // A build that does not know of the projection applies the migration alone.
    db.schema(&[&[TABLES], &later[..]].concat()).apply(&db.session).await.unwrap();
    let schema = schema(&db, &later, &NAMES);
    assert_eq!(
        differences(&db, &schema).await,
        [
            "column balances__v2.note does not exist",
            "column balances__v2.tags does not exist",
            "table by_length__v2 does not exist",
        ]
    );
    let applied = schema.apply(&db.session).await.unwrap();
    assert_eq!(
        applied.levelled,
        [
            "column balances__v2.note added",
            "column balances__v2.tags added",
            "table by_length__v2 made like by_length",
        ]
    );
    assert!(differences(&db, &schema).await.is_empty());
    assert!(schema.apply(&db.session).await.unwrap().levelled.is_empty());
    // The live group writes them there, and a comparison reads them.
    let handler = ProjectionHandler::new(&store, Added);
    let group = ConsumerGroup::builder(store.clone(), "balances", handler);
    let group = group.settings(quick()).start().await.unwrap();
    until("the live group has written all rows", || async {
        db.count("SELECT * FROM {}.by_length__v2").await == 56
    })
    .await;
    let verified = Verify::new(store.clone(), Arc::new(Added)).run(|_| {}).await.unwrap();
    assert!(verified.tables.iter().all(|table| table.table != "by_length" || table.missing == 0));
    group.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_is_applied_while_a_version_is_in_use_is_applied_to_both() {
    let (db, _) = prepared().await;
    let later = [Migration::new(2, "note", "ALTER TABLE balances ADD note text;")];
    let schema = schema(&db, &later, &NAMES[..2]);
    let applied = schema.apply(&db.session).await.unwrap();
    assert_eq!(applied.migrations.len(), 1);
    assert_eq!(applied.levelled, ["column balances__v2.note added"]);
    // Nobody uses what queries have left.
    let cql = format!("CREATE TABLE {}.balances__v7 (account uuid PRIMARY KEY)", db.keyspace);
    db.query_unpaged(cql, ()).await.unwrap();
    assert!(differences(&db, &schema).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_in_use_that_has_another_key_is_named_and_made_level_by_a_rebuild() {
    let (db, store) = prepared().await;
    let later = [Migration::new(
        2,
        "note",
        "DROP TABLE by_level;
         CREATE TABLE by_level (level text, balance bigint, account uuid,
           PRIMARY KEY (level, balance, account));",
    )];
    let schema = schema(&db, &later, &NAMES[..2]);
    let error = schema.apply(&db.session).await.unwrap_err();
    assert!(matches!(error, SchemaError::Different { .. }), "{error}");
    let text = error.to_string();
    for part in [
        "by_level__v2, a version of read model balances: primary key is \
         ((level text), account uuid), expected ((level text), balance bigint, account uuid)",
        "rebuild: rebuild-projection balances",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(differences(&db, &schema).await.len(), 1);
    assert_eq!(build(&store, Balances).await, 3);
    assert!(differences(&db, &schema).await.is_empty());
    let table = ReadModel::new(store, "balances").table("by_level").await.unwrap();
    assert_eq!(db.count(&format!("SELECT * FROM {table} WHERE level = 'rich'")).await, 0);
}
