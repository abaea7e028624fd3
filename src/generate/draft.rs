//! Drafts: plans being made, and the strategies that proptest-state-machine makes them with.

use std::sync::Arc;

use proptest::prelude::any;
use proptest::strategy::{Just, NewTree, Strategy, ValueTree};
use proptest::test_runner::{TestRng, TestRunner};
use rand::RngExt;

use crate::model::action::{Action, Outcome};
use crate::model::mirror::Mirror;
use crate::model::value::Handle;

use super::archer::Archer;
use super::faults::{Fault, MOST_OPEN, Mix, Sent, arriving, choose, failing};
use super::generator::Prepared;
use super::plan::{Delivery, Effect, Lane, Step};
use super::races::against;
use super::rehearsal::{Rehearsed, rehearse_step};
use super::rota::Turn;

/// How much more business outcomes are wanted than implied ones, of 100.
const BONUS: u32 = 100;

/// So many of the last steps may be sent again.
const REMEMBERED: usize = 12;

/// Of what is to be sent twice, one in so many goes right behind the first, without waiting.
const PIPELINED: u32 = 3;

/// How much more goals are wanted whose turn it is.
const TURN: u32 = 200;

/// The state of a plan being made.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub mirror: Mirror,
    pub next_step: u32,
    /// The number of the newest unique value.
    pub fresh: u32,
    /// What is to be reached yet, most wanted last.
    pub wanted: Vec<Wanted>,
    /// Which goals were reached, wanted or not, as far as states tell.
    pub reached: Vec<bool>,
    pub pursuit: Option<Pursuit>,
    pub temper: Arc<Temper>,
    /// What was sent lately, and may be sent again.
    pub sent: imbl::Vector<Arc<Sent>>,
    /// Of how many requests it was left open whether they took effect.
    pub open: u8,
    /// The step that comes next whatever happens: a request that failed is tried again.
    pub held: Option<Arc<Move>>,
    /// How often each rule was raced in this round of plans.
    pub raced: Arc<Vec<u16>>,
    /// How many steps of the set-up are left, and how many of the rest.
    pub setup: usize,
    pub left: usize,
}

/// A goal that is to be reached yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its position among the goals.
    pub goal: usize,
    /// It is this seed's turn to reach it.
    pub turn: bool,
    /// It was found impossible, and nothing has happened since that could change it.
    pub asleep: bool,
    /// How often its recipe was given up.
    pub failed: u8,
}

/// A goal whose recipe is followed.
#[derive(Clone, Debug)]
pub(super) struct Pursuit {
    pub goal: usize,
    /// The instruction that is next.
    pub next: usize,
    /// Which entities play the roles, as far as that is settled.
    pub roles: Vec<Option<Handle>>,
}

/// What a plan is like.
#[derive(Clone, Debug, Default)]
pub(super) struct Temper {
    /// The weights of the rules.
    pub weights: Vec<u32>,
    /// In percent, how often a step goes for a goal.
    pub aimed: u32,
    /// In percent, how often the newest entity is picked.
    pub recent: u32,
    /// In percent, how often something comes in between on the way to a goal.
    pub detours: u32,
    /// How many steps a goal takes, about, when nothing else is done.
    pub toll: usize,
    pub mix: Mix,
}

/// A step, and the state of the plan after it.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub step: Step,
    pub after: Arc<Draft>,
}

impl Draft {
    /// Takes an action as the next step: what the model predicts of it is assumed.
    pub fn take(&mut self, prepared: &Prepared, action: Action) -> (Step, Option<Rehearsed>) {
        let step = Step::new(self.next_step, action);
        self.next_step += 1;
        let before = self.mirror.clone();
        let rehearsed = rehearse_step(&prepared.model, &mut self.mirror, &step);
        if let Some(rehearsed) = &rehearsed {
            let rule = step.action.rule;
            let assumed = rehearsed.assumed;
            prepared.mark_reached(&mut self.reached, &before, &step.action, assumed);
            let reached = &self.reached;
            self.wanted.retain(|wanted| !reached[wanted.goal]);
            if assumed.is_ok() {
                for wanted in &mut self.wanted {
                    let wakers = &prepared.goals[wanted.goal].wakers;
                    wanted.asleep &= !wakers.get(rule).copied().unwrap_or(true);
                }
            }
        }
        if self.temper.mix.is_on() {
            self.sent.push_back(Arc::new(Sent {
                step: step.clone(),
                changes: before != self.mirror,
            }));
            if self.sent.len() > REMEMBERED {
                self.sent.pop_front();
            }
        }
        (step, rehearsed)
    }

    /// Sends something once more that was sent before.
    fn send_again(&mut self, prepared: &Prepared, rng: &mut TestRng, lost: bool) -> Option<Step> {
        let sent: Vec<&Sent> = self.sent.iter().map(Arc::as_ref).collect();
        let original = choose(&sent, rng)?.clone();
        let of = original.id;
        Some(self.repeat(prepared, original, Delivery::Again { of, lost }))
    }

