//! Messages as lines of JSON.

use async_trait::async_trait;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncWrite, AsyncWriteExt, Stdout};
use tokio::sync::Mutex;

use crate::consumer::{Handled, HandlerError};
use crate::publisher::{Headers, Message, Sink};

/// Writes each message as a line of JSON:
/// `{"topic": …, "key": …, "headers": {…}, "value": …}`. A body that is JSON stands as
/// it is, any other text as a string, anything else as hexadecimal text under `value_hex`.
///
/// A message is done when its line has been written and flushed.
#[derive(Debug)]
pub struct ConsoleSink<W = Stdout> {
    out: Mutex<W>,
}

impl ConsoleSink {
    /// To standard output.
    pub fn stdout() -> Self {
        Self::to(tokio::io::stdout())
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> ConsoleSink<W> {
    /// To anything that can be written: a file, a pipe.
    pub fn to(out: W) -> Self {
        Self { out: Mutex::new(out) }
    }

    /// What it writes to.
    pub fn into_inner(self) -> W {
        self.out.into_inner()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    key: &'a str,
    headers: serde_json::Map<String, serde_json::Value>,
    #[serde(flatten)]
    value: Value<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Json { value: &'a RawValue },
    Text { value: &'a str },
    Bytes { value_hex: String },
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        let Ok(text) = std::str::from_utf8(bytes) else {
            let value_hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            return Value::Bytes { value_hex };
        };
        match serde_json::from_str::<&RawValue>(text) {
            // A document over several lines would not be one line.
            Ok(value) if !text.contains(['\n', '\r']) => Value::Json { value },
            _ => Value::Text { value: text },
        }
    }
}

fn line(message: &Message<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let map = |headers: &Headers<'_>| {
        headers.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
    };
    let line = Line {
        topic: &message.topic,
        key: &message.key,
        headers: map(&message.headers),
        value: Value::from(&*message.value),
    };
    let mut bytes = serde_json::to_vec(&line)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin + 'static> Sink for ConsoleSink<W> {
    async fn send(&self, message: Message<'_>) -> Result<Handled, HandlerError> {
        let line = line(&message).map_err(HandlerError::poison)?;
        let mut out = self.out.lock().await;
        out.write_all(&line).await.map_err(HandlerError::retry)?;
        out.flush().await.map_err(HandlerError::retry)?;
        Ok(Handled::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::{Envelope, PayloadOnly, Publisher, Wrapped};
    use crate::testing::envelope;
    use crate::{consumer::EventHandler, event::Payload};

    #[tokio::test]
    async fn each_message_is_one_line_of_json() {
        let publisher = Publisher::new(ConsoleSink::to(Vec::new()));
        let mut event = envelope("Order", 1);
        for payload in [r#"{"total": 12.50}"#, "{\n}", "not json"] {
            event.event = Payload::from_json_text(payload);
            publisher.handle(&event).await.unwrap();
        }
        let out = publisher.sink().out.lock().await.clone();
        let lines: Vec<&str> = std::str::from_utf8(&out).unwrap().lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].ends_with(r#""value":{"total": 12.50}}"#), "{}", lines[0]);
        assert!(lines[2].ends_with(r#""value":"not json"}"#), "{}", lines[2]);
        let line: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(line["topic"], "order-events");
        assert_eq!(line["key"], event.aggregate_id.to_string());
        assert_eq!(line["headers"]["sequence_number"], "1");
        assert_eq!(line["value"], "{\n}");
    }

    #[tokio::test]
    async fn a_body_that_is_no_text_is_written_in_hexadecimal() {
        let event = envelope("Order", 1);
        let Wrapped { headers, .. } = PayloadOnly.wrap(&event).unwrap();
        let value = (&[0xff_u8, 0x00][..]).into();
        let message = Message { topic: "t".into(), key: "k".into(), headers, value, event: &event };
        let line = String::from_utf8(line(&message).unwrap()).unwrap();
        assert!(line.ends_with("\"value_hex\":\"ff00\"}\n"), "{line}");
    }
}
