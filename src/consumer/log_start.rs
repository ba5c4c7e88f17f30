//! Where a new group begins in the CDC log.

use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;
use scylla::value::CqlTimestamp;

use crate::consumer::progress::Millis;
use crate::store::DatabaseError;

/// The first moment at or after `from` that the log can be read at. scylla-cdc, asked to
/// begin before the oldest generation, begins with the newest and would skip those between.
pub(crate) async fn first_readable(
    session: &Session,
    from: Millis,
) -> Result<Millis, DatabaseError> {
    // Replicated three times where there are three nodes; scylla-cdc reads it like this too.
    let single_node = session.get_cluster_state().get_nodes_info().len() == 1;
    let mut statement = Statement::new(
        "SELECT time FROM system_distributed.cdc_generation_timestamps WHERE key = 'timestamps'",
    );
    statement.set_consistency(if single_node { Consistency::One } else { Consistency::Quorum });
    statement.set_is_idempotent(true);
    let rows = session.query_unpaged(statement, ()).await?.into_rows_result()?;
    let mut oldest: Option<Millis> = None;
    for row in rows.rows::<(CqlTimestamp,)>()? {
        let (time,) = row?;
        oldest = Some(oldest.map_or(time.0, |o| o.min(time.0)));
    }
    Ok(oldest.map_or(from, |oldest| from.max(oldest)))
}
