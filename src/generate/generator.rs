//! The generator: a model prepared for making plans of it, and the plan of a seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::strategy::Sequential;

use crate::model::action::{Action, Outcome};
use crate::model::expression::Uses;
use crate::model::mirror::Mirror;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{By, Model, Rule};

use super::arguments::Drawer;
use super::conditions::Vocabulary;
use super::demand::Demands;
use super::draft::{Begin, Draft, Move, NextMove};
use super::faults::Faults;
use super::invalid::invalid_values;
use super::learn::learn;
use super::plan::{Plan, Step, taken};
use super::races::Races;
use super::recipe::Recipe;
use super::rehearsal::start;
use super::rota::{ROUND, Rest, Turn};
use super::search::{Bow, Fixed, Patience};
use super::statics::Statics;
use super::ways::{Impostor, Way, distances, ways};

/// What plans are made of, beside the model and the seed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How many steps a plan has after its set-up. Nothing: [`Options::steps_for`] the model.
    pub steps: Option<usize>,
    /// Only rules with one of these names or tags, if there are any; what they need is done all the same.
    pub only: Vec<String>,
    /// Not the rules with one of these names or tags.
    pub skip: Vec<String>,
    /// Principals that exist already: how many of each kind.
    pub accounts: Vec<(KindId, usize)>,
    /// What goes wrong between the clients and the server.
    pub faults: Faults,
    /// What is sent at the same instant.
    pub races: Races,
}

impl Options {
    /// How many steps a plan of a model has after its set-up, where nobody says: 50, and for large models one for every
    /// 4 outcomes and every 8 further identities that have no right to a rule, in tens, so that the plans of a round
    /// have a chance at all of them. Faults take up steps: for them there are more, up to twice as many.
    pub fn steps_for(model: &Model, faults: &Faults) -> usize {
        let outcomes: usize = (model.rules.iter())
            .map(|rule| rule.outcomes(model).len() + Impostor::all(model, rule).skip(1).count() / 2)
            .sum();
        let permille = if faults.are_on() { faults.permille } else { 0 };
        let left = usize::from(1000 - permille.min(500));
        ((outcomes * 1000).div_ceil(40 * left) * 10).max(50)
    }
}

/// Makes plans of a model.
#[derive(Clone, Debug)]
pub struct Generator {
    prepared: Arc<Prepared>,
    /// The rounds that plans were made of lately: what one plan is for depends on those of the seeds before it.
    rounds: Arc<Mutex<BTreeMap<u64, Round>>>,
}

/// The seeds that share the goals among them, as far as their plans are made.
#[derive(Debug)]
struct Round {
    rest: Rest,
    plans: Vec<Plan>,
}

/// So many rounds are remembered.
const ROUNDS: usize = 8;

/// A model prepared for drawing, searching and aiming.
#[derive(Debug)]
pub(super) struct Prepared {
    pub model: Arc<Model>,
    pub options: Options,
    /// How many steps a plan has after its set-up.
    pub steps: usize,
    pub statics: Statics,
    /// Rule by rule, argument by argument.
    pub drawers: Vec<Vec<Drawer>>,
    /// Rule by rule, argument by argument: values outside of its domain.
    pub invalid: Vec<Vec<Vec<Value>>>,
    /// Which rules may be goals.
    pub allowed: Vec<bool>,
    /// The rules that somebody left out.
    pub left_out: Vec<bool>,
    /// Which rules must not be tried at all, not even on the way to others.
    pub barred: Vec<bool>,
    /// Every outcome of every rule, in the order of the file; after them, in the same order, the ways of outcomes that
    /// have several.
    pub goals: Vec<Goal>,
    /// Where the outcomes of each rule begin, and where they end.
    starts: Vec<usize>,
    /// Rule by rule, the goals that are ways of its outcomes.
    pub ways: Vec<Vec<usize>>,
    /// The rules of the set-up.
    pub setup: Vec<usize>,
}

/// An outcome of a rule, or a way of it, and what is known about getting there.
#[derive(Debug)]
pub(super) struct Goal {
    pub rule: usize,
    pub outcome: Outcome,
    pub way: Option<Way>,
    /// Nothing where no action can be predicted to have it.
    pub demands: Option<Demands>,
    /// The rules whose success may make it possible.
    pub producers: Vec<usize>,
    /// The rules whose success may change whether it is possible.
    pub wakers: Vec<bool>,
    /// The way there, after the set-up.
    pub recipe: Option<Recipe>,
}

