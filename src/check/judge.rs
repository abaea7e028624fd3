//! The judge of one run of a plan: keeps the mirror, says what to expect and what to read, and finds violations.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::indistinguishable::{CLAIM, Probed, differences, parts};
use super::violation::{CheckId, Dispute, Finding, Parts, Violation};
use super::{internals, unique};
use crate::drive::disguises;
use crate::drive::history::Response;
use crate::drive::symbols::{looks_invented, texts};
use crate::generate::{Delivery, Effect, Fault, Step};
use crate::model::action::{Action, Outcome, Picked};
use crate::model::expression::{EvalError, Expression, Names, Scope};
use crate::model::mirror::Mirror;
use crate::model::oracle::{Answer, Prediction, bind_answer};
use crate::model::types::Type;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{Idempotence, Mode, Model, Request, Statuses};

/// A step that was sent: its id, its rule, and which outcome it had, if it had one.
pub type Reached = (u32, usize, Option<Outcome>);

/// What is expected of a step before it is sent.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The action, with its fresh values made real.
    pub action: Action,
    /// What the oracle says.
    pub prediction: Prediction,
}

/// A read that is due: which invariants ask, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The invariant, by its position in the model.
    pub invariant: usize,
    /// The entity that it is about.
    pub entity: Option<Handle>,
}

/// An `eventually` that is not true yet.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What is read.
    pub due: Due,
    /// The step from which it has been waited for.
    pub step: u32,
    /// The rule of that step.
    pub rule: usize,
    /// Until when it must be true.
    pub deadline: Instant,
}

/// A request that may take effect yet: nobody has seen an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inflight {
    /// Its step.
    pub of: u32,
    /// The step that what it creates is named after: its own, or the one that tries it again with its key.
    pub step: u32,
    pub action: Action,
    /// When that is over.
    pub until: Instant,
}

/// A request that took effect without an answer, and is tried again with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Applied {
    /// Its step.
    of: u32,
    before: Mirror,
    after: Mirror,
}

/// The first answer to a request that is recognised when it comes again.
#[derive(Clone, Debug)]
struct Answered {
    outcome: Outcome,
    answer: Answer,
    /// The step that it was the answer to: the one that sent the request first, or its copy.
    to: u32,
}

/// What things are read because of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// A fault that is over.
    Fault(Fault),
    /// Requests that were sent at once.
    Race,
}

/// The judge of one run, in one world.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    model: Arc<Model>,
    mirror: Mirror,
    before: Mirror,
    tainted: BTreeSet<Handle>,
    pending: Vec<Pending>,
    /// The same of those that are about the mirror alone, which nothing is read for.
    waiting: Vec<Pending>,
    /// Eventualities that came true, and stay so while their `when` does.
    settled: BTreeSet<(usize, Option<Handle>)>,
    /// What has been reported in this run.
    reported: BTreeSet<CheckId>,
    violations: Vec<Violation>,
    /// What failed since somebody looked last, reported before or not.
    complaints: Vec<CheckId>,
    /// What is over, and because of which things are read again.
    pub aftermath: Option<Aftermath>,
    /// Requests that were sent at once are put in an order: what does not depend on that is looked at by itself.
    pub racing: bool,
    /// What may take effect yet.
    pub inflight: Vec<Inflight>,
    /// What took effect and is tried again.
    applied: Vec<Applied>,
    /// The first answers to requests that their rules say are recognised when they come again.
    answered: BTreeMap<u32, Answered>,
    outcomes: Vec<Reached>,
    step: Option<(u32, usize)>,
    /// What was predicted of the step.
    predicted: String,
    step_value: Value,
    /// Texts of at least eight characters that not everybody may see.
    guarded: Vec<Guarded>,
}

#[derive(Debug, Clone)]
struct Guarded {
    text: Arc<str>,
    /// What it looks like in JSON, in a URL and in HTML, where that is not as it is.
    escaped: Arc<[String]>,
    owner: Handle,
    /// Of which kind, and what it is there: `agent.api_key`.
    what: Arc<str>,
    from: KeptFrom,
}

/// From whom a text is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeptFrom {
    /// From everybody, once the answer that makes it is given.
    All,
    /// From all but its owner: what the model calls private.
    Others,
    /// From other principals: what the server itself told its owner to keep.
    Principals,
}

/// A secret shorter than this may turn up by chance.
const SHORTEST_SECRET: usize = 8;

impl Judge {
    /// A judge of a run that starts from a mirror.
    pub fn new(model: Arc<Model>, mirror: Mirror) -> Judge {
        let mut judge = Judge {
            model,
            before: mirror.clone(),
            mirror,
            tainted: BTreeSet::new(),
            pending: Vec::new(),
            waiting: Vec::new(),
            settled: BTreeSet::new(),
            reported: BTreeSet::new(),
            violations: Vec::new(),
            complaints: Vec::new(),
            aftermath: None,
            racing: false,
            inflight: Vec::new(),
            applied: Vec::new(),
            answered: BTreeMap::new(),
            outcomes: Vec::new(),
            step: None,
            predicted: String::new(),
            step_value: Value::Null,
            guarded: Vec::new(),
        };
        let all: Vec<Handle> = (0..judge.model.kinds.len())
            .flat_map(|k| {
                let kind = KindId(u16::try_from(k).unwrap_or(u16::MAX));
                judge.mirror.all(kind).map(|(h, _)| h).collect::<Vec<_>>()
            })
            .collect();
        judge.guard(&all);
        judge
    }

    /// The mirror as it is now.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// The violations so far.
    pub fn found(&self) -> &[Violation] {
        &self.violations
    }

    /// Gives up the violations and the outcomes.
    pub fn finish(self) -> (Vec<Violation>, Vec<Reached>, Mirror) {
        (self.violations, self.outcomes, self.mirror)
    }

