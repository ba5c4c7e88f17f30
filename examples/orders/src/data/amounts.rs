//! Decimal texts as whole numbers: money never becomes a float.

/// `"9.8"` as 980. `None` unless it is a number of at most two decimals (further zeros
/// are no harm) that fits.
pub(super) fn hundredths(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(decimals) {
        return None;
    }
    let decimals = decimals.trim_end_matches('0');
    let cents = match decimals.len() {
        0 => 0,
        1 => decimals.parse::<i64>().ok()? * 10,
        2 => decimals.parse::<i64>().ok()?,
        _ => return None,
    };
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(cents).map(|n| sign * n)
}

#[cfg(test)]
mod tests {
    use super::hundredths;

    #[test]
    fn decimals_become_hundredths_exactly() {
        for (text, value) in [
            ("14", 1400),
            ("9.8", 980),
            ("32.38", 3238),
            ("0.05", 5),
            ("0.0", 0),
            ("2.500", 250),
            ("-1.5", -150),
        ] {
            assert_eq!(hundredths(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "1.234", "1,5", "1e3", "--1", "99999999999999999999"] {
            assert_eq!(hundredths(text), None, "{text}");
        }
    }
}
