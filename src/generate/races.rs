//! Races: steps that are sent at the same instant. What runs against a step is what it matters to who comes first.

use proptest::test_runner::TestRunner;
use rand::RngExt;

use super::draft::Draft;
use super::generator::Prepared;
use super::plan::{Delivery, Lane, Step};
use super::rehearsal::rehearse_step;
use super::search::{Bow, Fixed};
use crate::model::By;
use crate::model::action::{Action, Actor, Outcome, Picked};
use crate::model::mirror::Mirror;
use crate::model::value::{Handle, KindId};

/// How many races plans hold, and how wide they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Races {
    /// How many of 1,000 steps that change something run against others; none: no races at all.
    pub permille: u16,
    /// How many branches a race has at most, from 2 to 8.
    pub width: u8,
}

impl Default for Races {
    fn default() -> Self {
        Races {
            permille: 0,
            width: 4,
        }
    }
}

impl Races {
    /// The most branches that a race has.
    pub const WIDEST: u8 = 8;
}

/// How much more often a rule runs against others that was not raced yet, as a power, and the share of the rate that is left
/// however often it was.
const SELDOM: f64 = 4.0;
const LEFT: f64 = 0.8;

impl Races {
    /// How many of 1,000 steps of a rule run against others that was raced so often in its round: the seldom ones more often,
    /// since there may not be many occasions.
    pub(super) fn permille_of(self, raced: u16) -> u16 {
        let rate = f64::from(self.permille.min(1000)) / 1000.0;
        let seldom = 1.0 - (1.0 - rate).powf(SELDOM / (f64::from(raced) + 1.0));
        // It lies between 0 and 1000.
        ((rate * LEFT).max(seldom) * 1000.0).round() as u16
    }
}

/// In percent: that a branch is the same request once more, and that it is what the first step does, with other
/// arguments or by somebody else.
const TWICE: u32 = 20;
const SAME_RULE: u32 = 60;

/// In percent, how often somebody else is tried first: a server often takes one principal's requests one by one.
const OTHERS: u32 = 65;

/// In percent, how often a branch goes on.
const GOES_ON: u32 = 20;

/// The most steps of a branch.
const LONGEST: usize = 5;

/// So many actions are looked at for one to which the order matters.
const TRIES: usize = 8;

/// Draws what runs against a step that a draft has taken: the step itself, and the others.
pub(super) fn against(
    prepared: &Prepared,
    runner: &mut TestRunner,
    before: &Mirror,
    first: Step,
    draft: &mut Draft,
) -> Vec<Step> {
    let races = prepared.options.races;
    let lane = |branch| {
        Some(Lane {
            race: first.id,
            branch,
        })
    };
    let most = races.width.clamp(2, Races::WIDEST);
    let branches = match runner.rng().random_range(0..100) {
        0..55 => 2,
        55..80 => 3,
        80..92 => 4,
        _ => runner.rng().random_range(2..=most),
    };
    let mut steps = vec![Step {
        lane: lane(0),
        ..first.clone()
    }];
    for branch in 1..branches.min(most) {
        let mut rules = Rivals {
            prepared,
            runner: &mut *runner,
            before,
            first: &first,
        };
        let Some((action, delivery)) = rules.one(&mut draft.fresh) else {
            continue;
        };
        let mut actions = vec![(action, delivery)];
        while actions.len() < LONGEST && rules.chance(GOES_ON) {
            let next = rules.other(&mut draft.fresh);
            let Some(next) = next.filter(|action| !rules.is_the_same(action)) else {
                break;
            };
            actions.push((next, Delivery::Once));
        }
        for (action, delivery) in actions {
            let recognised = delivery.copy_of().is_some()
                && (prepared.model.rules[action.rule].idempotent).is_some();
            let step = match recognised {
                true => draft.repeat(prepared, first.clone(), delivery),
                false => {
                    draft.left = draft.left.saturating_sub(1);
                    draft.take(prepared, action).0
                }
            };
            steps.push(Step {
                delivery,
                lane: lane(branch),
                ..step
            });
        }
    }
    if steps.len() == 1 {
        steps[0].lane = None;
    }
    steps
}

/// A step, and what may run against it.
struct Rivals<'a> {
    prepared: &'a Prepared,
    runner: &'a mut TestRunner,
    before: &'a Mirror,
    first: &'a Step,
}

