//! A node that is stopped and started again on its port.

use messina_devdb::{DevDb, Fsync, StartError};
use tempfile::TempDir;

use crate::cdc::{now, read_all, write};
use crate::common::{Node, connect, start_from, until};
use crate::process::Program;

/// Restarts the node; the driver finds it again on its own.
async fn restart(node: &mut Node) {
    let address = node.devdb.addr();
    node.devdb.restart().await.unwrap();
    assert_eq!(node.devdb.addr(), address);
    until("the driver has connected again", || async {
        node.session.query_unpaged("SELECT key FROM system.local", ()).await.is_ok()
    })
    .await;
}

/// A listener is gone a moment after its process has let go of it.
async fn refuses_connections(node: &Node) {
    until("the stopped node takes no connections", || async {
        tokio::net::TcpStream::connect(node.devdb.addr()).await.is_err()
    })
    .await;
}

async fn keeps_its_data(mut node: Node) {
    node.run("CREATE TABLE t (p int, c int, v text, PRIMARY KEY (p, c))").await;
    let insert = node.session.prepare("INSERT INTO t (p, c, v) VALUES (?, ?, 'x')").await.unwrap();
    node.session.execute_unpaged(&insert, (1, 1)).await.unwrap();
    restart(&mut node).await;
    assert_eq!(node.rows::<(i32, i32)>("SELECT p, c FROM ks.t", ()).await, [(1, 1)]);
    // The node forgot it, which the driver notices.
    node.session.execute_unpaged(&insert, (1, 2)).await.unwrap();
    node.devdb.stop().await;
    refuses_connections(&node).await;
    restart(&mut node).await;
    assert_eq!(node.rows::<(i32, i32)>("SELECT p, c FROM ks.t", ()).await, [(1, 1), (1, 2)]);
}

#[tokio::test]
async fn a_node_with_a_data_directory_keeps_its_data() {
    let directory = TempDir::new().unwrap();
    let builder = DevDb::builder().data_dir(directory.path()).fsync(Fsync::Batch);
    keeps_its_data(start_from(builder, None).await).await;
}

#[tokio::test]
async fn a_node_in_memory_keeps_its_data_as_long_as_it_is_held() {
    keeps_its_data(start_from(DevDb::builder(), None).await).await;
}

#[tokio::test]
async fn a_cdc_reader_gets_what_was_written_before_and_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let builder = DevDb::builder().data_dir(directory.path()).fsync(Fsync::Always);
    let mut node = start_from(builder, None).await;
    node.run(
        "CREATE TABLE t (p int, c int, v text, PRIMARY KEY (p, c)) WITH cdc = {'enabled': true}",
    )
    .await;
    let since = now();
    write(&node, 0..15).await;
    restart(&mut node).await;
    write(&node, 15..30).await;
    read_all(&node, since, async || write(&node, 30..50).await).await;
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_library_and_program() {
    let directory = TempDir::new().unwrap();
    let node = DevDb::builder().data_dir(directory.path()).start().await.unwrap();
    let refused = DevDb::builder().data_dir(directory.path()).start().await.unwrap_err();
    assert!(matches!(refused, StartError::Data(_)), "{refused}");
    let output = Program::command(directory.path()).output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("is in use by another process"), "{told}");
    // Dropping the node lets it go.
    drop(node);
    let node = DevDb::builder().data_dir(directory.path()).start().await.unwrap();
    connect(&node, None).await;
    node.shutdown().await;
}
