//! Keeping secrets out of logs and errors.

use std::collections::BTreeMap;

/// Whether an option of librdkafka may hold a secret: passwords, keys, tokens and what they
/// are made of. <https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md>
fn is_secret(name: &str) -> bool {
    // `ssl.key.pem`, `sasl.oauthbearer.config`, `ssl.keystore.password`, …
    ["password", "secret", "token", "key", "pem", "oauthbearer", "jaas", "credential"]
        .iter()
        .any(|part| name.contains(part))
        // A location is no secret, and what one wants to see when it is wrong.
        && !name.ends_with(".location")
        && !name.ends_with(".url")
}

/// The options as they may be shown.
pub(super) fn shown(options: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    options
        .iter()
        .map(|(name, value)| (name.as_str(), if is_secret(name) { "***" } else { value.as_str() }))
        .collect()
}

/// A text in which no secret option's value stands.
pub(super) fn redact(text: String, options: &BTreeMap<String, String>) -> String {
    options
        .iter()
        .filter(|(name, value)| is_secret(name) && !value.is_empty())
        .fold(text, |text, (_, secret)| text.replace(secret.as_str(), "***"))
}
