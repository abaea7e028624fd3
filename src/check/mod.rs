//! Checking: whether what came back fits the rules, after every step.

mod access;
mod indistinguishable;
mod internals;
mod judge;
pub mod linear;
mod order;
pub mod unique;
mod violation;
mod worlds;

pub use access::{Access, Cell, Identity};
pub use indistinguishable::{Probed, differences};
pub use internals::Internal;
pub use judge::{Aftermath, BETWEEN_OUTCOMES, Due, Expectation, Pending, Reached, names_of};
pub use order::Ran;
pub use violation::{CheckId, Contradiction, Dispute, Finding, Parts, Violation};
pub use worlds::{MOST_WORLDS, Worlds};
