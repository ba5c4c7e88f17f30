//! Random conditional writes, alone and several in a batch, against a model of the rows: what
//! is applied, what is returned, what is there afterwards.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::node::Node;
use crate::testing::cases;

/// A row of the one partition; gone when it has neither a marker nor a value.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    inserted: bool,
    v: Option<i32>,
    m: BTreeMap<i32, i32>,
}

impl Row {
    fn exists(&self) -> bool {
        self.inserted || self.v.is_some() || !self.m.is_empty()
    }

    fn m_text(&self) -> String {
        if self.m.is_empty() {
            return "null".to_owned();
        }
        let entries: Vec<String> =
            self.m.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{{}}}", entries.join(", "))
    }
}

#[derive(Debug, Clone, Default)]
struct Partition {
    rows: BTreeMap<i32, Row>,
    s: Option<i32>,
}

#[derive(Debug, Clone, Copy)]
enum Sign {
    Eq,
    Ne,
    Lt,
    Ge,
}

#[derive(Debug, Clone)]
enum Condition {
    Exists,
    NotExists,
    V(Sign, i32),
    VNull(bool),
    VIn(Vec<Option<i32>>),
    Entry(i32, Option<i32>),
    S(Sign, i32),
    /// Several at once.
    VAndS(i32, Option<i32>),
}

#[derive(Debug, Clone)]
enum Effect {
    Insert(Option<i32>),
    SetV(Option<i32>),
    SetEntry(i32, Option<i32>),
    SetS(Option<i32>),
    Delete,
}

#[derive(Debug, Clone)]
struct Statement {
    c: i32,
    condition: Option<Condition>,
    effect: Effect,
}

fn text(value: Option<i32>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

impl Sign {
    fn text(self) -> &'static str {
        match self {
            Sign::Eq => "=",
            Sign::Ne => "!=",
            Sign::Lt => "<",
            Sign::Ge => ">=",
        }
    }

    /// Null is unequal to any value, and neither less nor greater.
    fn holds(self, left: Option<i32>, right: i32) -> bool {
        match (self, left) {
            (Sign::Ne, None) => true,
            (_, None) => false,
            (Sign::Eq, Some(left)) => left == right,
            (Sign::Ne, Some(left)) => left != right,
            (Sign::Lt, Some(left)) => left < right,
            (Sign::Ge, Some(left)) => left >= right,
        }
    }
}

impl Condition {
    fn text(&self) -> String {
        match self {
            Condition::Exists => "EXISTS".to_owned(),
            Condition::NotExists => "NOT EXISTS".to_owned(),
            Condition::V(sign, value) => format!("v {} {value}", sign.text()),
            Condition::VNull(true) => "v = null".to_owned(),
            Condition::VNull(false) => "v != null".to_owned(),
            Condition::VIn(values) => {
                let values: Vec<String> = values.iter().map(|value| text(*value)).collect();
                format!("v IN ({})", values.join(", "))
            }
            Condition::Entry(key, value) => format!("m[{key}] = {}", text(*value)),
            Condition::S(sign, value) => format!("s {} {value}", sign.text()),
            Condition::VAndS(v, s) => format!("v = {v} AND s = {}", text(*s)),
        }
    }

    fn holds(&self, partition: &Partition, c: i32, is_static: bool) -> bool {
        let row = partition.rows.get(&c).cloned().unwrap_or_default();
        let exists = if is_static { partition.s.is_some() } else { row.exists() };
        match self {
            Condition::Exists => exists,
            Condition::NotExists => !exists,
            Condition::V(sign, value) => sign.holds(row.v, *value),
            Condition::VNull(null) => row.v.is_none() == *null,
            Condition::VIn(values) => values.contains(&row.v),
            Condition::Entry(key, value) => row.m.get(key).copied() == *value,
            Condition::S(sign, value) => sign.holds(partition.s, *value),
            Condition::VAndS(v, s) => row.v == Some(*v) && partition.s == *s,
        }
    }

    /// Whether it is about the row, and not static columns alone.
    fn is_of_row(&self) -> bool {
        !matches!(self, Condition::S(..))
    }
}

