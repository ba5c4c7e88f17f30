//! A write at random, and the statement that it is.

use proptest::prelude::*;

/// What a column is set to, or added to it.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// `v`, `w` and the static `s`: a value or null.
    Cell(Column, Option<i32>),
    /// `m`: overwritten with these keys and values (none: null).
    Map(Vec<(i32, i32)>),
    /// `m[k]`: a value or null.
    Entry(i32, Option<i32>),
    /// `m`: keys taken away.
    WithoutKeys(Vec<i32>),
    /// `z`, or the static `sz`: overwritten with these (none: null).
    Set(Column, Vec<i32>),
    /// The same: added to.
    With(Column, Vec<i32>),
    /// The same: taken from.
    Without(Column, Vec<i32>),
    /// `u`: overwritten with these fields.
    Fields(Option<i32>, Option<i32>),
    /// `u.a`.
    Field(Option<i32>),
}

/// Columns by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    V,
    W,
    M,
    Z,
    U,
    S,
    Sz,
}

impl Column {
    pub(super) fn name(self) -> &'static str {
        match self {
            Column::V => "v",
            Column::W => "w",
            Column::M => "m",
            Column::Z => "z",
            Column::U => "u",
            Column::S => "s",
            Column::Sz => "sz",
        }
    }

    pub(super) fn is_static(self) -> bool {
        matches!(self, Column::S | Column::Sz)
    }
}

impl Change {
    pub(super) fn column(&self) -> Column {
        match self {
            Change::Cell(column, _)
            | Change::Set(column, _)
            | Change::With(column, _)
            | Change::Without(column, _) => *column,
            Change::Map(_) | Change::Entry(..) | Change::WithoutKeys(_) => Column::M,
            Change::Fields(..) | Change::Field(_) => Column::U,
        }
    }
}

/// What happens to a row `c` of partition `p`, or to more of it.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// INSERT: a marker, and `v` and `w` where given.
    Insert(i32, Option<Option<i32>>, Option<Option<i32>>),
    /// UPDATE of one column.
    Update(i32, Change),
    /// DELETE of a column.
    DeleteColumn(i32, Column),
    DeleteRow(i32),
    /// DELETE of rows from (included or not) to (included or not).
    DeleteRange(Option<(i32, bool)>, Option<(i32, bool)>),
    DeletePartition,
}

/// A statement.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) p: i32,
    pub(super) timestamp: i64,
    /// In thousands of seconds, so that which of two dies first is no matter of when they
    /// are written; 0: none.
    pub(super) ttl: i32,
    pub(super) kind: Kind,
}

pub(super) const TABLE: &str = "p int, c int, v int, w int, m map<int, int>, z set<int>, u ud, \
                                s int static, sz set<int> static, PRIMARY KEY (p, c)";

