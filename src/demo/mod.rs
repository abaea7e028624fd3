//! The case-study servers: small HTTP APIs to argue with, embedded in this process. Each is sound by default and has
//! named slips behind switches, so that a campaign can be shown to find them. They know nothing of the tester.

pub mod agent_service;
pub mod deep_sci_fi;
pub mod key_rotation;
pub mod marketplace;
pub mod user_databases;

mod answers;
pub(crate) mod host;
mod locks;
mod slips;
mod sqlite;
