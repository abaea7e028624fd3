//! Possible worlds: what the server's state may be, as far as the answers tell. One, until a request has taken effect or
//! not and nobody knows; what is seen later drops those that it contradicts. A violation is what contradicts them all.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::indistinguishable::Probed;
use super::judge::{Aftermath, Due, Expectation, Inflight, Judge, Pending, Reached};
use super::order::{Order, Ran, orders};
use super::violation::{CheckId, Violation};
use crate::drive::history::Response;
use crate::generate::Step;
use crate::model::action::{Action, Actor};
use crate::model::mirror::Mirror;
use crate::model::oracle::Answer;
use crate::model::value::Handle;
use crate::model::{Model, Statuses};

/// More worlds than this are not told apart.
pub const MOST_WORLDS: usize = 512;

/// With so many worlds after a race, those are not told apart that only differ in what was created first.
const MANY_WORLDS: usize = 16;

/// The worlds that a run may be in. There is always one.
#[derive(Clone, Debug)]
pub struct Worlds {
    first: Judge,
    others: Vec<Judge>,
    /// How many there were at most.
    most: usize,
    /// Some were given up that only differed in what was created first.
    forgotten: bool,
    /// What contradicts all that are left may be explained by one that was given up.
    unsure: bool,
}

impl Worlds {
    /// The one world that a run starts in.
    pub fn new(model: Arc<Model>, mirror: Mirror) -> Worlds {
        Worlds {
            first: Judge::new(model, mirror),
            others: Vec::new(),
            most: 1,
            forgotten: false,
            unsure: false,
        }
    }

    /// The mirror of the first world.
    pub fn mirror(&self) -> &Mirror {
        self.first.mirror()
    }

    /// The mirrors of all worlds.
    pub fn mirrors(&self) -> impl Iterator<Item = &Mirror> {
        self.all().map(Judge::mirror)
    }

    /// Watches in all of them that nobody else is shown what a principal was told to keep.
    pub fn guard_kept(&mut self, owner: Handle, what: &str, text: &str) {
        for world in std::iter::once(&mut self.first).chain(&mut self.others) {
            world.guard_kept(owner, what, text);
        }
    }

    /// Whether there are more worlds than can be told apart, so that nothing can be said any more.
    pub fn are_too_many(&self) -> bool {
        self.most > MOST_WORLDS || self.unsure
    }

    /// How many there were at most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The violations, the outcomes and the mirror of the first world.
    pub fn finish(self) -> (Vec<Violation>, Vec<Reached>, Mirror) {
        self.first.finish()
    }

    /// Whether a step can be tried, whatever the world: all that it names exists, and nothing of it is tainted.
    pub fn can_try(&self, step: &Step) -> bool {
        self.all().all(|world| world.can_try(step))
    }

    /// What must come of an action that was made real, in the first world.
    pub fn expect(&self, action: Action) -> Expectation {
        self.first.expect(action)
    }

    /// Judges the answer to a step. `event` is the position of the exchange in the history; what it creates is named
    /// after the step that tries it again with its key, if one does.
    pub fn observe(
        &mut self,
        step: &Step,
        again: Option<u32>,
        expected: &Expectation,
        response: &Response,
        (event, took): (usize, Duration),
    ) {
        self.filter(|world| world.observe(step, again, expected, response, (event, took)));
    }

    /// Which picks of a step its actor could not see, whatever the world, where that is why it was refused.
    pub fn concealed(&self, step: u32, action: &Action) -> Option<Vec<usize>> {
        let picks = self.first.concealed(step, action)?;
        let mut others = self.others.iter();
        let same = others.all(|world| world.concealed(step, action).as_ref() == Some(&picks));
        same.then_some(picks)
    }

    /// Compares the answer about what who asked cannot see with those about what never was.
    pub fn observe_probes(
        &mut self,
        (rule, picks): (usize, &[usize]),
        hidden: &Answer,
        probed: &[Probed],
        event: usize,
    ) {
        self.filter(|world| world.observe_probes((rule, picks), hidden, probed, event));
    }

    /// Judges the answer to a step by somebody whose credentials were revoked, and were taken all the same: as if they
    /// were valid still.
    pub fn observe_as(
        &mut self,
        actor: Handle,
        step: &Step,
        expected: &Expectation,
        response: &Response,
        (event, took): (usize, Duration),
    ) {
        let mut step = step.clone();
        step.action.actor = Actor::Entity(actor);
        let mut action = expected.action.clone();
        action.actor = Actor::Entity(actor);
        let gone = !self.mirror().is_live(actor);
        self.each(|world| world.let_live(actor, true));
        let expected = self.expect(action);
        self.filter(|world| world.observe(&step, None, &expected, response, (event, took)));
        if gone {
            self.each(|world| world.let_live(actor, false));
        }
    }

