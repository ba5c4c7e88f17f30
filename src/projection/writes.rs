//! What a projection writes: rows put and rows deleted, by table and column.

use std::fmt;

use scylla::serialize::value::SerializeValue;

/// What can be bound: any value that the driver serializes and a test can show. Its type
/// must fit the column's.
pub trait Bindable: SerializeValue + fmt::Debug + Send + Sync + 'static {}

impl<T: SerializeValue + fmt::Debug + Send + Sync + 'static> Bindable for T {}

/// A value to be bound.
pub(crate) type BoundValue = Box<dyn Bindable + Send + Sync>;

/// At most this many writes per event: `committed_at` advances by 10 µs from event to
/// event, and each write of an event takes the next microsecond.
pub const MAX_WRITES_PER_EVENT: usize = 10;

/// Collects an event's writes. The framework executes them as one batch, the n-th with
/// write timestamp `committed_at + n` µs: within an event the later write wins, across
/// events the later event, in whatever order and however often they are handled.
///
/// That is why there is no counter, no condition and no reading here: a write says what
/// is true after its event, whole.
#[derive(Default, Debug)]
pub struct Writes {
    pub(crate) list: Vec<Write>,
}

/// One row put or deleted.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) table: &'static str,
    pub(crate) kind: WriteKind,
    pub(crate) keys: Vec<(&'static str, BoundValue)>,
    pub(crate) columns: Vec<(&'static str, BoundValue)>,
}

/// What is done to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum WriteKind {
    Put,
    Delete,
}

impl Writes {
    /// Puts columns of a row; the row appears if it is not there. Columns that are not
    /// named stay as they are.
    ///
    /// ```
    /// # use messina::projection::Writes;
    /// # let mut writes = Writes::default();
    /// # let order_id = uuid::Uuid::nil();
    /// writes.put("order_read_model").key("order_id", order_id).set("status", "shipped");
    /// ```
    pub fn put(&mut self, table: &'static str) -> Put<'_> {
        Put { write: self.push(table, WriteKind::Put) }
    }

    /// Deletes the row (or, with a part of the key, the rows) that `key` names.
    pub fn delete(&mut self, table: &'static str) -> Delete<'_> {
        Delete { write: self.push(table, WriteKind::Delete) }
    }

    /// How many writes there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the event changes nothing here.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What has been collected, for tests of a projection.
    ///
    /// ```
    /// # use messina::projection::Writes;
    /// let mut writes = Writes::default();
    /// writes.put("orders").key("id", 7_i32).set("note", None::<String>);
    /// let put = &writes.describe()[0];
    /// assert_eq!((put.table, put.delete), ("orders", false));
    /// assert_eq!(put.keys, [("id", "7".to_owned())]);
    /// assert_eq!(put.columns, [("note", None)]);
    /// ```
    pub fn describe(&self) -> Vec<WriteDescription> {
        self.list.iter().map(Write::describe).collect()
    }

    fn push(&mut self, table: &'static str, kind: WriteKind) -> &mut Write {
        self.list.push(Write { table, kind, keys: Vec::new(), columns: Vec::new() });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }
}

/// A row put or deleted, as [`Writes::describe`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteDescription {
    /// The table.
    pub table: &'static str,
    /// Whether the row is deleted.
    pub delete: bool,
    /// Columns of the key, with values as `Debug` shows them.
    pub keys: Vec<(&'static str, String)>,
    /// The other columns; `None` is one that is cleared.
    pub columns: Vec<(&'static str, Option<String>)>,
}

impl Write {
    fn describe(&self) -> WriteDescription {
        let cleared = |text: String| (text != "None").then_some(text);
        WriteDescription {
            table: self.table,
            delete: self.kind == WriteKind::Delete,
            keys: self.keys.iter().map(|(name, value)| (*name, format!("{value:?}"))).collect(),
            columns: self
                .columns
                .iter()
                .map(|(name, value)| (*name, cleared(format!("{value:?}"))))
                .collect(),
        }
    }
}

/// A row being put. See [`Writes::put`].
pub struct Put<'w> {
    write: &'w mut Write,
}

impl Put<'_> {
    /// A column of the primary key.
    pub fn key(self, column: &'static str, value: impl Bindable) -> Self {
        self.write.keys.push((column, Box::new(value)));
        self
    }

    /// Another column; `None` clears it.
    pub fn set(self, column: &'static str, value: impl Bindable) -> Self {
        self.write.columns.push((column, Box::new(value)));
        self
    }
}

/// A row being deleted. See [`Writes::delete`].
pub struct Delete<'w> {
    write: &'w mut Write,
}

impl Delete<'_> {
    /// A column of the primary key.
    pub fn key(self, column: &'static str, value: impl Bindable) -> Self {
        self.write.keys.push((column, Box::new(value)));
        self
    }
}
