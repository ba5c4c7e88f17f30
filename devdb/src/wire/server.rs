//! The listening socket and the connections that come in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::engine::Engine;

use super::connection::{MEMORY_KIB, Shared, serve};
use super::service::Service;

/// Accepts clients until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn new(listener: TcpListener, engine: Arc<Engine>, frame_timeout: Duration) -> Self {
        let shared = Shared {
            service: Service::new(engine),
            memory: Arc::new(Semaphore::new(MEMORY_KIB)),
            frame_timeout,
        };
        Self { listener, shared: Arc::new(shared) }
    }

    /// Serves each client in a task; never returns. Dropping the future ends the tasks too.
    pub(crate) async fn run(self) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, client)) => {
                        log_client(client);
                        connections.spawn(serve(socket, self.shared.clone()));
                    }
                    Err(error) => {
                        // Out of file descriptors, as a rule: clients that go make room.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a connection ended unexpectedly");
                    }
                }
            }
        }
    }
}

fn log_client(client: SocketAddr) {
    tracing::debug!(%client, "connected");
}
