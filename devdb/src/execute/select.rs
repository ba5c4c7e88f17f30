//! SELECT: walks partitions and rows, page by page.

use bytes::{Bytes, BytesMut};

use super::aggregate::Accumulators;
use super::bindings::Bindings;
use super::executor::Executor;
use super::paging::PagingState;
use super::ranges::{clustering_ranges, clustering_values, partition_keys, token_range};
use super::rows::{RowView, passes, put};
use crate::error::{CqlError, Result};
use crate::plan::{PartitionRestriction, SelectPlan};
use crate::request::{Consistency, QueryParameters, Rows};
use crate::store::mutation::{ClusteringKey, PartitionKey};
use crate::store::read::{PartitionView, ReadSpec, ScanPosition, TokenRange};
use crate::store::token;
use crate::types::{partition_key, to_json};

/// Rows fetched from the store at a time: bounds memory, not the result.
const CHUNK: usize = 1000;

enum Source {
    Keys(Vec<PartitionKey>),
    Ring(TokenRange),
}

/// Whether to go on after a row.
enum Flow {
    More,
    Stop,
}

struct Walk<'a> {
    executor: &'a Executor,
    plan: &'a SelectPlan,
    bindings: Bindings<'a>,
    spec: ReadSpec,
    /// PER PARTITION LIMIT.
    per_partition: usize,
    /// Rows that will be asked for at most.
    wanted: usize,
}

impl Executor {
    /// Executes a SELECT.
    pub fn select(
        &self,
        plan: &SelectPlan,
        bindings: Bindings<'_>,
        parameters: &QueryParameters,
    ) -> Result<Rows> {
        match parameters.consistency {
            Consistency::Any => {
                return Err(CqlError::invalid("ANY ConsistencyLevel is only supported for writes"));
            }
            Consistency::EachQuorum => {
                return Err(CqlError::invalid(
                    "EACH_QUORUM ConsistencyLevel is only supported for writes",
                ));
            }
            _ => {}
        }
        let limit = bindings.limit(plan.limit.as_ref(), "LIMIT")?;
        let per_partition =
            bindings.limit(plan.per_partition_limit.as_ref(), "PER PARTITION LIMIT")?;
        let page = parameters.page_size.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let page = match parameters.effects.short_page {
            Some(most) if most > 0 => page.map(|page| page.min(most)),
            _ => page,
        };
        let ranges =
            clustering_ranges(&plan.restrictions.clustering, &plan.clustering_types, bindings)?;
        let restrictions = &plan.restrictions;
        let source = match &restrictions.partition {
            PartitionRestriction::All => Some(Source::Ring(TokenRange::ALL)),
            PartitionRestriction::Keys(keys) => {
                let columns = key_columns(plan);
                Some(Source::Keys(partition_keys(keys, &columns, bindings)?))
            }
            PartitionRestriction::Token { start, end } => {
                token_range(start.as_ref(), end.as_ref(), bindings)?.map(Source::Ring)
            }
        };
        let source = match source {
            Some(source) if !ranges.is_empty() => source,
            _ => Source::Keys(Vec::new()),
        };
        let mut walk = Walk {
            executor: self,
            plan,
            bindings,
            spec: ReadSpec {
                ranges,
                reversed: plan.reversed,
                after: None,
                limit: CHUNK,
                columns: plan.read.clone(),
                now: self.clock.now_seconds(),
            },
            per_partition: per_partition.unwrap_or(usize::MAX),
            wanted: usize::MAX,
        };
        if plan.is_aggregate() {
            if per_partition.is_some() && !plan.group_by.is_empty() {
                return Err(CqlError::unsupported("PER PARTITION LIMIT with GROUP BY"));
            }
            return aggregate(&walk, source, limit);
        }
        let several = matches!(&source, Source::Keys(keys) if keys.len() > 1);
        if plan.ordered && several {
            if page.is_some() {
                return Err(CqlError::invalid(
                    "Cannot page queries with both ORDER BY and a IN restriction on the partition key; you must either remove the ORDER BY or the IN and sort client side, or disable paging for this query",
                ));
            }
            return merged(&walk, source, limit);
        }
        let state = match &parameters.paging_state {
            Some(state) if page.is_some() => PagingState::decode(state)?,
            _ => None,
        };
        let remaining = match (&state, limit) {
            (Some(state), _) => usize::try_from(state.remaining).unwrap_or(usize::MAX),
            (None, limit) => limit.unwrap_or(usize::MAX),
        };
        if parameters.effects.short_page == Some(0) && page.is_some() {
            let at = parameters.paging_state.clone().unwrap_or_else(PagingState::start);
            return Ok(empty_page(plan, at));
        }
        let most = remaining.min(page.unwrap_or(usize::MAX));
        walk.wanted = most;
        let mut data = BytesMut::new();
        let mut count = 0;
        let mut end = None;
        if most > 0 {
            end = walk.rows(source, state.map(|s| s.position), |row| {
                write_row(plan, row, bindings, &[], &mut data)?;
                count += 1;
                Ok(if count == most { Flow::Stop } else { Flow::More })
            })?;
        }
        // A full page always has a follower, as ScyllaDB pages, unless LIMIT is reached.
        let left = remaining - count;
        let paging_state = end
            .filter(|_| left > 0 && page.is_some())
            .map(|position| PagingState { position, remaining: left as u64 }.encode());
        Ok(Rows {
            columns: plan.columns.clone(),
            count: i32::try_from(count).unwrap_or(i32::MAX),
            data: data.freeze(),
            paging_state,
        })
    }
}