    /// Whether a step can be tried: all that it names exists, and nothing of it is tainted.
    pub fn can_try(&self, step: &Step) -> bool {
        step.names()
            .iter()
            .all(|h| self.mirror.get(*h).is_some() && !self.tainted.contains(h))
    }

    /// What must come of an action that was made real.
    pub fn expect(&self, action: Action) -> Expectation {
        let prediction = self.model.predict(&self.mirror, &action, None);
        Expectation { action, prediction }
    }

    /// Has somebody live again whose credentials are taken still, or no longer.
    pub fn let_live(&mut self, principal: Handle, lives: bool) {
        self.mirror.update(principal, |record| record.gone = !lives);
    }

    /// What failed since somebody looked last.
    pub fn complaints(&mut self) -> Vec<CheckId> {
        std::mem::take(&mut self.complaints)
    }

    /// Notes that a step was sent that no answer tells of.
    pub fn begin(&mut self, step: u32, action: &Action) {
        self.before = self.mirror.clone();
        self.step = Some((step, action.rule));
        let prediction = self.model.predict(&self.mirror, action, None);
        self.predicted = names_of(&self.model.rules[action.rule], &prediction.outcomes);
    }

    /// The mirrors that requests under way may make of this one, each with those that are under way still.
    pub fn unfolded(&self) -> Vec<Judge> {
        let mut worlds = Vec::new();
        for (index, inflight) in self.inflight.iter().enumerate() {
            let prediction = self.model.predict(&self.mirror, &inflight.action, None);
            for outcome in prediction.outcomes {
                let mut world = self.clone();
                let (action, step) = (&inflight.action, inflight.step);
                (self.model).apply(&mut world.mirror, action, outcome, step, None);
                // When it came into being matters too little for a world of its own.
                if !self.mirror.is_reordered() {
                    world.mirror = world.mirror.unordered();
                }
                // What changes nothing may as well not have come yet.
                if world.mirror != self.mirror {
                    world.inflight.remove(index);
                    if inflight.of != inflight.step {
                        world.applied.push(Applied {
                            of: inflight.of,
                            before: self.mirror.clone(),
                            after: world.mirror.clone(),
                        });
                    }
                    worlds.push(world);
                }
            }
        }
        worlds
    }

