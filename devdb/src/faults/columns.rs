//! Faults as rows of `devdb.faults`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::action::{BatchPart, FaultAction};
use super::errors::{self, WRITE_TYPES};
use super::fault::{Fault, Operation};
use super::rules::FaultStatus;
use crate::error::{CqlError, ErrorKind, Result};
use crate::system::rows::{NamedValues, bigint, double, int, text};

/// The table, as CQL.
pub(super) const DEFINITION: &str = "CREATE TABLE devdb.faults (name text PRIMARY KEY, \
    action text, table_name text, operation text, statement text, skip bigint, times bigint, \
    every bigint, probability double, seed bigint, delay_ms bigint, offset_ms bigint, \
    error text, write_type text, message text, part text, rows int, seen bigint, hits bigint)";

/// Columns that every fault may have.
const COMMON: [&str; 9] = [
    "action",
    "table_name",
    "operation",
    "statement",
    "skip",
    "times",
    "every",
    "probability",
    "seed",
];

/// The actions with the columns that belong to them.
const ACTIONS: [(&str, &[&str]); 13] = [
    ("delay", &["delay_ms"]),
    ("delay_answer", &["delay_ms"]),
    ("fail_before", &["error", "write_type", "message"]),
    ("fail_after", &["error", "write_type", "message"]),
    ("drop_before", &[]),
    ("drop_after", &[]),
    ("half_batch", &["part", "delay_ms", "error", "write_type", "message"]),
    ("late_log", &["delay_ms"]),
    ("duplicate_log", &[]),
    ("short_page", &["rows"]),
    ("forget_prepared", &[]),
    ("new_generation", &["delay_ms"]),
    ("clock_offset", &["offset_ms"]),
];

const ERRORS: [&str; 5] =
    ["overloaded", "unavailable", "read_timeout", "write_timeout", "server_error"];
const PARTS: [&str; 2] = ["first", "last"];

/// The values of a row that is written, by column.
pub(super) struct Given<'a> {
    /// The fault's name.
    pub name: &'a str,
    /// Columns that are not null.
    pub values: BTreeMap<&'a str, Bytes>,
}

