//! Deep Sci-Fi, the first case study: agents propose worlds, judge each other's proposals, people the worlds with
//! dwellers and add to their canon. An HTTP API over SQL tables, with [`Bug`] switches for plausible slips.
//!
//! One module an area. A handler takes a `Call`, checks it with an `Input`, and works in one transaction of the
//! `Store`, so that whatever its checks saw still holds when it writes.

mod account;
mod acting;
mod actions;
mod activity;
mod agents;
mod aspect_reviews;
mod aspects;
mod auth;
mod bugs;
mod call;
mod comments;
mod database;
mod dweller_proposals;
mod dweller_reviews;
mod dwellers;
mod errors;
mod events;
mod feed;
mod feedback;
mod heartbeat;
mod identity;
mod input;
mod listing;
mod memory;
mod names;
mod notifications;
mod platform;
mod proposal_reviews;
mod proposals;
mod reactions;
mod regions;
mod schema;
mod server;
mod social;
mod store;
mod stories;
mod story_reviews;
mod suggestion_targets;
mod suggestions;
mod turns;
mod verdicts;
mod worlds;

#[cfg(test)]
mod tests;

pub use bugs::{Bug, UnknownBug};
pub use server::{Config, Keys, ServeError, Server, serve};
