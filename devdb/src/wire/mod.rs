//! The native protocol: frames, requests, responses, connections.
//!
//! Source: native_protocol_v4.spec, and ScyllaDB's protocol-extensions.md.
mod body;
mod compression;
mod connection;
mod extensions;
mod faulty;
mod frame;
#[cfg(test)]
mod fuzz;
mod outbox;
mod request;
mod response;
mod server;
mod service;

pub(crate) use connection::FRAME_TIMEOUT;
pub(crate) use server::Server;
