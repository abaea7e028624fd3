//! The space of worlds: every state that operations can lead to, by a number, and where each operation leads from each of
//! them. The rules are asked once for each pair; the searches only compare numbers.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap as HashMap;

use super::super::judge::{choose, step_value};
use super::super::violation::CheckId;
use super::{Deed, Misfit, Operation};
use crate::model::action::{Action, Outcome, Picked};
use crate::model::expression::{EvalError, Expression, Names, Scope};
use crate::model::mirror::Mirror;
use crate::model::oracle::{Answer, bind_answer};
use crate::model::value::{Handle, Value};
use crate::model::{Idempotence, Invariant, Mode, Model, Statuses};

/// A state of the server as the rules have it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    mirror: Mirror,
    /// What nothing is predicted of any more, since a rule left open what became of it.
    tainted: Option<Arc<BTreeSet<Handle>>>,
}

/// The states that were met, and what leads from one to another.
pub(super) struct Space<'a> {
    model: &'a Model,
    operations: &'a [Operation],
    /// The operations that sent a request, by its number, where several did.
    copies: HashMap<u32, Vec<usize>>,
    /// Operations of one class do the same in every state.
    classes: Vec<u32>,
    /// Operations that change nothing in any state, as their answers tell, and that no other one is sent again for.
    pure: Vec<bool>,
    /// The invariants of the mirror alone.
    watched: Vec<&'a Invariant>,
    states: Vec<State>,
    numbers: HashMap<State, u32>,
    observed: HashMap<(u32, u32), Option<u32>>,
    supposed: HashMap<(u32, u32), Arc<[u32]>>,
}

