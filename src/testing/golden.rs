//! Golden files: what has been stored can be read for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diff::{diff, pretty};
use super::envelope::envelope;
use super::given::json_of;
use crate::event::{DomainEvent, EventEnvelope, Payload, Upcasters};

/// Set to 1, new samples are written to their files instead of failing the test.
const UPDATE: &str = "UPDATE_GOLDEN";

/// A directory with a file for each type and version of an aggregate's events, kept in the
/// repository: the payloads that were ever stored, as samples.
///
/// [`Golden::check`] fails when a payload in the files could no longer be read, or would lose
/// something on the way, and when today's samples are not in the files yet; with
/// `UPDATE_GOLDEN=1` those are added. What stands in a file is never changed: data of that
/// shape is in databases.
///
/// ```no_run
/// use messina::testing::Golden;
/// # use messina::DomainEvent;
/// # #[derive(Clone, Debug, DomainEvent)]
/// # enum DoorEvent { Opened { by: String }, Closed }
///
/// # #[allow(dead_code)]
/// # const _: &str = stringify!(
/// #[test]
/// # );
/// fn stored_events_stay_readable() {
///     Golden::<DoorEvent>::new("Door", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
///         .check([DoorEvent::Opened { by: "ann".into() }, DoorEvent::Closed]);
/// }
/// ```
#[derive(Debug)]
#[must_use = "golden files are looked at by `check`"]
pub struct Golden<'u, E> {
    aggregate_type: String,
    directory: PathBuf,
    upcasters: Option<&'u Upcasters>,
    update: bool,
    events: std::marker::PhantomData<fn() -> E>,
}

/// What stands in a file.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    event_type: String,
    event_version: i32,
    payloads: Vec<Value>,
}

impl<'u, E: DomainEvent> Golden<'u, E> {
    /// The files of an aggregate type (`Aggregate::TYPE`) in this directory, which nothing
    /// else uses.
    pub fn new(aggregate_type: &str, directory: impl Into<PathBuf>) -> Self {
        Self {
            aggregate_type: aggregate_type.to_owned(),
            directory: directory.into(),
            upcasters: None,
            update: std::env::var(UPDATE).is_ok_and(|value| value == "1"),
            events: std::marker::PhantomData,
        }
    }

    /// The upcasters that lead from the files of earlier versions to today's events.
    pub fn upcasters(mut self, upcasters: &'u Upcasters) -> Self {
        self.upcasters = Some(upcasters);
        self
    }

    /// Checks the files against this build, and that they hold these samples: at least one
    /// of each type of event, with fixed values.
    ///
    /// # Panics
    /// With everything that is wrong: this is a test's assertion.
    #[track_caller]
    #[allow(clippy::panic, reason = "a test's assertion")]
    pub fn check(self, samples: impl IntoIterator<Item = E>) {
        let problems = match self.problems(samples.into_iter().collect()) {
            Ok(problems) => problems,
            Err(problem) => vec![problem],
        };
        if !problems.is_empty() {
            panic!("{}", problems.join("\n\n"));
        }
    }

    fn problems(&self, samples: Vec<E>) -> Result<Vec<String>, String> {
        fs::create_dir_all(&self.directory)
            .map_err(|e| format!("{}: {e}", self.directory.display()))?;
        let mut problems = Vec::new();
        for path in files(&self.directory)? {
            let file = read(&path)?;
            for payload in &file.payloads {
                if let Err(problem) = self.survives(&file, payload) {
                    problems.push(format!("{}: {problem}", path.display()));
                }
            }
        }
        let sampled: BTreeSet<&str> = samples.iter().map(DomainEvent::event_type).collect();
        for (event_type, _) in E::TYPES {
            if !sampled.contains(event_type) {
                problems.push(format!("there is no sample of {event_type}: give `check` one"));
            }
        }
        for sample in samples {
            problems.extend(self.recorded(&sample)?);
        }
        Ok(problems)
    }

    /// Whether a payload of the past is read, and all of it.
    fn survives(&self, file: &File, payload: &Value) -> Result<(), String> {
        let mut stored: EventEnvelope = envelope(&self.aggregate_type, 1);
        stored.event_type = file.event_type.as_str().into();
        stored.event_version = file.event_version;
        stored.event = Payload::from_json_text(payload.to_string());
        let unread = |error: String| {
            let shown = pretty(payload);
            format!("stored events of this shape can no longer be read: {error}\n{shown}")
        };
        let none = Upcasters::default();
        let today: Vec<E> = self
            .upcasters
            .unwrap_or(&none)
            .events(&stored)
            .map_err(|error| unread(error.to_string()))?;
        // What an upcaster leaves out was left out by decision.
        let current = E::TYPES.contains(&(file.event_type.as_str(), file.event_version));
        if let ([event], true) = (today.as_slice(), current) {
            let back = event.to_payload().map_err(|error| unread(error.to_string()))?;
            let back = json_of(&back);
            if !contains(&back, payload) {
                return Err(format!(
                    "what was stored loses something when it is read (raise the version, and \
                     write an upcaster from {} version {}):\n{}",
                    file.event_type,
                    file.event_version,
                    diff(&pretty(payload), &pretty(&back))
                ));
            }
        }
        Ok(())
    }

