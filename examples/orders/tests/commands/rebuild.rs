//! `rebuild-projection`: killed and resumed beside a live group, then verified.

use messina::CommandHandler;
use orders::data::generate;
use orders::domain::Order;
use orders::service::{connect, open, schema};
use tokio::io::{AsyncBufReadExt, BufReader};
use uuid::Uuid;

use super::process::{REBUILD, RUNNER, ended, node, run, start, terminate};

const QUICK: [&str; 4] = ["--safety-interval", "300ms", "--sweep-interval", "50ms"];

#[tokio::test(flavor = "multi_thread")]
async fn killed_amid_it_goes_on_where_it_was_and_verify_tells_what_was_tampered_with() {
    let (_node, scylla) = node().await;
    let session = connect(&scylla).await.unwrap();
    schema("orders").apply(&session).await.unwrap();
    let store = open(session, "orders").await.unwrap();
    let handler = CommandHandler::<Order>::new(store.clone());
    let place = async |seed, count| {
        let id = Uuid::new_v4();
        for order in generate(count, seed) {
            for command in order.commands() {
                handler.execute(order.aggregate_id(id), command).await.unwrap();
            }
        }
    };
    place(1, 40).await;
    let group = ["--scylla", &scylla, "--group", "orders_by_status"];
    let runner = start(RUNNER, &[&group[..], &QUICK].concat());
    let rebuild = [&["orders_by_status", "--scylla", &scylla], &QUICK[..]].concat();

    // Its first line comes after three seconds, and the second time too there are events left.
    let slowly = [&rebuild[..], &["--rate", "20"]].concat();
    let begun = async || {
        let mut child = start(REBUILD, &slowly);
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // The first line of progress: it is amid the replay. A warning may come before.
        let line = loop {
            let line = lines.next_line().await.unwrap().expect("it says how far it is");
            if !line.contains(" WARN ") {
                break line;
            }
        };
        assert!(line.contains("replaying"), "{line}");
        (child, lines)
    };
    let (mut interrupted, mut lines) = begun().await;
    terminate(&interrupted).await;
    let again = format!("what is done is kept; go on with: {REBUILD} {}", slowly.join(" "));
    while !lines.next_line().await.unwrap().expect("it says how to go on").contains(&again) {}
    assert_eq!(interrupted.wait().await.unwrap().code(), Some(130));
    let (mut killed, _) = begun().await;
    killed.kill().await.unwrap();
    place(2, 10).await;
    let dry = run(REBUILD, &[&rebuild[..], &["--dry-run"]].concat()).await;
    dry.succeeded_saying(&["orders.orders_by_status__v2", "of the ring are done already"]);
    run(REBUILD, &rebuild).await.succeeded_saying(&["rebuilt", "queries read version 2"]);

    let verify = ["verify", "orders_by_status", "--scylla", &scylla];
    run(REBUILD, &verify).await.succeeded_saying(&["0 missing, 0 extra", "as a replay makes it"]);
    let tamper = "INSERT INTO orders.orders_by_status__v2 (status, placed_at, order_id) \
                  VALUES ('lost', 0, uuid())";
    store.session().query_unpaged(tamper, ()).await.unwrap();
    let ended_with = run(REBUILD, &verify).await;
    assert_eq!(ended_with.code, Some(3), "{ended_with:#?}");
    assert!(
        ended_with.stdout.contains("extra: orders_by_status where status = 'lost'"),
        "{ended_with:#?}"
    );

    let drop_old = ["orders_by_status", "--scylla", &scylla, "--drop-old"];
    run(REBUILD, &drop_old).await.refused_saying(&["drop version 1", "--yes"]);
    let dropped = run(REBUILD, &[&drop_old[..], &["--yes"]].concat()).await;
    dropped.succeeded_saying(&["1 old versions dropped"]);
    terminate(&runner).await;
    assert_eq!(ended(runner).await.code, Some(0));
}
