//! What a projection makes of an event, checked.

use crate::event::{EventEnvelope, Upcasters};
use crate::projection::writes::{MAX_WRITES_PER_EVENT, Writes};
use crate::projection::{Projection, ProjectionError};

/// The projection's writes of this event, as upcasters read it.
pub(crate) fn collect(
    projection: &dyn Projection,
    upcasters: &Upcasters,
    event: &EventEnvelope,
) -> Result<Writes, ProjectionError> {
    let mut writes = Writes::default();
    // Of a split event all writes count on: each has a timestamp of its own.
    for part in upcasters.upcast(event)?.iter() {
        projection.handle_event(part, &mut writes)?;
    }
    check(projection, &writes)?;
    Ok(writes)
}

fn check(projection: &dyn Projection, writes: &Writes) -> Result<(), ProjectionError> {
    let name = projection.name();
    if writes.len() > MAX_WRITES_PER_EVENT {
        return Err(ProjectionError::Refused(format!(
            "projection {name} makes {} writes of one event, at most {MAX_WRITES_PER_EVENT} \
             have a timestamp of their own",
            writes.len()
        )));
    }
    for write in &writes.list {
        if !projection.tables().contains(&write.table) {
            return Err(ProjectionError::Refused(format!(
                "projection {name} writes to {}, which is not among its tables()",
                write.table
            )));
        }
        if write.keys.is_empty() {
            return Err(ProjectionError::Refused(format!(
                "projection {name} writes to {} without a key",
                write.table
            )));
        }
    }
    Ok(())
}
