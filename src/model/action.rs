//! Actions and outcomes: what a principal attempts, fully symbolic, and what may come of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::value::{Handle, Value};
use super::{By, Model, PathPart, Request, Rule, Statuses};

/// What a principal attempts: a rule, who, about what, and with which arguments.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Action {
    /// The rule, by its position in the model.
    pub rule: usize,
    /// Who acts.
    pub actor: Actor,
    /// What it is about, pick by pick.
    pub picks: Vec<Picked>,
    /// The arguments in the rule's order; [`Value::Absent`] is one that is left out.
    pub args: Vec<Value>,
}

impl Action {
    /// Gives it unique values of its own, as they belong to a step of this id.
    pub fn renew(&mut self, id: u32) {
        let anew = id.saturating_mul(100).saturating_add(3_000_000);
        for arg in &mut self.args {
            *arg = arg.rewrite(&mut |value| match value {
                Value::Fresh(prefix, n) => {
                    Some(Value::Fresh(prefix.clone(), anew.saturating_add(*n)))
                }
                _ => None,
            });
        }
    }
}

/// Who acts, and with which credentials.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// A principal, with his credentials. One that is gone shows credentials that are no longer valid.
    Entity(Handle),
    /// A principal of another kind than the rule is for, with his own credentials.
    Other(Handle),
    /// Nobody, by a rule that is for anyone.
    Anyone,
    /// Nobody, where somebody is needed: no credentials at all.
    Nobody,
    /// Somebody whose credentials are made from a principal's and are nobody's.
    Forged(Handle, Forgery),
}

/// What is wrong with credentials that are made from a principal's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgery {
    /// They are of the same form, and nobody has them.
    Unknown,
    /// Half of them is missing.
    Truncated,
    /// They are of no form that credentials have.
    Malformed,
    /// They are those that he had before a rule changed them.
    Old,
    /// They are his, without the token against forgery that he has to send beside them.
    Tokenless,
    /// They are his, with a token that nobody was shown.
    WrongToken,
}

impl Forgery {
    /// Every one.
    pub const ALL: [Forgery; 6] = [
        Forgery::Unknown,
        Forgery::Truncated,
        Forgery::Malformed,
        Forgery::Old,
        Forgery::Tokenless,
        Forgery::WrongToken,
    ];

    /// Those that can be made of any credentials.
    pub const MADE: [Forgery; 3] = [Forgery::Unknown, Forgery::Truncated, Forgery::Malformed];

    /// Those that leave the credentials as they are, and take away what shows that their owner sends them.
    pub const OF_TOKENS: [Forgery; 2] = [Forgery::Tokenless, Forgery::WrongToken];

    /// Whether it is of the token beside the credentials, and not of these.
    pub fn is_of_token(self) -> bool {
        Forgery::OF_TOKENS.contains(&self)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Forgery::Unknown => "unknown",
            Forgery::Truncated => "truncated",
            Forgery::Malformed => "malformed",
            Forgery::Old => "old",
            Forgery::Tokenless => "tokenless",
            Forgery::WrongToken => "wrong-token",
        }
    }
}

impl Actor {
    /// The principal, if there is one of the kind that the rule is for.
    pub fn handle(self) -> Option<Handle> {
        match self {
            Actor::Entity(handle) => Some(handle),
            Actor::Forged(handle, forgery) if forgery.is_of_token() => Some(handle),
            Actor::Other(_) | Actor::Anyone | Actor::Nobody | Actor::Forged(..) => None,
        }
    }

    /// Whose credentials are shown, or copied.
    pub fn shows(self) -> Option<Handle> {
        match self {
            Actor::Entity(handle) | Actor::Other(handle) | Actor::Forged(handle, _) => Some(handle),
            Actor::Anyone | Actor::Nobody => None,
        }
    }

    /// The same with somebody else's credentials.
    #[must_use]
    pub fn renamed(self, change: impl FnOnce(Handle) -> Handle) -> Actor {
        match self {
            Actor::Entity(handle) => Actor::Entity(change(handle)),
            Actor::Other(handle) => Actor::Other(change(handle)),
            Actor::Forged(handle, forgery) => Actor::Forged(change(handle), forgery),
            Actor::Anyone | Actor::Nobody => self,
        }
    }
}

/// What an action is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picked {
    /// An entity.
    Entity(Handle),
    /// One that never was.
    Never,
}

impl Picked {
    /// The entity, if it is one.
    pub fn handle(self) -> Option<Handle> {
        match self {
            Picked::Entity(handle) => Some(handle),
            Picked::Never => None,
        }
    }
}

/// What may come of an action.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Outcome {
    /// It is done; which of the rule's successes.
    Ok(usize),
    /// A requirement fails, by its position in the rule.
    Refused(usize),
    /// A pick never was, by its position.
    Absent(usize),
    /// A pick is one that who acts cannot see, by its position: to him it never was.
    Hidden(usize),
    /// A pick is gone, by its position.
    Gone(usize),
    /// The credentials are missing or not valid.
    Unauthenticated,
    /// The credentials are those of another kind of principal.
    OtherKind,
    /// The token against forgery across sites is missing, or is another one.
    Csrf,
    /// An argument is outside its domain, by its position.
    Invalid(usize),
}

