//! Recipes: short chains of steps that lead to an outcome, with roles in place of entities, so that a plan can follow
//! them with others, or with what it has already.

use crate::model::Model;
use crate::model::action::{Action, Actor, Outcome};
use crate::model::domain::Domain;
use crate::model::mirror::Mirror;
use crate::model::value::{Handle, KindId, Value};

use super::arguments::Drawer;
use super::generator::Prepared;
use super::plan::Step;
use super::rehearsal::{Rehearsed, rehearse_step};

/// The longest recipe that is kept.
pub(super) const LONGEST: usize = 60;

/// Recipes of up to so many steps are short enough.
const SHORT: usize = 8;

/// What a recipe is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// An outcome, or a way of one, by its position among the goals; alone, so that what comes back shows which it was.
    /// What is gone may be gone with all that it belongs to.
    Goal { goal: usize, alone: bool },
    /// An entity of a kind.
    Kind(KindId),
}

impl End {
    fn reached(
        self,
        prepared: &Prepared,
        before: &Mirror,
        step: &Step,
        rehearsed: &Rehearsed,
    ) -> bool {
        match self {
            End::Goal { goal, alone } => {
                // The first of several successes is assumed.
                let assumed = rehearsed.assumed;
                (!alone || assumed.is_ok() || rehearsed.prediction.certain().is_some())
                    && prepared.is_reached(goal, before, &step.action, assumed)
            }
            End::Kind(kind) => rehearsed.created.iter().any(|h| h.kind == kind),
        }
    }
}

/// What an argument of a recipe is like.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Hint {
    /// Any value of its domain.
    Any,
    /// Of the same alternatives.
    Path(Vec<usize>),
    /// This one.
    Value(Value),
}

/// The way to an outcome; the last step has it.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub steps: Vec<Instruction>,
    /// How many roles there are.
    pub roles: usize,
    /// From no later step on may it be followed: a detour is all of it.
    pub latest: usize,
}

/// A step of a recipe.
#[derive(Clone, Debug)]
pub(super) struct Instruction {
    pub rule: usize,
    pub outcome: Outcome,
    /// The role of who acts.
    pub actor: Option<usize>,
    /// The roles of what it is about.
    pub picks: Vec<Option<usize>>,
    pub hints: Vec<Hint>,
    /// The roles of what comes into being, in that order.
    pub creates: Vec<usize>,
    /// The kinds of what comes into being and is needed afterwards.
    pub made: Vec<KindId>,
}

impl Recipe {
    /// The recipe of steps that were rehearsed from a mirror, the last of which reaches the end.
    pub fn new(
        model: &Model,
        drawers: &[Vec<Drawer>],
        start: &Mirror,
        steps: &[Step],
    ) -> Option<Recipe> {
        if steps.len() > LONGEST {
            return None;
        }
        let mut mirror = start.clone();
        let mut roles: Vec<Handle> = Vec::new();
        let mut role = |handle: Handle| match roles.iter().position(|h| *h == handle) {
            Some(role) => role,
            None => {
                roles.push(handle);
                roles.len() - 1
            }
        };
        let mut instructions = Vec::with_capacity(steps.len());
        for step in steps {
            let rehearsed = rehearse_step(model, &mut mirror, step)?;
            let action = &step.action;
            let rule = &model.rules[action.rule];
            instructions.push(Instruction {
                rule: action.rule,
                outcome: rehearsed.assumed,
                actor: match action.actor {
                    Actor::Entity(handle) if rehearsed.assumed != Outcome::Unauthenticated => {
                        Some(role(handle))
                    }
                    _ => None,
                },
                picks: action
                    .picks
                    .iter()
                    .map(|p| p.handle().map(&mut role))
                    .collect(),
                hints: (rule.args.iter().zip(&action.args))
                    .zip(&drawers[action.rule])
                    .map(|((arg, value), drawer)| hint(&arg.domain, drawer, value))
                    .collect(),
                creates: rehearsed.created.iter().map(|h| role(*h)).collect(),
                made: (rehearsed.created.iter())
                    .filter(|h| {
                        steps
                            .iter()
                            .any(|s| s.id > step.id && s.names().contains(h))
                    })
                    .map(|h| h.kind)
                    .collect(),
            });
        }
        Some(Recipe {
            latest: instructions.len().saturating_sub(1),
            steps: instructions,
            roles: roles.len(),
        })
    }
}

impl Instruction {
    /// Settles who plays the roles of a step that was taken.
    pub fn settle(&self, roles: &mut [Option<Handle>], action: &Action, created: &[Handle]) {
        let mut play = |role: Option<usize>, handle: Option<Handle>| {
            if let (Some(role), Some(handle)) = (role, handle) {
                roles[role].get_or_insert(handle);
            }
        };
        play(self.actor, action.actor.handle());
        for (role, picked) in self.picks.iter().zip(&action.picks) {
            play(*role, picked.handle());
        }
        for (role, handle) in self.creates.iter().zip(created) {
            play(Some(*role), Some(*handle));
        }
    }