/// A page without rows that says that there are more.
fn empty_page(plan: &SelectPlan, paging_state: Bytes) -> Rows {
    Rows {
        columns: plan.columns.clone(),
        count: 0,
        data: Bytes::new(),
        paging_state: Some(paging_state),
    }
}

fn key_columns(plan: &SelectPlan) -> Vec<(String, crate::types::CqlType)> {
    plan.table.partition_key().map(|c| (c.name.clone(), c.cql_type.clone())).collect()
}

fn write_row(
    plan: &SelectPlan,
    row: &RowView<'_>,
    bindings: Bindings<'_>,
    aggregates: &[Option<Bytes>],
    out: &mut BytesMut,
) -> Result<()> {
    let Some(members) = &plan.json else {
        for selection in &plan.selections {
            row.write(selection, bindings, aggregates, out)?;
        }
        return Ok(());
    };
    let mut document = String::from("{");
    for (index, (selection, (name, ty))) in plan.selections.iter().zip(members).enumerate() {
        if index > 0 {
            document.push_str(", ");
        }
        document.push_str(&serde_json::Value::from(name.as_str()).to_string());
        document.push_str(": ");
        match row.select(selection, bindings, aggregates)? {
            Some(value) => document.push_str(&to_json(ty, &value)),
            None => document.push_str("null"),
        }
    }
    document.push('}');
    put(out, Some(document.as_bytes()));
    Ok(())
}

/// Rows of several partitions in one clustering order.
fn merged(walk: &Walk<'_>, source: Source, limit: Option<usize>) -> Result<Rows> {
    let mut rows: Vec<(ClusteringKey, Bytes)> = Vec::new();
    walk.rows(source, None, |row| {
        let mut data = BytesMut::new();
        write_row(walk.plan, row, walk.bindings, &[], &mut data)?;
        let key = row.row.map(|row| row.key.clone()).unwrap_or_default();
        rows.push((key, data.freeze()));
        Ok(Flow::More)
    })?;
    rows.sort_by(|(a, _), (b, _)| if walk.plan.reversed { b.cmp(a) } else { a.cmp(b) });
    rows.truncate(limit.unwrap_or(usize::MAX));
    let mut data = BytesMut::new();
    for (_, row) in &rows {
        data.extend_from_slice(row);
    }
    Ok(Rows {
        columns: walk.plan.columns.clone(),
        count: i32::try_from(rows.len()).unwrap_or(i32::MAX),
        data: data.freeze(),
        paging_state: None,
    })
}

