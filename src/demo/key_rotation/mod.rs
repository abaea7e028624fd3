//! The key pool, a case study of ten keys that became eleven: a proxy calls a language model with one of several keys,
//! and puts a backup in the place of one that its provider refuses. An HTTP API over a SQLite file, with [`Slip`]
//! switches for the ways in which such a rotation loses a key, makes one too many, or takes a backup for nothing.
//!
//! Everything belongs to a pool, which `POST /pools` opens and whose `X-Admin-Key` every other request shows. A
//! rotation is five steps with a few milliseconds between them: find a backup, delete the key, insert the backup as a
//! key, move the bindings, mark the backup. Here they are one transaction, in a task that is finished even if the client
//! hangs up. An id is given once in a pool, to a key or to a backup.

mod backups;
mod bindings;
mod errors;
mod keys;
mod pools;
mod proxy;
mod rotation;
mod server;
mod service;
mod slips;

#[cfg(test)]
mod tests;

pub use crate::demo::host::{ServeError, Server};
pub use server::{Config, serve};
pub use slips::{Slip, UnknownSlip};
