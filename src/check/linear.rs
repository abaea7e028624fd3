//! Linearizability: whether some order of recorded operations, each at one instant between its start and its end,
//! explains every answer under a model's rules. It needs no server and no live judge, only the model and the history.
//!
//! Two searches take turns under one budget, since each is quick where the other is lost (Knossos races them, too): the
//! possible worlds carried forward from one answer to the next (Lowe's just-in-time linearization, 2017), and depth first
//! with a memory (Wing and Gong 1993, Lowe 2017). Operations that can have nothing to do with each other are judged apart
//! (Horn and Kroening's P-compositionality, 2015).

mod depth;
mod forward;
mod space;
mod split;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::model::Model;
use crate::model::action::Action;
use crate::model::mirror::Mirror;
use crate::model::oracle::Answer;
use crate::model::value::Handle;
use depth::Depth;
use forward::Forward;
use space::Space;

/// What a client asked of the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    /// It attempted a rule.
    Act(Action),
    /// It read for an invariant, by its position in the model, about an entity if it is said of each of a kind. That
    /// changes nothing, and the claim must hold at some instant meanwhile.
    Read {
        /// The invariant.
        invariant: usize,
        /// The entity.
        entity: Option<Handle>,
    },
}

/// An operation of a history. Times are of one clock, in any unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What it creates is named after this.
    pub id: u32,
    /// What was asked.
    pub deed: Deed,
    /// When it was sent.
    pub start: u64,
    /// When its answer was there. Without an answer: until when it may have taken effect, if that is known.
    pub end: Option<u64>,
    /// What came back; nothing where nobody knows. Then it took effect at some instant after its start, or never.
    pub answer: Option<Answer>,
    /// The same request as an earlier operation, by its id: where the rule says that it is recognised, it changes nothing.
    pub again: Option<u32>,
}

impl Operation {
    /// The operation whose request it sends: its own, or the one that it is a copy of.
    fn request(&self) -> u32 {
        self.again.unwrap_or(self.id)
    }

    /// Until when it may take effect.
    fn until(&self) -> u64 {
        self.end.unwrap_or(u64::MAX)
    }
}

/// How much is looked at before a check gives up.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// So many worlds.
    pub worlds: usize,
    /// So long.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            worlds: 4_000_000,
            time: Duration::from_secs(60),
        }
    }
}

/// What can be said of a history.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Some order explains all answers.
    Explained,
    /// None does.
    Contradicted(Box<Refutation>),
    /// It could not be told within bounds, and why.
    Inconclusive(String),
}

/// How far operations can be put in an order, and what contradicts it then. Operations are given by their positions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refutation {
    /// The longest order that was found to explain its answers. What can have nothing to do with the contradiction is
    /// left out.
    pub order: Vec<usize>,
    /// What could come next, and does not fit.
    pub next: Vec<Misfit>,
}

/// An answer that does not fit where it would have to stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Misfit {
    /// The operation.
    pub operation: usize,
    /// What the rules would have answered: outcomes and the statuses of each, `already_claimed` → `409`.
    pub expected: Vec<(String, String)>,
    /// The status that came.
    pub observed: u16,
    /// What else is wrong, where the status fits.
    pub wrong: Vec<String>,
}

/// Judges a history that starts from a mirror.
pub fn check(model: &Model, start: &Mirror, operations: &[Operation], bounds: &Bounds) -> Verdict {
    let mut budget = Budget {
        left: bounds.worlds,
        until: Instant::now().checked_add(bounds.time),
        why: None,
    };
    if let Some(wrong) = operations
        .iter()
        .position(|op| op.answer.is_some() && op.end.is_none_or(|end| end < op.start))
    {
        return Verdict::Inconclusive(format!(
            "operation {} has an answer and no end after its start",
            operations[wrong].id
        ));
    }
    let mut space = Space::new(model, start, operations);
    let mut by_start: Vec<usize> = (0..operations.len()).collect();
    by_start.retain(|index| !space.is_idle(*index));
    by_start.sort_by_key(|index| (operations[*index].start, operations[*index].until()));
    // What ran by itself at the beginning has one order.
    let mut world = 0;
    let mut alone = 0;
    while alone < by_start.len() {
        let index = by_start[alone];
        let operation = &operations[index];
        let next = by_start.get(alone + 1);
        let apart = next.is_none_or(|next| operation.until() < operations[*next].start);
        if operation.answer.is_none() || !apart {
            break;
        }
        let done = |other: usize| by_start[..alone].contains(&other);
        match space.observe(world, index, done) {
            Some(after) => world = after,
            None => {
                return Verdict::Contradicted(Box::new(Refutation {
                    order: by_start[..alone].to_vec(),
                    next: vec![space.misfit(world, index)],
                }));
            }
        }
        alone += 1;
        if !budget.take(1) {
            return Verdict::Inconclusive(budget.why());
        }
    }
    let (before, rest) = by_start.split_at(alone);
    let mut inconclusive = None;
    for group in split::split(model, space.mirror(world), operations, rest) {
        match search(&mut space, world, before, &group, &mut budget) {
            Verdict::Explained => {}
            Verdict::Contradicted(mut refutation) => {
                let mut order = before.to_vec();
                order.append(&mut refutation.order);
                refutation.order = order;
                return Verdict::Contradicted(refutation);
            }
            Verdict::Inconclusive(why) => inconclusive = Some(why),
        }
    }
    inconclusive.map_or(Verdict::Explained, Verdict::Inconclusive)
}

