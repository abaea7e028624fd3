//! The marketplace of language models, a case study of concurrent requests: users make API keys, a key has one paid
//! session at a time with an upstream that runs the models, and chats go through it. An HTTP API over a SQLite file,
//! with a mock of the upstream inside, and [`Slip`] switches for races between the requests of one key and for keys that
//! reach what is not theirs.
//!
//! A request that uses sessions holds the lock of its key while it finds, opens or closes one, so that what it does
//! there happens at once; the chat itself runs without it. A session is closed when no chat runs in it any more. Work
//! is finished even if the client hangs up. Checks come in this order: size and kind of the body (413, 415, 400), fields
//! and their types (422), credentials (401), values (400), and what the request names (404).

mod completions;
mod credentials;
mod errors;
mod gateway;
mod history;
mod input;
mod keys;
mod models;
mod server;
mod sessions;
mod slips;
mod store;
mod upstream;

#[cfg(test)]
mod tests;

pub use crate::demo::host::{ServeError, Server};
pub use server::{Config, serve};
pub use slips::{Slip, UnknownSlip};
