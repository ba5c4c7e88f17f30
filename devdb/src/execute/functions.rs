//! What scalar functions return.

use bytes::Bytes;
use uuid::Uuid;

use super::numbers;
use super::timeuuid::{MAX_NODE, MIN_NODE, TimeUuids, millis_of, of_ticks, ticks_of_millis};
use crate::error::{CqlError, Result};
use crate::plan::ScalarFunction;
use crate::store::{Clock, token};
use crate::types::{CqlType, from_json, partition_key, to_json, validate};

const MILLIS_PER_DAY: i64 = 86_400_000;
/// A `date` counts days with 1970-01-01 in the middle of its range.
const DATE_EPOCH: i64 = 1 << 31;

/// What functions may look at besides their arguments.
#[derive(Debug, Clone, Copy)]
pub struct FunctionContext<'a> {
    /// The node's clock.
    pub clock: &'a Clock,
    /// The node's timeuuids.
    pub uuids: &'a TimeUuids,
}

/// Calls a function. Given a null, most return null.
pub fn call(
    function: &ScalarFunction,
    arguments: &[Option<Bytes>],
    context: FunctionContext<'_>,
) -> Result<Option<Bytes>> {
    let clock = context.clock;
    match function {
        ScalarFunction::Now => return Ok(Some(uuid_bytes(context.uuids.now(clock)))),
        ScalarFunction::Uuid => return Ok(Some(uuid_bytes(Uuid::new_v4()))),
        ScalarFunction::CurrentTimestamp => return Ok(Some(bigint(clock.now_millis()))),
        ScalarFunction::CurrentDate => return Ok(Some(date(clock.now_millis()))),
        ScalarFunction::CurrentTime => {
            let nanos = clock.read_micros().rem_euclid(MILLIS_PER_DAY * 1000) * 1000;
            return Ok(Some(bigint(nanos)));
        }
        ScalarFunction::Token { partitioner, composite } => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                match argument {
                    Some(value) => values.push(value.clone()),
                    None => return Ok(None),
                }
            }
            let key = if *composite && values.len() == 1 {
                // Of part of a composite key ScyllaDB takes the composite form all the same:
                // with an empty component more, cut off again.
                let mut key = partition_key::encode(&[values.remove(0), Bytes::new()])?;
                key.0.truncate(key.0.len() - 3);
                key
            } else {
                partition_key::encode(&values)?
            };
            return Ok(Some(bigint(token(*partitioner, &key))));
        }
        ScalarFunction::ToJson { from } => {
            return Ok(Some(Bytes::from(match arguments.first() {
                Some(Some(value)) => to_json(from, value),
                _ => "null".to_owned(),
            })));
        }
        _ => {}
    }
    let Some(Some(argument)) = arguments.first() else {
        return Ok(None);
    };
    Ok(Some(match function {
        ScalarFunction::MinTimeuuid => {
            uuid_bytes(of_ticks(ticks_of_millis(to_i64(argument)?), MIN_NODE))
        }
        ScalarFunction::MaxTimeuuid => {
            let next = ticks_of_millis(to_i64(argument)?.saturating_add(1));
            uuid_bytes(of_ticks(next.saturating_sub(1), MAX_NODE))
        }
        ScalarFunction::ToMillis { from } => bigint(to_millis(from, argument)?),
        ScalarFunction::ToDate { from } => date(to_millis(from, argument)?),
        ScalarFunction::AsBlob => argument.clone(),
        ScalarFunction::FromBlob { to, name } => {
            validate(to, argument, name).map_err(|_| {
                CqlError::invalid(format!(
                    "In call to function system.{name}, value 0x{} is not a valid binary representation for type {to}",
                    argument.iter().map(|b| format!("{b:02x}")).collect::<String>()
                ))
            })?;
            argument.clone()
        }
        ScalarFunction::FromJson { to } => {
            let text = std::str::from_utf8(argument)
                .map_err(|_| CqlError::invalid("JSON text is not UTF-8"))?;
            let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
                CqlError::invalid(format!("Failed to parse '{text}' as JSON: {error}"))
            })?;
            return from_json(to, &value, "fromJson");
        }
        ScalarFunction::Cast { from, to } => return cast(from, to, argument),
        _ => return Err(CqlError::server("a function that was not called")),
    }))
}

fn cast(from: &CqlType, to: &CqlType, value: &Bytes) -> Result<Option<Bytes>> {
    match (from, to) {
        (CqlType::Timeuuid | CqlType::Date, CqlType::Timestamp) => {
            Ok(Some(bigint(to_millis(from, value)?)))
        }
        (CqlType::Timeuuid | CqlType::Timestamp, CqlType::Date) => {
            Ok(Some(date(to_millis(from, value)?)))
        }
        _ => numbers::cast(from, to, value),
    }
}

fn to_millis(from: &CqlType, value: &Bytes) -> Result<i64> {
    match from {
        CqlType::Timeuuid => {
            Uuid::from_slice(value).map(millis_of).map_err(|_| CqlError::invalid("not a timeuuid"))
        }
        CqlType::Date => {
            let days: [u8; 4] =
                value.as_ref().try_into().map_err(|_| CqlError::invalid("not a date"))?;
            Ok((i64::from(u32::from_be_bytes(days)) - DATE_EPOCH) * MILLIS_PER_DAY)
        }
        _ => to_i64(value),
    }
}

fn to_i64(value: &Bytes) -> Result<i64> {
    let bytes: [u8; 8] =
        value.as_ref().try_into().map_err(|_| CqlError::invalid("not a timestamp"))?;
    Ok(i64::from_be_bytes(bytes))
}

fn bigint(value: i64) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

fn date(millis: i64) -> Bytes {
    let days = millis.div_euclid(MILLIS_PER_DAY) + DATE_EPOCH;
    let days = u32::try_from(days.clamp(0, i64::from(u32::MAX))).unwrap_or(u32::MAX);
    Bytes::copy_from_slice(&days.to_be_bytes())
}

fn uuid_bytes(uuid: Uuid) -> Bytes {
    Bytes::copy_from_slice(uuid.as_bytes())
}
