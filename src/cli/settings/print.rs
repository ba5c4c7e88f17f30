//! `--print-config`.

use super::resolve::Settings;
use super::setting::{Kind, Setting};

/// The settings as a TOML file, with a remark where each comes from. Secrets are not shown.
pub(crate) fn print(settings: &Settings) -> String {
    let (tables, plain): (Vec<&Setting>, Vec<&Setting>) =
        settings.known.iter().partition(|setting| setting.kind == Kind::Pairs);
    let width = plain.iter().map(|setting| line_of(setting, settings).len()).max().unwrap_or(0);
    let mut out = String::new();
    for setting in plain {
        let line = line_of(setting, settings);
        let origin = origin_of(setting, settings);
        out.push_str(&format!("{line:width$}  # {origin}\n"));
    }
    for setting in tables {
        out.push_str(&format!("\n[{}]  # {}\n", setting.key, origin_of(setting, settings)));
        for (name, value) in settings.pairs(setting.key) {
            let shown = if is_secret(name) { "***" } else { value };
            out.push_str(&format!("{} = {}\n", quoted(name), quoted(shown)));
        }
    }
    out
}

fn origin_of(setting: &Setting, settings: &Settings) -> String {
    settings.values.get(setting.key).map(|(_, origin)| origin.to_string()).unwrap_or_default()
}

fn line_of(setting: &Setting, settings: &Settings) -> String {
    let values = settings.list(setting.key);
    let value = match (setting.kind, values) {
        (Kind::List, values) => {
            let texts: Vec<String> = values.iter().map(|v| quoted(v)).collect();
            format!("[{}]", texts.join(", "))
        }
        (_, []) => String::new(),
        (_, _) if setting.secret => quoted("***"),
        (Kind::Count { .. } | Kind::Switch, [value, ..]) => value.clone(),
        (_, [value, ..]) => quoted(value),
    };
    // What is not set would be refused if it were read back.
    let mark = if values.is_empty() { "# " } else { "" };
    format!("{mark}{} = {value}", setting.key)
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Options of librdkafka that hold a secret: `sasl.password`, `ssl.key.password`,
/// `sasl.oauthbearer.client.secret`, `ssl.key.pem`, `sasl.jaas.config`.
fn is_secret(option: &str) -> bool {
    ["password", "secret", "token", "key.pem", "jaas"].iter().any(|part| option.contains(part))
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::super::known::RUNNER;
    use super::super::resolve::add_to;
    use super::*;

    #[test]
    fn what_is_printed_says_where_it_comes_from_and_keeps_secrets() {
        let command = add_to(Command::new("x"), RUNNER).mut_args(|arg| arg.env(None));
        let arguments = [
            "x",
            "--keyspace",
            "shop",
            "--password",
            "hidden",
            "--kafka-option",
            "sasl.password=hidden",
            "--kafka-option",
            "acks=all",
        ];
        let settings =
            Settings::resolve(&command.try_get_matches_from(arguments).unwrap(), RUNNER, "x")
                .unwrap();
        let text = print(&settings);
        assert!(text.contains("keyspace = \"shop\""), "{text}");
        assert!(text.contains("# --keyspace"), "{text}");
        assert!(text.contains("\"acks\" = \"all\""), "{text}");
        assert!(!text.contains("hidden"), "{text}");
        assert!(text.contains("# user ="), "{text}");
        // It reads as a file.
        assert!(text.parse::<toml::Table>().is_ok(), "{text}");
    }
}
