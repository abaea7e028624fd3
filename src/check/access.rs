//! The access matrix: which rules were tried by whom, and what came of it. Who else there is to try a rule follows from
//! the model: nobody, forgers, principals who are gone, those of another kind, and those whose things they are not.

use std::collections::BTreeMap;

use super::judge::Reached;
use super::violation::Violation;
use crate::generate::{Plan, Step};
use crate::model::action::{Actor, Forgery, Outcome, Picked};
use crate::model::value::{Handle, KindId};
use crate::model::{By, Effect, Model, Rule};

/// As whom something is tried.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Identity {
    /// By a rule that is for anyone: without credentials.
    Anyone,
    /// A principal of the kind that the rule is for, with what is his or nobody's.
    Own,
    /// One of the same kind, with what another one made, or with another one.
    Another,
    /// One of another kind.
    OtherKind,
    /// One who is gone, or whose credentials are.
    Gone,
    /// Somebody whose credentials are made up.
    Forger(Forgery),
    /// Somebody without credentials, where some are needed.
    Nobody,
}

impl Identity {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Identity; 12] = [
        Identity::Anyone,
        Identity::Own,
        Identity::Another,
        Identity::OtherKind,
        Identity::Gone,
        Identity::Forger(Forgery::Unknown),
        Identity::Forger(Forgery::Truncated),
        Identity::Forger(Forgery::Malformed),
        Identity::Forger(Forgery::Old),
        Identity::Forger(Forgery::Tokenless),
        Identity::Forger(Forgery::WrongToken),
        Identity::Nobody,
    ];

    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Identity::Anyone => "anyone",
            Identity::Own => "own",
            Identity::Another => "another",
            Identity::OtherKind => "other kind",
            Identity::Gone => "gone",
            Identity::Forger(forgery) => forgery.word(),
            Identity::Nobody => "nobody",
        }
    }

    /// Whether it can try a rule at all.
    fn can_try(self, model: &Model, rule: &Rule) -> bool {
        let kind = match rule.by {
            By::Anyone => return self == Identity::Anyone,
            By::Kind(kind) => kind,
        };
        let outcomes = rule.outcomes(model);
        let refused = outcomes.contains(&Outcome::Unauthenticated);
        match self {
            Identity::Anyone => false,
            Identity::Own => true,
            // What is picked from a list of its own may be one's own alone; if not, it shows.
            Identity::Another => (rule.picks.iter()).any(|pick| {
                let others = pick.kind == kind || makes(model, kind, pick.kind);
                pick.veiled || pick.from.is_none() && others
            }),
            Identity::OtherKind => outcomes.contains(&Outcome::OtherKind),
            Identity::Gone => refused && model.deletes(kind),
            Identity::Forger(Forgery::Old) => refused && model.renews(kind),
            Identity::Forger(forgery) if forgery.is_of_token() => outcomes.contains(&Outcome::Csrf),
            Identity::Forger(forgery) => {
                let auth = model.kind(kind).auth.as_ref();
                refused && auth.is_some_and(|auth| auth.forgeries().contains(&forgery))
            }
            Identity::Nobody => refused,
        }
    }
}

/// Whether a rule by principals of a kind creates entities of another.
fn makes(model: &Model, kind: KindId, made: KindId) -> bool {
    let mut rules = model.rules.iter().filter(|rule| rule.by == By::Kind(kind));
    rules.any(|rule| {
        let mut effects = rule.effects();
        effects.any(|effect| matches!(effect, Effect::Create { kind, .. } if *kind == made))
    })
}

/// What came of trying a rule as somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cell {
    /// How often it was done, as it had to be.
    pub allowed: u64,
    /// How often it was refused, as it had to be.
    pub refused: u64,
    /// How often something else came back.
    pub violated: u64,
}

impl Cell {
    /// Whether it was tried at all.
    pub fn tried(self) -> bool {
        self != Cell::default()
    }
}

/// Rule by rule, and identity by identity, what came of it.
#[derive(Clone, Debug, Default)]
pub struct Access {
    rules: Vec<BTreeMap<Identity, Cell>>,
    /// The rules of which only what was tried counts.
    left_out: Vec<bool>,
}