impl Outcome {
    /// The outcome's name in its rule: `ok`, `one_vote_each`, `absent world`, `invalid name`, …
    pub fn name(self, rule: &Rule) -> String {
        match self {
            Outcome::Ok(n) => match &rule.successes[n].name {
                Some(name) => format!("ok {name}"),
                None => "ok".into(),
            },
            Outcome::Refused(n) => rule.requires[n].name.to_string(),
            Outcome::Absent(n) => format!("absent {}", rule.picks[n].name),
            Outcome::Hidden(n) => format!("hidden {}", rule.picks[n].name),
            Outcome::Gone(n) => format!("gone {}", rule.picks[n].name),
            Outcome::Unauthenticated => "unauthenticated".into(),
            Outcome::OtherKind => "other kind".into(),
            Outcome::Csrf => "csrf".into(),
            Outcome::Invalid(n) => format!("invalid {}", rule.args[n].name),
        }
    }

    /// Whether the action is done.
    pub fn is_ok(self) -> bool {
        matches!(self, Outcome::Ok(_))
    }
}

/// Shows an action: `validate_proposal`. For the whole of it, see the reports.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} by {:?}", self.rule, self.actor)
    }
}

impl Rule {
    /// Every outcome that the rule can have, in the order of the file: successes, requirements, then the implied ones.
    ///
    /// An implied one has to be shown to the server: a pick that the request does not name cannot be absent or gone. And it needs a status: where the model gives an empty list (`invalid: []`), the outcome is not attempted.
    pub fn outcomes(&self, model: &Model) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = (0..self.successes.len()).map(Outcome::Ok).collect();
        outcomes.extend((0..self.requires.len()).map(Outcome::Refused));
        let given = |statuses: &[Statuses], index: usize| {
            statuses.get(index).is_none_or(|s| !s.0.is_empty())
        };
        let shown: Vec<bool> = (0..self.picks.len()).map(|i| self.shows(i)).collect();
        outcomes.extend(
            (0..self.picks.len())
                .filter(|index| shown[*index] && given(&self.absent, *index))
                .map(Outcome::Absent),
        );
        let veiled = (0..self.picks.len()).filter(|index| self.picks[*index].veiled);
        outcomes.extend(veiled.map(Outcome::Hidden));
        for (index, pick) in self.picks.iter().enumerate() {
            if shown[index] && given(&self.gone, index) && model.deletes(pick.kind) {
                outcomes.push(Outcome::Gone(index));
            }
        }
        if let By::Kind(kind) = self.by {
            if !self.unauthenticated.0.is_empty() {
                outcomes.push(Outcome::Unauthenticated);
            }
            if !self.other_kind.0.is_empty() && model.principals().any(|other| other != kind) {
                outcomes.push(Outcome::OtherKind);
            }
            if self.needs_token(model) && !self.csrf.0.is_empty() {
                outcomes.push(Outcome::Csrf);
            }
        }
        for (index, arg) in self.args.iter().enumerate() {
            if given(&self.invalid, index) && arg.can_be_invalid(self.strict) {
                outcomes.push(Outcome::Invalid(index));
            }
        }
        outcomes
    }

    /// Whether its principals have to send a token against forgery beside their credentials: it does not only read.
    pub fn needs_token(&self, model: &Model) -> bool {
        let By::Kind(kind) = self.by else {
            return false;
        };
        let auth = model.kind(kind).auth.as_ref();
        auth.is_some_and(|auth| auth.csrf.is_some()) && !is_safe(&self.request.method)
    }

    /// Whether any part of the request is a pick or a field of it. In what is computed from it, nothing can take the
    /// place of an entity that never was.
    pub(super) fn shows(&self, pick: usize) -> bool {
        let in_path = |part: &PathPart| matches!(part, PathPart::Pick(index) if *index == pick);
        if self.request.parts.iter().any(in_path) {
            return true;
        }
        let name = self.picks[pick].name.as_ref();
        let mut templates = self.request.templates();
        if let Some(auth) = &self.auth {
            templates.extend(auth.templates());
        }
        templates
            .iter()
            .flat_map(|template| template.expressions())
            .any(|e| shows(&e.source, name))
    }
}

/// Whether a request by this method changes nothing (RFC 9110, section 9.2.1).
pub fn is_safe(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | Request::WEBSOCKET
    )
}

/// Whether an expression is just a name, or a field of it: `context.token`.
fn shows(source: &str, name: &str) -> bool {
    let field = |rest: &str| {
        rest.strip_prefix('.')
            .is_some_and(|f| f.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    source
        .trim()
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || field(rest))
}
