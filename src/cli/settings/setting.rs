//! One setting: what it is called, and which values make sense.

use std::time::Duration;

use clap::{Arg, ArgAction};

/// A setting. Its key stands in the file; its flag and its environment variable follow from
/// the key unless the flag is another.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    /// The flag where it is not the key with dashes: `--group` for `groups`.
    pub(crate) flag: Option<&'static str>,
    pub(crate) kind: Kind,
    pub(crate) value_name: &'static str,
    /// Several only for lists and pairs; empty: not set.
    pub(crate) default: &'static [&'static str],
    pub(crate) help: &'static str,
    /// Shown as `***`.
    pub(crate) secret: bool,
}

/// What a setting's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// Several texts: an array in the file, commas elsewhere.
    List,
    /// `30s`, `200ms`, `1m 30s`; above zero.
    Duration,
    Count {
        least: u64,
        most: u64,
    },
    /// `name=value`, several: a table in the file, the flag again and again, commas in the
    /// environment.
    Pairs,
    Choice(&'static [&'static str]),
    /// On or off; the flag alone is on.
    Switch,
}

impl Setting {
    pub(crate) fn flag(&self) -> String {
        self.flag.map_or_else(|| self.key.replace('_', "-"), str::to_owned)
    }

    pub(crate) fn env(&self) -> String {
        format!("MESSINA_{}", self.key.to_uppercase())
    }

    /// Whether one value (of a list: one of its texts) makes sense; if not, why.
    pub(crate) fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::Text | Kind::List if value.is_empty() => Err("it is empty".to_owned()),
            Kind::Text | Kind::List => Ok(()),
            Kind::Duration => match humantime::parse_duration(value) {
                Ok(Duration::ZERO) => Err("it must be above 0".to_owned()),
                Ok(_) => Ok(()),
                Err(error) => Err(format!("{error}; write it like 30s or 200ms")),
            },
            Kind::Count { least, most } => match value.parse::<u64>() {
                Ok(n) if (least..=most).contains(&n) => Ok(()),
                _ => Err(format!("it must be a number from {least} to {most}")),
            },
            Kind::Pairs => match value.split_once('=') {
                Some((name, _)) if !name.trim().is_empty() => Ok(()),
                _ => Err("write it as name=value".to_owned()),
            },
            Kind::Choice(choices) if choices.contains(&value) => Ok(()),
            Kind::Choice(choices) => Err(format!("it must be one of {}", choices.join(", "))),
            Kind::Switch => match value {
                "true" | "false" => Ok(()),
                _ => Err("it must be true or false".to_owned()),
            },
        }
    }

    /// The flag, which also reads the environment; without a default, so that a file can
    /// stand between.
    pub(crate) fn arg(&'static self) -> Arg {
        let parser = move |value: &str| self.check(value).map(|()| value.to_owned());
        let mut help = self.help.to_owned();
        if !self.default.is_empty() {
            help.push_str(&format!(" [default: {}]", self.default.join(",")));
        }
        let arg = Arg::new(self.key)
            .long(self.flag())
            .env(self.env())
            .hide_env_values(true)
            .global(true)
            .value_name(self.value_name)
            .help(help)
            .help_heading("Settings")
            .value_parser(parser);
        match self.kind {
            Kind::List | Kind::Pairs => arg.action(ArgAction::Append).value_delimiter(','),
            Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
            _ => arg,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(kind: Kind) -> Setting {
        Setting {
            key: "some_key",
            flag: None,
            kind,
            value_name: "X",
            default: &[],
            help: "",
            secret: false,
        }
    }

    #[test]
    fn a_value_is_accepted_or_refused_with_a_reason() {
        for (kind, good, bad, reason) in [
            (Kind::Text, "a", "", "empty"),
            (Kind::Duration, "30s", "soon", "like 30s"),
            (Kind::Duration, "200ms", "0s", "above 0"),
            (Kind::Count { least: 1, most: 9 }, "9", "10", "from 1 to 9"),
            (Kind::Pairs, "a=b=c", "a", "name=value"),
            (Kind::Choice(&["x", "y"]), "y", "z", "x, y"),
            (Kind::Switch, "true", "yes", "true or false"),
        ] {
            assert_eq!(setting(kind).check(good), Ok(()), "{kind:?}");
            assert!(setting(kind).check(bad).unwrap_err().contains(reason), "{kind:?}");
        }
    }

    #[test]
    fn flag_and_variable_follow_from_the_key() {
        assert_eq!(setting(Kind::Text).flag(), "some-key");
        assert_eq!(setting(Kind::Text).env(), "MESSINA_SOME_KEY");
    }
}
