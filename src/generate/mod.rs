//! Plans: from a model and a seed alone, which actions a run will attempt. Made before anything is sent, so that the
//! same model, seed and options give the same plan on every machine, whatever a server does.

mod archer;
mod arguments;
mod conditions;
mod demand;
mod draft;
mod faults;
mod generator;
mod invalid;
mod learn;
mod plan;
mod races;
mod recipe;
mod rehearsal;
mod rota;
mod search;
mod statics;
mod ways;

pub use faults::{Fault, Faults, UnknownFault};
pub use generator::{Generator, Options};
pub use invalid::{invalid_values, simplest};
pub use plan::{
    Close, Cut, Damage, Delivery, Effect, Lane, LinkFault, LinkName, OwnFault, Plan, Step, taken,
};
pub use races::Races;
pub use rehearsal::{
    Coverage, Rehearsed, give, needed_accounts, rehearse, rehearse_step, rehearse_strictly, start,
};