impl Statement {
    fn is_static(&self) -> bool {
        matches!(self.effect, Effect::SetS(_))
    }

    fn text(&self) -> String {
        let c = self.c;
        let condition = match &self.condition {
            Some(condition) => format!(" IF {}", condition.text()),
            None => String::new(),
        };
        let update = |set: String| format!("UPDATE t SET {set} WHERE p = 1 AND c = {c}{condition}");
        match &self.effect {
            Effect::Insert(v) => {
                format!("INSERT INTO t (p, c, v) VALUES (1, {c}, {}){condition}", text(*v))
            }
            Effect::SetV(v) => update(format!("v = {}", text(*v))),
            Effect::SetEntry(key, value) => update(format!("m[{key}] = {}", text(*value))),
            Effect::SetS(s) => format!("UPDATE t SET s = {} WHERE p = 1{condition}", text(*s)),
            Effect::Delete => format!("DELETE FROM t WHERE p = 1 AND c = {c}{condition}"),
        }
    }

    fn apply(&self, partition: &mut Partition) {
        let row = partition.rows.entry(self.c).or_default();
        match &self.effect {
            Effect::Insert(v) => *row = Row { inserted: true, v: *v, ..row.clone() },
            Effect::SetV(v) => row.v = *v,
            Effect::SetEntry(key, Some(value)) => {
                row.m.insert(*key, *value);
            }
            Effect::SetEntry(key, None) => {
                row.m.remove(key);
            }
            Effect::SetS(s) => partition.s = *s,
            Effect::Delete => *row = Row::default(),
        }
    }
}

fn number() -> impl Strategy<Value = Option<i32>> {
    prop::option::weighted(0.8, 0..3i32)
}

fn sign() -> impl Strategy<Value = Sign> {
    prop::sample::select(vec![Sign::Eq, Sign::Ne, Sign::Lt, Sign::Ge])
}

fn statement() -> impl Strategy<Value = Statement> {
    let condition = prop_oneof![
        2 => Just(Condition::Exists),
        3 => (sign(), 0..3i32).prop_map(|(sign, value)| Condition::V(sign, value)),
        1 => any::<bool>().prop_map(Condition::VNull),
        1 => prop::collection::vec(number(), 0..3).prop_map(Condition::VIn),
        1 => (0..2i32, number()).prop_map(|(key, value)| Condition::Entry(key, value)),
        2 => (sign(), 0..3i32).prop_map(|(sign, value)| Condition::S(sign, value)),
        1 => (0..3i32, number()).prop_map(|(v, s)| Condition::VAndS(v, s)),
    ];
    let effect = prop_oneof![
        3 => number().prop_map(Effect::Insert),
        3 => number().prop_map(Effect::SetV),
        2 => (0..2i32, number()).prop_map(|(key, value)| Effect::SetEntry(key, value)),
        2 => number().prop_map(Effect::SetS),
        1 => Just(Effect::Delete),
    ];
    (0..3i32, prop::option::weighted(0.8, condition), effect).prop_map(|(c, condition, effect)| {
        // INSERT has one condition only; of a row that is not named there is none.
        let condition = match (&effect, condition) {
            (Effect::Insert(_), Some(_)) => Some(Condition::NotExists),
            (Effect::SetS(_), Some(condition)) => Some(match condition {
                Condition::S(..) | Condition::Exists => condition,
                _ => Condition::S(Sign::Eq, 1),
            }),
            (_, condition) => condition,
        };
        Statement { c, condition, effect }
    })
}

/// Several of a batch, each about something else, at least one with a condition.
fn transaction() -> impl Strategy<Value = Vec<Statement>> {
    prop::collection::vec(statement(), 1..4).prop_map(|mut statements| {
        let mut seen = Vec::new();
        statements.retain(|statement| {
            let about = if statement.is_static() { -1 } else { statement.c };
            let new = !seen.contains(&about);
            seen.push(about);
            new
        });
        if statements.iter().all(|statement| statement.condition.is_none()) {
            statements[0].condition = Some(match statements[0].effect {
                Effect::Insert(_) => Condition::NotExists,
                _ => Condition::Exists,
            });
        }
        statements
    })
}