    /// The mirrors that an action may make of this one whose answer is not looked at.
    pub fn supposing(&self, step: &Step, action: &Action) -> Vec<Judge> {
        let prediction = self.model.predict(&self.mirror, action, None);
        let supposed = prediction.outcomes.into_iter().map(|outcome| {
            let mut world = self.clone();
            (self.model).apply(&mut world.mirror, action, outcome, step.id, None);
            world
        });
        supposed
            .filter(|world| world.mirror != self.mirror)
            .collect()
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Whether the worlds are the same, and will be.
    pub fn is_like(&self, other: &Judge) -> bool {
        self.mirror == other.mirror
            && self.inflight == other.inflight
            && self.applied == other.applied
    }

    /// Whether the answer to a step is known, and was a success.
    pub fn was_answered(&self, step: u32) -> bool {
        self.answered.contains_key(&step)
    }

    /// Judges the answer to a request with the key of another one: it has to be refused for that, or for whatever else
    /// is wrong with it.
    pub fn observe_borrowed(
        &mut self,
        step: &Step,
        expected: &Expectation,
        refused: &Statuses,
        response: &Response,
        event: usize,
    ) {
        let model = self.model.clone();
        let definition = &model.rules[step.action.rule];
        self.begin(step.id, &expected.action);
        self.outcomes.push((step.id, step.action.rule, None));
        let prediction = model.predict(&self.mirror, &expected.action, None);
        let otherwise = prediction.outcomes.iter().any(|outcome| {
            let statuses = model.statuses(step.action.rule, *outcome);
            !outcome.is_ok() && statuses.allow(response.status)
        });
        if otherwise || refused.allow(response.status) {
            return;
        }
        let rule = definition.name.clone();
        let observed = response.status;
        let (id, finding) = self.server_error(&rule, observed).unwrap_or_else(|| {
            let what = "the idempotency key of another request".to_owned();
            let expected = vec![(what, refused.to_string())];
            let finding = Finding::Status { expected, observed };
            (CheckId::Key { rule }, finding)
        });
        let touched = expected.action.picks.iter();
        let touched = touched.filter_map(|p| Picked::handle(*p)).collect();
        let place = definition.span.start;
        self.report(id, finding, None, Some(event), place, touched);
    }

    /// Undoes what a request did that nobody saw an answer to: it is tried again, and done now or then comes to the same.
    /// False if it cannot be undone, since more has happened; then the answer says nothing.
    fn redone(&mut self, of: u32) -> bool {
        self.inflight.retain(|inflight| inflight.of != of);
        let Some(place) = self.applied.iter().position(|applied| applied.of == of) else {
            return true;
        };
        let applied = self.applied.remove(place);
        let untouched = self.mirror == applied.after;
        if untouched {
            self.mirror = applied.before;
        }
        untouched
    }

    /// Judges the answer to something that was no proper request: it has to be refused. What refuses a proper one may come
    /// first.
    pub fn observe_malformed(&mut self, step: &Step, response: &Response, event: usize) {
        let model = self.model.clone();
        let definition = &model.rules[step.action.rule];
        self.begin(step.id, &step.action);
        self.outcomes.push((step.id, step.action.rule, None));
        let place = definition.span.start;
        self.internals(&definition.name, place, response, event);
        // What is no JSON cannot be taken for a proper request. A field too many can.
        let proper = step.delivery.effect() == Effect::Perhaps && response.status < 400;
        if proper || Statuses::refused(response.status) {
            return;
        }
        let prediction = model.predict(&self.mirror, &step.action, None);
        let mut refusals = prediction.outcomes.into_iter().filter(|o| !o.is_ok());
        if refusals.any(|o| {
            let statuses = model.statuses(step.action.rule, o);
            !statuses.is_any() && statuses.allow(response.status)
        }) {
            return;
        }
        let rule = definition.name.clone();
        let observed = response.status;
        let (id, finding) = self.server_error(&rule, observed).unwrap_or_else(|| {
            let expected = vec![("a malformed request".into(), "4XX".into())];
            let finding = Finding::Status { expected, observed };
            (CheckId::Malformed { rule }, finding)
        });
        let picks = step.action.picks.iter();
        let touched = picks.filter_map(|p| Picked::handle(*p)).collect();
        let place = definition.span.start;
        self.report(id, finding, None, Some(event), place, touched);
    }

    /// The judge as it looks at requests that were sent at once, in one order after the other.
    pub fn in_a_race(&self) -> Judge {
        let mut judge = self.clone();
        judge.complaints.clear();
        judge.reported.clear();
        judge.violations.clear();
        judge.racing = true;
        judge
    }

    /// The judge of a race again after it, with all that was found before.
    pub fn after_a_race(&self, explained: Judge, (step, rule): (u32, usize)) -> Judge {
        Judge {
            before: self.mirror.clone(),
            reported: self.reported.clone(),
            violations: self.violations.clone(),
            complaints: self.complaints.clone(),
            racing: false,
            step: Some((step, rule)),
            ..explained
        }
    }

    /// What an answer is contradicted by, by name; nothing if it fits.
    pub fn contradicted(&self) -> Vec<String> {
        self.complaints.iter().map(CheckId::to_string).collect()
    }

    /// Notes that no order of requests that were sent at once explains their answers. What they were about is no longer
    /// predictable.
    pub fn no_order(
        &mut self,
        ran: &[(u32, &Action)],
        rules: Vec<String>,
        dispute: Dispute,
        event: usize,
    ) {
        let Some((last, action)) = ran.last() else {
            return;
        };
        self.begin(*last, action);
        let mut touched = Vec::new();
        for (step, action) in ran {
            self.outcomes.push((*step, action.rule, None));
            touched.extend(action.picks.iter().filter_map(|p| Picked::handle(*p)));
        }
        if touched.is_empty() {
            touched.extend(ran.iter().filter_map(|(_, action)| action.actor.handle()));
        }
        let place = self.model.rules[action.rule].span.start;
        let id = CheckId::Order { rules };
        self.report(
            id,
            Finding::NoOrder(dispute),
            None,
            Some(event),
            place,
            touched,
        );
    }

    /// Notes a step of which the rules say nothing, and which was refused.
    pub fn unsaid(&mut self, step: u32, action: &Action) {
        self.begin(step, action);
        self.outcomes.push((step, action.rule, None));
    }

    /// Looks at what an answer shows and whether it is one that the API describes, whatever came first.
    pub fn inspect(&mut self, step: &Step, action: &Action, response: &Response, event: usize) {
        let model = self.model.clone();
        let rule = &model.rules[action.rule];
        let place = rule.span.start;
        self.conforms(&rule.name, place, &rule.request, response, event);
        self.internals(&rule.name, place, response, event);
        let made: Vec<Handle> = self.guarded.iter().map(|guarded| guarded.owner).collect();
        let made: Vec<Handle> = made.into_iter().filter(|h| h.step == step.id).collect();
        let actor = action.actor.handle();
        self.leaks(&rule.name, place, response, event, actor, &made);
    }

    /// Notes that the server failed at a step that ran at once with others.
    pub fn failed_in_a_race(&mut self, rule: usize, observed: u16, event: usize) {
        let model = self.model.clone();
        let definition = &model.rules[rule];
        if let Some((id, finding)) = self.server_error(&definition.name, observed) {
            let place = definition.span.start;
            self.report(id, finding, None, Some(event), place, Vec::new());
        }
    }

    /// Notes that the server still fails, although it had the time to recover from a fault.
    pub fn unrecovered(&mut self, check: &str, place: usize, observed: u16, event: usize) {
        let id = CheckId::Recovers {
            rule: check.to_owned(),
        };
        let finding = Finding::ServerError { observed };
        self.report(id, finding, None, Some(event), place, Vec::new());
    }

    /// Notes that the server gave no answer to a rule or to an invariant's read, where that is looked for.
    pub fn silent(&mut self, rule: &str, place: usize, reason: &str, event: usize) {
        if !self.model.has_builtin("no_server_errors") {
            return;
        }
        let rule = rule.to_owned();
        let id = CheckId::ServerError { rule };
        let reason = reason.to_owned();
        let finding = Finding::Silence { reason };
        self.report(id, finding, None, Some(event), place, Vec::new());
    }

    /// What is wrong with an answer to a rule or to an invariant's read if the server failed, where that is looked for.
    fn server_error(&self, rule: &str, observed: u16) -> Option<(CheckId, Finding)> {
        let failed = Statuses::failed(observed) && self.model.has_builtin("no_server_errors");
        failed.then(|| {
            let rule = rule.to_owned();
            let id = CheckId::ServerError { rule };
            (id, Finding::ServerError { observed })
        })
    }

    /// Judges the second answer to a request that the server has to recognise, or may. False if it was taken for a
    /// request of its own.
    fn recognise(&mut self, step: &Step, response: &Response, event: usize) -> bool {
        let model = self.model.clone();
        let rule = step.action.rule;
        let definition = &model.rules[rule];
        // Of two that run at once either may come first.
        let request = step.delivery.again().unwrap_or(step.id);
        let known = self.answered.get(&request).cloned();
        let (Some(idempotence), Some(known)) = (&definition.idempotent, known) else {
            return false;
        };
        let (outcome, first) = (known.outcome, known.answer);
        let answer = response.answer();
        if *idempotence == Idempotence::Maybe
            && !model.makes_the_same(&self.mirror, (&step.action, outcome), [&first, &answer])
        {
            return false;
        }
        self.begin(step.id, &step.action);
        self.outcomes.push((step.id, rule, Some(outcome)));
        if (first.status, &first.body) == (answer.status, &answer.body)
            || *idempotence == Idempotence::Maybe
        {
            return true;
        }
        let id = CheckId::Repeated {
            rule: definition.name.clone(),
        };
        let status = |answer: &Answer| Ok(Value::Int(i64::from(answer.status)));
        let finding = Finding::Untrue {
            claim: "the same request is answered in the same way".into(),
            reason: None,
            parts: vec![
                ("the first status".into(), status(&first)),
                ("the second status".into(), status(&answer)),
                ("the first body".into(), Ok(first.body)),
                ("the second body".into(), Ok(answer.body)),
            ],
        };
        let picks = step.action.picks.iter();
        let touched = picks.filter_map(|p| Picked::handle(*p)).collect();
        let place = definition.span.start;
        self.report(id, finding, None, Some(event), place, touched);
        true
    }

    /// Judges the answer to a step. `event` is the position of the exchange in the history.
    pub fn observe(
        &mut self,
        step: &Step,
        again: Option<u32>,
        expected: &Expectation,
        response: &Response,
        (event, took): (usize, Duration),
    ) {
        if self.recognise(step, response, event) {
            return;
        }
        if let Delivery::Retried { of } = step.delivery
            && !self.redone(of)
        {
            self.begin(step.id, &expected.action);
            self.outcomes.push((step.id, expected.action.rule, None));
            return;
        }
        let request = step.delivery.copy_of().unwrap_or(step.id);
        let step = step.id;
        let action = &expected.action;
        let rule = action.rule;
        let model = self.model.clone();
        let definition = &model.rules[rule];
        self.before = self.mirror.clone();
        self.step = Some((step, rule));
        let answer = response.answer();
        let mut touched: Vec<Handle> = action
            .picks
            .iter()
            .filter_map(|p| Picked::handle(*p))
            .collect();
        touched.extend(action.actor.handle());
        let prediction = model.predict(&self.mirror, action, Some(&answer));
        // What the model does not say anything about, and what is not tried, only comes about by way of something else.
        let fits = |outcome: &&Outcome| {
            let statuses = model.statuses(rule, **outcome);
            statuses.allow(response.status) || statuses.0.is_empty()
        };
        let fitting: Vec<Outcome> = prediction.outcomes.iter().filter(fits).copied().collect();
        let chosen = choose(&model, &self.mirror, action, &fitting, &answer);
        self.step_value = step_value(
            definition.name.as_str(),
            chosen.map(|o| o.name(definition)),
            &answer,
            took,
        );
        self.predicted = names_of(definition, &prediction.outcomes);
        let Some(outcome) = chosen else {
            self.outcomes.push((step, rule, None));
            let failure = self.server_error(&definition.name, response.status);
            let (id, finding) = failure.unwrap_or_else(|| {
                let id = CheckId::Outcome {
                    rule: definition.name.clone(),
                    expected: self.predicted.clone(),
                };
                let outcomes = prediction.outcomes.iter();
                let expected =
                    outcomes.map(|o| (o.name(definition), model.statuses(rule, *o).to_string()));
                let finding = Finding::Status {
                    expected: expected.collect(),
                    observed: response.status,
                };
                (id, finding)
            });
            let place = self.place_of(rule, prediction.outcomes.first().copied());
            // What it was about is no longer predictable. Who did it is, unless it was about nothing else: to give up
            // principals would leave nobody to go on with.
            let picks: Vec<Handle> = action
                .picks
                .iter()
                .filter_map(|p| Picked::handle(*p))
                .filter(|h| Some(*h) != action.actor.handle())
                .collect();
            let touched = match picks.is_empty() {
                true => touched,
                false => picks,
            };
            self.report(id, finding, None, Some(event), place, touched);
            let place = definition.span.start;
            self.internals(&definition.name, place, response, event);
            return;
        };
        self.outcomes.push((step, rule, Some(outcome)));
        let mut named = again.unwrap_or(step);
        if definition.idempotent.is_some() && outcome.is_ok() {
            // Whichever came first, what it made goes by the name of the request; what another one made all the same goes by
            // the name that is left.
            match self.answered.entry(request) {
                Entry::Vacant(first) => {
                    named = again.unwrap_or(request);
                    first.insert(Answered {
                        outcome,
                        answer: answer.clone(),
                        to: step,
                    });
                }
                Entry::Occupied(first) if step == request => named = first.get().to,
                Entry::Occupied(_) => {}
            }
        }
        let applied = model.apply(&mut self.mirror, action, outcome, named, Some(&answer));
        self.guard(&applied.touched);
        if again.is_none() {
            self.twins(&definition.name, &applied.created, &answer, event);
        }
        for (place, error) in &applied.not_learned {
            let id = CheckId::Answer {
                rule: definition.name.clone(),
                place: place.clone(),
            };
            let finding = Finding::Untrue {
                claim: format!("the answer gives {place}"),
                reason: Some(error.to_string()),
                parts: Vec::new(),
            };
            let mut all = touched.clone();
            all.extend(&applied.touched);
            self.report(id, finding, None, Some(event), definition.span.start, all);
        }
        let mut names = applied.names;
        bind_answer(&mut names, Some(&answer));
        for check in model.checks(rule, outcome) {
            let failure = self.untrue(&check.that, &names);
            if let Some((reason, parts)) = failure {
                let id = CheckId::Returns {
                    rule: definition.name.clone(),
                    check: check.name.to_string(),
                };
                let finding = Finding::Untrue {
                    claim: check.that.source.to_string(),
                    reason,
                    parts,
                };
                let mut all = touched.clone();
                all.extend(&applied.touched);
                self.report(id, finding, None, Some(event), check.that.span.start, all);
            }
        }
        if model.statuses(rule, outcome).is_any() {
            // The model does not know what became of it, so nothing of it is predicted any more.
            let picks = action.picks.iter().filter_map(|p| Picked::handle(*p));
            self.tainted
                .extend(picks.filter(|h| Some(*h) != action.actor.handle()));
        }
        self.conforms(
            &definition.name,
            definition.span.start,
            &definition.request,
            response,
            event,
        );
        self.leaks(
            &definition.name,
            definition.span.start,
            response,
            event,
            action.actor.handle(),
            &applied.touched,
        );
        let place = definition.span.start;
        self.internals(&definition.name, place, response, event);
        self.mirror_invariants();
    }

    /// Which picks of a step its actor could not see, where nothing else kept it from being done, and where it was refused
    /// for that.
    pub fn concealed(&self, step: u32, action: &Action) -> Option<Vec<usize>> {
        let last = self.outcomes.last()?;
        if !matches!(last, (id, _, Some(Outcome::Hidden(_))) if *id == step) {
            return None;
        }
        let prediction = self.model.predict(&self.before, action, None);
        let hidden = prediction
            .outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Hidden(pick) => {
                    let statuses = self.model.statuses(action.rule, outcome);
                    (!statuses.is_any()).then_some(pick)
                }
                _ => None,
            });
        hidden.collect()
    }

    /// Compares the answer about what who asked cannot see with those about what never was. It has no bearing on the
    /// state.
    pub fn observe_probes(
        &mut self,
        (rule, picks): (usize, &[usize]),
        hidden: &Answer,
        probed: &[Probed],
        event: usize,
    ) {
        let differences = differences(hidden, probed);
        let (Some(probe), false) = (probed.last(), differences.is_empty()) else {
            return;
        };
        let model = self.model.clone();
        let rule = &model.rules[rule];
        let said = picks.iter().find_map(|pick| {
            let kind = model.kind(rule.picks.get(*pick)?.kind);
            kind.visible_to.as_ref()
        });
        let id = CheckId::Indistinguishable {
            rule: rule.name.clone(),
        };
        let finding = Finding::Untrue {
            claim: CLAIM.to_owned(),
            reason: Some(format!("they differ in {}", differences.join(", "))),
            parts: parts(&differences, hidden, probe),
        };
        let place = said.map_or(rule.span.start, |said| said.span.start);
        self.report(id, finding, None, Some(event), place, Vec::new());
    }

    fn place_of(&self, rule: usize, outcome: Option<Outcome>) -> usize {
        let rule = &self.model.rules[rule];
        match outcome {
            Some(Outcome::Refused(n)) => rule.requires[n].span.start,
            Some(Outcome::Absent(n) | Outcome::Hidden(n) | Outcome::Gone(n)) => {
                rule.picks[n].span.start
            }
            Some(Outcome::Invalid(n)) => rule.args[n].span.start,
            _ => rule.span.start,
        }
    }

    /// Why a claim is not true, with the values of its parts; nothing if it is, or cannot be told.
    fn untrue(&self, claim: &Expression, names: &Names) -> Option<(Option<String>, Parts)> {
        let scope = Scope {
            before: Some(&self.before),
            ..self.model.scope(&self.mirror, names)
        };
        match claim.eval_bool(&scope) {
            Ok(true) | Err(EvalError::Unknown) => None,
            Ok(false) => Some((None, claim.parts(&scope))),
            Err(EvalError::Failed(reason)) => Some((Some(reason), claim.parts(&scope))),
        }
    }

    fn report(
        &mut self,
        id: CheckId,
        finding: Finding,
        entity: Option<Handle>,
        event: Option<usize>,
        place: usize,
        touched: Vec<Handle>,
    ) {
        self.tainted.extend(touched.iter().copied());
        self.complaints.push(id.clone());
        if !self.reported.insert(id.clone()) {
            return;
        }
        let step = self.step.map_or(0, |(id, _)| id);
        self.violations.push(Violation {
            id,
            step,
            predicted: self.predicted.clone(),
            at_end: false,
            finding,
            entity,
            event,
            place,
            before: self.before.clone(),
            touched,
        });
    }

    /// Checks the invariants that are about the mirror alone.
    fn mirror_invariants(&mut self) {
        let model = self.model.clone();
        let changed = self.before != self.mirror;
        for (index, invariant) in model.invariants.iter().enumerate() {
            let dynamic = invariant.claim.uses.variables.contains("step")
                || matches!(invariant.mode, Mode::Eventually(_));
            if invariant.read.is_some() || !changed && !dynamic {
                continue;
            }
            let entities: Vec<Option<Handle>> = match &invariant.each {
                Some((_, kind)) => self.mirror.live(*kind).map(Some).collect(),
                None => vec![None],
            };
            for entity in entities {
                if entity.is_some_and(|e| self.tainted.contains(&e)) {
                    continue;
                }
                let mut names = self.invariant_names(invariant, entity);
                names.bind("step", self.step_value.clone());
                if !self.applies(invariant, &names) {
                    self.waiting
                        .retain(|w| (w.due.invariant, w.due.entity) != (index, entity));
                    continue;
                }
                model.bind_lets(&mut names, &self.mirror, &invariant.lets);
                let failure = self.untrue(&invariant.claim, &names);
                match (invariant.mode, failure) {
                    (Mode::Always, Some((reason, parts))) => {
                        self.report_invariant(invariant, entity, None, false, reason, parts);
                    }
                    (Mode::Always, None) => {}
                    (Mode::Eventually(within), failure) => {
                        self.wait_for(index, entity, within, failure.map(|(_, parts)| parts));
                    }
                }
            }
        }
    }

    /// Waits for the mirror to make a claim true. Only steps change the mirror, so a plan that ends before the time is
    /// up says nothing.
    fn wait_for(
        &mut self,
        index: usize,
        entity: Option<Handle>,
        within: u64,
        parts: Option<Parts>,
    ) {
        let waited = self
            .waiting
            .iter()
            .position(|w| (w.due.invariant, w.due.entity) == (index, entity));
        let now = Instant::now();
        match (waited, parts, self.step) {
            (Some(waited), None, _) => {
                self.waiting.remove(waited);
            }
            (Some(waited), Some(parts), _) if self.waiting[waited].deadline <= now => {
                let waited = self.waiting.remove(waited);
                let model = self.model.clone();
                let current = self.step.replace((waited.step, waited.rule));
                let invariant = &model.invariants[index];
                self.report_invariant(invariant, entity, None, false, None, parts);
                self.step = current;
            }
            (None, Some(_), Some((step, rule))) => self.waiting.push(Pending {
                due: Due {
                    invariant: index,
                    entity,
                },
                step,
                rule,
                deadline: now + Duration::from_millis(within),
            }),
            _ => {}
        }
    }

    fn invariant_names(
        &self,
        invariant: &crate::model::Invariant,
        entity: Option<Handle>,
    ) -> Names {
        let mut names = Names::default();
        if let (Some((name, _)), Some(handle)) = (&invariant.each, entity) {
            names.bind(name.clone(), Value::Entity(handle));
        }
        names
    }

    fn applies(&self, invariant: &crate::model::Invariant, names: &Names) -> bool {
        let scope = self.model.scope(&self.mirror, names);
        invariant
            .when
            .as_ref()
            .is_none_or(|when| when.eval_bool(&scope) == Ok(true))
    }

    fn report_invariant(
        &mut self,
        invariant: &crate::model::Invariant,
        entity: Option<Handle>,
        event: Option<usize>,
        at_end: bool,
        reason: Option<String>,
        parts: Parts,
    ) {
        let rule = self.step.map_or(0, |(_, rule)| rule);
        let id = CheckId::Invariant {
            name: invariant.name.to_string(),
            rule: match self.aftermath {
                Some(Aftermath::Fault(fault)) => format!("a {fault}"),
                Some(Aftermath::Race) => "a race".to_owned(),
                None => self.model.rules[rule].name.clone(),
            },
        };
        let claim = invariant.claim.source.to_string();
        let finding = match (invariant.mode, reason) {
            (Mode::Eventually(within), None) => Finding::Late {
                claim,
                within,
                parts,
            },
            (_, reason) => Finding::Untrue {
                claim,
                reason,
                parts,
            },
        };
        let count = self.violations.len();
        let place = invariant.claim.span.start;
        self.report(
            id,
            finding,
            entity,
            event,
            place,
            entity.into_iter().collect(),
        );
        if let Some(violation) = self.violations.get_mut(count) {
            violation.at_end = at_end;
        }
    }

    /// The reads that are due after actions: of what they touched, and those about nothing in particular if they changed
    /// anything. At the end of the plan, of everything.
    pub fn due(&mut self, after: Option<&[&Action]>) -> Vec<Due> {
        let model = self.model.clone();
        let mut due = Vec::new();
        let mut touched: Vec<Handle> = Vec::new();
        for action in after.unwrap_or_default() {
            touched.extend(action.picks.iter().filter_map(|p| Picked::handle(*p)));
            touched.extend(action.actor.handle());
        }
        if after.is_some() {
            touched.extend(self.mirror.changed_since(&self.before));
        }
        let anything = self.before != self.mirror;
        for (index, invariant) in model.invariants.iter().enumerate() {
            if invariant.read.is_none() {
                continue;
            }
            let entities: Vec<Option<Handle>> = match (&invariant.each, after) {
                (Some((_, kind)), None) => self.mirror.live(*kind).map(Some).collect(),
                (Some((_, kind)), Some(_)) => self
                    .mirror
                    .live(*kind)
                    .filter(|h| touched.contains(h))
                    .map(Some)
                    .collect(),
                (None, None) => vec![None],
                (None, Some(_)) if anything => vec![None],
                (None, Some(_)) => Vec::new(),
            };
            for entity in entities {
                if entity.is_some_and(|e| self.tainted.contains(&e)) {
                    continue;
                }
                let names = self.invariant_names(invariant, entity);
                let applies = self.applies(invariant, &names);
                let key = (index, entity);
                if let Mode::Eventually(_) = invariant.mode {
                    if !applies {
                        self.settled.remove(&key);
                        continue;
                    }
                    let waiting = self
                        .pending
                        .iter()
                        .any(|p| (p.due.invariant, p.due.entity) == key);
                    if self.settled.contains(&key) || waiting {
                        continue;
                    }
                }
                if applies {
                    due.push(Due {
                        invariant: index,
                        entity,
                    });
                }
            }
        }
        due
    }

    /// Judges the answer to a read.
    pub fn observe_read(
        &mut self,
        due: &Due,
        response: &Response,
        event: usize,
        asked_by: Option<Handle>,
        at_end: bool,
    ) {
        let model = self.model.clone();
        let invariant = &model.invariants[due.invariant];
        let answer = response.answer();
        if let Some((id, finding)) = self.server_error(&invariant.name, response.status) {
            let touched = due.entity.into_iter().collect();
            self.report(
                id,
                finding,
                due.entity,
                Some(event),
                invariant.span.start,
                touched,
            );
            self.internals(&invariant.name, invariant.span.start, response, event);
            return;
        }
        if let Some(read) = &invariant.read {
            let place = invariant.span.start;
            self.conforms(&invariant.name, place, &read.request, response, event);
        }
        let mut names = self.invariant_names(invariant, due.entity);
        let there = due.entity.is_none_or(|e| self.mirror.is_live(e));
        if !there || !self.applies(invariant, &names) {
            // It is due in another world.
            return;
        }
        bind_answer(&mut names, Some(&answer));
        model.bind_lets(&mut names, &self.mirror, &invariant.lets);
        let failure = self.untrue(&invariant.claim, &names);
        let key = (due.invariant, due.entity);
        match (invariant.mode, failure) {
            (Mode::Always, None) => {}
            (Mode::Always, Some((reason, parts))) => {
                self.report_invariant(invariant, due.entity, Some(event), at_end, reason, parts);
            }
            (Mode::Eventually(_), None) => {
                self.pending
                    .retain(|p| (p.due.invariant, p.due.entity) != key);
                self.settled.insert(key);
            }
            (Mode::Eventually(within), Some((_, parts))) => {
                let now = Instant::now();
                let waiting = self
                    .pending
                    .iter()
                    .position(|p| (p.due.invariant, p.due.entity) == key);
                match (waiting, self.step) {
                    (None, Some((step, rule))) => self.pending.push(Pending {
                        due: due.clone(),
                        step,
                        rule,
                        deadline: now + Duration::from_millis(within),
                    }),
                    (Some(index), _) if self.pending[index].deadline <= now => {
                        let pending = self.pending.remove(index);
                        let current = self.step.replace((pending.step, pending.rule));
                        self.report_invariant(
                            invariant,
                            due.entity,
                            Some(event),
                            false,
                            None,
                            parts,
                        );
                        self.step = current;
                    }
                    _ => {}
                }
            }
        }
        self.leaks(
            &invariant.name,
            invariant.span.start,
            response,
            event,
            asked_by,
            &[],
        );
        self.internals(&invariant.name, invariant.span.start, response, event);
    }

    /// Forgets what is waited for in vain: what is gone, is tainted, or no longer has to come true.
    pub fn settle(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.pending = pending
            .into_iter()
            .filter(|p| {
                let invariant = &self.model.invariants[p.due.invariant];
                let names = self.invariant_names(invariant, p.due.entity);
                let there = p
                    .due
                    .entity
                    .is_none_or(|e| self.mirror.is_live(e) && !self.tainted.contains(&e));
                there && self.applies(invariant, &names)
            })
            .collect();
    }

    /// What is waited for.
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Notes the secret and private texts of entities.
    fn guard(&mut self, handles: &[Handle]) {
        for handle in handles {
            let Some(record) = self.mirror.get(*handle) else {
                continue;
            };
            let kind = self.model.kind(handle.kind);
            for (field, value) in kind.fields.iter().zip(record.fields.iter()) {
                let private = matches!(field.ty.bare(), Type::Private);
                if !private && !field.ty.is_secret() {
                    continue;
                }
                let what = format!("{}.{}", kind.name, field.name);
                let from = match private {
                    true => KeptFrom::Others,
                    false => KeptFrom::All,
                };
                for text in texts(value, true) {
                    keep(&mut self.guarded, *handle, text, &what, from);
                }
            }
        }
    }

    /// Watches that nobody else is shown what a principal was told to keep, if it looks like a secret.
    pub fn guard_kept(&mut self, owner: Handle, what: &str, text: &str) {
        if looks_invented(text) {
            let what = format!("{}.{what}", self.model.kind(owner.kind).name);
            keep(&mut self.guarded, owner, text, &what, KeptFrom::Principals);
        }
    }

    /// Compares an answer with what the API says of itself. What is wrong about its description has no bearing on the
    /// state, so that nothing is tainted.
    fn conforms(
        &mut self,
        rule: &str,
        place: usize,
        request: &Request,
        response: &Response,
        event: usize,
    ) {
        let Some(described) = &self.model.openapi else {
            return;
        };
        if self.racing || response.truncated || !self.model.has_builtin("conformance") {
            return;
        }
        let asked = (request.method.as_str(), request.path.as_str());
        if let Some(mismatch) = described.mismatch(asked, response.status, &response.body) {
            let id = CheckId::Conformance {
                rule: rule.to_owned(),
            };
            let finding = Finding::Undescribed(mismatch);
            self.report(id, finding, None, Some(event), place, Vec::new());
        }
    }

    /// Looks for others that have what the answer gave what it made. Both stay under watch: what comes of it is worth more
    /// than that it is so.
    fn twins(&mut self, rule: &str, created: &[Handle], answer: &Answer, event: usize) {
        if self.racing || !self.model.has_builtin("unique") {
            return;
        }
        let model = self.model.clone();
        for (made, other, field) in unique::twins(&model, &self.mirror, created, answer) {
            let kind = model.kind(made.kind);
            let field = &kind.fields[field].name;
            let id = CheckId::Unique {
                rule: rule.to_owned(),
                field: format!("{}.{field}", kind.name),
            };
            let finding = Finding::Twin {
                made,
                other,
                field: field.clone(),
            };
            let place = kind.span.start;
            self.report(id, finding, None, Some(event), place, Vec::new());
        }
    }

    /// Looks at what an error answer shows of the server's inside. It has no bearing on the state.
    fn internals(&mut self, rule: &str, place: usize, response: &Response, event: usize) {
        if self.racing || response.status < 400 || !self.model.has_builtin("leaks_internals") {
            return;
        }
        if let Some((what, evidence)) = internals::shown(&response.text()) {
            let rule = rule.to_owned();
            let id = CheckId::Internals { rule };
            let finding = Finding::Internals { what, evidence };
            self.report(id, finding, None, Some(event), place, Vec::new());
        }
    }

    /// Looks for secrets in an answer that did not make them, and for private texts in answers to others.
    fn leaks(
        &mut self,
        rule: &str,
        place: usize,
        response: &Response,
        event: usize,
        to: Option<Handle>,
        made: &[Handle],
    ) {
        let secrets = self.model.has_builtin("no_secrets_leaked");
        let isolation = self.model.has_builtin("isolation");
        if self.racing || self.guarded.is_empty() || !(secrets || isolation) {
            return;
        }
        let texts = response.texts();
        let shown = self.guarded.iter().filter(|guarded| {
            let shown = |text: &str| {
                text.contains(guarded.text.as_ref())
                    || guarded
                        .escaped
                        .iter()
                        .any(|form| text.contains(form.as_str()))
            };
            // What is set for two is no secret between them: which machine of several is asked, say.
            let set = |name: &str| {
                guarded.from == KeptFrom::Principals && name.eq_ignore_ascii_case("set-cookie")
            };
            let mut headers = response.headers.iter();
            texts.iter().any(|text| shown(text))
                || headers.any(|(name, value)| !set(name) && shown(value))
        });
        let shown: Vec<&Guarded> = shown.collect();
        // Two may have the same: whoever may see the one text may see the other.
        let may = |guarded: &Guarded| {
            let own = to == Some(guarded.owner) || to == self.owner(guarded.owner);
            let seen = match guarded.from {
                KeptFrom::All => false,
                KeptFrom::Others => to.is_some() && own,
                KeptFrom::Principals => to.is_none() || own,
            };
            made.contains(&guarded.owner) || seen
        };
        let permitted = |text: &str| shown.iter().any(|g| *g.text == *text && may(g));
        let looked_for = |guarded: &Guarded| match guarded.from {
            KeptFrom::Others => isolation,
            KeptFrom::All | KeptFrom::Principals => secrets,
        };
        let found = shown
            .iter()
            .filter(|g| looked_for(g) && !permitted(&g.text));
        let found: Vec<Guarded> = found.map(|guarded| (*guarded).clone()).collect();
        for guarded in found {
            let field = guarded.what.to_string();
            let rule = rule.to_owned();
            let id = match guarded.from {
                KeptFrom::Others => CheckId::Isolation {
                    rule,
                    field: field.clone(),
                },
                KeptFrom::All | KeptFrom::Principals => CheckId::Secret {
                    rule,
                    field: field.clone(),
                },
            };
            let finding = Finding::Shown {
                owner: guarded.owner,
                field,
                to,
            };
            self.report(id, finding, None, Some(event), place, Vec::new());
        }
    }

    /// The owner of an entity, as the model names him.
    fn owner(&self, handle: Handle) -> Option<Handle> {
        let field = self.model.kind(handle.kind).owner?;
        match self.mirror.get(handle)?.fields.get(field)? {
            Value::Entity(owner) => Some(*owner),
            _ => None,
        }
    }
}

