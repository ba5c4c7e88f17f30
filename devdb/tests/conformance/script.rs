//! The text format of a case: statements, and directives that say how each is executed.

use anyhow::{Result, bail};

/// A step of a case.
#[derive(Debug)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// `--@ NAME VALUE` lines in front of it.
    directives: Vec<(String, String)>,
}

/// What a step does.
#[derive(Debug)]
pub enum Action {
    /// Executes a statement.
    Statement(String),
    /// Shows the CDC log of a table.
    Log(String),
}

impl Step {
    /// The value of a directive; empty for one that has none.
    pub fn directive(&self, name: &str) -> Option<&str> {
        self.directives.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a script: a statement ends with a `;` at the end of a line, a line that begins
/// with `--@` is a directive for the next statement.
pub fn parse(text: &str) -> Result<Vec<Step>> {
    let (mut steps, mut directives, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(directive) = trimmed.strip_prefix("--@") {
            let (name, value) = directive.trim().split_once(' ').unwrap_or((directive.trim(), ""));
            if name == "cdc" {
                let action = Action::Log(value.trim().to_owned());
                steps.push(Step { action, directives: Vec::new() });
            } else {
                directives.push((name.to_owned(), value.to_owned()));
            }
            continue;
        }
        if lines.is_empty() && (trimmed.is_empty() || trimmed.starts_with("--")) {
            continue;
        }
        lines.push(line);
        if trimmed.ends_with(';') {
            let text = std::mem::take(&mut lines).join("\n");
            let text = text.trim();
            steps.push(Step {
                action: Action::Statement(text[..text.len() - 1].to_owned()),
                directives: std::mem::take(&mut directives),
            });
        }
    }
    if !lines.is_empty() {
        bail!("a statement lacks its ';': {}", lines.join(" "));
    }
    Ok(steps)
}
