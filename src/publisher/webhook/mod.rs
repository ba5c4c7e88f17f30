//! Messages as HTTP requests.

mod settings;
mod signature;
mod sink;

pub use settings::{WebhookError, WebhookSettings};
pub use sink::WebhookSink;