/// Lets the two searches take turns, each with more patience than before.
fn search(
    space: &mut Space<'_>,
    world: u32,
    before: &[usize],
    group: &[usize],
    budget: &mut Budget,
) -> Verdict {
    let mut forward = Forward::new(space, world, before, group);
    let mut depth = Depth::new(space, world, before, group);
    let mut patience = 256;
    loop {
        // Where there are many orders, one is found at once: in few more places than there are operations.
        let places = (patience * 8).max(group.len() * 4);
        if let Some(verdict) = depth.advance(space, places, budget) {
            return verdict;
        }
        if let Some(verdict) = forward.advance(space, patience, budget) {
            return verdict;
        }
        if budget.is_spent() {
            return Verdict::Inconclusive(budget.why());
        }
        patience *= 4;
    }
}

/// What may be looked at still.
struct Budget {
    left: usize,
    until: Option<Instant>,
    why: Option<&'static str>,
}

impl Budget {
    /// Takes some of it. False if there is none left.
    fn take(&mut self, worlds: usize) -> bool {
        // The clock is asked seldom: it costs more than a world.
        let asked = self.left / 1024 != self.left.saturating_sub(worlds) / 1024;
        self.left = self.left.saturating_sub(worlds);
        if self.left == 0 {
            self.why = Some("there are too many orders to look at");
        } else if asked && self.until.is_some_and(|until| Instant::now() >= until) {
            self.left = 0;
            self.why = Some("there are too many orders to look at in the time");
        }
        self.left > 0
    }

    fn is_spent(&self) -> bool {
        self.left == 0
    }

    fn why(&self) -> String {
        self.why
            .unwrap_or("there are too many orders to look at")
            .to_owned()
    }
}

/// Some operations without an answer that took effect, in order of their positions.
type Used = Vec<u32>;

/// Whether all of some are among others.
fn is_within(few: &[u32], many: &[u32]) -> bool {
    let mut many = many.iter();
    few.iter().all(|one| many.any(|other| other == one))
}

/// Some, and another one.
fn with(some: &[u32], another: u32) -> Vec<u32> {
    let at = some.partition_point(|one| *one < another);
    let mut all = Vec::with_capacity(some.len() + 1);
    all.extend_from_slice(&some[..at]);
    all.push(another);
    all.extend_from_slice(&some[at..]);
    all
}

/// The orders that worlds came about in: each operation with what came before it.
#[derive(Default)]
struct Trails {
    all: Vec<(u32, usize, usize)>,
}

/// The end of a trail; 0 is the beginning of all.
type Trail = u32;

impl Trails {
    /// A trail that goes on from another one.
    fn on(&mut self, from: Trail, operation: usize) -> Trail {
        let length = self.length(from) + 1;
        self.all.push((from, operation, length));
        // As many as there are worlds in the budget, at most.
        u32::try_from(self.all.len()).unwrap_or(u32::MAX)
    }

    fn length(&self, trail: Trail) -> usize {
        match trail.checked_sub(1) {
            Some(at) => self.all[at as usize].2,
            None => 0,
        }
    }

    fn order(&self, mut trail: Trail) -> Vec<usize> {
        let mut order = Vec::new();
        while let Some(at) = trail.checked_sub(1) {
            let (from, operation, _) = self.all[at as usize];
            order.push(operation);
            trail = from;
        }
        order.reverse();
        order
    }
}
