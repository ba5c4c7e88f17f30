//! The runners of a group that are up, and how they share its slices.

use std::collections::HashMap;
use std::time::Duration;

use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use crate::store::{DatabaseError, EventStore, prepare_repeatable};
use crate::time::now_micros;

/// A runner, as it said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) runner: Uuid,
    pub(crate) beat: i64,
    pub(crate) ttl: Duration,
    /// ms since 1970.
    pub(crate) joined_at: i64,
}

/// One group's runners.
#[derive(Debug)]
pub(crate) struct MemberTable {
    store: EventStore,
    group: String,
    runner: Uuid,
    host: String,
    ttl: Duration,
    joined_at: i64,
    say: PreparedStatement,
    list: PreparedStatement,
    leave: PreparedStatement,
}

impl MemberTable {
    pub(crate) async fn prepare(
        store: EventStore,
        group: &str,
        runner: Uuid,
        host: String,
        ttl: Duration,
    ) -> Result<Self, DatabaseError> {
        let table = format!("{}.consumer_members", store.keyspace());
        let session = store.session();
        let timeout = (ttl / 4).max(Duration::from_millis(100));
        let prepare = async |cql| prepare_repeatable(session, cql, Some(timeout)).await;
        let say = prepare(format!(
            "INSERT INTO {table} (group_name, runner, beat, ttl_ms, host, joined_at) \
             VALUES (?, ?, ?, ?, ?, ?)"
        ))
        .await?;
        let list = prepare(format!(
            "SELECT runner, beat, ttl_ms, joined_at FROM {table} WHERE group_name = ?"
        ))
        .await?;
        let leave =
            prepare(format!("DELETE FROM {table} WHERE group_name = ? AND runner = ?")).await?;
        let joined_at = now_micros() / 1000;
        let group = group.to_owned();
        Ok(Self { store, group, runner, host, ttl, joined_at, say, list, leave })
    }

    /// This runner is up.
    pub(crate) async fn say(&self, beat: i64) -> Result<(), DatabaseError> {
        let ttl = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        let joined = CqlTimestamp(self.joined_at);
        let values = (&self.group, self.runner, beat, ttl, &self.host, joined);
        self.store.session().execute_unpaged(&self.say, values).await?;
        Ok(())
    }

    /// All runners that were up in the last minute.
    pub(crate) async fn list(&self) -> Result<Vec<Member>, DatabaseError> {
        type Columns = (Uuid, Option<i64>, Option<i64>, Option<CqlTimestamp>);
        let result = self.store.session().execute_unpaged(&self.list, (&self.group,)).await?;
        let rows = result.into_rows_result()?;
        let mut members = Vec::with_capacity(rows.rows_num());
        for row in rows.rows::<Columns>()? {
            let (runner, beat, ttl, joined_at) = row?;
            members.push(Member {
                runner,
                beat: beat.unwrap_or(0),
                ttl: Duration::from_millis(ttl.unwrap_or(0).max(0).unsigned_abs()),
                joined_at: joined_at.map_or(0, |at| at.0),
            });
        }
        Ok(members)
    }

    /// This runner is about to end.
    pub(crate) async fn leave(&self) -> Result<(), DatabaseError> {
        let values = (&self.group, self.runner);
        self.store.session().execute_unpaged(&self.leave, values).await?;
        Ok(())
    }
}

/// How many of `slices` a runner should have. All runners come to the same answer from the
/// same tables. Slices are divided evenly; the remainder stays with those who have more,
/// then with those who were there first, so that a newcomer moves no more than it must.
pub(crate) fn share(
    runner: Uuid,
    members: &[Member],
    held: &HashMap<Uuid, usize>,
    slices: usize,
) -> usize {
    let mut order: Vec<&Member> = members.iter().collect();
    order.sort_by_key(|m| {
        let has = held.get(&m.runner).copied().unwrap_or(0);
        (std::cmp::Reverse(has), m.joined_at, m.runner)
    });
    let Some(place) = order.iter().position(|m| m.runner == runner) else { return 0 };
    slices / order.len() + usize::from(place < slices % order.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u128) -> Member {
        let ttl = Duration::from_secs(6);
        Member { runner: Uuid::from_u128(n), beat: 0, ttl, joined_at: n as i64 }
    }

    fn shares(members: &[Member], held: &[(u128, usize)], slices: usize) -> Vec<usize> {
        let held = held.iter().map(|(n, k)| (Uuid::from_u128(*n), *k)).collect();
        members.iter().map(|m| share(m.runner, members, &held, slices)).collect()
    }

    #[test]
    fn slices_are_divided_evenly_and_all_of_them() {
        let members = [member(1), member(2), member(3)];
        assert_eq!(shares(&members, &[], 7), [3, 2, 2]);
        assert_eq!(shares(&members, &[], 2), [1, 1, 0]);
        assert_eq!(shares(&members[..1], &[], 4), [4]);
    }

    #[test]
    fn a_newcomer_takes_nothing_that_need_not_move() {
        assert_eq!(shares(&[member(1), member(2)], &[(2, 1)], 1), [0, 1]);
        let three = [member(1), member(2), member(3)];
        assert_eq!(shares(&three, &[(2, 2), (3, 2)], 4), [1, 2, 1]);
    }

    #[test]
    fn a_runner_that_is_not_among_the_members_has_no_share() {
        assert_eq!(share(Uuid::from_u128(9), &[member(1)], &HashMap::new(), 4), 0);
    }
}
