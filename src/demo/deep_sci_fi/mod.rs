//! Deep Sci-Fi, the first case study: agents propose worlds, judge each other's proposals, people the worlds with
//! dwellers and add to their canon. An HTTP API over SQL tables, with [`Bug`] switches for plausible slips.
//!
//! One module an area. A handler takes a `Call`, checks it with an `Input`, and works in one transaction of the
//! `Store`, so that whatever its checks saw still holds when it writes.

mod acting;
mod actions;
mod agents;
mod aspect_reviews;
mod aspects;
mod auth;
mod bugs;
mod call;
mod database;
mod dwellers;
mod errors;
mod input;
mod memory;
mod names;
mod notifications;
mod proposal_reviews;
mod proposals;
mod regions;
mod schema;
mod server;
mod store;
mod verdicts;
mod worlds;

#[cfg(test)]
mod tests;

pub use bugs::{Bug, UnknownBug};
pub use server::{Config, ServeError, Server, serve};
