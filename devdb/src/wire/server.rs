//! The listening socket and the connections that come in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;

use super::connection::{MEMORY_KIB, Shared, serve};
use super::service::Service;

/// Between attempts to listen, or to accept, that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts clients until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    engine: Arc<Engine>,
    frame_timeout: Duration,
}

impl Server {
    pub(crate) fn new(listener: TcpListener, engine: Arc<Engine>, frame_timeout: Duration) -> Self {
        Self { listener, engine, frame_timeout }
    }

    /// Serves each client in a task; never returns. Dropping the future ends the tasks too.
    pub(crate) async fn run(self) {
        let Self { mut listener, engine, frame_timeout } = self;
        let mut restarts = engine.subscribe_restarts();
        loop {
            let shared = Shared {
                service: Service::new(engine.clone()),
                memory: Arc::new(Semaphore::new(MEMORY_KIB)),
                frame_timeout,
                closing: CancellationToken::new(),
            };
            let address = listener.local_addr();
            let away = serve_until_restart(listener, Arc::new(shared), &mut restarts).await;
            tokio::time::sleep(away).await;
            listener = match address {
                Ok(address) => listen_again(address).await,
                Err(error) => {
                    tracing::error!(%error, "a node does not know its address any more");
                    return;
                }
            };
        }
    }
}

/// Returns how long to be away, when all connections are closed.
async fn serve_until_restart(
    listener: TcpListener,
    shared: Arc<Shared>,
    restarts: &mut Receiver<Duration>,
) -> Duration {
    let mut connections = tokio::task::JoinSet::new();
    let away = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, client)) => {
                    tracing::debug!(%client, "connected");
                    connections.spawn(serve(socket, shared.clone()));
                }
                Err(error) => {
                    // Out of file descriptors, as a rule: clients that go make room.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => log_end(ended),
            // Those that were missed ask for no more than this one.
            Ok(away) = restarts.recv() => break away,
        }
    };
    drop(listener);
    shared.closing.cancel();
    while let Some(ended) = connections.join_next().await {
        log_end(ended);
    }
    away
}

fn log_end(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended unexpectedly");
    }
}

/// Binds a port that was ours. While it is free, the system may lend it to an outgoing
/// connection of another program, for as long as that lasts.
async fn listen_again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::warn!(%error, %address, "cannot listen again yet");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
