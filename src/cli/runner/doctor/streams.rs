//! The CDC log's streams, and what following them costs.

use super::finding::Finding;
use crate::cli::output::span;
use crate::cli::settings::Settings;
use crate::consumer::{LogStreams, STREAMS_PER_QUERY};
use crate::store::{DatabaseError, EventStore};

const CHECK: &str = "CDC streams";

/// More queries than this keep a server's core noticeably busy while nothing happens.
const MANY: f64 = 1_000.0;

pub(super) async fn streams(store: &EventStore, settings: &Settings) -> Finding {
    let streams = match count(store).await {
        Ok(streams) => streams,
        Err(error) => return Finding::problem(CHECK, format!("cannot be read: {error}")),
    };
    if streams == 0 {
        return Finding::problem(CHECK, "the log has no streams yet")
            .advice("wait until the cluster has made its first CDC generation, some seconds");
    }
    let sleep = settings.duration("sleep_interval");
    let idle = settings.duration("idle_interval");
    let queries = streams.div_ceil(STREAMS_PER_QUERY) as f64;
    let per_second = queries / sleep.as_secs_f64().max(0.001);
    let found = format!(
        "{streams}; a runner polls them with {per_second:.0} queries/s ({} apart), {:.0} while \
         nothing happens",
        span(sleep),
        queries / idle.as_secs_f64().max(0.001)
    );
    if per_second > MANY {
        return Finding::warning(CHECK, found).advice(
            "a longer --sleep-interval costs that much latency and saves as many queries; few \
             runners with many groups cost less than many with one",
        );
    }
    Finding::ok(CHECK, found)
}

async fn count(store: &EventStore) -> Result<usize, DatabaseError> {
    let log = LogStreams::of(store).await?;
    match log.generations().await?.last() {
        Some(newest) => Ok(log.streams(*newest).await?.len()),
        None => Ok(0),
    }
}
