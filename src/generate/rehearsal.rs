//! Rehearsals: a plan run against the mirror alone. What the server would say is unknown, what the model predicts is
//! assumed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::action::{Outcome, Picked};
use crate::model::mirror::Mirror;
use crate::model::oracle::Prediction;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{By, Effect, Model};

use super::plan::{Effect as Reach, Plan, Step};

/// What a rehearsed step was predicted to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// What the oracle said.
    pub prediction: Prediction,
    /// The outcome that was assumed for what follows.
    pub assumed: Outcome,
    /// The entities that came into being.
    pub created: Vec<Handle>,
}

/// How often each outcome of each rule was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Rule by rule, its outcomes; shared, because a plan being made is cloned at every step.
    outcomes: Arc<Vec<Vec<Outcome>>>,
    /// Where the counts of each rule begin.
    starts: Arc<Vec<usize>>,
    counts: Vec<u64>,
    /// The rules of which only what was reached counts.
    left_out: Arc<[bool]>,
}

impl Coverage {
    /// Nothing reached yet; rules that are left out, if any, are not expected to be.
    pub fn new(model: &Model, left_out: &[bool]) -> Coverage {
        let outcomes: Vec<Vec<Outcome>> = model.rules.iter().map(|r| r.outcomes(model)).collect();
        let mut starts = Vec::with_capacity(outcomes.len());
        let mut total = 0;
        for rule in &outcomes {
            starts.push(total);
            total += rule.len();
        }
        Coverage {
            outcomes: Arc::new(outcomes),
            starts: Arc::new(starts),
            counts: vec![0; total],
            left_out: left_out.into(),
        }
    }

    /// Counts an outcome.
    pub fn count(&mut self, rule: usize, outcome: Outcome) {
        let index = self.outcomes(rule).iter().position(|o| *o == outcome);
        if let (Some(index), Some(start)) = (index, self.starts.get(rule)) {
            self.counts[start + index] += 1;
        }
    }

    /// Adds another count to this one.
    pub fn add(&mut self, other: &Coverage) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// The outcomes of a rule.
    pub fn outcomes(&self, rule: usize) -> &[Outcome] {
        self.outcomes.get(rule).map_or(&[], Vec::as_slice)
    }

    /// The outcomes of a rule, and how often each was reached. Of one that is left out only those that were.
    pub fn of(&self, rule: usize) -> impl Iterator<Item = (Outcome, u64)> + '_ {
        let start = self.starts.get(rule).copied().unwrap_or(0);
        let left_out = self.is_left_out(rule);
        let all = self.outcomes(rule).iter().copied();
        all.zip(self.counts[start..].iter().copied())
            .filter(move |(_, count)| *count > 0 || !left_out)
    }

    /// Whether somebody left a rule out.
    pub fn is_left_out(&self, rule: usize) -> bool {
        self.left_out.get(rule).copied().unwrap_or(false)
    }

    /// How many outcomes there are, and how many of them were reached.
    pub fn totals(&self) -> (usize, usize) {
        let all = (0..self.starts.len()).flat_map(|rule| self.of(rule));
        all.fold((0, 0), |(all, reached), (_, count)| {
            (all + 1, reached + usize::from(count > 0))
        })
    }
}

/// The mirror that a plan starts from: globals, and the accounts that are given, whose fields only a run knows.
pub fn start(model: &Model, accounts: &[(KindId, usize)]) -> Mirror {
    let mut mirror = model.initial();
    for (kind, count) in accounts {
        for nth in 0..*count {
            let handle = Handle {
                kind: *kind,
                step: 0,
                nth: u16::try_from(nth).unwrap_or(u16::MAX),
            };
            mirror.insert(handle, vec![Value::Unknown; model.kind(*kind).fields.len()]);
        }
    }
    mirror
}

