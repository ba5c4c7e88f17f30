//! Scalar functions: which there are, and which one a call means.

use crate::error::{CqlError, Result};
use crate::parse::ast::{Literal, Term};
use crate::schema::{Partitioner, Table, native_type};
use crate::types::CqlType;

/// A function of values.
#[derive(Debug, Clone, PartialEq)]
pub enum ScalarFunction {
    /// `now()`, a new timeuuid each time.
    Now,
    /// `uuid()`.
    Uuid,
    /// `currentTimestamp()`.
    CurrentTimestamp,
    /// `currentDate()`.
    CurrentDate,
    /// `currentTime()`.
    CurrentTime,
    /// `minTimeuuid(timestamp)`.
    MinTimeuuid,
    /// `maxTimeuuid(timestamp)`.
    MaxTimeuuid,
    /// From timeuuid, date or timestamp to milliseconds as timestamp or bigint.
    ToMillis {
        /// What is given.
        from: CqlType,
    },
    /// From timeuuid or timestamp to a date.
    ToDate {
        /// What is given.
        from: CqlType,
    },
    /// `token(…)` of the statement's table.
    Token {
        /// How.
        partitioner: Partitioner,
        /// The table's key has several columns.
        composite: bool,
    },
    /// The value's bytes: `intAsBlob` and its like.
    AsBlob,
    /// Bytes as a value: `blobAsInt` and its like.
    FromBlob {
        /// What they are to be.
        to: CqlType,
        /// The function's name, for its refusals.
        name: String,
    },
    /// `toJson(…)`.
    ToJson {
        /// What is given.
        from: CqlType,
    },
    /// `fromJson(text)`.
    FromJson {
        /// What is wanted.
        to: CqlType,
    },
    /// `CAST(… AS …)`.
    Cast {
        /// What is given.
        from: CqlType,
        /// What is wanted.
        to: CqlType,
    },
}

/// What a call resolves to.
#[derive(Debug, Clone)]
pub struct Signature {
    /// The function.
    pub function: ScalarFunction,
    /// The arguments' types.
    pub arguments: Vec<CqlType>,
    /// The result's type.
    pub returns: CqlType,
}

/// An argument as far as it is known.
#[derive(Debug, Clone)]
pub enum Argument<'t> {
    /// A column, or the result of another call.
    Typed(CqlType),
    /// A constant or marker.
    Term(&'t Term),
}

/// Whether an argument can be a value of the type.
pub fn assignable(argument: &Argument<'_>, ty: &CqlType) -> bool {
    match argument {
        Argument::Typed(given) => super::expression::same_type(given, ty),
        Argument::Term(term) => match term {
            Term::Null | Term::Bind(_) => true,
            Term::Literal(literal) => literal_fits(literal, ty),
            Term::List(_) => matches!(ty, CqlType::List { .. }),
            Term::Set(terms) => {
                matches!(ty, CqlType::Set { .. })
                    || (terms.is_empty() && matches!(ty, CqlType::Map { .. }))
            }
            Term::Map(_) => matches!(ty, CqlType::Map { .. }),
            Term::Udt(_) => matches!(ty, CqlType::Udt { .. }),
            Term::Tuple(_) => matches!(ty, CqlType::Tuple(_)),
            // Their types are checked when they are resolved.
            Term::Function { .. } | Term::TypeHint { .. } => true,
        },
    }
}

