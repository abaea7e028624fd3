//! Aiming: at each step a goal, an outcome of a rule that the plan has not reached yet, then a principal, picks and
//! arguments that the oracle predicts to have it. Where none exist, a rule that brings them about comes first. In half
//! of the plans (swarm) only some rules are drawn, with weights of their own, which finds bugs of repetition.

use std::sync::Arc;

use proptest::prelude::any;
use proptest::strategy::{Just, NewTree, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::strategy::Sequential;
use rand::RngExt;

use crate::model::action::{Action, Actor, Outcome, Picked};
use crate::model::expression::Scope;
use crate::model::mirror::Mirror;
use crate::model::oracle::handles;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{By, Model};

use super::arguments::{Drawer, invalid_values};
use super::plan::{Plan, Step};
use super::rehearsal::{Coverage, rehearse_step, start};
use super::statics::Statics;

/// What plans are made of, beside the model and the seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many steps a plan has after its set-up.
    pub steps: usize,
    /// Only rules with one of these names or tags, if there are any; what they need is done all the same.
    pub only: Vec<String>,
    /// Not the rules with one of these names or tags.
    pub skip: Vec<String>,
    /// Principals that exist already: how many of each kind.
    pub accounts: Vec<(KindId, usize)>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            steps: 50,
            only: Vec::new(),
            skip: Vec::new(),
            accounts: Vec::new(),
        }
    }
}

/// How many business outcomes a plan has among its first goals, and how many implied ones.
const GOALS: (usize, usize) = (40, 24);

/// How many principals, picks and arguments are tried for one aim.
const TRIES: usize = 14;

/// Makes plans of a model.
#[derive(Clone, Debug)]
pub struct Generator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    model: Arc<Model>,
    options: Options,
    statics: Statics,
    drawers: Vec<Vec<Drawer>>,
    invalid: Vec<Vec<Vec<Value>>>,
    /// Which rules may be goals.
    allowed: Vec<bool>,
    business: Vec<(usize, Outcome)>,
    implied: Vec<(usize, Outcome)>,
    setup: Vec<usize>,
    /// For each kind, tastes that are known to lead to an entity of it.
    tastes: Vec<Vec<u64>>,
}

/// The state of a plan being made.
#[derive(Clone, Debug)]
struct Draft {
    mirror: Mirror,
    next_step: u32,
    fresh: u32,
    /// What is to be reached yet, most wanted last.
    goals: Vec<(usize, Outcome)>,
    pursuit: Option<Pursuit>,
    coverage: Coverage,
    temper: Temper,
    setup: usize,
    left: usize,
}

/// A goal that takes more than one step.
#[derive(Clone, Debug)]
struct Pursuit {
    goal: (usize, Outcome),
    /// How many more steps may go into it.
    patience: usize,
    /// Who acts where it does not matter.
    actor: Option<Handle>,
    /// Decides which rules and alternatives are preferred on the way.
    taste: u64,
    /// What it has made or dealt with, newest last: what it goes on with.
    focus: Vec<Handle>,
}

/// What a plan is like.
#[derive(Clone, Debug, Default)]
struct Temper {
    /// The weights of the rules.
    weights: Arc<[u32]>,
    /// In percent, how often a step goes for a goal.
    aimed: u32,
    /// In percent, how often the newest entity is picked, and the favourite acts.
    recent: u32,
}

/// A step, and the state of the plan after it.
#[derive(Clone, Debug)]
struct Move {
    step: Step,
    after: Box<Draft>,
}

