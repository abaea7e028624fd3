//! Ways: how one and the same outcome comes about. A server may be right about a vote on a closed proposal and wrong
//! about one on a draft; both are refused by the same rule. Ways are read off the model, and are goals beside outcomes.

use crate::model::action::{Action, Actor, Forgery, Outcome, Picked};
use crate::model::expression::{Scope, Uses};
use crate::model::mirror::Mirror;
use crate::model::oracle::Moment;
use crate::model::template::Template;
use crate::model::types::Type;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{By, Effect, Model, Place, Rule};

use super::conditions::{Glossary, Literal, Vocabulary, decides, name};
use super::demand::{Want, with_lets};
use super::statics::Statics;

/// A way in which an outcome comes about.
#[derive(Debug)]
pub(super) enum Way {
    /// Some claims hold before it: they are demanded of the action.
    Where(Vec<Literal>),
    /// Some claims hold when it is asked whether an effect takes place.
    Branch {
        /// Which of the success's effects, counted as they stand.
        effect: usize,
        claims: Vec<Literal>,
    },
    /// An effect gives a place another value than it had, or than that it had none: what is replaced may be stored by
    /// other means than what is new.
    Changes { effect: usize, replaces: bool },
    /// There is another entity that the same could have been done to, so that doing it to both would show.
    Twin {
        pick: usize,
        /// Which of its references the two share.
        shared: Option<usize>,
    },
    /// By somebody who shows no credentials, or none that are valid any more or ever were.
    By(Impostor),
    /// Another goal is reached after something has happened by the way that what it depends on can tell: as a decision
    /// after a revision. No state says so, which is why it is reached by its recipe alone.
    After { goal: usize },
}

/// Who tries what he has no valid credentials for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Impostor {
    /// Somebody who shows none.
    Nobody,
    /// Somebody whose credentials are nobody's.
    Forger(Forgery),
    /// A principal who is gone.
    Gone,
}

impl Impostor {
    /// Those that can try a rule, and that it refuses for who they are.
    pub fn all(model: &Model, rule: &Rule) -> impl Iterator<Item = Impostor> {
        let kind = match rule.by {
            By::Kind(kind) => Some(kind),
            By::Anyone => None,
        };
        let kind = kind.filter(|_| rule.outcomes(model).contains(&Outcome::Unauthenticated));
        let forgeries = kind.and_then(|kind| model.kind(kind).auth.as_ref());
        let forgeries = forgeries.map_or(&[][..], |auth| auth.forgeries());
        let gone = kind.is_some_and(|kind| model.deletes(kind));
        let old = kind.is_some_and(|kind| model.renews(kind));
        let old = old.then_some(Impostor::Forger(Forgery::Old));
        (kind.map(|_| Impostor::Nobody).into_iter())
            .chain(forgeries.iter().map(|forgery| Impostor::Forger(*forgery)))
            .chain(old)
            .chain(gone.then_some(Impostor::Gone))
    }

    /// Who acts, if an attempt of his is one of these.
    pub fn of(actor: Actor) -> Option<Impostor> {
        match actor {
            Actor::Nobody => Some(Impostor::Nobody),
            Actor::Forged(_, forgery) => Some(Impostor::Forger(forgery)),
            Actor::Entity(_) => Some(Impostor::Gone),
            Actor::Other(_) | Actor::Anyone => None,
        }
    }
}

/// The ways of a rule's outcomes, where there is more than one.
pub(super) fn ways(
    model: &Model,
    vocabulary: &Vocabulary,
    statics: &Statics,
    rule: usize,
) -> Vec<(Outcome, Way)> {
    let definition = &model.rules[rule];
    let glossary = Glossary::new(model, vocabulary, definition);
    let mut ways = Vec::new();
    let mut several = |outcome: Outcome, of: Vec<Vec<Literal>>| {
        if of.len() > 1 {
            ways.extend(of.into_iter().map(|claims| (outcome, Way::Where(claims))));
        }
    };
    for (index, requirement) in definition.requires.iter().enumerate() {
        several(
            Outcome::Refused(index),
            glossary.ways(&requirement.that, false),
        );
        for success in 0..definition.successes.len() {
            several(Outcome::Ok(success), glossary.ways(&requirement.that, true));
        }
    }
    for (index, success) in definition.successes.iter().enumerate() {
        if let Some(when) = &success.when {
            several(Outcome::Ok(index), glossary.ways(when, true));
        }
        for (_, named) in &definition.lets {
            if decides(named) {
                let mut either = glossary.ways(named, true);
                either.extend(glossary.ways(named, false));
                several(Outcome::Ok(index), either);
            }
        }
    }
    let impostors = Impostor::all(model, definition);
    ways.extend(impostors.map(|impostor| (Outcome::Unauthenticated, Way::By(impostor))));
    if definition.outcomes(model).contains(&Outcome::Csrf) {
        let forgers = Forgery::OF_TOKENS.map(Impostor::Forger);
        ways.extend(forgers.map(|forger| (Outcome::Csrf, Way::By(forger))));
    }
    for (index, success) in definition.successes.iter().enumerate() {
        let outcome = Outcome::Ok(index);
        for (nth, effect) in Effect::all(&success.effects).enumerate() {
            match effect {
                Effect::When {
                    when: Some(when), ..
                } => {
                    for truth in [true, false] {
                        for claims in glossary.ways(when, truth) {
                            ways.push((
                                outcome,
                                Way::Branch {
                                    effect: nth,
                                    claims,
                                },
                            ));
                        }
                    }
                }
                Effect::Set { value, place } if !matches!(value, Template::Constant(_)) => {
                    let changes = |replaces| {
                        let effect = nth;
                        (outcome, Way::Changes { effect, replaces })
                    };
                    ways.push(changes(false));
                    if may_be_empty(model, place) {
                        ways.push(changes(true));
                    }
                }
                _ => {}
            }
        }
        for (pick, shared) in twins(model, statics, definition, &success.effects) {
            ways.push((outcome, Way::Twin { pick, shared }));
        }
    }
    ways
}

