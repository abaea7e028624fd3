//! Gainsay argues with an API: a stateful, model-based tester for HTTP APIs.
//!
//! A model says what an API's business rules are. Gainsay makes random plans of actions by several principals, drives
//! them against a live server, checks the answers and the invariants after every step, and boils each failure down to
//! the shortest plan that still fails.
//!
//! The path of a plan, each stage a module that knows only those before it:
//!
//! ```text
//! model ──▶ generate ──▶ drive ──▶ check ──▶ shrink ──▶ report
//! ```
//!
//! Most people use the binary. From Rust, [`Tester`] is the same in a `#[test]`.

pub mod campaign;
pub mod check;
pub mod cli;
pub mod demo;
pub mod drive;
pub mod generate;
pub mod model;
pub mod report;
pub mod run;
pub mod shrink;
mod tester;
pub mod tidy;

pub use tester::{Outcome, TestError, Tester};
