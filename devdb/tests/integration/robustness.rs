//! Clients that break the protocol, or keep to it and do not read: they are refused or wait,
//! and nobody else notices.

use std::time::{Duration, Instant};

use messina_devdb::DevDb;
use messina_devdb::faults::{Fault, FaultAction};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::process::Program;
use crate::raw::{Client, frame, query};

/// One who does not read sends this much at most before the node does not read either: more
/// than sockets hold.
const ENOUGH: usize = 24 << 20;

/// Sends until the node takes no more.
async fn flood(client: &mut Client, frames: &[u8]) -> usize {
    let mut sent = 0;
    while sent < ENOUGH {
        let writing = tokio::time::timeout(Duration::from_secs(1), client.0.write(frames));
        match writing.await {
            Ok(written) => sent += written.unwrap(),
            Err(_) => return sent,
        }
    }
    sent
}

async fn answers(node: &DevDb) {
    let mut client = Client::started(node).await;
    client.query(1, "SELECT key FROM system.local").await;
    assert_eq!(client.receive().await.unwrap().opcode, 8);
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let node = DevDb::start().await.unwrap();
    let mut seed = 7u64;
    for round in 0..200 {
        let length = 1 + round * 7 % 300;
        let mut garbage: Vec<u8> = (0..length)
            .map(|_| {
                // xorshift: the same bytes each time.
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                seed as u8
            })
            .collect();
        if round % 2 == 0 {
            // A header that makes sense in front, and an opcode of each kind.
            let opcode = (round / 2 % 16) as u8;
            garbage = frame(4, 1, opcode, &garbage);
        }
        let mut client = Client::started(&node).await;
        client.0.write_all(&garbage).await.unwrap();
        client.0.shutdown().await.unwrap();
        let mut told = Vec::new();
        // Closed by the node, whatever it said before.
        let _ = client.0.read_to_end(&mut told).await;
    }
    answers(&node).await;
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_refused_wherever_it_stands() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::started(&node).await;
    let not_text = b"\0\0\0\x02\xff\xfe";
    // QUERY, PREPARE, BATCH, REGISTER.
    for (stream, (opcode, body)) in [
        (0x07, [&not_text[..], b"\0\x01\0"].concat()),
        (0x09, not_text.to_vec()),
        (0x0D, [&b"\0\0\x01\0"[..], not_text, b"\0\0\0\x01\0"].concat()),
        (0x0B, b"\0\x01\0\x02\xff\xfe".to_vec()),
    ]
    .into_iter()
    .enumerate()
    {
        client.send(4, stream as i16, opcode, &body).await;
        let (code, message) = client.receive().await.unwrap().error();
        assert_eq!((code, message.as_str()), (0x0A, "Cannot decode string as UTF8"), "{opcode}");
    }
    // As a value of a text column.
    for text in [
        "CREATE KEYSPACE k WITH replication = \
         {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.t (p text PRIMARY KEY, v text)",
    ] {
        client.query(1, text).await;
        assert_eq!(client.receive().await.unwrap().opcode, 8);
    }
    let text = "INSERT INTO k.t (p, v) VALUES ('a', ?)";
    let mut body = (text.len() as u32).to_be_bytes().to_vec();
    body.extend(text.as_bytes());
    body.extend(b"\0\x01\x01\0\x01\0\0\0\x02\xff\xfe");
    client.send(4, 1, 7, &body).await;
    assert_eq!(client.receive().await.unwrap().error().0, 0x2200);
    answers(&node).await;
}