fn or_null(value: &Option<i32>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn list(values: &[i32]) -> String {
    values.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}

fn assignment(change: &Change) -> String {
    let name = change.column().name();
    match change {
        Change::Cell(_, value) => format!("{name} = {}", or_null(value)),
        Change::Map(entries) => {
            let entries: Vec<String> = entries.iter().map(|(k, v)| format!("{k}: {v}")).collect();
            format!("m = {{{}}}", entries.join(", "))
        }
        Change::Entry(key, value) => format!("m[{key}] = {}", or_null(value)),
        Change::WithoutKeys(keys) => format!("m = m - {{{}}}", list(keys)),
        Change::Set(_, values) => format!("{name} = {{{}}}", list(values)),
        Change::With(_, values) => format!("{name} = {name} + {{{}}}", list(values)),
        Change::Without(_, values) => format!("{name} = {name} - {{{}}}", list(values)),
        Change::Fields(a, b) => format!("u = {{a: {}, b: {}}}", or_null(a), or_null(b)),
        Change::Field(a) => format!("u.a = {}", or_null(a)),
    }
}

impl Write {
    pub(super) fn statement(&self) -> String {
        let p = self.p;
        let timestamp = self.timestamp;
        let ttl = match self.ttl {
            0 => String::new(),
            ttl => format!(" AND TTL {}", i64::from(ttl) * 1000),
        };
        let delete = |what: &str, rest: &str| {
            format!("DELETE {what} FROM t USING TIMESTAMP {timestamp} WHERE p = {p}{rest}")
        };
        match &self.kind {
            Kind::Insert(c, v, w) => {
                let (mut names, mut values) = (String::new(), String::new());
                for (name, value) in [("v", v), ("w", w)] {
                    if let Some(value) = value {
                        names.push_str(&format!(", {name}"));
                        values.push_str(&format!(", {}", or_null(value)));
                    }
                }
                format!(
                    "INSERT INTO t (p, c{names}) VALUES ({p}, {c}{values}) \
                     USING TIMESTAMP {timestamp}{ttl}"
                )
            }
            Kind::Update(c, change) => {
                let row = match change.column().is_static() {
                    true => String::new(),
                    false => format!(" AND c = {c}"),
                };
                let change = assignment(change);
                format!("UPDATE t USING TIMESTAMP {timestamp}{ttl} SET {change} WHERE p = {p}{row}")
            }
            Kind::DeleteColumn(c, column) => match column.is_static() {
                true => delete(column.name(), ""),
                false => delete(column.name(), &format!(" AND c = {c}")),
            },
            Kind::DeleteRow(c) => delete("", &format!(" AND c = {c}")),
            Kind::DeleteRange(from, to) => {
                let bound = |bound: &Option<(i32, bool)>, sign: &str| match bound {
                    Some((c, included)) => {
                        format!(" AND c {sign}{} {c}", if *included { "=" } else { "" })
                    }
                    None => String::new(),
                };
                delete("", &format!("{}{}", bound(from, ">"), bound(to, "<")))
            }
            Kind::DeletePartition => delete("", ""),
        }
    }
}

fn small() -> impl Strategy<Value = i32> + Clone {
    -1..4i32
}

fn several() -> impl Strategy<Value = Vec<i32>> {
    prop::collection::btree_set(0..4i32, 0..3).prop_map(|set| set.into_iter().collect())
}

fn change() -> impl Strategy<Value = Change> {
    let value = || prop::option::weighted(0.8, small());
    let set = || prop::sample::select(vec![Column::Z, Column::Sz]);
    prop_oneof![
        4 => (prop::sample::select(vec![Column::V, Column::W, Column::S]), value())
            .prop_map(|(column, value)| Change::Cell(column, value)),
        1 => prop::collection::btree_map(0..4i32, small(), 0..3)
            .prop_map(|map| Change::Map(map.into_iter().collect())),
        1 => (0..4i32, value()).prop_map(|(key, value)| Change::Entry(key, value)),
        1 => several().prop_map(Change::WithoutKeys),
        1 => (set(), several()).prop_map(|(column, values)| Change::Set(column, values)),
        1 => (set(), several()).prop_map(|(column, values)| Change::With(column, values)),
        1 => (set(), several()).prop_map(|(column, values)| Change::Without(column, values)),
        1 => (value(), value()).prop_map(|(a, b)| Change::Fields(a, b)),
        1 => value().prop_map(Change::Field),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    let given = || prop::option::of(prop::option::weighted(0.8, small()));
    let columns =
        vec![Column::V, Column::W, Column::M, Column::Z, Column::U, Column::S, Column::Sz];
    let bound = || prop::option::weighted(0.8, (0..4i32, any::<bool>()));
    prop_oneof![
        4 => (0..4i32, given(), given()).prop_map(|(c, v, w)| Kind::Insert(c, v, w)),
        8 => (0..4i32, change()).prop_map(|(c, change)| Kind::Update(c, change)),
        2 => (0..4i32, prop::sample::select(columns)).prop_map(|(c, column)| Kind::DeleteColumn(c, column)),
        1 => (0..4i32).prop_map(Kind::DeleteRow),
        1 => (bound(), bound())
            .prop_filter("no bound: a partition's", |(from, to)| from.is_some() || to.is_some())
            .prop_map(|(from, to)| Kind::DeleteRange(from, to)),
        1 => Just(Kind::DeletePartition),
    ]
}

/// Any, in two partitions of four rows, at one of so many times from `base` on.
pub(super) fn writes(base: i64, times: i64, most: usize) -> impl Strategy<Value = Vec<Write>> {
    let ttl = prop_oneof![3 => Just(0), 1 => 1..4i32];
    let write = (0..2i32, 0..times, ttl, kind()).prop_map(move |(p, time, ttl, kind)| Write {
        p,
        timestamp: base + time,
        ttl,
        kind,
    });
    prop::collection::vec(write, 1..most)
}
