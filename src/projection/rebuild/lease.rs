//! One rebuild or verification of a projection at a time.

use std::time::Duration;

use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};
use scylla::value::CqlTimestamp;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::projection::rebuild::RebuildError;
use crate::store::{DatabaseError, EventStore, is_transient, was_applied};
use crate::time::now_micros;

/// A lease that is not renewed ends after this. 10 s: so long a rebuild waits after another
/// was killed.
const TTL: Duration = Duration::from_secs(10);

/// How often it is renewed: four failures in a row are survived.
const RENEWAL: Duration = Duration::from_secs(2);

/// The holder stops this long before the database gives the lease away.
const MARGIN: Duration = Duration::from_secs(2);

/// The right to work on a projection's tables.
#[derive(Debug)]
pub(super) struct Lease {
    /// Cancelled when the lease may have been lost.
    pub(super) lost: CancellationToken,
    statements: Statements,
    row: Row,
    store: EventStore,
    renewing: JoinHandle<()>,
    released: bool,
}

#[derive(Debug, Clone)]
struct Row {
    projection: String,
    id: Uuid,
    holder: String,
    task: String,
    started_at: i64,
}

#[derive(Debug, Clone)]
struct Statements {
    take: PreparedStatement,
    renew: PreparedStatement,
    look: PreparedStatement,
    release: PreparedStatement,
}

/// Who has it.
struct Held {
    id: Option<Uuid>,
    holder: String,
    task: String,
    started_at: i64,
    renewed_at: i64,
}

impl Statements {
    async fn prepare(store: &EventStore) -> Result<Self, DatabaseError> {
        let (session, keyspace) = (store.session(), store.keyspace());
        let ttl = TTL.as_secs();
        let prepare = async |cql: String| {
            let mut statement = session.prepare(cql).await?;
            statement.set_consistency(Consistency::LocalQuorum);
            statement.set_serial_consistency(Some(SerialConsistency::LocalSerial));
            statement.set_request_timeout(Some(Duration::from_secs(2)));
            Ok::<_, DatabaseError>(statement)
        };
        let take = prepare(format!(
            "INSERT INTO {keyspace}.rebuild_leases (projection, lease_id, holder, task, \
             started_at, renewed_at) VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS USING TTL {ttl}"
        ))
        .await?;
        let renew = prepare(format!(
            "UPDATE {keyspace}.rebuild_leases USING TTL {ttl} SET lease_id = ?, holder = ?, \
             task = ?, started_at = ?, renewed_at = ? WHERE projection = ? IF lease_id = ?"
        ))
        .await?;
        let mut look = prepare(format!(
            "SELECT lease_id, holder, task, started_at, renewed_at \
             FROM {keyspace}.rebuild_leases WHERE projection = ?"
        ))
        .await?;
        look.set_consistency(Consistency::LocalSerial);
        look.set_is_idempotent(true);
        let release = prepare(format!(
            "DELETE FROM {keyspace}.rebuild_leases WHERE projection = ? IF lease_id = ?"
        ))
        .await?;
        Ok(Self { take, renew, look, release })
    }

    async fn applied(
        store: &EventStore,
        statement: &PreparedStatement,
        values: impl scylla::serialize::row::SerializeRow,
    ) -> Result<bool, DatabaseError> {
        was_applied(store.session().execute_unpaged(statement, values).await?)
    }

    async fn take(&self, store: &EventStore, row: &Row) -> Result<bool, DatabaseError> {
        let started = CqlTimestamp(row.started_at);
        let values = (&row.projection, row.id, &row.holder, &row.task, started, started);
        Self::applied(store, &self.take, values).await
    }

    async fn renew(&self, store: &EventStore, row: &Row) -> Result<bool, DatabaseError> {
        let values = (
            row.id,
            &row.holder,
            &row.task,
            CqlTimestamp(row.started_at),
            CqlTimestamp(now_micros() / 1000),
            &row.projection,
            row.id,
        );
        Self::applied(store, &self.renew, values).await
    }

    async fn look(
        &self,
        store: &EventStore,
        projection: &str,
    ) -> Result<Option<Held>, DatabaseError> {
        type HeldRow = (
            Option<Uuid>,
            Option<String>,
            Option<String>,
            Option<CqlTimestamp>,
            Option<CqlTimestamp>,
        );
        let row = store
            .session()
            .execute_unpaged(&self.look, (projection,))
            .await?
            .into_rows_result()?
            .maybe_first_row::<HeldRow>()?;
        Ok(row.map(|(id, holder, task, started, renewed)| Held {
            id,
            holder: holder.unwrap_or_default(),
            task: task.unwrap_or_default(),
            started_at: started.map_or(0, |at| at.0),
            renewed_at: renewed.map_or(0, |at| at.0),
        }))
    }
}