impl Given<'_> {
    fn refuse(&self, why: impl std::fmt::Display) -> CqlError {
        CqlError::invalid(format!("Invalid fault '{}': {why}", self.name))
    }

    pub(super) fn text(&self, column: &str) -> Result<Option<&str>> {
        let text = self.values.get(column).map(|bytes| std::str::from_utf8(bytes)).transpose();
        text.map_err(|_| self.refuse(format!("{column} is not UTF-8")))
    }

    fn one_of<'c>(&self, column: &str, choices: &[&'c str]) -> Result<Option<&'c str>> {
        let Some(given) = self.text(column)? else { return Ok(None) };
        match choices.iter().find(|choice| choice.eq_ignore_ascii_case(given)) {
            Some(choice) => Ok(Some(choice)),
            None => {
                Err(self.refuse(format!("{column} '{given}' is none of {}", choices.join(", "))))
            }
        }
    }

    pub(super) fn bigint(&self, column: &str) -> Result<Option<i64>> {
        let Some(bytes) = self.values.get(column) else { return Ok(None) };
        match bytes[..].try_into() {
            Ok(bytes) => Ok(Some(i64::from_be_bytes(bytes))),
            Err(_) => Err(self.refuse(format!("{column} has not 8 bytes"))),
        }
    }

    /// A count: not negative.
    fn count(&self, column: &str) -> Result<Option<u64>> {
        let value = self.bigint(column)?.map(u64::try_from).transpose();
        value.map_err(|_| self.refuse(format!("{column} is negative")))
    }

    fn delay(&self) -> Result<Option<Duration>> {
        Ok(self.count("delay_ms")?.map(Duration::from_millis))
    }

    fn required<T>(&self, value: Option<T>, column: &str) -> Result<T> {
        value.ok_or_else(|| self.refuse(format!("its action needs {column}")))
    }

    fn probability(&self) -> Result<Option<f64>> {
        let Some(bytes) = self.values.get("probability") else { return Ok(None) };
        let bytes = bytes[..].try_into().map_err(|_| self.refuse("probability has not 8 bytes"))?;
        let value = f64::from_be_bytes(bytes);
        if !(0.0..=1.0).contains(&value) {
            return Err(self.refuse(format!("probability {value} is outside of 0 to 1")));
        }
        Ok(Some(value))
    }

    fn error(&self, operation: Option<Operation>) -> Result<Option<CqlError>> {
        let write_type = self.one_of("write_type", &WRITE_TYPES)?;
        let name = self.one_of("error", &ERRORS)?;
        if name != Some("write_timeout") && write_type.is_some() {
            return Err(self.refuse("write_type belongs to error 'write_timeout'"));
        }
        let message = self.text("message")?;
        let Some(name) = name else {
            return match message {
                Some(_) => Err(self.refuse("message belongs to an error, and none is given")),
                None => Ok(None),
            };
        };
        let mut error = match name {
            "overloaded" => errors::overloaded(),
            "unavailable" => errors::unavailable(),
            "read_timeout" => errors::read_timeout(),
            "write_timeout" => errors::write_timeout(write_type.unwrap_or(match operation {
                Some(Operation::Batch) => "BATCH",
                Some(Operation::Lwt) => "CAS",
                _ => "SIMPLE",
            })),
            _ => errors::server_error(),
        };
        if let Some(message) = message {
            error.message = message.to_owned();
        }
        Ok(Some(error))
    }

    fn action(&self, operation: Option<Operation>) -> Result<FaultAction> {
        let names = ACTIONS.map(|(name, _)| name);
        let name = self
            .one_of("action", &names)?
            .ok_or_else(|| self.refuse(format!("action is needed: one of {}", names.join(", "))))?;
        let own = ACTIONS.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, own)| *own);
        let stray = |column: &&&str| !COMMON.contains(*column) && !own.contains(*column);
        if let Some(column) = self.values.keys().find(stray) {
            let why = match *column {
                "seen" | "hits" => "is counted by the node".to_owned(),
                _ => format!("does not belong to action '{name}'"),
            };
            return Err(self.refuse(format!("{column} {why}")));
        }
        let delay = self.delay()?;
        let error = self.error(operation)?;
        Ok(match name {
            "delay" => FaultAction::Delay(self.required(delay, "delay_ms")?),
            "delay_answer" => FaultAction::DelayAnswer(self.required(delay, "delay_ms")?),
            "fail_before" => FaultAction::FailBefore(self.required(error, "error")?),
            "fail_after" => FaultAction::FailAfter(self.required(error, "error")?),
            "drop_before" => FaultAction::DropBefore,
            "drop_after" => FaultAction::DropAfter,
            "half_batch" => FaultAction::HalfBatch {
                part: match self.one_of("part", &PARTS)? {
                    Some("last") => BatchPart::Last,
                    _ => BatchPart::First,
                },
                rest_after: self.required(delay, "delay_ms")?,
                error,
            },
            "late_log" => FaultAction::LateLog(self.required(delay, "delay_ms")?),
            "duplicate_log" => FaultAction::DuplicateLog,
            "short_page" => FaultAction::ShortPage(self.required(self.rows()?, "rows")?),
            "forget_prepared" => FaultAction::ForgetPrepared,
            "new_generation" => FaultAction::NewGeneration(delay.unwrap_or_default()),
            _ => {
                let offset = self.required(self.bigint("offset_ms")?, "offset_ms")?;
                FaultAction::ClockOffset(offset.saturating_mul(1000))
            }
        })
    }

    fn rows(&self) -> Result<Option<usize>> {
        let Some(bytes) = self.values.get("rows") else { return Ok(None) };
        let bytes = bytes[..].try_into().map_err(|_| self.refuse("rows has not 4 bytes"))?;
        let rows = usize::try_from(i32::from_be_bytes(bytes));
        rows.map(Some).map_err(|_| self.refuse("rows is negative"))
    }

    /// The fault that the row asks for; refused with what is wrong about it.
    pub(super) fn fault(&self) -> Result<Fault> {
        let operations = Operation::ALL.map(Operation::name);
        let operation = self.one_of("operation", &operations)?.and_then(|name| name.parse().ok());
        let mut fault = Fault::new(self.action(operation)?);
        fault.operation = operation;
        fault.table = self.text("table_name")?.map(str::to_owned);
        fault.statement = self.text("statement")?.map(str::to_owned);
        fault.skip = self.count("skip")?.unwrap_or(0);
        fault.times = self.count("times")?;
        fault.every = self.count("every")?.unwrap_or(1);
        if fault.every == 0 {
            return Err(self.refuse("every is 0: 1 hits every request, 2 every other"));
        }
        fault.probability = self.probability()?;
        fault.seed = self.bigint("seed")?.unwrap_or(0).cast_unsigned();
        Ok(fault)
    }
}