fn aggregate(walk: &Walk<'_>, source: Source, limit: Option<usize>) -> Result<Rows> {
    let plan = walk.plan;
    let bindings = walk.bindings;
    let mut data = BytesMut::new();
    let mut count = 0;
    // A group's row shows its first row's values where it selects plain columns.
    let mut group: Option<(Vec<Option<Bytes>>, Accumulators<'_>, OwnedRow)> = None;
    let mut finish = |group: &(Vec<Option<Bytes>>, Accumulators<'_>, OwnedRow)| -> Result<()> {
        let (_, accumulators, first) = group;
        write_row(plan, &first.view(), bindings, &accumulators.results()?, &mut data)?;
        count += 1;
        Ok(())
    };
    let mut groups = 0;
    let most = limit.unwrap_or(usize::MAX);
    walk.rows(source, None, |row| {
        let key: Vec<Option<Bytes>> = plan
            .group_by
            .iter()
            .map(|reference| row.value(*reference, &crate::types::CqlType::Blob))
            .collect();
        if group.as_ref().is_none_or(|(current, _, _)| *current != key) {
            if let Some(done) = group.take() {
                finish(&done)?;
                groups += 1;
                if groups == most {
                    return Ok(Flow::Stop);
                }
            }
            group = Some((key, Accumulators::new(&plan.aggregates), OwnedRow::of(row)));
        }
        if let Some((_, accumulators, _)) = &mut group {
            accumulators.add(row, bindings)?;
        }
        Ok(Flow::More)
    })?;
    match &group {
        Some(last) => finish(last)?,
        None if plan.group_by.is_empty() && groups == 0 => {
            finish(&(Vec::new(), Accumulators::new(&plan.aggregates), OwnedRow::none()))?;
        }
        None => {}
    }
    Ok(Rows { columns: plan.columns.clone(), count, data: data.freeze(), paging_state: None })
}

struct OwnedRow {
    view: PartitionView,
    partition: Vec<Bytes>,
    clustering: Vec<Bytes>,
    row: Option<crate::store::read::LiveRow>,
}

impl OwnedRow {
    fn of(row: &RowView<'_>) -> Self {
        OwnedRow {
            view: PartitionView {
                token: row.view.token,
                key: row.view.key.clone(),
                static_columns: row.view.static_columns.clone(),
                has_static: row.view.has_static,
                rows: Vec::new(),
                more: false,
            },
            partition: row.partition.to_vec(),
            clustering: row.clustering.to_vec(),
            row: row.row.cloned(),
        }
    }

    fn none() -> Self {
        OwnedRow {
            view: PartitionView {
                token: 0,
                key: PartitionKey(Bytes::new()),
                static_columns: Vec::new(),
                has_static: false,
                rows: Vec::new(),
                more: false,
            },
            partition: Vec::new(),
            clustering: Vec::new(),
            row: None,
        }
    }

    fn view(&self) -> RowView<'_> {
        RowView {
            view: &self.view,
            partition: &self.partition,
            clustering: &self.clustering,
            row: self.row.as_ref(),
        }
    }
}

