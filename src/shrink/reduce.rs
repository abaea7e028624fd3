//! Offline reduction: candidates that the model admits. A candidate is admissible when its dry run still predicts of
//! the failing step what the original predicted; nothing is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::check::BETWEEN_OUTCOMES;
use crate::generate::{Delivery, Lane, Step, rehearse_strictly, taken};
use crate::model::Model;
use crate::model::action::Outcome;
use crate::model::mirror::Mirror;
use crate::model::value::{Handle, KindId, Value};

/// More steps than this are not tried in pairs: their number grows with the square.
const MOST_FOR_PAIRS: usize = 40;
/// How far what follows from putting one entity in the place of another is followed.
const CONSEQUENCES: usize = 2;

/// A plan that may fail: its last step is the one after which it does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Candidate {
    /// The steps, the set-up among them.
    pub steps: Vec<Step>,
    /// What the broken invariant is about.
    pub entity: Option<Handle>,
}

impl Candidate {
    /// The candidate whose steps that send something again send what the steps send now of which they are copies.
    pub(super) fn synced(mut self) -> Candidate {
        for index in 0..self.steps.len() {
            let (earlier, later) = self.steps.split_at_mut(index);
            let Some(step) = later.first_mut() else { break };
            let original = earlier.iter().find(|s| Some(s.id) == step.delivery.again());
            if let Some(original) = original {
                step.action.clone_from(&original.action);
            }
        }
        self
    }

    /// Whether the steps of every race follow each other.
    pub(super) fn races_are_whole(&self) -> bool {
        let mut races: Vec<u32> = taken(&self.steps).filter_map(|s| s[0].race()).collect();
        races.sort_unstable();
        races.windows(2).all(|two| two[0] != two[1])
    }

    /// The steps that run against others at the end.
    pub(super) fn last_race(&self) -> &[Step] {
        let last = taken(&self.steps).last();
        last.filter(|steps| steps.len() > 1).unwrap_or_default()
    }

    /// The candidate whose races have two branches at least: what runs against nothing is no race.
    pub(super) fn normal(mut self) -> Candidate {
        let alone = |steps: &[Step]| steps.iter().all(|s| s.lane == steps[0].lane);
        let alone: Vec<u32> = taken(&self.steps)
            .filter(|steps| alone(steps))
            .flatten()
            .map(|step| step.id)
            .collect();
        for step in self.steps.iter_mut().filter(|s| alone.contains(&s.id)) {
            step.leave_race();
        }
        self
    }

    /// Whether some of its steps run at once.
    pub(super) fn has_races(&self) -> bool {
        self.steps.iter().any(|step| step.lane.is_some())
    }

    /// The candidate without races: what ran at once comes one by one.
    pub(super) fn in_sequence(mut self) -> Candidate {
        self.steps.iter_mut().for_each(Step::leave_race);
        self
    }

    /// The candidate with no race but the last one.
    pub(super) fn calm_before_the_last(mut self) -> Candidate {
        let before = self.steps.len() - self.last_race().len();
        self.steps[..before].iter_mut().for_each(Step::leave_race);
        self
    }

    /// The candidate whose last race ends with a step, with which its answers disagree. What came after that in its branch
    /// is left out.
    pub(super) fn ending_with(mut self, id: u32) -> Candidate {
        let Some(place) = self.last_race().iter().position(|s| s.id == id) else {
            return self;
        };
        let from = self.steps.len() - self.last_race().len();
        let step = self.steps.remove(from + place);
        let mut index = 0;
        self.steps.retain(|other| {
            index += 1;
            index <= from + place || other.lane != step.lane
        });
        self.steps.push(step);
        self
    }

    /// The steps that are not delivered as clients do.
    pub(super) fn faults(&self) -> impl Iterator<Item = &Step> {
        (self.steps.iter()).filter(|step| step.delivery != Delivery::Once)
    }

    /// The candidate with one of its steps delivered as clients do, as a request of its own.
    pub(super) fn plain(&self, id: u32) -> Candidate {
        let mut plain = self.clone();
        for step in plain.steps.iter_mut().filter(|step| step.id == id) {
            if step.delivery.again().is_some() {
                step.action.renew(id);
            }
            step.delivery = Delivery::Once;
        }
        plain
    }

    /// The candidate with a step that is sent again on a connection of its own sent again on the one that stands, outside of
    /// races, if it is one of those.
    pub(super) fn on_the_same_connection(&self, id: u32) -> Option<Candidate> {
        let mut calmer = self.clone();
        let mut steps = calmer.steps.iter_mut();
        let step = steps.find(|step| step.id == id && step.lane.is_none())?;
        match &mut step.delivery {
            Delivery::Again { lost, .. } if *lost => *lost = false,
            _ => return None,
        }
        Some(calmer)
    }

