//! What a table holds after a set of writes, by the rules as they are told: every write stays,
//! and what is asked for is looked up among all of them. Nothing is shared with the store.

use std::collections::{BTreeMap, BTreeSet};

use super::write::{Change, Column, Kind, Write};

/// A column's cell, or an element of a collection's: key −1 for a column that is one cell.
type Path = (Column, i32);

/// What was written to a cell: age, then what decides among equals, then the value.
/// Greater wins: the later; at one time a deletion, then what expires, then what expires
/// later, then the larger value as unsigned bytes.
type Written = (i64, bool, bool, i32, u32, i32);

#[derive(Debug, Default)]
struct Row {
    cells: BTreeMap<Path, Vec<Written>>,
    /// Collections overwritten or deleted: until when (included).
    cleared: BTreeMap<Column, i64>,
    /// INSERTs, by age.
    markers: Vec<i64>,
}

/// All that was written to a partition.
#[derive(Debug, Default)]
struct Partition {
    rows: BTreeMap<i32, Row>,
    /// Static columns.
    shared: Row,
    /// Rows deleted (from, to, both included), until when (included).
    deleted: Vec<(i32, i32, i64)>,
    /// The whole partition.
    all_deleted: i64,
}

impl Row {
    fn cell(&mut self, write: &Write, column: Column, key: i32, value: Option<i32>) {
        let ttl = if value.is_some() { write.ttl } else { 0 };
        let written = match value {
            Some(value) => (write.timestamp, false, ttl > 0, ttl, value as u32, value),
            None => (write.timestamp, true, false, 0, 0, 0),
        };
        self.cells.entry((column, key)).or_default().push(written);
    }

    fn clear(&mut self, column: Column, until: i64) {
        let cleared = self.cleared.entry(column).or_insert(i64::MIN);
        *cleared = until.max(*cleared);
    }

    fn change(&mut self, write: &Write, change: &Change) {
        let column = change.column();
        match change {
            Change::Cell(_, value) => self.cell(write, column, -1, *value),
            Change::Entry(key, value) => self.cell(write, column, *key, *value),
            Change::Field(value) => self.cell(write, column, 0, *value),
            Change::Map(entries) => {
                self.clear(column, write.timestamp - 1);
                for (key, value) in entries {
                    self.cell(write, column, *key, Some(*value));
                }
            }
            Change::WithoutKeys(keys) | Change::Without(_, keys) => {
                keys.iter().for_each(|key| self.cell(write, column, *key, None));
            }
            Change::Set(_, keys) => {
                self.clear(column, write.timestamp - 1);
                keys.iter().for_each(|key| self.cell(write, column, *key, Some(0)));
            }
            Change::With(_, keys) => {
                keys.iter().for_each(|key| self.cell(write, column, *key, Some(0)));
            }
            Change::Fields(a, b) => {
                self.clear(column, write.timestamp - 1);
                for (key, value) in [(0, a), (1, b)] {
                    if value.is_some() {
                        self.cell(write, column, key, *value);
                    }
                }
            }
        }
    }

    /// The cells that live when all until then is deleted: values with their ages.
    fn live(&self, deleted: i64) -> BTreeMap<Path, (i32, i64)> {
        let mut live = BTreeMap::new();
        for (path, written) in &self.cells {
            let cleared = self.cleared.get(&path.0).copied().unwrap_or(i64::MIN);
            let winner = written.iter().filter(|w| w.0 > deleted.max(cleared)).max();
            if let Some((timestamp, false, _, _, _, value)) = winner {
                live.insert(*path, (*value, *timestamp));
            }
        }
        live
    }
}

