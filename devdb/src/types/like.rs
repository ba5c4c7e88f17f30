//! `LIKE`.

/// Whether a text has the form of a pattern: `%` stands for any characters, `_` for one, and
/// a backslash in front of one of the three for that character itself.
///
/// Source: ScyllaDB, utils/like_matcher.hh.
pub fn like(pattern: &str, text: &str) -> bool {
    #[derive(Clone, Copy)]
    enum Part {
        Any,
        One,
        Char(char),
    }
    let mut parts = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Char(chars.next_if(|next| matches!(next, '%' | '_' | '\\')).unwrap_or(c)),
            c => Part::Char(c),
        });
    }
    let text: Vec<char> = text.chars().collect();
    // Only the last `%` has to be tried again: an earlier one has taken as little as it can.
    let (mut part, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < text.len() {
        match parts.get(part) {
            Some(Part::Any) => {
                part += 1;
                retry = Some((part, at));
            }
            Some(Part::One) => (part, at) = (part + 1, at + 1),
            Some(Part::Char(c)) if text.get(at) == Some(c) => (part, at) = (part + 1, at + 1),
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (part, at) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    parts.iter().skip(part).all(|part| matches!(part, Part::Any))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a%", "abc", true),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("a_c", "abc", true),
            ("_", "", false),
            ("_", "ä", true),
            ("%a%b", "aabab", true),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
            ("\\_", "a", false),
            ("a\\b", "a\\b", true),
            ("\\\\", "\\", true),
            ("\\", "\\", true),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// As it is told, part by part.
    fn told(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|from| told(rest, &text[from..])),
            Some((c, rest)) => text
                .split_first()
                .is_some_and(|(t, more)| (c == t || *c == '_') && told(rest, more)),
        }
    }

    proptest! {
        #[test]
        fn any_pattern_matches_what_it_says(pattern in "[ab%_]{0,7}", text in "[ab]{0,7}") {
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            prop_assert_eq!(like(&pattern, &text), told(&chars(&pattern), &chars(&text)));
        }
    }
}
