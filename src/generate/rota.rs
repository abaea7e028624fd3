//! The rota: which goals are which seed's turn, so that successive seeds together have them all. Goals that begin alike
//! are the same seed's, because what leads to one leads to the others, and every seed has about as much to do. First
//! come the outcomes, ten seeds at most, then their ways, fifteen at most, and then it begins anew.

use crate::model::action::Outcome;

use super::generator::Goal;

/// How many steps of a plan of 50 the business outcomes of a turn may take, the implied ones, and the ways.
const SHARE: (usize, usize, usize) = (28, 14, 34);

/// Where so many turns would not do, there are the most there may be, and each is light enough to be done for sure.
const FEW: usize = 3;

/// For each so many steps on the way to a goal, one more is reckoned with.
const DEEP: usize = 4;

/// After so many seeds every outcome was due.
const OUTCOMES: usize = 10;

/// After so many more, every way.
const WAYS: usize = 15;

/// Which goals are which seed's turn.
#[derive(Debug, Default)]
pub(super) struct Rota {
    business: Vec<Vec<usize>>,
    implied: Vec<Vec<usize>>,
    ways: Vec<Vec<usize>>,
}

/// What a seed is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Outcomes, by the shortest way.
    Outcomes(usize),
    /// The ways of outcomes.
    Ways(usize),
}

impl Rota {
    /// Divides the goals that have recipes into turns for plans of so many steps.
    pub fn new(goals: &[Goal], steps: usize) -> Rota {
        let (mut business, mut implied, mut ways) = (Vec::new(), Vec::new(), Vec::new());
        for (index, goal) in goals.iter().enumerate() {
            // What was never reached when the model was explored is left to chance.
            if goal.recipe.is_some() {
                match goal.outcome {
                    _ if goal.way.is_some() => ways.push(index),
                    Outcome::Ok(_) | Outcome::Refused(_) => business.push(index),
                    _ => implied.push(index),
                }
            }
        }
        Rota {
            business: divided(&costed(goals, business), SHARE.0 * steps / 50, OUTCOMES),
            implied: divided(&costed(goals, implied), SHARE.1 * steps / 50, OUTCOMES),
            ways: divided(&costed(goals, ways), SHARE.2 * steps / 50, WAYS),
        }
    }

    /// What a seed is for.
    pub fn duty(&self, seed: u64) -> Duty {
        let outcomes = self.business.len().max(self.implied.len()).max(1);
        let all = (outcomes + self.ways.len()) as u64;
        let turn = usize::try_from(seed % all).unwrap_or(0);
        match turn.checked_sub(outcomes) {
            None => Duty::Outcomes(turn),
            Some(turn) => Duty::Ways(turn),
        }
    }

    /// The goals that are a seed's turn.
    pub fn turn(&self, seed: u64) -> Vec<usize> {
        let share = |turns: &[Vec<usize>], turn: usize| -> Vec<usize> {
            let turn = turn.checked_rem(turns.len());
            turn.map_or(Vec::new(), |turn| turns[turn].clone())
        };
        match self.duty(seed) {
            Duty::Outcomes(turn) => {
                let mut goals = share(&self.business, turn);
                goals.extend(share(&self.implied, turn));
                goals
            }
            Duty::Ways(turn) => share(&self.ways, turn),
        }
    }
}

/// The goals in an order in which those that begin alike are neighbours, and how many steps each adds to the one before.
fn costed(goals: &[Goal], of: Vec<usize>) -> Vec<(usize, usize)> {
    let way = |goal: usize| -> Vec<usize> {
        let recipe = goals[goal].recipe.iter();
        recipe
            .flat_map(|r| r.steps.iter().map(|s| s.rule))
            .collect()
    };
    let mut ways: Vec<(Vec<usize>, usize)> = of.into_iter().map(|goal| (way(goal), goal)).collect();
    ways.sort_unstable();
    let mut before: &[usize] = &[];
    let mut costed = Vec::with_capacity(ways.len());
    for (way, goal) in &ways {
        let shared = before.iter().zip(way).take_while(|(a, b)| a == b).count();
        // The deeper a goal, the more often something comes in between.
        let cost = way.len().saturating_sub(shared).max(1) + (way.len() / DEEP).max(1);
        costed.push((*goal, cost));
        before = way;
    }
    costed
}

/// Turns of about the same cost.
fn divided(goals: &[(usize, usize)], share: usize, most: usize) -> Vec<Vec<usize>> {
    let total: usize = goals.iter().map(|(_, cost)| cost).sum();
    let turns = match total.div_ceil(share.max(1)) {
        turns @ ..=FEW => turns,
        _ => most,
    };
    let mut divided = vec![Vec::new(); turns];
    let mut so_far = 0;
    for (goal, cost) in goals {
        let turn = (so_far + cost / 2) * turns / total.max(1);
        divided[turn.min(turns.saturating_sub(1))].push(*goal);
        so_far += cost;
    }
    divided
}
