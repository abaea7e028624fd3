//! Plans: from a model and a seed alone, which actions a run will attempt. Made before anything is sent, so that the
//! same model, seed and options give the same plan on every machine, whatever a server does.

mod aim;
mod arguments;
mod plan;
mod rehearsal;
mod statics;

pub use aim::{Generator, Options};
pub use arguments::{invalid_values, simplest};
pub use plan::{Plan, Step};
pub use rehearsal::{Coverage, Rehearsed, rehearse, rehearse_step, start};
