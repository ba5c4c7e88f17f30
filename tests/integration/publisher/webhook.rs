//! Publishing by HTTP.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use messina::consumer::{EventHandler, HandlerError};
use messina::publisher::{Publisher, WebhookSettings, WebhookSink};
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{feed, histories, until};

/// What a request said.
#[derive(Debug, Clone)]
struct Request {
    headers: HashMap<String, String>,
    body: String,
}

/// A server that answers what it is told to, and 200 after that.
struct Receiver {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Status lines with what follows them, in order.
    async fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let answers = Arc::new(Mutex::new(answers.iter().rev().copied().collect::<Vec<_>>()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answers) = (Arc::clone(&seen), Arc::clone(&answers));
                tokio::spawn(async move {
                    // A client that goes away ends its connection.
                    let _ = serve(stream, &seen, &answers).await;
                });
            }
        });
        Self { url, requests, task }
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answers: &Mutex<Vec<&'static str>>,
) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await?;
        let body = String::from_utf8(body).unwrap();
        seen.lock().push(Request { headers, body });
        let answer = answers.lock().pop().unwrap_or("200 OK\r\ncontent-length: 0\r\n\r\n");
        if answer == "nothing" {
            std::future::pending::<()>().await;
        }
        writer.write_all(format!("HTTP/1.1 {answer}").as_bytes()).await?;
    }
}

fn settings(receiver: &Receiver) -> WebhookSettings {
    let mut settings = WebhookSettings::new(&receiver.url);
    settings.backoff = Duration::from_millis(5);
    settings
}

fn publisher(settings: WebhookSettings) -> Publisher<WebhookSink> {
    Publisher::new(WebhookSink::new(settings).unwrap())
}

#[tokio::test]
async fn a_request_is_signed_and_says_which_event_it_is() {
    let receiver = Receiver::start(&[]).await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let publisher = publisher(settings(&receiver).secret(secret));
    let event = &histories("Order", 1, 1, 0)[0];
    publisher.handle(event).await.unwrap();
    let request = &receiver.requests()[0];
    let header = |name: &str| request.headers.get(name).map(String::as_str);
    assert_eq!(request.body, event.event.as_str());
    assert_eq!(header("idempotency-key"), Some(event.event_id.to_string().as_str()));
    assert_eq!(header("event-id"), Some(event.event_id.to_string().as_str()));
    assert_eq!(header("sequence-number"), Some("1"));
    assert_eq!(header("message-topic"), Some("order-events"));
    assert_eq!(header("message-key"), Some(event.aggregate_id.to_string().as_str()));
    assert_eq!(header("content-type"), Some("application/json"));
    assert_eq!(header("webhook-id"), header("idempotency-key"));
    assert!(header("webhook-timestamp").unwrap().parse::<u64>().unwrap() > 1_700_000_000);
    // HMAC-SHA256 has 32 bytes, 44 letters of base64.
    let signature = header("webhook-signature").unwrap();
    assert!(signature.starts_with("v1,") && signature.len() == 3 + 44, "{signature}");
}

#[tokio::test]
async fn an_answer_that_may_change_is_asked_for_again_in_order() {
    let receiver = Receiver::start(&[
        "503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        "429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n",
        "302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        "500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    ])
    .await;
    let events = histories("Order", 1, 3, 0);
    let fed = feed(&publisher(settings(&receiver)), &events).await;
    assert!(fed.refused.is_empty(), "{fed:?}");
    let numbers: Vec<String> =
        receiver.requests().iter().map(|r| r.headers["sequence-number"].clone()).collect();
    assert_eq!(numbers, ["1", "1", "1", "1", "1", "2", "3"]);
    let keys: Vec<String> =
        receiver.requests().iter().map(|r| r.headers["idempotency-key"].clone()).collect();
    assert!(keys[..5].iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn a_refusal_carries_status_and_reason() {
    let receiver =
        Receiver::start(&["422 Unprocessable Entity\r\ncontent-length: 9\r\n\r\nno basket"]).await;
    let events = histories("Order", 1, 2, 0);
    let fed = feed(&publisher(settings(&receiver)), &events).await;
    let [(refused, reason)] = &fed.refused[..] else { panic!("{fed:?}") };
    assert_eq!(*refused, events[0].event_id);
    assert!(reason.contains("422") && reason.contains("no basket"), "{reason}");
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_is_given_up_after_the_timeout() {
    let receiver = Receiver::start(&["nothing"]).await;
    let mut impatient = settings(&receiver);
    impatient.timeout = Duration::from_secs(1);
    impatient.attempts = 1;
    let event = &histories("Order", 1, 1, 0)[0];
    let Err(HandlerError::Retry(reason)) = publisher(impatient).handle(event).await else {
        panic!("it is tried again");
    };
    assert!(reason.to_string().contains("timed out"), "{reason}");
    assert!(!reason.to_string().contains("/hook"), "a URL may hold a secret: {reason}");
    // It answers the second request, which it is to have after the first.
    until("the first has arrived", || async { receiver.requests().len() == 1 }).await;
    publisher(settings(&receiver)).handle(event).await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_waited_for() {
    let mut settings = WebhookSettings::new("http://127.0.0.1:1/");
    settings.attempts = 2;
    settings.backoff = Duration::from_millis(1);
    let event = &histories("Order", 1, 1, 0)[0];
    let Err(HandlerError::Retry(reason)) = publisher(settings).handle(event).await else {
        panic!("it is tried again");
    };
    assert!(reason.to_string().contains("refused"), "{reason}");
}
