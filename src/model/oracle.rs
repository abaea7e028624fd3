//! The oracle: the pure function from a mirror and an action to what must come back, and how the mirror changes. The
//! one place that says what is allowed; everything else asks it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::action::{Action, Actor, Forgery, Outcome, Picked};
use super::domain::Domain;
use super::expression::{EvalError, Expression, Names, Scope};
use super::mirror::Mirror;
use super::template::Template;
use super::value::{Handle, KindId, Value};
use super::visibility::Veil;
use super::{Argument, Body, By, Check, Effect, Model, PathPart, Place, Rule, Sent, Statuses};

/// The answer of a server, as expressions see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers; names in lower case.
    pub headers: Value,
    /// The body: of JSON its value, of anything else its text, of none null.
    pub body: Value,
}

/// What the model says of an action in a mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The outcomes that are possible. One, unless several requirements fail at once, the rules leave it open, or
    /// something needed is unknown.
    pub outcomes: Vec<Outcome>,
    /// Whether something unknown decides, so that success is possible beside refusals.
    pub open: bool,
}

impl Prediction {
    /// The outcome, if there is just one.
    pub fn certain(&self) -> Option<Outcome> {
        match self.outcomes.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }
}

/// What a watch sees of an effect while it is applied.
pub enum Moment<'a> {
    /// Whether it takes place is being decided, in this scope.
    Asked(&'a Scope<'a>),
    /// A place was set, to another value than it had or to the same.
    Set {
        /// Whether the value is another one.
        changed: bool,
        /// Whether there was any before.
        held: bool,
    },
}

/// Sees every effect with a condition, and every one that sets a place, while they are applied.
pub type Watch<'a> = &'a mut dyn FnMut(&Effect, Moment<'_>);

/// What an action did to the mirror.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The entities that came into being, were changed or went.
    pub touched: Vec<Handle>,
    /// The entities that came into being.
    pub created: Vec<Handle>,
    /// Fields that could not be learned from the answer: the place, and why.
    pub not_learned: Vec<(String, EvalError)>,
    /// The names in force afterwards, for `returns`.
    pub names: Names,
}

impl Model {
    /// The effects of all successes of all rules.
    pub(crate) fn effects(&self) -> impl Iterator<Item = &Effect> {
        self.rules.iter().flat_map(Rule::effects)
    }

    /// Whether any rule deletes entities of a kind.
    pub fn deletes(&self, kind: KindId) -> bool {
        self.effects().any(|effect| effect.deletes(kind))
    }

