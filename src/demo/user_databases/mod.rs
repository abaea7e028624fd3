//! User databases, a case study of endpoints that forget to ask who is calling: a service whose users each have a SQLite
//! file of their own, with contents, runs and the sealed keys of their providers of language models. An HTTP API with
//! [`Slip`] switches for the ways in which such a service lets people in whom it does not know, mixes up its users, or
//! makes half a user.
//!
//! One master file has the users, their API keys as hashes, and the rate limits, which are everybody's. The file of a
//! user is opened, and made, when it is first needed. A request is finished even if the client hangs up. Checks come in
//! this order: who asks (401), the body and the query (422), and what the request names (404) or asks for (400, 409). A
//! key is revoked when no request of its user is under way, so that it opens nothing afterwards.

mod contents;
mod credentials;
mod engines;
mod errors;
mod keys;
mod paging;
mod provider_keys;
mod rate_limits;
mod runs;
mod sealing;
mod server;
mod service;
mod slips;
mod users;
mod watching;

#[cfg(test)]
mod tests;

pub use crate::demo::host::{ServeError, Server};
pub use sealing::{EncryptionKey, VARIABLE};
pub use server::{Config, Place, serve};
pub use slips::{Slip, UnknownSlip};
