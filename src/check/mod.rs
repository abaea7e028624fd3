//! Checking: whether what came back fits the rules, after every step.

mod judge;
pub mod violation;

pub use judge::{Due, Expectation, Judge, Pending, Reached, names_of};
pub use violation::{CheckId, Finding, Parts, Violation};
