//! Forward: the worlds that are possible are carried from one answer to the next. An operation takes effect as late as it
//! can: when an answer is there, its operation must have, with whatever has to come before it.

use rustc_hash::FxHashMap as HashMap;

use super::space::Space;
use super::{Budget, Refutation, Trail, Trails, Used, Verdict, is_within, with};

/// A possible world at an instant.
#[derive(Clone, Debug)]
struct World {
    state: u32,
    /// The operations under way that took effect already, by their slots.
    ahead: u128,
    /// The operations without an answer that did, as far as it matters.
    used: Used,
    trail: Trail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// What begins when another one ends ran at once with it.
    Begins,
    Ends,
    /// An operation without an answer cannot take effect any more.
    Expires,
}

pub(super) struct Forward {
    /// Instant by instant, what happens to which operation.
    events: Vec<(u64, What, usize)>,
    at: usize,
    worlds: Vec<World>,
    /// The answered operations under way.
    slots: Vec<Option<usize>>,
    slot_of: HashMap<usize, usize>,
    /// The operations that are over, or were before all of this.
    over: Vec<bool>,
    /// The operations without an answer that may take effect yet.
    lost: Vec<usize>,
    trails: Trails,
    /// There are more operations under way than it can tell apart.
    overwhelmed: bool,
}

/// So many operations may be under way at once.
const SLOTS: usize = 128;

/// Worlds that are to be looked at, by how many operations without an answer they used.
#[derive(Default)]
struct Frontier {
    levels: Vec<Vec<World>>,
    lowest: usize,
}

impl Frontier {
    fn push(&mut self, world: World) {
        let level = world.used.len();
        if level >= self.levels.len() {
            self.levels.resize_with(level + 1, Vec::new);
        }
        self.lowest = self.lowest.min(level);
        self.levels[level].push(world);
    }

    fn pop(&mut self) -> Option<World> {
        while let Some(level) = self.levels.get_mut(self.lowest) {
            if let Some(world) = level.pop() {
                return Some(world);
            }
            self.lowest += 1;
        }
        None
    }
}

/// Worlds, without those that took more of what has no answer to come to the same.
#[derive(Default)]
struct Pool {
    known: HashMap<(u32, u128), Vec<Used>>,
}

impl Pool {
    /// Whether it is worth going on from a world to another state, with so many more under way that took effect already, and
    /// perhaps one more that has no answer.
    fn admits_next(
        &mut self,
        world: &World,
        (state, ahead): (u32, u128),
        lost: Option<u32>,
    ) -> bool {
        let known = self.known.entry((state, world.ahead | ahead)).or_default();
        let within = |few: &Used| {
            let mut many = world.used.iter();
            let mut few = few.iter().filter(|one| Some(**one) != lost);
            few.all(|one| many.any(|other| other == one))
        };
        if known.iter().any(within) {
            return false;
        }
        known.push(match lost {
            Some(lost) => with(&world.used, lost),
            None => world.used.clone(),
        });
        true
    }

    fn admits(&mut self, world: &World) -> bool {
        let known = self.known.entry((world.state, world.ahead)).or_default();
        if known.iter().any(|used| is_within(used, &world.used)) {
            return false;
        }
        known.retain(|used| !is_within(&world.used, used));
        known.push(world.used.clone());
        true
    }

    /// Whether a world is still among those that are worth keeping.
    fn keeps(&self, world: &World) -> bool {
        let known = self.known.get(&(world.state, world.ahead));
        known.is_some_and(|known| known.contains(&world.used))
    }
}

impl Forward {
    pub fn new(space: &Space<'_>, state: u32, before: &[usize], group: &[usize]) -> Forward {
        let operations = space.operations();
        let mut events = Vec::new();
        for index in group {
            let op = &operations[*index];
            events.push((op.start, What::Begins, *index));
            match (&op.answer, op.end) {
                (Some(_), Some(end)) => events.push((end, What::Ends, *index)),
                (None, Some(end)) => events.push((end.max(op.start), What::Expires, *index)),
                _ => {}
            }
        }
        events.sort_unstable();
        let mut over = vec![false; operations.len()];
        for index in before {
            over[*index] = true;
        }
        Forward {
            events,
            at: 0,
            worlds: vec![World {
                state,
                ahead: 0,
                used: Vec::new(),
                trail: 0,
            }],
            slots: Vec::new(),
            slot_of: HashMap::default(),
            over,
            lost: Vec::new(),
            trails: Trails::default(),
            overwhelmed: false,
        }
    }