impl Goal {
    fn new(
        model: &Model,
        statics: &Statics,
        rule: usize,
        outcome: Outcome,
        way: Option<Way>,
    ) -> Goal {
        let definition = &model.rules[rule];
        let claims = way.as_ref().map_or(&[][..], Way::claims);
        let demands = Demands::of(model, rule, outcome, claims);
        let mut read = Uses::default();
        if let Some(demands) = &demands {
            read.add(&demands.uses(definition));
        }
        if let Some(way) = &way {
            read.add(&way.uses(definition, outcome));
        }
        for pick in definition.picks.iter().filter(|pick| pick.veiled) {
            let visibility = model.kind(pick.kind).visible_to.iter();
            let to = visibility.flat_map(|visibility| &visibility.to);
            to.for_each(|(_, which)| read.add(&which.uses));
        }
        Goal {
            rule,
            outcome,
            way,
            demands,
            producers: statics.producers(rule, outcome, &read),
            wakers: statics.wakers(rule, outcome, &read),
            recipe: None,
        }
    }
}

impl Generator {
    /// A generator of plans. It learns from the model how each outcome is reached, which takes a moment.
    pub fn new(model: Arc<Model>, options: Options) -> Generator {
        let mut prepared = Prepared::new(model, options);
        learn(&mut prepared);
        Generator {
            prepared: Arc::new(prepared),
            rounds: Arc::default(),
        }
    }

    /// The rules, by their positions, that the options leave out. What others need of them is done all the same.
    pub fn left_out(&self) -> &[bool] {
        &self.prepared.left_out
    }

    /// The model that plans are made of.
    pub fn model(&self) -> &Arc<Model> {
        &self.prepared.model
    }

    /// How many steps its plans have after their set-up.
    pub fn steps(&self) -> usize {
        self.prepared.steps
    }

    /// What goes wrong in its plans.
    pub fn faults(&self) -> &Faults {
        &self.prepared.options.faults
    }

    /// The mirror that a plan starts from.
    pub fn start(&self) -> Mirror {
        self.prepared.start()
    }

    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> Plan {
        // Whoever panicked while holding it left a round that lacks a plan, which is made now.
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let round = rounds.entry(seed / ROUND).or_insert_with(|| Round {
            rest: Rest::new(&self.prepared.goals, self.prepared.model.rules.len()),
            plans: Vec::new(),
        });
        let first = seed - seed % ROUND;
        let index = usize::try_from(seed - first).unwrap_or(0);
        for seed in (first..=seed).skip(round.plans.len()) {
            let goals = &self.prepared.goals;
            let turn = Arc::new(round.rest.turn(goals, self.prepared.steps));
            let (plan, reached) = self.make(seed, &turn);
            round.rest.reached(&turn, &reached);
            round.rest.raced(&plan);
            round.plans.push(plan);
        }
        let plan = round.plans[index].clone();
        while rounds.len() > ROUNDS {
            rounds.pop_first();
        }
        plan
    }

    /// An action that deletes an entity, if the rules have one for it now.
    pub fn removal(&self, mirror: &Mirror, entity: Handle) -> Option<Action> {
        let prepared = &self.prepared;
        let model = &prepared.model;
        let mut runner = runner(u64::from(entity.step));
        // Unique values of a clean-up are none of its plan's.
        let mut fresh = entity.step.saturating_mul(100).saturating_add(4_000_000);
        for (index, rule) in model.rules.iter().enumerate() {
            if !rule.effects().any(|effect| effect.deletes(entity.kind)) {
                continue;
            }
            let himself = (rule.by == By::Kind(entity.kind)).then_some(entity);
            let picked = (0..rule.picks.len()).filter(|pick| rule.picks[*pick].kind == entity.kind);
            let picked = picked.map(|pick| (None, Some(pick)));
            for (actor, pick) in picked.chain(himself.map(|actor| (Some(actor), None))) {
                let mut picks = vec![None; rule.picks.len()];
                if let Some(pick) = pick {
                    picks[pick] = Some(entity);
                }
                let mut bow = Bow {
                    prepared,
                    mirror,
                    runner: &mut runner,
                    fresh: &mut fresh,
                    recent: 50,
                };
                let fixed = Fixed {
                    actor,
                    picks: &picks,
                    patience: Patience::Much,
                    ..Fixed::default()
                };
                let Some(action) = bow.shoot(index, Outcome::Ok(0), fixed) else {
                    continue;
                };
                let mut after = mirror.clone();
                model.apply(&mut after, &action, Outcome::Ok(0), u32::MAX, None);
                if !after.is_live(entity) {
                    return Some(action);
                }
            }
        }
        None
    }