    /// The scope of an expression that stands outside of any rule.
    pub fn scope<'a>(&'a self, mirror: &'a Mirror, names: &'a Names) -> Scope<'a> {
        Scope {
            layout: &self.layout,
            mirror,
            before: None,
            names,
        }
    }

    /// What stands for an entity in a path or in text: the value of its key field.
    pub fn key_of(&self, mirror: &Mirror, handle: Handle) -> Value {
        let key = self.kind(handle.kind).key;
        key.zip(mirror.get(handle))
            .and_then(|(key, record)| record.fields.get(key).cloned())
            .unwrap_or(Value::Unknown)
    }

    /// What must come of an action in a mirror. Total: every action has a prediction. With an answer, requirements
    /// that look at it are evaluated; without one they may go either way.
    pub fn predict(&self, mirror: &Mirror, action: &Action, answer: Option<&Answer>) -> Prediction {
        self.predict_named(mirror, action, answer).0
    }

    /// The same, with the names that it bound, for [`Model::apply_named`].
    pub fn predict_named(
        &self,
        mirror: &Mirror,
        action: &Action,
        answer: Option<&Answer>,
    ) -> (Prediction, Names) {
        let veil = self.veil(mirror, action);
        let seen = veil.over(action);
        let names = self.all_names(mirror, &seen, answer);
        let prediction = self.predict_with(mirror, (&seen, &veil), answer.is_some(), &names);
        (prediction, names)
    }

    fn predict_with(
        &self,
        mirror: &Mirror,
        (action, veil): (&Action, &Veil),
        answered: bool,
        names: &Names,
    ) -> Prediction {
        let rule = &self.rules[action.rule];
        let mut failing = self.implied(mirror, action);
        veil.name(&mut failing);
        let structural = !failing.is_empty();
        let mut certain = structural;
        // Where it is not known whether he sees it, either may come of it.
        failing.extend(veil.unsure.iter().copied().map(Outcome::Hidden));
        let mut open = !veil.unsure.is_empty();
        let scope = Scope {
            before: Some(mirror),
            ..self.scope(mirror, names)
        };
        for (index, requirement) in rule.requires.iter().enumerate() {
            match requirement.that.eval_bool(&scope) {
                Ok(true) => {}
                Ok(false) => {
                    failing.push(Outcome::Refused(index));
                    certain = true;
                    if rule.strict_order {
                        break;
                    }
                }
                // Of an action that is about nothing, a requirement may make no sense.
                Err(_) if structural => {}
                Err(EvalError::Failed(_)) if answered => failing.push(Outcome::Refused(index)),
                Err(_) => {
                    open = true;
                    failing.push(Outcome::Refused(index));
                }
            }
        }
        if !certain || failing.is_empty() {
            failing.extend(self.successes(rule, &scope));
        }
        Prediction {
            outcomes: failing,
            open: open && !certain,
        }
    }

    /// The successes that are possible: those whose `when` is not false.
    fn successes(&self, rule: &Rule, scope: &Scope<'_>) -> Vec<Outcome> {
        let possible = |success: &super::Success| match &success.when {
            Some(when) => !matches!(when.eval_bool(scope), Ok(false)),
            None => true,
        };
        (0..rule.successes.len())
            .filter(|index| possible(&rule.successes[*index]))
            .map(Outcome::Ok)
            .collect()
    }

    /// Whether each entity that is picked is one that its rule picks from. Where that cannot be told, it is; and what is
    /// gone or never was is picked on purpose.
    pub fn picks_from_its_lists(&self, mirror: &Mirror, action: &Action) -> bool {
        let rule = &self.rules[action.rule];
        if rule.picks.iter().all(|pick| pick.from.is_none()) {
            return true;
        }
        let names = self.names(action, false);
        rule.picks.iter().zip(&action.picks).all(|(pick, picked)| {
            let (Some(from), Picked::Entity(handle)) = (&pick.from, picked) else {
                return true;
            };
            if !mirror.is_live(*handle) {
                return true;
            }
            match from.eval(&self.scope(mirror, &names)) {
                Ok(list) => handles(&list).contains(handle),
                Err(_) => true,
            }
        })
    }

    /// The implied outcomes that apply: credentials, picks, arguments.
    fn implied(&self, mirror: &Mirror, action: &Action) -> Vec<Outcome> {
        let rule = &self.rules[action.rule];
        let mut failing = Vec::new();
        if let By::Kind(_) = rule.by {
            match action.actor {
                Actor::Entity(handle) if mirror.is_live(handle) => {}
                // Nobody has changed them: they are his still.
                Actor::Forged(handle, Forgery::Old) if !is_renewed(mirror, handle) => {}
                Actor::Other(handle) if mirror.is_live(handle) => failing.push(Outcome::OtherKind),
                Actor::Forged(handle, forgery)
                    if forgery.is_of_token() && mirror.is_live(handle) =>
                {
                    if rule.needs_token(self) {
                        failing.push(Outcome::Csrf);
                    }
                }
                _ => failing.push(Outcome::Unauthenticated),
            }
        }
        for (index, pick) in action.picks.iter().enumerate() {
            match pick {
                Picked::Never => failing.push(Outcome::Absent(index)),
                Picked::Entity(handle) if mirror.is_live(*handle) => {}
                Picked::Entity(_) => failing.push(Outcome::Gone(index)),
            }
        }
        for (index, (arg, value)) in rule.args.iter().zip(&action.args).enumerate() {
            if !arg.domain.contains(value) {
                failing.push(Outcome::Invalid(index));
            }
        }
        failing
    }

    /// The statuses that an outcome may have.
    pub fn statuses(&self, rule: usize, outcome: Outcome) -> &Statuses {
        let rule = &self.rules[rule];
        match outcome {
            Outcome::Ok(n) => &rule.successes[n].statuses,
            Outcome::Refused(n) => &rule.requires[n].statuses,
            Outcome::Absent(n) | Outcome::Hidden(n) => &rule.absent[n],
            Outcome::Gone(n) => &rule.gone[n],
            Outcome::Unauthenticated => &rule.unauthenticated,
            Outcome::OtherKind => &rule.other_kind,
            Outcome::Csrf => &rule.csrf,
            Outcome::Invalid(n) => &rule.invalid[n],
        }
    }

    /// The checks of an outcome's answer.
    pub fn checks(&self, rule: usize, outcome: Outcome) -> &[Check] {
        let rule = &self.rules[rule];
        match outcome {
            Outcome::Ok(n) => &rule.successes[n].returns,
            Outcome::Refused(n) => &rule.requires[n].returns,
            _ => &[],
        }
    }

    /// The names that an action binds. For a request, an argument that is left out is absent; elsewhere it is null.
    pub fn names(&self, action: &Action, sending: bool) -> Names {
        let rule = &self.rules[action.rule];
        let mut names = Names::with_room_for(rule.picks.len() + rule.args.len());
        if let (By::Kind(kind), Some(handle)) = (rule.by, action.actor.handle()) {
            self.bind_actor(&mut names, kind, handle);
        }
        for (pick, picked) in rule.picks.iter().zip(&action.picks) {
            match picked {
                Picked::Entity(handle) => names.bind(pick.name.clone(), Value::Entity(*handle)),
                Picked::Never => names.bind(pick.name.clone(), Value::Unknown),
            }
        }
        for (arg, value) in rule.args.iter().zip(&action.args) {
            let value = match value {
                Value::Absent if !sending => Value::Null,
                other => other.clone(),
            };
            names.bind(arg.name.clone(), value);
        }
        names
    }

    /// The names that an action binds, those of its answer, if there is one, and those that its rule gives to expressions.
    pub fn all_names(&self, mirror: &Mirror, action: &Action, answer: Option<&Answer>) -> Names {
        let mut names = self.names(action, false);
        bind_answer(&mut names, answer);
        self.bind_lets(&mut names, mirror, &self.rules[action.rule].lets);
        names
    }

    /// Whether two answers to an action name the same entities as what it created.
    pub fn makes_the_same(
        &self,
        mirror: &Mirror,
        (action, outcome): (&Action, Outcome),
        answers: [&Answer; 2],
    ) -> bool {
        let [first, second] = answers.map(|answer| {
            let mut made = mirror.clone();
            let applied = self.apply(&mut made, action, outcome, u32::MAX, Some(answer));
            let key = |handle: &Handle| {
                let field = self.kind(handle.kind).key?;
                made.get(*handle)?.fields.get(field).cloned()
            };
            applied.created.iter().map(key).collect::<Vec<_>>()
        });
        let known = |key: &Option<Value>| key.as_ref().is_some_and(|key| *key != Value::Unknown);
        !first.is_empty() && first.iter().all(known) && first == second
    }

    /// Binds who acts, by the name of his kind and as `actor`.
    pub(crate) fn bind_actor(&self, names: &mut Names, kind: KindId, actor: Handle) {
        let name = &self.layout.kinds[usize::from(kind.0)].name;
        names.bind(name.clone(), Value::Entity(actor));
        names.bind(ACTOR.with(Arc::clone), Value::Entity(actor));
    }

    /// Binds names whose expressions have a value; the others stay unbound, which is unknown.
    pub fn bind_lets<'e>(
        &self,
        names: &mut Names,
        mirror: &Mirror,
        lets: impl IntoIterator<Item = &'e (Arc<str>, Expression)>,
    ) {
        for (name, expression) in lets {
            let value = {
                let scope = Scope {
                    before: Some(mirror),
                    ..self.scope(mirror, names)
                };
                expression.eval(&scope).unwrap_or(Value::Unknown)
            };
            names.bind(name.clone(), value);
        }
    }

    /// Applies an outcome's effects to the mirror. `step` becomes part of the handles of what is created.
    ///
    /// Without an answer, what only the answer says is unknown: such fields are [`Value::Unknown`], and effects on
    /// entities that only the answer names are left out.
    pub fn apply(
        &self,
        mirror: &mut Mirror,
        action: &Action,
        outcome: Outcome,
        step: u32,
        answer: Option<&Answer>,
    ) -> Applied {
        self.apply_watched(mirror, action, outcome, (step, answer), None)
    }

    /// As [`Model::apply`], with somebody watching.
    pub fn apply_watched(
        &self,
        mirror: &mut Mirror,
        action: &Action,
        outcome: Outcome,
        (step, answer): (u32, Option<&Answer>),
        watch: Option<Watch<'_>>,
    ) -> Applied {
        let names = self.all_names(mirror, action, answer);
        self.apply_with(mirror, (action.rule, outcome), (step, answer), names, watch)
    }

    /// Applies the effects of a rule's outcome, with the names that were bound to predict it.
    pub fn apply_named(
        &self,
        mirror: &mut Mirror,
        which: (usize, Outcome),
        told: (u32, Option<&Answer>),
        names: Names,
    ) -> Applied {
        self.apply_with(mirror, which, told, names, None)
    }

    /// Predicts what comes of an action and applies the outcome that is assumed of that, which may be none.
    pub fn rehearse(
        &self,
        mirror: &mut Mirror,
        action: &Action,
        step: u32,
        assume: impl FnOnce(&Prediction) -> Option<Outcome>,
    ) -> Option<(Prediction, Outcome, Applied)> {
        let veil = self.veil(mirror, action);
        let seen = veil.over(action);
        let names = self.all_names(mirror, &seen, None);
        let prediction = self.predict_with(mirror, (&seen, &veil), false, &names);
        let assumed = assume(&prediction)?;
        let applied = self.apply_with(mirror, (action.rule, assumed), (step, None), names, None);
        Some((prediction, assumed, applied))
    }

    /// Applies the effects of a rule's outcome, the names of whose action are bound.
    fn apply_with(
        &self,
        mirror: &mut Mirror,
        (rule, outcome): (usize, Outcome),
        (step, answer): (u32, Option<&Answer>),
        names: Names,
        watch: Option<Watch<'_>>,
    ) -> Applied {
        let rule = &self.rules[rule];
        let effects: &[Effect] = match outcome {
            Outcome::Ok(n) => &rule.successes[n].effects,
            Outcome::Refused(n) => &rule.requires[n].effects,
            _ => &[],
        };
        let mut work = Work {
            model: self,
            before: mirror.clone(),
            step,
            answered: answer.is_some(),
            names,
            counts: BTreeMap::new(),
            applied: Applied::default(),
            watch,
        };
        work.run(mirror, effects);
        let Work {
            names, mut applied, ..
        } = work;
        applied.names = names;
        applied
    }
}

