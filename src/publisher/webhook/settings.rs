//! A webhook's settings.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

/// Where a [`WebhookSink`](crate::publisher::WebhookSink) sends, and how.
///
/// Its `Debug` output shows neither the secret nor the URL's user, password and query.
#[derive(Clone)]
pub struct WebhookSettings {
    /// `http://…` or `https://…`.
    pub url: String,
    /// What requests are signed with: `whsec_` and base64, as the Standard Webhooks
    /// specification has it, or any other text, whose bytes are then the key. `None`: they
    /// are not signed.
    pub secret: Option<String>,
    /// How long a request may take, from connecting to the end of the answer. 10 s.
    pub timeout: Duration,
    /// Attempts before the group is told; it then waits longer and tries again, for ever. 3.
    pub attempts: u32,
    /// Pause after the first failed attempt; doubled after each. 200 ms. An answer's
    /// `Retry-After` (in seconds) wins, up to a minute.
    pub backoff: Duration,
}

/// Why a webhook does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// A setting that is not valid.
    #[error("the webhook's settings are not valid: {0}")]
    Settings(String),
    /// The HTTP client cannot be made.
    #[error("the HTTP client: {0}")]
    Client(#[source] reqwest::Error),
}

impl WebhookSettings {
    /// Default settings for this URL, unsigned.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            secret: None,
            timeout: Duration::from_secs(10),
            attempts: 3,
            backoff: Duration::from_millis(200),
        }
    }

    /// See [`WebhookSettings::secret`].
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// The URL and the key, if all is valid.
    pub(super) fn validate(&self) -> Result<(Url, Option<Vec<u8>>), WebhookError> {
        let wrong = |what: &str| Err(WebhookError::Settings(what.to_owned()));
        let Ok(url) = Url::parse(&self.url) else {
            return wrong("the URL is not one; it looks like https://host/path");
        };
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return wrong("the URL must begin with http:// or https:// and name a host");
        }
        if self.timeout.is_zero() {
            return wrong("timeout must be above 0");
        }
        if self.attempts == 0 {
            return wrong("attempts must be above 0");
        }
        let key = match self.secret.as_deref() {
            None => None,
            Some("") => return wrong("the secret is empty"),
            Some(secret) => match secret.strip_prefix("whsec_") {
                None => Some(secret.as_bytes().to_vec()),
                Some(encoded) => match STANDARD.decode(encoded) {
                    Ok(key) if !key.is_empty() => Some(key),
                    _ => return wrong("what follows whsec_ in the secret is not base64"),
                },
            },
        };
        Ok((url, key))
    }
}

/// The URL without what may be secret in it.
pub(super) fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "(not a URL)".to_owned() };
    let secret = !url.username().is_empty() || url.password().is_some();
    // Both fail only where a URL can have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if secret || url.query().is_some() {
        url.set_query(None);
        return format!("{url} (some of it left out)");
    }
    url.to_string()
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("url", &shown(&self.url))
            .field("secret", &self.secret.as_ref().map(|_| "***"))
            .field("timeout", &self.timeout)
            .field("attempts", &self.attempts)
            .field("backoff", &self.backoff)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let url = "https://user:hunter2@example.org/hook?token=hunter2";
        let shown = format!("{:?}", WebhookSettings::new(url).secret("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("https://example.org/hook"), "{shown}");
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let mut no_attempts = WebhookSettings::new("http://a/");
        no_attempts.attempts = 0;
        for (settings, part) in [
            (WebhookSettings::new("nowhere"), "URL"),
            (WebhookSettings::new("ftp://a/"), "http://"),
            (WebhookSettings::new("http://a/").secret(""), "empty"),
            (WebhookSettings::new("http://a/").secret("whsec_!"), "base64"),
            (no_attempts, "attempts"),
        ] {
            let error = settings.validate().unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
