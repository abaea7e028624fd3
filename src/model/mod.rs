//! Models: an API's business rules, read from one YAML file. Pure: no input or output, no clock, no randomness.
//!
//! [`Model::load`] and [`Model::parse`] read a model and find everything that is wrong with it at once; [`oracle`]
//! says what must come back for any action in any [`mirror::Mirror`].

pub mod action;
mod code;
pub mod diagnostics;
pub mod domain;
pub mod expression;
mod file;
pub mod mirror;
pub mod openapi;
pub mod oracle;
mod parts;
mod reader;
pub mod show;
mod states;
pub mod template;
mod tree;
pub mod types;
mod typing;
pub mod value;
mod visibility;
pub(crate) mod walk;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use action::{Action, Forgery};
use domain::Domain;
use expression::{Expression, Layout};
use template::Template;
use types::Type;
use value::KindId;

pub use diagnostics::{Mistake, ModelErrors};
pub use file::{LoadError, Notes};
pub use visibility::Visibility;

/// An API's business rules.
#[derive(derive_more::Debug)]
pub struct Model {
    /// The model's name.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The path it was read from, as it was given.
    pub path: String,
    /// The text of the file.
    pub source: Arc<str>,
    /// The kinds of entity, in the order of the file.
    pub kinds: Vec<Kind>,
    /// Single values.
    pub globals: Vec<Global>,
    /// The prefix of every plan: which rules, how often.
    pub setup: Vec<Setup>,
    /// The rules in the order of the file.
    pub rules: Vec<Rule>,
    /// What must hold.
    pub invariants: Vec<Invariant>,
    /// The headings that entities, rules and invariants stand under, in the order of the file.
    pub areas: Vec<Area>,
    /// 'Not now': statuses after which the request is sent again.
    pub tolerate: Statuses,
    /// How long a server has to recover once a fault is over.
    pub recovery: Duration,
    /// Built-in checks that the model switches off.
    pub switched_off: Vec<String>,
    /// What the API says of itself, for the check `conformance`.
    pub openapi: Option<openapi::OpenApi>,
    /// What `gainsay check` says of the model beside errors.
    pub notes: Notes,
    /// The layout that evaluation needs.
    pub layout: Arc<Layout>,
}

/// A heading of the model, and what stands under it.
#[derive(Debug)]
pub struct Area {
    /// The heading. In lower case and with dashes it is a tag of its rules.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// Its entities, by their positions.
    pub kinds: Range<usize>,
    /// Its rules, by their positions.
    pub rules: Range<usize>,
    /// Its invariants, by their positions.
    pub invariants: Range<usize>,
}

/// A kind of entity.
#[derive(Debug)]
pub struct Kind {
    /// `world`
    pub name: String,
    /// `worlds`
    pub plural: String,
    /// What it is, in a sentence.
    pub about: String,
    /// The fields in the order of the file.
    pub fields: Vec<Field>,
    /// Fields that are computed from the mirror wherever they are read.
    pub derived: Vec<Derived>,
    /// The field that stands for the entity in a path, if there is one.
    pub key: Option<usize>,
    /// The field that names the owner.
    pub owner: Option<usize>,
    /// How an entity of this kind shows who it is, if it can act.
    pub auth: Option<Auth>,
    /// Who can see entities of this kind, where not everybody can.
    pub visible_to: Option<Visibility>,
    /// Where it stands in the file.
    pub span: Range<usize>,
}

/// A field of a kind.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// What it starts as where a rule does not say.
    pub initial: Option<value::Value>,
}

/// A field that is computed from the mirror.
#[derive(Debug)]
pub struct Derived {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// What it is, of `self`.
    pub what: Arc<Expression>,
}

