//! Replies as GraphQL and JSON clients want them: camelCase, `__typename`, and a cascade of
//! what else was touched.

mod error;
mod render;
mod responder;
mod time;

pub use error::ResponseError;
pub use responder::Responder;