impl Rivals<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.runner.rng().random_range(0..bound.max(1))
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.runner.rng().random_range(0..100) < percent
    }

    /// The first step of a branch.
    fn one(&mut self, fresh: &mut u32) -> Option<(Action, Delivery)> {
        let twice = (
            self.first.action.clone(),
            Delivery::Again {
                of: self.first.id,
                lost: true,
            },
        );
        if self.chance(TWICE) {
            return Some(twice);
        }
        let rival = self.other(fresh).filter(|action| !self.is_the_same(action));
        Some(rival.map_or(twice, |action| (action, Delivery::Once)))
    }

    /// Whether an action is that of the first step once more, of a rule whose requests have keys: without that key it is a
    /// request that no client sends, with another's unique values.
    fn is_the_same(&self, action: &Action) -> bool {
        let rule = &self.prepared.model.rules[action.rule];
        *action == self.first.action && rule.key().is_some()
    }

    /// Something else that is possible before the race, and to which it matters what comes first, if it is found.
    fn other(&mut self, fresh: &mut u32) -> Option<Action> {
        let mut found = None;
        for _ in 0..TRIES {
            let action = match self.chance(SAME_RULE) {
                true => self.same_rule(fresh),
                false => self.about_the_same(fresh),
            };
            let Some(action) = action else { continue };
            if self.matters(&action) {
                return Some(action);
            }
            found.get_or_insert(action);
        }
        found.filter(|_| self.chance(50))
    }

    /// Who acts instead.
    fn somebody(&mut self, kind: KindId) -> Option<Handle> {
        let own = self.first.action.actor.handle();
        let others = self.before.live(kind).filter(|h| Some(*h) != own);
        let others: Vec<Handle> = others.collect();
        match self.chance(OTHERS) && !others.is_empty() {
            true => Some(others[self.below(others.len())]),
            false => own,
        }
    }

    /// What the first step does, by somebody else or with other arguments.
    fn same_rule(&mut self, fresh: &mut u32) -> Option<Action> {
        let action = self.first.action.clone();
        let rule = &self.prepared.model.rules[action.rule];
        let by = match rule.by {
            By::Kind(kind) => self.somebody(kind),
            By::Anyone => None,
        };
        if self.chance(30) {
            let actor = by.map_or(action.actor, Actor::Entity);
            return Some(Action { actor, ..action });
        }
        let picks: Vec<Option<Handle>> = action.picks.iter().map(|p| Picked::handle(*p)).collect();
        self.shoot(action.rule, by, &picks, fresh)
    }

    /// Something else about what the first step is about.
    fn about_the_same(&mut self, fresh: &mut u32) -> Option<Action> {
        let action = &self.first.action;
        let mut about: Vec<Handle> = action.picks.iter().filter_map(|p| p.handle()).collect();
        about.extend(action.actor.handle());
        let rules = &self.prepared.model.rules;
        let such = (0..rules.len()).filter(|rule| {
            let picks = &rules[*rule].picks;
            self.prepared.allowed[*rule]
                && picks.iter().any(|p| about.iter().any(|h| h.kind == p.kind))
        });
        let such: Vec<usize> = such.collect();
        let rule = *such.get(self.below(such.len()))?;
        let by = match rules[rule].by {
            By::Kind(kind) => self.somebody(kind),
            By::Anyone => None,
        };
        let picks = rules[rule].picks.iter();
        let picks: Vec<Option<Handle>> = picks
            .map(|pick| about.iter().copied().find(|h| h.kind == pick.kind))
            .collect();
        self.shoot(rule, by, &picks, fresh)
    }

    fn shoot(
        &mut self,
        rule: usize,
        by: Option<Handle>,
        picks: &[Option<Handle>],
        fresh: &mut u32,
    ) -> Option<Action> {
        let successes = self.prepared.model.rules[rule].successes.len();
        let outcome = Outcome::Ok(self.below(successes));
        let mut bow = Bow {
            prepared: self.prepared,
            mirror: self.before,
            runner: self.runner,
            fresh,
            recent: 50,
        };
        let fixed = Fixed {
            favourite: by,
            picks,
            ..Fixed::default()
        };
        bow.shoot(rule, outcome, fixed)
    }

    /// Whether it matters if an action comes before the first step or after it: either is answered otherwise, or both
    /// change the same.
    fn matters(&self, action: &Action) -> bool {
        let model = &self.prepared.model;
        let rival = Step::new(u32::MAX, action.clone());
        let mut alone = self.before.clone();
        let Some(first) = rehearse_step(model, &mut alone, self.first) else {
            return false;
        };
        let mut second = alone.clone();
        let mut other = self.before.clone();
        let (Some(later), Some(earlier)) = (
            rehearse_step(model, &mut second, &rival),
            rehearse_step(model, &mut other, &rival),
        ) else {
            return true;
        };
        let mut last = other.clone();
        let late = rehearse_step(model, &mut last, self.first);
        let answered = later.prediction.outcomes != earlier.prediction.outcomes
            || late.is_none_or(|late| late.prediction.outcomes != first.prediction.outcomes);
        let changed = alone.changed_since(self.before);
        let both = other.changed_since(self.before);
        answered
            || both.iter().any(|handle| changed.contains(handle))
            || later.created.len() != earlier.created.len()
    }
}