    /// Notes that the server has not recovered from a fault: it answers, and still fails.
    pub fn unrecovered(&mut self, check: &str, place: usize, observed: u16, event: usize) {
        self.each(|world| world.unrecovered(check, place, observed, event));
    }

    /// Notes that the server gave no answer to a rule or to an invariant's read.
    pub fn silent(&mut self, rule: &str, place: usize, reason: &str, event: usize) {
        self.each(|world| world.silent(rule, place, reason, event));
    }

    /// Judges the answer to something that was no proper request.
    pub fn observe_malformed(&mut self, step: &Step, response: &Response, event: usize) {
        self.filter(|world| world.observe_malformed(step, response, event));
    }

    /// Notes a request that was cut short, and so never takes effect.
    pub fn never(&mut self, step: &Step, action: &Action) {
        self.each(|world| world.begin(step.id, action));
    }

    /// Judges the answer to a request with the key of another one, which has to be refused.
    pub fn observe_borrowed(
        &mut self,
        step: &Step,
        expected: &Expectation,
        refused: &Statuses,
        response: &Response,
        event: usize,
    ) {
        self.filter(|world| world.observe_borrowed(step, expected, refused, response, event));
    }

    /// Whether the answer to a step is known, whatever the world, and was a success.
    pub fn was_answered(&self, step: u32) -> bool {
        self.all().all(|world| world.was_answered(step))
    }

    /// Notes a request that may take effect, until some time. What it creates is named after the step that tries it
    /// again with its key, if one does.
    pub fn perhaps(&mut self, step: &Step, action: &Action, until: Instant, again: Option<u32>) {
        self.each(|world| {
            world.begin(step.id, action);
            world.inflight.push(Inflight {
                of: step.id,
                step: again.unwrap_or(step.id),
                action: action.clone(),
                until,
            });
        });
    }

