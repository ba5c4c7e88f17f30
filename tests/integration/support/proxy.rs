//! A network between a client and a broker that fails on demand.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const PRODUCE: i16 = 0;

/// Stands in front of one broker of Kafka's protocol on 127.0.0.1, and in its answers too.
pub struct KafkaProxy {
    pub address: String,
    state: Arc<State>,
    stop: CancellationToken,
}

struct State {
    broker_port: u16,
    own_port: u16,
    /// Answers to produce requests that are still to be lost, with their connections.
    to_drop: AtomicUsize,
    dropped: AtomicUsize,
    away: AtomicBool,
    connections: Mutex<Vec<CancellationToken>>,
}

impl KafkaProxy {
    /// In front of `broker`, 127.0.0.1:PORT.
    pub async fn start(broker: &str) -> Self {
        let broker_port = broker.rsplit(':').next().unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            broker_port,
            own_port,
            to_drop: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            away: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let (accepting, stopping) = (Arc::clone(&state), stop.clone());
        tokio::spawn(stopping.run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                if accepting.away.load(Ordering::Acquire) {
                    continue;
                }
                let end = CancellationToken::new();
                accepting.connections.lock().push(end.clone());
                let state = Arc::clone(&accepting);
                tokio::spawn(async move {
                    end.clone().run_until_cancelled(connection(state, client, end)).await;
                });
            }
        }));
        Self { address: format!("127.0.0.1:{own_port}"), state, stop }
    }

    /// Loses the answers to the next produce requests, after the broker has carried them out.
    pub fn drop_produce_responses(&self, number: usize) {
        self.state.to_drop.store(number, Ordering::Release);
    }

    /// How many answers have been lost.
    pub fn dropped(&self) -> usize {
        self.state.dropped.load(Ordering::Acquire)
    }

    /// Ends all connections and takes no new ones, until [`KafkaProxy::back`].
    pub fn away(&self) {
        self.state.away.store(true, Ordering::Release);
        self.state.connections.lock().drain(..).for_each(|end| end.cancel());
    }

    pub fn back(&self) {
        self.state.away.store(false, Ordering::Release);
    }
}

impl Drop for KafkaProxy {
    fn drop(&mut self) {
        self.stop.cancel();
        self.away();
    }
}

async fn connection(state: Arc<State>, client: TcpStream, end: CancellationToken) {
    let Ok(broker) = TcpStream::connect(("127.0.0.1", state.broker_port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let produce = Arc::new(Mutex::new(HashSet::new()));
    let requests = requests(from_client, to_broker, Arc::clone(&produce));
    let responses = responses(&state, from_broker, to_client, produce);
    tokio::select! {
        _ = requests => {}
        _ = responses => {}
    }
    end.cancel();
}

async fn frame(from: &mut OwnedReadHalf) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut frame = vec![0; length as usize];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

async fn pass(to: &mut OwnedWriteHalf, frame: &[u8]) -> std::io::Result<()> {
    let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(frame);
    to.write_all(&bytes).await
}

/// A request begins with its kind (2 bytes), its version (2) and its number (4).
async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    produce: Arc<Mutex<HashSet<[u8; 4]>>>,
) -> std::io::Result<()> {
    loop {
        let frame = frame(&mut from).await?;
        if i16::from_be_bytes([frame[0], frame[1]]) == PRODUCE {
            produce.lock().insert([frame[4], frame[5], frame[6], frame[7]]);
        }
        pass(&mut to, &frame).await?;
    }
}

/// A response begins with its request's number. Where the broker names itself, its port
/// becomes the proxy's.
async fn responses(
    state: &State,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    produce: Arc<Mutex<HashSet<[u8; 4]>>>,
) -> std::io::Result<()> {
    let named = |port: u16| [b"127.0.0.1".as_slice(), &u32::from(port).to_be_bytes()].concat();
    let (broker, own) = (named(state.broker_port), named(state.own_port));
    loop {
        let mut frame = frame(&mut from).await?;
        if produce.lock().remove(&[frame[0], frame[1], frame[2], frame[3]]) {
            let one_less = |left: usize| left.checked_sub(1);
            if state.to_drop.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_ok() {
                state.dropped.fetch_add(1, Ordering::AcqRel);
                return Ok(());
            }
        }
        let mut place = 0;
        while let Some(found) = frame[place..].windows(broker.len()).position(|w| w == broker) {
            frame[place + found..place + found + own.len()].copy_from_slice(&own);
            place += found + own.len();
        }
        pass(&mut to, &frame).await?;
    }
}