fn number(value: u64) -> Bytes {
    bigint(i64::try_from(value).unwrap_or(i64::MAX))
}

fn millis(value: Duration) -> Bytes {
    bigint(i64::try_from(value.as_millis()).unwrap_or(i64::MAX))
}

/// An error that is none of those with a name is shown by its code.
fn put_error(row: &mut NamedValues<'_>, error: &CqlError) {
    let name = match &error.kind {
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::ReadTimeout => "read_timeout",
        ErrorKind::WriteTimeout { write_type } => {
            row.push(("write_type", text(write_type)));
            "write_timeout"
        }
        ErrorKind::ServerError => "server_error",
        other => &format!("{:#06x}", other.code()),
    };
    row.push(("error", text(name)));
    row.push(("message", text(&error.message)));
}

fn put_action(row: &mut NamedValues<'_>, action: &FaultAction) {
    let name = match action {
        FaultAction::Delay(delay) => {
            row.push(("delay_ms", millis(*delay)));
            "delay"
        }
        FaultAction::DelayAnswer(delay) => {
            row.push(("delay_ms", millis(*delay)));
            "delay_answer"
        }
        FaultAction::FailBefore(error) => {
            put_error(row, error);
            "fail_before"
        }
        FaultAction::FailAfter(error) => {
            put_error(row, error);
            "fail_after"
        }
        FaultAction::DropBefore => "drop_before",
        FaultAction::DropAfter => "drop_after",
        FaultAction::HalfBatch { part, rest_after, error } => {
            let part = match part {
                BatchPart::First => "first",
                BatchPart::Last => "last",
            };
            row.push(("part", text(part)));
            row.push(("delay_ms", millis(*rest_after)));
            if let Some(error) = error {
                put_error(row, error);
            }
            "half_batch"
        }
        FaultAction::LateLog(delay) => {
            row.push(("delay_ms", millis(*delay)));
            "late_log"
        }
        FaultAction::DuplicateLog => "duplicate_log",
        FaultAction::ShortPage(rows) => {
            row.push(("rows", int(i32::try_from(*rows).unwrap_or(i32::MAX))));
            "short_page"
        }
        FaultAction::ForgetPrepared => "forget_prepared",
        FaultAction::NewGeneration(delay) => {
            row.push(("delay_ms", millis(*delay)));
            "new_generation"
        }
        FaultAction::ClockOffset(micros) => {
            row.push(("offset_ms", bigint(micros / 1000)));
            "clock_offset"
        }
    };
    row.push(("action", text(name)));
}