    /// The candidates in which a step whose client waits no longer is answered, and its request then comes again: when it
    /// takes effect is no matter of luck then, but which entity shows it may be another one. In the first candidate it comes
    /// again in place of the last step, if that is alike.
    pub(super) fn answered(&self, id: u32) -> Vec<Candidate> {
        let Some(place) = self.steps.iter().position(|step| step.id == id) else {
            return Vec::new();
        };
        let open = &self.steps[place];
        let (Delivery::Abandoned { .. } | Delivery::Late, None) = (open.delivery, open.lane) else {
            return Vec::new();
        };
        let mut answered = Candidate {
            entity: None,
            ..self.clone()
        };
        answered.steps[place].delivery = Delivery::Once;
        let again = |id: u32| Step {
            id,
            delivery: Delivery::Again {
                of: open.id,
                lost: false,
            },
            ..open.clone()
        };
        let mut inserted = answered.clone();
        let fresh = self.steps.iter().map(|step| step.id).max().unwrap_or(0) + 1;
        inserted.steps.insert(place + 1, again(fresh));
        let alike = answered.steps[place + 1..].last_mut().filter(|last| {
            last.action.rule == open.action.rule
                && last.action.actor == open.action.actor
                && last.delivery == Delivery::Once
                && last.lane.is_none()
        });
        let replaced = alike.map(|last| *last = again(last.id)).is_some();
        let replaced = replaced.then_some(answered);
        replaced.into_iter().chain([inserted]).collect()
    }

    /// What the last step and the broken invariant are about.
    pub fn subjects(&self) -> Vec<Handle> {
        let picks = self.steps.last().map(|last| &last.action.picks);
        let picked = picks.into_iter().flatten().filter_map(|p| p.handle());
        picked.chain(self.entity).collect()
    }
}

/// A part of the mirror that a step changed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// An entity of this kind came into being.
    Created(KindId),
    /// One is gone.
    Gone(KindId),
    /// A field, by its position, of one has another value.
    Field(KindId, usize),
    /// A field has this text, which the rule gave it and no argument did: `rejected` is not `approved`.
    Became(KindId, usize, Arc<str>),
    /// A global, by its position, has another value.
    Global(usize),
}

/// What a step was rehearsed to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// What the oracle predicted.
    pub outcomes: Vec<Outcome>,
    /// What was assumed of it.
    pub assumed: Outcome,
    /// What it changed.
    pub effect: BTreeSet<Change>,
}

/// What a candidate must keep.
#[derive(Clone, Debug)]
pub struct Goal {
    /// What is predicted of the last step.
    outcomes: Vec<Outcome>,
    /// Which of these the run that failed predicted, which had the server's answers to go by, where that is fewer.
    told: Vec<Outcome>,
    /// What the last step changes, where that matters.
    effect: Option<BTreeSet<Change>>,
    /// Steps that must stay and do what they did, by their ids.
    pins: BTreeMap<u32, (Outcome, BTreeSet<Change>)>,
}

/// How alike two candidates must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// Every step has the outcome that it had, and the last one changes something of what it changed, if it did.
    Outcomes,
    /// Every step has the outcome that it had, and the last one changes all that it changed.
    Last,
    /// Every step changes what it changed, too.
    Effects,
}

/// The offline side of shrinking.
pub struct Reducer<'a> {
    pub(super) model: &'a Model,
    pub(super) start: &'a Mirror,
    /// A step that failed, and the names of what was predicted of it then.
    told: Option<(u32, Vec<String>)>,
}

impl Goal {
    /// Whether what is predicted of a last step is what the failure needs: the same, or with more certainty what was
    /// predicted when it failed.
    fn allows(&self, outcomes: &[Outcome]) -> bool {
        outcomes == self.outcomes
            || !self.told.is_empty()
                && self.told.iter().all(|o| outcomes.contains(o))
                && outcomes.iter().all(|o| self.outcomes.contains(o))
    }
}

