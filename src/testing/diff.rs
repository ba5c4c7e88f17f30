//! Differences that a reader sees at once.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// `expected` and `found`, line by line: `-` was expected, `+` was found.
pub(super) fn diff(expected: &str, found: &str) -> String {
    let mut text = String::from("- expected\n+ found\n\n");
    for change in TextDiff::from_lines(expected, found).iter_all_changes() {
        text.push_str(match change.tag() {
            ChangeTag::Equal => "  ",
            ChangeTag::Delete => "- ",
            ChangeTag::Insert => "+ ",
        });
        text.push_str(change.value().trim_end_matches('\n'));
        text.push('\n');
    }
    text
}

/// JSON with a field a line.
pub(super) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_in_its_place() {
        let text = diff("a\nb\nc", "a\nx\nc");
        assert_eq!(text, "- expected\n+ found\n\n  a\n- b\n+ x\n  c\n");
    }
}