impl Access {
    /// Nothing tried yet; rules that are left out, if any, are not expected to be.
    pub fn new(model: &Model, left_out: &[bool]) -> Access {
        let cells = |rule: &Rule| {
            let all = Identity::ALL.into_iter();
            let apply = all.filter(|identity| identity.can_try(model, rule));
            apply.map(|identity| (identity, Cell::default())).collect()
        };
        Access {
            rules: model.rules.iter().map(cells).collect(),
            left_out: left_out.to_vec(),
        }
    }

    /// Counts the steps of a plan that were sent and judged.
    pub fn count(&mut self, model: &Model, plan: &Plan, reached: &[Reached], found: &[Violation]) {
        let steps: BTreeMap<u32, &Step> = plan.all().map(|step| (step.id, step)).collect();
        for (id, rule, outcome) in reached {
            let Some(step) = steps.get(id) else { continue };
            let violation = found.iter().find(|v| v.step == *id && !v.at_end);
            let definition = &model.rules[*rule];
            let expected = |wanted: Outcome| match (outcome, violation) {
                (Some(outcome), _) => *outcome == wanted,
                (None, Some(violation)) => violation.predicted == wanted.name(definition),
                (None, None) => false,
            };
            if (outcome, violation.is_none()) == (&None, true) {
                // It could not be judged.
                continue;
            }
            let unauthenticated = expected(Outcome::Unauthenticated);
            let hidden = (0..definition.picks.len()).any(|pick| expected(Outcome::Hidden(pick)));
            let identity = match identity(definition, step, unauthenticated, &steps) {
                // Whatever he cannot see is another one's, whoever made it.
                Identity::Own if hidden => Identity::Another,
                identity => identity,
            };
            let Some(cells) = self.rules.get_mut(*rule) else {
                continue;
            };
            if identity == Identity::Another {
                cells.entry(identity).or_default();
            }
            if let Some(cell) = cells.get_mut(&identity) {
                match outcome {
                    None => cell.violated += 1,
                    Some(outcome) if outcome.is_ok() => cell.allowed += 1,
                    Some(_) => cell.refused += 1,
                }
            }
        }
    }

    /// What came of a rule, identity by identity; only those that can try it, and of a rule that is left out only those that
    /// did.
    pub fn of(&self, rule: usize) -> impl Iterator<Item = (Identity, Cell)> {
        let cells = self.rules.get(rule).into_iter().flatten();
        let left_out = self.left_out.get(rule).copied().unwrap_or(false);
        cells
            .map(|(identity, cell)| (*identity, *cell))
            .filter(move |(_, cell)| cell.tried() || !left_out)
    }

    /// How many cells there are, and how many were tried.
    pub fn totals(&self) -> (usize, usize) {
        let cells = (0..self.rules.len()).flat_map(|rule| self.of(rule));
        cells.fold((0, 0), |(all, tried), (_, cell)| {
            (all + 1, tried + usize::from(cell.tried()))
        })
    }
}

/// As whom a step is tried.
fn identity(
    rule: &Rule,
    step: &Step,
    unauthenticated: bool,
    steps: &BTreeMap<u32, &Step>,
) -> Identity {
    let actor = match (rule.by, step.action.actor) {
        (By::Anyone, _) | (_, Actor::Anyone) => return Identity::Anyone,
        (_, Actor::Nobody) => return Identity::Nobody,
        (_, Actor::Forged(_, forgery)) => return Identity::Forger(forgery),
        (_, Actor::Other(_)) => return Identity::OtherKind,
        (_, Actor::Entity(_)) if unauthenticated => return Identity::Gone,
        (_, Actor::Entity(actor)) => actor,
    };
    // Whose a thing is: his who made it; and a principal is his own.
    let holder = |handle: Handle| match handle.kind == actor.kind {
        true => Some(handle),
        false => steps.get(&handle.step)?.action.actor.handle(),
    };
    let picks = step.action.picks.iter().filter_map(|p| Picked::handle(*p));
    let mut holders = picks.filter_map(holder);
    match holders.any(|holder| holder.kind == actor.kind && holder != actor) {
        true => Identity::Another,
        false => Identity::Own,
    }
}
