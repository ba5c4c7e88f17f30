//! The log of a random history says what happened: replayed elsewhere it makes the same
//! table, its images are the rows before and after, its records are whole.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use proptest::prelude::*;

use super::super::node::{Node, bigint, int};
use super::content::{content, run, table};
use super::model;
use super::write::{Kind, TABLE, Write, writes};
use crate::request::Value;
use crate::testing::cases;
use crate::types::to_text;

const PREIMAGE: i8 = 0;
const INSERT: i8 = 2;
const POSTIMAGE: i8 = 9;

/// A row of the log: what it has of each column.
struct Logged {
    values: HashMap<String, Bytes>,
    /// `p | c | s | …`, as text.
    shown: String,
}

impl Logged {
    fn value(&self, name: &str) -> Option<Value> {
        self.values.get(name).cloned().map(Value::Bytes)
    }

    fn operation(&self) -> i8 {
        self.values["cdc$operation"][0] as i8
    }

    fn sequence(&self) -> i32 {
        i32::from_be_bytes(self.values["cdc$batch_seq_no"].as_ref().try_into().unwrap())
    }

    fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The write's timestamp: that of the version 1 uuid.
    fn timestamp(&self) -> i64 {
        let time: [u8; 16] = self.values["cdc$time"].as_ref().try_into().unwrap();
        let (ticks, _) = uuid::Uuid::from_bytes(time).get_timestamp().unwrap().to_gregorian();
        i64::try_from(ticks / 10).unwrap() - 12_219_292_800_000_000
    }
}

const BASE: [&str; 9] = ["p", "c", "s", "sz", "v", "w", "m", "z", "u"];

/// The log's records by time, each with its rows in order.
fn records(node: &mut Node) -> Vec<Vec<Logged>> {
    let rows = node.rows_of("SELECT * FROM t_scylla_cdc_log", Vec::new());
    let mut data = rows.data.clone();
    let mut records: BTreeMap<(i64, Bytes), Vec<Logged>> = BTreeMap::new();
    for _ in 0..rows.count {
        let mut values = HashMap::new();
        let mut texts = HashMap::new();
        for column in rows.columns.iter() {
            let length = i32::from_be_bytes(data.split_to(4).as_ref().try_into().unwrap());
            if let Ok(length) = usize::try_from(length) {
                let value = data.split_to(length);
                texts.insert(column.name.clone(), to_text(&column.cql_type, &value));
                values.insert(column.name.clone(), value);
            }
        }
        let null = || "null".to_owned();
        let shown = BASE.map(|name| texts.get(name).cloned().unwrap_or_else(null)).join(" | ");
        let logged = Logged { values, shown };
        let key = (logged.timestamp(), logged.values["cdc$time"].clone());
        records.entry(key).or_default().push(logged);
    }
    records.into_values().collect()
}