    /// Judges the answers to requests that were sent at once: the worlds after are the ends of all orders of them that
    /// explain every answer. False if that cannot be told within bounds.
    pub fn observe_race(&mut self, ran: &[Ran<'_>]) -> bool {
        self.unfold();
        let Some(last) = ran.last() else { return true };
        let end = (last.step.id, last.action.rule);
        // What has no answer may take effect while the others run, or later, or not at all.
        for lost in ran.iter().filter(|ran| ran.response.is_none()) {
            self.perhaps(lost.step, &lost.action, lost.until, None);
        }
        let told: Vec<&Ran<'_>> = ran.iter().filter(|ran| ran.response.is_some()).collect();
        let mut explained: Vec<Judge> = Vec::new();
        let mut furthest = None;
        for world in self.all() {
            match orders(world, &told) {
                Order::Ends(ends) => {
                    for end_state in ends {
                        let after = world.after_a_race(end_state, end);
                        if !explained.iter().any(|known| known.is_like(&after)) {
                            explained.push(after);
                        }
                    }
                }
                Order::None(dispute) => {
                    furthest.get_or_insert(dispute);
                }
                Order::TooMany => return false,
            }
            if explained.len() > MOST_WORLDS {
                return false;
            }
        }
        if explained.is_empty() {
            let Some(dispute) = furthest else { return true };
            let of = |id: &u32| told.iter().find(|ran| ran.step.id == *id);
            let model = self.first.model().clone();
            let mut rules: Vec<String> = (dispute.core.iter().filter_map(of))
                .map(|ran| model.rules[ran.action.rule].name.clone())
                .collect();
            rules.sort_unstable();
            let event = dispute
                .core
                .last()
                .and_then(of)
                .map_or(last.event, |ran| ran.event);
            let all: Vec<(u32, &Action)> =
                ran.iter().map(|ran| (ran.step.id, &ran.action)).collect();
            self.each(|world| world.no_order(&all, rules.clone(), dispute.clone(), event));
        } else {
            self.first = explained.remove(0);
            self.others = explained;
            self.most = self.most.max(1 + self.others.len());
        }
        for ran in ran {
            if let Some(response) = &ran.response {
                self.each(|world| world.inspect(ran.step, &ran.action, response, ran.event));
            }
        }
        true
    }

    /// Tells those worlds no longer apart that only differ in what was created first, where there are many. To be called
    /// once everything was read that a race may have touched: what came first hardly ever shows later. Where it might,
    /// nothing can be said any more.
    pub fn forget_order(&mut self) {
        if self.others.len() < MANY_WORLDS {
            return;
        }
        let mut seen = HashSet::from([self.first.mirror().unordered()]);
        let before = self.others.len();
        self.others
            .retain(|world| seen.insert(world.mirror().unordered()));
        self.forgotten |= self.others.len() < before;
    }

    /// Notes that the server failed at a step that ran at once with others.
    pub fn failed_in_a_race(&mut self, rule: usize, observed: u16, event: usize) {
        self.each(|world| world.failed_in_a_race(rule, observed, event));
    }

    /// The reads that are due, as the first world has it, about what there is in all of them.
    pub fn due(&mut self, after: Option<&[&Action]>) -> Vec<Due> {
        for other in &mut self.others {
            other.due(after);
        }
        let mut due = self.first.due(after);
        let others = &self.others;
        let everywhere = |e: Handle| others.iter().all(|world| world.mirror().get(e).is_some());
        due.retain(|due| due.entity.is_none_or(everywhere));
        due
    }

    /// Notes because of what things are read from now on, if that is over.
    pub fn aftermath(&mut self, of: Option<Aftermath>) {
        self.each(|world| world.aftermath = of);
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
        self.filter(|world| world.observe_read(due, response, event, asked_by, at_end));
    }

    /// Forgets what is waited for in vain.
    pub fn settle(&mut self) {
        self.each(Judge::settle);
    }

    /// What is waited for, as the first world has it.
    pub fn pending(&self) -> &[Pending] {
        self.first.pending()
    }

    fn all(&self) -> impl Iterator<Item = &Judge> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn each(&mut self, look: impl Fn(&mut Judge)) {
        look(&mut self.first);
        self.others.iter_mut().for_each(look);
    }

    /// Looks at something in all worlds, and drops those that it contradicts. Where it contradicts all of them, those
    /// remain that it contradicts in the same way as the first.
    fn filter(&mut self, look: impl Fn(&mut Judge)) {
        self.unfold();
        let before = self.forgotten.then(|| self.clone());
        self.look(look);
        let seen = |worlds: &Worlds| worlds.first.found().len();
        if let Some(before) = before
            && self.first.found()[seen(&before)..]
                .iter()
                .any(|violation| violation.id.depends_on_the_state())
        {
            *self = Worlds {
                unsure: true,
                ..before
            };
        }
    }

    fn look(&mut self, look: impl Fn(&mut Judge)) {
        look(&mut self.first);
        let wrong = self.first.complaints();
        if self.others.is_empty() {
            return;
        }
        let mut fitting = Vec::new();
        let mut alike = Vec::new();
        for mut world in std::mem::take(&mut self.others) {
            look(&mut world);
            let complaints: Vec<CheckId> = world.complaints();
            if complaints.is_empty() {
                fitting.push(world);
            } else if complaints == wrong {
                alike.push(world);
            }
        }
        self.others = match (wrong.is_empty(), fitting.is_empty()) {
            (false, true) => alike,
            (false, false) => {
                self.first = fitting.remove(0);
                fitting
            }
            (true, _) => fitting,
        };
        self.merge();
    }

    /// Notes that nothing that is under way can take effect any more.
    pub fn fence(&mut self) {
        self.unfold();
        self.each(|world| world.inflight.clear());
        self.merge();
    }

    /// Adds the worlds that requests under way may have led to by now.
    pub fn unfold(&mut self) {
        if self.all().all(|world| world.inflight.is_empty()) || self.are_too_many() {
            return;
        }
        let mut at = 0;
        while at <= self.others.len() && self.others.len() < MOST_WORLDS {
            let world = match at {
                0 => &self.first,
                at => &self.others[at - 1],
            };
            for world in world.unfolded() {
                if !self.all().any(|known| known.is_like(&world)) {
                    self.others.push(world);
                }
            }
            at += 1;
        }
        self.most = self.most.max(1 + self.others.len());
        // What could take effect until now cannot any more.
        let now = Instant::now();
        self.each(|world| world.inflight.retain(|inflight| inflight.until > now));
        self.merge();
    }

    /// Drops worlds that are the same as others.
    fn merge(&mut self) {
        let mut kept: Vec<Judge> = Vec::new();
        for world in std::mem::take(&mut self.others) {
            if !self.first.is_like(&world) && !kept.iter().any(|known| known.is_like(&world)) {
                kept.push(world);
            }
        }
        self.others = kept;
    }
}
