//! The rota: which goals are which seed's turn, so that successive seeds together have them all. Goals that begin alike
//! are the same seed's, because what leads to one leads to the others, and every seed has about as much to do.

use crate::model::action::Outcome;

use super::generator::Goal;

/// How many steps of a plan of 50 the business outcomes of a turn may take, and the implied ones.
const SHARE: (usize, usize) = (28, 14);

/// Where so many turns would not do, there are [`MOST`], and each is light enough to be done for sure.
const FEW: usize = 3;

/// After so many seeds everything was due.
const MOST: usize = 10;

/// Which goals are which seed's turn.
#[derive(Debug, Default)]
pub(super) struct Rota {
    business: Vec<Vec<usize>>,
    implied: Vec<Vec<usize>>,
}

impl Rota {
    /// Divides the goals that have recipes into turns for plans of so many steps.
    pub fn new(goals: &[Goal], steps: usize) -> Rota {
        let (mut business, mut implied) = (Vec::new(), Vec::new());
        for (index, goal) in goals.iter().enumerate() {
            // What was never reached when the model was explored is left to chance.
            if goal.recipe.is_some() {
                match goal.outcome {
                    Outcome::Ok(_) | Outcome::Refused(_) => business.push(index),
                    _ => implied.push(index),
                }
            }
        }
        Rota {
            business: divided(&costed(goals, business), SHARE.0 * steps / 50),
            implied: divided(&costed(goals, implied), SHARE.1 * steps / 50),
        }
    }

    /// The goals that are a seed's turn.
    pub fn turn(&self, seed: u64) -> impl Iterator<Item = usize> + '_ {
        [&self.business, &self.implied]
            .into_iter()
            .filter_map(move |turns| {
                let turn = seed.checked_rem(turns.len() as u64)?;
                turns.get(usize::try_from(turn).ok()?)
            })
            .flatten()
            .copied()
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
        costed.push((*goal, way.len().saturating_sub(shared).max(1)));
        before = way;
    }
    costed
}

/// Turns of about the same cost.
fn divided(goals: &[(usize, usize)], share: usize) -> Vec<Vec<usize>> {
    let total: usize = goals.iter().map(|(_, cost)| cost).sum();
    let turns = match total.div_ceil(share.max(1)).max(1) {
        turns @ ..=FEW => turns,
        _ => MOST,
    };
    let mut divided = vec![Vec::new(); turns];
    let mut so_far = 0;
    for (goal, cost) in goals {
        let turn = (so_far + cost / 2) * turns / total.max(1);
        divided[turn.min(turns - 1)].push(*goal);
        so_far += cost;
    }
    divided
}
