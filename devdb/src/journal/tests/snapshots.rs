//! Snapshots, and crashes while one is taken.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::contents::fill;
use super::node::{Node, config, copy, files, names};
use crate::journal::{JournalConfig, JournalError};

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(60), "it did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn snapshots(directory: &Path) -> Vec<String> {
    names(directory).into_iter().filter(|name| name.ends_with(".snap")).collect()
}

/// A directory before and after a snapshot, and what both hold.
fn before_and_after() -> (TempDir, TempDir, Vec<String>) {
    let before = TempDir::new().unwrap();
    let mut node = Node::new_with(JournalConfig { segment_bytes: 4_000, ..config(before.path()) });
    fill(&mut node);
    // Larger than a piece of an export, and a partition of several pieces.
    node.all(&["CREATE TABLE large (p int, c int, v text, PRIMARY KEY (p, c))"]);
    let value = "x".repeat(100_000);
    for c in 0..8 {
        node.all(&[&format!("INSERT INTO large (p, c, v) VALUES (1, {c}, '{value}')")]);
        node.all(&[&format!("INSERT INTO large (p, c, v) VALUES ({c}, -1, '{value}')")]);
    }
    node.all(&["DELETE FROM large WHERE p = 1 AND c > 100"]);
    let contents = node.contents();
    node.close();
    assert_eq!(snapshots(before.path()), [""; 0]);
    let after = copy(before.path());
    let node = Node::open_with(JournalConfig { snapshot_after: 1, ..config(after.path()) });
    let node = node.unwrap();
    // Done when nothing is left of before.
    let first = "journal-0000000001.log".to_owned();
    wait_until(|| {
        let names = names(after.path());
        names.iter().any(|name| name.ends_with(".snap")) && !names.contains(&first)
    });
    node.close();
    (before, after, contents)
}

#[test]
fn a_crash_at_any_moment_of_a_snapshot_leaves_the_data_whole() {
    let (before, after, contents) = before_and_after();
    assert_eq!(Node::open(copy(after.path()).path()).contents(), contents, "after it");
    let snapshot = files(after.path()).into_iter().find(|(_, name)| name.ends_with(".snap"));
    let (snapshot, snapshot_name) = snapshot.unwrap();
    let whole = fs::read(&snapshot).unwrap();
    // While it is written, under another name.
    for length in [0, 1, 24, 25, 60, whole.len() / 2, whole.len() - 1, whole.len()] {
        let crashed = copy(before.path());
        fs::write(crashed.path().join("snapshot.tmp"), &whole[..length]).unwrap();
        let node = Node::open(crashed.path());
        assert_eq!(node.contents(), contents, "{length} bytes written");
        assert!(!names(crashed.path()).contains(&"snapshot.tmp".to_owned()));
    }
    // Its name is there, and of what it makes superfluous one file after the other goes.
    let crashed = copy(before.path());
    fs::copy(&snapshot, crashed.path().join(&snapshot_name)).unwrap();
    for (path, name) in files(after.path()) {
        fs::copy(path, crashed.path().join(name)).unwrap();
    }
    let kept = names(after.path());
    for (path, name) in files(crashed.path()) {
        let state = copy(crashed.path());
        assert_eq!(Node::open(state.path()).contents(), contents, "up to {name}");
        if !kept.contains(&name) {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn the_snapshot_before_serves_as_long_as_its_segments_are_there() {
    let (before, after, contents) = before_and_after();
    let both = copy(before.path());
    for (path, name) in files(after.path()) {
        let mut bytes = fs::read(path).unwrap();
        if name.ends_with(".snap") {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        fs::write(both.path().join(name), bytes).unwrap();
    }
    assert_eq!(Node::open(both.path()).contents(), contents);
    // Without them it is missed: never is half of the data shown as the whole.
    let broken = copy(after.path());
    let (path, name) =
        files(both.path()).into_iter().find(|(_, name)| name.ends_with(".snap")).unwrap();
    fs::copy(path, broken.path().join(&name)).unwrap();
    let refused = Node::open_with(config(broken.path())).err().unwrap();
    assert!(
        matches!(&refused, JournalError::Damaged { path, .. } if path.ends_with(&name)),
        "{refused}"
    );
    let gone = copy(after.path());
    fs::remove_file(gone.path().join(&name)).unwrap();
    let refused = Node::open_with(config(gone.path())).err().unwrap();
    assert!(matches!(refused, JournalError::Missing { .. }), "{refused}");
}

#[test]
fn the_journal_stays_small_however_much_is_written() {
    let directory = TempDir::new().unwrap();
    let mut node = Node::new_with(JournalConfig {
        snapshot_after: 30_000,
        segment_bytes: 10_000,
        ..config(directory.path())
    });
    node.all(&["CREATE TABLE t (p int PRIMARY KEY, v text)"]);
    let value = "x".repeat(1_000);
    for i in 0..1_000 {
        node.all(&[&format!("INSERT INTO t (p, v) VALUES ({}, '{value} {i}')", i % 10)]);
    }
    let size = || -> u64 {
        // Files come and go.
        let sizes = files(directory.path());
        sizes.iter().filter_map(|(path, _)| Some(fs::metadata(path).ok()?.len())).sum()
    };
    wait_until(|| size() < 200_000);
    assert_eq!(node.rows("SELECT count(*) FROM t"), ["10"]);
    let contents = node.contents();
    node.close();
    assert_eq!(Node::open(directory.path()).contents(), contents);
}

#[test]
fn log_rows_that_are_late_are_not_lost_with_a_snapshot() {
    let directory = TempDir::new().unwrap();
    let mut node =
        Node::new_with(JournalConfig { snapshot_after: 100_000, ..config(directory.path()) });
    node.all(&["CREATE TABLE t (p int PRIMARY KEY, v text) WITH cdc = {'enabled': true}"]);
    node.effects.late_log = Some(Duration::from_secs(3_600));
    node.all(&["INSERT INTO t (p, v) VALUES (1, 'late')"]);
    node.effects.late_log = None;
    assert_eq!(node.rows("SELECT p FROM k.t_scylla_cdc_log").len(), 0);
    let value = "x".repeat(110_000);
    node.all(&[&format!("INSERT INTO t (p, v) VALUES (2, '{value}')")]);
    wait_until(|| snapshots(directory.path()).len() == 1);
    node.close();
    let mut node = Node::open(directory.path());
    assert_eq!(node.rows("SELECT p FROM k.t_scylla_cdc_log").len(), 2);
}
