//! Following the log until a version being built is level.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::consumer::{ConsumerGroup, GroupSettings, PoisonPolicy, RunningGroup, StartFrom};
use crate::projection::Projection;
use crate::projection::handler::ProjectionHandler;
use crate::projection::rebuild::settings::Settings;
use crate::projection::rebuild::{OnError, RebuildError};
use crate::store::EventStore;
use crate::time::now_micros;

/// The follower begins this long before the version was begun: events that the live group
/// had handled by then, without writing them here, may have come to `event_store` later
/// than the scan (a coordinator that stopped amid a batch; its batch log is replayed within
/// a minute).
const BEFORE: Duration = Duration::from_secs(60);

/// A consumer group of its own, which writes the versions that no query reads.
pub(super) struct Follower {
    store: EventStore,
    name: String,
    group: RunningGroup,
}

fn followed(error: crate::consumer::GroupError) -> RebuildError {
    RebuildError::Follow(Box::new(error))
}

impl Follower {
    pub(super) async fn start(
        store: &EventStore,
        projection: Arc<dyn Projection>,
        version: i32,
        began_at: i64,
        settings: &Settings,
    ) -> Result<Self, RebuildError> {
        let name = format!("{}__v{version}", projection.name());
        let from = Duration::from_millis(began_at.max(0).unsigned_abs()).saturating_sub(BEFORE);
        let poison = match settings.on_error {
            OnError::Stop => PoisonPolicy::HaltGroup,
            OnError::Skip => PoisonPolicy::SkipEvent,
        };
        let start_from = StartFrom::Time(UNIX_EPOCH + from);
        let settings = GroupSettings { start_from, poison, ..settings.following.clone() };
        let handler = ProjectionHandler::of_unread_versions(store, projection);
        let group = ConsumerGroup::builder(store.clone(), &name, handler)
            .settings(settings)
            .start()
            .await
            .map_err(followed)?;
        Ok(Self { store: store.clone(), name, group })
    }

    /// Waits until everything that was written before now is handled.
    pub(super) async fn level(
        &mut self,
        cancel: &CancellationToken,
        mut tell: impl FnMut(f64),
    ) -> Result<(), RebuildError> {
        let target = now_micros();
        let mut tick = interval(Duration::from_millis(50));
        let mut first = None;
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Err(RebuildError::Cancelled),
                ended = self.group.finished() => {
                    ended.map_err(followed)?;
                    // It ends by itself only when somebody stops it.
                    return Err(RebuildError::Cancelled);
                }
                _ = tick.tick() => {}
            }
            let Some(watermark) = self.group.status().watermark else { continue };
            if watermark >= target {
                return Ok(());
            }
            let first = *first.get_or_insert(watermark);
            tell((watermark - first) as f64 / (target - first).max(1) as f64);
        }
    }

    /// Stops following; what was stored of it stays, to go on from.
    pub(super) async fn stop(self) -> Result<(), RebuildError> {
        self.group.stop().await.map_err(followed)?;
        Ok(())
    }

    /// Stops following for good.
    pub(super) async fn end(self) -> Result<(), RebuildError> {
        let (store, name) = (self.store.clone(), self.name.clone());
        self.stop().await?;
        // Names of versions are not used again: what stays behind is in nobody's way.
        let keyspace = store.keyspace();
        for cql in [
            format!(
                "DELETE FROM {keyspace}.consumer_checkpoints WHERE group_name = ? AND slice = 0"
            ),
            format!("DELETE FROM {keyspace}.consumer_groups WHERE group_name = ?"),
            format!("DELETE FROM {keyspace}.consumer_leases WHERE group_name = ?"),
            format!("DELETE FROM {keyspace}.consumer_status WHERE group_name = ?"),
        ] {
            if let Err(error) = store.session().query_unpaged(cql, (&name,)).await {
                tracing::warn!(group = %name, %error, "the progress of a follower stays behind");
            }
        }
        Ok(())
    }
}

/// When an event log that long is no longer complete: a build that began earlier begins
/// again. The log keeps its rows for a day; some of it is left for the following.
const LONGEST_BUILD: Duration = Duration::from_secs(20 * 3600);

/// Whether the log still has everything since a version was begun (ms since 1970).
pub(super) fn log_reaches(began_at: i64) -> bool {
    let began = UNIX_EPOCH + Duration::from_millis(began_at.max(0).unsigned_abs());
    SystemTime::now().duration_since(began).is_ok_and(|age| age < LONGEST_BUILD)
}
