//! Tables as ScyllaDB keeps them, as far as projections use them: cells with timestamps,
//! the last write wins, and of two at one time the deletion.

use std::collections::BTreeMap;

use messina::projection::WriteDescription;

/// Names and values of a key's columns.
pub type Key = Vec<(&'static str, String)>;
/// Names and values of a row's other columns.
pub type Cells = BTreeMap<&'static str, String>;

#[derive(Debug, Default)]
pub struct Tables {
    rows: BTreeMap<(&'static str, Key), Row>,
}

#[derive(Debug)]
struct Row {
    /// Of the latest put: a row is there even if all its columns are null.
    put: i64,
    deleted: i64,
    cells: BTreeMap<&'static str, Cell>,
}

/// Ordered as cells win: by time, then a deletion over a value, then the greater value.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    written: i64,
    cleared: bool,
    value: Option<String>,
}

impl Tables {
    /// Executes an event's writes, the n-th at `committed_at` + n.
    pub fn execute(&mut self, writes: Vec<WriteDescription>, committed_at: i64) {
        for (write, at) in writes.into_iter().zip(committed_at..) {
            let row = self.rows.entry((write.table, write.keys)).or_insert(Row {
                put: i64::MIN,
                deleted: i64::MIN,
                cells: BTreeMap::new(),
            });
            if write.delete {
                row.deleted = row.deleted.max(at);
                continue;
            }
            row.put = row.put.max(at);
            for (name, value) in write.columns {
                let new = Cell { written: at, cleared: value.is_none(), value };
                let cell = row.cells.entry(name);
                cell.and_modify(|old| {
                    if new > *old {
                        *old = Cell { value: new.value.clone(), ..new };
                    }
                })
                .or_insert(new);
            }
        }
    }

    /// What a query sees.
    pub fn rows(&self) -> BTreeMap<(&'static str, Key), Cells> {
        let visible = |row: &Row| {
            let cells: Cells = row
                .cells
                .iter()
                .filter(|(_, cell)| cell.written > row.deleted)
                .filter_map(|(name, cell)| Some((*name, cell.value.clone()?)))
                .collect();
            (row.put > row.deleted || !cells.is_empty()).then_some(cells)
        };
        self.rows.iter().filter_map(|(key, row)| Some((key.clone(), visible(row)?))).collect()
    }

    /// The rows of one table.
    pub fn rows_of(&self, table: &str) -> Vec<(Key, Cells)> {
        let all = self.rows().into_iter();
        all.filter(|((name, _), _)| *name == table).map(|((_, key), row)| (key, row)).collect()
    }
}

#[test]
fn a_late_write_changes_nothing_that_is_newer() {
    use messina::projection::Writes;

    let mut tables = Tables::default();
    let put = |note: Option<&'static str>| {
        let mut writes = Writes::default();
        writes.put("t").key("id", 1_i32).set("note", note);
        writes.describe()
    };
    let delete = || {
        let mut writes = Writes::default();
        writes.delete("t").key("id", 1_i32);
        writes.describe()
    };
    tables.execute(put(Some("second")), 20);
    tables.execute(put(Some("first")), 10);
    assert_eq!(tables.rows_of("t")[0].1["note"], "Some(\"second\")");
    tables.execute(delete(), 15);
    assert_eq!(tables.rows_of("t").len(), 1);
    tables.execute(put(None), 30);
    assert!(tables.rows_of("t")[0].1.is_empty(), "the row is there, its column is not");
    tables.execute(delete(), 30);
    assert!(tables.rows_of("t").is_empty(), "of two at one time the deletion wins");
    tables.execute(put(Some("old")), 25);
    assert!(tables.rows_of("t").is_empty());
}
