//! Files that do not hold what was written to them.

use std::path::PathBuf;

use tempfile::TempDir;

use super::node::{Node, config, copy, files};
use crate::journal::JournalError;
use crate::journal::frame::{FILE_HEADER, FileKind, file_header, frame_header};
use crate::journal::record::{Kind, end};

/// A node with one row a record, each settled before the next; where the records begin.
fn some_rows(directory: &TempDir, rows: usize) -> (PathBuf, Vec<u64>) {
    let mut node = Node::new(directory.path());
    node.all(&["CREATE TABLE t (p int PRIMARY KEY, v text)"]);
    node.force();
    let path = files(directory.path()).pop().unwrap().0;
    let length = || std::fs::metadata(&path).unwrap().len();
    let mut starts = vec![length()];
    for p in 0..rows {
        node.all(&[&format!("INSERT INTO t (p, v) VALUES ({p}, 'value of {p}')")]);
        node.force();
        starts.push(length());
    }
    // As a kill leaves it, not as an orderly end does.
    let killed = copy(directory.path());
    node.close();
    std::fs::copy(killed.path().join(path.file_name().unwrap()), &path).unwrap();
    (path, starts)
}

fn rows(node: &mut Node) -> usize {
    node.rows("SELECT p FROM t").len()
}

#[test]
fn a_torn_end_is_cut_wherever_it_is_torn() {
    let directory = TempDir::new().unwrap();
    let (path, starts) = some_rows(&directory, 3);
    let whole = std::fs::read(&path).unwrap();
    let (last, end) = (starts[2] as usize, starts[3] as usize);
    assert_eq!(end, whole.len());
    for length in last..end {
        std::fs::write(&path, &whole[..length]).unwrap();
        let mut node = Node::open(directory.path());
        assert_eq!(rows(&mut node), 2, "cut at {length} of {last} to {end}");
        node.close();
        // What the cut left can be written after.
        if length % 16 == 0 {
            let mut node = Node::open(directory.path());
            node.all(&["INSERT INTO t (p, v) VALUES (9, 'after the cut')"]);
            node.close();
            assert_eq!(rows(&mut Node::open(directory.path())), 3);
        }
    }
    // Torn in another way: the length is there, what was in between is not.
    for from in (last..end).step_by(5) {
        let mut torn = whole.clone();
        torn[from..].fill(0);
        std::fs::write(&path, &torn).unwrap();
        assert_eq!(rows(&mut Node::open(directory.path())), 2, "zeros from {from}");
    }
}

#[test]
fn a_byte_that_changed_in_the_middle_is_refused_with_its_records_offset() {
    let directory = TempDir::new().unwrap();
    let (path, starts) = some_rows(&directory, 3);
    let whole = std::fs::read(&path).unwrap();
    let records: Vec<(u64, u64)> = starts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let (from, to) = records[1];
    for at in from..to {
        let mut damaged = whole.clone();
        damaged[at as usize] ^= 1 << (at % 8);
        std::fs::write(&path, &damaged).unwrap();
        let refused = Node::open_with(config(directory.path())).err().unwrap();
        assert!(
            matches!(refused, JournalError::Damaged { offset, .. } if offset == from),
            "byte {at}: {refused}"
        );
        let message = refused.to_string();
        assert!(message.contains(&format!("damaged at byte {from}")), "{message}");
        assert!(message.contains(&format!("truncate -s {from} journal-")), "{message}");
    }
    assert_eq!(std::fs::read(&path).unwrap().len(), whole.len(), "refused, not changed");
    // The advice works.
    std::fs::write(&path, &whole[..from as usize]).unwrap();
    assert_eq!(rows(&mut Node::open(directory.path())), 1);
}

#[test]
fn damage_at_the_end_of_a_closed_journal_is_not_taken_for_a_torn_end() {
    let directory = TempDir::new().unwrap();
    let mut node = Node::new(directory.path());
    node.all(&["CREATE TABLE t (p int PRIMARY KEY)", "INSERT INTO t (p) VALUES (1)"]);
    node.force();
    let path = files(directory.path()).pop().unwrap().0;
    let at = std::fs::metadata(&path).unwrap().len() - 1;
    node.engine.close();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at as usize] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let refused = Node::open_with(config(directory.path())).err().unwrap();
    assert!(matches!(refused, JournalError::Damaged { .. }), "{refused}");
}

#[test]
fn what_was_never_settled_may_be_damaged_before_what_is_whole() {
    // Two records of one fsync: a power cut may leave the second and not the first.
    let build = |settled_of_second: u64| {
        let mut record = Vec::new();
        end(&mut record, 0);
        let sum = crc32fast::hash(&record);
        let mut file = file_header(FileKind::Segment, 1).to_vec();
        for settled in [FILE_HEADER, settled_of_second] {
            let offset = file.len() as u64;
            file.extend(frame_header(Kind::End, record.len() as u32, sum, settled, 1, offset));
            file.extend(&record);
        }
        file[FILE_HEADER as usize + 1] ^= 1;
        file
    };
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("journal-0000000001.log");
    std::fs::write(&path, build(FILE_HEADER)).unwrap();
    Node::open(directory.path());
    std::fs::write(&path, build(FILE_HEADER + 1)).unwrap();
    let refused = Node::open_with(config(directory.path())).err().unwrap();
    assert!(matches!(refused, JournalError::Damaged { offset: FILE_HEADER, .. }), "{refused}");
}

#[test]
fn a_segment_that_was_just_begun_is_begun_again() {
    for begun in [0, 7, FILE_HEADER as usize, 100] {
        let directory = TempDir::new().unwrap();
        some_rows(&directory, 2);
        let mut header = file_header(FileKind::Segment, 2).to_vec();
        match header.get(..begun) {
            Some(part) => header = part.to_vec(),
            None => header = vec![0; begun],
        }
        std::fs::write(directory.path().join("journal-0000000002.log"), header).unwrap();
        let mut node = Node::open(directory.path());
        node.all(&["INSERT INTO t (p, v) VALUES (9, 'goes on')"]);
        node.close();
        assert_eq!(rows(&mut Node::open(directory.path())), 3, "{begun} bytes");
    }
}

#[test]
fn a_file_that_is_missing_or_of_another_format_is_named() {
    let directory = TempDir::new().unwrap();
    let mut journal = config(directory.path());
    journal.segment_bytes = 1;
    let mut node = Node::new_with(journal);
    node.all(&["CREATE TABLE t (p int PRIMARY KEY)", "INSERT INTO t (p) VALUES (1)"]);
    node.close();
    let second = directory.path().join("journal-0000000002.log");
    let whole = std::fs::read(&second).unwrap();
    std::fs::remove_file(&second).unwrap();
    let refused = Node::open_with(config(directory.path())).err().unwrap();
    assert!(matches!(&refused, JournalError::Missing { path } if *path == second), "{refused}");
    let mut other = whole.clone();
    other[8] = 99;
    let sum = crc32fast::hash(&other[..21]);
    other[21..25].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&second, &other).unwrap();
    let refused = Node::open_with(config(directory.path())).err().unwrap();
    assert!(matches!(refused, JournalError::Format { found: 99, .. }), "{refused}");
    // Only the last segment can have a torn end.
    std::fs::write(&second, &whole[..whole.len() - 1]).unwrap();
    let refused = Node::open_with(config(directory.path())).err().unwrap();
    assert!(matches!(refused, JournalError::Damaged { .. }), "{refused}");
}
