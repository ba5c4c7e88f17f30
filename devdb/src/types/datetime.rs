//! Dates, times, timestamps and durations as text.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{CqlError, Result};

/// Refusal of a value's text or bytes, with the words that ScyllaDB puts before it.
pub(super) fn marshal_error(text: impl std::fmt::Display) -> CqlError {
    CqlError::invalid(format!("marshaling error: {text}"))
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month, day of a day counted from 1970-01-01 (`civil_from_days`).
pub(super) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn is_date(year: i64, month: i64, day: i64) -> bool {
    if !(1..=12).contains(&month) || day < 1 {
        return false;
    }
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    day <= last
}

/// A reader of digits and signs.
struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn eat(&mut self, c: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(c) else { return false };
        self.rest = rest;
        true
    }

    fn digits(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!digits.is_empty()).then_some(digits)
    }

    fn number(&mut self) -> Option<i64> {
        self.digits()?.parse().ok()
    }
}

/// Milliseconds since 1970 of a timestamp literal: a number, or
/// `yyyy-mm-dd[ |T]hh:mm[:ss[.fff]][Z|±hh[:]mm]`. Without a zone it is UTC (ScyllaDB takes
/// the server's zone, which on a server is UTC).
pub(super) fn timestamp_from_text(text: &str) -> Result<i64> {
    if text.eq_ignore_ascii_case("now") {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        return Ok(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    }
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number);
    }
    let lower = text.to_ascii_lowercase();
    parse_timestamp(&lower).map_err(|reason| match reason {
        Some(reason) => {
            marshal_error(format!("unable to parse date '{text}': marshaling error: {reason}"))
        }
        None => marshal_error(format!("unable to parse date '{text}'")),
    })
}

fn parse_timestamp(text: &str) -> Result<i64, Option<String>> {
    let unparsed = || Some(format!("Unable to parse timestamp from '{text}'"));
    let mut scan = Scan { rest: text };
    let year = scan.digits().filter(|d| d.len() == 4).ok_or_else(unparsed)?;
    let year: i64 = year.parse().map_err(|_| None)?;
    let month = scan.eat('-').then(|| scan.number()).flatten().ok_or_else(unparsed)?;
    let day = scan.eat('-').then(|| scan.number()).flatten().ok_or_else(unparsed)?;
    if !is_date(year, month, day) {
        return Err(None);
    }
    let mut millis = days_from_civil(year, month, day) * 86_400_000;

    // The time of day is optional as a whole; what does not parse as one is a zone.
    let before = scan.rest;
    if scan.eat(' ') || scan.eat('t') {
        let hour = scan.number();
        let minute = scan.eat(':').then(|| scan.number()).flatten();
        if let (Some(hour), Some(minute)) = (hour, minute) {
            let mut second = 0;
            let mut fraction = 0;
            let before_seconds = scan.rest;
            if scan.eat(':') {
                match scan.number() {
                    Some(seconds) => second = seconds,
                    None => scan.rest = before_seconds,
                }
                let before_fraction = scan.rest;
                if scan.eat('.') {
                    match scan.digits() {
                        Some(digits) if digits.len() > 3 => {
                            let length = digits.len();
                            return Err(Some(format!(
                                "Milliseconds length exceeds expected ({length})"
                            )));
                        }
                        Some(digits) => {
                            let value: i64 = digits.parse().map_err(|_| None)?;
                            fraction = value * 10_i64.pow(3 - digits.len() as u32);
                        }
                        None => scan.rest = before_fraction,
                    }
                }
            }
            if hour > 9_999_999 || minute > 9_999_999 || second > 9_999_999 {
                return Err(None);
            }
            millis += hour * 3_600_000 + minute * 60_000 + second * 1000 + fraction;
        } else {
            scan.rest = before;
        }
    }
    match scan.rest {
        "" | "z" => Ok(millis),
        zone => zone_offset(zone)
            .map(|offset| millis - offset)
            .ok_or_else(|| Some(format!("Unable to parse timezone '{zone}'"))),
    }
}

fn zone_offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits = match rest.len() {
        2 => format!("{rest}00"),
        4 => rest.to_owned(),
        5 if rest.as_bytes()[2] == b':' => rest.replacen(':', "", 1),
        _ => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = digits.split_at(2);
    let minutes: i64 = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    Some(sign * minutes * 60_000)
}

