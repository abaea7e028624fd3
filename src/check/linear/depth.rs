//! Depth first: one order after the other, as Wing and Gong do it, with Lowe's memory of what was looked at. It finds an
//! order soon where there are many, and is lost where there is none and much may have happened.

use rustc_hash::FxHashMap as HashMap;

use super::space::Space;
use super::{Budget, Operation, Refutation, Trail, Trails, Used, Verdict, is_within, with};

/// Where a search stands.
#[derive(Clone, Debug)]
struct Place {
    state: u32,
    /// All answered operations before this one, in the order in which they began, took effect.
    low: usize,
    /// And these ones after it.
    ahead: Vec<u32>,
    /// The operations without an answer that did.
    used: Used,
    /// Of those without an answer so many that began first cannot be next any more.
    spent: usize,
    /// When the last of all these began.
    latest: u64,
    trail: Trail,
}

/// A place, and what may be next there that was not looked at.
struct Open {
    place: Place,
    /// The operations that may be next; the last one first.
    next: Vec<Next>,
    /// What one of them leads to.
    states: Vec<(Next, u32)>,
}

#[derive(Clone, Copy)]
enum Next {
    /// An answered operation, by its position among these.
    Told(usize),
    /// One without an answer.
    Lost(usize),
}

pub(super) struct Depth {
    /// The answered operations in the order in which they began.
    told: Vec<usize>,
    position: HashMap<usize, usize>,
    /// Those without an answer, in that order, too.
    lost: Vec<usize>,
    /// Whether any of these cannot come at any time.
    fenced: bool,
    before: Vec<bool>,
    open: Vec<Open>,
    /// What was looked at: the places, with what they had used of what has no answer.
    seen: HashMap<(u32, u32, Vec<u32>), Vec<Used>>,
    trails: Trails,
    furthest: Place,
    first: Option<Place>,
}

impl Depth {
    pub fn new(space: &Space<'_>, state: u32, before: &[usize], group: &[usize]) -> Depth {
        let operations = space.operations();
        let answered = |index: &usize| operations[*index].answer.is_some();
        let (told, lost): (Vec<usize>, Vec<usize>) = group.iter().copied().partition(answered);
        let mut is_before = vec![false; operations.len()];
        for index in before {
            is_before[*index] = true;
        }
        let place = Place {
            state,
            low: 0,
            ahead: Vec::new(),
            used: Vec::new(),
            spent: 0,
            latest: 0,
            trail: 0,
        };
        let positions = told.iter().enumerate().map(|(at, index)| (*index, at));
        Depth {
            position: positions.collect(),
            fenced: lost.iter().any(|index| operations[*index].end.is_some()),
            told,
            lost,
            before: is_before,
            open: Vec::new(),
            seen: HashMap::default(),
            trails: Trails::default(),
            furthest: place.clone(),
            first: Some(place),
        }
    }

    /// Goes on, looking at no more than so many places. Nothing if that is not enough.
    pub fn advance(
        &mut self,
        space: &mut Space<'_>,
        patience: usize,
        budget: &mut Budget,
    ) -> Option<Verdict> {
        if let Some(first) = self.first.take()
            && self.enter(space, first)
        {
            return Some(Verdict::Explained);
        }
        for _ in 0..patience {
            let (open, (next, state)) = loop {
                let Some(open) = self.open.last_mut() else {
                    return Some(self.refuted(space));
                };
                if let Some(state) = open.states.pop() {
                    break (open, state);
                }
                match open.next.pop() {
                    Some(next) => self.look_at(space, next),
                    None => drop(self.open.pop()),
                }
            };
            let mut place = open.place.clone();
            place.state = state;
            self.step(space, &mut place, next);
            if !budget.take(1) {
                return None;
            }
            if self.enter(space, place) {
                return Some(Verdict::Explained);
            }
        }
        None
    }

    fn refuted(&self, space: &mut Space<'_>) -> Verdict {
        let place = &self.furthest;
        let (next, _) = self.candidates(space, place);
        let unfit: Vec<usize> = (next.into_iter().map(|position| self.told[position]))
            .filter(|operation| {
                let done = |other: usize| self.is_done(place, other);
                space.observe(place.state, *operation, done).is_none()
            })
            .collect();
        Verdict::Contradicted(Box::new(Refutation {
            order: self.trails.order(place.trail),
            next: (unfit.into_iter())
                .map(|operation| space.misfit(place.state, operation))
                .collect(),
        }))
    }

    /// Notes that an operation took effect.
    fn step(&mut self, space: &Space<'_>, place: &mut Place, next: Next) {
        let operation = match next {
            Next::Told(position) => {
                place.ahead = with(&place.ahead, number(position));
                let mut passed = 0;
                while place.ahead.get(passed) == Some(&number(place.low)) {
                    passed += 1;
                    place.low += 1;
                }
                place.ahead.drain(..passed);
                self.told[position]
            }
            Next::Lost(operation) => {
                place.used = with(&place.used, number(operation));
                operation
            }
        };
        place.latest = place.latest.max(space.operations()[operation].start);
        while let Some(lost) = self.lost.get(place.spent)
            && is_past(space.operations(), place, *lost)
        {
            place.spent += 1;
        }
        place.trail = self.trails.on(place.trail, operation);
    }

