//! The node as its users hold it: start, use, stop.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::cdc::GenerationInfo;
use crate::engine::{Engine, EngineConfig};
use crate::error::CqlError;
use crate::faults::Faults;
use crate::journal::{Fsync, Journal, JournalConfig, JournalError};
use crate::wire::{FRAME_TIMEOUT, Server};

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
    /// The data directory is in use, damaged, or not to be written.
    #[error(transparent)]
    Data(#[from] JournalError),
}

/// Settings of a node. Without any, it listens on a free port of 127.0.0.1.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    port: u16,
    listen: IpAddr,
    engine: EngineConfig,
    data_dir: Option<PathBuf>,
    fsync: Fsync,
    snapshot_after: Option<u64>,
    frame_timeout: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            port: 0,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            engine: EngineConfig::default(),
            data_dir: None,
            fsync: Fsync::default(),
            snapshot_after: None,
            frame_timeout: FRAME_TIMEOUT,
        }
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

    /// Keeps a journal and snapshots in this directory, and goes on with what is in it; by
    /// default there is only memory. One node at a time can have a directory.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// When what is written to the data directory is forced to the disk: in the background,
    /// every 10 ms, by default.
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// Bytes of journal after which a snapshot is taken; 64 MiB by default.
    pub fn snapshot_after(mut self, bytes: u64) -> Self {
        self.snapshot_after = Some(bytes);
        self
    }

    /// How long a client may stop in the middle of a frame before its connection is closed;
    /// 30 s by default. Nobody else gets the memory that is kept for the rest.
    pub fn frame_timeout(mut self, timeout: Duration) -> Self {
        self.frame_timeout = timeout;
        self
    }

    fn journal(&self) -> Option<JournalConfig> {
        let mut config = JournalConfig::new(self.data_dir.as_ref()?);
        config.fsync = self.fsync;
        config.snapshot_after = self.snapshot_after.unwrap_or(config.snapshot_after);
        Some(config)
    }

    /// Starts the node; it answers when this returns.
    ///
    /// # Errors
    /// When the address is taken, a setting cannot be, or the data directory cannot be used.
    pub async fn start(mut self) -> Result<DevDb, StartError> {
        let (socket, address) = bind(SocketAddr::new(self.listen, self.port))?;
        // Should it start again, then there.
        self.port = address.port();
        self.engine.port = address.port();
        // Another node that is started with the same settings has faults of its own.
        self.engine.faults = Faults::default();
        // Drivers connect to the address that system.local gives them.
        self.engine.address = match address.ip() {
            ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            ip => ip,
        };
        let engine = self.engine().await?;
        let runtime = serve(socket, address, &engine, self.frame_timeout)?;
        Ok(DevDb { address, engine, runtime: Some(runtime), builder: self })
    }

    async fn engine(&self) -> Result<Arc<Engine>, StartError> {
        let config = self.engine.clone();
        let Some(journal) = self.journal() else {
            return Engine::new(config).map_err(StartError::Setting);
        };
        // A large directory takes its time to read, which is not for the caller's runtime.
        let opening = tokio::task::spawn_blocking(move || {
            let opened = Journal::open(journal)?;
            Engine::recovered(config, opened).map_err(StartError::Setting)
        });
        opening.await.map_err(|error| StartError::Threads(error.into()))?
    }
}

fn bind(wanted: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), StartError> {
    let listen = || -> std::io::Result<_> {
        let socket = std::net::TcpListener::bind(wanted)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok((socket, address))
    };
    listen().map_err(|source| StartError::Listen { address: wanted, source })
}

/// Binds a port that was ours. While it is free, the system may lend it to an outgoing
/// connection of another program, for as long as that lasts.
async fn bind_again(wanted: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), StartError> {
    for _ in 0..200 {
        match bind(wanted) {
            Err(StartError::Listen { source, .. })
                if source.kind() == std::io::ErrorKind::AddrInUse =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            bound => return bound,
        }
    }
    bind(wanted)
}

fn serve(
    socket: std::net::TcpListener,
    address: SocketAddr,
    engine: &Arc<Engine>,
    frame_timeout: Duration,
) -> Result<Runtime, StartError> {
    // Threads of its own: a test's runtime may have one only, or be busy.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("messina-devdb")
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(socket)
            .map_err(|source| StartError::Listen { address, source })?
    };
    runtime.spawn(Server::new(listener, engine.clone(), frame_timeout).run());
    Ok(runtime)
}

/// A running node. Dropping it stops it; without a data directory its data is gone with it.
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
    /// `None` once it is stopped.
    runtime: Option<Runtime>,
    builder: Builder,
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

    /// The faults that requests meet; they outlive a restart.
    pub fn faults(&self) -> &Faults {
        self.engine.faults()
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

    /// Moves the node's clock by so many microseconds, forwards or (negative) backwards: its
    /// write timestamps, TTLs and CDC times follow, as on a server whose clock is wrong.
    pub fn set_clock_offset(&self, micros: i64) {
        self.engine.clock().set_offset_micros(micros);
    }

    /// Stops the node and waits until its connections are closed, its port is free and its
    /// data directory, if it has one, is let go.
    pub async fn shutdown(mut self) {
        self.stop().await;
    }

    /// The same, with the possibility of [`DevDb::restart`]: meanwhile clients find no node.
    pub async fn stop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let engine = self.engine.clone();
        let (done, stopped) = tokio::sync::oneshot::channel();
        // Waiting blocks, which the caller's runtime does not allow.
        std::thread::spawn(move || {
            runtime.shutdown_timeout(Duration::from_secs(5));
            engine.close();
            let _ = done.send(());
        });
        // An error only says that the thread is gone, and the node with it.
        let _ = stopped.await;
    }

    /// Stops the node, unless it is, and starts it again on the same port with its data: read
    /// from the data directory, or without one as it is in memory. It stands for a node that
    /// was restarted: connections are closed, prepared statements forgotten, while the data,
    /// the schema, the CDC streams and a clock that is wrong stay.
    ///
    /// [`DevDb::engine`] is another one after it, if there is a data directory.
    ///
    /// # Errors
    /// When the port was taken meanwhile (it is waited for, some seconds) or the data
    /// directory cannot be used.
    pub async fn restart(&mut self) -> Result<(), StartError> {
        self.stop().await;
        let (socket, address) = bind_again(self.address).await?;
        if self.builder.data_dir.is_some() {
            let offset = self.engine.clock().offset_micros();
            self.engine = self.builder.engine().await?;
            if offset != 0 {
                self.engine.clock().set_offset_micros(offset);
            }
        } else {
            self.engine.forget_prepared();
        }
        self.runtime = Some(serve(socket, address, &self.engine, self.builder.frame_timeout)?);
        Ok(())
    }
}

impl Drop for DevDb {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
            self.engine.close();
        }
    }
}