/// A date literal as stored: days since 1970 plus 2³¹.
pub(super) fn date_from_text(text: &str) -> Result<u32> {
    if let Ok(number) = text.parse::<i64>() {
        // ScyllaDB keeps the low 32 bits of a number given as a string.
        return Ok(number as u32);
    }
    let refuse = || marshal_error(format!("Unable to coerce '{text}' to a formatted date (long)"));
    let mut scan = Scan { rest: text };
    let negative = scan.eat('-');
    let year = scan.number().ok_or_else(refuse)?;
    let month = scan.eat('-').then(|| scan.number()).flatten().ok_or_else(refuse)?;
    let day = scan.eat('-').then(|| scan.number()).flatten().ok_or_else(refuse)?;
    if !scan.rest.is_empty() {
        return Err(refuse());
    }
    let year = if negative { -year } else { year };
    if !is_date(year, month, day) {
        return Err(refuse());
    }
    if year < -5_877_641 {
        return Err(marshal_error(format!(
            "Input date {text} is less than min supported date -5877641-06-23"
        )));
    }
    let days = if year > 5_881_580 { i64::MAX } else { days_from_civil(year, month, day) };
    if days < i64::from(i32::MIN) {
        return Err(marshal_error(format!(
            "Input date {text} is less than min supported date -5877641-06-23"
        )));
    }
    let days = i32::try_from(days).map_err(|_| {
        marshal_error(format!("Input date {text} is greater than max supported date 5881580-07-11"))
    })?;
    Ok((days as u32) ^ 0x8000_0000)
}

/// A time literal as stored: nanoseconds since midnight.
pub(super) fn time_from_text(text: &str) -> Result<i64> {
    let format = || marshal_error("Timestamp format must be hh:mm:ss[.fffffffff]");
    let mut parts = text.splitn(3, ':');
    let mut part = || parts.next().ok_or_else(format);
    let number = |text: &str| text.parse::<i64>().map_err(|_| format());
    let hours = number(part()?)?;
    let minutes = number(part()?)?;
    let (seconds, fraction) = match part()?.split_once('.') {
        Some((seconds, fraction)) => (number(seconds)?, fraction.to_owned()),
        None => (0, String::new()),
    };
    let seconds = if fraction.is_empty() {
        text.rsplit(':').next().map_or(Ok(seconds), |s| number(s.trim_end_matches('.')))?
    } else {
        seconds
    };
    if !(0..24).contains(&hours) {
        return Err(marshal_error(format!("Hour out of bounds ({hours}).")));
    }
    if !(0..60).contains(&minutes) {
        return Err(marshal_error(format!("Minute out of bounds ({minutes}).")));
    }
    if !(0..60).contains(&seconds) {
        return Err(marshal_error(format!("Second out of bounds ({seconds}).")));
    }
    if fraction.len() > 9 {
        return Err(marshal_error(format!("more than 9 nanosecond digits: {text}")));
    }
    let nanos = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<9}"))? };
    if !(0..1_000_000_000).contains(&nanos) {
        return Err(marshal_error(format!("Nanosecond out of bounds ({nanos}).")));
    }
    Ok(((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000 + nanos)
}

/// `yyyy-mm-dd` of a stored date.
pub(super) fn date_to_text(stored: u32) -> String {
    let (year, month, day) = civil_from_days(i64::from((stored ^ 0x8000_0000) as i32));
    if year < 0 {
        format!("-{:04}-{month:02}-{day:02}", -year)
    } else {
        format!("{year:04}-{month:02}-{day:02}")
    }
}

/// `hh:mm:ss.nnnnnnnnn` of a stored time.
pub(super) fn time_to_text(nanos: i64) -> String {
    let seconds = nanos.div_euclid(1_000_000_000);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{rest:02}.{:09}", nanos.rem_euclid(1_000_000_000))
}

/// A timestamp as text, the day and the time joined by `between`: `2026-11-21T01:02:03.456`.
pub(super) fn timestamp_to_text(millis: i64, between: char) -> String {
    let days = millis.div_euclid(86_400_000);
    let of_day = millis.rem_euclid(86_400_000);
    let (year, month, day) = civil_from_days(days);
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}{between}{hours:02}:{minutes:02}:{seconds:02}.{millis:03}"
    )
}

/// Year, month, day and `hh:mm:ss` of microseconds since 1970.
pub(crate) fn civil(micros: i64) -> (i64, i64, i64, String) {
    let seconds = micros.div_euclid(1_000_000);
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let time = format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    (year, month, day, time)
}

/// Months, days and nanoseconds of a duration; all of one sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Duration {
    pub(super) months: i32,
    pub(super) days: i32,
    pub(super) nanoseconds: i64,
}