impl Generator {
    /// A generator of plans.
    pub fn new(model: Arc<Model>, options: Options) -> Generator {
        let statics = Statics::new(&model);
        let matches = |rule: &crate::model::Rule, names: &[String]| {
            names
                .iter()
                .any(|n| *n == rule.name || rule.tags.contains(n))
        };
        let allowed: Vec<bool> = model
            .rules
            .iter()
            .map(|rule| {
                (options.only.is_empty() || matches(rule, &options.only))
                    && !matches(rule, &options.skip)
                    && rule.weight > 0
            })
            .collect();
        let (mut business, mut implied) = (Vec::new(), Vec::new());
        for (index, rule) in model.rules.iter().enumerate() {
            if !allowed[index] {
                continue;
            }
            for outcome in rule.outcomes(&model) {
                match outcome {
                    Outcome::Ok(_) | Outcome::Refused(_) => business.push((index, outcome)),
                    _ => implied.push((index, outcome)),
                }
            }
        }
        let drawers = model
            .rules
            .iter()
            .map(|rule| rule.args.iter().map(|a| Drawer::new(&a.domain)).collect())
            .collect();
        let invalid = model
            .rules
            .iter()
            .map(|rule| {
                rule.args
                    .iter()
                    .map(|arg| match arg.can_be_invalid(rule.strict) {
                        true => invalid_values(arg, rule.strict),
                        false => Vec::new(),
                    })
                    .collect()
            })
            .collect();
        let given: Vec<KindId> = options.accounts.iter().map(|(kind, _)| *kind).collect();
        let setup = model
            .setup
            .iter()
            // Accounts that are given take the place of those that a set-up would make.
            .filter(|s| !given.iter().any(|kind| statics.makers(*kind).contains(&s.rule)))
            .flat_map(|s| std::iter::repeat_n(s.rule, s.times))
            .collect();
        let kinds = model.kinds.len();
        let mut inner = Inner {
            model,
            options,
            statics,
            drawers,
            invalid,
            allowed,
            business,
            implied,
            setup,
            tastes: vec![Vec::new(); kinds],
        };
        inner.learn_tastes();
        Generator {
            inner: Arc::new(inner),
        }
    }

    /// The model that plans are made of.
    pub fn model(&self) -> &Arc<Model> {
        &self.inner.model
    }

    /// The mirror that a plan starts from.
    pub fn start(&self) -> Mirror {
        start(&self.inner.model, &self.inner.options.accounts)
    }

    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        let inner = &self.inner;
        let size = inner.setup.len() + inner.options.steps;
        let mut plan = Plan {
            seed,
            setup: Vec::new(),
            steps: Vec::new(),
        };
        if size == 0 {
            return plan;
        }
        let mut runner = TestRunner::new_with_rng(
            Config {
                failure_persistence: None,
                ..Config::default()
            },
            TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes(seed)),
        );
        let initial = self.clone();
        let moves = self.clone();
        // The public constructor takes closures, so that a model loaded at run time works. A size of `0..=0` panics
        // in proptest-state-machine 0.9, hence the early return above.
        let strategy = Sequential::new(
            (size..=size).into(),
            move || Begin {
                generator: initial.clone(),
                seed,
            },
            |_, _| true,
            move |draft: &Draft| NextMove {
                generator: moves.clone(),
                draft: draft.clone(),
            },
            |_, chosen: &Option<Move>| match chosen {
                Some(chosen) => chosen.after.as_ref().clone(),
                None => Draft::empty(),
            },
        );
        if let Ok(tree) = strategy.new_tree(&mut runner) {
            let (_, moves, _) = tree.current();
            let setup = inner.setup.len();
            for (index, step) in moves.into_iter().enumerate() {
                let Some(chosen) = step else { continue };
                match index < setup {
                    true => plan.setup.push(chosen.step),
                    false => plan.steps.push(chosen.step),
                }
            }
        }
        plan
    }
}

/// How many tastes are tried for each kind, how many are kept, and how many steps each has.
const TASTES: (u64, usize, usize) = (48, 4, 14);

impl Inner {
    /// Finds, for each kind, tastes that lead to an entity of it: where two approvals are needed, one of 'approve'.
    /// Kinds whose makers need other kinds profit from what was found for these, hence the second round.
    fn learn_tastes(&mut self) {
        for _ in 0..2 {
            for index in 0..self.model.kinds.len() {
                let kind = KindId(u16::try_from(index).unwrap_or(u16::MAX));
                if !self.tastes[index].is_empty() || self.statics.makers(kind).is_empty() {
                    continue;
                }
                let mut found: Vec<(usize, u64)> = (0..TASTES.0)
                    .filter_map(|taste| Some((self.taste(kind, taste)?, taste)))
                    .collect();
                found.sort_unstable();
                found.truncate(TASTES.1);
                self.tastes[index] = found.into_iter().map(|(_, taste)| taste).collect();
            }
        }
    }

