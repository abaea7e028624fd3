//! Checking: whether what came back fits the rules, after every step.

mod judge;
pub mod violation;
mod worlds;

pub use judge::{Due, Expectation, Pending, Reached, names_of};
pub use violation::{CheckId, Finding, Parts, Violation};
pub use worlds::{MOST_WORLDS, Worlds};