fn content(node: &mut Node) -> Vec<String> {
    node.rows("SELECT c, s, v, m FROM t WHERE p = 1")
}

fn expected(partition: &Partition) -> Vec<String> {
    let s = text(partition.s);
    let alive: Vec<String> = partition
        .rows
        .iter()
        .filter(|(_, row)| row.exists())
        .map(|(c, row)| format!("{c} | {s} | {} | {}", text(row.v), row.m_text()))
        .collect();
    if alive.is_empty() && partition.s.is_some() {
        return vec![format!("null | {s} | null | null")];
    }
    alive
}

/// What a statement alone returns of the columns it asks about.
fn returned(statement: &Statement, condition: &Condition, partition: &Partition) -> String {
    let row = partition.rows.get(&statement.c).filter(|row| row.exists());
    let v = text(row.and_then(|row| row.v));
    let s = text(partition.s);
    match condition {
        Condition::V(..) | Condition::VNull(_) | Condition::VIn(_) => v,
        Condition::Entry(..) => row.map_or_else(|| "null".to_owned(), Row::m_text),
        Condition::S(..) => s,
        Condition::VAndS(..) => format!("{s} | {v}"),
        Condition::Exists | Condition::NotExists if statement.is_static() => {
            // The partition's static row, which is there as soon as anything is.
            let any = partition.s.is_some() || partition.rows.values().any(Row::exists);
            format!("{} | null | {s} | null | null", if any { "1" } else { "null" })
        }
        Condition::Exists | Condition::NotExists => match row {
            Some(row) => format!("1 | {} | {s} | {} | {v}", statement.c, row.m_text()),
            None => "null | null | null | null | null".to_owned(),
        },
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn a_transaction_is_applied_as_a_whole_if_its_conditions_hold(
        transactions in prop::collection::vec(transaction(), 1..25), logged in any::<bool>(),
    ) {
        let mut node = Node::with(&[
            "CREATE TABLE t (p int, c int, s int static, v int, m map<int, int>, PRIMARY KEY (p, c)) \
             WITH cdc = {'enabled': true}",
        ]);
        let mut partition = Partition::default();
        for statements in &transactions {
            let applies = statements.iter().all(|statement| {
                let is_static = statement.is_static();
                statement
                    .condition
                    .as_ref()
                    .is_none_or(|condition| condition.holds(&partition, statement.c, is_static))
            });
            let before = node.rows("SELECT count(*) FROM t_scylla_cdc_log");
            let texts: Vec<String> = statements.iter().map(Statement::text).collect();
            let rows = match texts.as_slice() {
                [text] => node.rows(text),
                texts => {
                    let kind = if logged { "" } else { "UNLOGGED " };
                    node.rows(&format!("BEGIN {kind}BATCH {}; APPLY BATCH", texts.join("; ")))
                }
            };
            prop_assert_eq!(rows.len(), statements.len());
            for row in &rows {
                prop_assert!(row.starts_with(&format!("{applies} | ")), "{:?}: {}", texts, row);
            }
            if let ([statement], [row]) = (statements.as_slice(), rows.as_slice())
                && let Some(condition) = &statement.condition
            {
                let values = returned(statement, condition, &partition);
                prop_assert_eq!(row, &format!("{applies} | {values}"), "{:?}", texts);
            }
            // Of a batch: the keys, for a statement whose row is there and was looked at.
            for (statement, row) in statements.iter().zip(&rows).filter(|_| statements.len() > 1) {
                let is_there = partition.rows.get(&statement.c).is_some_and(Row::exists);
                let is_read = statement.condition.as_ref().is_some_and(Condition::is_of_row);
                if !statement.is_static() && is_there && is_read {
                    let keys = format!("{applies} | 1 | {} | ", statement.c);
                    prop_assert!(row.starts_with(&keys), "{:?}: {}", texts, row);
                }
            }
            if applies {
                statements.iter().for_each(|statement| statement.apply(&mut partition));
            } else {
                prop_assert_eq!(node.rows("SELECT count(*) FROM t_scylla_cdc_log"), before);
            }
            prop_assert_eq!(content(&mut node), expected(&partition), "{:?}", texts);
        }
    }
}