    /// Goes on, looking at no more than so many worlds for one event. Nothing if that is not enough.
    pub fn advance(
        &mut self,
        space: &mut Space<'_>,
        patience: usize,
        budget: &mut Budget,
    ) -> Option<Verdict> {
        while !self.overwhelmed {
            let Some((_, what, operation)) = self.events.get(self.at).copied() else {
                return Some(Verdict::Explained);
            };
            let answered = space.operations()[operation].answer.is_some();
            match what {
                What::Begins if answered => {
                    let free = self.slots.iter().position(Option::is_none);
                    let slot = free.unwrap_or(self.slots.len());
                    if slot >= SLOTS {
                        self.overwhelmed = true;
                        return None;
                    }
                    if slot == self.slots.len() {
                        self.slots.push(None);
                    }
                    self.slots[slot] = Some(operation);
                    self.slot_of.insert(operation, slot);
                }
                What::Begins => self.lost.push(operation),
                What::Ends => {
                    let closed = self.close(space, operation, patience, budget)?;
                    let slot = self.slot_of.remove(&operation).unwrap_or_default();
                    if closed.worlds.is_empty() {
                        let mut next = vec![space.misfit(closed.furthest.state, operation)];
                        for other in self.slots.iter().flatten().filter(|o| **o != operation) {
                            let bit = 1 << self.slot_of.get(other).copied().unwrap_or_default();
                            let done = |o: usize| self.over[o];
                            let ahead = closed.furthest.ahead & bit != 0;
                            if !ahead
                                && space.observe(closed.furthest.state, *other, done).is_none()
                            {
                                next.push(space.misfit(closed.furthest.state, *other));
                            }
                        }
                        return Some(Verdict::Contradicted(Box::new(Refutation {
                            order: self.trails.order(closed.furthest.trail),
                            next,
                        })));
                    }
                    self.worlds = closed.worlds;
                    self.slots[slot] = None;
                    self.over[operation] = true;
                    self.forget();
                }
                // All worlds have used it.
                What::Expires if !self.lost.contains(&operation) => {}
                What::Expires => {
                    let closed = self.close(space, operation, patience, budget)?;
                    self.lost.retain(|lost| *lost != operation);
                    let expired = number(operation);
                    let mut pool = Pool::default();
                    let mut worlds = std::mem::take(&mut self.worlds);
                    worlds.extend(closed.worlds);
                    for world in &mut worlds {
                        world.used.retain(|lost| *lost != expired);
                    }
                    worlds.retain(|world| pool.admits(world));
                    worlds.retain(|world| pool.keeps(world));
                    self.worlds = worlds;
                }
            }
            self.at += 1;
        }
        None
    }

    /// What all worlds have used needs no mention.
    fn forget(&mut self) {
        let Some(first) = self.worlds.first() else {
            return;
        };
        let everywhere = |lost: &u32| self.worlds.iter().all(|w| w.used.contains(lost));
        let settled: Vec<u32> = first.used.iter().copied().filter(everywhere).collect();
        if settled.is_empty() {
            return;
        }
        for world in &mut self.worlds {
            world.used.retain(|lost| !settled.contains(lost));
        }
        self.lost.retain(|lost| !settled.contains(&number(*lost)));
    }

    /// All worlds in which an operation has taken effect. Nothing if there are too many to look at.
    fn close(
        &mut self,
        space: &mut Space<'_>,
        target: usize,
        patience: usize,
        budget: &mut Budget,
    ) -> Option<Closed> {
        let bit = |slot: &usize| 1u128 << slot;
        let wanted = self.slot_of.get(&target).map(bit);
        let lost = number(target);
        let mut seen = Pool::default();
        let mut planned = Pool::default();
        let mut reached = Pool::default();
        let mut worlds = Vec::new();
        // Those that used less come first: they make the others not worth looking at.
        let mut furthest = self.worlds.first()?.clone();
        let mut frontier = Frontier::default();
        for world in &self.worlds {
            planned.admits(world);
            frontier.push(world.clone());
        }
        let mut looked = 0;
        while let Some(mut world) = frontier.pop() {
            looked += 1;
            if looked > patience || !budget.take(1) {
                return None;
            }
            self.hurry(space, &mut world);
            let done = match wanted {
                Some(bit) => world.ahead & bit != 0,
                None => world.used.contains(&lost),
            };
            if done {
                // It is over now, so that nothing tells of it.
                world.ahead &= !wanted.unwrap_or_default();
                if reached.admits(&world) {
                    worlds.push(world);
                }
                continue;
            }
            if !seen.admits(&world) {
                continue;
            }
            if self.trails.length(world.trail) > self.trails.length(furthest.trail) {
                furthest = world.clone();
            }
            for slot in 0..self.slots.len() {
                let Some(operation) = self.slots[slot] else {
                    continue;
                };
                if world.ahead & bit(&slot) != 0 {
                    continue;
                }
                let over = |other: usize| self.is_done(&world, other);
                if let Some(state) = space.observe(world.state, operation, over)
                    && planned.admits_next(&world, (state, bit(&slot)), None)
                {
                    frontier.push(World {
                        state,
                        ahead: world.ahead | bit(&slot),
                        used: world.used.clone(),
                        trail: self.trails.on(world.trail, operation),
                    });
                }
            }
            for index in 0..self.lost.len() {
                let operation = self.lost[index];
                if world.used.contains(&number(operation)) {
                    continue;
                }
                for state in space.suppose(world.state, operation).iter() {
                    if !planned.admits_next(&world, (*state, 0), Some(number(operation))) {
                        continue;
                    }
                    frontier.push(World {
                        state: *state,
                        ahead: world.ahead,
                        used: with(&world.used, number(operation)),
                        trail: self.trails.on(world.trail, operation),
                    });
                }
            }
        }
        worlds.retain(|world| reached.keeps(world));
        Some(Closed { worlds, furthest })
    }

    /// Takes what is allowed and changes nothing.
    fn hurry(&mut self, space: &mut Space<'_>, world: &mut World) {
        for slot in 0..self.slots.len() {
            let Some(operation) = self.slots[slot] else {
                continue;
            };
            let bit = 1u128 << slot;
            if world.ahead & bit != 0 || !space.may_hurry(operation) {
                continue;
            }
            let over = |other: usize| self.is_done(world, other);
            if space.observe(world.state, operation, over) == Some(world.state) {
                world.ahead |= bit;
                world.trail = self.trails.on(world.trail, operation);
            }
        }
    }

    fn is_done(&self, world: &World, operation: usize) -> bool {
        let ahead = |slot: &usize| world.ahead & 1u128 << slot != 0;
        self.over[operation] || self.slot_of.get(&operation).is_some_and(ahead)
    }
}

/// The worlds in which an operation has taken effect, and the one that came furthest without.
struct Closed {
    worlds: Vec<World>,
    furthest: World,
}

fn number(operation: usize) -> u32 {
    u32::try_from(operation).unwrap_or(u32::MAX)
}
