//! The node as its users hold it: start, use, stop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::cdc::GenerationInfo;
use crate::engine::{Engine, EngineConfig};
use crate::error::CqlError;
use crate::faults::Faults;
use crate::wire::Server;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address cannot be listened on: mostly because another program does.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The threads that the node runs on cannot be started.
    #[error("cannot start the node's threads: {0}")]
    Threads(std::io::Error),
    /// A setting that cannot be.
    #[error("invalid setting: {0}")]
    Setting(CqlError),
}

/// Settings of a node. Without any, it listens on a free port of 127.0.0.1.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    port: u16,
    listen: IpAddr,
    engine: EngineConfig,
}

impl Default for Builder {
    fn default() -> Self {
        Self { port: 0, listen: IpAddr::V4(Ipv4Addr::LOCALHOST), engine: EngineConfig::default() }
    }
}

impl Builder {
    /// The port; 0, the default, takes a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The address to listen on; 127.0.0.1 by default. There is no authentication:
    /// whoever reaches the address has the data.
    pub fn listen(mut self, address: IpAddr) -> Self {
        self.listen = address;
        self
    }

    /// Tokens that the node owns; 8 by default. scylla-cdc runs a reader for each, so
    /// few keep a test light.
    pub fn vnodes(mut self, vnodes: u32) -> Self {
        self.engine.vnodes = vnodes as usize;
        self
    }

    /// `system.local.cluster_name`.
    pub fn cluster_name(mut self, name: impl Into<String>) -> Self {
        self.engine.cluster_name = name.into();
        self
    }

    /// Whether CREATE KEYSPACE takes `tablets = {…}`, as ScyllaDB does from 6.0 on; it
    /// does by default.
    pub fn knows_tablets(mut self, knows: bool) -> Self {
        self.engine.knows_tablets = knows;
        self
    }

    /// Starts the node; it answers when this returns.
    ///
    /// # Errors
    /// When the address is taken or a setting cannot be.
    pub async fn start(self) -> Result<DevDb, StartError> {
        let wanted = SocketAddr::new(self.listen, self.port);
        let listen_error = |source| StartError::Listen { address: wanted, source };
        let socket = std::net::TcpListener::bind(wanted).map_err(listen_error)?;
        socket.set_nonblocking(true).map_err(listen_error)?;
        let address = socket.local_addr().map_err(listen_error)?;
        let config = EngineConfig {
            // Drivers connect to the address that system.local gives them.
            address: if address.ip().is_unspecified() {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            } else {
                address.ip()
            },
            port: address.port(),
            ..self.engine
        };
        let engine = Engine::new(config).map_err(StartError::Setting)?;
        // Threads of its own: a test's runtime may have one only, or be busy.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("messina-devdb")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        let faults = Faults::default();
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(socket).map_err(listen_error)?
        };
        let server = Server::new(listener, engine.clone(), faults.clone());
        runtime.spawn(server.run());
        Ok(DevDb { address, engine, faults, runtime: Some(runtime) })
    }
}

/// A running node. Dropping it stops it; its data is gone with it.
///
/// ```
/// # async fn example() -> Result<(), messina_devdb::StartError> {
/// let node = messina_devdb::DevDb::start().await?;
/// println!("connect a driver to {}", node.contact_point());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DevDb {
    address: SocketAddr,
    engine: Arc<Engine>,
    faults: Faults,
    /// `None` once it is shut down.
    runtime: Option<Runtime>,
}

impl DevDb {
    /// Starts a node on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When there is no free port or no thread to be had.
    pub async fn start() -> Result<DevDb, StartError> {
        Builder::default().start().await
    }

    /// Settings to start a node with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The address that the node listens on.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// What drivers take as contact point: `127.0.0.1:PORT`.
    pub fn contact_point(&self) -> String {
        let ip = match self.address.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port()).to_string()
    }

    /// The faults that requests meet.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The database behind the protocol.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Begins a generation of other CDC streams after `delay`, for all tables in keyspaces on
    /// vnodes. It stands for a node that joins the cluster.
    ///
    /// # Errors
    /// When the node cannot write it down.
    pub fn new_cdc_generation(&self, delay: Duration) -> Result<GenerationInfo, CqlError> {
        self.engine.new_cdc_generation(delay)
    }

    /// Gives a table in a keyspace on tablets so many of them, and its CDC log a stream for
    /// each, after `delay`. It stands for a table that has grown or shrunk.
    ///
    /// # Errors
    /// When there is no such table, or it has no log or no tablets.
    pub fn new_tablet_generation(
        &self,
        keyspace: &str,
        table: &str,
        tablets: usize,
        delay: Duration,
    ) -> Result<GenerationInfo, CqlError> {
        self.engine.new_tablet_generation(keyspace, table, tablets, delay)
    }

    /// Stops the node and waits until its connections are closed and its port is free.
    pub async fn shutdown(mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let (done, stopped) = tokio::sync::oneshot::channel();
        // Waiting blocks, which the caller's runtime does not allow.
        std::thread::spawn(move || {
            runtime.shutdown_timeout(Duration::from_secs(5));
            let _ = done.send(());
        });
        // An error only says that the thread is gone, and the node with it.
        let _ = stopped.await;
    }
}

impl Drop for DevDb {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