/// The picks that effects change, each with the references that it may share with another one: those for good, and to
/// entities that do not act, as the world that both are in. Where there are none, any other one will do.
fn twins(
    model: &Model,
    statics: &Statics,
    rule: &Rule,
    effects: &[Effect],
) -> Vec<(usize, Option<usize>)> {
    let mut twins = Vec::new();
    for (index, pick) in rule.picks.iter().enumerate() {
        let changed = Effect::all(effects).any(|effect| {
            let changes = match effect {
                Effect::Set { place, .. } | Effect::Unset(place) => {
                    place.entity.as_ref().and_then(name)
                }
                Effect::Delete { what, .. } => name(what),
                _ => None,
            };
            changes == Some(pick.name.as_ref())
        });
        if !changed {
            continue;
        }
        let refers = |ty: &Type| -> Option<KindId> {
            match ty {
                Type::Entity(kind) => Some(*kind),
                _ => None,
            }
        };
        let acts = |kind: KindId| model.kind(kind).auth.is_some();
        let changes = |field: usize| statics.changes(pick.kind, field);
        let shared: Vec<usize> = (model.kind(pick.kind).fields.iter().enumerate())
            .filter(|(index, field)| {
                refers(&field.ty).is_some_and(|kind| !acts(kind)) && !changes(*index)
            })
            .map(|(field, _)| field)
            .collect();
        match shared.is_empty() {
            true => twins.push((index, None)),
            false => twins.extend(shared.into_iter().map(|field| (index, Some(field)))),
        }
    }
    twins
}

/// Whether there need not be anything in a place.
fn may_be_empty(model: &Model, place: &Place) -> bool {
    !place.keys.is_empty()
        || place.kind.is_some_and(|kind| {
            let field = model.kind(kind).fields.get(place.field);
            field.is_some_and(|field| matches!(field.ty, Type::Optional(_)))
        })
}

impl Way {
    /// The claims that an action must meet for it.
    pub fn claims(&self) -> &[Literal] {
        match self {
            Way::Where(claims) => claims,
            _ => &[],
        }
    }

    /// Which of its success's effects tells whether it is taken, counted as they stand.
    fn effect(&self) -> Option<usize> {
        match self {
            Way::Branch { effect, .. } | Way::Changes { effect, .. } => Some(*effect),
            _ => None,
        }
    }

    /// The claims that something in between may have decided before; nothing where that is no matter.
    pub fn decided(&self) -> Option<&[Literal]> {
        match self {
            Way::Branch { claims, .. } => Some(claims),
            _ => None,
        }
    }

    /// What it depends on, beside what its outcome does.
    pub fn uses(&self, rule: &Rule, outcome: Outcome) -> Uses {
        let mut uses = Uses::default();
        match self {
            Way::Branch { claims, .. } => {
                claims.iter().for_each(|claim| uses.add(&claim.that.uses));
            }
            Way::Changes { effect, .. } => {
                let success = match outcome {
                    Outcome::Ok(success) => rule.successes.get(success),
                    _ => None,
                };
                let set = success.and_then(|s| Effect::all(&s.effects).nth(*effect));
                if let Some(Effect::Set { value, place }) = set {
                    let read = value.expressions();
                    read.iter().for_each(|read| uses.add(&read.uses));
                    uses.fields
                        .extend(place.kind.map(|kind| (kind, place.field)));
                }
            }
            Way::Where(_) | Way::Twin { .. } | Way::By(_) | Way::After { .. } => {}
        }
        with_lets(rule, uses)
    }

