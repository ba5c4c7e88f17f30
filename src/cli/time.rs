//! Moments as operators write them.

use std::time::{Duration, SystemTime};

use crate::cli::error::CommandLineError;

/// `2026-03-04T05:06:07Z`, or a span for so long ago: `2h`.
pub(crate) fn moment(text: &str) -> Result<SystemTime, CommandLineError> {
    let now = SystemTime::now();
    let time = match humantime::parse_duration(text) {
        Ok(span) => now.checked_sub(span),
        Err(_) => humantime::parse_rfc3339_weak(text).ok(),
    };
    match time {
        Some(time) if time > now + Duration::from_secs(5) => Err(CommandLineError::Usage(format!(
            "{text} has not come yet: give a time that has passed"
        ))),
        Some(time) => Ok(time),
        None => Err(CommandLineError::Usage(format!(
            "{text:?} is no time: write 2026-03-04T05:06:07Z, or 2h for two hours ago"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_so_long_ago() {
        let ago = Duration::from_secs(7_200);
        let earliest = SystemTime::now() - ago;
        let then = moment("2h").unwrap();
        assert!((earliest..=SystemTime::now() - ago).contains(&then), "{then:?}");
        let then = moment("2026-03-04T05:06:07Z").unwrap();
        let since = then.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 1_772_600_767);
        assert!(moment("yesterday").unwrap_err().to_string().contains("no time"));
        assert!(moment("2999-01-01T00:00:00Z").unwrap_err().to_string().contains("not come yet"));
    }
}
