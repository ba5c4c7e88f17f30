//! What a real ScyllaDB answered, asked again of the embedded node.
//!
//! `conformance/cases` holds CQL scripts and `conformance/expected` what ScyllaDB (see
//! `expected/SERVER`) answered to them, recorded through the Python driver. Here the same
//! scripts run through the `scylla` driver, and the answers are compared as text.
//!
//! ```text
//! cargo test -p messina-devdb --test conformance               # every case
//! cargo test -p messina-devdb --test conformance -- lwt ttl    # cases whose name contains a word
//! SCYLLA_URI=127.0.0.1:9042 cargo test -p messina-devdb --test conformance   # another server
//! ```
//!
//! A program without the test harness: what it prints in the end is a figure over all
//! cases, and each case's difference is a diff.
mod bind;
mod case;
mod diff;
mod numbers;
mod outcome;
mod render;
mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use messina_devdb::DevDb;

use case::{Answer, Runner};

/// Cases that run at the same time; some of them only wait for a TTL to pass.
const AT_ONCE: usize = 6;

fn main() -> ExitCode {
    let run = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match run.context("no threads").and_then(|runtime| runtime.block_on(run_cases())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("conformance: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for, prints how it went, and says whether all was as recorded.
async fn run_cases() -> Result<bool> {
    let chosen = Chosen::from_arguments(std::env::args().skip(1));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let paths = chosen.of(&folder.join("cases"))?;
    if chosen.list {
        for name in paths.keys() {
            println!("{name}: test");
        }
        return Ok(true);
    }
    let started = match std::env::var("SCYLLA_URI") {
        Ok(_) => None,
        Err(_) => Some(DevDb::start().await.context("the node does not start")?),
    };
    let uri = match &started {
        Some(node) => node.contact_point(),
        None => std::env::var("SCYLLA_URI")?,
    };
    let runner = &Runner::new(&uri).await?;
    let expected = &folder.join("expected");
    let answers: BTreeMap<String, Vec<Answer>> = futures::stream::iter(&paths)
        .map(|(name, path)| async move {
            let recording = recording(expected, name)?;
            let answers = run_case(runner, name, path, &recording).await;
            anyhow::Ok((name.clone(), answers.with_context(|| format!("case {name}"))?))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    report(expected, &answers)
}

/// Runs a case. One with TTLs so short that rows can expire before a busy machine has asked for
/// them has more than one try: a real difference is there each time.
async fn run_case(
    runner: &Runner,
    name: &str,
    path: &Path,
    recording: &str,
) -> Result<Vec<Answer>> {
    let steps = script::parse(&std::fs::read_to_string(path)?)?;
    let tries = if steps.iter().any(|step| step.directive("sleep").is_some()) { 3 } else { 1 };
    for again in 1..tries {
        let answers = runner.run(name, &steps).await?;
        if pairs(recording, &answers).all(|(want, got)| got.is_some_and(|g| g.is_recorded(want))) {
            return Ok(answers);
        }
        println!("case {name} differs in try {again} of {tries}, and runs again");
    }
    runner.run(name, &steps).await
}

/// What ScyllaDB answered to a case.
fn recording(expected: &Path, name: &str) -> Result<String> {
    let path = expected.join(format!("{name}.out"));
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// What was recorded for each statement, and what was answered now.
fn pairs<'a>(
    recording: &'a str,
    answers: &'a [Answer],
) -> impl ExactSizeIterator<Item = (&'a str, Option<&'a Answer>)> {
    let recorded: Vec<&str> = recording.trim_end().split("\n\n").collect();
    (0..recorded.len().max(answers.len()))
        .map(move |index| (recorded.get(index).copied().unwrap_or_default(), answers.get(index)))
}

/// Prints a line for each case, a diff where it differs, and the sum.
fn report(expected: &Path, answers: &BTreeMap<String, Vec<Answer>>) -> Result<bool> {
    let (mut same, mut total, mut failed) = (0, 0, 0);
    let mut refused = Vec::new();
    println!();
    for (name, answers) in answers {
        let recording = recording(expected, name)?;
        let pairs = pairs(&recording, answers);
        let statements = pairs.len();
        let mut differences = String::new();
        for (index, (want, got)) in pairs.enumerate() {
            total += 1;
            if got.is_some_and(|got| got.is_recorded(want)) {
                same += 1;
                if let Some(Answer { refused_by_driver: Some(why), statement, .. }) = got {
                    refused.push(format!("{name}: {statement}: {why}"));
                }
                continue;
            }
            let got = got.map(Answer::text).unwrap_or_default();
            differences.push_str(&format!("  statement {} of {name}\n", index + 1));
            differences.push_str(&diff::lines(want, &got));
        }
        let verdict = if differences.is_empty() { "ok" } else { "FAILED" };
        println!("case {name} ({statements} statements) ... {verdict}");
        if !differences.is_empty() {
            failed += 1;
            println!("  --- ScyllaDB\n  +++ this node\n{differences}");
        }
    }
    println!(
        "\n{same} of {total} statements answered as ScyllaDB answered them; {} cases passed, \
         {failed} failed",
        answers.len() - failed
    );
    if !refused.is_empty() {
        println!("of these, refused by the driver before the server saw them, then and now:");
        refused.iter().for_each(|line| println!("  {line}"));
    }
    Ok(failed == 0 && same == total)
}

/// Which cases the command line asks for, as far as it is like that of other tests.
#[derive(Debug, Default)]
struct Chosen {
    words: Vec<String>,
    skipped: Vec<String>,
    list: bool,
}

impl Chosen {
    fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut chosen = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => chosen.list = true,
                "--skip" => chosen.skipped.extend(arguments.next()),
                // Settings of the usual harness, with a value of their own.
                "--test-threads" | "--format" | "--color" | "--logfile" => {
                    arguments.next();
                }
                flag if flag.starts_with('-') => {}
                word => chosen.words.push(word.to_owned()),
            }
        }
        chosen
    }

    /// The scripts in a folder that are asked for, by name.
    fn of(&self, folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
        let mut paths = BTreeMap::new();
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let wanted = self.words.is_empty() || self.words.iter().any(|w| name.contains(w));
            let skipped = self.skipped.iter().any(|w| name.contains(w));
            if path.extension().is_some_and(|e| e == "cql") && wanted && !skipped {
                paths.insert(name.to_owned(), path.clone());
            }
        }
        Ok(paths)
    }
}
