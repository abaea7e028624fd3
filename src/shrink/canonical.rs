//! The canonical form: of all candidates that the model cannot tell apart, the one to show. The same failure found by
//! two seeds comes out as the same plan, with its arguments at their simplest, the fewest principals and entities, and
//! independent steps in the order of the model's rules.

use std::collections::{BTreeMap, BTreeSet};

use super::reduce::{Candidate, Deed, Goal, Keep, Reducer, renumber, same_subject};
use super::simplify::instance;
use crate::generate::{Delivery, Step, rehearse_step};
use crate::model::action::{Action, Actor, Forgery, Outcome, Picked};
use crate::model::value::{Handle, Value};
use crate::model::{Body, By};

/// What one pass makes simpler may let another go further; in practice the second round changes little.
const ROUNDS: usize = 4;
/// Of each argument that is a choice, so many alternatives are tried where a step is done another way.
const CHOICES: usize = 2;

impl Reducer<'_> {
    /// The canonical form of a candidate. With `shorten`, steps are dropped as the goal admits.
    pub fn canonical(
        &self,
        candidate: &Candidate,
        goal: &Goal,
        keep: Keep,
        shorten: bool,
    ) -> Candidate {
        let mut kept = candidate.clone();
        for _ in 0..ROUNDS {
            let mut next = kept.clone();
            if shorten {
                next = self.shorten(&next, goal);
                next = self.fewer_entities(&next, goal);
                next = self.shorter_ways(&next, goal);
            }
            next = self.plainer_rules(&next, keep);
            next = self.earlier_entities(&next, keep);
            next = self.earlier_principals(&next, keep);
            next = self.simpler_arguments(&next, keep);
            next = self.ordered(&next, keep);
            next = self.entities_in_order(&next, keep);
            let numbered = renumber(&next);
            // Lists are in order of creation, which a new order of steps changes.
            if self.admits(&numbered, goal) || self.deeds(&numbered.steps).is_some() && !shorten {
                next = numbered;
            }
            if next == kept {
                break;
            }
            kept = next;
        }
        kept
    }

    /// Rules that send the same request by an earlier rule, which says the same of it.
    fn plainer_rules(&self, candidate: &Candidate, keep: Keep) -> Candidate {
        let mut kept = candidate.clone();
        let Some((deeds, mirror)) = self.deeds(&kept.steps) else {
            return kept;
        };
        // What fails belongs to its rule.
        for index in 0..kept.steps.len().saturating_sub(1) {
            for other in 0..kept.steps[index].action.rule {
                if !self.sends_the_same(kept.steps[index].action.rule, other) {
                    continue;
                }
                let mut plainer = kept.clone();
                plainer.steps[index].action.rule = other;
                let plainer = plainer.synced();
                let same = self
                    .deeds(&plainer.steps)
                    .is_some_and(|(_, end)| end == mirror);
                if same && self.alike(&plainer, &deeds, keep) {
                    kept = plainer;
                    break;
                }
            }
        }
        kept
    }

    /// Steps replaced by ones of other rules that need less: where any way to make something will do, the shortest.
    fn shorter_ways(&self, candidate: &Candidate, goal: &Goal) -> Candidate {
        let mut kept = candidate.clone();
        let mut index = 0;
        while index + 1 < kept.steps.len() {
            let ways =
                (0..self.model.rules.len()).flat_map(|rule| (0..CHOICES).map(move |n| (rule, n)));
            let shorter = ways.into_iter().find_map(|(rule, nth)| {
                let mut other = kept.clone();
                other.steps[index].action = self.likewise(&kept.steps[index], rule, nth)?;
                let mut other = other.synced();
                if !self.picks_are_offered(&other, index) || !self.admits(&other, goal) {
                    return None;
                }
                self.drop_chunks(&mut other, goal);
                (other.steps.len() < kept.steps.len()).then_some(other)
            });
            match shorter {
                Some(shorter) => {
                    kept = shorter;
                    index = 0;
                }
                None => index += 1,
            }
        }
        kept
    }

    /// The action by another rule, about the same entities, with the simplest arguments; nothing if it needs others.
    fn likewise(&self, step: &Step, rule: usize, nth: usize) -> Option<Action> {
        let (old, new) = (&self.model.rules[step.action.rule], &self.model.rules[rule]);
        let same_actors = match (old.by, new.by) {
            (By::Kind(one), By::Kind(other)) => one == other,
            (By::Anyone, By::Anyone) => true,
            _ => false,
        };
        if !same_actors || rule == step.action.rule {
            return None;
        }
        let mut left: Vec<Picked> = step.action.picks.clone();
        let mut picks = Vec::new();
        for pick in &new.picks {
            let of_kind = |p: &Picked| p.handle().is_some_and(|h| h.kind == pick.kind);
            picks.push(left.remove(left.iter().position(of_kind)?));
        }
        let mut fresh = step.id.saturating_mul(100).saturating_add(2_000_000);
        let args: Option<Vec<Value>> = new
            .args
            .iter()
            .map(|arg| instance(&arg.domain, nth, &mut fresh))
            .collect();
        Some(Action {
            rule,
            actor: step.action.actor,
            picks,
            args: args?,
        })
    }

    fn sends_the_same(&self, rule: usize, other: usize) -> bool {
        let (rule, other) = (&self.model.rules[rule], &self.model.rules[other]);
        let bare = |r: &crate::model::Rule| {
            r.args.is_empty()
                && r.request.query.is_empty()
                && r.request.headers.is_empty()
                && matches!(r.request.body, Body::Empty)
        };
        rule.request.method == other.request.method
            && rule.request.path == other.request.path
            && matches!((rule.by, other.by), (By::Kind(a), By::Kind(b)) if a == b)
            && rule
                .picks
                .iter()
                .map(|p| p.kind)
                .eq(other.picks.iter().map(|p| p.kind))
            && other.picks.iter().all(|p| p.from.is_none())
            && bare(rule)
            && bare(other)
    }

    /// Every step by the first principal and about the first entities that will do.
    fn earlier_entities(&self, candidate: &Candidate, keep: Keep) -> Candidate {
        let mut kept = candidate.clone();
        let Some((deeds, mirror)) = self.deeds(&kept.steps) else {
            return kept;
        };
        for index in 0..kept.steps.len() {
            let action = kept.steps[index].action.clone();
            if let (Actor::Forged(whose, forgery), Keep::Outcomes | Keep::Last) =
                (action.actor, keep)
            {
                // None are simpler than wrong ones.
                let mut action = action.clone();
                action.actor = match forgery.is_of_token() {
                    true => Actor::Forged(whose, Forgery::Tokenless),
                    false => Actor::Nobody,
                };
                self.swap_action(&mut kept, index, action, &deeds, keep);
            }
            if let Some(current) = kept.steps[index].action.actor.shows() {
                for (earlier, _) in mirror.all(current.kind) {
                    if earlier >= current {
                        break;
                    }
                    let mut action = kept.steps[index].action.clone();
                    action.actor = action.actor.renamed(|_| earlier);
                    if self.swap_action(&mut kept, index, action, &deeds, keep) {
                        break;
                    }
                }
            }
            for pick in 0..action.picks.len() {
                let Picked::Entity(current) = action.picks[pick] else {
                    continue;
                };
                for (earlier, _) in mirror.all(current.kind) {
                    if earlier >= current {
                        break;
                    }
                    let mut action = kept.steps[index].action.clone();
                    action.picks[pick] = Picked::Entity(earlier);
                    if self.swap_action(&mut kept, index, action, &deeds, keep) {
                        break;
                    }
                }
            }
        }
        kept
    }

    fn swap_action(
        &self,
        kept: &mut Candidate,
        index: usize,
        action: Action,
        deeds: &BTreeMap<u32, Deed>,
        keep: Keep,
    ) -> bool {
        let mut other = kept.clone();
        other.steps[index].action = action;
        let other = other.synced();
        let done = same_subject(&other, kept)
            && self.picks_are_offered(&other, index)
            && self.alike(&other, deeds, keep);
        if done {
            *kept = other;
        }
        done
    }

    /// Whether the picks of a step are among those that its rule picks from.
    fn picks_are_offered(&self, candidate: &Candidate, index: usize) -> bool {
        let action = &candidate.steps[index].action;
        let rule = &self.model.rules[action.rule];
        if rule.picks.iter().all(|p| p.from.is_none()) {
            return true;
        }
        let mut mirror = self.start.clone();
        for step in &candidate.steps[..index] {
            rehearse_step(self.model, &mut mirror, step);
        }
        let names = self.model.names(action, false);
        let scope = self.model.scope(&mirror, &names);
        rule.picks.iter().zip(&action.picks).all(|(pick, picked)| {
            let (Some(from), Picked::Entity(handle)) = (&pick.from, picked) else {
                return true;
            };
            match from.eval(&scope) {
                Ok(Value::List(items)) => items.contains(&Value::Entity(*handle)),
                _ => false,
            }
        })
    }

    /// Independent steps in the order of the model's rules, and of who acts; the last stays the last.
    fn ordered(&self, candidate: &Candidate, keep: Keep) -> Candidate {
        let mut kept = candidate.clone();
        let Some((deeds, _)) = self.deeds(&kept.steps) else {
            return kept;
        };
        let last = kept.steps.len().saturating_sub(1);
        let key = |step: &Step| {
            (
                step.action.rule,
                step.action.actor,
                step.action.picks.clone(),
            )
        };
        for place in 0..last {
            let mut places: Vec<usize> = (place..last).collect();
            places.sort_by_key(|p| key(&kept.steps[*p]));
            for from in places {
                if from == place {
                    break;
                }
                let mut other = kept.clone();
                let step = other.steps.remove(from);
                other.steps.insert(place, step);
                if other.races_are_whole() && self.alike(&other, &deeds, keep) {
                    kept = other;
                    break;
                }
            }
        }
        // Who of two does what first, where the steps cannot change places: what they make hangs on them.
        for early in 0..last {
            for late in early + 1..last {
                let (one, other) = (&kept.steps[early], &kept.steps[late]);
                if one.action.rule != other.action.rule || key(one) <= key(other) {
                    continue;
                }
                let mut swapped = kept.clone();
                swapped.steps[early].action = other.action.clone();
                swapped.steps[late].action = one.action.clone();
                let swapped = swapped.synced();
                if self.alike(&swapped, &deeds, keep) {
                    kept = swapped;
                }
            }
        }
        kept
    }

    /// A principal takes over from another, from some step on.
    fn earlier_principals(&self, candidate: &Candidate, keep: Keep) -> Candidate {
        let mut kept = candidate.clone();
        let Some((deeds, _)) = self.deeds(&kept.steps) else {
            return kept;
        };
        let acting = |c: &Candidate| -> BTreeSet<Handle> {
            c.steps
                .iter()
                .filter_map(|s| s.action.actor.handle())
                .collect()
        };
        let principals: Vec<Handle> = acting(&kept).into_iter().collect();
        let cast =
            |c: &Candidate| -> Vec<Actor> { c.steps.iter().map(|s| s.action.actor).collect() };
        for from in principals.iter().rev() {
            for to in principals
                .iter()
                .filter(|to| *to < from && to.kind == from.kind)
            {
                for start in 0..kept.steps.len() {
                    if kept.steps[start].action.actor.handle() != Some(*from) {
                        continue;
                    }
                    let other = [false, true].into_iter().find_map(|exchange| {
                        let mut other = kept.clone();
                        for step in &mut other.steps[start..] {
                            *step = step.renamed(|h| match h {
                                h if h == *from => *to,
                                h if exchange && h == *to => *from,
                                h => h,
                            });
                        }
                        let other = other.synced();
                        let offered =
                            (start..other.steps.len()).all(|i| self.picks_are_offered(&other, i));
                        let simpler = cast(&other) < cast(&kept)
                            && offered
                            && same_subject(&other, &kept)
                            && self.alike(&other, &deeds, keep);
                        simpler.then_some(other)
                    });
                    if let Some(other) = other {
                        kept = other;
                        break;
                    }
                }
            }
        }
        kept
    }

    /// Entities come into play in the order in which they were made: the first principal is the first to do anything.
    fn entities_in_order(&self, candidate: &Candidate, keep: Keep) -> Candidate {
        let mut kept = candidate.clone();
        let Some((deeds, mirror)) = self.deeds(&kept.steps) else {
            return kept;
        };
        let mut place = 0;
        loop {
            let mut used: Vec<Handle> = Vec::new();
            for step in &kept.steps {
                for handle in step.names() {
                    if !used.contains(&handle) {
                        used.push(handle);
                    }
                }
            }
            let Some(current) = used.get(place).copied() else {
                return kept;
            };
            let before = used[..place].iter().filter(|h| h.kind == current.kind);
            let wanted = mirror.all(current.kind).nth(before.count()).map(|(h, _)| h);
            if let Some(wanted) = wanted.filter(|w| *w != current) {
                let mut swap = |h: Handle| match h {
                    h if h == current => wanted,
                    h if h == wanted => current,
                    h => h,
                };
                let other = Candidate {
                    steps: kept.steps.iter().map(|s| s.renamed(&mut swap)).collect(),
                    entity: kept.entity.map(&mut swap),
                };
                if self.alike(&other, &deeds, keep) {
                    kept = other;
                }
            }
            place += 1;
        }
    }

    /// How close a step is to the last one: what it has in common with it. Nothing for one that changes nothing.
    pub(super) fn kinship(&self, candidate: &Candidate) -> BTreeMap<u32, u32> {
        let (Some((deeds, _)), Some(last)) = (self.deeds(&candidate.steps), candidate.steps.last())
        else {
            return BTreeMap::new();
        };
        let about = candidate.subjects();
        let kin = |step: &Step| {
            let changes = deeds.get(&step.id).is_some_and(|d| !d.effect.is_empty());
            let done = deeds
                .get(&step.id)
                .is_some_and(|d| matches!(d.assumed, Outcome::Ok(_)));
            let named = step.names();
            let shared = about.iter().any(|h| named.contains(h) || h.step == step.id);
            let kinds = about.iter().any(|h| named.iter().any(|n| n.kind == h.kind));
            u32::from(changes) * 8
                + u32::from(shared) * 6
                + u32::from(kinds) * 3
                + u32::from(step.action.actor == last.action.actor) * 2
                + u32::from(step.action.rule == last.action.rule) * 2
                + u32::from(done)
                + u32::from(step.delivery != Delivery::Once) * 6
        };
        candidate.steps.iter().map(|s| (s.id, kin(s))).collect()
    }

    /// The steps of a candidate that changed something of what its last step is about, but for those that another one has
    /// too.
    pub(super) fn about(&self, candidate: &Candidate, but: &Candidate) -> Vec<u32> {
        let Some((deeds, _)) = self.deeds(&candidate.steps) else {
            return Vec::new();
        };
        let subjects = candidate.subjects();
        let about = |step: &&Step| {
            let named = step.names();
            deeds
                .get(&step.id)
                .is_some_and(|deed| !deed.effect.is_empty())
                && subjects.iter().any(|subject| named.contains(subject))
                && but.steps.iter().all(|other| other.id != step.id)
        };
        candidate.steps.iter().filter(about).map(|s| s.id).collect()
    }
}
