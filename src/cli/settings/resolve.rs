//! Where each setting's value comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::file::File;
use super::known::{REBUILD, RUNNER};
use super::setting::Setting;

/// The file's flag and variable; a file of this name in the working directory is not taken
/// by itself: a command that behaves otherwise in another folder surprises.
const CONFIG: &str = "config";

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: {reason}", path.display())]
    Toml {
        /// Which.
        path: PathBuf,
        /// Where.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The file has a key that means nothing.
    #[error(
        "{}, line {line}: there is no setting {key:?}; {}",
        path.display(),
        nearest.map_or_else(|| "--help lists all".to_owned(), |n| format!("did you mean {n:?}?"))
    )]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// As written.
        key: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// A value makes no sense.
    #[error("{place}: {key}: {reason}")]
    Value {
        /// Where it comes from.
        place: String,
        /// The setting.
        key: String,
        /// Why not.
        reason: String,
    },
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Env(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Origin::Env(name) => f.write_str(name),
            Origin::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// All settings of a command, each with its origin.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(super) values: BTreeMap<&'static str, (Vec<String>, Origin)>,
    pub(super) known: &'static [Setting],
}

/// Adds the settings to a command as flags that its subcommands take too.
pub(crate) fn add_to(mut command: Command, known: &'static [Setting]) -> Command {
    command = command.arg(
        Arg::new(CONFIG)
            .long(CONFIG)
            .env("MESSINA_CONFIG")
            .global(true)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("A TOML file of settings; the environment and flags are stronger")
            .help_heading("Settings"),
    );
    command = command.arg(
        Arg::new("print_config")
            .long("print-config")
            .global(true)
            .action(ArgAction::SetTrue)
            .help("Show all settings and where each comes from, and do nothing else")
            .help_heading("Settings"),
    );
    known.iter().fold(command, |command, setting| command.arg(setting.arg()))
}

impl Settings {
    /// Flags before the environment before the file before defaults.
    ///
    /// `keyspace` is that setting's default, the service's own.
    pub(crate) fn resolve(
        matches: &ArgMatches,
        known: &'static [Setting],
        keyspace: &str,
    ) -> Result<Self, SettingsError> {
        let others = if std::ptr::eq(known, RUNNER) { REBUILD } else { RUNNER };
        let file = match matches.get_one::<PathBuf>(CONFIG) {
            Some(path) => File::read(path, known, others)?,
            None => File::default(),
        };
        let mut values = BTreeMap::new();
        for setting in known {
            let given: Option<Vec<String>> =
                matches.get_many::<String>(setting.key).map(|values| values.cloned().collect());
            let value = match (given, matches.value_source(setting.key)) {
                (Some(given), Some(ValueSource::EnvVariable)) => {
                    (given, Origin::Env(setting.env()))
                }
                (Some(given), _) => (given, Origin::Flag(setting.flag())),
                (None, _) => match file.entries.get(setting.key) {
                    Some(entry) => (
                        entry.values.clone(),
                        Origin::File { path: file.path.clone(), line: entry.line },
                    ),
                    None if setting.key == "keyspace" => {
                        (vec![keyspace.to_owned()], Origin::Default)
                    }
                    None => {
                        let default = setting.default.iter().map(|v| (*v).to_owned()).collect();
                        (default, Origin::Default)
                    }
                },
            };
            values.insert(setting.key, value);
        }
        Ok(Self { values, known })
    }

    /// A list's texts, and any setting's as it was given.
    pub(crate) fn list(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], |(values, _)| values)
    }

    /// A text; empty if it is not set.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.list(key).first().map_or("", String::as_str)
    }

    /// A duration; values were checked when they came in.
    pub(crate) fn duration(&self, key: &str) -> Duration {
        humantime::parse_duration(self.text(key)).unwrap_or_default()
    }

    pub(crate) fn count(&self, key: &str) -> usize {
        self.text(key).parse().unwrap_or_default()
    }

    pub(crate) fn switch(&self, key: &str) -> bool {
        self.text(key) == "true"
    }

    /// `name=value` settings, in the order given.
    pub(crate) fn pairs(&self, key: &str) -> impl Iterator<Item = (&str, &str)> {
        self.list(key)
            .iter()
            .filter_map(|pair| pair.split_once('=').map(|(name, value)| (name.trim(), value)))
    }

    /// Whether something else than the default was asked for.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|(_, origin)| *origin != Origin::Default)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn settings(arguments: &[&str]) -> Settings {
        let command = add_to(Command::new("x"), RUNNER)
            .subcommand(Command::new("run"))
            .mut_args(|arg| arg.env(None));
        let matches = command.try_get_matches_from([&["x"], arguments].concat()).unwrap();
        Settings::resolve(&matches, RUNNER, "shop").unwrap()
    }

    #[test]
    fn flags_are_stronger_than_the_file_and_the_file_than_defaults() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "keyspace = \"shop\"\nlanes = 7").unwrap();
        let path = file.path().to_str().unwrap();
        let settings = settings(&["--config", path, "run", "--lanes", "9", "--group", "a,b"]);
        assert_eq!(settings.text("keyspace"), "shop");
        assert_eq!(settings.count("lanes"), 9);
        assert_eq!(settings.list("groups"), ["a", "b"]);
        assert_eq!(settings.values["lanes"].1, Origin::Flag("lanes".to_owned()));
        assert_eq!(
            settings.values["keyspace"].1,
            Origin::File { path: file.path().to_owned(), line: 1 }
        );
        assert_eq!(settings.values["drain_timeout"].1, Origin::Default);
        assert!(!settings.is_set("drain_timeout"));
    }

    #[test]
    fn a_switch_is_on_by_its_flag_alone() {
        assert!(settings(&["--apply-schema"]).switch("apply_schema"));
        assert!(!settings(&["--apply-schema=false"]).switch("apply_schema"));
        assert!(!settings(&[]).switch("apply_schema"));
    }

    #[test]
    fn pairs_keep_what_stands_behind_the_first_equals_sign() {
        let settings = settings(&["--kafka-option", "a=b=c", "--kafka-option", "d=e"]);
        assert_eq!(settings.pairs("kafka_options").collect::<Vec<_>>(), [("a", "b=c"), ("d", "e")]);
    }

    #[test]
    fn every_default_is_a_value_that_makes_sense() {
        for setting in RUNNER.iter().chain(REBUILD) {
            for value in setting.default {
                assert_eq!(setting.check(value), Ok(()), "{}", setting.key);
            }
        }
    }
}
