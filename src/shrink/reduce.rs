//! Offline reduction: candidates that the model admits. A candidate is admissible when its dry run still predicts of
//! the failing step what the original predicted; nothing is sent.

use std::collections::BTreeMap;

use crate::generate::{Step, rehearse_step, simplest};
use crate::model::Model;
use crate::model::action::{Actor, Outcome, Picked};
use crate::model::mirror::Mirror;
use crate::model::oracle::Prediction;
use crate::model::value::{Handle, Value};

/// What a candidate must keep.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The step that fails.
    pub step: u32,
    /// What is predicted of it.
    pub prediction: Prediction,
    /// What an invariant is about must still exist.
    pub entity: Option<Handle>,
}

/// The offline side of shrinking.
pub struct Reducer<'a> {
    model: &'a Model,
    start: &'a Mirror,
}

impl<'a> Reducer<'a> {
    /// A reducer of plans that start from a mirror.
    pub fn new(model: &'a Model, start: &'a Mirror) -> Reducer<'a> {
        Reducer { model, start }
    }

    /// What must be kept of a plan that fails at a step; nothing if the plan does not get there.
    pub fn goal(&self, plan: &[Step], step: u32, entity: Option<Handle>) -> Option<Goal> {
        let mut mirror = self.start.clone();
        for candidate in plan {
            let rehearsed = rehearse_step(self.model, &mut mirror, candidate);
            if candidate.id == step {
                return Some(Goal {
                    step,
                    prediction: rehearsed?.prediction,
                    // What only an answer creates is not in a rehearsal, and cannot be asked for.
                    entity: entity.filter(|e| mirror.get(*e).is_some()),
                });
            }
        }
        None
    }

    /// Whether a candidate is worth sending: every step can be tried, each is predicted to do something definite, and
    /// of the last one is predicted what the goal says.
    pub fn admits(&self, plan: &[Step], goal: &Goal) -> bool {
        let mut mirror = self.start.clone();
        for step in plan {
            let Some(rehearsed) = rehearse_step(self.model, &mut mirror, step) else {
                return false;
            };
            if step.id == goal.step {
                return rehearsed.prediction.outcomes == goal.prediction.outcomes
                    && goal.entity.is_none_or(|e| mirror.get(e).is_some());
            }
        }
        false
    }

    /// The shortest admissible plan that dropping steps leads to: in chunks first, from the end, then one by one until
    /// none can go.
    pub fn shorten(&self, plan: &[Step], goal: &Goal) -> Vec<Step> {
        let mut kept: Vec<Step> = plan.to_vec();
        let mut chunk = (kept.len() / 2).max(1);
        loop {
            let before = kept.len();
            let mut end = kept.len().saturating_sub(1);
            while end > 0 {
                let begin = end.saturating_sub(chunk);
                let mut candidate = kept.clone();
                candidate.drain(begin..end);
                if self.admits(&candidate, goal) {
                    kept = candidate;
                }
                end = begin.min(kept.len().saturating_sub(1));
            }
            if chunk == 1 {
                if kept.len() == before {
                    return kept;
                }
            } else {
                chunk /= 2;
            }
        }
    }

    /// The plan with fewer principals: each in turn is replaced by one that came before.
    pub fn fewer_principals(&self, plan: &[Step], goal: &Goal) -> Vec<Step> {
        let mut kept = plan.to_vec();
        let mut principals: Vec<Handle> = Vec::new();
        for step in &kept {
            if let Actor::Entity(handle) | Actor::Forged(handle) = step.action.actor
                && !principals.contains(&handle)
            {
                principals.push(handle);
            }
        }
        principals.sort();
        for index in (1..principals.len()).rev() {
            for earlier in &principals[..index] {
                if earlier.kind != principals[index].kind {
                    continue;
                }
                let renamed: Vec<Step> = kept
                    .iter()
                    .map(|step| rename(step, principals[index], *earlier))
                    .collect();
                let shorter = self.shorten(&renamed, goal);
                if self.admits(&shorter, goal) && shorter.len() < kept.len() {
                    kept = shorter;
                    break;
                }
            }
        }
        kept
    }

    /// The plan with the simplest arguments that the goal admits.
    pub fn simpler_arguments(&self, plan: &[Step], goal: &Goal) -> Vec<Step> {
        let mut kept = plan.to_vec();
        for index in 0..kept.len() {
            let rule = &self.model.rules[kept[index].action.rule];
            for (position, arg) in rule.args.iter().enumerate() {
                let current = kept[index].action.args[position].clone();
                // What is invalid on purpose stays as it is.
                if !arg.domain.contains(&current) {
                    continue;
                }
                let Some(simple) = simplest(&arg.domain) else {
                    continue;
                };
                if simple == current || matches!(current, Value::Fresh(..)) {
                    continue;
                }
                let mut candidate = kept.clone();
                candidate[index].action.args[position] = simple;
                if self.admits_alike(&candidate, &kept, goal) {
                    kept = candidate;
                }
            }
        }
        kept
    }

    /// Whether a candidate with the same steps is admissible and its steps have the same outcomes.
    fn admits_alike(&self, candidate: &[Step], original: &[Step], goal: &Goal) -> bool {
        self.admits(candidate, goal) && self.outcomes(candidate) == self.outcomes(original)
    }

    fn outcomes(&self, plan: &[Step]) -> Vec<Option<Outcome>> {
        let mut mirror = self.start.clone();
        plan.iter()
            .map(|s| rehearse_step(self.model, &mut mirror, s).map(|r| r.assumed))
            .collect()
    }

    /// The steps that can be tried, one after the other.
    pub fn applicable(&self, plan: &[Step]) -> Vec<Step> {
        let mut mirror = self.start.clone();
        plan.iter()
            .filter(|step| rehearse_step(self.model, &mut mirror, step).is_some())
            .cloned()
            .collect()
    }
}