/// One account of each kind of principal that rules are by and that no rule creates: only accounts that are given can
/// be these.
pub fn needed_accounts(model: &Model) -> Vec<(KindId, usize)> {
    let acting = model.rules.iter().filter_map(|rule| match rule.by {
        By::Kind(kind) => Some(kind),
        By::Anyone => None,
    });
    let made = |kind: KindId| {
        let mut effects = model.effects();
        effects.any(|effect| matches!(effect, Effect::Create { kind: made, .. } if *made == kind))
    };
    let kinds: BTreeSet<KindId> = acting.filter(|kind| !made(*kind)).collect();
    kinds.into_iter().map(|kind| (kind, 1)).collect()
}

/// Gives the accounts of a kind the fields that are known of them, the same to each.
pub fn give(model: &Model, mirror: &mut Mirror, kind: KindId, known: &[(&str, Value)]) {
    let declared = &model.kind(kind).fields;
    let handles: Vec<Handle> = mirror.all(kind).map(|(handle, _)| handle).collect();
    for handle in handles {
        mirror.update(handle, |record| {
            let fields = declared.iter().zip(record.fields.iter());
            record.fields = fields
                .map(|(field, old)| {
                    let given = known.iter().find(|(name, _)| *name == field.name);
                    given.map_or_else(|| old.clone(), |(_, value)| value.clone())
                })
                .collect();
        });
    }
}

/// Rehearses one step: what is predicted of it, and the mirror after what is assumed. Nothing for a step that names
/// entities which do not exist in this mirror.
pub fn rehearse_step(model: &Model, mirror: &mut Mirror, step: &Step) -> Option<Rehearsed> {
    if !applicable(mirror, step) {
        return None;
    }
    let mut scratch;
    let takes_effect = takes_effect(model, step);
    let mirror = match takes_effect {
        true => mirror,
        false => {
            scratch = mirror.clone();
            &mut scratch
        }
    };
    let (prediction, assumed, applied) = model.rehearse(mirror, &step.action, step.id, assume)?;
    Some(Rehearsed {
        prediction,
        assumed,
        created: match takes_effect {
            true => applied.created,
            false => Vec::new(),
        },
    })
}

/// Whether a step is assumed to do what its action does. Of what nobody can know nothing is assumed; and what a server
/// recognises as sent before it only answers.
fn takes_effect(model: &Model, step: &Step) -> bool {
    let copied = step.delivery.copy_of().is_some();
    let recognised = copied && model.rules[step.action.rule].idempotent.is_some();
    step.delivery.effect() == Reach::Told && !recognised
}

/// Rehearses a step as a run would take it: nothing, too, for one that picks what its rule does not pick from.
pub fn rehearse_strictly(model: &Model, mirror: &mut Mirror, step: &Step) -> Option<Rehearsed> {
    match applicable(mirror, step) && model.picks_from_its_lists(mirror, &step.action) {
        true => rehearse_step(model, mirror, step),
        false => None,
    }
}

/// Rehearses a whole plan; nothing for steps that are not applicable.
pub fn rehearse(model: &Model, mirror: &mut Mirror, plan: &Plan) -> Vec<Option<Rehearsed>> {
    plan.all()
        .map(|step| rehearse_step(model, mirror, step))
        .collect()
}

/// Whether everything that the step names was created before.
pub fn applicable(mirror: &Mirror, step: &Step) -> bool {
    let shown = step.action.actor.shows();
    shown.is_none_or(|handle| mirror.get(handle).is_some())
        && step
            .action
            .picks
            .iter()
            .filter_map(|p| Picked::handle(*p))
            .all(|handle| mirror.get(handle).is_some())
}

/// What is assumed of a prediction: the first outcome, or success where something unknown decides.
fn assume(prediction: &Prediction) -> Option<Outcome> {
    let ok = prediction.outcomes.iter().find(|o| o.is_ok());
    match (prediction.open, ok) {
        (true, Some(ok)) => Some(*ok),
        _ => prediction.outcomes.first().copied(),
    }
}
