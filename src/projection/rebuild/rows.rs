//! Rows as bytes, to compare two tables of the same definition.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use scylla::deserialize::FrameSlice;
use scylla::deserialize::row::ColumnIterator;
use scylla::deserialize::value::DeserializeValue;
use scylla::frame::response::result::ColumnType;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlValue;

use crate::projection::rebuild::batches::patiently;
use crate::projection::rebuild::encode::EncodedRow;
use crate::read_model::table_name;
use crate::schema::{Column, columns, quoted};
use crate::store::{DatabaseError, EventStore, TokenRange, is_transient, prepare_repeatable};

/// Rows per page.
const PAGE: i32 = 1000;

/// A row: its primary key and the rest, as the protocol has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) key: Vec<u8>,
    pub(super) rest: Vec<u8>,
}

/// What columns a table has, and how they are shown.
#[derive(Debug)]
pub(super) struct Shape {
    columns: Vec<Column>,
    types: Vec<ColumnType<'static>>,
    keys: usize,
    partition_keys: usize,
}

/// One version of a table.
#[derive(Debug)]
pub(super) struct VersionTable {
    store: EventStore,
    scan: PreparedStatement,
    by_key: PreparedStatement,
    by_partition: PreparedStatement,
    keys: usize,
}

/// Reads the columns of `table` as the migrations' table has them.
pub(super) async fn shape(store: &EventStore, table: &str) -> Result<Shape, DatabaseError> {
    let columns = columns(store.session(), store.keyspace(), table).await?;
    let names: Vec<String> = columns.iter().map(|c| quoted(&c.name)).collect();
    let cql = format!("SELECT {} FROM {}.{table}", names.join(", "), store.keyspace());
    let statement = store.session().prepare(cql).await?;
    let specs = statement.get_current_result_set_col_specs();
    let types = specs.get().iter().map(|spec| spec.typ().clone()).collect();
    let of_rank = |rank: u8| columns.iter().filter(|c| c.rank == rank).count();
    let (partition_keys, keys) = (of_rank(0), of_rank(0) + of_rank(1));
    Ok(Shape { columns, types, keys, partition_keys })
}

impl Shape {
    /// The key as text: `order_id = …, product_id = …`.
    pub(super) fn key_text(&self, key: &[u8]) -> String {
        let named = self.columns.iter().zip(&self.types).zip(cells(key));
        let texts: Vec<String> = named
            .map(|((column, column_type), cell)| {
                format!("{} = {}", column.name, value_text(column_type, cell))
            })
            .collect();
        texts.join(", ")
    }

    /// The columns in which two rows of one key differ, with both values.
    pub(super) fn differing(
        &self,
        deployed: &[u8],
        replayed: &[u8],
    ) -> Vec<(String, String, String)> {
        let others = self.columns.iter().zip(&self.types).skip(self.keys);
        others
            .zip(cells(deployed).zip(cells(replayed)))
            .filter(|(_, (deployed, replayed))| deployed != replayed)
            .map(|((column, column_type), (deployed, replayed))| {
                (
                    column.name.clone(),
                    value_text(column_type, deployed),
                    value_text(column_type, replayed),
                )
            })
            .collect()
    }
}

fn value_text(column_type: &ColumnType<'_>, cell: Option<&[u8]>) -> String {
    let Some(cell) = cell else { return "null".to_owned() };
    let bytes = bytes::Bytes::copy_from_slice(cell);
    match CqlValue::deserialize(column_type, Some(FrameSlice::new(&bytes))) {
        Ok(value) => value.to_string(),
        Err(_) => "(unreadable)".to_owned(),
    }
}

/// The cells of an image; null is `None`.
fn cells(image: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = image;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = i32::from_be_bytes(*length);
        let Ok(length) = usize::try_from(length) else {
            rest = after;
            return Some(None);
        };
        let (cell, after) = after.split_at_checked(length)?;
        rest = after;
        Some(Some(cell))
    })
}