    /// The principal and the picks of those whose roles are settled.
    pub fn players(&self, roles: &[Option<Handle>]) -> (Option<Handle>, Vec<Option<Handle>>) {
        let player = |role: &Option<usize>| role.and_then(|role| roles[role]);
        (player(&self.actor), self.picks.iter().map(player).collect())
    }
}

fn hint(domain: &Domain, drawer: &Drawer, value: &Value) -> Hint {
    match (domain, value) {
        // An amount decides more often than a text.
        (Domain::Int { .. } | Domain::Number { .. } | Domain::Bool, value)
            if domain.contains(value) =>
        {
            Hint::Value(value.clone())
        }
        _ => match drawer.path(domain, value) {
            path if path.is_empty() => Hint::Any,
            path => Hint::Path(path),
        },
    }
}

/// Boils steps down to what the end needs.
pub(super) fn reduced(
    prepared: &Prepared,
    start: &Mirror,
    mut steps: Vec<Step>,
    end: End,
) -> Vec<Step> {
    if let Some(sliced) = kept(prepared, start, sliced(&steps), end) {
        steps = sliced;
    }
    let chunk = (steps.len() / 2).max(1);
    steps = fewer(prepared, start, steps, end, chunk);
    if steps.len() > SHORT
        && let Some(merged) = merged(prepared, start, &steps, end)
    {
        steps = fewer(prepared, start, merged, end, 2);
    }
    steps
}

/// Drops steps in ever smaller chunks, from the end, until none can go.
fn fewer(
    prepared: &Prepared,
    start: &Mirror,
    mut steps: Vec<Step>,
    end: End,
    mut chunk: usize,
) -> Vec<Step> {
    loop {
        let mut until = steps.len().saturating_sub(1);
        let mut dropped = false;
        while until > 0 {
            let from = until.saturating_sub(chunk);
            let mut fewer = steps.clone();
            fewer.drain(from..until);
            until = from;
            if let Some(fewer) = kept(prepared, start, fewer, end) {
                // Steps on what the chunk created went, too.
                steps = fewer;
                until = until.min(steps.len() - 1);
                dropped = true;
            }
        }
        match (chunk, dropped) {
            (1, false) => return steps,
            (1, true) => {}
            _ => chunk /= 2,
        }
    }
}

/// Has one entity do for two, as often as the end allows for it.
fn merged(prepared: &Prepared, start: &Mirror, steps: &[Step], end: End) -> Option<Vec<Step>> {
    let mut steps = steps.to_vec();
    let mut merged = false;
    let mut mirror = start.clone();
    let mut made: Vec<Handle> = Vec::new();
    for step in &steps {
        made.extend(rehearse_step(&prepared.model, &mut mirror, step)?.created);
    }
    for (index, late) in made.iter().enumerate().rev() {
        let early = made[..index]
            .iter()
            .copied()
            .filter(|h| h.kind == late.kind);
        for other in start.live(late.kind).chain(early).take(4) {
            let renamed = steps
                .iter()
                .map(|step| step.renamed(|h| if h == *late { other } else { h }))
                .collect();
            if let Some(fewer) = kept(prepared, start, renamed, end) {
                // The maker of what is not needed any more goes when steps are dropped next.
                steps = fewer;
                merged = true;
                break;
            }
        }
    }
    merged.then_some(steps)
}

/// The steps that still apply, if the last one still reaches the end.
pub(super) fn kept(
    prepared: &Prepared,
    start: &Mirror,
    steps: Vec<Step>,
    end: End,
) -> Option<Vec<Step>> {
    let model = &prepared.model;
    let last = steps.last()?.id;
    let mut mirror = start.clone();
    let mut kept = Vec::with_capacity(steps.len());
    let mut reached = false;
    for step in steps {
        if !model.picks_from_its_lists(&mirror, &step.action) {
            continue;
        }
        let before = mirror.clone();
        if let Some(rehearsed) = rehearse_step(model, &mut mirror, &step) {
            reached = step.id == last && end.reached(prepared, &before, &step, &rehearsed);
            kept.push(step);
        }
    }
    reached.then_some(kept)
}

/// The steps about the entities that the last one is about, those that these came from, and so on.
fn sliced(steps: &[Step]) -> Vec<Step> {
    let Some((last, before)) = steps.split_last() else {
        return Vec::new();
    };
    let about = |step: &Step| -> Vec<Handle> {
        let actor = step.action.actor.handle();
        step.names()
            .into_iter()
            .filter(|h| Some(*h) != actor)
            .collect()
    };
    let mut needed = last.names();
    let mut kept = vec![last.clone()];
    for step in before.iter().rev() {
        let names = about(step);
        let made = needed.iter().any(|h| h.step == step.id);
        if made || names.iter().any(|h| needed.contains(h)) {
            needed.extend(step.names());
            kept.push(step.clone());
        }
    }
    kept.reverse();
    kept
}
