//! Faults between a client and a server: what the server sees of each, and what they find.

mod agents;
mod closed;
mod hooks;
mod keys;
mod ledger;
mod link;
mod plugin;
mod process;
mod tls;
mod toxiproxy;
mod users;
mod wire;