/// Source: ScyllaDB, cql3/constants.cc, `constants::literal::test_assignment`.
fn literal_fits(literal: &Literal, ty: &CqlType) -> bool {
    match literal {
        Literal::Integer(_) => matches!(
            ty,
            CqlType::Bigint
                | CqlType::Counter
                | CqlType::Date
                | CqlType::Decimal
                | CqlType::Double
                | CqlType::Float
                | CqlType::Int
                | CqlType::Smallint
                | CqlType::Time
                | CqlType::Timestamp
                | CqlType::Tinyint
                | CqlType::Varint
        ),
        Literal::Float(_) => {
            matches!(ty, CqlType::Decimal | CqlType::Double | CqlType::Float)
        }
        Literal::String(_) => matches!(
            ty,
            CqlType::Ascii
                | CqlType::Text
                | CqlType::Inet
                | CqlType::Timestamp
                | CqlType::Date
                | CqlType::Time
        ),
        Literal::Boolean(_) => *ty == CqlType::Boolean,
        Literal::Uuid(_) => matches!(ty, CqlType::Uuid | CqlType::Timeuuid),
        Literal::Hex(_) => *ty == CqlType::Blob,
        Literal::Duration(_) => *ty == CqlType::Duration,
    }
}

/// The type that a constant has where nothing says which.
pub fn describe_literal_kind(literal: &Literal) -> CqlType {
    match literal {
        Literal::Integer(text) => match text.parse::<i64>() {
            Ok(value) if i32::try_from(value).is_ok() => CqlType::Int,
            Ok(_) => CqlType::Bigint,
            Err(_) => CqlType::Varint,
        },
        Literal::Float(_) => CqlType::Double,
        Literal::String(_) => CqlType::Text,
        Literal::Boolean(_) => CqlType::Boolean,
        Literal::Uuid(_) => CqlType::Uuid,
        Literal::Hex(_) => CqlType::Blob,
        Literal::Duration(_) => CqlType::Duration,
    }
}

