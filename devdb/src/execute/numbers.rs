//! Arithmetic on serialized numbers: casts, sums, averages.

use bytes::Bytes;
use num_bigint::BigInt;

use crate::error::{CqlError, Result};
use crate::types::{CqlType, from_text, to_text};

/// A number of any of CQL's types.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// tinyint to varint, counter.
    Integer(BigInt),
    /// float and double.
    Real(f64),
    /// decimal: unscaled value and scale.
    Decimal(BigInt, i32),
}

/// Reads a number; `None` for an empty value.
pub fn decode(ty: &CqlType, bytes: &[u8]) -> Result<Option<Number>> {
    let broken = || CqlError::server(format!("a stored {ty} of {} bytes", bytes.len()));
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(match ty {
        CqlType::Tinyint
        | CqlType::Smallint
        | CqlType::Int
        | CqlType::Bigint
        | CqlType::Counter
        | CqlType::Varint => Number::Integer(BigInt::from_signed_bytes_be(bytes)),
        CqlType::Float => {
            Number::Real(f64::from(f32::from_be_bytes(bytes.try_into().map_err(|_| broken())?)))
        }
        CqlType::Double => {
            Number::Real(f64::from_be_bytes(bytes.try_into().map_err(|_| broken())?))
        }
        CqlType::Decimal => {
            let (scale, unscaled) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
            Number::Decimal(BigInt::from_signed_bytes_be(unscaled), i32::from_be_bytes(*scale))
        }
        _ => return Err(broken()),
    }))
}

/// The low bytes of an integer, as a cast between machine integers keeps them.
fn wrapped(value: &BigInt, width: usize) -> Bytes {
    let fill = if value.sign() == num_bigint::Sign::Minus { 0xff } else { 0 };
    let mut bytes = vec![fill; width];
    let full = value.to_signed_bytes_be();
    let take = full.len().min(width);
    bytes[width - take..].copy_from_slice(&full[full.len() - take..]);
    Bytes::from(bytes)
}

/// Writes a number as a value of a type.
pub fn encode(ty: &CqlType, number: &Number) -> Result<Bytes> {
    let integer = |number: &Number| -> Result<BigInt> {
        Ok(match number {
            Number::Integer(value) => value.clone(),
            Number::Real(value) => real_to_integer(*value),
            Number::Decimal(unscaled, scale) => rescaled(unscaled, *scale, 0),
        })
    };
    let real = |number: &Number| -> f64 {
        match number {
            Number::Integer(value) => value.to_string().parse().unwrap_or(f64::NAN),
            Number::Real(value) => *value,
            Number::Decimal(unscaled, scale) => {
                format!("{unscaled}e{}", -i64::from(*scale)).parse().unwrap_or(f64::NAN)
            }
        }
    };
    Ok(match ty {
        CqlType::Tinyint => wrapped(&integer(number)?, 1),
        CqlType::Smallint => wrapped(&integer(number)?, 2),
        CqlType::Int => wrapped(&integer(number)?, 4),
        CqlType::Bigint | CqlType::Counter => wrapped(&integer(number)?, 8),
        CqlType::Varint => Bytes::from(integer(number)?.to_signed_bytes_be()),
        CqlType::Float => Bytes::copy_from_slice(&(real(number) as f32).to_be_bytes()),
        CqlType::Double => Bytes::copy_from_slice(&real(number).to_be_bytes()),
        CqlType::Decimal => match number {
            Number::Integer(value) => decimal(value, 0),
            Number::Decimal(unscaled, scale) => decimal(unscaled, *scale),
            Number::Real(value) => from_text(ty, &value.to_string())?,
        },
        other => return Err(CqlError::server(format!("{other} is not a number"))),
    })
}

fn decimal(unscaled: &BigInt, scale: i32) -> Bytes {
    let mut bytes = scale.to_be_bytes().to_vec();
    bytes.extend(unscaled.to_signed_bytes_be());
    Bytes::from(bytes)
}

fn real_to_integer(value: f64) -> BigInt {
    if !value.is_finite() {
        return BigInt::from(0);
    }
    let text = format!("{:.0}", value.trunc());
    text.parse().unwrap_or_default()
}

fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10).pow(exponent)
}

/// The unscaled value at another scale; digits that do not fit are cut off.
fn rescaled(unscaled: &BigInt, from: i32, to: i32) -> BigInt {
    // A scale is bounded so that no value grows beyond memory.
    let difference = i64::from(to) - i64::from(from);
    let steps = u32::try_from(difference.unsigned_abs().min(10_000)).unwrap_or(10_000);
    if difference >= 0 { unscaled * power_of_ten(steps) } else { unscaled / power_of_ten(steps) }
}

/// A sum that grows.
pub fn add(a: &Number, b: &Number) -> Number {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => Number::Integer(a + b),
        (Number::Real(a), Number::Real(b)) => Number::Real(a + b),
        (Number::Decimal(a, a_scale), Number::Decimal(b, b_scale)) => {
            let scale = (*a_scale).max(*b_scale);
            Number::Decimal(rescaled(a, *a_scale, scale) + rescaled(b, *b_scale, scale), scale)
        }
        // Never mixed: a sum has one type.
        (a, _) => a.clone(),
    }
}

/// An average: integers and decimals are cut off as ScyllaDB does.
pub fn divide(sum: &Number, count: i64) -> Number {
    match sum {
        Number::Integer(sum) => Number::Integer(sum / count),
        Number::Real(sum) => Number::Real(sum / count as f64),
        Number::Decimal(sum, scale) => Number::Decimal(sum / count, *scale),
    }
}

/// `CAST(value AS to)`.
pub fn cast(from: &CqlType, to: &CqlType, bytes: &Bytes) -> Result<Option<Bytes>> {
    if from == to {
        return Ok(Some(bytes.clone()));
    }
    if matches!(to, CqlType::Text | CqlType::Ascii) {
        return Ok(Some(Bytes::from(to_text(from, bytes))));
    }
    match decode(from, bytes)? {
        Some(number) => Ok(Some(encode(to, &number)?)),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap_and_average_by_cutting_off() {
        let seventy_five = Number::Integer(75.into());
        assert_eq!(divide(&seventy_five, 4), Number::Integer(18.into()));
        let big = Number::Integer((1i64 << 32).into());
        assert_eq!(encode(&CqlType::Int, &big).unwrap().as_ref(), &[0, 0, 0, 0]);
        let minus = Number::Integer((-2).into());
        assert_eq!(encode(&CqlType::Smallint, &minus).unwrap().as_ref(), &[0xff, 0xfe]);
    }

    #[test]
    fn decimals_add_at_the_finer_scale() {
        let a = Number::Decimal(125.into(), 2);
        let b = Number::Decimal(5.into(), 1);
        assert_eq!(add(&a, &b), Number::Decimal(175.into(), 2));
    }
}