/// Where a principal's credentials go.
#[derive(Debug, Default)]
pub struct Auth {
    /// Headers by name.
    pub headers: Vec<(String, Template)>,
    /// Query parameters by name.
    pub query: Vec<(String, Template)>,
    /// Cookies by name.
    pub cookies: Vec<(String, Template)>,
    /// User name and password.
    pub basic: Option<(Template, Template)>,
    /// A bearer token.
    pub bearer: Option<Template>,
    /// He sends the cookies that the server has set.
    pub jar: bool,
    /// What he sends beside them with what is not only read.
    pub csrf: Option<Csrf>,
    /// For so long after they were revoked or changed they may still be taken.
    pub revoked_within: Duration,
    /// The fields of the entity that they are made of, by their positions.
    pub fields: BTreeSet<usize>,
    /// The server takes credentials that it does not know for those of somebody new.
    pub strangers: bool,
}

/// A token against forgery across sites, which shows that whoever sends a request has seen an answer.
#[derive(Debug)]
pub struct Csrf {
    /// Where it is from.
    pub source: TokenSource,
    /// Where it goes.
    pub place: TokenPlace,
}

/// Where a token is from.
#[derive(Debug)]
pub enum TokenSource {
    /// The cookie of this name in the principal's jar.
    Cookie(String),
    /// What this makes of an answer: the latest that has one.
    Answer(Template),
}

/// Where a token goes.
#[derive(Debug)]
pub enum TokenPlace {
    /// A header of this name.
    Header(String),
    /// A field of the body.
    Field(String),
}

impl Auth {
    /// What they are made of.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let named = [&self.headers, &self.query, &self.cookies];
        let named = named.into_iter().flatten().map(|(_, template)| template);
        let basic = self.basic.iter().flat_map(|(user, word)| [user, word]);
        named.chain(basic).chain(&self.bearer)
    }

    /// What a server cannot but refuse in the place of these credentials.
    pub fn forgeries(&self) -> &'static [Forgery] {
        match self.strangers {
            true => &[Forgery::Malformed],
            false => &Forgery::MADE,
        }
    }
}

/// A single value of the mirror.
#[derive(Debug)]
pub struct Global {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Its value at the start.
    pub initial: value::Value,
}

/// A rule that every plan begins with.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Which rule.
    pub rule: usize,
    /// How often.
    pub times: usize,
}

/// Who may attempt a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Anybody; no credentials are sent.
    Anyone,
    /// An entity of this kind.
    Kind(KindId),
}

/// What principals may attempt.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it does, in a sentence.
    pub about: String,
    /// Where it stands in the file.
    pub span: Range<usize>,
    /// Who acts.
    pub by: By,
    /// The entities that it is about.
    pub picks: Vec<Pick>,
    /// Its arguments.
    pub args: Vec<Argument>,
    /// Names for expressions.
    pub lets: Vec<(Arc<str>, Expression)>,
    /// Credentials that the request shows although nobody acts yet, such as those of a login.
    pub auth: Option<Auth>,
    /// What is sent.
    pub request: Request,
    /// The business rules, in the order of the file.
    pub requires: Vec<Requirement>,
    /// Only the first requirement that fails counts.
    pub strict_order: bool,
    /// The successes: one, or those of `either`.
    pub successes: Vec<Success>,
    /// A second delivery answers the same and changes nothing.
    pub idempotent: Option<Idempotence>,
    /// Without valid credentials.
    pub unauthenticated: Statuses,
    /// With the credentials of another kind of principal.
    pub other_kind: Statuses,
    /// Without the token against forgery, or with another one, where the principal has to send one.
    pub csrf: Statuses,
    /// With an entity that never was, pick by pick.
    pub absent: Vec<Statuses>,
    /// With an entity that is gone, pick by pick.
    pub gone: Vec<Statuses>,
    /// With an argument outside its domain, argument by argument.
    pub invalid: Vec<Statuses>,
    /// How often, beside others.
    pub weight: u32,
    /// For `--only` and `--skip`.
    pub tags: Vec<String>,
    /// Values that some lenient servers take are tried as invalid ones, too.
    pub strict: bool,
}

impl Model {
    /// The kinds of entities, in the order of the file.
    pub fn kind_ids(&self) -> impl Iterator<Item = KindId> + use<> {
        (0..).map(KindId).take(self.kinds.len())
    }