impl Lease {
    /// Takes the lease; `work` is cancelled if it is lost. One that somebody holds is watched: if it is renewed, its holder is
    /// alive and this is refused; if not, it ends within its TTL.
    pub(super) async fn acquire(
        store: &EventStore,
        projection: &str,
        task: &str,
        work: &CancellationToken,
    ) -> Result<Self, RebuildError> {
        let failed = || RebuildError::database(format!("taking the lease on {projection}"));
        let statements = Statements::prepare(store).await.map_err(failed())?;
        let row = Row {
            projection: projection.to_owned(),
            id: Uuid::now_v7(),
            holder: holder(),
            task: task.to_owned(),
            started_at: now_micros() / 1000,
        };
        let began = Instant::now();
        let mut first_seen: Option<(Option<Uuid>, i64)> = None;
        loop {
            let asked = Instant::now();
            match statements.take(store, &row).await {
                Ok(true) => return Ok(Self::held(store, statements, row, asked, work)),
                Ok(false) => {}
                Err(error) if is_transient(&error) && began.elapsed() < TTL * 2 => {}
                Err(error) => return Err(failed()(error)),
            }
            if let Some(held) = statements.look(store, projection).await.map_err(failed())? {
                // The answer to our own transaction may have been lost.
                if held.id == Some(row.id) && statements.renew(store, &row).await.unwrap_or(false) {
                    return Ok(Self::held(store, statements, row, asked, work));
                }
                let seen = (held.id, held.renewed_at);
                let renewed = first_seen.is_some_and(|first| first != seen);
                first_seen.get_or_insert(seen);
                if renewed || began.elapsed() > TTL * 2 {
                    let millis = now_micros() / 1000 - held.started_at;
                    return Err(RebuildError::Busy {
                        projection: projection.to_owned(),
                        holder: held.holder,
                        task: held.task,
                        seconds: u64::try_from(millis / 1000).unwrap_or(0),
                    });
                }
            }
            sleep(Duration::from_millis(250)).await;
        }
    }

    fn held(
        store: &EventStore,
        statements: Statements,
        row: Row,
        asked: Instant,
        work: &CancellationToken,
    ) -> Self {
        let lost = CancellationToken::new();
        let renewing = tokio::spawn(renew(
            store.clone(),
            statements.clone(),
            row.clone(),
            asked,
            (lost.clone(), work.clone()),
        ));
        Self { lost, statements, row, store: store.clone(), renewing, released: false }
    }

    /// Gives the lease back.
    pub(super) async fn release(mut self) {
        self.released = true;
        self.renewing.abort();
        release(&self.store, &self.statements, &self.row).await;
    }
}

impl Drop for Lease {
    /// Work that is dropped amid it gives the lease back in the background.
    fn drop(&mut self) {
        self.renewing.abort();
        if self.released {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (store, statements, row) =
                (self.store.clone(), self.statements.clone(), self.row.clone());
            runtime.spawn(async move { release(&store, &statements, &row).await });
        }
    }
}

/// A lease that cannot be given back ends with its TTL.
async fn release(store: &EventStore, statements: &Statements, row: &Row) {
    let values = (&row.projection, row.id);
    if let Err(error) = Statements::applied(store, &statements.release, values).await {
        let projection = &row.projection;
        tracing::warn!(%projection, %error, "the rebuild's lease ends with its TTL");
    }
}

/// Renews until that fails for too long or somebody else has the lease.
async fn renew(
    store: EventStore,
    statements: Statements,
    row: Row,
    taken: Instant,
    (lost, work): (CancellationToken, CancellationToken),
) {
    let mut tick = interval(RENEWAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Counted from before the request: the database counts from later.
    let mut renewed = taken;
    loop {
        tick.tick().await;
        let asked = Instant::now();
        // A process that slept may have lost it already.
        if asked.duration_since(renewed) > TTL - MARGIN {
            break;
        }
        match statements.renew(&store, &row).await {
            Ok(true) => renewed = asked,
            Ok(false) => break,
            Err(error) => {
                let projection = &row.projection;
                tracing::warn!(%projection, %error, "the rebuild's lease is not renewed yet");
            }
        }
        if renewed.elapsed() > TTL - MARGIN {
            break;
        }
    }
    lost.cancel();
    work.cancel();
}

/// This process, for people.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown host".to_owned());
    format!("{host}, process {}", std::process::id())
}
