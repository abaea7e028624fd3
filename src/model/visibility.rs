//! Who can see what: an entity that who acts cannot see is to him as if it never was, and so must its answers be.

use std::borrow::Cow;
use std::ops::Range;

use super::Model;
use super::action::{Action, Actor, Outcome, Picked};
use super::expression::{Expression, Names};
use super::mirror::Mirror;
use super::value::{Handle, KindId, Value};

/// Who can see the entities of a kind. To all others they never were.
#[derive(Debug)]
pub struct Visibility {
    /// The kinds of principals that see any, and which they see: a truth about `self` and `actor`.
    pub to: Vec<(KindId, Expression)>,
    /// Where it stands in the file.
    pub span: Range<usize>,
}

impl Visibility {
    /// Which entities principals of a kind see; nothing where they see none.
    pub fn of(&self, kind: KindId) -> Option<&Expression> {
        let mut to = self.to.iter();
        to.find(|(known, _)| *known == kind).map(|(_, which)| which)
    }

    /// Whether principals of a kind see all of them, whatever they are.
    pub fn is_open_to(&self, kind: KindId) -> bool {
        self.of(kind).is_some_and(|which| &*which.source == "true")
    }
}

/// What an action is about that who acts cannot see.
#[derive(Debug, Default)]
pub(super) struct Veil {
    /// The picks that he does not see, by position.
    hidden: Vec<usize>,
    /// Those of which it is not known whether he does.
    pub unsure: Vec<usize>,
}

impl Veil {
    /// The action as it looks to who does not see what it is about: as one about what never was.
    pub fn over<'a>(&self, action: &'a Action) -> Cow<'a, Action> {
        let mut seen = Cow::Borrowed(action);
        for index in &self.hidden {
            seen.to_mut().picks[*index] = Picked::Never;
        }
        seen
    }

    /// Calls what is hidden so, and not absent.
    pub fn name(&self, outcomes: &mut [Outcome]) {
        for outcome in outcomes {
            if let Outcome::Absent(index) = outcome
                && self.hidden.contains(index)
            {
                *outcome = Outcome::Hidden(*index);
            }
        }
    }
}

impl Model {
    /// Whether a principal, or whoever shows no credentials, can see an entity; nothing where that is not known.
    pub fn sees(&self, mirror: &Mirror, actor: Option<Handle>, entity: Handle) -> Option<bool> {
        let Some(visibility) = &self.kind(entity.kind).visible_to else {
            return Some(true);
        };
        let Some((actor, which)) =
            actor.and_then(|actor| Some((actor, visibility.of(actor.kind)?)))
        else {
            return Some(false);
        };
        let mut names = Names::default();
        names.bind("self", Value::Entity(entity));
        names.bind("actor", Value::Entity(actor));
        which.eval_bool(&self.scope(mirror, &names)).ok()
    }

    /// What an action is about that who acts cannot see. Whoever shows no valid credentials is nobody, which comes first.
    pub(super) fn veil(&self, mirror: &Mirror, action: &Action) -> Veil {
        let mut veil = Veil::default();
        let actor = match action.actor {
            Actor::Entity(actor) if mirror.is_live(actor) => Some(actor),
            Actor::Anyone => None,
            _ => return veil,
        };
        let picks = self.rules[action.rule].picks.iter().zip(&action.picks);
        for (index, (pick, picked)) in picks.enumerate() {
            let Some(entity) = picked.handle().filter(|_| pick.veiled) else {
                continue;
            };
            match self.sees(mirror, actor, entity) {
                Some(true) => {}
                Some(false) => veil.hidden.push(index),
                None => veil.unsure.push(index),
            }
        }
        veil
    }
}