    /// How many steps a taste takes to an entity of a kind, if it gets there at all.
    fn taste(&self, kind: KindId, taste: u64) -> Option<usize> {
        let mut runner = TestRunner::new_with_rng(
            Config {
                failure_persistence: None,
                ..Config::default()
            },
            TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes(taste ^ 0x7461_7374)),
        );
        let mut draft = Draft {
            mirror: start(&self.model, &self.options.accounts),
            coverage: Coverage::new(&self.model),
            setup: self.setup.len(),
            ..Draft::empty()
        };
        for count in 0..self.setup.len() + TASTES.2 {
            let mut archer = Archer {
                inner: self,
                runner: &mut runner,
                draft: &mut draft,
                taste: None,
                focus: Vec::new(),
            };
            let action = match archer.draft.setup {
                0 => {
                    let mut pursuit = archer.draft.pursuit.take().unwrap_or(Pursuit {
                        goal: (0, Outcome::Ok(0)),
                        patience: 1,
                        actor: None,
                        taste,
                        focus: Vec::new(),
                    });
                    pursuit.taste = taste;
                    let action = archer.make(kind, &pursuit, 4);
                    archer.draft.pursuit = Some(pursuit);
                    action
                }
                _ => archer.next(),
            };
            draft.take(self, action?);
            if draft.mirror.live(kind).next().is_some() {
                return Some(count);
            }
        }
        None
    }
}

/// Spreads a seed over the bytes that the random number generator wants (splitmix64).
fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut state = seed;
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&mix(&mut state).to_le_bytes());
    }
    bytes
}

fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Draft {
    /// Takes an action as the next step: what the model predicts of it is assumed.
    fn take(&mut self, inner: &Inner, action: Action) -> Step {
        let step = Step {
            id: self.next_step,
            action,
        };
        self.next_step += 1;
        if let Some(rehearsed) = rehearse_step(&inner.model, &mut self.mirror, &step) {
            let done = (step.action.rule, rehearsed.assumed);
            self.coverage.count(done.0, done.1);
            self.goals.retain(|goal| *goal != done);
            if let Some(pursuit) = &mut self.pursuit {
                if pursuit.goal == done && pursuit.patience > 0 {
                    self.pursuit = None;
                } else {
                    let picks = step.action.picks.iter().filter_map(|p| p.handle());
                    for handle in picks.chain(rehearsed.created) {
                        pursuit.focus.retain(|h| *h != handle);
                        pursuit.focus.push(handle);
                    }
                    let excess = pursuit.focus.len().saturating_sub(8);
                    pursuit.focus.drain(..excess);
                }
            }
        }
        step
    }

    fn empty() -> Draft {
        Draft {
            mirror: Mirror::default(),
            next_step: 1,
            fresh: 0,
            goals: Vec::new(),
            pursuit: None,
            coverage: Coverage::default(),
            temper: Temper::default(),
            setup: 0,
            left: 0,
        }
    }
}

/// The strategy of a plan's beginning: its goals and its temper.
#[derive(Debug)]
struct Begin {
    generator: Generator,
    seed: u64,
}

impl Strategy for Begin {
    type Tree = Just<Draft>;
    type Value = Draft;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let inner = &self.generator.inner;
        let swarm = any::<bool>().new_tree(runner)?.current() && self.seed != 0;
        let rng = runner.rng();
        let weights = inner
            .model
            .rules
            .iter()
            .zip(&inner.allowed)
            .map(|(rule, allowed)| match (allowed, swarm) {
                (false, _) => 0,
                (true, false) => rule.weight,
                // Of a swarm, some rules are absent and some abound.
                (true, true) => rule.weight * [0, 0, 1, 1, 3, 9][rng.random_range(0..6)],
            })
            .collect();
        let temper = Temper {
            weights,
            aimed: if swarm { 45 } else { 90 },
            recent: [20, 50, 80][rng.random_range(0..3)],
        };
        let mut goals = slice(&inner.implied, self.seed, GOALS.1, rng);
        goals.extend(slice(&inner.business, self.seed, GOALS.0, rng));
        Ok(Just(Draft {
            mirror: self.generator.start(),
            goals,
            temper,
            coverage: Coverage::new(&inner.model),
            setup: inner.setup.len(),
            left: inner.options.steps,
            ..Draft::empty()
        }))
    }
}