    /// Whether principals of a kind keep what answers to them set.
    pub fn keeps(&self, kind: KindId) -> bool {
        (self.kind(kind).auth.as_ref()).is_some_and(|auth| auth.jar || auth.csrf.is_some())
    }

    /// Whether any do.
    pub fn keeps_anything(&self) -> bool {
        self.kind_ids().any(|kind| self.keeps(kind))
    }

    /// Whether a rule changes what principals of a kind show, so that they have old credentials.
    pub fn renews(&self, kind: KindId) -> bool {
        let auth = self.kind(kind).auth.as_ref();
        auth.is_some_and(|auth| {
            !auth.strangers
                && self.effects().any(|effect| match effect {
                    Effect::Set { place, .. } => {
                        place.kind == Some(kind) && auth.fields.contains(&place.field)
                    }
                    _ => false,
                })
        })
    }

    /// The kinds that can act.
    pub fn principals(&self) -> impl Iterator<Item = KindId> {
        self.kind_ids()
            .filter(|kind| self.kind(*kind).auth.is_some())
    }
}

impl Rule {
    /// The effects of all successes.
    pub fn effects(&self) -> impl Iterator<Item = &Effect> {
        let successes = self.successes.iter();
        successes.flat_map(|success| Effect::all(&success.effects))
    }

    /// The key by which its requests are recognised, if they are.
    pub fn key(&self) -> Option<&IdempotencyKey> {
        match &self.idempotent {
            Some(Idempotence::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// Whether it creates anything when it succeeds.
    pub fn creates(&self) -> bool {
        let mut effects = self.effects();
        effects.any(|effect| matches!(effect, Effect::Create { .. }))
    }
}

/// How a second delivery is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idempotence {
    /// By what it asks for.
    Natural,
    /// By a key.
    Key(IdempotencyKey),
    /// Perhaps not at all: it is if it answers with what the first one made.
    Maybe,
}

/// A key by which a request is recognised when it comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The header that holds it.
    pub header: String,
    /// What comes of a key that was used for the same rule by the same principal, with another request; nothing is
    /// tried where the model does not say.
    pub other_body: Option<Reuse>,
    /// What comes of one that was used for another rule.
    pub other_rule: Option<Reuse>,
    /// What comes of one that another principal used.
    pub other_actor: Option<Reuse>,
}

/// What comes of a key that was used for something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reuse {
    /// A refusal with one of these statuses.
    Refused(Statuses),
    /// What would come of the request without it.
    Own,
}

impl IdempotencyKey {
    /// What comes of the key of one action with another one.
    pub fn reuse(&self, of: &Action, action: &Action) -> Option<&Reuse> {
        if of.actor != action.actor {
            self.other_actor.as_ref()
        } else if of.rule != action.rule {
            self.other_rule.as_ref()
        } else {
            self.other_body.as_ref()
        }
    }
}

/// An entity that an action is about.
#[derive(Debug)]
pub struct Pick {
    /// The name it is bound to.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: KindId,
    /// What it is picked from, where that is not the whole kind.
    pub from: Option<Expression>,
    /// Whether who acts may not see what is picked, so that it has to be as if it never was.
    pub veiled: bool,
    /// Where it stands in the file.
    pub span: Range<usize>,
}

/// An argument of a rule.
#[derive(Debug)]
pub struct Argument {
    /// Its name.
    pub name: Arc<str>,
    /// What it may be.
    pub domain: Domain,
    /// How it reaches the server, which decides what may be tried as invalid.
    pub sent: Sent,
    /// Where it stands in the file.
    pub span: Range<usize>,
}

/// How an argument reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// As it is, in JSON: it can be null, missing, or of another type.
    Json,
    /// As it is, as text in a query or a form: it can be missing or out of bounds.
    Text,
    /// In a path, a header, or only as part of something else: always valid.
    Within,
}

/// What is sent.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST`, …; `WS` for a websocket.
    pub method: String,
    /// The path as it is written.
    pub path: String,
    /// The path in its parts.
    pub parts: Vec<PathPart>,
    /// Query parameters.
    pub query: Vec<(String, Template)>,
    /// Headers.
    pub headers: Vec<(String, Template)>,
    /// The body.
    pub body: Body,
}

