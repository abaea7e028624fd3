//! Shrinking: from a plan that fails to the shortest one that still does.
//!
//! The invariants of the algorithm:
//! - A candidate is sent only if its dry run on the mirror still predicts the failing step's outcome.
//! - The best plan so far failed in a live run, at its last step, with the same check, and no step before it failed.
//! - A run in which an earlier step is violated is inconclusive, never 'fixed'.
//! - Live runs are counted and bounded; results are cached by the plan that was sent.

mod canonical;
mod counterexample;
mod live;
mod reduce;
mod replay;
mod simplify;

pub use counterexample::{Counterexample, Standing};
pub use live::{Bounds, shrink};
pub use reduce::{Candidate, Goal, Keep, Reducer, renumber};
pub use replay::{replay, replays_of};