/// The row of a fault: what was asked for, and how often it was met.
pub(super) fn row(status: &FaultStatus) -> NamedValues<'static> {
    let fault = &status.fault;
    let mut row = vec![
        ("skip", number(fault.skip)),
        ("every", number(fault.every)),
        ("seen", number(status.seen)),
        ("hits", number(status.hits)),
    ];
    let optional = [
        ("table_name", fault.table.as_deref().map(text)),
        ("operation", fault.operation.map(|operation| text(operation.name()))),
        ("statement", fault.statement.as_deref().map(text)),
        ("times", fault.times.map(number)),
        ("probability", fault.probability.map(double)),
        ("seed", fault.probability.map(|_| bigint(fault.seed.cast_signed()))),
    ];
    row.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    put_action(&mut row, &fault.action);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given<'a>(values: &[(&'a str, Bytes)]) -> Given<'a> {
        Given { name: "f", values: values.iter().cloned().collect() }
    }

    fn refusal(values: &[(&str, Bytes)]) -> String {
        given(values).fault().unwrap_err().message
    }

    #[test]
    fn every_action_comes_back_from_its_row() {
        let second = Duration::from_secs(1);
        let half = |part, error| FaultAction::HalfBatch { part, rest_after: second, error };
        let actions = [
            FaultAction::Delay(second),
            FaultAction::DelayAnswer(second),
            FaultAction::FailBefore(errors::overloaded()),
            FaultAction::FailBefore(errors::unavailable()),
            FaultAction::FailBefore(errors::server_error()),
            FaultAction::FailAfter(errors::read_timeout()),
            FaultAction::FailAfter(errors::write_timeout("CAS")),
            FaultAction::DropBefore,
            FaultAction::DropAfter,
            half(BatchPart::First, None),
            half(BatchPart::Last, Some(errors::write_timeout("BATCH"))),
            FaultAction::LateLog(second),
            FaultAction::DuplicateLog,
            FaultAction::ShortPage(0),
            FaultAction::ForgetPrepared,
            FaultAction::NewGeneration(second),
            FaultAction::ClockOffset(-5_000_000),
        ];
        for action in actions {
            let fault = Fault::new(action)
                .table("ks.t")
                .operation(Operation::Batch)
                .statement("INSERT")
                .skip(1)
                .times(2)
                .every(3)
                .probability(0.25)
                .seed(u64::MAX);
            let status = FaultStatus { name: "f".into(), fault: fault.clone(), seen: 4, hits: 5 };
            let mut values = row(&status);
            assert!(values.iter().any(|(name, value)| *name == "hits" && *value == bigint(5)));
            values.retain(|(name, _)| !["seen", "hits"].contains(name));
            assert_eq!(given(&values).fault(), Ok(fault));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let action = |name: &str| ("action", text(name));
        assert_eq!(
            refusal(&[action("dealy")]),
            "Invalid fault 'f': action 'dealy' is none of delay, delay_answer, fail_before, \
             fail_after, drop_before, drop_after, half_batch, late_log, duplicate_log, \
             short_page, forget_prepared, new_generation, clock_offset"
        );
        assert!(refusal(&[]).starts_with("Invalid fault 'f': action is needed: one of delay, "));
        let said = [
            (vec![action("delay")], "its action needs delay_ms"),
            (vec![action("delay"), ("delay_ms", bigint(-1))], "delay_ms is negative"),
            (
                vec![action("drop_before"), ("rows", int(1))],
                "rows does not belong to action 'drop_before'",
            ),
            (vec![action("drop_before"), ("hits", bigint(1))], "hits is counted by the node"),
            (vec![action("fail_after")], "its action needs error"),
            (
                vec![action("fail_after"), ("error", text("bad"))],
                "error 'bad' is none of overloaded, unavailable, read_timeout, write_timeout, \
                 server_error",
            ),
            (
                vec![
                    action("fail_after"),
                    ("error", text("overloaded")),
                    ("write_type", text("CAS")),
                ],
                "write_type belongs to error 'write_timeout'",
            ),
            (
                vec![action("drop_after"), ("every", bigint(0))],
                "every is 0: 1 hits every request, 2 every other",
            ),
            (vec![action("drop_after"), ("times", bigint(-2))], "times is negative"),
            (
                vec![action("drop_after"), ("probability", double(1.5))],
                "probability 1.5 is outside of 0 to 1",
            ),
            (
                vec![action("drop_after"), ("operation", text("all"))],
                "operation 'all' is none of read, write, batch, lwt, prepare, schema",
            ),
            (vec![action("short_page"), ("rows", int(-1))], "rows is negative"),
        ];
        for (values, why) in said {
            assert_eq!(refusal(&values), format!("Invalid fault 'f': {why}"));
        }
    }

    #[test]
    fn a_write_timeout_is_of_the_operation_unless_said_otherwise() {
        let write_type = |operation: &str| {
            let values = [
                ("action", text("fail_after")),
                ("error", text("write_timeout")),
                ("operation", text(operation)),
            ];
            let FaultAction::FailAfter(error) = given(&values).fault().unwrap().action else {
                panic!("not a failure")
            };
            error.kind
        };
        let timeout = |write_type| ErrorKind::WriteTimeout { write_type };
        assert_eq!(write_type("batch"), timeout("BATCH"));
        assert_eq!(write_type("LWT"), timeout("CAS"));
        assert_eq!(write_type("write"), timeout("SIMPLE"));
    }
}