impl<'a> Reducer<'a> {
    /// A reducer of plans that start from a mirror.
    pub fn new(model: &'a Model, start: &'a Mirror) -> Reducer<'a> {
        Reducer {
            model,
            start,
            told: None,
        }
    }

    /// The same, with what was predicted of a step when it failed.
    pub(super) fn told(mut self, step: u32, predicted: &str) -> Reducer<'a> {
        let names = predicted.split(BETWEEN_OUTCOMES).map(str::to_owned);
        self.told = Some((step, names.collect()));
        self
    }

    /// What the steps of a candidate do, by their ids, and the mirror at the end; nothing if one of them cannot be tried.
    pub(super) fn deeds(&self, steps: &[Step]) -> Option<(BTreeMap<u32, Deed>, Mirror)> {
        let mut mirror = self.start.clone();
        let mut deeds = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            if !step.follows(&steps[..index]) {
                return None;
            }
            let before = mirror.clone();
            let rehearsed = rehearse_strictly(self.model, &mut mirror, step)?;
            let deed = Deed {
                outcomes: rehearsed.prediction.outcomes,
                assumed: rehearsed.assumed,
                effect: self.changes(&before, &mirror, step),
            };
            deeds.insert(step.id, deed);
        }
        Some((deeds, mirror))
    }

    fn changes(&self, before: &Mirror, after: &Mirror, step: &Step) -> BTreeSet<Change> {
        let mut changes = BTreeSet::new();
        for index in 0..self.model.kinds.len() {
            let kind = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            for (handle, record) in after.all(kind) {
                let Some(old) = before.get(handle) else {
                    changes.insert(Change::Created(kind));
                    continue;
                };
                if record.gone != old.gone {
                    changes.insert(Change::Gone(kind));
                }
                let fields = old.fields.iter().zip(record.fields.iter()).enumerate();
                for (field, (_, new)) in fields.filter(|(_, (old, new))| old != new) {
                    changes.insert(Change::Field(kind, field));
                    if let (Value::Text(text), false) = (new, step.action.args.contains(new)) {
                        changes.insert(Change::Became(kind, field, text.clone()));
                    }
                }
            }
        }
        let globals = 0..self.model.globals.len();
        changes.extend(
            globals
                .filter(|g| before.global(*g) != after.global(*g))
                .map(Change::Global),
        );
        changes
    }

    /// What must be kept of a candidate: what is predicted of its last step, and with `effect` what that changes.
    /// Nothing if it does not get there.
    pub fn goal(&self, candidate: &Candidate, effect: bool) -> Option<Goal> {
        let (deeds, _) = self.deeds(&candidate.steps)?;
        let last = candidate.steps.last()?;
        let deed = deeds.get(&last.id)?;
        let rule = &self.model.rules[last.action.rule];
        let names = self.told.as_ref().filter(|(step, _)| *step == last.id);
        let told = names.map_or(Vec::new(), |(_, names)| {
            let outcomes = deed.outcomes.iter().copied();
            outcomes.filter(|o| names.contains(&o.name(rule))).collect()
        });
        Some(Goal {
            outcomes: deed.outcomes.clone(),
            told,
            effect: effect.then(|| deed.effect.clone()),
            pins: BTreeMap::new(),
        })
    }

    /// The goal with steps of a candidate that must stay and do what they do.
    pub fn pinned(&self, goal: &Goal, candidate: &Candidate, pins: &[u32]) -> Goal {
        let mut goal = goal.clone();
        if let Some((deeds, _)) = self.deeds(&candidate.steps) {
            let pins = pins.iter().filter_map(|id| Some((*id, deeds.get(id)?)));
            goal.pins = pins
                .map(|(id, deed)| (id, (deed.assumed, deed.effect.clone())))
                .collect();
        }
        goal
    }

    /// Whether a candidate is worth sending: every step can be tried, the last one is predicted to do what the goal says,
    /// and what the invariant is about exists.
    pub fn admits(&self, candidate: &Candidate, goal: &Goal) -> bool {
        let mut mirror = self.start.clone();
        let mut pinned = 0;
        let last = candidate.steps.len().saturating_sub(1);
        for (index, step) in candidate.steps.iter().enumerate() {
            if !step.follows(&candidate.steps[..index]) {
                return false;
            }
            let pin = goal.pins.get(&step.id);
            let before = (pin.is_some() || index == last).then(|| mirror.clone());
            let Some(rehearsed) = rehearse_strictly(self.model, &mut mirror, step) else {
                return false;
            };
            let Some(before) = before else { continue };
            if let Some((outcome, effect)) = pin {
                if rehearsed.assumed != *outcome || self.changes(&before, &mirror, step) != *effect
                {
                    return false;
                }
                pinned += 1;
            }
            if index == last {
                let effect = goal.effect.as_ref();
                return goal.allows(&rehearsed.prediction.outcomes)
                    && effect.is_none_or(|effect| self.changes(&before, &mirror, step) == *effect)
                    && pinned == goal.pins.len()
                    && candidate.entity.is_none_or(|e| mirror.get(e).is_some());
            }
        }
        false
    }

    /// The candidate if its steps do what those of another did, as far as `keep` says.
    pub(super) fn alike(
        &self,
        candidate: &Candidate,
        deeds: &BTreeMap<u32, Deed>,
        keep: Keep,
    ) -> bool {
        let Some((now, mirror)) = self.deeds(&candidate.steps) else {
            return false;
        };
        let last = candidate.steps.last().map(|s| s.id);
        now.len() == deeds.len()
            && candidate.entity.is_none_or(|e| mirror.get(e).is_some())
            && now
                .iter()
                .zip(deeds)
                .all(|((id, now), (before_id, before))| {
                    let is_last = Some(*id) == last;
                    id == before_id
                        && now.assumed == before.assumed
                        && (!is_last || now.outcomes == before.outcomes)
                        && (now.effect == before.effect
                            || !is_last && keep != Keep::Effects
                            || keep == Keep::Outcomes
                                && !now.effect.is_empty()
                                && now.effect.is_subset(&before.effect))
                })
    }

    /// The shortest candidate that a failing one leads to, of those that keep some of its steps as they are.
    pub fn shortened_with(
        &self,
        goal: &Goal,
        failing: &Candidate,
        pins: &[u32],
    ) -> Option<Candidate> {
        let goal = self.pinned(goal, failing, pins);
        self.admits(failing, &goal)
            .then(|| self.shorten(failing, &goal))
    }

    /// The shortest admissible candidate that dropping steps leads to: in chunks first, from the end, then one by one
    /// until none can go, then in pairs that cancel each other out.
    pub fn shorten(&self, candidate: &Candidate, goal: &Goal) -> Candidate {
        let mut kept = candidate.clone();
        loop {
            self.drop_chunks(&mut kept, goal);
            if !self.drop_pair(&mut kept, goal) {
                return kept;
            }
        }
    }

    pub(super) fn drop_chunks(&self, kept: &mut Candidate, goal: &Goal) {
        let mut chunk = (kept.steps.len() / 2).max(1);
        loop {
            let before = kept.steps.len();
            let mut end = before.saturating_sub(1);
            while end > 0 {
                let begin = end.saturating_sub(chunk);
                let mut shorter = kept.clone();
                shorter.steps.drain(begin..end);
                if self.admits(&shorter, goal) {
                    *kept = shorter;
                }
                end = begin.min(kept.steps.len().saturating_sub(1));
            }
            if chunk > 1 {
                chunk /= 2;
            } else if kept.steps.len() == before {
                return;
            }
        }
    }

    /// A toggle can only go with another one, a release only with its claim.
    fn drop_pair(&self, kept: &mut Candidate, goal: &Goal) -> bool {
        let last = kept.steps.len().saturating_sub(1);
        if last > MOST_FOR_PAIRS {
            return false;
        }
        for second in (1..last).rev() {
            for first in (0..second).rev() {
                let mut shorter = kept.clone();
                shorter.steps.remove(second);
                shorter.steps.remove(first);
                if self.admits(&shorter, goal) {
                    *kept = shorter;
                    return true;
                }
            }
        }
        false
    }

    /// The candidate with fewer entities: each in turn is replaced by one of its kind that came before, where that
    /// makes steps superfluous or spares a principal.
    pub fn fewer_entities(&self, candidate: &Candidate, goal: &Goal) -> Candidate {
        let mut kept = candidate.clone();
        let named =
            |c: &Candidate| -> BTreeSet<Handle> { c.steps.iter().flat_map(Step::names).collect() };
        let handles: Vec<Handle> = named(&kept).into_iter().collect();
        for from in handles.iter().rev() {
            for to in &handles {
                if to == from || to.kind != from.kind || kept.entity == Some(*from) {
                    continue;
                }
                let shorter = (0..=CONSEQUENCES).find_map(|depth| {
                    let merged = merge(&kept, *from, *to, depth).synced();
                    let mut merged = self.applicable(&merged);
                    // The step that fails must be among what remains.
                    let ends = |c: &Candidate| c.steps.last().map(|s| s.id);
                    if ends(&merged) != ends(&kept)
                        || !same_subject(&merged, &kept)
                        || !self.admits(&merged, goal)
                    {
                        return None;
                    }
                    self.drop_chunks(&mut merged, goal);
                    let measure = |c: &Candidate| (c.steps.len(), named(c).len());
                    (measure(&merged) < measure(&kept)).then_some(merged)
                });
                if let Some(shorter) = shorter {
                    kept = shorter;
                    break;
                }
            }
        }
        kept
    }

    /// Whether the last step is predicted to change nothing.
    pub(super) fn is_idle(&self, candidate: &Candidate) -> bool {
        let deeds = self.deeds(&candidate.steps).map(|(deeds, _)| deeds);
        let last = candidate.steps.last().map(|s| s.id);
        deeds
            .zip(last)
            .and_then(|(deeds, last)| deeds.get(&last).map(|d| d.effect.is_empty()))
            .unwrap_or(false)
    }

    /// The candidate without one of its steps, and without those that cannot be tried then.
    pub(super) fn without(&self, candidate: &Candidate, index: usize) -> Candidate {
        let mut without = candidate.clone();
        without.steps.remove(index);
        self.applicable(&without)
    }

    /// The candidate without the steps that cannot be tried in it.
    pub fn applicable(&self, candidate: &Candidate) -> Candidate {
        let mut mirror = self.start.clone();
        let mut steps: Vec<Step> = Vec::with_capacity(candidate.steps.len());
        for step in &candidate.steps {
            if step.follows(&steps) && rehearse_strictly(self.model, &mut mirror, step).is_some() {
                steps.push(step.clone());
            }
        }
        Candidate {
            steps,
            entity: candidate.entity,
        }
    }
}

