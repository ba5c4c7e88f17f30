//! `orders place`: made-up orders into a database that runs, for whoever follows them.

use std::sync::Arc;

use clap::Args;
use messina::{CommandHandler, EventStore};

use crate::data::generate;
use crate::demo::tracker::Tracker;
use crate::demo::workload;
use crate::domain::Order;
use crate::service::{self, DatabaseArguments, ServiceError};

/// Takes made-up orders through their life. Groups are not run: see projection-runner.
#[derive(Debug, Clone, Args)]
pub struct PlaceArguments {
    /// How many orders
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..))]
    pub orders: u32,

    /// Which made-up orders: the same number, the same orders with new ids
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    #[allow(missing_docs, reason = "a comment would become part of the help")]
    #[command(flatten)]
    pub database: DatabaseArguments,
}

/// Places the orders.
///
/// # Errors
/// What failed.
pub async fn place(arguments: PlaceArguments) -> Result<(), ServiceError> {
    let session = service::connect(&arguments.database.scylla).await?;
    // Read models are not its business: commands go on while one of them is broken.
    let store = EventStore::connect(session, &arguments.database.keyspace).await?;
    let handler = CommandHandler::<Order>::new(store);
    let orders = generate(arguments.orders as usize, arguments.seed);
    let tracker = Arc::new(Tracker::new());
    let handled = workload::run(&handler, orders, 4, &tracker).await?;
    println!("{} orders, {} events", handled.orders.len(), handled.events);
    if let Some((id, version, _)) = handled.orders.last() {
        println!("the last one: {id}, {version} events");
    }
    Ok(())
}