    /// The plan of a seed whose turn is known, and goal by goal whether it reaches it, whatever it is for.
    fn make(&self, seed: u64, turn: &Arc<Turn>) -> (Plan, Vec<bool>) {
        let prepared = &self.prepared;
        let size = prepared.setup.len() + prepared.steps;
        let mut plan = Plan {
            seed,
            setup: Vec::new(),
            steps: Vec::new(),
        };
        if size == 0 {
            return (plan, vec![false; prepared.goals.len()]);
        }
        let initial = prepared.clone();
        let moves = prepared.clone();
        let begin = turn.clone();
        // The public constructor takes closures, so that a model loaded at run time works. A size of `0..=0` panics
        // in proptest-state-machine 0.9, hence the early return above.
        let strategy = Sequential::new(
            (size..=size).into(),
            move || Begin {
                prepared: initial.clone(),
                seed,
                turn: begin.clone(),
            },
            |_, _| true,
            move |draft: &Arc<Draft>| NextMove {
                prepared: moves.clone(),
                draft: draft.clone(),
            },
            |draft, chosen: &Option<Move>| match chosen {
                Some(chosen) => chosen.after.clone(),
                None => draft,
            },
        );
        let mut reached = vec![false; prepared.goals.len()];
        if let Ok(tree) = strategy.new_tree(&mut runner(seed)) {
            let (_, moves, _) = tree.current();
            if let Some(last) = moves.iter().rev().flatten().next() {
                reached.clone_from(&last.after.reached);
                // What no state tells was reached where its recipe ended.
                let wanted = &last.after.wanted;
                for goal in &turn.goals {
                    reached[*goal] |= !wanted.iter().any(|wanted| wanted.goal == *goal);
                }
            }
            for (index, chosen) in moves.into_iter().enumerate() {
                let Some(chosen) = chosen else { continue };
                match index < prepared.setup.len() {
                    true => plan.setup.push(chosen.step),
                    false => plan.steps.push(chosen.step),
                }
            }
        }
        // What remains of a race that the plan had no room for.
        let races: Vec<usize> = taken(&plan.steps).map(<[Step]>::len).collect();
        let mut at = 0;
        for steps in races {
            if steps == 1 {
                plan.steps[at].lane = None;
            }
            at += steps;
        }
        (plan, reached)
    }
}

impl Prepared {
    fn new(model: Arc<Model>, options: Options) -> Prepared {
        let statics = Statics::new(&model);
        let matches = |rule: &Rule, names: &[String]| {
            names
                .iter()
                .any(|n| *n == rule.name || rule.tags.contains(n))
        };
        let left_out = |rule: &Rule| {
            !options.only.is_empty() && !matches(rule, &options.only)
                || matches(rule, &options.skip)
        };
        let left_out: Vec<bool> = model.rules.iter().map(left_out).collect();
        let allowed = (model.rules.iter().zip(&left_out))
            .map(|(rule, left_out)| !left_out && rule.weight > 0)
            .collect();
        let barred = model
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| {
                matches(rule, &options.skip) && !model.setup.iter().any(|s| s.rule == index)
            })
            .collect();
        let (mut goals, mut starts) = (Vec::new(), Vec::new());
        for (index, rule) in model.rules.iter().enumerate() {
            starts.push(goals.len());
            let outcomes = rule.outcomes(&model).into_iter();
            goals.extend(outcomes.map(|outcome| Goal::new(&model, &statics, index, outcome, None)));
        }
        starts.push(goals.len());
        let vocabulary = Vocabulary::of(&model);
        let mut ways_of = Vec::new();
        for rule in 0..model.rules.len() {
            let first = goals.len();
            let ways = ways(&model, &vocabulary, &statics, rule).into_iter();
            goals.extend(
                ways.map(|(outcome, way)| Goal::new(&model, &statics, rule, outcome, Some(way))),
            );
            ways_of.push((first..goals.len()).collect());
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
            .filter(|s| {
                !given
                    .iter()
                    .any(|kind| statics.makers(*kind).contains(&s.rule))
            })
            .flat_map(|s| std::iter::repeat_n(s.rule, s.times))
            .collect();
        Prepared {
            steps: (options.steps).unwrap_or_else(|| Options::steps_for(&model, &options.faults)),
            model,
            options,
            statics,
            drawers,
            invalid,
            allowed,
            left_out,
            barred,
            goals,
            starts,
            ways: ways_of,
            setup,
        }
    }