fn is_renewed(mirror: &Mirror, handle: Handle) -> bool {
    mirror.get(handle).is_some_and(|record| record.renewed)
}

thread_local! {
    static ACTOR: Arc<str> = "actor".into();
    static BODY: Arc<str> = "body".into();
    static HEADERS: Arc<str> = "headers".into();
    static STATUS: Arc<str> = "status".into();
}

/// Binds `status`, `headers` and `body`.
pub fn bind_answer(names: &mut Names, answer: Option<&Answer>) {
    if let Some(answer) = answer {
        names.bind(BODY.with(Arc::clone), answer.body.clone());
        names.bind(HEADERS.with(Arc::clone), answer.headers.clone());
        names.bind(
            STATUS.with(Arc::clone),
            Value::Int(i64::from(answer.status)),
        );
    }
}

/// Effects being applied.
struct Work<'a, 'w> {
    model: &'a Model,
    before: Mirror,
    step: u32,
    answered: bool,
    names: Names,
    counts: BTreeMap<KindId, u16>,
    applied: Applied,
    watch: Option<Watch<'w>>,
}

impl Work<'_, '_> {
    fn with_scope<T>(&self, mirror: &Mirror, f: impl FnOnce(&Scope<'_>) -> T) -> T {
        let scope = Scope {
            layout: &self.model.layout,
            mirror,
            before: Some(&self.before),
            names: &self.names,
        };
        f(&scope)
    }

    fn eval(&self, mirror: &Mirror, expression: &Expression) -> Result<Value, EvalError> {
        self.with_scope(mirror, |scope| expression.eval(scope))
    }

    fn template(&self, mirror: &Mirror, template: &Template) -> Result<Value, EvalError> {
        self.with_scope(mirror, |scope| {
            template.eval(scope, &|handle| self.model.key_of(mirror, handle))
        })
    }

    fn run(&mut self, mirror: &mut Mirror, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Create {
                    kind, name, fields, ..
                } => self.create(mirror, *kind, name, fields),
                Effect::Set { place, value } => {
                    let value = match self.template(mirror, value) {
                        Ok(value) => value,
                        Err(error) => self.unlearned(&place.source, error),
                    };
                    let before = self.watch.is_some().then(|| mirror.clone());
                    let held = self.set(mirror, place, Some(value));
                    if let (Some(before), Some(watch)) = (before, &mut self.watch) {
                        let changed = before != *mirror;
                        watch(effect, Moment::Set { changed, held });
                    }
                }
                Effect::Unset(place) => {
                    self.set(mirror, place, None);
                }
                Effect::Delete { what, .. } => match self.eval(mirror, what) {
                    Ok(value) => {
                        for handle in handles(&value) {
                            mirror.delete(handle);
                            self.touch(handle);
                        }
                    }
                    Err(error) => {
                        self.unlearned(&what.source, error);
                    }
                },
                Effect::Each {
                    name,
                    list,
                    effects,
                } => {
                    let items: Vec<Value> = match self.eval(mirror, list) {
                        Ok(Value::List(items)) => items.to_vec(),
                        Ok(Value::Map(map)) => map.keys().cloned().collect(),
                        Ok(_) => Vec::new(),
                        Err(error) => {
                            self.unlearned(&list.source, error);
                            Vec::new()
                        }
                    };
                    for item in items {
                        let depth = self.names.len();
                        self.names.bind(name.clone(), item);
                        self.run(mirror, effects);
                        self.names.truncate(depth);
                    }
                }
                Effect::When { when, effects } => {
                    if let Some(watch) = self.watch.take() {
                        self.with_scope(mirror, |scope| watch(effect, Moment::Asked(scope)));
                        self.watch = Some(watch);
                    }
                    let holds = match when {
                        Some(when) => self.with_scope(mirror, |scope| when.eval_bool(scope)),
                        None => Ok(true),
                    };
                    match holds {
                        Ok(true) => self.run(mirror, effects),
                        Ok(false) => {}
                        Err(error) => {
                            if let Some(when) = when {
                                self.unlearned(&when.source, error);
                            }
                        }
                    }
                }
            }
        }
    }

    /// A value that could not be evaluated. Without an answer that is how it must be, with one it is worth a report.
    fn unlearned(&mut self, place: &str, error: EvalError) -> Value {
        if self.answered && error != EvalError::Unknown {
            self.applied.not_learned.push((place.to_owned(), error));
        }
        Value::Unknown
    }

    fn touch(&mut self, handle: Handle) {
        if !self.applied.touched.contains(&handle) {
            self.applied.touched.push(handle);
        }
    }

    fn create(
        &mut self,
        mirror: &mut Mirror,
        kind: KindId,
        name: &Arc<str>,
        templates: &[Option<Template>],
    ) {
        let declared = &self.model.kind(kind).fields;
        let mut values = Vec::with_capacity(templates.len());
        for (field, template) in declared.iter().zip(templates) {
            let value = match template {
                Some(template) => self.template(mirror, template),
                None => Ok(Value::Unknown),
            };
            values.push(match value {
                Ok(Value::Absent) => Value::Null,
                Ok(value) => value,
                Err(error) => {
                    let place = format!("{name}.{}", field.name);
                    self.unlearned(&place, error)
                }
            });
        }
        let nth = self.counts.entry(kind).or_insert(0);
        let handle = Handle {
            kind,
            step: self.step,
            nth: *nth,
        };
        *nth += 1;
        self.supersede(mirror, kind, &values);
        mirror.insert(handle, values);
        self.touch(handle);
        self.applied.created.push(handle);
        self.names.bind(name.clone(), Value::Entity(handle));
    }

    /// Forgets a deleted entity whose key is used again: in a path it would be the new one.
    fn supersede(&self, mirror: &mut Mirror, kind: KindId, values: &[Value]) {
        let Some(key) = self.model.kind(kind).key else {
            return;
        };
        let Some(value) = values.get(key).filter(|v| !v.has_unknown()) else {
            return;
        };
        let old = mirror
            .all(kind)
            .find(|(_, record)| record.gone && record.fields.get(key) == Some(value))
            .map(|(handle, _)| handle);
        if let Some(old) = old {
            mirror.forget(old);
        }
    }

    /// Sets a place, or unsets it. Whether it held anything before.
    fn set(&mut self, mirror: &mut Mirror, place: &Place, value: Option<Value>) -> bool {
        let mut keys = Vec::with_capacity(place.keys.len());
        for key in &place.keys {
            match self.eval(mirror, key) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    self.unlearned(&place.source, error);
                    return false;
                }
            }
        }
        match &place.entity {
            None => {
                let old = mirror.global(place.field).cloned().unwrap_or(Value::Null);
                mirror.set_global(place.field, changed(&old, &keys, value));
                held(&old, &keys)
            }
            Some(entity) => match self.eval(mirror, entity) {
                Ok(Value::Entity(handle)) => {
                    let mut any = false;
                    let auth = self.model.kind(handle.kind).auth.as_ref();
                    let shown = auth.is_some_and(|auth| auth.fields.contains(&place.field));
                    mirror.update(handle, |record| {
                        record.renewed |= shown;
                        let fields = Arc::make_mut(&mut record.fields);
                        if let Some(field) = fields.get_mut(place.field) {
                            any = held(field, &keys);
                            *field = changed(field, &keys, value);
                        }
                    });
                    self.touch(handle);
                    any
                }
                Ok(_) => false,
                Err(error) => {
                    self.unlearned(&place.source, error);
                    false
                }
            },
        }
    }
}

