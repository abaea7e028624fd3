//! The rota: which goals are which seed's turn, so that the seeds of a round together have them all. It is made plan by
//! plan: what a plan reaches by the way is nobody's turn any more, and what it misses comes again. Goals that begin alike
//! are the same seed's, because what leads to one leads to the others. First come outcomes, then their ways.

use std::sync::Arc;

use super::generator::Goal;
use super::plan::{Plan, taken};

/// After so many seeds it begins anew.
pub(super) const ROUND: u64 = 25;

/// What of a plan's steps the goals of its turn may cost, in percent.
const SHARE: usize = 80;

/// For each so many steps on the way to a goal, one more is reckoned with.
const DEEP: usize = 4;

/// How often a goal may be somebody's turn in a round.
const CHANCES: u8 = 9;

/// What a seed is for.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    /// The goals that it is to reach.
    pub goals: Vec<usize>,
    /// There are only ways of outcomes among them: the outcomes themselves were reached.
    pub roams: bool,
    /// How often the plans of its round before it raced each rule.
    pub raced: Arc<Vec<u16>>,
}

/// What is left to do in a round.
#[derive(Debug)]
pub(super) struct Rest {
    /// The goals, each with how often it may yet be somebody's turn. Those that begin alike are neighbours.
    outcomes: Vec<(usize, u8)>,
    ways: Vec<(usize, u8)>,
    /// How often each rule was raced.
    raced: Arc<Vec<u16>>,
}

impl Rest {
    /// All goals that have recipes. What was never reached when the model was explored is left to chance.
    pub fn new(goals: &[Goal], rules: usize) -> Rest {
        let mut known: Vec<(Vec<usize>, usize)> = (goals.iter().enumerate())
            .filter(|(_, goal)| goal.recipe.is_some())
            .map(|(index, goal)| (path(goal).collect(), index))
            .collect();
        known.sort_unstable();
        let known = known.into_iter().map(|(_, goal)| (goal, CHANCES));
        let (ways, outcomes) = known.partition(|(goal, _)| goals[*goal].way.is_some());
        Rest {
            outcomes,
            ways,
            raced: Arc::new(vec![0; rules]),
        }
    }

    /// The next turn, for a plan of so many steps.
    pub fn turn(&mut self, goals: &[Goal], steps: usize) -> Turn {
        let mut turn = Turn {
            goals: Vec::new(),
            roams: self.outcomes.is_empty(),
            raced: self.raced.clone(),
        };
        let mut room = steps * SHARE / 100;
        for rest in [&mut self.outcomes, &mut self.ways] {
            let mut before: Vec<usize> = Vec::new();
            for (goal, chances) in rest {
                let path: Vec<usize> = path(&goals[*goal]).collect();
                let shared = before.iter().zip(&path).take_while(|(a, b)| a == b);
                // The deeper a goal, the more often something comes in between.
                let new = path.len().saturating_sub(shared.count()).max(1);
                let cost = new + (path.len() / DEEP).max(1);
                if cost > room {
                    return turn;
                }
                room -= cost;
                *chances -= 1;
                turn.goals.push(*goal);
                before = path;
            }
        }
        turn
    }

    /// Notes what a plan raced.
    pub fn raced(&mut self, plan: &Plan) {
        let raced = Arc::make_mut(&mut self.raced);
        for steps in taken(&plan.steps).filter(|steps| steps.len() > 1) {
            if let Some(count) = raced.get_mut(steps[0].action.rule) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Takes off what was reached. What had its turn and was not comes last, or not at all any more.
    pub fn reached(&mut self, turn: &Turn, reached: &[bool]) {
        for rest in [&mut self.outcomes, &mut self.ways] {
            rest.retain(|(goal, chances)| !reached[*goal] && *chances > 0);
            let had = |(goal, _): &(usize, u8)| turn.goals.contains(goal);
            let (late, early) = rest.drain(..).partition::<Vec<_>, _>(had);
            rest.extend(early.into_iter().chain(late));
        }
    }
}

/// The rules on the way to a goal.
fn path(goal: &Goal) -> impl Iterator<Item = usize> + '_ {
    let recipe = goal.recipe.iter();
    recipe.flat_map(|recipe| recipe.steps.iter().map(|step| step.rule))
}