impl Request {
    /// The method of a request that opens a websocket.
    pub const WEBSOCKET: &'static str = "WS";

    /// Whether it opens a websocket.
    pub fn is_websocket(&self) -> bool {
        self.method == Request::WEBSOCKET
    }
}

/// A part of a path.
#[derive(Debug)]
pub enum PathPart {
    /// As it stands.
    Literal(String),
    /// A picked entity's key, by the position of the pick.
    Pick(usize),
    /// An argument, by its position.
    Argument(usize),
    /// A template.
    Template(Template),
}

/// The body of a request.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(Template),
    /// `application/x-www-form-urlencoded`
    Form(Vec<(String, Template)>),
    /// Plain text.
    Text(Template),
    /// `multipart/form-data`
    Multipart(Vec<(String, Template)>),
}

/// A business rule.
#[derive(Debug)]
pub struct Requirement {
    /// Its name.
    pub name: Arc<str>,
    /// Where it stands in the file.
    pub span: Range<usize>,
    /// What must be true.
    pub that: Expression,
    /// The statuses where it is not.
    pub statuses: Statuses,
    /// Checks of the refusal.
    pub returns: Vec<Check>,
    /// How the refusal changes the mirror.
    pub effects: Vec<Effect>,
}

/// A named check.
#[derive(Debug)]
pub struct Check {
    /// Its name.
    pub name: Arc<str>,
    /// What must be true.
    pub that: Expression,
}

/// One way to succeed.
#[derive(Debug)]
pub struct Success {
    /// Its name, where there are several.
    pub name: Option<Arc<str>>,
    /// Where it stands in the file.
    pub span: Range<usize>,
    /// When it is this one.
    pub when: Option<Expression>,
    /// The statuses.
    pub statuses: Statuses,
    /// Checks of the answer.
    pub returns: Vec<Check>,
    /// How the mirror changes.
    pub effects: Vec<Effect>,
}

/// A change of the mirror.
#[derive(Debug)]
pub enum Effect {
    /// An entity comes into being.
    Create {
        /// Its kind.
        kind: KindId,
        /// The name that it is bound to afterwards.
        name: Arc<str>,
        /// The templates of its fields, in the kind's order.
        fields: Vec<Option<Template>>,
        /// Where it stands in the file.
        span: Range<usize>,
    },
    /// A place gets a value.
    Set {
        /// Where.
        place: Place,
        /// What.
        value: Template,
    },
    /// A place loses its value: a key leaves its map, a field becomes null.
    Unset(Place),
    /// Entities go.
    Delete {
        /// One, or a list.
        what: Expression,
        /// Their kind, where the type says it.
        kind: Option<KindId>,
    },
    /// For each item of a list.
    Each {
        /// The name of the item.
        name: Arc<str>,
        /// The list.
        list: Expression,
        /// What happens for each.
        effects: Vec<Effect>,
    },
    /// Where something is true, seeing what came before.
    When {
        /// What must be true; nothing means always.
        when: Option<Expression>,
        /// What happens.
        effects: Vec<Effect>,
    },
}

impl Effect {
    /// Whether it may delete entities of a kind.
    pub(crate) fn deletes(&self, kind: KindId) -> bool {
        match self {
            Effect::Delete { kind: deleted, .. } => deleted.is_none_or(|deleted| deleted == kind),
            _ => false,
        }
    }

    /// All of some effects and those within them, in the order in which they stand in the file.
    pub fn all(effects: &[Effect]) -> impl Iterator<Item = &Effect> {
        let mut levels = vec![effects.iter()];
        std::iter::from_fn(move || {
            loop {
                let Some(effect) = levels.last_mut()?.next() else {
                    levels.pop();
                    continue;
                };
                if let Effect::Each { effects, .. } | Effect::When { effects, .. } = effect {
                    levels.push(effects.iter());
                }
                return Some(effect);
            }
        })
    }
}

