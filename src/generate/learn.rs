//! Learning: how each outcome of a model is reached, found once by exploring it, from the model alone. Every state that
//! was reached is kept, and explored further from (Ecoffet et al., 'First return, then explore', 2021); among a few
//! steps that could help, the one that brings the goal nearer is taken.

use proptest::test_runner::TestRunner;
use rand::RngExt;

use crate::model::action::{Action, Actor, Outcome, Picked};
use crate::model::domain::Domain;
use crate::model::expression::Uses;
use crate::model::mirror::Mirror;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{By, Effect};

use super::demand::Want;
use super::generator::{Goal, Prepared, runner};
use super::plan::Step;
use super::recipe::{End, Hint, Instruction, Recipe, kept, reduced};
use super::rehearsal::rehearse_step;
use super::search::{Bow, Fixed, Patience, TRIES};
use super::ways::Way;

/// How many steps are rehearsed at most, for each goal that there is. A count, not a time, so that every machine learns
/// the same.
const BUDGET: usize = 24;

/// How many actions are searched for at most, found or not, for each goal that there is.
const SHOTS: usize = 180;

/// How many states are looked at for a goal by the way, on a dive for another one.
const LOOKS: u32 = 30;

/// How long the dives for ways are at most.
const NEAR: usize = 16;

/// How long the dives are, round after round.
const DIVES: [usize; 6] = [8, 16, 24, 32, 40, 48];

/// How often what is still missing then is dived for again: what was missed by chance may be met by it. Outcomes come
/// first, since they are few.
const LAST_ROUNDS: usize = 12;

/// How many steps are compared at each step of a dive.
const CHOICES: usize = 3;

/// How far a state is from a way of an outcome that is not possible there.
const NOT_YET: f64 = 8.0;

/// How many detours of two steps are tried for each way.
const PAIRS: usize = 40;

/// In percent, how often another entity is made of a kind that the goal is about.
const ANOTHER: u32 = 8;

/// A state that was reached.
struct Node {
    mirror: Mirror,
    /// How; nothing where a plan starts.
    arrival: Option<Arrival>,
    next_step: u32,
    fresh: u32,
}

/// How a state was reached.
struct Arrival {
    /// The state before.
    parent: usize,
    /// The step that led on from there.
    step: Step,
    outcome: Outcome,
    created: Vec<Handle>,
}

/// What is tried in a state.
#[derive(Clone, Copy)]
enum Aim {
    /// An outcome of a rule.
    Outcome(usize, Outcome),
    /// A goal, by its position.
    Goal(usize),
}

struct Explorer<'a> {
    prepared: &'a Prepared,
    runner: TestRunner,
    nodes: Vec<Node>,
    /// Where something new was found.
    landmarks: Vec<usize>,
    recipes: Vec<Option<Recipe>>,
    /// Kind by kind, the way to an entity of it.
    makings: Vec<Option<Recipe>>,
    open: Vec<usize>,
    /// Goal by goal, how often it was looked for.
    looked: Vec<u32>,
    /// What the dive that is under way is for.
    diving: Option<usize>,
    spent: usize,
    shots: usize,
}

/// Finds a recipe for each goal that it can, and adds the goals that are reached by a detour.
pub(super) fn learn(prepared: &mut Prepared) {
    let mut explorer = Explorer::new(prepared);
    explorer.explore();
    let detours = explorer.detours();
    let recipes = explorer.recipes;
    for (goal, recipe) in prepared.goals.iter_mut().zip(recipes) {
        goal.recipe = recipe;
    }
    for (goal, recipe) in detours {
        let Goal { rule, outcome, .. } = prepared.goals[goal];
        prepared.goals.push(Goal {
            rule,
            outcome,
            way: Some(Way::After { goal }),
            demands: None,
            producers: Vec::new(),
            wakers: Vec::new(),
            recipe: Some(recipe),
        });
    }
}