/// The candidate with one entity in the place of another, and to a depth what is made of the one in the place of what is
/// made of the other in the same way: the region of a world with the region of that world.
fn merge(candidate: &Candidate, from: Handle, to: Handle, depth: usize) -> Candidate {
    let mut places = BTreeMap::from([(from, to)]);
    let mut merged = candidate.clone();
    for round in 0..=depth {
        let mut place = |h: Handle| places.get(&h).copied().unwrap_or(h);
        merged.steps = candidate
            .steps
            .iter()
            .map(|s| s.renamed(&mut place))
            .collect();
        if round == depth {
            break;
        }
        for (index, step) in merged.steps.iter().enumerate() {
            let moved = step.action.picks != candidate.steps[index].action.picks;
            let twin = merged.steps.iter().find(|t| {
                t.id != step.id
                    && t.action.rule == step.action.rule
                    && t.action.picks == step.action.picks
            });
            let (true, Some(twin)) = (moved, twin) else {
                continue;
            };
            let made = candidate.steps.iter().flat_map(Step::names);
            for handle in made.filter(|h| h.step == step.id) {
                let other = Handle {
                    step: twin.id,
                    ..handle
                };
                places.entry(handle).or_insert(other);
            }
        }
    }
    merged
}

/// Whether the last steps of both are about what the invariant is about, or neither: what breaks it by way of another
/// entity does not break it directly.
pub(super) fn same_subject(one: &Candidate, other: &Candidate) -> bool {
    let about = |c: &Candidate| {
        let named = c.steps.last().map(Step::names).unwrap_or_default();
        c.entity.is_some_and(|entity| named.contains(&entity))
    };
    about(one) == about(other)
}