    /// Takes a step that sends again what another one sent.
    pub fn repeat(&mut self, prepared: &Prepared, original: Step, delivery: Delivery) -> Step {
        let step = Step {
            id: self.next_step,
            delivery,
            ..original
        };
        self.next_step += 1;
        self.left = self.left.saturating_sub(1);
        // What it names was there, and entities do not vanish.
        rehearse_step(&prepared.model, &mut self.mirror, &step);
        step
    }

    /// Takes a step that sends again what another one sends, right behind it: the two of them.
    fn pipelined(&mut self, prepared: &Prepared, original: Step) -> Vec<Step> {
        let of = original.id;
        let second = self.repeat(prepared, original.clone(), Delivery::Behind { of });
        let lane = |step, branch| Step {
            lane: Some(Lane { race: of, branch }),
            ..step
        };
        vec![lane(original, 0), lane(second, 1)]
    }
}

/// The strategy of a plan's beginning: its goals and its temper.
#[derive(Debug)]
pub(super) struct Begin {
    pub prepared: Arc<Prepared>,
    pub seed: u64,
    pub turn: Arc<Turn>,
}

impl Strategy for Begin {
    type Tree = Just<Arc<Draft>>;
    type Value = Arc<Draft>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let prepared = &self.prepared;
        let roaming = self.turn.roams;
        let swarm = any::<bool>().new_tree(runner)?.current() && self.seed != 0;
        let rng = runner.rng();
        let rules = prepared.model.rules.iter().zip(&prepared.allowed);
        // A plan that roams stays with one kind of entity, and what can be done about it.
        let about = self.seed % prepared.model.kinds.len().max(1) as u64;
        let weights = rules
            .map(|(rule, allowed)| match (allowed, swarm) {
                (false, _) => 0,
                (true, _) if roaming => {
                    let picked = rule
                        .picks
                        .first()
                        .is_some_and(|p| u64::from(p.kind.0) == about);
                    rule.weight * if picked { 12 } else { 1 }
                }
                (true, false) => rule.weight,
                // Of a swarm, some rules are absent and some abound.
                (true, true) => rule.weight * [0, 0, 1, 1, 3, 9][rng.random_range(0..6)],
            })
            .collect();
        let temper = Temper {
            weights,
            aimed: match (roaming, swarm) {
                (true, _) => 60,
                (false, true) => 75,
                (false, false) => 92,
            },
            recent: [20, 50, 80][rng.random_range(0..3)],
            detours: if roaming { 8 } else { 1 },
            toll: if roaming { 4 } else { 2 },
            mix: Mix::draw(&prepared.options.faults, &prepared.model, rng),
        };
        Ok(Just(Arc::new(Draft {
            mirror: prepared.start(),
            next_step: 1,
            wanted: wanted(prepared, &self.turn, rng),
            reached: vec![false; prepared.goals.len()],
            temper: Arc::new(temper),
            raced: self.turn.raced.clone(),
            setup: prepared.setup.len(),
            left: prepared.steps,
            ..Draft::default()
        })))
    }
}

/// The goals of a plan in an order that is drawn: those whose turn it is are wanted most, and of the others the business
/// outcomes.
fn wanted(prepared: &Prepared, turn: &Turn, rng: &mut TestRng) -> Vec<Wanted> {
    let mut turns = vec![false; prepared.goals.len()];
    for goal in &turn.goals {
        turns[*goal] = true;
    }
    let mut ranked: Vec<(u32, usize)> = Vec::new();
    for (index, goal) in prepared.goals.iter().enumerate() {
        if goal.recipe.is_none() || (goal.way.is_some() && !turns[index]) {
            continue;
        }
        let business = matches!(
            goal.outcome,
            Outcome::Ok(_) | Outcome::Refused(_) | Outcome::Hidden(_)
        );
        let bonus = if business { BONUS } else { 0 };
        let turn = if turns[index] { TURN } else { 0 };
        ranked.push((turn + bonus + rng.random_range(0..100), index));
    }
    ranked.sort_unstable();
    ranked
        .into_iter()
        .map(|(rank, goal)| Wanted {
            goal,
            turn: rank >= TURN,
            asleep: false,
            failed: 0,
        })
        .collect()
}

impl NextMove {
    /// The first of some steps; the others come next whatever happens, and then the draft is as it is given.
    fn one_by_one(&self, steps: Vec<Step>, draft: Draft) -> Option<Move> {
        let mut after = Arc::new(draft);
        let mut first = None;
        for step in steps.into_iter().rev() {
            if let Some(next) = first.take() {
                let mut meanwhile = self.draft.as_ref().clone();
                meanwhile.held = Some(Arc::new(next));
                after = Arc::new(meanwhile);
            }
            first = Some(Move {
                step,
                after: after.clone(),
            });
        }
        first
    }
}

/// Lets the server crash during a race, or the answer to one of its branches be lost: to the last, since what comes later
/// builds on what the first one does.
fn lose(steps: &mut [Step], delivery: Delivery) {
    let begins = |index: &usize| *index > 0 && steps[*index].lane != steps[*index - 1].lane;
    let last = (0..steps.len()).rev().find(begins);
    let lost = match delivery {
        Delivery::Crashed { .. } => Some(0),
        _ => last.filter(|index| steps[*index].delivery == Delivery::Once),
    };
    if let Some(index) = lost {
        steps[index].delivery = delivery;
    }
}