impl<'a> Explorer<'a> {
    fn new(prepared: &'a Prepared) -> Explorer<'a> {
        let open = (0..prepared.goals.len())
            .filter(|goal| {
                let goal = &prepared.goals[*goal];
                prepared.allowed[goal.rule] && goal.demands.is_some()
            })
            .collect();
        let mut explorer = Explorer {
            prepared,
            runner: runner(0x006c_6561_726e),
            nodes: vec![Node {
                mirror: prepared.start(),
                arrival: None,
                next_step: 1,
                fresh: 0,
            }],
            landmarks: vec![0],
            recipes: vec![None; prepared.goals.len()],
            makings: vec![None; prepared.model.kinds.len()],
            open,
            looked: vec![0; prepared.goals.len()],
            diving: None,
            spent: 0,
            shots: 0,
        };
        for rule in &prepared.setup {
            let root = explorer.nodes.len() - 1;
            let aim = Aim::Outcome(*rule, Outcome::Ok(0));
            if let Some(node) = explorer.attempt(root, aim, Fixed::default()) {
                // What a set-up makes is there before every recipe.
                explorer.nodes = vec![Node {
                    arrival: None,
                    ..node
                }];
            }
        }
        explorer
    }

    fn explore(&mut self) {
        self.look(0, None);
        let goals = &self.prepared.goals;
        let again = || (0..LAST_ROUNDS).flat_map(|_| DIVES);
        // Ways are many, and some are none: whoever is not near one soon never will be.
        let near = |length: &usize| *length <= NEAR;
        // How long they are, whether they are for ways, and how many thirds of what may be spent are gone after them.
        let dives = (DIVES.into_iter().map(|length| (length, false, 2)))
            .chain(
                DIVES
                    .into_iter()
                    .filter(near)
                    .map(|length| (length, true, 3)),
            )
            .chain(again().map(|length| (length, false, 4)))
            .chain(again().filter(near).map(|length| (length, true, 3)));
        for (length, ways, thirds) in dives {
            for goal in self.open.clone() {
                if self.exhausted(thirds) {
                    break;
                }
                if goals[goal].way.is_some() == ways && self.open.contains(&goal) {
                    self.dive(goal, length, thirds);
                }
            }
        }
    }

    /// The recipes of goals with a detour on the way: the success of a rule that none of their steps has, on what they are
    /// about, and that changes what they depend on.
    fn detours(&mut self) -> Vec<(usize, Recipe)> {
        let mut detours = Vec::new();
        for goal in 0..self.prepared.goals.len() {
            let definition = &self.prepared.goals[goal];
            let claims = match &definition.way {
                None if definition.outcome.is_ok() => Some(&[][..]),
                None => None,
                Some(way) => way.decided(),
            };
            let (Some(recipe), Some(claims)) = (self.recipes[goal].clone(), claims) else {
                continue;
            };
            let uses: Vec<&Uses> = claims.iter().map(|claim| &claim.that.uses).collect();
            let mut pairs = PAIRS;
            for (rule, kind) in self.prepared.statics.disturbers(definition.rule, &uses) {
                if recipe.steps.iter().any(|s| s.rule == rule) {
                    continue;
                }
                let success = Aim::Outcome(rule, Outcome::Ok(0));
                let detour = (1..recipe.steps.len())
                    .find_map(|at| self.detour(goal, &recipe, at, (&[success], kind)));
                detours.extend(detour.map(|detour| (goal, detour)));
                if definition.way.is_some() {
                    detours.extend(self.doubts(goal, &recipe, (success, kind), &mut pairs));
                }
            }
            if definition.way.is_none() {
                let again = self.again(goal, &recipe);
                detours.extend(again.map(|again| (goal, again)));
            }
        }
        detours
    }

    /// Detours of two steps: what makes a success matter may be another way of the goal's own rule, as a doubt before a
    /// revision.
    fn doubts(
        &mut self,
        goal: usize,
        recipe: &Recipe,
        (success, kind): (Aim, KindId),
        pairs: &mut usize,
    ) -> Vec<(usize, Recipe)> {
        let mut detours = Vec::new();
        let rule = self.prepared.goals[goal].rule;
        let Some(at) = recipe.steps.iter().position(|s| s.rule == rule) else {
            return detours;
        };
        let others = self.prepared.ways[rule].iter().filter(|way| **way != goal);
        for way in others {
            if *pairs == 0 {
                break;
            }
            *pairs -= 1;
            let branch = matches!(self.prepared.goals[*way].way, Some(Way::Branch { .. }));
            if branch && self.recipes[*way].is_some() {
                let both = [Aim::Goal(*way), success];
                // Whoever does it must not be needed afterwards, which is for chance to find.
                let detour = (0..TRIES).find_map(|_| self.detour(goal, recipe, at, (&both, kind)));
                detours.extend(detour.map(|detour| (goal, detour)));
            }
        }
        detours
    }

    /// A recipe whose last step is taken twice, by the same and on the same: first with all that may be left out, then
    /// without. Only where it changes what there is.
    fn again(&mut self, goal: usize, recipe: &Recipe) -> Option<Recipe> {
        let Goal { rule, outcome, .. } = self.prepared.goals[goal];
        let definition = &self.prepared.model.rules[rule];
        let makes =
            |effect: &Effect| matches!(effect, Effect::Create { .. } | Effect::Delete { .. });
        if definition.effects().next().is_none() || definition.effects().any(makes) {
            return None;
        }
        let (last, before) = recipe.steps.split_last()?;
        let given = |path: usize| Instruction {
            hints: (definition.args.iter())
                .map(|arg| match arg.domain {
                    Domain::Optional(_) => Hint::Path(vec![path]),
                    _ => Hint::Any,
                })
                .collect(),
            ..last.clone()
        };
        let steps: Vec<Instruction> = before.iter().cloned().chain([given(1), given(0)]).collect();
        let mut roles = vec![None; recipe.roles];
        let kept = self.nodes.len();
        let mut path = || {
            let mut node = 0;
            for (index, instruction) in steps.iter().enumerate() {
                let aim = match index < before.len() {
                    true => Aim::Outcome(instruction.rule, instruction.outcome),
                    false => Aim::Outcome(rule, outcome),
                };
                let after = self.follow(node, instruction, aim, &mut roles)?;
                node = self.push(after);
            }
            Some(())
        };
        let found = path();
        self.nodes.truncate(kept);
        found.map(|()| Recipe {
            latest: before.len(),
            steps,
            roles: recipe.roles,
        })
    }

    /// A recipe with something in between, on what it is about, if it still leads to its goal.
    fn detour(
        &mut self,
        goal: usize,
        recipe: &Recipe,
        at: usize,
        (inserted, kind): (&[Aim], KindId),
    ) -> Option<Recipe> {
        let mut roles = vec![None; recipe.roles];
        let mut node = 0;
        let last = recipe.steps.len() - 1;
        let kept = self.nodes.len();
        let mut path = || {
            for (index, instruction) in recipe.steps.iter().enumerate() {
                if index == at {
                    let about = roles
                        .iter()
                        .flatten()
                        .rev()
                        .find(|h: &&Handle| h.kind == kind)
                        .copied();
                    about?;
                    for aim in inserted {
                        let rule = match aim {
                            Aim::Outcome(rule, _) => *rule,
                            Aim::Goal(goal) => self.prepared.goals[*goal].rule,
                        };
                        let picks = self.prepared.model.rules[rule].picks.iter();
                        let picks: Vec<Option<Handle>> = picks
                            .map(|pick| about.filter(|_| pick.kind == kind))
                            .collect();
                        let fixed = Fixed {
                            picks: &picks,
                            ..Fixed::default()
                        };
                        let after = self.attempt(node, *aim, fixed)?;
                        node = self.push(after);
                    }
                }
                let aim = match index == last {
                    true => Aim::Goal(goal),
                    false => Aim::Outcome(instruction.rule, instruction.outcome),
                };
                let after = self.follow(node, instruction, aim, &mut roles)?;
                node = self.push(after);
            }
            Some(())
        };
        let found = path().map(|()| self.path(node));
        self.nodes.truncate(kept);
        let detour = Recipe::new(
            &self.prepared.model,
            &self.prepared.drawers,
            &self.nodes[0].mirror,
            &found?,
        )?;
        Some(Recipe {
            latest: at,
            ..detour
        })
    }

    /// Whether so many thirds of what may be spent are gone.
    fn exhausted(&self, thirds: usize) -> bool {
        let share = self.prepared.goals.len() * thirds / 3;
        self.spent >= BUDGET * share || self.shots >= SHOTS * share
    }

    /// Follows an instruction of a recipe in a state: the state after it.
    fn follow(
        &mut self,
        from: usize,
        instruction: &Instruction,
        aim: Aim,
        roles: &mut [Option<Handle>],
    ) -> Option<Node> {
        let (actor, picks) = instruction.players(roles);
        let fixed = Fixed {
            actor,
            picks: &picks,
            hints: &instruction.hints,
            ..Fixed::default()
        };
        let after = self.attempt(from, aim, fixed)?;
        if let Some(Arrival { step, created, .. }) = &after.arrival {
            instruction.settle(roles, &step.action, created);
        }
        Some(after)
    }

    /// Tries something in a state: the state after it.
    fn attempt(&mut self, from: usize, aim: Aim, fixed: Fixed<'_>) -> Option<Node> {
        let node = &self.nodes[from];
        let mut fresh = node.fresh;
        let mut bow = bow(self.prepared, &node.mirror, &mut self.runner, &mut fresh);
        let (action, outcome) = match aim {
            Aim::Outcome(rule, outcome) => (bow.shoot(rule, outcome, fixed), outcome),
            Aim::Goal(goal) => (
                bow.reach(goal, fixed, TRIES),
                self.prepared.goals[goal].outcome,
            ),
        };
        self.shots += 1;
        let action = action?;
        self.spent += 1;
        let step = Step::new(node.next_step, action);
        let mut mirror = node.mirror.clone();
        let rehearsed = rehearse_step(&self.prepared.model, &mut mirror, &step)?;
        let next_step = node.next_step + 1;
        (rehearsed.assumed == outcome).then(|| Node {
            mirror,
            arrival: Some(Arrival {
                parent: from,
                step,
                outcome,
                created: rehearsed.created,
            }),
            next_step,
            fresh,
        })
    }

    /// Looks which goals can be reached from a state, given the rule that led there.
    fn look(&mut self, node: usize, rule: Option<usize>) {
        let mut found = false;
        let mut ways: Vec<Vec<Step>> = Vec::new();
        for goal in self.open.clone() {
            let definition = &self.prepared.goals[goal];
            let mine = self.diving == Some(goal);
            if rule.is_some_and(|rule| !definition.wakers[rule])
                || (self.looked[goal] >= LOOKS && !mine)
            {
                continue;
            }
            self.looked[goal] += u32::from(!mine);
            let fixed = Fixed {
                patience: if mine { Patience::Much } else { Patience::Some },
                ..Fixed::default()
            };
            let Some(after) = self.attempt(node, Aim::Goal(goal), fixed) else {
                continue;
            };
            found = true;
            if let Some(arrival) = after.arrival {
                self.reached(goal, node, arrival.step, &mut ways);
            }
        }
        if found && !self.landmarks.contains(&node) {
            self.landmarks.push(node);
        }
    }

    /// A goal was reached by a step in a state.
    fn reached(&mut self, goal: usize, node: usize, step: Step, ways: &mut Vec<Vec<Step>>) {
        self.open.retain(|open| *open != goal);
        let prediction =
            (self.prepared.model).predict(&self.nodes[node].mirror, &step.action, None);
        let alone = prediction.certain().is_some();
        self.recipes[goal] = self.recipe(node, step, End::Goal { goal, alone }, ways);
    }

    /// The recipe of a step in a state. `ways` are boiled down ones to this state, one of which may do.
    fn recipe(
        &self,
        node: usize,
        last: Step,
        end: End,
        ways: &mut Vec<Vec<Step>>,
    ) -> Option<Recipe> {
        let model = &self.prepared.model;
        let root = &self.nodes[0].mirror;
        let known = ways.iter().find_map(|way| {
            let mut steps = way.clone();
            steps.push(last.clone());
            kept(self.prepared, root, steps, end)
        });
        let steps = match known {
            Some(steps) => steps,
            None => {
                let mut steps = self.path(node);
                steps.push(last);
                let steps = reduced(self.prepared, root, steps, end);
                if let Some((_, way)) = steps.split_last() {
                    ways.push(way.to_vec());
                }
                steps
            }
        };
        Recipe::new(model, &self.prepared.drawers, root, &steps)
    }

    /// Keeps a state, the way to the kinds of entity that came into being for the first time, and which ways of its
    /// outcome the step that led there has taken.
    fn keep(&mut self, after: Node) -> usize {
        let Some(arrival) = &after.arrival else {
            return self.push(after);
        };
        let Arrival {
            parent,
            step,
            outcome,
            created,
        } = arrival;
        for handle in created {
            let kind = usize::from(handle.kind.0);
            if self.makings[kind].is_none() {
                let end = End::Kind(handle.kind);
                self.makings[kind] = self.recipe(*parent, step.clone(), end, &mut Vec::new());
            }
        }
        let rule = step.action.rule;
        for goal in &self.prepared.ways[rule] {
            let before = &self.nodes[*parent].mirror;
            if self.open.contains(goal)
                && (self.prepared).is_reached(*goal, before, &step.action, *outcome)
            {
                self.reached(*goal, *parent, step.clone(), &mut Vec::new());
            }
        }
        let at = self.push(after);
        self.look(at, Some(rule));
        at
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Makes another entity of a kind, as the first one was made.
    fn another(&mut self, kind: KindId, mut at: usize) -> usize {
        let Some(recipe) = self.makings[usize::from(kind.0)].clone() else {
            return at;
        };
        let mut roles = vec![None; recipe.roles];
        for instruction in &recipe.steps {
            let aim = Aim::Outcome(instruction.rule, instruction.outcome);
            let Some(after) = self.follow(at, instruction, aim, &mut roles) else {
                break;
            };
            at = self.keep(after);
        }
        at
    }

    fn path(&self, node: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut at = node;
        while let Some(arrival) = &self.nodes[at].arrival {
            steps.push(arrival.step.clone());
            at = arrival.parent;
        }
        steps.reverse();
        steps
    }

    /// Goes for a goal from the nearest of some landmarks, until so many thirds of what may be spent are gone.
    fn dive(&mut self, goal: usize, length: usize, thirds: usize) {
        self.diving = Some(goal);
        let mut at = 0;
        let mut distance = f64::INFINITY;
        for _ in 0..6 {
            let sample = self.runner.rng().random_range(0..self.landmarks.len());
            let landmark = self.landmarks[sample];
            let mirror = self.nodes[landmark].mirror.clone();
            let there = self.distance(goal, &mirror, self.nodes[landmark].fresh);
            if there < distance {
                (at, distance) = (landmark, there);
            }
        }
        let rule = self.prepared.goals[goal].rule;
        let favourite = self.somebody(rule, at);
        let mut focus: Vec<Handle> = Vec::new();
        for _ in 0..length {
            // Two of a kind, where one will not do.
            let picks = &self.prepared.model.rules[rule].picks;
            if !picks.is_empty() && self.runner.rng().random_range(0..100) < ANOTHER {
                let kind = picks[self.runner.rng().random_range(0..picks.len())].kind;
                at = self.another(kind, at);
            }
            let mut best: Option<(f64, Node)> = None;
            for _ in 0..CHOICES {
                let Some(after) = self.toward(at, goal, favourite, &focus, 5) else {
                    continue;
                };
                let there = self.distance(goal, &after.mirror, after.fresh);
                if best.as_ref().is_none_or(|(least, _)| there < *least) {
                    best = Some((there, after));
                }
            }
            let Some((_, after)) = best else {
                return;
            };
            if let Some(Arrival { step, created, .. }) = &after.arrival {
                let picks = step.action.picks.iter().filter_map(|p| p.handle());
                for handle in picks.chain(created.iter().copied()) {
                    focus.retain(|h| *h != handle);
                    focus.push(handle);
                }
            }
            at = self.keep(after);
            if !self.open.contains(&goal) || self.exhausted(thirds) {
                return;
            }
        }
    }

    fn somebody(&mut self, rule: usize, node: usize) -> Option<Handle> {
        let By::Kind(kind) = self.prepared.model.rules[rule].by else {
            return None;
        };
        let live: Vec<_> = self.nodes[node].mirror.live(kind).collect();
        let index = self.runner.rng().random_range(0..live.len().max(1));
        live.get(index).copied()
    }

    /// A success that helps a goal along, or one that makes such a success possible.
    fn toward(
        &mut self,
        node: usize,
        goal: usize,
        favourite: Option<Handle>,
        focus: &[Handle],
        depth: usize,
    ) -> Option<Node> {
        let Goal {
            rule, producers, ..
        } = &self.prepared.goals[goal];
        let mut candidates = match self.missing(*rule, &self.nodes[node].mirror).first() {
            Some(kind) => self.prepared.statics.makers(*kind),
            None => producers.clone(),
        };
        candidates.retain(|r| self.prepared.model.rules[*r].weight > 0);
        let mut deeper = None;
        for _ in 0..candidates.len().min(4) {
            let index = self.runner.rng().random_range(0..candidates.len());
            let candidate = candidates.swap_remove(index);
            let successes = self.prepared.model.rules[candidate].successes.len();
            let success = self.runner.rng().random_range(0..successes.max(1));
            let fixed = Fixed {
                favourite: favourite.filter(|_| self.runner.rng().random_range(0..100) < 60),
                focus: match self.runner.rng().random_range(0..100) < 70 {
                    true => focus,
                    false => &[],
                },
                ..Fixed::default()
            };
            let found = self.attempt(node, Aim::Outcome(candidate, Outcome::Ok(success)), fixed);
            if found.is_some() {
                return found;
            }
            deeper.get_or_insert(candidate);
        }
        let deeper = self.prepared.goal(deeper?, Outcome::Ok(0))?;
        match depth {
            0 => None,
            _ => self.toward(node, deeper, favourite, focus, depth - 1),
        }
    }

    /// The kinds that a rule needs and nothing exists of.
    fn missing(&self, rule: usize, mirror: &Mirror) -> Vec<KindId> {
        let rule = &self.prepared.model.rules[rule];
        let by = match rule.by {
            By::Kind(kind) => Some(kind),
            By::Anyone => None,
        };
        by.into_iter()
            .chain(rule.picks.iter().map(|p| p.kind))
            .filter(|kind| mirror.live(*kind).next().is_none())
            .collect()
    }

    /// How far a state is from a goal: the least that was found among some principals and picks.
    fn distance(&mut self, goal: usize, mirror: &Mirror, fresh: u32) -> f64 {
        let prepared = self.prepared;
        let goal = &prepared.goals[goal];
        let Some(demands) = &goal.demands else {
            return f64::INFINITY;
        };
        let missing = self.missing(goal.rule, mirror).len();
        if missing > 0 {
            return 100.0 * missing as f64;
        }
        let rule = &prepared.model.rules[goal.rule];
        let beyond = match &goal.way {
            None | Some(Way::Where(_)) => 0.0,
            Some(way) => self.beyond((goal.rule, goal.outcome), way, mirror, fresh),
        };
        let mut least = f64::INFINITY;
        for sample in 0..8 {
            let action = sampled(prepared, &mut self.runner, mirror, goal.rule, sample < 3);
            let Some(action) = action else { continue };
            let names = prepared.model.all_names(mirror, &action, None);
            let mut scope = prepared.model.scope(mirror, &names);
            scope.before = Some(mirror);
            let mut sum = 0.0;
            for demand in &demands.all {
                if demand.ready > rule.picks.len() {
                    continue;
                }
                if let Some(expression) = demand.expression(rule) {
                    sum += expression.distance(&scope, demand.want != Want::False);
                }
                if sum >= least {
                    break;
                }
            }
            least = least.min(sum);
        }
        least + beyond
    }

    /// How far those who have a goal's outcome are from having it in its way.
    fn beyond(
        &mut self,
        (rule, outcome): (usize, Outcome),
        way: &Way,
        mirror: &Mirror,
        fresh: u32,
    ) -> f64 {
        let mut least = NOT_YET;
        for _ in 0..CHOICES {
            let mut fresh = fresh;
            let action = bow(self.prepared, mirror, &mut self.runner, &mut fresh).shoot(
                rule,
                outcome,
                Fixed::default(),
            );
            if let Some(action) = action {
                least = least.min(way.distance(&self.prepared.model, mirror, &action, outcome));
            }
        }
        least
    }
}

/// What searches for actions in a state.
fn bow<'a>(
    prepared: &'a Prepared,
    mirror: &'a Mirror,
    runner: &'a mut TestRunner,
    fresh: &'a mut u32,
) -> Bow<'a> {
    Bow {
        prepared,
        mirror,
        runner,
        fresh,
        recent: 50,
    }
}

/// A principal and picks, without arguments.
fn sampled(
    prepared: &Prepared,
    runner: &mut TestRunner,
    mirror: &Mirror,
    rule: usize,
    newest: bool,
) -> Option<Action> {
    let definition = &prepared.model.rules[rule];
    let mut draw = |kind: KindId, newest: bool| -> Option<Handle> {
        let live: Vec<_> = mirror.live(kind).collect();
        let index = match newest {
            true => live.len().saturating_sub(1),
            false => runner.rng().random_range(0..live.len().max(1)),
        };
        live.get(index).copied()
    };
    let actor = match definition.by {
        By::Anyone => Actor::Anyone,
        By::Kind(kind) => Actor::Entity(draw(kind, false)?),
    };
    let picks: Option<Vec<Picked>> = definition
        .picks
        .iter()
        .map(|pick| draw(pick.kind, newest).map(Picked::Entity))
        .collect();
    Some(Action {
        rule,
        actor,
        picks: picks?,
        args: vec![Value::Unknown; definition.args.len()],
    })
}
