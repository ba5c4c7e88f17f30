//! What drivers learn about the schema.

use scylla::cluster::metadata::{ColumnKind, ColumnType, NativeType};

use crate::common::start;

#[tokio::test]
async fn the_driver_sees_keyspaces_tables_and_columns() {
    let node = start().await;
    node.run("CREATE TYPE addr (street text, zip int)").await;
    node.run(
        "CREATE TABLE t (p1 int, p2 uuid, c timeuuid, s text static, l list<int>, \
         m map<text, frozen<addr>>, PRIMARY KEY ((p1, p2), c)) \
         WITH CLUSTERING ORDER BY (c DESC) AND cdc = {'enabled': true}",
    )
    .await;
    node.session.refresh_metadata().await.unwrap();
    let state = node.session.get_cluster_state();
    let keyspace = state.get_keyspace("ks").unwrap();
    let table = &keyspace.tables["t"];
    assert_eq!(table.partition_key, ["p1", "p2"]);
    assert_eq!(table.clustering_key, ["c"]);
    assert_eq!(table.columns["s"].kind, ColumnKind::Static);
    assert_eq!(table.columns["p1"].typ, ColumnType::Native(NativeType::Int));
    assert!(keyspace.user_defined_types.contains_key("addr"));
    let log = &keyspace.tables["t_scylla_cdc_log"];
    assert_eq!(log.partitioner.as_deref(), Some("com.scylladb.dht.CDCPartitioner"));
    assert_eq!(state.get_nodes_info().len(), 1);
}

#[tokio::test]
async fn a_prepared_statement_follows_a_table_that_grows() {
    let node = start().await;
    node.run("CREATE TABLE t (p int PRIMARY KEY, a int)").await;
    let mut select = node.session.prepare("SELECT * FROM t WHERE p = ?").await.unwrap();
    select.set_use_cached_result_metadata(true);
    node.run("INSERT INTO t (p, a) VALUES (1, 2)").await;
    let rows = node.session.execute_unpaged(&select, (1,)).await.unwrap();
    assert_eq!(rows.into_rows_result().unwrap().single_row::<(i32, i32)>().unwrap(), (1, 2));
    node.run("ALTER TABLE t ADD b int").await;
    node.run("UPDATE t SET b = 3 WHERE p = 1").await;
    let rows = node.session.execute_unpaged(&select, (1,)).await.unwrap();
    let row = rows.into_rows_result().unwrap().single_row::<(i32, i32, i32)>().unwrap();
    assert_eq!(row, (1, 2, 3));
}
