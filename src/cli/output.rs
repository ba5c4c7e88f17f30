//! What commands print on standard output: a table for people, JSON for programs.

use std::io::Write;
use std::time::Duration;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::error::CommandLineError;

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Output {
    /// A table.
    #[default]
    Table,
    /// JSON: one document, or one line per item where there is no end.
    Json,
}

/// Prints a line. A reader that has gone (`| head`) is no error.
pub(crate) fn line(text: &str) -> Result<(), CommandLineError> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CommandLineError::System { what: "writing to standard output", source: error })
        }
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), CommandLineError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CommandLineError::Usage(format!("cannot be said as JSON: {error}")))?;
    line(&text)
}

/// Prints a value as JSON on one line.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<(), CommandLineError> {
    let text = serde_json::to_string(value)
        .map_err(|error| CommandLineError::Usage(format!("cannot be said as JSON: {error}")))?;
    line(&text)
}

/// A table with these headings, as wide as its contents, without lines: it can be cut and
/// searched.
pub(crate) fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(headings);
    table
}

/// Prints a table, without the spaces around its lines.
pub(crate) fn print(table: &Table) -> Result<(), CommandLineError> {
    for row in table.to_string().lines() {
        // The padding of the first column: a cell may begin with spaces of its own.
        line(row.strip_prefix(' ').unwrap_or(row).trim_end())?;
    }
    Ok(())
}

/// A duration as people read it: `12 ms`, `3.4 s`, `5 min`, `2 h`, `3 d`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 1.0 => format!("{} ms", duration.as_millis()),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.0} min", s / 60.0),
        s if s < 86_400.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

/// A moment, ms since 1970, as `2026-03-04T05:06:07.089Z`.
pub(crate) fn moment(millis: i64) -> String {
    let time = std::time::UNIX_EPOCH + Duration::from_millis(millis.max(0).unsigned_abs());
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_moments_are_readable() {
        assert_eq!(span(Duration::from_millis(12)), "12 ms");
        assert_eq!(span(Duration::from_millis(3_400)), "3.4 s");
        assert_eq!(span(Duration::from_secs(7_200)), "2.0 h");
        assert_eq!(moment(1_772_600_767_089), "2026-03-04T05:06:07.089Z");
    }
}