/// Adds a text to those that not everybody may see, unless it is among them or too short.
fn keep(guarded: &mut Vec<Guarded>, owner: Handle, text: &str, what: &str, from: KeptFrom) {
    let known = (guarded.iter()).any(|g| *g.text == *text && g.owner == owner);
    if text.len() >= SHORTEST_SECRET && !known {
        guarded.push(Guarded {
            text: text.into(),
            escaped: disguises::escaped(text).into(),
            owner,
            what: what.into(),
            from,
        });
    }
}

/// What stands between the names of several outcomes.
pub const BETWEEN_OUTCOMES: &str = "-or-";

/// The names of outcomes, as one.
pub fn names_of(rule: &crate::model::Rule, outcomes: &[Outcome]) -> String {
    let names: Vec<_> = outcomes.iter().map(|o| o.name(rule)).collect();
    names.join(BETWEEN_OUTCOMES)
}

/// The outcome among those that fit the status: a refusal by its own checks, a success by its `when`.
pub(super) fn choose(
    model: &Model,
    mirror: &Mirror,
    action: &Action,
    fitting: &[Outcome],
    answer: &Answer,
) -> Option<Outcome> {
    let several = fitting.iter().filter(|o| o.is_ok()).count() > 1;
    if !several {
        return fitting.first().copied();
    }
    let names = model.all_names(mirror, action, Some(answer));
    let scope = model.scope(mirror, &names);
    let told = fitting.iter().find(|outcome| match outcome {
        Outcome::Ok(n) => model.rules[action.rule].successes[*n]
            .when
            .as_ref()
            .is_some_and(|when| when.eval_bool(&scope) == Ok(true)),
        _ => false,
    });
    let open = fitting.iter().find(|outcome| match outcome {
        Outcome::Ok(n) => model.rules[action.rule].successes[*n].when.is_none(),
        _ => true,
    });
    told.or(open).or(fitting.first()).copied()
}

/// `step`, as invariants see it.
pub(super) fn step_value(
    rule: &str,
    outcome: Option<String>,
    answer: &Answer,
    took: Duration,
) -> Value {
    let millis = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
    let entries = [
        ("rule", Value::text(rule)),
        ("outcome", outcome.map_or(Value::Null, Value::text)),
        ("status", Value::Int(i64::from(answer.status))),
        ("body", answer.body.clone()),
        ("millis", Value::Int(millis)),
    ];
    let map = entries
        .into_iter()
        .map(|(k, v)| (Value::text(k), v))
        .collect();
    Value::Map(Arc::new(map))
}