    /// The goal that is reached in the end, if it is another one.
    pub fn end(&self) -> Option<usize> {
        match self {
            Way::After { goal } => Some(*goal),
            _ => None,
        }
    }

    /// How far an action with the outcome is from having it in this way: 0 where it has, and about 1 for each claim that
    /// is not met.
    pub fn distance(
        &self,
        model: &Model,
        mirror: &Mirror,
        action: &Action,
        outcome: Outcome,
    ) -> f64 {
        match self {
            Way::Where(claims) => {
                let names = model.all_names(mirror, action, None);
                let mut scope = model.scope(mirror, &names);
                scope.before = Some(mirror);
                missing(claims, &scope)
            }
            Way::Branch { .. } | Way::Changes { .. } => {
                distances(&[self], model, mirror, action, outcome)[0]
            }
            Way::Twin { pick, shared } => {
                match twin(model, mirror, action, outcome, *pick, *shared) {
                    true => 0.0,
                    false => 1.0,
                }
            }
            Way::By(impostor) => match Impostor::of(action.actor) == Some(*impostor) {
                true => 0.0,
                false => 1.0,
            },
            Way::After { .. } => f64::INFINITY,
        }
    }
}

/// How many claims a scope does not meet, the nearer ones counting less.
fn missing(claims: &[Literal], scope: &Scope<'_>) -> f64 {
    let far = |claim: &Literal| {
        let met = claim.want.accepts(claim.that.eval_bool(scope).ok());
        match (met, claim.want) {
            (true, _) => 0.0,
            (false, want) => {
                let truth = matches!(want, Want::True | Want::NotFalse);
                // What is not met is never no distance at all.
                claim.that.distance(scope, truth).max(0.01)
            }
        }
    };
    claims.iter().map(far).sum()
}

/// How far an action with the outcome is from having it in each of several ways. For those that effects tell, these are
/// applied once, and watched.
pub(super) fn distances(
    ways: &[&Way],
    model: &Model,
    mirror: &Mirror,
    action: &Action,
    outcome: Outcome,
) -> Vec<f64> {
    let mut least: Vec<f64> = (ways.iter())
        .map(|way| match way {
            // Within a branch that is not taken nothing is asked.
            Way::Branch { claims, .. } => 2.0 * claims.len() as f64,
            Way::Changes { .. } => 2.0,
            other => other.distance(model, mirror, action, outcome),
        })
        .collect();
    let (Outcome::Ok(success), true) = (outcome, ways.iter().any(|way| way.effect().is_some()))
    else {
        return least;
    };
    let effects = &model.rules[action.rule].successes[success].effects;
    let watched: Vec<Option<&Effect>> = (ways.iter())
        .map(|way| Effect::all(effects).nth(way.effect()?))
        .collect();
    let mut after = mirror.clone();
    let mut watch = |seen: &Effect, moment: Moment<'_>| {
        let of = |effect: &Option<&Effect>| effect.is_some_and(|effect| std::ptr::eq(seen, effect));
        for (index, way) in ways.iter().enumerate() {
            if !of(&watched[index]) {
                continue;
            }
            let distance = match (way, &moment) {
                (Way::Branch { claims, .. }, Moment::Asked(scope)) => missing(claims, scope),
                (Way::Changes { replaces, .. }, Moment::Set { changed, held }) => {
                    match *changed && (*held || !replaces) {
                        true => 0.0,
                        false => 1.0,
                    }
                }
                _ => continue,
            };
            least[index] = least[index].min(distance);
        }
    };
    // Nothing outlives this, so that the number of the step does not matter.
    model.apply_watched(
        &mut after,
        action,
        outcome,
        (u32::MAX, None),
        Some(&mut watch),
    );
    least
}

fn twin(
    model: &Model,
    mirror: &Mirror,
    action: &Action,
    outcome: Outcome,
    pick: usize,
    shared: Option<usize>,
) -> bool {
    let Some(Picked::Entity(one)) = action.picks.get(pick).copied() else {
        return false;
    };
    let field = |handle: Handle| -> Option<Value> {
        let value = mirror.get(handle)?.fields.get(shared?)?;
        (!value.has_unknown()).then(|| value.clone())
    };
    let such = |other: &Handle| {
        let alike =
            shared.is_none() || field(one).is_some_and(|value| Some(value) == field(*other));
        *other != one && alike && {
            let mut same = action.clone();
            same.picks[pick] = Picked::Entity(*other);
            model.picks_from_its_lists(mirror, &same)
                && model.predict(mirror, &same, None).certain() == Some(outcome)
        }
    };
    mirror.live(one.kind).any(|other| such(&other))
}
