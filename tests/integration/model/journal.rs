//! What writers say they did: a line before each command and one after it, which outlive
//! their writer.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use messina::{AggregateId, CommitId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Serialize, Deserialize)]
pub enum Line {
    Begun { command: Uuid, aggregate: AggregateId, events: usize },
    Ended { command: Uuid, outcome: Outcome },
}

/// What the caller of a command was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    Acknowledged {
        commit: CommitId,
        version: i64,
        events: usize,
    },
    Indeterminate {
        commit: CommitId,
    },
    /// Reserved or not; a killed writer's are the same.
    Unknown,
    /// Rejected, in conflict, or not sent: nothing may have been written.
    Nothing(String),
}

/// A command and what is known of it; without an outcome its writer was killed.
#[derive(Debug)]
pub struct Told {
    pub aggregate: AggregateId,
    pub events: usize,
    pub outcome: Option<Outcome>,
}

pub struct Journal(Mutex<File>);

impl Journal {
    pub fn open(path: &Path) -> Self {
        Self(Mutex::new(OpenOptions::new().create(true).append(true).open(path).unwrap()))
    }

    pub fn write(&self, line: &Line) {
        let mut text = serde_json::to_string(line).unwrap();
        text.push('\n');
        self.0.lock().unwrap().write_all(text.as_bytes()).unwrap();
    }
}

/// All journals of a directory, by command.
pub fn read(directory: &Path) -> HashMap<Uuid, Told> {
    let mut told: HashMap<Uuid, Told> = HashMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines() {
            match serde_json::from_str(line) {
                Ok(Line::Begun { command, aggregate, events }) => {
                    told.insert(command, Told { aggregate, events, outcome: None });
                }
                Ok(Line::Ended { command, outcome }) => {
                    told.get_mut(&command).unwrap().outcome = Some(outcome);
                }
                Err(error) => panic!("{line}: {error}"),
            }
        }
    }
    told
}
