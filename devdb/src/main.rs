//! The node as a program of its own.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use messina_devdb::{DevDb, Fsync};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An embedded, ScyllaDB-compatible CQL node for development and tests.
#[derive(Debug, Parser)]
#[command(name = "messina-devdb", version)]
struct Arguments {
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 9042, env = "DEVDB_PORT")]
    port: u16,
    /// Address to listen on. There is no authentication
    #[arg(long, default_value = "127.0.0.1", env = "DEVDB_LISTEN")]
    listen: IpAddr,
    /// Tokens that the node owns: scylla-cdc runs a reader for each
    #[arg(long, default_value_t = 8, env = "DEVDB_VNODES", value_parser = clap::value_parser!(u32).range(1..=256))]
    vnodes: u32,
    /// Directory to keep the data in; without it there is only memory
    #[arg(long, env = "DEVDB_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// When written data is forced to the disk: never, batch (every 10 ms, in the background)
    /// or always (before a write is acknowledged)
    #[arg(long, default_value = "batch", env = "DEVDB_FSYNC", value_parser = clap::value_parser!(Fsync))]
    fsync: Fsync,
    /// Bytes of journal after which a snapshot is taken
    #[arg(long, default_value_t = 64 << 20, env = "DEVDB_SNAPSHOT_AFTER")]
    snapshot_after: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn")),
        )
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let mut builder = DevDb::builder()
        .port(arguments.port)
        .listen(arguments.listen)
        .vnodes(arguments.vnodes)
        .fsync(arguments.fsync)
        .snapshot_after(arguments.snapshot_after);
    if let Some(path) = &arguments.data_dir {
        builder = builder.data_dir(path);
    }
    let node = match builder.start().await {
        Ok(node) => node,
        Err(error) => {
            eprintln!("messina-devdb: {error}");
            return ExitCode::FAILURE;
        }
    };
    let kept = match &arguments.data_dir {
        Some(path) => format!("data in {}", path.display()),
        None => "in memory".to_owned(),
    };
    // Before it says that it runs: who reads that may send a signal at once.
    let signals = match StopSignals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("messina-devdb: cannot wait for signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("messina-devdb listens on {} ({kept}; stop with Ctrl-C)", node.addr());
    signals.received().await;
    node.shutdown().await;
    ExitCode::SUCCESS
}

/// SIGINT and SIGTERM.
#[cfg(unix)]
struct StopSignals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn received(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(windows)]
struct StopSignals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn received(mut self) {
        self.0.recv().await;
    }
}