    /// Opens a place, unless it was looked at. True if everything is done there.
    fn enter(&mut self, space: &mut Space<'_>, mut place: Place) -> bool {
        let (mut told, mut earliest) = self.candidates(space, &place);
        loop {
            // What is allowed and changes nothing is taken at once, unless that keeps something from coming before.
            let usable = self.fenced.then(|| self.usable(space, &place, earliest));
            let until = |lost: usize| space.operations()[lost].until();
            let fence = usable.and_then(|usable| usable.map(until).min());
            let mut taken = None;
            for position in &told {
                let operation = self.told[*position];
                let late = fence.is_some_and(|f| f < space.operations()[operation].start);
                let done = |other: usize| self.is_done(&place, other);
                if !late
                    && space.may_hurry(operation)
                    && space.observe(place.state, operation, done) == Some(place.state)
                {
                    taken = Some(*position);
                    break;
                }
            }
            let Some(position) = taken else { break };
            self.step(space, &mut place, Next::Told(position));
            (told, earliest) = self.candidates(space, &place);
        }
        if place.low == self.told.len() {
            return true;
        }
        // What has no answer can always come; how far an order goes is for the answers to say.
        let answered = |place: &Place| place.low + place.ahead.len();
        if answered(&place) > answered(&self.furthest) {
            self.furthest = place.clone();
        }
        let key = (number(place.low), place.state, place.ahead.clone());
        let seen = self.seen.entry(key).or_default();
        if seen.iter().any(|used| is_within(used, &place.used)) {
            return false;
        }
        seen.push(place.used.clone());
        let mut next: Vec<Next> = self
            .usable(space, &place, earliest)
            .map(Next::Lost)
            .collect();
        next.extend(told.into_iter().map(Next::Told));
        // What began first is the likeliest to have come first, be it answered or not.
        next.sort_by_key(|next| std::cmp::Reverse(space.operations()[self.operation(*next)].start));
        if !next.is_empty() {
            let states = Vec::new();
            self.open.push(Open {
                place,
                next,
                states,
            });
        }
        false
    }

    /// Finds what an operation leads to that may be next in the place that was opened last.
    fn look_at(&mut self, space: &mut Space<'_>, next: Next) {
        let Some(Open { place, .. }) = self.open.last() else {
            return;
        };
        let states: Vec<(Next, u32)> = match next {
            Next::Told(position) => {
                let done = |other: usize| self.is_done(place, other);
                let state = space.observe(place.state, self.told[position], done);
                state.map(|state| (next, state)).into_iter().collect()
            }
            Next::Lost(operation) => {
                let states = space.suppose(place.state, operation);
                states.iter().map(|state| (next, *state)).collect()
            }
        };
        if let Some(open) = self.open.last_mut() {
            open.states = states;
        }
    }

    fn operation(&self, next: Next) -> usize {
        match next {
            Next::Told(position) => self.told[position],
            Next::Lost(operation) => operation,
        }
    }

    /// The answered operations that may be next, and when the first of what is left ended.
    fn candidates(&self, space: &Space<'_>, place: &Place) -> (Vec<usize>, u64) {
        let operations = space.operations();
        let mut earliest = u64::MAX;
        let mut candidates = Vec::new();
        let mut ahead = place.ahead.iter().peekable();
        for position in place.low..self.told.len() {
            if ahead.peek() == Some(&&number(position)) {
                ahead.next();
                continue;
            }
            let op = &operations[self.told[position]];
            if op.start > earliest {
                break;
            }
            earliest = earliest.min(op.until());
            candidates.push(position);
        }
        (candidates, earliest)
    }

    /// The operations without an answer that may be next: those that began before any of the answered ones that are left
    /// ended.
    fn usable<'a>(
        &'a self,
        space: &Space<'a>,
        place: &'a Place,
        earliest: u64,
    ) -> impl Iterator<Item = usize> + 'a {
        let operations = space.operations();
        let begun = self.lost[place.spent..].iter().copied();
        let begun = begun.take_while(move |lost| operations[*lost].start <= earliest);
        begun.filter(move |lost| !is_past(operations, place, *lost))
    }

    fn is_done(&self, place: &Place, operation: usize) -> bool {
        let told = |at: &usize| *at < place.low || place.ahead.binary_search(&number(*at)).is_ok();
        self.before[operation] || self.position.get(&operation).is_some_and(told)
    }
}

/// Whether an operation without an answer has taken effect, or cannot any more.
fn is_past(operations: &[Operation], place: &Place, lost: usize) -> bool {
    place.latest > operations[lost].until() || place.used.binary_search(&number(lost)).is_ok()
}

fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
