//! The difference of two texts, line by line.

/// Lines of both texts: ` ` in both, `-` only in the first, `+` only in the second.
pub fn lines(want: &str, got: &str) -> String {
    let (want, got): (Vec<&str>, Vec<&str>) = (want.lines().collect(), got.lines().collect());
    // longest[i][j]: the longest common subsequence of want[i..] and got[j..].
    let mut longest = vec![vec![0; got.len() + 1]; want.len() + 1];
    for i in (0..want.len()).rev() {
        for j in (0..got.len()).rev() {
            longest[i][j] = if want[i] == got[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < want.len() || j < got.len() {
        let both = i < want.len() && j < got.len() && want[i] == got[j];
        let first = i < want.len() && (j == got.len() || longest[i + 1][j] >= longest[i][j + 1]);
        let (sign, line) = match (both, first) {
            (true, _) => (' ', want[i]),
            (false, true) => ('-', want[i]),
            (false, false) => ('+', got[j]),
        };
        i += usize::from(both || first);
        j += usize::from(both || !first);
        text.push_str(&format!("  {sign} {line}\n"));
    }
    text
}