/// The step with one principal in the place of another, as actor and wherever it is named.
fn rename(step: &Step, from: Handle, to: Handle) -> Step {
    let swap = |handle: Handle| if handle == from { to } else { handle };
    let mut step = step.clone();
    step.action.actor = match step.action.actor {
        Actor::Entity(handle) => Actor::Entity(swap(handle)),
        Actor::Forged(handle) => Actor::Forged(swap(handle)),
        other => other,
    };
    for pick in &mut step.action.picks {
        if let Picked::Entity(handle) = pick {
            *handle = swap(*handle);
        }
    }
    for arg in &mut step.action.args {
        *arg = arg.rewrite(&mut |value| match value {
            Value::Entity(handle) => Some(Value::Entity(swap(*handle))),
            _ => None,
        });
    }
    step
}

/// The plan with step ids from 1 and fresh values numbered in order, so that it reads the same whatever it was part of.
pub fn renumber(model: &Model, plan: &[Step]) -> (Vec<Step>, BTreeMap<u32, u32>) {
    let ids: BTreeMap<u32, u32> = (1u32..).zip(plan).map(|(new, s)| (s.id, new)).collect();
    let moved = |handle: Handle| Handle {
        step: ids.get(&handle.step).copied().unwrap_or(handle.step),
        ..handle
    };
    let mut fresh: BTreeMap<u32, u32> = BTreeMap::new();
    let mut steps = Vec::with_capacity(plan.len());
    for step in plan {
        let mut step = step.clone();
        step.id = ids.get(&step.id).copied().unwrap_or(step.id);
        step.action.actor = match step.action.actor {
            Actor::Entity(handle) => Actor::Entity(moved(handle)),
            Actor::Forged(handle) => Actor::Forged(moved(handle)),
            other => other,
        };
        for pick in &mut step.action.picks {
            if let Picked::Entity(handle) = pick {
                *handle = moved(*handle);
            }
        }
        for arg in &mut step.action.args {
            *arg = arg.rewrite(&mut |value| match value {
                Value::Entity(handle) => Some(Value::Entity(moved(*handle))),
                Value::Fresh(prefix, n) => {
                    let next = u32::try_from(fresh.len())
                        .unwrap_or(u32::MAX)
                        .saturating_add(1);
                    let n = *fresh.entry(*n).or_insert(next);
                    Some(Value::Fresh(prefix.clone(), n))
                }
                _ => None,
            });
        }
        debug_assert!(model.rules.len() > step.action.rule);
        steps.push(step);
    }
    (steps, ids)
}