/// A place in the mirror: `proposal.votes[actor]`, or a global.
#[derive(Debug)]
pub struct Place {
    /// As it is written.
    pub source: String,
    /// The entity, or nothing for a global.
    pub entity: Option<Expression>,
    /// The kind of the entity.
    pub kind: Option<KindId>,
    /// The field of the entity, or the global, by its position.
    pub field: usize,
    /// The keys within it.
    pub keys: Vec<Expression>,
}

/// What must hold.
#[derive(Debug)]
pub struct Invariant {
    /// Its name.
    pub name: Arc<str>,
    /// What it says, in a sentence.
    pub about: String,
    /// Where it stands in the file.
    pub span: Range<usize>,
    /// The kind that it is said of each entity of.
    pub each: Option<(Arc<str>, KindId)>,
    /// Only where this is true.
    pub when: Option<Expression>,
    /// What is asked of the server.
    pub read: Option<Read>,
    /// Names for expressions.
    pub lets: Vec<(Arc<str>, Expression)>,
    /// What must be true.
    pub claim: Expression,
    /// Always, or eventually within so many milliseconds.
    pub mode: Mode,
}

/// When an invariant must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// After every step.
    Always,
    /// From when `when` is true, within so many milliseconds.
    Eventually(u64),
}

/// A question to the server.
#[derive(Debug)]
pub struct Read {
    /// What is sent.
    pub request: Request,
    /// Who asks: an expression that yields a principal, or nobody.
    pub by: Option<Expression>,
}

/// The codes with which an application closes a websocket for reasons of its own (RFC 6455, section 7.4.2). They are
/// statuses, as those of HTTP are.
pub const CLOSE_CODES: Range<u16> = 4000..5000;

/// Statuses that an answer may have.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Statuses(pub Vec<StatusRange>);

/// One status, or some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusRange {
    /// One.
    Exactly(u16),
    /// A class, such as 4 for 4XX.
    Class(u16),
    /// The model does not know.
    Any,
}

impl Statuses {
    /// Whether a status is one of these.
    pub fn allow(&self, status: u16) -> bool {
        self.0.iter().any(|range| match range {
            StatusRange::Exactly(s) => *s == status,
            StatusRange::Class(c) => status / 100 == *c,
            StatusRange::Any => true,
        })
    }

    /// Whether an answer with such a status says that the server failed.
    pub fn failed(status: u16) -> bool {
        (500..600).contains(&status)
    }

    /// Whether an answer with such a status refuses what was asked for; the codes from 4000 on are of websockets.
    pub fn refused(status: u16) -> bool {
        (400..500).contains(&status) || CLOSE_CODES.contains(&status)
    }

    /// Whether the model says that it does not know.
    pub fn is_any(&self) -> bool {
        self.0.contains(&StatusRange::Any)
    }
}

impl std::fmt::Display for Statuses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" or ")?;
            }
            match range {
                StatusRange::Exactly(s) => write!(f, "{s}")?,
                StatusRange::Class(c) => write!(f, "{c}XX")?,
                StatusRange::Any => f.write_str("any")?,
            }
        }
        Ok(())
    }
}

impl Model {
    /// The kind of this id.
    pub fn kind(&self, id: KindId) -> &Kind {
        &self.kinds[usize::from(id.0)]
    }

    /// The area that a rule stands under.
    pub fn area_of(&self, rule: usize) -> Option<&Area> {
        self.areas.iter().find(|area| area.rules.contains(&rule))
    }

    /// The position of a rule by its name.
    pub fn rule_named(&self, name: &str) -> Option<usize> {
        self.rules.iter().position(|r| r.name == name)
    }

    /// The mirror that every plan starts from.
    pub fn initial(&self) -> mirror::Mirror {
        let globals = self.globals.iter().map(|g| g.initial.clone()).collect();
        mirror::Mirror::new(self.kinds.len(), globals)
    }

    /// The line and column of a byte of the file, both from 1.
    pub fn place(&self, at: usize) -> (usize, usize) {
        let before = &self.source[..at.min(self.source.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }

    /// Whether a built-in check is on.
    pub fn has_builtin(&self, name: &str) -> bool {
        !self.switched_off.iter().any(|n| n == name)
    }
}
