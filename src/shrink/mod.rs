//! Shrinking: from a plan that fails to the shortest one that still does. The model is asked first, the server last.

mod counterexample;

pub use counterexample::{Counterexample, Standing};
