//! Reports: what was found, for people and machines. Every output is a function of the result types; nothing prints
//! from here, and nothing that is shown holds a secret, a raw id or a control character.

mod access;
pub mod curl;
#[cfg(test)]
mod fixture;
mod lanes;
mod learned;
mod paint;
mod portable;
mod readings;
pub mod recording;
mod scene;
mod shell;
pub mod snapshot;
mod startup;
pub mod story;
pub mod summary;

pub use access::access;
pub use curl::curl;
pub use paint::Style;
pub use snapshot::{Snapshot, SnapshotError, Written};
pub use startup::startup;
pub use story::{log, story};
pub use summary::{Summary, summary};
