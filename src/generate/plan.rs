//! Plans and their steps.

use crate::model::action::{Action, Actor, Picked};
use crate::model::value::{Handle, Value};

/// What a run attempts, made before anything is sent.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Plan {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// The set-up: principals, mostly.
    pub setup: Vec<Step>,
    /// What follows.
    pub steps: Vec<Step>,
}

/// One step of a plan.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// Unique within the plan, and kept when other steps are dropped: handles are made of it.
    pub id: u32,
    /// What is attempted.
    pub action: Action,
}

impl Plan {
    /// All steps, those of the set-up first.
    pub fn all(&self) -> impl Iterator<Item = &Step> {
        self.setup.iter().chain(&self.steps)
    }

    /// How many steps there are, with the set-up.
    pub fn len(&self) -> usize {
        self.setup.len() + self.steps.len()
    }

    /// Whether there are no steps at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Step {
    /// The entities that the step names: who acts, what it is about, and what its arguments refer to.
    pub fn names(&self) -> Vec<Handle> {
        let mut out: Vec<Handle> = match self.action.actor {
            Actor::Entity(handle) | Actor::Forged(handle) => vec![handle],
            Actor::Anyone | Actor::Nobody => Vec::new(),
        };
        out.extend(self.action.picks.iter().filter_map(|p| Picked::handle(*p)));
        for arg in &self.action.args {
            collect(arg, &mut out);
        }
        out
    }
}

fn collect(value: &Value, out: &mut Vec<Handle>) {
    match value {
        Value::Entity(handle) => out.push(*handle),
        Value::List(items) => items.iter().for_each(|v| collect(v, out)),
        Value::Map(map) => map.iter().for_each(|(k, v)| {
            collect(k, out);
            collect(v, out);
        }),
        _ => {}
    }
}