/// What `content` selects of a row.
fn shown(live: &BTreeMap<Path, (i32, i64)>, column: Column) -> String {
    let elements: Vec<(i32, i32)> = live
        .iter()
        .filter(|((c, _), _)| *c == column)
        .map(|((_, key), (value, _))| (*key, *value))
        .collect();
    if elements.is_empty() {
        return "null".to_owned();
    }
    let join = |parts: Vec<String>| parts.join(", ");
    match column {
        Column::V | Column::W | Column::S => elements[0].1.to_string(),
        Column::M => {
            format!("{{{}}}", join(elements.iter().map(|(k, v)| format!("\"{k}\": {v}")).collect()))
        }
        Column::Z | Column::Sz => {
            format!("[{}]", join(elements.iter().map(|(k, _)| k.to_string()).collect()))
        }
        Column::U => {
            let field = |key: i32| {
                let found = elements.iter().find(|(k, _)| *k == key);
                found.map_or_else(|| "null".to_owned(), |(_, v)| v.to_string())
            };
            format!("{{\"a\": {}, \"b\": {}}}", field(0), field(1))
        }
    }
}

/// `p | c | s | sz | v | w | m | z | u | writetime(s) | writetime(v)`, by p and c.
pub(super) fn content<'w>(writes: impl IntoIterator<Item = &'w Write>) -> Vec<String> {
    let mut partitions: BTreeMap<i32, Partition> = BTreeMap::new();
    for write in writes {
        let partition = partitions
            .entry(write.p)
            .or_insert_with(|| Partition { all_deleted: i64::MIN, ..Partition::default() });
        match &write.kind {
            Kind::Insert(c, v, w) => {
                let row = partition.rows.entry(*c).or_default();
                row.markers.push(write.timestamp);
                for (column, value) in [(Column::V, v), (Column::W, w)] {
                    if let Some(value) = value {
                        row.cell(write, column, -1, *value);
                    }
                }
            }
            Kind::Update(c, change) => match change.column().is_static() {
                true => partition.shared.change(write, change),
                false => partition.rows.entry(*c).or_default().change(write, change),
            },
            Kind::DeleteColumn(c, column) => {
                let row = match column.is_static() {
                    true => &mut partition.shared,
                    false => partition.rows.entry(*c).or_default(),
                };
                match column {
                    Column::V | Column::W | Column::S => row.cell(write, *column, -1, None),
                    _ => row.clear(*column, write.timestamp),
                }
            }
            Kind::DeleteRow(c) => partition.deleted.push((*c, *c, write.timestamp)),
            Kind::DeleteRange(from, to) => {
                let from = from.map_or(i32::MIN, |(c, included)| if included { c } else { c + 1 });
                let to = to.map_or(i32::MAX, |(c, included)| if included { c } else { c - 1 });
                partition.deleted.push((from, to, write.timestamp));
            }
            Kind::DeletePartition => {
                partition.all_deleted = partition.all_deleted.max(write.timestamp);
            }
        }
    }
    let mut lines = Vec::new();
    for (p, partition) in &partitions {
        let shared = partition.shared.live(partition.all_deleted);
        let age = |live: &BTreeMap<Path, (i32, i64)>, column| {
            let found = live.get(&(column, -1));
            found.map_or_else(|| "null".to_owned(), |(_, timestamp)| timestamp.to_string())
        };
        let statics = format!("{} | {}", shown(&shared, Column::S), shown(&shared, Column::Sz));
        let mut alive = BTreeSet::new();
        for (c, row) in &partition.rows {
            let deleted = partition
                .deleted
                .iter()
                .filter(|(from, to, _)| from <= c && c <= to)
                .map(|(_, _, until)| *until)
                .fold(partition.all_deleted, i64::max);
            let live = row.live(deleted);
            if live.is_empty() && !row.markers.iter().any(|marker| *marker > deleted) {
                continue;
            }
            alive.insert(c);
            let columns = [Column::V, Column::W, Column::M, Column::Z, Column::U];
            let columns = columns.map(|column| shown(&live, column)).join(" | ");
            lines.push(format!(
                "{p} | {c} | {statics} | {columns} | {} | {}",
                age(&shared, Column::S),
                age(&live, Column::V)
            ));
        }
        if alive.is_empty() && !shared.is_empty() {
            let nulls = ["null"; 5].join(" | ");
            lines.push(format!(
                "{p} | null | {statics} | {nulls} | {} | null",
                age(&shared, Column::S)
            ));
        }
    }
    lines
}
