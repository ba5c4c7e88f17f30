//! The sink that sends HTTP requests.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use crate::consumer::{Handled, HandlerError};
use crate::publisher::webhook::settings::{WebhookError, WebhookSettings};
use crate::publisher::webhook::signature::sign;
use crate::publisher::{Message, Sink};

/// How much of a refusal's body is kept as the reason.
const REASON_BYTES: usize = 500;

/// Longest pause that an answer can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Sends each message as a `POST` and waits for the answer, so that an aggregate's events
/// arrive in order; those of several aggregates are sent at once.
///
/// - `Idempotency-Key` and `webhook-id` are the event's id, the same in every attempt.
/// - The message's headers are sent, as `event-id`, `sequence-number`, … (`_` becomes `-`), and
///   `message-topic` and `message-key`.
/// - With a [secret](WebhookSettings::secret), `webhook-timestamp` and `webhook-signature` are
///   as [Standard Webhooks](https://www.standardwebhooks.com) has them: HMAC-SHA256 over id,
///   time and body.
///
/// Answered with 2xx, the event is done. 408, 425, 429, 5xx and no answer are tried again, and
/// so are redirections, which are not followed. Any other status refuses the event for good,
/// with status and body as the reason.
pub struct WebhookSink {
    settings: WebhookSettings,
    url: Url,
    key: Option<Vec<u8>>,
    client: Client,
}

impl WebhookSink {
    /// Checks the settings. Nothing is sent yet.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn new(settings: WebhookSettings) -> Result<Self, WebhookError> {
        let (url, key) = settings.validate()?;
        // Another part of the program may have chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(settings.timeout)
            // Signed content goes where it was meant to go.
            .redirect(Policy::none())
            .user_agent(concat!("messina/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(WebhookError::Client)?;
        Ok(Self { settings, url, key, client })
    }

    /// One attempt.
    async fn attempt(&self, headers: &HeaderMap, id: &str, body: &[u8]) -> Attempt {
        let mut headers = headers.clone();
        if let Some(key) = &self.key {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let signature = sign(key, id, now, body).and_then(|s| HeaderValue::from_str(&s).ok());
            let Some(signature) = signature else {
                return Attempt::Refused("the request cannot be signed".to_owned());
            };
            headers.insert("webhook-timestamp", HeaderValue::from(now));
            headers.insert("webhook-signature", signature);
        }
        let request = self.client.post(self.url.clone()).headers(headers).body(body.to_vec());
        match request.send().await {
            // The URL may hold a secret.
            Err(error) => Attempt::again(describe(error.without_url())),
            Ok(response) => judge(response).await,
        }
    }
}

enum Attempt {
    Done,
    Again { reason: String, pause: Option<Duration> },
    Refused(String),
}

impl Attempt {
    fn again(reason: String) -> Self {
        Self::Again { reason, pause: None }
    }
}

/// An error with its causes: the first alone says little.
fn describe(error: reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn judge(response: Response) -> Attempt {
    let status = response.status();
    if status.is_success() {
        return Attempt::Done;
    }
    let pause = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let pause = pause.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    let passing = status.is_server_error()
        || status.is_redirection()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    let reason = format!("answered {status}: {}", beginning(response).await);
    if passing {
        Attempt::Again { reason, pause: pause.map(|pause| pause.min(LONGEST_PAUSE)) }
    } else {
        Attempt::Refused(reason)
    }
}

/// The first bytes of an answer, however long it is.
async fn beginning(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < REASON_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            // What has come says enough.
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(REASON_BYTES);
    String::from_utf8_lossy(&body).into_owned()
}

/// The message's headers as HTTP has them.
fn headers(message: &Message<'_>, id: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let own = [
        ("content-type", "application/json"),
        ("message-topic", &*message.topic),
        ("message-key", &*message.key),
        ("idempotency-key", id),
        ("webhook-id", id),
    ];
    // The envelope's come first, and what is ours wins, except for the type of content.
    for (name, value) in
        own[..1].iter().copied().chain(message.headers.iter()).chain(own[1..].iter().copied())
    {
        let wrong = |what: &str| format!("header {name:?} has {what} that HTTP does not allow");
        let name = HeaderName::try_from(name.replace('_', "-")).map_err(|_| wrong("a name"))?;
        // Bytes beyond ASCII are allowed, as opaque.
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong("a value"))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

impl fmt::Debug for WebhookSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebhookSink").field(&self.settings).finish()
    }
}

#[async_trait]
impl Sink for WebhookSink {
    async fn send(&self, message: Message<'_>) -> Result<Handled, HandlerError> {
        let id = message.event.event_id.to_string();
        let headers = headers(&message, &id).map_err(HandlerError::poison)?;
        let mut backoff = self.settings.backoff;
        let mut left = self.settings.attempts;
        loop {
            left -= 1;
            match self.attempt(&headers, &id, &message.value).await {
                Attempt::Done => return Ok(Handled::Done),
                Attempt::Refused(reason) => return Err(HandlerError::poison(reason)),
                Attempt::Again { reason, .. } if left == 0 => {
                    return Err(HandlerError::retry(reason));
                }
                Attempt::Again { reason, pause } => {
                    let pause = pause.unwrap_or(backoff);
                    tracing::debug!(event_id = %id, reason, ?pause, "a webhook is tried again");
                    tokio::time::sleep(pause).await;
                    backoff = backoff.saturating_mul(2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}