#[tokio::test]
async fn statements_nested_too_deep_are_refused() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::started(&node).await;
    let deep = |open: &str, close: &str| (open.repeat(50_000), close.repeat(50_000));
    let (lists, ends) = deep("[", "]");
    let (parentheses, closed) = deep("(", ")");
    let (types, closing) = deep("frozen<list<", ">>");
    for text in [
        format!("INSERT INTO t (a) VALUES ({lists}1{ends})"),
        format!("SELECT * FROM t WHERE {parentheses}a = 1{closed}"),
        format!("CREATE TABLE t (a {types}int{closing} PRIMARY KEY)"),
        format!("SELECT {} FROM t", "f(".repeat(50_000)),
        format!("SELECT CAST({}", "CAST(".repeat(50_000)),
    ] {
        client.query(1, &text).await;
        let (code, _) = client.receive().await.unwrap().error();
        assert!(code == 0x2000 || code == 0x2200, "{code:#x}");
    }
    answers(&node).await;
}

#[tokio::test]
async fn a_frame_that_stops_half_way_is_given_up() {
    let node = DevDb::builder().frame_timeout(Duration::from_millis(300)).start().await.unwrap();
    let large = 200u32 << 20;
    let mut header = b"\x04\0\0\x01\x07".to_vec();
    header.extend(large.to_be_bytes());
    let mut silent = Vec::new();
    // All the memory that there is for large frames, and more.
    for half in [&header[..5], &header, &header, &header] {
        let mut client = Client::started(&node).await;
        client.0.write_all(half).await.unwrap();
        silent.push(client);
    }
    // Small requests have nothing to do with it; a large one has its turn.
    answers(&node).await;
    let mut client = Client::started(&node).await;
    let text = format!("SELECT key FROM system.local /* {} */", "x".repeat(100 << 10));
    client.query(1, &text).await;
    assert_eq!(client.receive().await.unwrap().opcode, 8);
    for mut client in silent {
        assert!(client.receive().await.is_none());
    }
    // Between frames a client may be silent for as long as it likes.
    tokio::time::sleep(Duration::from_millis(400)).await;
    client.query(2, "SELECT key FROM system.local").await;
    assert_eq!(client.receive().await.unwrap().opcode, 8);
}

/// Requests of all kinds that are answered by more bytes than they have.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_does_not_read_the_answers_is_not_read_from() {
    let node = Program::in_memory();
    let mut client = Client::started_at(node.address()).await;
    let text = "x".repeat(60_000);
    for text in [
        "CREATE KEYSPACE k WITH replication = \
         {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
        "CREATE TABLE k.t (p int PRIMARY KEY, v text)",
        &format!("INSERT INTO k.t (p, v) VALUES (1, '{text}')"),
    ] {
        client.query(1, text).await;
        assert_eq!(client.receive().await.unwrap().opcode, 8);
    }
    let before = node.peak_memory();
    let mut silent = Vec::new();
    for request in [query(1, "SELECT v FROM k.t"), frame(4, 1, 5, b""), query(1, "nonsense")] {
        let mut client = Client::started_at(node.address()).await;
        let sent = flood(&mut client, &request.repeat(1000)).await;
        assert!(sent < ENOUGH, "the node goes on reading");
        silent.push(client);
    }
    let grown = node.peak_memory().saturating_sub(before);
    assert!(grown < 120 << 20, "{} MiB for three clients", grown >> 20);
    // They are served on when they read.
    for mut client in silent {
        for _ in 0..1000 {
            assert!(client.receive().await.is_some());
        }
    }
}

#[tokio::test]
async fn requests_that_a_fault_delays_count_as_being_worked_on() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::started(&node).await;
    let text = "SELECT key FROM system.local";
    let delay = Fault::new(FaultAction::Delay(Duration::from_millis(700)));
    let fault = node.faults().add(delay.table("system.local"));
    let began = Instant::now();
    let requests: Vec<u8> = (0..3000).flat_map(|stream| query(stream, text)).collect();
    client.0.write_all(&requests).await.unwrap();
    for _ in 0..3000 {
        assert_eq!(client.receive().await.unwrap().opcode, 8);
    }
    assert_eq!(fault.hits(), 3000);
    // A thousand at a time.
    assert!(began.elapsed() > Duration::from_millis(1400), "{:?}", began.elapsed());
}