/// The candidate with step ids from 1 and fresh values numbered in order, so that it reads the same whatever it was
/// part of.
pub fn renumber(candidate: &Candidate) -> Candidate {
    let ids: BTreeMap<u32, u32> = (1u32..)
        .zip(&candidate.steps)
        .map(|(new, s)| (s.id, new))
        .collect();
    let mut moved = |handle: Handle| Handle {
        step: ids.get(&handle.step).copied().unwrap_or(handle.step),
        ..handle
    };
    let mut fresh: BTreeMap<u32, u32> = BTreeMap::new();
    let mut steps = Vec::with_capacity(candidate.steps.len());
    for step in &candidate.steps {
        let mut step = step.renamed(&mut moved);
        step.id = ids.get(&step.id).copied().unwrap_or(step.id);
        step.delivery = (step.delivery).renumbered(|of| ids.get(&of).copied().unwrap_or(of));
        if let Some(lane) = step.lane {
            let race = (candidate.steps.iter()).filter(|s| s.race() == Some(lane.race));
            let mut branches: Vec<u8> = race.clone().filter_map(|s| Some(s.lane?.branch)).collect();
            let first = race
                .map(|s| s.id)
                .next()
                .and_then(|id| ids.get(&id).copied());
            let mut seen = BTreeSet::new();
            branches.retain(|branch| seen.insert(*branch));
            let place = branches.iter().position(|branch| *branch == lane.branch);
            step.lane = Some(Lane {
                race: first.unwrap_or(lane.race),
                branch: place
                    .and_then(|p| u8::try_from(p).ok())
                    .unwrap_or(lane.branch),
            });
        }
        for arg in &mut step.action.args {
            *arg = arg.rewrite(&mut |value| match value {
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
        steps.push(step);
    }
    Candidate {
        steps,
        entity: candidate.entity.map(moved),
    }
}