/// The goals that are a seed's turn, shuffled: successive seeds take successive slices, so that together they have all.
fn slice(
    all: &[(usize, Outcome)],
    seed: u64,
    most: usize,
    rng: &mut TestRng,
) -> Vec<(usize, Outcome)> {
    let slices = all.len().div_ceil(most).max(1);
    let turn = usize::try_from(seed % slices as u64).unwrap_or(0);
    let mut goals: Vec<_> = all
        .iter()
        .enumerate()
        .filter(|(index, _)| index % slices == turn)
        .map(|(_, goal)| *goal)
        .collect();
    for index in (1..goals.len()).rev() {
        goals.swap(index, rng.random_range(0..=index));
    }
    goals
}

/// The strategy of the next step; nothing where no rule at all can be tried.
#[derive(Debug)]
struct NextMove {
    generator: Generator,
    draft: Draft,
}

impl Strategy for NextMove {
    type Tree = Just<Option<Move>>;
    type Value = Option<Move>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let mut draft = self.draft.clone();
        let mut archer = Archer {
            inner: &self.generator.inner,
            runner,
            draft: &mut draft,
            taste: None,
            focus: Vec::new(),
        };
        let action = archer.next();
        Ok(Just(action.map(|action| {
            let step = draft.take(&self.generator.inner, action);
            Move {
                step,
                after: Box::new(draft),
            }
        })))
    }
}

/// Looks for the next action of a draft.
struct Archer<'a> {
    inner: &'a Inner,
    runner: &'a mut TestRunner,
    draft: &'a mut Draft,
    /// That of the pursuit under way, for what leads to its goal.
    taste: Option<u64>,
    /// What the pursuit goes on with.
    focus: Vec<Handle>,
}

