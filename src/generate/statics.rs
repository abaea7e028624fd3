//! What each rule needs and what it brings about, read off the model once: which rules can make an outcome possible.

use std::collections::BTreeSet;

use crate::model::action::Outcome;
use crate::model::expression::Uses;
use crate::model::value::KindId;
use crate::model::{By, Effect, Model, Rule};

/// What the rules of a model read and write.
#[derive(Debug)]
pub(super) struct Statics {
    rules: Vec<Reach>,
}

/// What a rule reads and writes.
#[derive(Debug, Default)]
struct Reach {
    /// The kind of who acts.
    by: Option<KindId>,
    /// The kinds of its picks, in order.
    picked: Vec<KindId>,
    /// The fields and plurals that each requirement reads.
    requires: Vec<Uses>,
    /// What its picks are filtered by.
    picks: Uses,
    creates: BTreeSet<KindId>,
    deletes: BTreeSet<KindId>,
    writes: BTreeSet<(KindId, usize)>,
    /// The globals that it writes, by name.
    globals: BTreeSet<String>,
}

impl Statics {
    pub fn new(model: &Model) -> Statics {
        let rules = model
            .rules
            .iter()
            .map(|rule| {
                let mut reach = Reach {
                    by: match rule.by {
                        By::Kind(kind) => Some(kind),
                        By::Anyone => None,
                    },
                    ..Reach::default()
                };
                for pick in &rule.picks {
                    reach.picked.push(pick.kind);
                    if let Some(from) = &pick.from {
                        reach.picks.add(&from.uses);
                    }
                }
                for requirement in &rule.requires {
                    let mut uses = requirement.that.uses.clone();
                    for (name, expression) in &rule.lets {
                        if uses.variables.contains(name.as_ref()) {
                            uses.add(&expression.uses);
                        }
                    }
                    reach.requires.push(uses);
                }
                reach.effects(model, rule);
                reach
            })
            .collect();
        Statics { rules }
    }

    /// The rules that create entities of a kind.
    pub fn makers(&self, kind: KindId) -> Vec<usize> {
        self.with(|reach| reach.creates.contains(&kind))
    }

    /// Whether a field is ever given a new value.
    pub fn changes(&self, kind: KindId, field: usize) -> bool {
        let mut rules = self.rules.iter();
        rules.any(|reach| reach.writes.contains(&(kind, field)))
    }

    /// Whether a rule makes entities of a kind, or makes none at all.
    pub fn concerns(&self, rule: usize, kind: KindId) -> bool {
        let creates = &self.rules[rule].creates;
        creates.is_empty() || creates.contains(&kind)
    }

    /// The rules that change what an outcome of a rule depends on in the entities that the rule picks, and may pick
    /// these themselves.
    pub fn disturbers(&self, rule: usize, claims: &[&Uses]) -> Vec<(usize, KindId)> {
        let reach = &self.rules[rule];
        let mut disturbers = Vec::new();
        for kind in &reach.picked {
            let read = |field: &(KindId, usize)| {
                let uses = claims.iter().copied().chain(&reach.requires);
                field.0 == *kind && uses.into_iter().any(|uses| uses.fields.contains(field))
            };
            let such =
                self.with(|other| other.picked.contains(kind) && other.writes.iter().any(read));
            for other in such {
                if other != rule && !disturbers.contains(&(other, *kind)) {
                    disturbers.push((other, *kind));
                }
            }
        }
        disturbers
    }

    /// The rules that delete entities of a kind.
    pub fn enders(&self, kind: KindId) -> Vec<usize> {
        self.with(|reach| reach.deletes.contains(&kind))
    }

    /// The rules whose success may make an outcome of a rule possible, or one of its ways, which depends on what is
    /// read: those that write it, and those that make more of what it is about.
    pub fn producers(&self, rule: usize, outcome: Outcome, read: &Uses) -> Vec<usize> {
        let reach = &self.rules[rule];
        if let Outcome::Gone(index) = outcome {
            let ended = reach.picked.get(index).map(|kind| self.enders(*kind));
            return ended.unwrap_or_default();
        }
        let uses = |of: &Uses, other: &Reach| {
            let kinds = || other.creates.iter().chain(&other.deletes);
            other.writes.iter().any(|field| of.fields.contains(field))
                || kinds().any(|kind| of.plurals.contains(kind))
                || other.globals.iter().any(|g| of.variables.contains(g))
        };
        self.with(|other| {
            uses(read, other)
                || uses(&reach.picks, other)
                || (other.creates.iter())
                    .any(|kind| reach.picked.contains(kind) || reach.by == Some(*kind))
        })
    }

    /// The rules whose success may change whether an outcome of a rule, or one of its ways, is possible.
    pub fn wakers(&self, rule: usize, outcome: Outcome, read: &Uses) -> Vec<bool> {
        let mut wakers = vec![false; self.rules.len()];
        let gone = matches!(outcome, Outcome::Gone(_));
        // What is gone must have been there, and what else is asked of it holds as well.
        let outcomes = [outcome, Outcome::Ok(0)]
            .into_iter()
            .take(1 + usize::from(gone));
        for producer in outcomes.flat_map(|outcome| self.producers(rule, outcome, read)) {
            wakers[producer] = true;
        }
        wakers
    }

    fn with(&self, holds: impl Fn(&Reach) -> bool) -> Vec<usize> {
        (0..self.rules.len())
            .filter(|rule| holds(&self.rules[*rule]))
            .collect()
    }
}

impl Reach {
    fn effects(&mut self, model: &Model, rule: &Rule) {
        for effect in rule.effects() {
            match effect {
                Effect::Create { kind, .. } => {
                    self.creates.insert(*kind);
                }
                Effect::Set { place, .. } | Effect::Unset(place) => match place.kind {
                    Some(kind) => {
                        self.writes.insert((kind, place.field));
                    }
                    None => {
                        let global = model.globals.get(place.field);
                        self.globals.extend(global.map(|g| g.name.clone()));
                    }
                },
                Effect::Delete { kind, .. } => self.deletes.extend(*kind),
                Effect::Each { .. } | Effect::When { .. } => {}
            }
        }
    }
}