impl VersionTable {
    pub(super) async fn open(
        store: &EventStore,
        table: &str,
        version: i32,
        shape: &Shape,
    ) -> Result<Self, DatabaseError> {
        let names: Vec<String> = shape.columns.iter().map(|c| quoted(&c.name)).collect();
        let (all, keyspace) = (names.join(", "), store.keyspace());
        let partition: Vec<String> = names.iter().take(shape.partition_keys).cloned().collect();
        let key: Vec<String> =
            names.iter().take(shape.keys).map(|name| format!("{name} = ?")).collect();
        let partition_only: Vec<String> = partition.iter().map(|n| format!("{n} = ?")).collect();
        let (table, token) = (table_name(table, version), partition.join(", "));
        let prepare = async |cql: String| {
            let mut statement = prepare_repeatable(store.session(), cql, None).await?;
            statement.set_page_size(PAGE);
            Ok::<_, DatabaseError>(statement)
        };
        Ok(Self {
            store: store.clone(),
            scan: prepare(format!(
                "SELECT {all} FROM {keyspace}.{table} \
                 WHERE token({token}) >= ? AND token({token}) <= ?"
            ))
            .await?,
            by_key: prepare(format!(
                "SELECT {all} FROM {keyspace}.{table} WHERE {}",
                key.join(" AND ")
            ))
            .await?,
            by_partition: prepare(format!(
                "SELECT {all} FROM {keyspace}.{table} WHERE {} LIMIT 1",
                partition_only.join(" AND ")
            ))
            .await?,
            keys: shape.keys,
        })
    }

    /// A range's rows, page by page.
    pub(super) fn pages(&self, range: TokenRange) -> Pages<'_> {
        Pages { table: self, range, state: Some(PagingState::start()) }
    }

    /// The row of this key.
    pub(super) async fn row(
        &self,
        key: &[u8],
        shape: &Shape,
    ) -> Result<Option<Image>, DatabaseError> {
        // A partition of which only static columns are written has one row without
        // clustering columns.
        let only_statics = cells(key).skip(shape.partition_keys).any(|cell| cell.is_none());
        let (statement, bound) = if only_statics {
            let partition = cells(key).take(shape.partition_keys);
            (&self.by_partition, partition.fold(Vec::new(), with_cell))
        } else {
            (&self.by_key, key.to_vec())
        };
        let bound = EncodedRow::of_cells(bound);
        let result = patiently(
            || async {
                let result = self.store.session().execute_unpaged(statement, &bound).await?;
                Ok::<_, DatabaseError>(result.into_rows_result()?)
            },
            is_transient,
        )
        .await?;
        Ok(self.images(&result)?.pop_front().filter(|image| image.key == key))
    }

    fn images(&self, rows: &QueryRowsResult) -> Result<VecDeque<Image>, DatabaseError> {
        let mut images = VecDeque::with_capacity(rows.rows_num());
        for row in rows.rows::<ColumnIterator<'_, '_>>()? {
            let mut image = Image { key: Vec::with_capacity(32), rest: Vec::with_capacity(64) };
            for column in row? {
                let column = column?;
                let cell = column.slice.map(|slice| slice.as_slice().to_vec());
                let part = if column.index < self.keys { &mut image.key } else { &mut image.rest };
                *part = with_cell(std::mem::take(part), cell.as_deref());
            }
            images.push_back(image);
        }
        Ok(images)
    }
}

/// The cells with one more.
fn with_cell(mut cells: Vec<u8>, cell: Option<&[u8]>) -> Vec<u8> {
    match cell.map(|cell| (i32::try_from(cell.len()), cell)) {
        Some((Ok(length), cell)) => {
            cells.extend_from_slice(&length.to_be_bytes());
            cells.extend_from_slice(cell);
        }
        // The protocol's lengths are i32: longer ones do not arrive.
        Some((Err(_), _)) | None => cells.extend_from_slice(&(-1_i32).to_be_bytes()),
    }
    cells
}

/// The pages of a range.
pub(super) struct Pages<'t> {
    table: &'t VersionTable,
    range: TokenRange,
    /// `None`: the range is read.
    state: Option<PagingState>,
}

impl Pages<'_> {
    /// The next page; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<VecDeque<Image>>, DatabaseError> {
        let Some(state) = self.state.take() else { return Ok(None) };
        let (rows, paging) = patiently(
            || async {
                let bounds = (self.range.first, self.range.last);
                let session = self.table.store.session();
                let (result, paging) =
                    session.execute_single_page(&self.table.scan, bounds, state.clone()).await?;
                Ok::<_, DatabaseError>((result.into_rows_result()?, paging))
            },
            is_transient,
        )
        .await?;
        self.state = match paging.into_paging_control_flow() {
            ControlFlow::Break(()) => None,
            ControlFlow::Continue(state) => Some(state),
        };
        Ok(Some(self.table.images(&rows)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_taken_apart_as_they_were_put_together() {
        let image = [Some(&b"a"[..]), None, Some(b""), Some(b"long")];
        let bytes = image.into_iter().fold(Vec::new(), with_cell);
        assert!(cells(&bytes).eq(image));
    }
}