/// Finds the function that a call means.
pub fn resolve_call(
    name: &str,
    arguments: &[Argument<'_>],
    receiver: Option<&CqlType>,
    table: Option<&Table>,
) -> Result<Signature> {
    let candidates = candidates(name, arguments, receiver, table)?;
    let Some(candidates) = candidates else {
        return Err(CqlError::invalid(format!("Unknown function {name} called")));
    };
    if let [only] = candidates.as_slice()
        && only.arguments.len() != arguments.len()
    {
        return Err(CqlError::invalid(format!(
            "Invalid number of arguments in call to function system.{name}: {} required but {} provided",
            only.arguments.len(),
            arguments.len()
        )));
    }
    let signatures = candidates
        .iter()
        .map(|s| {
            let types: Vec<String> = s.arguments.iter().map(ToString::to_string).collect();
            format!("system.{name} : ({}) -> {}", types.join(", "), s.returns)
        })
        .collect::<Vec<_>>()
        .join(", ");
    let mut matching: Vec<Signature> = candidates
        .into_iter()
        .filter(|s| {
            s.arguments.len() == arguments.len()
                && s.arguments.iter().zip(arguments).all(|(ty, given)| assignable(given, ty))
        })
        .collect();
    match matching.len() {
        1 => Ok(matching.remove(0)),
        0 => Err(CqlError::invalid(format!(
            "Invalid call to function {name}, none of its type signatures match (known type signatures: {signatures})"
        ))),
        _ => Err(CqlError::invalid(format!(
            "Ambiguous call to function {name} (can be matched by following signatures: {signatures}): use type casts to disambiguate"
        ))),
    }
}

/// `token(…)` of a table.
pub fn token_function(table: &Table) -> ScalarFunction {
    ScalarFunction::Token {
        partitioner: table.partitioner,
        composite: table.partition_key().count() > 1,
    }
}

fn candidates(
    name: &str,
    arguments: &[Argument<'_>],
    receiver: Option<&CqlType>,
    table: Option<&Table>,
) -> Result<Option<Vec<Signature>>> {
    use CqlType::{Bigint, Blob, Date, Text, Time, Timestamp, Timeuuid, Uuid};
    let one = |function, arguments: Vec<CqlType>, returns| {
        vec![Signature { function, arguments, returns }]
    };
    let each = |types: &[CqlType], returns: CqlType, function: fn(CqlType) -> ScalarFunction| {
        types
            .iter()
            .map(|ty| Signature {
                function: function(ty.clone()),
                arguments: vec![ty.clone()],
                returns: returns.clone(),
            })
            .collect::<Vec<_>>()
    };
    let to_millis = |from| ScalarFunction::ToMillis { from };
    let to_date = |from| ScalarFunction::ToDate { from };
    Ok(Some(match name {
        "now" | "currenttimeuuid" => one(ScalarFunction::Now, vec![], Timeuuid),
        "uuid" => one(ScalarFunction::Uuid, vec![], Uuid),
        "currenttimestamp" => one(ScalarFunction::CurrentTimestamp, vec![], Timestamp),
        "currentdate" => one(ScalarFunction::CurrentDate, vec![], Date),
        "currenttime" => one(ScalarFunction::CurrentTime, vec![], Time),
        "mintimeuuid" => one(ScalarFunction::MinTimeuuid, vec![Timestamp], Timeuuid),
        "maxtimeuuid" => one(ScalarFunction::MaxTimeuuid, vec![Timestamp], Timeuuid),
        "dateof" => each(&[Timeuuid], Timestamp, to_millis),
        "unixtimestampof" => each(&[Timeuuid], Bigint, to_millis),
        "totimestamp" => each(&[Timeuuid, Date], Timestamp, to_millis),
        "tounixtimestamp" => each(&[Timeuuid, Timestamp, Date], Bigint, to_millis),
        "todate" => each(&[Timeuuid, Timestamp], Date, to_date),
        "token" => {
            let Some(table) = table else {
                return Ok(None);
            };
            one(
                token_function(table),
                table.partition_key().map(|c| c.cql_type.clone()).collect(),
                Bigint,
            )
        }
        "tojson" => {
            let from = match arguments {
                [Argument::Typed(ty)] => ty.clone(),
                [Argument::Term(Term::Literal(literal))] => describe_literal_kind(literal),
                _ => Text,
            };
            one(ScalarFunction::ToJson { from: from.clone() }, vec![from], Text)
        }
        "fromjson" => {
            let to = receiver.cloned().ok_or_else(|| {
                CqlError::invalid("fromJson() can only be called if receiver type is known")
            })?;
            one(ScalarFunction::FromJson { to: to.clone() }, vec![Text], to)
        }
        _ => {
            if let Some(ty) = name.strip_suffix("asblob").and_then(native_type) {
                one(ScalarFunction::AsBlob, vec![ty], Blob)
            } else if let Some(to) = name.strip_prefix("blobas").and_then(native_type) {
                let function = ScalarFunction::FromBlob { to: to.clone(), name: name.to_owned() };
                one(function, vec![Blob], to)
            } else {
                return Ok(None);
            }
        }
    }))
}

/// The function of `CAST(… AS …)`.
pub fn resolve_cast(from: &CqlType, to: &CqlType) -> Result<ScalarFunction> {
    use CqlType::{
        Ascii, Bigint, Counter, Date, Decimal, Double, Float, Int, Smallint, Text, Timestamp,
        Timeuuid, Tinyint, Varint,
    };
    let numeric = |ty: &CqlType| {
        matches!(
            ty,
            Bigint | Counter | Decimal | Double | Float | Int | Smallint | Tinyint | Varint
        )
    };
    let scalar = |ty: &CqlType| {
        !matches!(
            ty,
            CqlType::List { .. }
                | CqlType::Set { .. }
                | CqlType::Map { .. }
                | CqlType::Tuple(_)
                | CqlType::Udt { .. }
        )
    };
    let possible = from == to
        || (numeric(from) && numeric(to) && *to != Counter)
        || (matches!(to, Text | Ascii) && scalar(from) && *from != CqlType::Blob)
        || matches!(
            (from, to),
            (Timeuuid, Timestamp | Date) | (Timestamp, Date) | (Date, Timestamp)
        );
    if !possible {
        return Err(CqlError::invalid(format!("{from} cannot be cast to {to}")));
    }
    Ok(ScalarFunction::Cast { from: from.clone(), to: to.clone() })
}
