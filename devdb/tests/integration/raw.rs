//! Frames by hand, for what no driver would send.

use std::time::Duration;

use messina_devdb::DevDb;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};

/// A connection without a driver.
pub struct Client(pub TcpStream);

/// A frame as it came.
pub struct Frame {
    pub version: u8,
    pub stream: i16,
    pub opcode: u8,
    pub body: Vec<u8>,
}

impl Frame {
    /// Code and text of an ERROR.
    pub fn error(&self) -> (i32, String) {
        assert_eq!(self.opcode, 0, "not an ERROR");
        let code = i32::from_be_bytes(self.body[..4].try_into().unwrap());
        (code, String::from_utf8_lossy(&self.body[6..]).into_owned())
    }
}

/// A frame's bytes.
pub fn frame(version: u8, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = vec![version, 0];
    frame.extend(stream.to_be_bytes());
    frame.push(opcode);
    frame.extend((body.len() as u32).to_be_bytes());
    frame.extend(body);
    frame
}

/// A QUERY's bytes, at consistency ONE.
pub fn query(stream: i16, text: &str) -> Vec<u8> {
    let mut body = (text.len() as u32).to_be_bytes().to_vec();
    body.extend(text.as_bytes());
    body.extend(b"\0\x01\0");
    frame(4, stream, 7, &body)
}

impl Client {
    pub async fn connect(node: &DevDb) -> Self {
        Self::connect_to(node.addr()).await
    }

    pub async fn connect_to(address: impl ToSocketAddrs) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// After STARTUP.
    pub async fn started(node: &DevDb) -> Self {
        Self::started_at(node.addr()).await
    }

    pub async fn started_at(address: impl ToSocketAddrs) -> Self {
        let mut client = Self::connect_to(address).await;
        client.send(4, 0, 1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0").await;
        assert_eq!(client.receive().await.unwrap().opcode, 2);
        client
    }

    /// One frame.
    pub async fn send(&mut self, version: u8, stream: i16, opcode: u8, body: &[u8]) {
        self.0.write_all(&frame(version, stream, opcode, body)).await.unwrap();
    }

    /// A text at consistency ONE.
    pub async fn query(&mut self, stream: i16, text: &str) {
        self.0.write_all(&query(stream, text)).await.unwrap();
    }

    /// The next frame; `None` when the node closed the connection.
    pub async fn receive(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        let read = tokio::time::timeout(Duration::from_secs(60), self.0.read_exact(&mut header));
        read.await.expect("no answer").ok()?;
        let length = u32::from_be_bytes(header[5..].try_into().unwrap()) as usize;
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Frame {
            version: header[0],
            stream: i16::from_be_bytes([header[2], header[3]]),
            opcode: header[4],
            body,
        })
    }
}