impl<'a> Space<'a> {
    pub fn new(model: &'a Model, start: &Mirror, operations: &'a [Operation]) -> Space<'a> {
        let state = State {
            mirror: start.clone(),
            tainted: None,
        };
        let acts = |op: &Operation| matches!(op.deed, Deed::Act(_));
        let mut copies: HashMap<u32, Vec<usize>> = HashMap::default();
        for (index, op) in operations.iter().enumerate().filter(|(_, op)| acts(op)) {
            copies.entry(op.request()).or_default().push(index);
        }
        copies.retain(|_, all| all.len() > 1);
        let mut pure: Vec<bool> = operations.iter().map(|op| is_pure(model, op)).collect();
        for copy in copies.values().flatten() {
            pure[*copy] = false;
        }
        Space {
            model,
            operations,
            copies,
            classes: classes(model, operations),
            pure,
            watched: (model.invariants.iter())
                .filter(|invariant| invariant.read.is_none() && invariant.mode == Mode::Always)
                .collect(),
            states: vec![state.clone()],
            numbers: [(state, 0)].into_iter().collect(),
            observed: HashMap::default(),
            supposed: HashMap::default(),
        }
    }

    /// Whether it is all the same when, or whether, an operation took effect: it has no answer, and changes nothing.
    pub fn is_idle(&self, operation: usize) -> bool {
        self.operations[operation].answer.is_none() && self.pure[operation]
    }

    pub fn operations(&self) -> &'a [Operation] {
        self.operations
    }

    pub fn mirror(&self, state: u32) -> &Mirror {
        &self.states[state as usize].mirror
    }

    /// Whether an operation can be taken as soon as its answer fits: whatever comes after can come all the same. What
    /// changes nothing only in some states is another matter, since later it may be just what is needed.
    pub fn may_hurry(&self, operation: usize) -> bool {
        self.pure[operation]
    }

    /// The operations that send the same request as one, it among them, if others do.
    fn copies_of(&self, operation: usize) -> &[usize] {
        let copies = self.copies.get(&self.operations[operation].request());
        copies.map_or(&[], Vec::as_slice)
    }

    /// What an operation's creations are named after: what came first goes by the name of the request, as it would if
    /// nobody had sent it again, and what came then, if it is not recognised, by a name that is left.
    fn name(&self, state: &State, operation: usize, rule: usize) -> u32 {
        let op = &self.operations[operation];
        let copies = self.copies_of(operation);
        if copies.is_empty() || self.model.rules[rule].idempotent.is_none() {
            return op.id;
        }
        let is_taken = |name: &u32| {
            let mut kinds = self.model.kind_ids();
            kinds.any(|kind| {
                state
                    .mirror
                    .all(kind)
                    .any(|(handle, _)| handle.step == *name)
            })
        };
        let names = copies.iter().map(|copy| self.operations[*copy].id);
        let mut names = [op.request()].into_iter().chain(names);
        names.find(|name| !is_taken(name)).unwrap_or(op.id)
    }

    /// Where an answered operation leads from a state; nothing if its answer does not fit. `done` tells which operations
    /// came before.
    pub fn observe(
        &mut self,
        state: u32,
        operation: usize,
        done: impl Fn(usize) -> bool,
    ) -> Option<u32> {
        let came_first = |copy: &&usize| **copy != operation && done(**copy);
        let mut first = self.copies_of(operation).iter().filter(came_first);
        if let Some(fits) = first.find_map(|first| self.recognise(state, *first, operation)) {
            return fits.then_some(state);
        }
        let key = (state, self.classes[operation]);
        if let Some(known) = self.observed.get(&key) {
            return *known;
        }
        let after = self.look(state, operation).ok();
        let after = after.map(|after| match self.pure[operation] {
            true => state,
            false => self.number(after),
        });
        self.observed.insert(key, after);
        after
    }

    /// The states that an operation without an answer may lead to, other than this one.
    pub fn suppose(&mut self, state: u32, operation: usize) -> Arc<[u32]> {
        let key = (state, self.classes[operation]);
        if let Some(known) = self.supposed.get(&key) {
            return known.clone();
        }
        let mut after = Vec::new();
        if let Deed::Act(action) = &self.operations[operation].deed {
            let from = self.states[state as usize].clone();
            let action = as_known(&from.mirror, action);
            let id = self.operations[operation].id;
            for outcome in self.model.predict(&from.mirror, &action, None).outcomes {
                let mut to = from.clone();
                (self.model).apply(&mut to.mirror, &action, outcome, id, None);
                if self.model.statuses(action.rule, outcome).is_any() {
                    taint(&mut to, &action);
                }
                if to != from {
                    let to = self.number(to);
                    if !after.contains(&to) {
                        after.push(to);
                    }
                }
            }
        }
        let after: Arc<[u32]> = after.into();
        self.supposed.insert(key, after.clone());
        after
    }

    /// Why an operation's answer does not fit in a state.
    pub fn misfit(&self, state: u32, operation: usize) -> Misfit {
        let op = &self.operations[operation];
        let looked = self.look(state, operation);
        let fits = looked.is_ok();
        let wrong = match looked {
            Err(wrong) => wrong.iter().map(Wrong::in_words).collect(),
            // It fits by itself: it is not answered as the request that it repeats was.
            Ok(_) => vec!["the same request is answered in the same way".to_owned()],
        };
        let expected = match &op.deed {
            Deed::Act(action) if !fits => {
                let mirror = self.mirror(state);
                let action = &as_known(mirror, action);
                let rule = &self.model.rules[action.rule];
                let statuses = |outcome| self.model.statuses(action.rule, outcome).to_string();
                let prediction = self.model.predict(mirror, action, op.answer.as_ref());
                let outcomes = prediction.outcomes.into_iter();
                outcomes
                    .map(|outcome| (outcome.name(rule), statuses(outcome)))
                    .collect()
            }
            _ => Vec::new(),
        };
        Misfit {
            operation,
            expected,
            observed: self.status(operation),
            wrong,
        }
    }

    fn status(&self, operation: usize) -> u16 {
        let answer = &self.operations[operation].answer;
        answer.as_ref().map_or(0, |answer| answer.status)
    }

    fn number(&mut self, state: State) -> u32 {
        let next = u32::try_from(self.states.len()).unwrap_or(u32::MAX);
        let number = *self.numbers.entry(state.clone()).or_insert(next);
        if number == next {
            self.states.push(state);
        }
        number
    }

    /// Whether an answer is right for a request that came before; nothing if it is taken for a request of its own.
    fn recognise(&self, state: u32, first: usize, operation: usize) -> Option<bool> {
        let (first, op) = (&self.operations[first], &self.operations[operation]);
        let Deed::Act(action) = &op.deed else {
            return None;
        };
        let rule = &self.model.rules[action.rule];
        let idempotence = rule.idempotent.as_ref()?;
        let (one, two) = (first.answer.as_ref()?, op.answer.as_ref()?);
        let outcome = (0..rule.successes.len())
            .map(Outcome::Ok)
            .find(|outcome| (self.model.statuses(action.rule, *outcome)).allow(one.status))?;
        if *idempotence == Idempotence::Maybe {
            let mirror = &self.states[state as usize].mirror;
            let same = (self.model).makes_the_same(mirror, (action, outcome), [one, two]);
            return same.then_some(true);
        }
        Some((one.status, &one.body) == (two.status, &two.body))
    }

    /// The state after an answered operation, or what is wrong with its answer.
    fn look(&self, state: u32, operation: usize) -> Result<State, Vec<Wrong<'a>>> {
        let state = &self.states[state as usize];
        let op = &self.operations[operation];
        let Some(answer) = &op.answer else {
            return Ok(state.clone());
        };
        match &op.deed {
            Deed::Act(action) => self.act(state, operation, action, answer),
            Deed::Read { invariant, entity } => {
                let wrong = self.read(state, (*invariant, *entity), answer);
                wrong.map_or_else(|| Ok(state.clone()), |wrong| Err(vec![wrong]))
            }
        }
    }

    fn act(
        &self,
        state: &State,
        operation: usize,
        action: &Action,
        answer: &Answer,
    ) -> Result<State, Vec<Wrong<'a>>> {
        let (model, op) = (self.model, &self.operations[operation]);
        let mut after = state.clone();
        if let Some(tainted) = &state.tainted {
            let picks = action.picks.iter().filter_map(|p| Picked::handle(*p));
            if (picks.chain(action.actor.handle())).any(|handle| tainted.contains(&handle)) {
                taint(&mut after, action);
                return Ok(after);
            }
        }
        let action = &as_known(&state.mirror, action);
        let rule = &model.rules[action.rule];
        let (prediction, names) = model.predict_named(&state.mirror, action, Some(answer));
        let fits = |outcome: &&Outcome| model.statuses(action.rule, **outcome).allow(answer.status);
        let fitting: Vec<Outcome> = prediction.outcomes.iter().filter(fits).copied().collect();
        let Some(outcome) = choose(model, &state.mirror, action, &fitting, answer) else {
            return Err(Vec::new());
        };
        let which = (action.rule, outcome);
        let name = self.name(state, operation, action.rule);
        let applied = model.apply_named(&mut after.mirror, which, (name, Some(answer)), names);
        let mut wrong = Vec::new();
        for (place, _) in applied.not_learned {
            wrong.push(Wrong::Missing(&rule.name, place));
        }
        let names = applied.names;
        // What a secret was is not in a recording, so that what is claimed of it cannot be judged.
        let masked = is_masked(&answer.body);
        for check in model.checks(action.rule, outcome) {
            let judged = !(masked && check.that.uses.answer);
            if judged && self.is_untrue(&check.that, (&state.mirror, &after.mirror), &names) {
                wrong.push(Wrong::Returns(&rule.name, &check.name));
            }
        }
        if model.statuses(action.rule, outcome).is_any() {
            taint(&mut after, action);
        }
        let step = || {
            let took = op.until().saturating_sub(op.start);
            let name = Some(outcome.name(rule));
            step_value(&rule.name, name, answer, Duration::from_micros(took))
        };
        self.invariants(state, &after, step, &mut wrong);
        match wrong.is_empty() {
            true => Ok(after),
            false => Err(wrong),
        }
    }

    /// What does not hold of the mirror alone after a step.
    fn invariants(
        &self,
        before: &State,
        after: &State,
        step: impl Fn() -> Value,
        wrong: &mut Vec<Wrong<'a>>,
    ) {
        if self.watched.is_empty() {
            return;
        }
        let changed = before.mirror != after.mirror;
        for invariant in &self.watched {
            if !changed && !invariant.claim.uses.variables.contains("step") {
                continue;
            }
            let entities: Vec<Option<Handle>> = match &invariant.each {
                Some((_, kind)) => after.mirror.live(*kind).map(Some).collect(),
                None => vec![None],
            };
            for entity in entities {
                if is_tainted(after, entity) {
                    continue;
                }
                let mut names = names_of(invariant, entity);
                names.bind("step", step());
                if !self.applies(invariant, &after.mirror, &names) {
                    continue;
                }
                (self.model).bind_lets(&mut names, &after.mirror, &invariant.lets);
                if self.is_untrue(&invariant.claim, (&before.mirror, &after.mirror), &names) {
                    wrong.push(Wrong::Broken(invariant));
                }
            }
        }
    }

    /// What a read contradicts in a state.
    fn read(
        &self,
        state: &State,
        (invariant, entity): (usize, Option<Handle>),
        answer: &Answer,
    ) -> Option<Wrong<'a>> {
        let invariant = &self.model.invariants[invariant];
        let mut names = names_of(invariant, entity);
        let there = entity.is_none_or(|entity| state.mirror.is_live(entity));
        if !there
            || is_tainted(state, entity)
            // When it comes true, and what was before, is a matter of the run, not of the order.
            || is_masked(&answer.body)
            || invariant.mode != Mode::Always
            || invariant.claim.uses.variables.contains("before")
            || !self.applies(invariant, &state.mirror, &names)
        {
            return None;
        }
        bind_answer(&mut names, Some(answer));
        (self.model).bind_lets(&mut names, &state.mirror, &invariant.lets);
        let untrue = self.is_untrue(&invariant.claim, (&state.mirror, &state.mirror), &names);
        untrue.then_some(Wrong::Broken(invariant))
    }

    fn applies(&self, invariant: &Invariant, mirror: &Mirror, names: &Names) -> bool {
        let scope = self.model.scope(mirror, names);
        let when = invariant.when.as_ref();
        when.is_none_or(|when| when.eval_bool(&scope) == Ok(true))
    }

    fn is_untrue(
        &self,
        claim: &Expression,
        (before, mirror): (&Mirror, &Mirror),
        names: &Names,
    ) -> bool {
        let scope = Scope {
            before: Some(before),
            ..self.model.scope(mirror, names)
        };
        matches!(
            claim.eval_bool(&scope),
            Ok(false) | Err(EvalError::Failed(_))
        )
    }
}