/// Whether there is anything in the place at `keys` within a value.
fn held(value: &Value, keys: &[Value]) -> bool {
    let Some((key, rest)) = keys.split_first() else {
        return !matches!(value, Value::Null | Value::Absent);
    };
    let inner = match (value, key) {
        (Value::List(items), Value::Int(index)) => {
            usize::try_from(*index).ok().and_then(|i| items.get(i))
        }
        (Value::Map(map), key) => map.get(key),
        _ => None,
    };
    inner.is_some_and(|inner| held(inner, rest))
}

/// A value with the place at `keys` within it set, or unset.
fn changed(old: &Value, keys: &[Value], new: Option<Value>) -> Value {
    let Some((key, rest)) = keys.split_first() else {
        return match new {
            Some(Value::Absent) | None => Value::Null,
            Some(value) => value,
        };
    };
    match (old, key) {
        (Value::List(items), Value::Int(index)) => {
            let mut items = items.to_vec();
            if let Some(item) = usize::try_from(*index).ok().and_then(|i| items.get_mut(i)) {
                *item = changed(item, rest, new);
            }
            Value::List(items.into())
        }
        (old, key) => {
            let mut map = match old {
                Value::Map(map) => map.as_ref().clone(),
                _ => BTreeMap::new(),
            };
            match (rest.is_empty(), new) {
                (true, None) => {
                    map.remove(key);
                }
                (_, new) => {
                    let inner = map.get(key).cloned().unwrap_or(Value::Null);
                    map.insert(key.clone(), changed(&inner, rest, new));
                }
            }
            Value::Map(Arc::new(map))
        }
    }
}

