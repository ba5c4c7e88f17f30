//! Numbers and times as Python writes them.

use num_bigint::BigInt;

/// The shortest text that reads as the same number; with an exponent from 1e16 on and
/// below 1e-4, where Rust has other limits.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    let size = value.abs();
    if size == 0.0 || size.is_infinite() || (1e-4..1e16).contains(&size) {
        // With ".0" where there is no fraction.
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A number of any size, from its two's complement.
pub fn varint(bytes: &[u8]) -> String {
    BigInt::from_signed_bytes_be(bytes).to_string()
}

/// Digits times 10 to the power of `-scale`; with an exponent where plain digits would
/// have to be made up.
pub fn decimal(bytes: &[u8], scale: i32) -> String {
    let digits = varint(bytes);
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits.as_str()),
    };
    let exponent = digits.len() as i64 - 1 - i64::from(scale);
    if scale < 0 || exponent < -6 {
        let fraction = if digits.len() > 1 { format!(".{}", &digits[1..]) } else { String::new() };
        return format!("{sign}{}{fraction}E{exponent:+}", &digits[..1]);
    }
    let scale = scale as usize;
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// `2026-11-21`, from days since 1970-01-01.
pub fn date(days: i64) -> String {
    // Counted in eras of 400 years that begin with a March, so that a leap day is the last.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `13:14:15.123456789`, from nanoseconds since midnight.
pub fn time(nanoseconds: i64) -> String {
    let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    format!("{:02}:{:02}:{:02}.{rest:09}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `2026-11-21T01:02:03.456Z`, from milliseconds since 1970.
pub fn timestamp(milliseconds: i64) -> String {
    let (seconds, rest) = (milliseconds.div_euclid(1000), milliseconds.rem_euclid(1000));
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{}T{hour:02}:{minute:02}:{:02}.{rest:03}Z", date(day), second % 60)
}