/// What is wrong with an answer. Put in words only where somebody asks: most of what is looked at does not fit.
enum Wrong<'a> {
    /// A rule's answer does not give what stands in this place.
    Missing(&'a str, String),
    /// What a rule says of its answer, by name, does not hold.
    Returns(&'a str, &'a str),
    /// An invariant does not hold.
    Broken(&'a Invariant),
}

impl Wrong<'_> {
    fn in_words(&self) -> String {
        match self {
            Wrong::Missing(rule, place) => {
                let (rule, place) = ((*rule).to_owned(), place.clone());
                CheckId::Answer { rule, place }.to_string()
            }
            Wrong::Returns(rule, check) => {
                let (rule, check) = ((*rule).to_owned(), (*check).to_owned());
                CheckId::Returns { rule, check }.to_string()
            }
            Wrong::Broken(invariant) => {
                format!("{}: {}", invariant.name, one_line(&invariant.claim.source))
            }
        }
    }
}

/// Whether anything in an answer was replaced, as secrets are when a history is written.
fn is_masked(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.contains('‹'),
        Value::List(items) => items.iter().any(is_masked),
        Value::Map(map) => map.values().any(is_masked),
        _ => false,
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn names_of(invariant: &Invariant, entity: Option<Handle>) -> Names {
    let mut names = Names::default();
    if let (Some((name, _)), Some(handle)) = (&invariant.each, entity) {
        names.bind(name.clone(), Value::Entity(handle));
    }
    names
}

fn is_tainted(state: &State, entity: Option<Handle>) -> bool {
    let tainted = state.tainted.as_ref();
    entity.is_some_and(|entity| tainted.is_some_and(|all| all.contains(&entity)))
}

/// Notes that nothing is known any more of what an action was about.
fn taint(state: &mut State, action: &Action) {
    let actor = action.actor.handle();
    let picks = action.picks.iter().filter_map(|p| Picked::handle(*p));
    let mut tainted = state.tainted.as_deref().cloned().unwrap_or_default();
    tainted.extend(picks.filter(|handle| Some(*handle) != actor));
    if !tainted.is_empty() {
        state.tainted = Some(Arc::new(tainted));
    }
}

/// An action as it is in a state: an entity that nobody has made yet is one that never was.
fn as_known<'a>(mirror: &Mirror, action: &'a Action) -> Cow<'a, Action> {
    let unmade = |pick: &Picked| pick.handle().is_some_and(|h| mirror.get(h).is_none());
    if !action.picks.iter().any(unmade) {
        return Cow::Borrowed(action);
    }
    let mut action = action.clone();
    for pick in action.picks.iter_mut().filter(|pick| unmade(pick)) {
        *pick = Picked::Never;
    }
    Cow::Owned(action)
}