/// Does to table `r` what a row of the log says.
fn replay(node: &mut Node, start: &mut Option<(Option<Value>, &'static str)>, logged: &Logged) {
    let timestamp = bigint(logged.timestamp());
    let mut run = |text: String, values: Vec<Value>| {
        if let Err(error) = node.try_run(&text, values) {
            panic!("{text}: {error}");
        }
    };
    let p = logged.value("p").unwrap();
    let c = logged.value("c");
    let ttl = logged.values.get("cdc$ttl").map_or(0, |ttl| {
        i32::try_from(i64::from_be_bytes(ttl.as_ref().try_into().unwrap())).unwrap()
    });
    match logged.operation() {
        1 | 2 => {
            if logged.operation() == INSERT {
                let text = "INSERT INTO r (p, c) VALUES (?, ?) USING TIMESTAMP ? AND TTL ?";
                let values = vec![p.clone(), c.clone().unwrap(), timestamp.clone(), int(ttl)];
                run(text.to_owned(), values);
            }
            let row = if c.is_some() { " AND c = ?" } else { "" };
            let mut set = |assignment: &str, value: Option<Value>| {
                let text = format!(
                    "UPDATE r USING TIMESTAMP ? AND TTL ? SET {assignment} WHERE p = ?{row}"
                );
                let values = [Some(timestamp.clone()), Some(int(ttl)), value, Some(p.clone())];
                run(text, values.into_iter().chain([c.clone()]).flatten().collect());
            };
            for name in ["s", "v", "w"] {
                if let Some(value) = logged.value(name) {
                    set(&format!("{name} = ?"), Some(value));
                } else if logged.has(&format!("cdc$deleted_{name}")) {
                    set(&format!("{name} = null"), None);
                }
            }
            for name in ["m", "z", "sz", "u"] {
                let value = logged.value(name);
                if logged.has(&format!("cdc$deleted_{name}")) {
                    match value {
                        Some(value) => set(&format!("{name} = ?"), Some(value)),
                        None => set(&format!("{name} = null"), None),
                    }
                    continue;
                }
                if let Some(value) = value {
                    if name == "u" {
                        fields(&value, &mut set);
                    } else {
                        set(&format!("{name} = {name} + ?"), Some(value));
                    }
                }
                if let Some(keys) = logged.value(&format!("cdc$deleted_elements_{name}")) {
                    match name {
                        "u" => deleted_fields(&keys, &mut set),
                        _ => set(&format!("{name} = {name} - ?"), Some(keys)),
                    }
                }
            }
        }
        3 => run(
            "DELETE FROM r USING TIMESTAMP ? WHERE p = ? AND c = ?".to_owned(),
            vec![timestamp, p, c.unwrap()],
        ),
        4 => run("DELETE FROM r USING TIMESTAMP ? WHERE p = ?".to_owned(), vec![timestamp, p]),
        5 => *start = Some((c, ">=")),
        6 => *start = Some((c, ">")),
        end @ (7 | 8) => {
            let (from, sign) = start.take().expect("an end without a start");
            let mut text = "DELETE FROM r USING TIMESTAMP ? WHERE p = ?".to_owned();
            let mut values = vec![timestamp, p];
            if let Some(from) = from {
                text.push_str(&format!(" AND c {sign} ?"));
                values.push(from);
            }
            if let Some(to) = c {
                text.push_str(if end == 7 { " AND c <= ?" } else { " AND c < ?" });
                values.push(to);
            }
            run(text, values);
        }
        other => panic!("operation {other}"),
    }
}

/// The two fields of `u`: those that are there.
fn fields(value: &Value, set: &mut impl FnMut(&str, Option<Value>)) {
    let Value::Bytes(mut bytes) = value.clone() else { panic!() };
    for name in ["a", "b"] {
        let length = i32::from_be_bytes(bytes.split_to(4).as_ref().try_into().unwrap());
        if let Ok(length) = usize::try_from(length) {
            set(&format!("u.{name} = ?"), Some(Value::Bytes(bytes.split_to(length))));
        }
    }
}

fn deleted_fields(keys: &Value, set: &mut impl FnMut(&str, Option<Value>)) {
    let Value::Bytes(bytes) = keys else { panic!() };
    for index in crate::types::collection::decode_sequence(bytes).unwrap() {
        let name = if index[..] == [0, 0] { "a" } else { "b" };
        set(&format!("u.{name} = null"), None);
    }
}

fn options() -> impl Strategy<Value = String> {
    let preimage = prop::sample::select(vec!["false", "true", "'full'"]);
    (preimage, any::<bool>(), prop::sample::select(vec![0, 3600])).prop_map(
        |(preimage, postimage, ttl)| {
            format!(
                " WITH cdc = {{'enabled': true, 'preimage': {preimage}, \
                 'postimage': {postimage}, 'ttl': {ttl}}}"
            )
        },
    )
}

/// The times of a history count from now on.
fn at_once(writes: Vec<Write>, node: &Node) -> Vec<Write> {
    let now = node.engine.clock().read_micros();
    let later = |w: Write| Write { timestamp: w.timestamp + now, ..w };
    writes.into_iter().map(later).collect()
}

/// What a read does not tell apart: a collection without elements is null.
fn plain(line: &str) -> String {
    let column = |column: &str| match column {
        "[]" | "{}" | "{\"a\": null, \"b\": null}" => "null".to_owned(),
        other => other.to_owned(),
    };
    line.split(" | ").map(column).collect::<Vec<_>>().join(" | ")
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_replayed_log_makes_the_same_table(
        writes in writes(0, 6, 30), batch in 0..8usize, options in options(),
    ) {
        let mut node = table(&options);
        node.ok(&format!("CREATE TABLE r ({TABLE})"));
        let began = node.engine.clock().now_seconds();
        let writes = at_once(writes, &node);
        run(&mut node, &writes, batch);
        let records = records(&mut node);
        for record in &records {
            // Numbered through; the last one says that it is; deltas between the images.
            for (number, logged) in record.iter().enumerate() {
                prop_assert_eq!(logged.sequence() as usize, number);
                prop_assert_eq!(logged.has("cdc$end_of_batch"), number + 1 == record.len());
            }
            let place = |logged: &Logged| match logged.operation() {
                PREIMAGE => 0,
                POSTIMAGE => 2,
                _ => 1,
            };
            prop_assert!(record.is_sorted_by_key(place));
        }
        for record in &records {
            let mut start = None;
            for logged in record {
                if !matches!(logged.operation(), PREIMAGE | POSTIMAGE) {
                    replay(&mut node, &mut start, logged);
                }
            }
            prop_assert!(start.is_none());
        }
        prop_assume!(node.engine.clock().now_seconds() == began);
        let expected = model::content(&writes);
        prop_assert_eq!(content(&mut node, "t"), expected.clone());
        prop_assert_eq!(content(&mut node, "r"), expected);
    }

    #[test]
    fn keys_alone_are_logged_as_the_whole_without_its_values(
        writes in writes(0, 6, 20), batch in 0..8usize,
    ) {
        let mut whole = table(" WITH cdc = {'enabled': true}");
        let mut keys = table(" WITH cdc = {'enabled': true, 'delta': 'keys'}");
        let writes = at_once(writes, &whole);
        run(&mut whole, &writes, batch);
        run(&mut keys, &writes, batch);
        let key = |logged: &Logged| {
            let columns = ["p", "c", "cdc$batch_seq_no", "cdc$operation", "cdc$ttl", "cdc$end_of_batch"];
            let text = columns.map(|name| format!("{:?}", logged.values.get(name))).join(" ");
            (logged.timestamp(), text)
        };
        let list = |node: &mut Node| {
            let mut all: Vec<_> = records(node).iter().flatten().map(key).collect();
            all.sort();
            all
        };
        prop_assert_eq!(list(&mut whole), list(&mut keys));
        for logged in records(&mut keys).iter().flatten() {
            let mut names = logged.values.keys();
            prop_assert!(names.all(|name| ["p", "c", "cdc$stream_id", "cdc$time"].contains(&name.as_str())
                || ["cdc$batch_seq_no", "cdc$operation", "cdc$ttl", "cdc$end_of_batch"].contains(&name.as_str())));
        }
    }

    #[test]
    fn images_are_the_row_before_and_after(writes in writes(0, 1, 25)) {
        let mut node = table(" WITH cdc = {'enabled': true, 'preimage': 'full', 'postimage': true}");
        let now = node.engine.clock().read_micros();
        let row = |node: &mut Node, write: &Write| -> Option<(bool, String)> {
            let (c, shared) = match &write.kind {
                Kind::Insert(c, ..) | Kind::DeleteRow(c) => (*c, false),
                Kind::Update(c, change) => (*c, change.column().is_static()),
                Kind::DeleteColumn(c, column) => (*c, column.is_static()),
                Kind::DeleteRange(..) | Kind::DeletePartition => return None,
            };
            let p = write.p;
            let found = if shared {
                node.rows(&format!("SELECT DISTINCT p, s, sz FROM t WHERE p = {p}"))
                    .pop()
                    .filter(|line| !line.ends_with("null | null"))
                    .and_then(|line| line.split_once(" | ").map(|(_, rest)| rest.to_owned()))
                    .map(|rest| format!("{p} | null | {rest}{}", " | null".repeat(5)))
            } else {
                node.rows(&format!("SELECT v, w, m, z, u FROM t WHERE p = {p} AND c = {c}"))
                    .pop()
                    .map(|rest| format!("{p} | {c} | null | null | {rest}"))
            };
            Some((shared, found.unwrap_or_default()))
        };
        for (i, write) in writes.into_iter().enumerate() {
            let write = Write { timestamp: now + 10 * i as i64, ..write };
            let before = row(&mut node, &write);
            let logged = records(&mut node).len();
            node.ok(&write.statement());
            let after = row(&mut node, &write);
            let mut all = records(&mut node);
            let record = if all.len() == logged { Vec::new() } else { all.pop().unwrap() };
            let image = |operation: i8| {
                let found = record.iter().find(|logged| logged.operation() == operation);
                found.map(|logged| plain(&logged.shown))
            };
            let (Some((shared, before)), Some((_, after))) = (before, after) else {
                prop_assert!(image(PREIMAGE).is_none() && image(POSTIMAGE).is_none());
                continue;
            };
            if record.is_empty() {
                // Nothing was written: what is added or taken away is no element at all.
                prop_assert_eq!(before, after);
                continue;
            }
            prop_assert_eq!(image(PREIMAGE).unwrap_or_default(), before, "{:?}", write);
            match image(POSTIMAGE) {
                Some(image) if after.is_empty() => {
                    // The keys alone of what is left without a value.
                    let nulls = image.matches("null").count();
                    prop_assert_eq!(nulls, if shared { 8 } else { 7 }, "{}", image);
                }
                image => prop_assert_eq!(image.unwrap_or_default(), after, "{:?}", write),
            }
        }
    }
}
