//! A clock that is wrong.

use crate::common::start;

#[tokio::test]
async fn write_timestamps_follow_a_moved_clock() {
    let node = start().await;
    node.run("CREATE TABLE t (p int PRIMARY KEY, v int)").await;
    let hour = 3_600_000_000;
    let mut written = Vec::new();
    for offset in [0, hour] {
        node.devdb.set_clock_offset(offset);
        // A driver would send a timestamp of its own.
        let mut insert =
            scylla::statement::unprepared::Statement::new("INSERT INTO t (p, v) VALUES (1, 1)");
        insert.set_timestamp(None);
        node.session.query_unpaged(insert, ()).await.unwrap();
        written.push(node.rows::<(i64,)>("SELECT writetime(v) FROM t", ()).await[0].0);
    }
    let moved = written[1] - written[0];
    assert!((hour..hour + 60_000_000).contains(&moved), "{moved}");
}