    /// The mirror that a plan starts from.
    pub fn start(&self) -> Mirror {
        start(&self.model, &self.options.accounts)
    }

    /// The outcomes of a rule.
    pub fn goals_of(&self, rule: usize) -> &[Goal] {
        &self.goals[self.starts[rule]..self.starts[rule + 1]]
    }

    /// All outcomes of all rules.
    pub fn outcomes(&self) -> &[Goal] {
        &self.goals[..self.starts[self.model.rules.len()]]
    }

    /// The goal that is an outcome of a rule.
    pub fn goal(&self, rule: usize, outcome: Outcome) -> Option<usize> {
        let index = self
            .goals_of(rule)
            .iter()
            .position(|goal| goal.outcome == outcome)?;
        Some(self.starts[rule] + index)
    }

    /// Whether an action that has a goal's outcome reaches the goal.
    pub fn is_reached(
        &self,
        goal: usize,
        mirror: &Mirror,
        action: &Action,
        outcome: Outcome,
    ) -> bool {
        let goal = &self.goals[goal];
        goal.rule == action.rule
            && goal.outcome == outcome
            && goal
                .way
                .as_ref()
                .is_none_or(|way| way.distance(&self.model, mirror, action, outcome) == 0.0)
    }

    /// Marks the goals that an action with an outcome reaches, of those that were not.
    pub fn mark_reached(
        &self,
        reached: &mut [bool],
        mirror: &Mirror,
        action: &Action,
        outcome: Outcome,
    ) {
        if let Some(own) = self.goal(action.rule, outcome) {
            reached[own] = true;
        }
        let (goals, ways): (Vec<usize>, Vec<&Way>) = (self.ways[action.rule].iter())
            .filter(|goal| !reached[**goal] && self.goals[**goal].outcome == outcome)
            .filter_map(|goal| Some((*goal, self.goals[*goal].way.as_ref()?)))
            .unzip();
        let distances = distances(&ways, &self.model, mirror, action, outcome);
        for (goal, distance) in goals.into_iter().zip(distances) {
            reached[goal] = distance == 0.0;
        }
    }
}

/// The source of all randomness: the same on every machine.
pub(super) fn runner(seed: u64) -> TestRunner {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    let mut state = seed;
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&splitmix(&mut state).to_le_bytes());
    }
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// Spreads a seed over the bytes that the random number generator wants.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::rehearsal::rehearse_step;

    /// Which goals a plan reaches, as far as states tell.
    fn goals_of(prepared: &Prepared, plan: &Plan) -> Vec<bool> {
        let mut reached = vec![false; prepared.goals.len()];
        let mut mirror = prepared.start();
        for step in plan.all() {
            let before = mirror.clone();
            if let Some(done) = rehearse_step(&prepared.model, &mut mirror, step) {
                for (goal, reached) in reached.iter_mut().enumerate() {
                    *reached |= prepared.is_reached(goal, &before, &step.action, done.assumed);
                }
            }
        }
        reached
    }

    #[test]
    fn a_round_reaches_nearly_every_goal() {
        for name in ["deep-sci-fi", "kinto"] {
            let path = format!("models/{name}.yaml");
            let model = Arc::new(Model::load(path.as_ref()).expect("a model that ships is valid"));
            let generator = Generator::new(model, Options::default());
            let prepared = &generator.prepared;
            let mut reached = vec![false; prepared.goals.len()];
            for seed in 0..ROUND {
                let plan = goals_of(prepared, &generator.plan(seed));
                reached.iter_mut().zip(plan).for_each(|(r, now)| *r |= now);
            }
            let known = (0..reached.len()).filter(|goal| prepared.goals[*goal].recipe.is_some());
            let (done, missed): (Vec<_>, Vec<_>) = known.partition(|goal| reached[*goal]);
            println!(
                "{name}: {} of {} missed",
                missed.len(),
                missed.len() + done.len()
            );
            // The last ways are deep ones, for which a round has no room.
            assert!(missed.len() * 5 <= done.len(), "{name}: {}", missed.len());
        }
    }
}
