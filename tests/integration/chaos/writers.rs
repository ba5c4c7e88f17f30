//! Writers: accounts are opened and used, whatever the answers are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messina::{AggregateId, CommandHandler, EventStore};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::support::{Account, AccountCommand};

const WRITERS: u64 = 4;

/// Accounts that a writer uses at a time. Each is left after a while, so that many an event
/// is an aggregate's last: no later one shows that it is missing.
const AT_A_TIME: usize = 6;

/// Writes until `stop`; all accounts that may have events.
pub async fn write(store: &EventStore, seed: u64, stop: Arc<AtomicBool>) -> Vec<AggregateId> {
    let mut writers = JoinSet::new();
    for n in 0..WRITERS {
        let random = StdRng::seed_from_u64(seed ^ n);
        writers.spawn(one(store.clone(), random, Arc::clone(&stop)));
    }
    writers.join_all().await.concat()
}

async fn one(store: EventStore, mut random: StdRng, stop: Arc<AtomicBool>) -> Vec<AggregateId> {
    let handler = CommandHandler::<Account>::new(store);
    let mut all: Vec<AggregateId> = Vec::new();
    let mut used: Vec<AggregateId> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (id, command) = if used.len() < AT_A_TIME {
            let id = AggregateId::new();
            all.push(id);
            used.push(id);
            (id, AccountCommand::Open { owner: format!("owner {}", all.len()) })
        } else {
            let n = random.random_range(0..used.len());
            let id = if random.random_bool(0.1) { used.swap_remove(n) } else { used[n] };
            (id, command(&mut random))
        };
        // What failed may have been done all the same; event_store will tell.
        let _ = handler.execute(id, command).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(10..70))).await;
    }
    all
}

fn command(random: &mut StdRng) -> AccountCommand {
    match random.random_range(0..3) {
        0 => AccountCommand::Deposit { cents: random.random_range(1..80) },
        1 => AccountCommand::DepositMany { times: random.random_range(1..5) },
        _ => AccountCommand::Withdraw { cents: random.random_range(1..60) },
    }
}
