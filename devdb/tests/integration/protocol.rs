//! The protocol byte by byte: refusals, garbage, and what must survive it.

use messina_devdb::{DevDb, StartError};
use tokio::io::AsyncWriteExt;

use crate::common::until;
use crate::raw::Client;

#[tokio::test]
async fn version_5_is_refused_in_a_version_4_frame() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::connect(&node).await;
    client.send(5, 7, 5, b"").await;
    let frame = client.receive().await.unwrap();
    assert_eq!((frame.version, frame.stream), (0x84, 7));
    assert_eq!(
        frame.error(),
        (
            0x0A,
            "Invalid or unsupported protocol version (5); the lowest supported version is 3 \
             and the greatest is 4"
                .to_owned()
        )
    );
    assert!(client.receive().await.is_none());
}

#[tokio::test]
async fn options_are_told_before_startup_and_nothing_else() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::connect(&node).await;
    client.send(4, 1, 5, b"").await;
    let supported = client.receive().await.unwrap();
    assert_eq!(supported.opcode, 6);
    let text = String::from_utf8_lossy(&supported.body).into_owned();
    assert!(text.contains("CQL_VERSION") && text.contains("lz4"), "{text}");
    client.query(2, "SELECT * FROM system.local").await;
    let (code, message) = client.receive().await.unwrap().error();
    assert_eq!(code, 0x0A);
    assert_eq!(message, "Unexpected message 7, expecting STARTUP or OPTIONS");
}

#[tokio::test]
async fn version_3_is_answered_in_version_3() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::connect(&node).await;
    client.send(3, 1, 1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0").await;
    let frame = client.receive().await.unwrap();
    assert_eq!((frame.version, frame.opcode), (0x83, 2));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_of_its_request_only() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::started(&node).await;
    client.send(4, 1, 7, b"\0\0\0\x63SELECT").await;
    client.send(4, 2, 7, b"\0\0\0\x02\xff\xfe\0\x01\0").await;
    client.send(4, 3, 0x0A, b"\0\x03abc").await;
    client.send(4, 4, 0x0D, b"\x09").await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let frame = client.receive().await.unwrap();
        assert_eq!(frame.error().0, 0x0A);
        streams.push(frame.stream);
    }
    streams.sort_unstable();
    assert_eq!(streams, [1, 2, 3, 4]);
    client.query(5, "SELECT key FROM system.local").await;
    assert_eq!(client.receive().await.unwrap().opcode, 8);
}

#[tokio::test]
async fn giant_frames_and_unknown_opcodes_end_the_connection() {
    let node = DevDb::start().await.unwrap();
    for garbage in [
        &b"\x04\0\0\x01\x07\x7f\xff\xff\xff"[..],
        b"\x04\0\0\x01\x07\xff\xff\xff\xff",
        b"\x04\0\0\x01\x63\0\0\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut client = Client::started(&node).await;
        client.0.write_all(garbage).await.unwrap();
        assert_eq!(client.receive().await.unwrap().error().0, 0x0A);
        assert!(client.receive().await.is_none());
    }
}

#[tokio::test]
async fn a_compressed_frame_without_agreement_is_refused() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::started(&node).await;
    client.0.write_all(b"\x04\x01\0\x01\x07\0\0\0\x05\x0f\xff\xff\xff\x01").await.unwrap();
    assert_eq!(client.receive().await.unwrap().error().0, 0x0A);
}

#[tokio::test]
async fn pipelined_requests_are_each_answered_on_their_stream() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::started(&node).await;
    for stream in 0..200 {
        client.query(stream, "SELECT key FROM system.local").await;
    }
    let mut streams = Vec::new();
    for _ in 0..200 {
        let frame = client.receive().await.unwrap();
        assert_eq!(frame.opcode, 8);
        streams.push(frame.stream);
    }
    streams.sort_unstable();
    assert_eq!(streams, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_schema_change_is_pushed_to_those_who_registered() {
    let node = DevDb::start().await.unwrap();
    let mut listener = Client::started(&node).await;
    listener.send(4, 1, 0x0B, b"\0\x02\0\x0dSCHEMA_CHANGE\0\x0dSTATUS_CHANGE").await;
    assert_eq!(listener.receive().await.unwrap().opcode, 2);
    let mut client = Client::started(&node).await;
    client
        .query(
            1,
            "CREATE KEYSPACE pushed WITH replication = \
             {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
        )
        .await;
    assert_eq!(client.receive().await.unwrap().opcode, 8);
    let event = listener.receive().await.unwrap();
    assert_eq!((event.stream, event.opcode), (-1, 0x0C));
    assert_eq!(event.body, b"\0\x0dSCHEMA_CHANGE\0\x07CREATED\0\x08KEYSPACE\0\x06pushed");
    listener.send(4, 2, 0x0B, b"\0\x01\0\x07NO_SUCH").await;
    assert_eq!(listener.receive().await.unwrap().error().0, 0x0A);
}

#[tokio::test]
async fn an_unknown_prepared_statement_is_reported_with_its_id() {
    let node = DevDb::start().await.unwrap();
    let mut client = Client::started(&node).await;
    let mut body = b"\0\x10".to_vec();
    body.extend([0xab; 16]);
    body.extend(b"\0\x01\0");
    client.send(4, 1, 0x0A, &body).await;
    let frame = client.receive().await.unwrap();
    assert_eq!(frame.error().0, 0x2500);
    assert!(frame.body.ends_with(&[0xab; 16]));
}

#[tokio::test]
async fn the_port_is_free_after_shutdown() {
    let node = DevDb::start().await.unwrap();
    let address = node.addr();
    let mut client = Client::started(&node).await;
    let taken = DevDb::builder().port(address.port()).start().await.unwrap_err();
    assert!(taken.to_string().starts_with(&format!("cannot listen on {address}")), "{taken}");
    node.shutdown().await;
    assert!(client.receive().await.is_none());
    // Others may have it for a moment: an outgoing connection to which the system lent it, or
    // a program that is just being started and has a copy of all that its parent has open.
    until("the address is free", || async {
        match DevDb::builder().port(address.port()).start().await {
            Ok(_) => true,
            Err(StartError::Listen { .. }) => false,
            Err(other) => panic!("{other}"),
        }
    })
    .await;
}
