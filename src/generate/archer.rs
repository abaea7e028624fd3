//! The archer chooses the next step of a draft: a goal that is possible at once, an instruction of a recipe that leads to
//! one, or anything at all.

use std::cmp::Reverse;

use proptest::test_runner::TestRunner;
use rand::RngExt;

use crate::model::By;
use crate::model::action::{Action, Outcome};
use crate::model::value::{Handle, KindId};

use super::draft::{Draft, Pursuit};
use super::generator::Prepared;
use super::plan::Step;
use super::recipe::{Hint, Instruction, Recipe};
use super::search::{Bow, Fixed, Patience, TRIES};
use super::ways::Way;

/// How many goals are tried at once at each step.
const SHOTS: usize = 5;

/// How often a goal is set out for, if it is this seed's turn; others a third of that.
const PATIENCE: u8 = 6;

/// From so near, a recipe is followed to its end whatever it takes.
const NEAR: usize = 4;

/// How many rules are tried for one that clears the way.
const KEYS: usize = 3;

/// How many steps are rehearsed at most before setting out for a goal, and how often that is halved for one that was
/// looked for in vain before.
const REHEARSED: usize = 200;
const HURRIED: u8 = 3;

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

    fn bow(&mut self) -> Bow<'_> {
        Bow {
            prepared: self.prepared,
            mirror: &self.draft.mirror,
            runner: self.runner,
            fresh: &mut self.draft.fresh,
            recent: self.draft.temper.recent,
        }
    }

    fn shoot(&mut self, rule: usize, outcome: Outcome, fixed: Fixed<'_>) -> Option<Action> {
        self.bow().shoot(rule, outcome, fixed)
    }

    fn reach(&mut self, goal: usize, fixed: Fixed<'_>, tries: usize) -> Option<Action> {
        self.bow().reach(goal, fixed, tries)
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
        // Towards the end there is no time for anything else.
        let due = self.draft.wanted.iter().filter(|w| w.turn).count();
        let pressed = due > 0 && due * self.draft.temper.toll >= self.draft.left;
        if pressed {
            // A shot can miss by chance, and then nothing would wake what is possible after all.
            for wanted in self.draft.wanted.iter_mut().filter(|w| w.turn) {
                wanted.asleep = false;
            }
        }
        // A detour now and then: what comes in between must not matter.
        if self.draft.pursuit.is_some()
            && (pressed || !self.chance(self.draft.temper.detours))
            && let Some(step) = self.pursue()
        {
            return Some(step);
        }
        let aimed = self.draft.temper.aimed;
        if pressed || self.chance(aimed) {
            // What takes long begins early, and what is possible on the way is done by the way.
            if self.draft.pursuit.is_none()
                && self.chance(50)
                && let Some(step) = self.set_out()
            {
                return Some(step);
            }
            if let Some(action) = self.at_once() {
                return Some(self.take(action));
            }
            if self.draft.pursuit.is_none()
                && let Some(step) = self.set_out()
            {
                return Some(step);
            }
        }
        if let Some(action) = self.wander() {
            return Some(self.take(action));
        }
        if self.draft.pursuit.is_none()
            && let Some(step) = self.set_out()
        {
            return Some(step);
        }
        let action = self.anything()?;
        Some(self.take(action))
    }

    /// A wanted outcome that is possible now.
    fn at_once(&mut self) -> Option<Action> {
        let mut shots = 0;
        for at in (0..self.draft.wanted.len()).rev() {
            let wanted = self.draft.wanted[at];
            // The most wanted first, but not only.
            let way = self.prepared.goals[wanted.goal].way.as_ref();
            if wanted.asleep || way.and_then(Way::end).is_some() || self.chance(15) {
                continue;
            }
            let action = self.reach(wanted.goal, Fixed::default(), 2);
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

    /// Sets out for a wanted outcome, possible yet or not.
    fn set_out(&mut self) -> Option<Step> {
        for _ in 0..2 {
            let index = self.next_goal()?;
            let wanted = self.draft.wanted[index];
            let recipe = self.prepared.goals[wanted.goal].recipe.as_ref()?;
            let way = self.shortest(wanted.goal, recipe, wanted.failed);
            let left = way.as_ref().map(|(next, _)| recipe.steps.len() - next);
            // Whoever was led astray near the end need not begin anew.
            let astray = left.is_none_or(|left| wanted.failed > 0 && left > NEAR);
            if astray
                && wanted.turn
                && wanted.failed < 2
                && let Some(step) = self.clear(wanted.goal, recipe, left)
            {
                return Some(step);
            }
            let Some((next, roles)) = way else {
                self.draft.wanted[index].failed += 1;
                continue;
            };
            self.draft.pursuit = Some(Pursuit {
                goal: wanted.goal,
                next,
                roles,
            });
            if let Some(step) = self.pursue() {
                return Some(step);
            }
        }
        None
    }

    /// Clears the way to a goal: a success that changes what it depends on, and after which its recipe leads there, and
    /// sooner than without it. What is closed for all is opened again by a rule that no recipe knows.
    fn clear(&mut self, goal: usize, recipe: &Recipe, left: Option<usize>) -> Option<Step> {
        let mut keys = self.prepared.goals[goal].producers.clone();
        keys.retain(|key| self.prepared.allowed[*key]);
        let offset = self.below(keys.len());
        if !keys.is_empty() {
            keys.rotate_left(offset);
        }
        for key in keys.into_iter().take(KEYS) {
            let before = self.draft.clone();
            let Some(action) = self.shoot(key, Outcome::Ok(0), Fixed::default()) else {
                continue;
            };
            let step = self.take(action);
            if let Some((next, roles)) = self.shortest(goal, recipe, HURRIED)
                && left.is_none_or(|left| recipe.steps.len() - next + 1 < left)
            {
                self.draft.pursuit = Some(Pursuit { goal, next, roles });
                return Some(step);
            }
            *self.draft = before;
        }
        None
    }

    /// The shortest end of a recipe that leads from what there is to its goal, and who plays which role in it.
    fn shortest(
        &mut self,
        goal: usize,
        recipe: &Recipe,
        failed: u8,
    ) -> Option<(usize, Vec<Option<Handle>>)> {
        let room = self.draft.left + 1;
        let least = recipe.steps.len().saturating_sub(room);
        // What was looked for in vain is not looked for as long again.
        let rehearsed = REHEARSED >> failed.min(HURRIED);
        let mut budget = rehearsed;
        // Whoever needs what there is nothing of must make it first.
        let lacking = |kind: &KindId| self.draft.mirror.live(*kind).next().is_none();
        let makes = |step: &Instruction| step.made.iter().any(lacking);
        let latest = recipe.steps.iter().position(makes);
        let latest = latest.unwrap_or(recipe.latest).min(recipe.latest);
        for first in (least..=latest).rev() {
            if let Some(roles) = self.rehearsed((goal, recipe), first, false, &mut budget) {
                return Some((first, roles));
            }
        }
        // Others in the old roles, which seldom helps, and not where it did not.
        let mut budget = rehearsed;
        (least == 0 && failed == 0).then_some(())?;
        let roles = self.rehearsed((goal, recipe), 0, true, &mut budget)?;
        Some((0, roles))
    }

    /// Rehearses a recipe from one of its instructions on: who plays which role, of those who are there already.
    fn rehearsed(
        &mut self,
        (goal, recipe): (usize, &Recipe),
        first: usize,
        cast: bool,
        budget: &mut usize,
    ) -> Option<Vec<Option<Handle>>> {
        let mut roles = vec![None; recipe.roles];
        if cast {
            self.cast(recipe, &mut roles);
        }
        let mut mirror = self.draft.mirror.clone();
        let mut id = self.draft.next_step;
        let mut fresh = self.draft.fresh;
        let last = recipe.steps.len() - 1;
        for (index, instruction) in recipe.steps.iter().enumerate().skip(first) {
            *budget = budget.checked_sub(1)?;
            let (actor, picks) = instruction.players(&roles);
            let hints = self.hints(goal, instruction, index == last);
            let mut bow = Bow {
                prepared: self.prepared,
                mirror: &mirror,
                runner: self.runner,
                fresh: &mut fresh,
                recent: self.draft.temper.recent,
            };
            let fixed = Fixed {
                actor,
                picks: &picks,
                hints,
                patience: Patience::Little,
                ..Fixed::default()
            };
            let action = match index == last {
                true => bow.reach(goal, fixed, TRIES)?,
                false => bow.shoot(instruction.rule, instruction.outcome, fixed)?,
            };
            if index < last {
                // The search has seen to it that this is what is predicted.
                let model = &self.prepared.model;
                let applied = model.apply(&mut mirror, &action, instruction.outcome, id, None);
                instruction.settle(&mut roles, &action, &applied.created);
                id += 1;
            } else {
                instruction.settle(&mut roles, &action, &[]);
            }
        }
        // Those who come into being will be others, if something comes in between.
        for role in &mut roles {
            *role = role.filter(|handle| handle.step < self.draft.next_step);
        }
        Some(roles)
    }

    /// Which of the wanted goals is set out for: one that there is room for.
    fn next_goal(&mut self) -> Option<usize> {
        let room = self.draft.left + 1;
        let fits = |wanted: &super::draft::Wanted| {
            let recipe = self.prepared.goals[wanted.goal].recipe.as_ref();
            let patience = if wanted.turn { PATIENCE } else { PATIENCE / 3 };
            // Most of a way that was lost once may still be there.
            let roomy = |r: &Recipe| wanted.failed > 0 || r.steps.len() <= room.max(8) + 4;
            recipe.is_some_and(|r| wanted.failed < patience && roomy(r))
        };
        let steps = |wanted: &super::draft::Wanted| {
            let recipe = self.prepared.goals[wanted.goal].recipe.as_ref();
            recipe.map_or(0, |r| r.steps.len())
        };
        let wanted = &self.draft.wanted;
        let mine = wanted.iter().any(|w| w.turn && fits(w));
        // The longest way first, but not again and again while others wait.
        let mut candidates: Vec<(Reverse<u8>, usize, usize)> = wanted
            .iter()
            .enumerate()
            .filter(|(_, w)| fits(w) && w.turn == mine)
            .map(|(at, w)| (Reverse(w.failed), steps(w), at))
            .collect();
        let last = candidates.len().checked_sub(1)?;
        let choice = match self.chance(60) {
            true => last,
            false => self.below(candidates.len()),
        };
        let (_, chosen, _) = candidates.select_nth_unstable(choice);
        Some(chosen.2)
    }

    /// Casts different principals that exist already in the roles of those that a recipe begins with.
    fn cast(&mut self, recipe: &Recipe, roles: &mut [Option<Handle>]) {
        let made = |role: &usize| recipe.steps.iter().any(|s| s.creates.contains(role));
        for instruction in &recipe.steps {
            let By::Kind(kind) = self.prepared.model.rules[instruction.rule].by else {
                continue;
            };
            let Some(role) = instruction.actor.filter(|role| !made(role)) else {
                continue;
            };
            if roles[role].is_none() {
                let mut live: Vec<Handle> = self.draft.mirror.live(kind).collect();
                live.retain(|handle| !roles.contains(&Some(*handle)));
                let choice = self.below(live.len());
                roles[role] = live.get(choice).copied();
            }
        }
    }

    /// A step of the pursuit that is under way: the next instruction of its recipe.
    fn pursue(&mut self) -> Option<Step> {
        let mut pursuit = self.draft.pursuit.take()?;
        let at = self
            .draft
            .wanted
            .iter()
            .position(|w| w.goal == pursuit.goal)?;
        let recipe = self.prepared.goals[pursuit.goal].recipe.as_ref()?;
        let instruction = recipe.steps.get(pursuit.next)?;
        let last = pursuit.next + 1 == recipe.steps.len();
        let (actor, picks) = instruction.players(&pursuit.roles);
        let fixed = Fixed {
            actor,
            picks: &picks,
            hints: self.hints(pursuit.goal, instruction, last),
            ..Fixed::default()
        };
        let action = match last {
            true => self.reach(pursuit.goal, fixed, TRIES),
            false => self.shoot(instruction.rule, instruction.outcome, fixed),
        };
        let Some(action) = action else {
            // A detour was in the way. The others first.
            let mut wanted = self.draft.wanted.remove(at);
            wanted.failed += 1;
            self.draft.wanted.insert(0, wanted);
            return None;
        };
        let (step, rehearsed) = self.draft.take(self.prepared, action);
        let created = rehearsed.map(|r| r.created).unwrap_or_default();
        instruction.settle(&mut pursuit.roles, &step.action, &created);
        pursuit.next += 1;
        match last {
            // What no state tells is reached where its recipe ends.
            true => self.draft.wanted.retain(|w| w.goal != pursuit.goal),
            false => self.draft.pursuit = Some(pursuit),
        }
        Some(step)
    }

    /// What the arguments of an instruction are like; at an outcome itself, anything that will do, unless nothing was found
    /// that does.
    fn hints<'h>(&self, goal: usize, instruction: &'h Instruction, last: bool) -> &'h [Hint] {
        let mut wanted = self.draft.wanted.iter();
        let mut failed = || wanted.any(|w| w.goal == goal && w.failed > 0);
        match last && self.prepared.goals[goal].way.is_none() && !failed() {
            true => &[],
            false => &instruction.hints,
        }
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
            let refusals = goals
                .iter()
                .filter(|g| matches!(g.outcome, Outcome::Refused(_)))
                .count();
            let outcome = match self.below(10) {
                // Successes come first among a rule's outcomes, then its own refusals.
                6..=8 if refusals > 0 => {
                    let first = goals
                        .iter()
                        .position(|g| matches!(g.outcome, Outcome::Refused(_)))
                        .unwrap_or(0);
                    goals[first + self.below(refusals)].outcome
                }
                0..=8 => Outcome::Ok(self.below(self.prepared.model.rules[rule].successes.len())),
                _ => goals[self.below(goals.len())].outcome,
            };
            if let Some(action) = self.shoot(rule, outcome, Fixed::default()) {
                return Some(action);
            }
        }
        None
    }

    /// Rare: whatever can be tried at all, so that the plan has its steps.
    fn anything(&mut self) -> Option<Action> {
        let outcomes = self.prepared.outcomes();
        let goals = outcomes.len();
        let offset = self.below(goals);
        // What the allowed rules need, where none of them is possible.
        for allowed in [true, false] {
            for index in 0..goals {
                let goal = &outcomes[(index + offset) % goals];
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
