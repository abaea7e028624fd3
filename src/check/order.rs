//! Orders: whether requests that ran at once can be put in an order that explains every answer under the rules. Depth
//! first, as Wing and Gong do it (1993), with Lowe's memory of what was looked at (2017).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::judge::{Expectation, Judge};
use super::violation::{Contradiction, Dispute};
use crate::drive::history::Response;
use crate::generate::Step;
use crate::model::Statuses;
use crate::model::action::Action;
use crate::model::mirror::Mirror;
use crate::model::oracle::Prediction;

/// A request that ran while others did.
#[derive(Clone, Debug)]
pub struct Ran<'a> {
    /// Its step.
    pub step: &'a Step,
    /// The action, with its fresh values made real.
    pub action: Action,
    /// Its answer; nothing where nobody knows.
    pub response: Option<Arc<Response>>,
    /// The position of the exchange in the history.
    pub event: usize,
    /// When it was sent and when its answer was there, since the beginning of the plan.
    pub began: Duration,
    /// See `began`.
    pub ended: Duration,
    /// Until when it may take effect, where nobody knows.
    pub until: Instant,
}

/// What became of the search for an order.
pub(super) enum Order {
    /// The different ends of all orders that explain every answer.
    Ends(Vec<Judge>),
    /// There is no such order.
    None(Dispute),
    /// There were too many to look at.
    TooMany,
}

/// So many requests are put in an order in one search.
const MOST: usize = 48;

/// So many states are looked at in one search.
const PATIENCE: usize = 20_000;

/// All ends that orders of some requests lead to from one world.
pub(super) fn orders(world: &Judge, ran: &[&Ran<'_>]) -> Order {
    if ran.len() > MOST {
        return Order::TooMany;
    }
    let mut search = Search::new(ran, 0);
    let started = world.in_a_race();
    if search.from(&started, 0).is_none() {
        return Order::TooMany;
    }
    if !search.ends.is_empty() {
        return Order::Ends(search.ends);
    }
    // Which answers contradict each other: those that matter although any other may be ignored.
    let mut ignored = 0;
    for index in (0..ran.len()).rev() {
        let mut without = Search::new(ran, ignored | 1 << index);
        if without.from(&started, 0).is_some() && without.ends.is_empty() {
            ignored |= 1 << index;
        }
    }
    let core = (0..ran.len()).filter(|index| ignored & 1 << index == 0);
    let (order, next) = search.furthest;
    let first = match order.is_empty() {
        true => Vec::new(),
        false => search.first,
    };
    Order::None(Dispute {
        core: core.map(|index| ran[index].step.id).collect(),
        order: order.into_iter().map(|index| ran[index].step.id).collect(),
        next,
        first,
    })
}

/// A set of requests, by their positions.
type Set = u64;

struct Search<'a> {
    ran: &'a [&'a Ran<'a>],
    /// The requests whose answers are not looked at: what they did is left open.
    ignored: Set,
    seen: HashSet<(Set, Mirror, usize)>,
    ends: Vec<Judge>,
    path: Vec<usize>,
    /// The longest order so far, and what contradicts it.
    furthest: (Vec<usize>, Vec<Contradiction>),
    /// What contradicts those that could not come first.
    first: Vec<Contradiction>,
}

impl<'a> Search<'a> {
    fn new(ran: &'a [&'a Ran<'a>], ignored: Set) -> Search<'a> {
        Search {
            ran,
            ignored,
            seen: HashSet::new(),
            ends: Vec::new(),
            path: Vec::new(),
            furthest: (Vec::new(), Vec::new()),
            first: Vec::new(),
        }
    }

    /// Looks at all orders of what is left. Nothing where there are too many.
    fn from(&mut self, world: &Judge, done: Set) -> Option<()> {
        let key = (done, world.mirror().clone(), world.inflight.len());
        if !self.seen.insert(key) {
            return Some(());
        }
        if self.seen.len() > PATIENCE {
            return None;
        }
        if done.count_ones() as usize == self.ran.len() {
            if !self.ends.iter().any(|known| known.is_like(world)) {
                self.ends.push(world.clone());
            }
            return Some(());
        }
        let mut contradictions = Vec::new();
        let left = |index: &usize| done & 1 << index == 0;
        let at_first = self.path.is_empty();
        for index in (0..self.ran.len()).filter(left) {
            let one = self.ran[index];
            // What had ended before it began came before it.
            let mut others = (0..self.ran.len())
                .filter(left)
                .map(|other| self.ran[other]);
            if others.any(|other| other.ended < one.began) {
                continue;
            }
            self.path.push(index);
            let next = done | 1 << index;
            match self.ignored & 1 << index {
                0 => {
                    let mut after = world.clone();
                    let contradiction = look(&mut after, one);
                    match contradiction {
                        None => self.from(&after, next)?,
                        Some(contradiction) => contradictions.push(contradiction),
                    }
                }
                _ => {
                    self.from(world, next)?;
                    for after in world.supposing(one.step, &one.action) {
                        self.from(&after, next)?;
                    }
                }
            }
            self.path.pop();
        }
        if at_first && self.first.is_empty() {
            self.first.clone_from(&contradictions);
        }
        if !contradictions.is_empty()
            && (self.furthest.1.is_empty() || self.path.len() > self.furthest.0.len())
        {
            self.furthest = (self.path.clone(), contradictions);
        }
        // What nobody saw an answer to may take effect at any time.
        for after in world.unfolded() {
            self.from(&after, done)?;
        }
        Some(())
    }
}

/// Judges an answer as the next one; what contradicts it, if anything does.
fn look(world: &mut Judge, one: &Ran<'_>) -> Option<Contradiction> {
    let response = one.response.as_deref()?;
    // Of what is no longer there to be picked the rules say nothing, only that it is no success.
    let offered = (world.model()).picks_from_its_lists(world.mirror(), &one.action);
    if !offered && Statuses::refused(response.status) {
        world.unsaid(one.step.id, &one.action);
        return None;
    }
    let Expectation { action, prediction } = world.expect(one.action.clone());
    let expected = Expectation { action, prediction };
    let took = one.ended.saturating_sub(one.began);
    world.observe(one.step, None, &expected, response, (one.event, took));
    let wrong = world.contradicted();
    if wrong.is_empty() {
        return None;
    }
    let Prediction { outcomes, .. } = &expected.prediction;
    let model = world.model();
    let rule = &model.rules[one.action.rule];
    let statuses = |outcome| model.statuses(one.action.rule, outcome);
    let fits = outcomes.iter().any(|o| statuses(*o).allow(response.status));
    Some(Contradiction {
        step: one.step.id,
        expected: (outcomes.iter())
            .map(|o| (o.name(rule), statuses(*o).to_string()))
            .collect(),
        observed: response.status,
        wrong: if fits { wrong } else { Vec::new() },
    })
}