/// The entities in a value: one, or those of a list.
pub fn handles(value: &Value) -> Vec<Handle> {
    match value {
        Value::Entity(handle) => vec![*handle],
        Value::List(items) => items.iter().flat_map(handles).collect(),
        _ => Vec::new(),
    }
}

impl Argument {
    /// Whether there are values outside its domain that a server can be shown.
    pub fn can_be_invalid(&self, strict: bool) -> bool {
        match (self.sent, &self.domain) {
            (Sent::Within, _) | (_, Domain::Constant(_)) => false,
            (_, domain) if takes_anything(domain) => false,
            (Sent::Json, _) => true,
            // As text, `true` and `12` are texts like any other, and what is empty may count as missing.
            (Sent::Text, Domain::Optional(inner)) => bounded(inner, strict),
            (Sent::Text, domain) => bounded(domain, strict),
        }
    }
}

/// Whether nothing is known to be outside the domain: what is computed may be anything.
fn takes_anything(domain: &Domain) -> bool {
    match domain {
        Domain::Computed(_) | Domain::Json => true,
        Domain::OneOf(domains) => domains.iter().any(takes_anything),
        Domain::Optional(inner) => takes_anything(inner),
        _ => false,
    }
}

/// Whether some text is outside the domain.
fn bounded(domain: &Domain, strict: bool) -> bool {
    match domain {
        Domain::Text { max, .. } => max.is_some(),
        Domain::Int { .. } | Domain::Number { .. } | Domain::Uuid | Domain::Bool => true,
        Domain::OneOf(domains) => domains
            .iter()
            .all(|d| matches!(d, Domain::Constant(_)) || bounded(d, strict)),
        Domain::Pattern { .. } | Domain::Email => strict,
        _ => false,
    }
}

impl super::Request {
    /// Every template of the request.
    pub fn templates(&self) -> Vec<&Template> {
        let mut templates: Vec<&Template> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                PathPart::Template(template) => Some(template),
                _ => None,
            })
            .collect();
        templates.extend(self.query.iter().map(|(_, t)| t));
        templates.extend(self.headers.iter().map(|(_, t)| t));
        match &self.body {
            Body::Empty => {}
            Body::Json(t) | Body::Text(t) => templates.push(t),
            Body::Form(fields) | Body::Multipart(fields) => {
                templates.extend(fields.iter().map(|(_, t)| t));
            }
        }
        templates
    }
}
