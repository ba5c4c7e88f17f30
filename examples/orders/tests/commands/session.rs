//! Sessions written down: a page of `$ command` lines and what they print, carried out.
//!
//! In what is expected, `[..]` stands for any text within a line, and a line `...` for any
//! lines. A command that only looks is asked again until it prints what is expected, for a
//! while: runners speak once a second.

use std::path::Path;
use std::time::{Duration, Instant};

use scylla::client::session::Session;
use tokio::process::Child;

use super::process::{Ended, ORDERS, REBUILD, RUNNER, ended, start_in, terminate};

/// How long a command that looks may take to see what is expected.
const PATIENCE: Duration = Duration::from_secs(30);

/// A command and what it is to print.
#[derive(Debug)]
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

/// Carries out the `console` blocks of a page, in order.
pub async fn follow(page: &Path, database: &Session, environment: &[(&str, &str)]) {
    let text = std::fs::read_to_string(page).unwrap();
    let steps = steps(&text);
    assert!(!steps.is_empty(), "{} has no console blocks", page.display());
    let mut running: Vec<Child> = Vec::new();
    for step in steps {
        let place = format!("{}:{}: $ {}", page.display(), step.line, step.command);
        let words = words(&step.command);
        match words[0].as_str() {
            "cqlsh" => {
                let [_, flag, cql] = &words[..] else { panic!("{place}: cqlsh -e CQL") };
                assert_eq!(flag, "-e", "{place}");
                database
                    .query_unpaged(cql.as_str(), ())
                    .await
                    .unwrap_or_else(|e| panic!("{place}: {e}"));
            }
            "kill" => {
                let number: usize = words[1].trim_start_matches('%').parse().unwrap();
                let child = running.remove(number - 1);
                terminate(&child).await;
                let end = ended(child).await;
                assert_eq!(end.code, Some(0), "{place}: {end:#?}");
            }
            program => {
                let program = match program {
                    "projection-runner" => RUNNER,
                    "rebuild-projection" => REBUILD,
                    "orders" => ORDERS,
                    other => panic!("{place}: what is {other}?"),
                };
                let background = words.last().is_some_and(|word| word == "&");
                let arguments: Vec<&str> =
                    words[1..].iter().map(String::as_str).filter(|word| *word != "&").collect();
                if background {
                    running.push(start_in(program, &arguments, environment));
                    continue;
                }
                let began = Instant::now();
                loop {
                    let end = ended(start_in(program, &arguments, environment)).await;
                    match difference(&step.expected, &end) {
                        None => break,
                        Some(_) if looks(&words) && began.elapsed() < PATIENCE => {
                            tokio::time::sleep(Duration::from_millis(200)).await;
                        }
                        Some(difference) => panic!("{place}\n{difference}\n{end:#?}"),
                    }
                }
            }
        }
    }
    for child in running {
        terminate(&child).await;
        assert_eq!(ended(child).await.code, Some(0));
    }
}

/// Whether the command changes nothing, so that it can be given again.
fn looks(words: &[String]) -> bool {
    const LOOKING: &[&str] = &["status", "list", "show", "doctor", "verify"];
    words.iter().take(3).any(|word| LOOKING.contains(&word.as_str()))
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = line.trim() == "```console";
        } else if inside && let Some(command) = line.strip_prefix("$ ") {
            let command = command.trim().to_owned();
            steps.push(Step { line: number + 1, command, expected: Vec::new() });
        } else if inside && let Some(step) = steps.last_mut() {
            step.expected.push(line.to_owned());
        }
    }
    steps
}

/// As a shell splits them: by spaces, texts in quotes together.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (String::new(), None);
    for c in command.chars() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) if word.is_empty() => {}
            (' ', None) => words.push(std::mem::take(&mut word)),
            (c, _) => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What is not as expected. A last line `[exit N]` says the exit code, 0 unless it is there.
fn difference(expected: &[String], end: &Ended) -> Option<String> {
    let (code, expected) = match expected.split_last() {
        Some((last, before)) if last.starts_with("[exit ") => {
            (last[6..].trim_end_matches(']').parse().unwrap(), before)
        }
        _ => (0, expected),
    };
    if end.code != Some(code) {
        return Some(format!("exit code {:?}, expected {code}", end.code));
    }
    let printed = if code == 0 || code == 3 { &end.stdout } else { &end.stderr };
    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    let expected: Vec<&str> = expected.iter().map(|line| line.trim_end()).collect();
    // A page without output does not say what is printed.
    if expected.is_empty() || matches(&expected, &lines) {
        return None;
    }
    Some(format!("expected:\n{}\nprinted:\n{}", expected.join("\n"), lines.join("\n")))
}

fn matches(expected: &[&str], lines: &[&str]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..])),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, others)| like(first, line) && matches(rest, others)),
    }
}

/// Whether a line is like the pattern; runs of spaces are like each other, since columns are
/// as wide as what stands in them.
fn like(pattern: &str, line: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (pattern, line) = (squeeze(pattern), squeeze(line));
    let parts: Vec<&str> = pattern.split("[..]").collect();
    let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
    if parts.len() == 1 {
        return pattern == line;
    }
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len() - 1] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_page_is_read_and_its_wildcards_mean_what_they_say() {
    let text = "words\n```console\n$ orders place --orders 2\n2 orders, [..] events\n```\n";
    let steps = steps(text);
    assert_eq!((steps.len(), steps[0].line), (1, 3));
    assert_eq!(words("cqlsh -e \"a 'b' c\" &"), ["cqlsh", "-e", "a 'b' c", "&"]);
    assert!(like("a [..] c   d", "a b b c d") && !like("a [..] c", "a b d"));
    assert!(matches(&["a", "...", "d"], &["a", "b", "c", "d"]) && !matches(&["a", "..."], &["b"]));
}