    /// Whether a sample's payload stands in its file; it is added where that was asked for.
    fn recorded(&self, sample: &E) -> Result<Option<String>, String> {
        let (event_type, event_version) = (sample.event_type(), sample.event_version());
        let payload = json_of(&sample.to_payload().map_err(|e| e.to_string())?);
        let path = self.directory.join(format!("{event_type}.v{event_version}.json"));
        let mut file = if path.exists() {
            read(&path)?
        } else {
            File { event_type: event_type.to_owned(), event_version, payloads: Vec::new() }
        };
        if file.payloads.contains(&payload) {
            return Ok(None);
        }
        if !self.update {
            let last = file.payloads.last().map(pretty).unwrap_or_default();
            return Ok(Some(format!(
                "{}: a payload of this shape is not recorded. If it is to be stored from now \
                 on, run the test with {UPDATE}=1 and commit the file.\n{}",
                path.display(),
                diff(&last, &pretty(&payload))
            )));
        }
        file.payloads.push(payload);
        let text = serde_json::to_string_pretty(&file).map_err(|e| e.to_string())?;
        fs::write(&path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(None)
    }
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", directory.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<File, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{} is no golden file: {e}", path.display()))
}

/// Whether everything in `part` is also in `whole`, which may have more fields.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(key, value)| {
            whole.get(key).map_or(value.is_null(), |found| contains(found, value))
        }),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(w, p)| contains(w, p))
        }
        _ => whole == part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DomainEvent;

    /// One type of event as it was defined over the years.
    mod years {
        use crate::DomainEvent;

        #[derive(Debug, Clone, DomainEvent)]
        pub enum First {
            Placed { customer: String },
        }
        #[derive(Debug, Clone, DomainEvent)]
        pub enum FieldAdded {
            Placed {
                customer: String,
                #[serde(default)]
                note: String,
            },
        }
        #[derive(Debug, Clone, DomainEvent)]
        pub enum FieldRenamed {
            Placed {
                #[serde(default)]
                client: String,
            },
        }
        #[derive(Debug, Clone, DomainEvent)]
        pub enum FieldRequired {
            Placed { customer: String, currency: String },
        }
        #[derive(Debug, Clone, DomainEvent)]
        pub enum Second {
            #[event(version = 2)]
            Placed { client: String },
        }
    }
    use years::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("golden-{}", uuid::Uuid::new_v4())))
        }

        fn golden<E: DomainEvent>(&self, update: bool) -> Golden<'static, E> {
            Golden { update, ..Golden::new("Order", &self.0) }
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn problems<E: DomainEvent>(golden: Golden<'_, E>, sample: E) -> String {
        golden.problems(vec![sample]).unwrap().join("\n")
    }

    fn first() -> (Directory, First) {
        let directory = Directory::new();
        let sample = First::Placed { customer: "ann".to_owned() };
        assert!(problems(directory.golden(false), sample.clone()).contains("UPDATE_GOLDEN=1"));
        assert_eq!(problems(directory.golden(true), sample.clone()), "");
        assert_eq!(problems(directory.golden(false), sample.clone()), "");
        (directory, sample)
    }

    #[test]
    fn a_field_with_a_default_is_recorded_beside_what_was() {
        let (directory, first) = first();
        let sample = FieldAdded::Placed { customer: "ann".to_owned(), note: "hi".to_owned() };
        assert!(problems(directory.golden(false), sample.clone()).contains("not recorded"));
        assert_eq!(problems(directory.golden(true), sample.clone()), "");
        assert_eq!(problems(directory.golden(false), sample), "");
        // And going back would now lose the note.
        let text = problems(directory.golden(false), first);
        assert!(text.contains("loses something") && text.contains("- ") && text.contains("note"));
    }

    #[test]
    fn a_change_that_old_data_would_not_survive_fails_even_when_updating() {
        let (directory, _) = first();
        let renamed = FieldRenamed::Placed { client: "ann".to_owned() };
        let text = problems(directory.golden(true), renamed);
        assert!(text.contains("loses something") && text.contains("\"customer\": \"ann\""));
        let (directory, _) = self::first();
        let required =
            FieldRequired::Placed { customer: "ann".to_owned(), currency: "EUR".to_owned() };
        let text = problems(directory.golden(true), required);
        assert!(text.contains("can no longer be read"), "{text}");
        assert!(text.contains("missing field `currency`"), "{text}");
    }

    #[test]
    fn a_new_version_needs_an_upcaster_from_the_files_of_the_old() {
        let (directory, _) = first();
        let sample = Second::Placed { client: "ann".to_owned() };
        let text = problems(directory.golden(true), sample.clone());
        assert!(text.contains("has no version 1"), "{text}");
        let upcasters = Upcasters::builder()
            .events::<Second>("Order", |steps| {
                steps.revise("Placed", 1, |fields| {
                    let name = fields.remove("customer").ok_or("no customer")?;
                    fields.insert("client".to_owned(), name);
                    Ok(())
                })
            })
            .build()
            .unwrap();
        let golden = directory.golden::<Second>(false).upcasters(&upcasters);
        assert_eq!(problems(golden, sample), "");
    }

    #[test]
    fn every_type_needs_a_sample() {
        let directory = Directory::new();
        let problems = directory.golden::<First>(true).problems(Vec::new()).unwrap();
        assert!(problems[0].contains("no sample of Placed"), "{problems:?}");
    }
}
