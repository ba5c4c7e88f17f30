//! Integers and decimals of any size.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

/// The value of a varint's bytes (two's complement, big endian; empty is 0).
pub(super) fn varint(bytes: &[u8]) -> BigInt {
    BigInt::from_signed_bytes_be(bytes)
}

/// The shortest bytes of a varint.
pub(super) fn varint_bytes(value: &BigInt) -> Vec<u8> {
    value.to_signed_bytes_be()
}

/// A decimal: `unscaled × 10^−scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) scale: i32,
    pub(super) unscaled: BigInt,
}

impl Decimal {
    /// From the protocol's form: i32 scale, then a varint.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (scale, unscaled) = bytes.split_first_chunk::<4>()?;
        Some(Self { scale: i32::from_be_bytes(*scale), unscaled: varint(unscaled) })
    }

    /// The protocol's form.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = self.scale.to_be_bytes().to_vec();
        out.extend(varint_bytes(&self.unscaled));
        out
    }

    /// From digits with an optional sign, point and exponent.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let unscaled: BigInt = digits.parse().ok()?;
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        Some(Self { scale, unscaled: if negative { -unscaled } else { unscaled } })
    }

    /// Sign, exponent of the first digit, and digits without trailing zeros: equal for
    /// numerically equal decimals.
    pub(super) fn normal_form(&self) -> (Sign, i64, String) {
        let sign = self.unscaled.sign();
        if sign == Sign::NoSign {
            return (sign, 0, String::new());
        }
        let digits = self.unscaled.magnitude().to_string();
        let exponent = digits.len() as i64 - i64::from(self.scale);
        (sign, exponent, digits.trim_end_matches('0').to_owned())
    }

    /// By value: 1.0 equals 1.00.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let (sign, exponent, digits) = self.normal_form();
        let (other_sign, other_exponent, other_digits) = other.normal_form();
        sign.cmp(&other_sign).then_with(|| {
            let by_size = exponent.cmp(&other_exponent).then_with(|| digits.cmp(&other_digits));
            if sign == Sign::Minus { by_size.reverse() } else { by_size }
        })
    }

    /// As ScyllaDB shows it: `12.50`; very large and small ones with an exponent.
    pub(super) fn to_text(&self) -> String {
        if self.unscaled.sign() == Sign::NoSign {
            return "0".to_owned();
        }
        let digits = self.unscaled.magnitude().to_string();
        let sign = if self.unscaled.sign() == Sign::Minus { "-" } else { "" };
        if self.scale <= 0 {
            if self.scale < -1000 {
                return format!("{sign}{digits}E+{}", -i64::from(self.scale));
            }
            let zeros = "0".repeat(self.scale.unsigned_abs() as usize);
            return format!("{sign}{digits}{zeros}");
        }
        if self.scale > 1000 {
            return format!("{sign}{digits}E-{}", self.scale);
        }
        let scale = self.scale as usize;
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        format!("{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_scale_and_compare_by_value() {
        let parse = |text| Decimal::parse(text).unwrap();
        assert_eq!(parse("12.50").to_text(), "12.50");
        assert_eq!(parse("-0.005").to_text(), "-0.005");
        assert_eq!(parse("1.5e10").to_text(), "15000000000");
        assert_eq!(parse("1.0").compare(&parse("1.00")), Ordering::Equal);
        assert_eq!(parse("-1").compare(&parse("-2")), Ordering::Greater);
        assert_eq!(parse("9e2").compare(&parse("1000")), Ordering::Less);
        assert_eq!(parse("0").compare(&parse("0.000")), Ordering::Equal);
        assert_eq!(Decimal::decode(&parse("-7.25").encode()), Some(parse("-7.25")));
        assert!(Decimal::parse("1.2.3").is_none());
        assert!(Decimal::parse("").is_none());
    }
}
