//! The agent service, a case study of crashes and closed connections: agents with memory blocks, messages and archival
//! entries, no authentication. An HTTP API over one actor an agent and a SQLite file, with [`Slip`] switches for
//! windows in which an acknowledged effect is lost, or half of one stays.
//!
//! A write holds its actor, goes to the database in one transaction (with its idempotency key) and then to the memory,
//! in a task that is finished even if the client hangs up. Checks come in this order: size and kind of the body (413,
//! 415, 400), the form of the `Idempotency-Key` (400), fields and their types (422), whether the key is known (the
//! remembered answer, or 422), the rules for values (400), and what the path names (404). Only a `PATCH` of the agent
//! itself changes its `updated_at`.

mod actors;
mod agents;
mod archival;
mod blocks;
mod creation;
mod errors;
mod input;
mod keys;
mod list;
mod messages;
mod server;
mod service;
mod slips;
mod state;
mod store;

#[cfg(test)]
mod tests;

pub use crate::demo::host::{ServeError, Server};
pub use server::{Config, serve};
pub use slips::{Slip, UnknownSlip};