impl Walk<'_> {
    /// Visits rows from after `start` until told to stop; returns where that was.
    fn rows(
        &self,
        source: Source,
        start: Option<ScanPosition>,
        mut visit: impl FnMut(&RowView<'_>) -> Result<Flow>,
    ) -> Result<Option<ScanPosition>> {
        match source {
            Source::Keys(keys) => self.by_key(&keys, start, &mut visit),
            Source::Ring(range) => self.by_token(range, start, &mut visit),
        }
    }

    /// How many rows of a partition to fetch at once, if filters throw none away.
    fn chunk(&self, seen: usize) -> usize {
        if self.plan.distinct {
            1
        } else if self.plan.restrictions.filters.is_empty() {
            CHUNK.min(self.wanted.saturating_sub(seen)).max(1)
        } else {
            CHUNK
        }
    }

    fn by_key(
        &self,
        keys: &[PartitionKey],
        start: Option<ScanPosition>,
        visit: &mut impl FnMut(&RowView<'_>) -> Result<Flow>,
    ) -> Result<Option<ScanPosition>> {
        let mut first = 0;
        let mut after = None;
        let mut taken = 0;
        if let Some(start) = start {
            let index = keys.iter().position(|key| *key == start.key).ok_or_else(|| {
                CqlError::invalid("The paging state belongs to a query with other values")
            })?;
            match start.row {
                Some(row) => {
                    first = index;
                    after = Some(row);
                    taken = start.taken;
                }
                None => first = index + 1,
            }
        }
        let mut seen = 0;
        let mut spec = self.spec.clone();
        for key in keys.get(first..).unwrap_or_default() {
            loop {
                spec.after = after.take();
                let continued = spec.after.is_some();
                spec.limit =
                    self.chunk(seen).min(self.per_partition - taken.min(self.per_partition));
                if spec.limit == 0 {
                    break;
                }
                let view = self.executor.db.read_partition(self.plan.table.id, key, &spec)?;
                let Some(view) = view else {
                    break;
                };
                let before = taken;
                if let Some(end) = self.visit_view(&view, continued, &mut taken, visit)? {
                    return Ok(Some(end));
                }
                seen += taken - before;
                if !view.more || self.plan.distinct {
                    break;
                }
                after = view.rows.last().map(|row| row.key.clone());
                if after.is_none() {
                    break;
                }
            }
            taken = 0;
            after = None;
        }
        Ok(None)
    }

    fn by_token(
        &self,
        range: TokenRange,
        start: Option<ScanPosition>,
        visit: &mut impl FnMut(&RowView<'_>) -> Result<Flow>,
    ) -> Result<Option<ScanPosition>> {
        let filtered = !self.plan.restrictions.filters.is_empty();
        let mut spec = self.spec.clone();
        // With filters the store cannot know which rows count.
        spec.limit = if self.plan.distinct {
            1
        } else if filtered {
            usize::MAX
        } else {
            self.per_partition
        };
        let mut from = start;
        let mut seen = 0;
        // Rows that passed the filters in the partition that a chunk ended in.
        let mut carried = from.as_ref().map_or(0, |p| p.taken);
        loop {
            let limit =
                if filtered { CHUNK } else { CHUNK.min(self.wanted.saturating_sub(seen)).max(1) };
            let chunk =
                self.executor.db.scan(self.plan.table.id, range, from.as_ref(), &spec, limit)?;
            for view in &chunk.partitions {
                let continued = from.as_ref().is_some_and(|p| p.row.is_some() && p.key == view.key);
                let mut taken = if continued { carried } else { 0 };
                let before = taken;
                if let Some(end) = self.visit_view(view, continued, &mut taken, visit)? {
                    return Ok(Some(end));
                }
                seen += taken - before;
                carried = taken;
            }
            match chunk.next {
                Some(next) => from = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// Visits what a read found in a partition; `taken` counts the rows that passed.
    fn visit_view(
        &self,
        view: &PartitionView,
        continued: bool,
        taken: &mut usize,
        visit: &mut impl FnMut(&RowView<'_>) -> Result<Flow>,
    ) -> Result<Option<ScanPosition>> {
        let partition = partition_key::decode(self.plan.partition_types.len(), &view.key);
        let position = |row: Option<&ClusteringKey>, taken: usize| ScanPosition {
            token: token(self.plan.table.partitioner, &view.key),
            key: view.key.clone(),
            row: row.cloned(),
            taken,
        };
        let static_only = view.rows.is_empty()
            && view.has_static
            && !continued
            && (self.plan.restrictions.clustering.is_none() || self.plan.distinct);
        if self.plan.distinct || static_only {
            if view.rows.is_empty() && !static_only {
                return Ok(None);
            }
            let row = RowView { view, partition: &partition, row: None, clustering: &[] };
            if self.passes(&row)? {
                *taken += 1;
                if matches!(visit(&row)?, Flow::Stop) {
                    return Ok(Some(position(None, *taken)));
                }
            }
            return Ok(None);
        }
        for row in &view.rows {
            if *taken >= self.per_partition {
                return Ok(None);
            }
            let clustering = clustering_values(&self.plan.clustering_types, &row.key);
            let seen =
                RowView { view, partition: &partition, row: Some(row), clustering: &clustering };
            if !self.passes(&seen)? {
                continue;
            }
            *taken += 1;
            if matches!(visit(&seen)?, Flow::Stop) {
                return Ok(Some(position(Some(&row.key), *taken)));
            }
        }
        Ok(None)
    }

    fn passes(&self, row: &RowView<'_>) -> Result<bool> {
        for filter in &self.plan.restrictions.filters {
            if !passes(filter, row, self.bindings)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