/// A duration literal: `1y2mo3w4d5h6m7s8ms9us10ns`, or ISO 8601 (`P1Y2M3DT4H5M6S`, `P3W`,
/// `P0001-02-03T04:05:06`).
pub(super) fn duration_from_text(text: &str) -> Result<Duration> {
    let refuse = || CqlError::invalid(format!("Unable to convert '{text}' to a duration"));
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let mut months: i128 = 0;
    let mut days: i128 = 0;
    let mut nanos: i128 = 0;
    let mut add = |amount: i128, unit: &str| -> Option<()> {
        match unit {
            "y" => months += amount * 12,
            "mo" => months += amount,
            "w" => days += amount * 7,
            "d" => days += amount,
            "h" => nanos += amount * 3_600_000_000_000,
            "m" => nanos += amount * 60_000_000_000,
            "s" => nanos += amount * 1_000_000_000,
            "ms" => nanos += amount * 1_000_000,
            "us" | "µs" | "μs" => nanos += amount * 1000,
            "ns" => nanos += amount,
            _ => return None,
        }
        Some(())
    };
    let upper = body.to_ascii_uppercase();
    if let Some(iso) = upper.strip_prefix('P') {
        parse_iso_duration(iso, &mut add).ok_or_else(refuse)?;
    } else {
        const UNITS: [&str; 10] = ["y", "mo", "w", "d", "h", "m", "s", "ms", "us", "ns"];
        let mut scan = Scan { rest: body };
        let mut last = None;
        if body.is_empty() {
            return Err(refuse());
        }
        while !scan.rest.is_empty() {
            let amount: i64 = scan.number().ok_or_else(refuse)?;
            let end = scan.rest.find(|c: char| c.is_ascii_digit()).unwrap_or(scan.rest.len());
            let (unit, rest) = scan.rest.split_at(end);
            scan.rest = rest;
            let unit = unit.to_lowercase().replace(['µ', 'μ'], "u");
            let position = UNITS.iter().position(|u| *u == unit).ok_or_else(refuse)?;
            // Units come once each, the larger first.
            if last.is_some_and(|last| last >= position) {
                return Err(refuse());
            }
            last = Some(position);
            add(i128::from(amount), &unit).ok_or_else(refuse)?;
        }
    }
    let sign = if negative { -1 } else { 1 };
    Ok(Duration {
        months: i32::try_from(months * sign).map_err(|_| refuse())?,
        days: i32::try_from(days * sign).map_err(|_| refuse())?,
        nanoseconds: i64::try_from(nanos * sign).map_err(|_| refuse())?,
    })
}

fn parse_iso_duration(iso: &str, add: &mut impl FnMut(i128, &str) -> Option<()>) -> Option<()> {
    let (date, time) = match iso.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (iso, None),
    };
    if date.contains('-') {
        let mut parts = date.split('-').map(|p| p.parse::<u32>().ok());
        for unit in ["y", "mo", "d"] {
            add(i128::from(parts.next()??), unit)?;
        }
        let mut parts = time?.split(':').map(|p| p.parse::<u32>().ok());
        for unit in ["h", "m", "s"] {
            add(i128::from(parts.next()??), unit)?;
        }
        return parts.next().is_none().then_some(());
    }
    let mut any = false;
    let mut read = |text: &str, units: &[(char, &str)]| -> Option<()> {
        let mut scan = Scan { rest: text };
        let mut allowed = units.iter();
        while !scan.rest.is_empty() {
            let amount: i64 = scan.number()?;
            let letter = scan.rest.chars().next()?;
            scan.rest = &scan.rest[letter.len_utf8()..];
            let (_, unit) = allowed.find(|(c, _)| *c == letter)?;
            add(i128::from(amount), unit)?;
            any = true;
        }
        Some(())
    };
    read(date, &[('Y', "y"), ('M', "mo"), ('W', "w"), ('D', "d")])?;
    if let Some(time) = time {
        read(time, &[('H', "h"), ('M', "m"), ('S', "s")])?;
    }
    any.then_some(())
}

/// A duration as ScyllaDB shows it: `1y2mo3d4h`.
pub(super) fn duration_to_text(duration: Duration) -> String {
    let negative = duration.months < 0 || duration.days < 0 || duration.nanoseconds < 0;
    let mut out = String::new();
    if negative {
        out.push('-');
    }
    let mut put = |amount: u64, units: &[(&str, u64)]| {
        let mut rest = amount;
        for (unit, size) in units {
            if rest >= *size {
                out.push_str(&format!("{}{unit}", rest / size));
                rest %= size;
            }
        }
    };
    put(u64::from(duration.months.unsigned_abs()), &[("y", 12), ("mo", 1)]);
    put(u64::from(duration.days.unsigned_abs()), &[("d", 1)]);
    put(
        duration.nanoseconds.unsigned_abs(),
        &[
            ("h", 3_600_000_000_000),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1000),
            ("ns", 1),
        ],
    );
    out
}

