//! Files that other processes write line by line.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is there, but for a last line that is half written; nothing if there is no file yet.
pub fn whole_lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(str::to_owned).collect()
}

/// The time that processes of one machine agree on, µs since 1970.
pub fn micros_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64
}