/// Whether no outcome that an operation may have had changes anything.
fn is_pure(model: &Model, op: &Operation) -> bool {
    let Deed::Act(action) = &op.deed else {
        return true;
    };
    let rule = &model.rules[action.rule];
    let successes = rule.successes.iter().map(|s| (&s.statuses, &s.effects));
    let refusals = rule.requires.iter().map(|r| (&r.statuses, &r.effects));
    let mut effective = successes.chain(refusals);
    let may_be =
        |statuses: &Statuses| (op.answer.as_ref()).is_none_or(|a| statuses.allow(a.status));
    !effective
        .any(|(statuses, effects)| may_be(statuses) && (statuses.is_any() || !effects.is_empty()))
}

/// Which operations do the same in every state: those that ask the same, are answered the same, and name nothing.
fn classes(model: &Model, operations: &[Operation]) -> Vec<u32> {
    let about_steps = model
        .invariants
        .iter()
        .any(|invariant| invariant.claim.uses.variables.contains("step"));
    let mut known = HashMap::default();
    let mut classes = Vec::with_capacity(operations.len());
    for (index, op) in operations.iter().enumerate() {
        let alone = about_steps || matches!(&op.deed, Deed::Act(a) if names_things(model, a.rule));
        let answer = op.answer.as_ref();
        let answer = answer.map(|answer| (answer.status, &answer.headers, &answer.body));
        let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
        let key = (&op.deed, answer, alone.then_some(index));
        classes.push(*known.entry(key).or_insert(next));
    }
    classes
}

/// Whether anything that a rule does is named after its step.
fn names_things(model: &Model, rule: usize) -> bool {
    use crate::model::Effect;
    let rule = &model.rules[rule];
    let refusals = rule.requires.iter().map(|r| r.effects.as_slice());
    let creates = |effects: &[Effect]| {
        Effect::all(effects).any(|effect| matches!(effect, Effect::Create { .. }))
    };
    rule.creates() || refusals.into_iter().any(creates)
}