fn put_vint(out: &mut Vec<u8>, value: i64) {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    // Leading ones of the first byte say how many bytes follow.
    let bits = 64 - (zigzag | 1).leading_zeros();
    let extra = (bits.saturating_sub(1) / 7).min(8) as usize;
    if extra == 8 {
        out.push(0xff);
        out.extend(zigzag.to_be_bytes());
        return;
    }
    let bytes = zigzag.to_be_bytes();
    let start = 7 - extra;
    let mark = !(0xff_u16 >> extra) as u8;
    out.push(bytes[start] | mark);
    out.extend(&bytes[start + 1..]);
}

fn take_vint(bytes: &mut &[u8]) -> Option<i64> {
    let (first, rest) = bytes.split_first()?;
    let extra = first.leading_ones() as usize;
    let (more, rest) = rest.split_at_checked(extra)?;
    let head = if extra >= 8 { 0 } else { u64::from(*first) & (0xff >> extra) };
    let zigzag = more.iter().fold(head, |n, b| n << 8 | u64::from(*b));
    *bytes = rest;
    Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
}

/// The protocol's form: three vints (native_protocol_v5.spec, section 5.3).
pub(super) fn encode_duration(duration: Duration) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    put_vint(&mut out, i64::from(duration.months));
    put_vint(&mut out, i64::from(duration.days));
    put_vint(&mut out, duration.nanoseconds);
    out
}

/// From the protocol's form; `None` if it is not one.
pub(super) fn decode_duration(mut bytes: &[u8]) -> Option<Duration> {
    let months = i32::try_from(take_vint(&mut bytes)?).ok()?;
    let days = i32::try_from(take_vint(&mut bytes)?).ok()?;
    let nanoseconds = take_vint(&mut bytes)?;
    bytes.is_empty().then_some(Duration { months, days, nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_in_the_forms_that_a_server_takes() {
        let at = 1_795_222_923_456;
        for text in [
            "2026-11-21T01:02:03.456Z",
            "2026-11-21 01:02:03.456",
            "2026-11-21T03:02:03.456+0200",
            "2026-11-21T03:02:03.456+02:00",
            "2026-11-20t23:02:03.456-02",
            "1795222923456",
        ] {
            assert_eq!(timestamp_from_text(text).unwrap(), at, "{text}");
        }
        assert_eq!(timestamp_from_text("2026-11-21").unwrap() % 86_400_000, 0);
        assert_eq!(timestamp_to_text(at, 'T'), "2026-11-21T01:02:03.456");
        let refused = timestamp_from_text("yesterday").unwrap_err().message;
        assert!(refused.contains("unable to parse date 'yesterday'"), "{refused}");
        assert!(timestamp_from_text("2026-02-30").is_err());
        assert!(timestamp_from_text("2026-01-01T00:00:00 Mars").is_err());
        assert!(timestamp_from_text("2026-01-01T00:00:00.1234").is_err());
    }

    #[test]
    fn dates_and_times() {
        assert_eq!(date_from_text("1970-01-01").unwrap(), 1 << 31);
        assert_eq!(date_to_text(date_from_text("2026-11-21").unwrap()), "2026-11-21");
        assert_eq!(date_to_text(date_from_text("-0044-03-15").unwrap()), "-0044-03-15");
        assert!(date_from_text("2026-13-01").is_err());
        let noon = time_from_text("13:14:15.123456789").unwrap();
        assert_eq!(time_to_text(noon), "13:14:15.123456789");
        assert_eq!(time_from_text("00:00:01").unwrap(), 1_000_000_000);
        assert_eq!(time_from_text("00:00:01.5").unwrap(), 1_500_000_000);
        assert!(time_from_text("24:00:00").is_err());
        assert!(time_from_text("noon").is_err());
    }

    #[test]
    fn durations_and_their_bytes() {
        for (text, shown) in [
            ("1y2mo3d4h", "1y2mo3d4h"),
            ("-2w", "-14d"),
            ("89h4m48s", "89h4m48s"),
            ("P1Y2M3DT4H5M6S", "1y2mo3d4h5m6s"),
            ("P2W", "14d"),
            ("P0001-02-03T04:05:06", "1y2mo3d4h5m6s"),
            ("1us", "1us"),
        ] {
            let duration = duration_from_text(text).unwrap();
            assert_eq!(duration_to_text(duration), shown, "{text}");
            assert_eq!(decode_duration(&encode_duration(duration)), Some(duration));
        }
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN, 1 << 55, 1 << 56, 1 << 62] {
            let mut out = Vec::new();
            put_vint(&mut out, value);
            assert_eq!(take_vint(&mut &out[..]), Some(value));
        }
        assert!(duration_from_text("1d1y").is_err());
        assert!(duration_from_text("P").is_err());
    }
}