/// The strategy of the next step; nothing where no rule at all can be tried.
#[derive(Debug)]
pub(super) struct NextMove {
    pub prepared: Arc<Prepared>,
    pub draft: Arc<Draft>,
}

impl Strategy for NextMove {
    type Tree = Just<Option<Move>>;
    type Value = Option<Move>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        if let Some(held) = &self.draft.held {
            return Ok(Just(Some(held.as_ref().clone())));
        }
        let prepared = &self.prepared;
        let mut draft = self.draft.as_ref().clone();
        let fault = match draft.setup {
            0 => self.draft.temper.mix.at(draft.next_step, runner.rng()),
            _ => None,
        };
        // Nothing is drawn for it: plans without it are what they were.
        let pipelined = fault == Some(Fault::Twice) && draft.next_step.is_multiple_of(PIPELINED);
        if let (Some(Fault::Twice | Fault::Swallowed), false) = (fault, pipelined) {
            let lost = fault == Some(Fault::Swallowed);
            if let Some(step) = draft.send_again(prepared, runner.rng(), lost) {
                let after = Arc::new(draft);
                return Ok(Just(Some(Move { step, after })));
            }
        }
        // A request that fails comes before the one that is sent in its place, and so does what it may make.
        let id = draft.next_step;
        draft.next_step += u32::from(fault.is_some());
        let mut archer = Archer {
            prepared,
            runner,
            draft: &mut draft,
        };
        let Some(mut step) = archer.next() else {
            return Ok(Just(None));
        };
        let changes = draft.sent.last().is_some_and(|sent| sent.changes);
        let failing = fault
            .filter(|fault| !fault.is_open() || draft.open < MOST_OPEN)
            .and_then(|fault| {
                let broken = draft.temper.mix.meanwhile(fault, runner.rng());
                if let Some(broken) = broken {
                    return (changes || runner.rng().random()).then_some(broken);
                }
                let sent: Vec<&Sent> = self.draft.sent.iter().map(Arc::as_ref).collect();
                let model = &prepared.model;
                failing(fault, model, &step, changes, &sent, runner.rng())
            });
        let races = prepared.options.races;
        if let Some(
            delivery @ (Delivery::Abandoned { .. } | Delivery::Late | Delivery::Crashed { .. }),
        ) = failing
            && races.permille > 0
            && changes
            && runner.rng().random()
        {
            let mut steps = against(prepared, runner, &self.draft.mirror, step, &mut draft);
            lose(&mut steps, delivery);
            draft.open += u8::try_from(steps.len()).unwrap_or(u8::MAX).min(MOST_OPEN);
            return Ok(Just(self.one_by_one(steps, draft)));
        }
        let Some(delivery) = failing else {
            step.delivery = fault.and_then(arriving).unwrap_or_default();
            let socket = prepared.model.rules[step.action.rule]
                .request
                .is_websocket();
            if pipelined && changes && !socket {
                let steps = draft.pipelined(prepared, step);
                return Ok(Just(self.one_by_one(steps, draft)));
            }
            let rule = step.action.rule;
            let raced = draft.raced.get(rule).copied().unwrap_or(0);
            let alone = fault.is_some()
                || races.permille == 0
                || self.draft.setup > 0
                || runner.rng().random_range(0..1000) >= races.permille_of(raced)
                || self.draft.mirror == draft.mirror;
            let steps = match alone {
                true => vec![step],
                false => against(prepared, runner, &self.draft.mirror, step, &mut draft),
            };
            if steps.len() > 1
                && let Some(raced) = Arc::make_mut(&mut draft.raced).get_mut(rule)
            {
                *raced = raced.saturating_add(1);
            }
            return Ok(Just(self.one_by_one(steps, draft)));
        };
        if delivery.source().is_some() && delivery.effect() == Effect::Told {
            step.delivery = delivery;
            let after = Arc::new(draft);
            return Ok(Just(Some(Move { step, after })));
        }
        let mut failing = Step {
            id,
            action: step.action.clone(),
            delivery,
            lane: None,
        };
        let unanswered = !matches!(delivery, Delivery::Malformed(_) | Delivery::KeyOf { .. });
        if unanswered && prepared.model.rules[step.action.rule].key().is_some() {
            step.delivery = Delivery::Retried { of: id };
        }
        if !unanswered {
            // Whoever takes it for a request of its own must not find in the next one what is unique to this one.
            failing.action.renew(id);
        }
        draft.left = draft.left.saturating_sub(1);
        draft.open += u8::from(fault.is_some_and(Fault::is_open));
        let mut meanwhile = self.draft.as_ref().clone();
        meanwhile.held = Some(Arc::new(Move {
            step,
            after: Arc::new(draft),
        }));
        Ok(Just(Some(Move {
            step: failing,
            after: Arc::new(meanwhile),
        })))
    }
}
