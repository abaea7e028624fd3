//! The archer chooses the next step of a draft: a goal that is possible at once, an instruction of a recipe that leads to
//! one, or anything at all.

use proptest::test_runner::TestRunner;
use rand::RngExt;

use crate::model::action::{Action, Outcome};
use crate::model::value::Handle;
use crate::model::By;

use super::draft::{Draft, Pursuit};
use super::generator::Prepared;
use super::plan::Step;
use super::recipe::{Hint, Instruction, Recipe};
use super::search::{Bow, Fixed};

/// How many goals are tried at once at each step.
const SHOTS: usize = 5;

/// Chooses the next step of a draft.
pub(super) struct Archer<'a> {
    pub prepared: &'a Prepared,
    pub runner: &'a mut TestRunner,
    pub draft: &'a mut Draft,
}

impl Archer<'_> {
    fn chance(&mut self, percent: u32) -> bool {
        self.runner.rng().random_range(0..100) < percent
    }

    fn below(&mut self, bound: usize) -> usize {
        self.runner.rng().random_range(0..bound.max(1))
    }

    fn shoot(&mut self, rule: usize, outcome: Outcome, fixed: Fixed<'_>) -> Option<Action> {
        Bow {
            prepared: self.prepared,
            mirror: &self.draft.mirror,
            runner: self.runner,
            fresh: &mut self.draft.fresh,
            recent: self.draft.temper.recent,
        }
        .shoot(rule, outcome, fixed)
    }

    fn take(&mut self, action: Action) -> Step {
        self.draft.take(self.prepared, action).0
    }

    /// The next step, which the draft has then taken.
    pub fn next(&mut self) -> Option<Step> {
        if self.draft.setup > 0 {
            let rule = self.prepared.setup[self.prepared.setup.len() - self.draft.setup];
            self.draft.setup -= 1;
            let action = self.shoot(rule, Outcome::Ok(0), Fixed::default())?;
            return Some(self.take(action));
        }
        self.draft.left = self.draft.left.saturating_sub(1);
        // A detour now and then: what is on the way must not matter.
        if self.draft.pursuit.is_some() && !self.chance(8) {
            if let Some(step) = self.pursue() {
                return Some(step);
            }
        }
        let aimed = self.draft.temper.aimed;
        if self.chance(aimed) {
            if let Some(action) = self.at_once() {
                return Some(self.take(action));
            }
            if self.draft.pursuit.is_none()
                && let Some(step) = self.set_out()
            {
                return Some(step);
            }
        }
        let action = self.wander()?;
        Some(self.take(action))
    }

    /// A wanted outcome that is possible now.
    fn at_once(&mut self) -> Option<Action> {
        let mut shots = 0;
        for at in (0..self.draft.wanted.len()).rev() {
            let wanted = self.draft.wanted[at];
            // The most wanted first, but not only.
            if wanted.asleep || self.chance(15) {
                continue;
            }
            let goal = &self.prepared.goals[wanted.goal];
            let action = self.shoot(goal.rule, goal.outcome, Fixed::default());
            if action.is_some() {
                return action;
            }
            self.draft.wanted[at].asleep = true;
            shots += 1;
            if shots == SHOTS {
                break;
            }
        }
        None
    }

    /// Sets out for a wanted outcome that is not possible yet.
    fn set_out(&mut self) -> Option<Step> {
        for _ in 0..3 {
            let index = self.next_goal()?;
            let wanted = self.draft.wanted[index];
            let recipe = self.prepared.goals[wanted.goal].recipe.as_ref()?;
            // With what there is, at first.
            let mut pursuit = Pursuit {
                goal: wanted.goal,
                roles: vec![None; recipe.roles],
                done: 0,
                faithful: wanted.failed % 2 == 1,
                patience: recipe.steps.len() + 2,
            };
            if pursuit.faithful {
                self.cast(recipe, &mut pursuit);
            }
            self.draft.pursuit = Some(pursuit);
            if let Some(step) = self.pursue() {
                return Some(step);
            }
        }
        None
    }

    /// Which of the wanted goals is set out for: one that there is room for.
    fn next_goal(&mut self) -> Option<usize> {
        let room = self.draft.left + 1;
        let fits = |wanted: &super::draft::Wanted| {
            let recipe = self.prepared.goals[wanted.goal].recipe.as_ref();
            recipe.is_some_and(|r| wanted.failed < 4 && r.steps.len() <= room.max(8) + 4)
        };
        let candidates: Vec<usize> = (0..self.draft.wanted.len())
            .rev()
            .filter(|at| fits(&self.draft.wanted[*at]))
            .take(3)
            .collect();
        let choice = self.below(candidates.len());
        candidates.get(choice).copied()
    }

    /// Casts principals that exist already in the roles of those that a recipe begins with.
    fn cast(&mut self, recipe: &Recipe, pursuit: &mut Pursuit) {
        let made: Vec<usize> = recipe.steps.iter().flat_map(|s| s.creates.clone()).collect();
        for instruction in &recipe.steps {
            let By::Kind(kind) = self.prepared.model.rules[instruction.rule].by else {
                continue;
            };
            let Some(role) = instruction.actor.filter(|role| !made.contains(role)) else {
                continue;
            };
            if pursuit.roles[role].is_none() {
                let mut live: Vec<Handle> = self.draft.mirror.live(kind).collect();
                live.retain(|handle| !pursuit.roles.contains(&Some(*handle)));
                let choice = self.below(live.len());
                pursuit.roles[role] = live.get(choice).copied();
            }
        }
    }

    /// A step of the pursuit that is under way: its goal, or an instruction of the recipe.
    fn pursue(&mut self) -> Option<Step> {
        let mut pursuit = self.draft.pursuit.take()?;
        let goal = &self.prepared.goals[pursuit.goal];
        let recipe = goal.recipe.as_ref()?;
        let (last, before) = recipe.steps.split_last()?;
        if !self.draft.wanted.iter().any(|w| w.goal == pursuit.goal) {
            return None;
        }
        if let Some(action) = self.follow(last, &pursuit, false) {
            return Some(self.take(action));
        }
        if pursuit.patience > 0 {
            pursuit.patience -= 1;
            let undone = |index: &usize| pursuit.done & (1 << index) == 0;
            let order: Vec<usize> = match pursuit.faithful {
                true => (0..before.len()).find(undone).into_iter().collect(),
                // With what there is: the later an instruction, the less is left to do.
                false => (0..before.len()).rev().filter(undone).collect(),
            };
            for index in order {
                let instruction = &before[index];
                let Some(action) = self.follow(instruction, &pursuit, true) else {
                    continue;
                };
                let (step, rehearsed) = self.draft.take(self.prepared, action);
                pursuit.done |= 1 << index;
                let created = rehearsed.map(|r| r.created).unwrap_or_default();
                instruction.settle(&mut pursuit.roles, &step.action, &created);
                self.draft.pursuit = Some(pursuit);
                return Some(step);
            }
        }
        // Given up: the others first, and then in the other way.
        let at = self
            .draft
            .wanted
            .iter()
            .position(|w| w.goal == pursuit.goal)?;
        let mut wanted = self.draft.wanted.remove(at);
        wanted.failed += 1;
        match pursuit.faithful {
            true => self.draft.wanted.insert(0, wanted),
            false => self.draft.wanted.push(wanted),
        }
        None
    }

    /// An instruction with those in its roles who have them already.
    fn follow(
        &mut self,
        instruction: &Instruction,
        pursuit: &Pursuit,
        hinted: bool,
    ) -> Option<Action> {
        let (actor, picks) = instruction.players(&pursuit.roles);
        let fixed = Fixed {
            actor,
            picks: &picks,
            hints: match hinted {
                true => &instruction.hints,
                false => &[] as &[Hint],
            },
            ..Fixed::default()
        };
        self.shoot(instruction.rule, instruction.outcome, fixed)
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
            let goals = self.prepared.goals_of(rule);
            let outcome = match self.below(10) {
                0..=6 => {
                    Outcome::Ok(self.below(self.prepared.model.rules[rule].successes.len()))
                }
                _ => goals[self.below(goals.len())].outcome,
            };
            if let Some(action) = self.shoot(rule, outcome, Fixed::default()) {
                return Some(action);
            }
        }
        self.anything()
    }

    /// Rare: whatever can be tried at all, so that the plan has its steps.
    fn anything(&mut self) -> Option<Action> {
        let goals = self.prepared.goals.len();
        let offset = self.below(goals);
        // What the allowed rules need, where none of them is possible.
        for allowed in [true, false] {
            for index in 0..goals {
                let goal = &self.prepared.goals[(index + offset) % goals];
                if self.prepared.allowed[goal.rule] == allowed
                    && goal.outcome.is_ok() | allowed
                    && let Some(action) = self.shoot(goal.rule, goal.outcome, Fixed::default())
                {
                    return Some(action);
                }
            }
        }
        None
    }
}