impl Archer<'_> {
    fn chance(&mut self, percent: u32) -> bool {
        self.runner.rng().random_range(0..100) < percent
    }

    fn below(&mut self, bound: usize) -> usize {
        self.runner.rng().random_range(0..bound.max(1))
    }

    fn next(&mut self) -> Option<Action> {
        if self.draft.setup > 0 {
            let rule = self.inner.setup[self.inner.setup.len() - self.draft.setup];
            self.draft.setup -= 1;
            return self.aim(rule, Outcome::Ok(0), None);
        }
        self.draft.left = self.draft.left.saturating_sub(1);
        if let Some(action) = self.pursue() {
            return Some(action);
        }
        let aimed = self.draft.temper.aimed;
        if self.chance(aimed)
            && let Some(action) = self.goal()
        {
            return Some(action);
        }
        self.wander()
    }

    /// Goes for something that is not reached yet: at once where that is possible, or by a pursuit.
    fn goal(&mut self) -> Option<Action> {
        let count = self.draft.goals.len();
        for _ in 0..count.min(8) {
            // The business outcomes stand last and are wanted first, but not only.
            let back = self.below(count).min(self.below(count));
            let (rule, outcome) = self.draft.goals[count - 1 - back];
            if let Some(action) = self.aim(rule, outcome, None) {
                return Some(action);
            }
        }
        let goal = *self.draft.goals.last()?;
        // Whoever gives up tries the others first.
        self.draft.goals.rotate_right(1);
        let patience = [5, 10, 20, 40][self.below(4)].min(self.draft.left);
        let actor = self.favourite(goal.0);
        self.draft.pursuit = Some(Pursuit {
            goal,
            patience,
            actor,
            taste: self.runner.rng().random(),
            focus: Vec::new(),
        });
        self.pursue()
    }

    /// A step of the pursuit that is under way: its goal, or something on the way to it.
    fn pursue(&mut self) -> Option<Action> {
        let mut pursuit = self.draft.pursuit.take()?;
        if pursuit.patience == 0 {
            return None;
        }
        pursuit.patience -= 1;
        let (rule, outcome) = pursuit.goal;
        if let Some(action) = self.aim(rule, outcome, pursuit.actor) {
            return Some(action);
        }
        let action = self.toward(rule, outcome, &pursuit, 5);
        if action.is_some() {
            self.draft.pursuit = Some(pursuit);
        }
        action
    }

    /// A success that helps an outcome along.
    fn toward(
        &mut self,
        rule: usize,
        outcome: Outcome,
        pursuit: &Pursuit,
        depth: usize,
    ) -> Option<Action> {
        if let Some(kind) = self.missing(rule) {
            return self.make(kind, pursuit, depth);
        }
        let mut candidates = self.inner.statics.producers(rule, outcome);
        candidates.retain(|r| self.inner.model.rules[*r].weight > 0);
        self.one_of(&candidates, pursuit, pursuit.taste, depth)
    }

    /// A success that leads to an entity of a kind.
    fn make(&mut self, kind: KindId, pursuit: &Pursuit, depth: usize) -> Option<Action> {
        let known = &self.inner.tastes[usize::from(kind.0)];
        let taste = match known.len() {
            0 => pursuit.taste,
            // The same one as long as the pursuit lasts.
            count => {
                let index = usize::try_from(pursuit.taste % count as u64).unwrap_or(0);
                known[index]
            }
        };
        let makers = self.inner.statics.makers(kind);
        self.one_of(&makers, pursuit, taste, depth)
    }

    /// A success of one of these rules, or of one that makes them possible.
    fn one_of(
        &mut self,
        candidates: &[usize],
        pursuit: &Pursuit,
        taste: u64,
        depth: usize,
    ) -> Option<Action> {
        if depth == 0 {
            return None;
        }
        // Each taste prefers some: without one, a rule and its opposite would cancel out.
        let mut ranked: Vec<(u64, usize)> = candidates
            .iter()
            .map(|candidate| {
                let mut state = taste ^ (*candidate as u64 + 1);
                let noise: u64 = self.runner.rng().random_range(0..1 << 62);
                (mix(&mut state) / 4 + noise, *candidate)
            })
            .collect();
        ranked.sort_unstable();
        self.taste = Some(taste);
        self.focus.clone_from(&pursuit.focus);
        let mut found = None;
        for (_, candidate) in ranked.iter().take(4) {
            let actor = match self.chance(60) {
                true => pursuit.actor,
                false => None,
            };
            let success = self.below(self.inner.model.rules[*candidate].successes.len());
            found = self.aim(*candidate, Outcome::Ok(success), actor);
            if found.is_some() {
                break;
            }
        }
        self.taste = None;
        if found.is_some() {
            return found;
        }
        let (_, deeper) = ranked.first()?;
        self.toward(*deeper, Outcome::Ok(0), pursuit, depth - 1)
    }

    /// A kind that a rule needs and nothing exists of.
    fn missing(&self, rule: usize) -> Option<KindId> {
        let rule = &self.inner.model.rules[rule];
        let by = match rule.by {
            By::Kind(kind) => Some(kind),
            By::Anyone => None,
        };
        by.into_iter()
            .chain(rule.picks.iter().map(|p| p.kind))
            .find(|kind| self.draft.mirror.live(*kind).next().is_none())
    }

    /// A rule by its weight, and mostly its success.
    fn wander(&mut self) -> Option<Action> {
        let total: u32 = self.draft.temper.weights.iter().sum();
        for _ in 0..8 {
            if total == 0 {
                break;
            }
            let mut at = self.runner.rng().random_range(0..total);
            let mut rule = 0;
            for (index, weight) in self.draft.temper.weights.iter().enumerate() {
                if at < *weight {
                    rule = index;
                    break;
                }
                at -= weight;
            }
            let definition = &self.inner.model.rules[rule];
            let outcome = match self.below(10) {
                0..=6 => Outcome::Ok(self.below(definition.successes.len())),
                _ => {
                    let choice = self.below(self.draft.coverage.outcomes(rule).len());
                    self.draft.coverage.outcomes(rule)[choice]
                }
            };
            if let Some(action) = self.aim(rule, outcome, None) {
                return Some(action);
            }
        }
        // Rare: whatever can be tried at all, so that the plan has its steps.
        let allowed: Vec<usize> = (0..self.inner.allowed.len())
            .filter(|r| self.inner.allowed[*r])
            .collect();
        let offset = self.below(allowed.len());
        (0..allowed.len()).find_map(|i| {
            let rule = allowed[(i + offset) % allowed.len()];
            self.aim(rule, Outcome::Ok(0), None).or_else(|| {
                let pursuit = Pursuit {
                    goal: (rule, Outcome::Ok(0)),
                    patience: 0,
                    actor: None,
                    taste: 0,
                    focus: Vec::new(),
                };
                self.toward(rule, Outcome::Ok(0), &pursuit, 4)
            })
        })
    }

    fn favourite(&mut self, rule: usize) -> Option<Handle> {
        let By::Kind(kind) = self.inner.model.rules[rule].by else {
            return None;
        };
        let live: Vec<_> = self.draft.mirror.live(kind).collect();
        let index = self.below(live.len());
        live.get(index).copied()
    }

    /// An action that the oracle predicts to have the outcome.
    fn aim(&mut self, rule: usize, outcome: Outcome, actor: Option<Handle>) -> Option<Action> {
        if self.missing(rule).is_some() && !matches!(outcome, Outcome::Absent(_) | Outcome::Gone(_))
        {
            return None;
        }
        for attempt in 0..TRIES {
            let Draw::Action(action) = self.draw(rule, outcome, actor, attempt) else {
                return None;
            };
            let Some(action) = action else { continue };
            let prediction = self
                .inner
                .model
                .predict(&self.draft.mirror, &action, None);
            let hit = match outcome {
                Outcome::Ok(_) => prediction.outcomes.contains(&outcome),
                // Alone, so that the answer shows that it was this one.
                _ => prediction.outcomes == [outcome],
            };
            if hit {
                return Some(action);
            }
        }
        None
    }

    /// Draws who, what and with what; as valid as the outcome lets it be.
    fn draw(
        &mut self,
        rule: usize,
        outcome: Outcome,
        favourite: Option<Handle>,
        attempt: usize,
    ) -> Draw {
        let inner = self.inner;
        let definition = &inner.model.rules[rule];
        let actor = match definition.by {
            By::Anyone => Actor::Anyone,
            By::Kind(kind) => {
                let live: Vec<_> = self.draft.mirror.live(kind).collect();
                let one = match favourite.filter(|f| live.contains(f)) {
                    // Where the favourite will not do, others may.
                    Some(favourite) if attempt < TRIES / 2 => Some(favourite),
                    _ => {
                        let index = self.below(live.len());
                        live.get(index).copied()
                    }
                };
                match (outcome, one) {
                    (Outcome::Unauthenticated, one) => {
                        let gone: Vec<_> = self
                            .draft
                            .mirror
                            .all(kind)
                            .filter(|(_, record)| record.gone)
                            .map(|(handle, _)| handle)
                            .collect();
                        match (self.below(3), gone.last(), one) {
                            (0, Some(gone), _) => Actor::Entity(*gone),
                            (1, _, Some(one)) => Actor::Forged(one),
                            _ => Actor::Nobody,
                        }
                    }
                    (_, Some(one)) => Actor::Entity(one),
                    (_, None) => return Draw::Impossible,
                }
            }
        };
        let mut action = Action {
            rule,
            actor,
            picks: Vec::with_capacity(definition.picks.len()),
            args: Vec::with_capacity(definition.args.len()),
        };
        let mut names = inner.model.names(&self.draft.mirror, &action, false);
        // What an unauthenticated attempt is about is picked as its owner would.
        if let (By::Kind(kind), Outcome::Unauthenticated) = (definition.by, outcome)
            && let Some(handle) = self.draft.mirror.live(kind).next()
        {
            names.bind("actor", Value::Entity(handle));
            names.bind(inner.model.kind(kind).name.as_str(), Value::Entity(handle));
        }
        for (index, pick) in definition.picks.iter().enumerate() {
            let picked = match outcome {
                Outcome::Absent(absent) if absent == index => Picked::Never,
                Outcome::Gone(gone) if gone == index => {
                    let gone: Vec<_> = self
                        .draft
                        .mirror
                        .all(pick.kind)
                        .filter(|(_, record)| record.gone)
                        .map(|(handle, _)| handle)
                        .collect();
                    let choice = self.below(gone.len());
                    match gone.get(choice) {
                        Some(handle) => Picked::Entity(*handle),
                        None => return Draw::Impossible,
                    }
                }
                _ => {
                    let pool: Vec<Handle> = match &pick.from {
                        None => self.draft.mirror.live(pick.kind).collect(),
                        Some(from) => {
                            let scope = inner.model.scope(&self.draft.mirror, &names);
                            from.eval(&scope).map(|v| handles(&v)).unwrap_or_default()
                        }
                    };
                    if pool.is_empty() {
                        return match pick.from {
                            None => Draw::Impossible,
                            // Another principal or another pick may have some.
                            Some(_) => Draw::Action(None),
                        };
                    }
                    let recent = self.draft.temper.recent;
                    let focused = match self.taste {
                        Some(_) if attempt < TRIES / 2 => {
                            self.focus.iter().rev().find_map(|f| pool.iter().position(|p| p == f))
                        }
                        _ => None,
                    };
                    let choice = match focused {
                        Some(choice) if self.chance(85) => choice,
                        _ if attempt < TRIES / 2 && self.chance(recent) => {
                            pool.len() - 1 - self.below(2).min(pool.len() - 1)
                        }
                        _ => self.below(pool.len()),
                    };
                    Picked::Entity(pool[choice])
                }
            };
            names.bind(
                pick.name.clone(),
                picked.handle().map_or(Value::Unknown, Value::Entity),
            );
            action.picks.push(picked);
        }
        for (index, arg) in definition.args.iter().enumerate() {
            let value = match outcome {
                Outcome::Invalid(invalid) if invalid == index => {
                    let choices = &inner.invalid[rule][index];
                    let choice = self.below(choices.len());
                    match choices.get(choice) {
                        Some(value) => Some(value.clone()),
                        None => return Draw::Impossible,
                    }
                }
                Outcome::Refused(_) if self.chance(40) => self.known(&arg.name, &arg.domain),
                _ => None,
            };
            let value = match value {
                Some(value) => value,
                None => {
                    let scope: Scope<'_> = inner.model.scope(&self.draft.mirror, &names);
                    let drawer = &inner.drawers[rule][index];
                    let drawer = match (drawer, self.taste) {
                        // A pursuit that says now 'approve', now 'reject' gets nowhere.
                        (Drawer::OneOf(alternatives), Some(taste))
                            if alternatives.len() > 1 && attempt < TRIES / 2 =>
                        {
                            let mut state = taste ^ ((rule * 31 + index) as u64);
                            let choice = mix(&mut state) % alternatives.len() as u64;
                            &alternatives[usize::try_from(choice).unwrap_or(0)]
                        }
                        (drawer, _) => drawer,
                    };
                    match drawer.draw(self.runner, &scope, &mut self.draft.fresh) {
                        Some(value) => value,
                        None => return Draw::Action(None),
                    }
                }
            };
            let bound = match &value {
                Value::Absent => Value::Null,
                other => other.clone(),
            };
            names.bind(arg.name.clone(), bound);
            action.args.push(value);
        }
        Draw::Action(Some(action))
    }

    /// A value that the mirror holds already in a field of the argument's name: what collides is drawn from these.
    fn known(&mut self, name: &str, domain: &crate::model::domain::Domain) -> Option<Value> {
        let mut values = Vec::new();
        for (index, kind) in self.inner.model.kinds.iter().enumerate() {
            let Some(field) = kind.fields.iter().position(|f| f.name == name) else {
                continue;
            };
            let kind = KindId(u16::try_from(index).ok()?);
            for (_, record) in self.draft.mirror.all(kind).rev().take(8) {
                values.extend(record.fields.get(field).filter(|v| domain.contains(v)));
            }
        }
        values.retain(|v| !v.has_unknown() && **v != Value::Null);
        if values.is_empty() {
            return None;
        }
        let choice = self.runner.rng().random_range(0..values.len());
        Some(values[choice].clone())
    }
}

/// What a draw came to.
enum Draw {
    /// Nothing exists that it could be about.
    Impossible,
    /// An action, or nothing this time.
    Action(Option<Action>),
}
