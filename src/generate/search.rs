//! The search for an action with a given outcome: principal, picks and arguments are decided one after the other, in an
//! order that is drawn, and what contradicts the outcome is given up as soon as it can be judged.

use proptest::test_runner::TestRunner;
use rand::RngExt;

use crate::model::action::{Action, Actor, Forgery, Outcome, Picked};
use crate::model::domain::Domain;
use crate::model::expression::{EvalError, Names, Scope};
use crate::model::mirror::Mirror;
use crate::model::oracle::handles;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{By, Rule};

use super::demand::{Demand, Demands, Want};
use super::generator::{Goal, Prepared};
use super::recipe::Hint;
use super::ways::{Impostor, Way};

/// How many expressions are judged at most in one search.
const PATIENCE: u32 = 40;

/// How many actions with the right outcome are looked at for one that has it in a given way.
pub(super) const TRIES: usize = 6;

/// Where a search looks, and what it draws with.
pub(super) struct Bow<'a> {
    pub prepared: &'a Prepared,
    pub mirror: &'a Mirror,
    pub runner: &'a mut TestRunner,
    /// The number of the newest unique value.
    pub fresh: &'a mut u32,
    /// In percent, how often the newest entities are tried first.
    pub recent: u32,
}

/// What is decided before the search begins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fixed<'a> {
    /// Who acts, if anybody can.
    pub actor: Option<Handle>,
    /// Who is tried first.
    pub favourite: Option<Handle>,
    /// What it is about, pick by pick.
    pub picks: &'a [Option<Handle>],
    /// What the arguments are like.
    pub hints: &'a [Hint],
    /// What is picked first, newest last.
    pub focus: &'a [Handle],
    pub patience: Patience,
}

/// How long a search goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Patience {
    /// It is only to be seen whether there is any action: what is not found soon is given up.
    Little,
    #[default]
    Some,
    /// It matters more than the time that it takes.
    Much,
}

struct Search<'a, 'b> {
    bow: &'a mut Bow<'b>,
    rule: &'b Rule,
    number: usize,
    outcome: Outcome,
    demands: &'b Demands,
    fixed: Fixed<'a>,
    names: Names,
    actor: Actor,
    picks: Vec<Picked>,
    args: Vec<Option<Value>>,
    patience: u32,
    /// Some pick is not from its pool, because that depends on one that never was: nothing may be left unknown then.
    strayed: bool,
    /// Who tries what needs credentials that he has not, if that is decided.
    impostor: Option<Impostor>,
}

impl Bow<'_> {
    /// An action that the oracle predicts to have an outcome of a rule, if one was found.
    pub fn shoot(&mut self, rule: usize, outcome: Outcome, fixed: Fixed<'_>) -> Option<Action> {
        self.aim(self.prepared.goal(rule, outcome)?, fixed)
    }

    /// An action that reaches a goal, if one was found in so many tries.
    pub fn reach(&mut self, goal: usize, fixed: Fixed<'_>, tries: usize) -> Option<Action> {
        let Goal { outcome, way, .. } = &self.prepared.goals[goal];
        if let Some(end) = way.as_ref().and_then(Way::end) {
            return self.reach(end, fixed, tries);
        }
        let tries = match way {
            None | Some(Way::Where(_) | Way::By(_)) => 1,
            Some(_) => tries,
        };
        for _ in 0..tries {
            let action = self.aim(goal, fixed)?;
            if self
                .prepared
                .is_reached(goal, self.mirror, &action, *outcome)
            {
                return Some(action);
            }
        }
        None
    }

    /// An action that meets the demands of a goal.
    fn aim(&mut self, goal: usize, fixed: Fixed<'_>) -> Option<Action> {
        let prepared = self.prepared;
        let Goal {
            rule,
            outcome,
            demands,
            way,
            ..
        } = &prepared.goals[goal];
        let (rule, outcome, demands) = (*rule, *outcome, demands.as_ref()?);
        if prepared.barred[rule] {
            return None;
        }
        let definition = &prepared.model.rules[rule];
        let mut search = Search {
            bow: self,
            rule: definition,
            number: rule,
            outcome,
            demands,
            fixed,
            names: Names::default(),
            actor: Actor::Anyone,
            picks: Vec::with_capacity(definition.picks.len()),
            args: vec![None; definition.args.len()],
            patience: match fixed.patience {
                Patience::Little => PATIENCE / 3,
                Patience::Some => PATIENCE,
                Patience::Much => PATIENCE * 5,
            },
            strayed: false,
            impostor: match way {
                Some(Way::By(impostor)) => Some(*impostor),
                _ => None,
            },
        };
        if !search.actors() {
            return None;
        }
        let args: Option<Vec<Value>> = search.args.into_iter().collect();
        Some(Action {
            rule,
            actor: search.actor,
            picks: search.picks,
            args: args?,
        })
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.runner.rng().random_range(0..bound.max(1))
    }

    pub fn chance(&mut self, percent: u32) -> bool {
        self.runner.rng().random_range(0..100) < percent
    }

    /// All of a pool, in an order that is drawn: the newest first or from anywhere.
    fn order(&mut self, pool: &mut [Handle]) {
        if pool.len() < 2 {
            return;
        }
        let recent = self.recent;
        if self.chance(recent) {
            pool.reverse();
            if self.chance(30) {
                pool.swap(0, 1);
            }
        } else {
            let start = self.below(pool.len());
            pool.rotate_left(start);
            // Not always the same neighbours.
            let other = self.below(pool.len() - 1) + 1;
            pool.swap(1, other);
        }
    }
}

impl Search<'_, '_> {
    fn actors(&mut self) -> bool {
        let By::Kind(kind) = self.rule.by else {
            return self.after(0);
        };
        let mirror = self.bow.mirror;
        let mut live: Vec<Handle> = mirror.live(kind).collect();
        let start = self.bow.below(live.len());
        if !live.is_empty() {
            live.rotate_left(start);
        }
        if let Some(favourite) = self.fixed.actor.or(self.fixed.favourite) {
            if let Some(at) = live.iter().position(|h| *h == favourite) {
                live[..=at].rotate_right(1);
            } else if self.fixed.actor.is_some() {
                return false;
            }
        }
        if self.fixed.actor.is_some() {
            live.truncate(1);
        }
        for handle in live {
            let depth = self.names.len();
            (self.bow.prepared.model).bind_actor(&mut self.names, kind, handle);
            self.actor = Actor::Entity(handle);
            if self.after(0) {
                // What an attempt is about that has no right credentials is picked as its owner would.
                let actor = match self.outcome {
                    Outcome::Unauthenticated => self.impostor(kind, handle),
                    Outcome::OtherKind => self.other_kind(kind),
                    Outcome::Csrf => Some(self.without_token(handle)),
                    _ => Some(self.actor),
                };
                self.actor = match actor {
                    Some(actor) => actor,
                    None => return false,
                };
                return true;
            }
            if self.patience == 0 {
                return false;
            }
            self.names.truncate(depth);
        }
        false
    }

    /// Nobody, a forgery, or somebody who is gone: the one that is asked for, if he is there.
    fn impostor(&mut self, kind: KindId, handle: Handle) -> Option<Actor> {
        let mut all = self.bow.mirror.all(kind).rev();
        let gone = all.find(|(_, record)| record.gone);
        let gone = gone.map(|(handle, _)| handle);
        let mut all = self.bow.mirror.all(kind).rev();
        let renewed = all.find(|(_, record)| record.renewed && !record.gone);
        let renewed = renewed.map(|(handle, _)| handle);
        let impostor = match self.impostor {
            Some(impostor) => impostor,
            None => {
                let mut all: Vec<Impostor> =
                    Impostor::all(&self.bow.prepared.model, self.rule).collect();
                all.retain(|impostor| match impostor {
                    Impostor::Gone => gone.is_some(),
                    Impostor::Forger(Forgery::Old) => renewed.is_some(),
                    _ => true,
                });
                all[self.bow.below(all.len())]
            }
        };
        match impostor {
            Impostor::Nobody => Some(Actor::Nobody),
            Impostor::Forger(Forgery::Old) => {
                renewed.map(|renewed| Actor::Forged(renewed, Forgery::Old))
            }
            Impostor::Forger(forgery) => Some(Actor::Forged(handle, forgery)),
            Impostor::Gone => gone.map(Actor::Entity),
        }
    }

    /// A principal without his token against forgery, or with another one.
    fn without_token(&mut self, handle: Handle) -> Actor {
        let forgery = match self.impostor {
            Some(Impostor::Forger(forgery)) if forgery.is_of_token() => forgery,
            _ => Forgery::OF_TOKENS[self.bow.below(Forgery::OF_TOKENS.len())],
        };
        Actor::Forged(handle, forgery)
    }

    /// A principal of any other kind, if there is one.
    fn other_kind(&mut self, kind: KindId) -> Option<Actor> {
        let mut others: Vec<Handle> = Vec::new();
        for other in self.bow.prepared.model.principals() {
            if other != kind {
                others.extend(self.bow.mirror.live(other));
            }
        }
        let choice = self.bow.below(others.len());
        others.get(choice).map(|other| Actor::Other(*other))
    }

    /// Goes on once a position is decided: 0 is the principal, then come the picks, then the arguments.
    fn after(&mut self, position: usize) -> bool {
        let demands = self.demands;
        for demand in &demands.all {
            if demand.ready == position && !self.holds(demand) {
                return false;
            }
        }
        let picks = self.rule.picks.len();
        match position {
            next if next < picks => self.pick(next),
            next => self.argument(next - picks),
        }
    }

    fn holds(&mut self, demand: &Demand) -> bool {
        let Some(expression) = demand.expression(self.rule) else {
            return true;
        };
        if self.patience == 0 {
            return false;
        }
        self.patience -= 1;
        let model = &self.bow.prepared.model;
        let mirror = self.bow.mirror;
        let depth = self.names.len();
        model.bind_lets(&mut self.names, mirror, demand.lets(self.rule));
        let mut scope = model.scope(mirror, &self.names);
        scope.before = Some(mirror);
        let truth = expression.eval_bool(&scope).ok();
        self.names.truncate(depth);
        match demand.want {
            Want::NotFalse if self.strayed => truth == Some(true),
            want => want.accepts(truth),
        }
    }

    fn pick(&mut self, index: usize) -> bool {
        let rule = self.rule;
        let pick = &rule.picks[index];
        if self.outcome == Outcome::Absent(index) {
            self.picks.push(Picked::Never);
            let depth = self.names.len();
            self.names.bind(pick.name.clone(), Value::Unknown);
            if self.after(index + 1) {
                return true;
            }
            self.picks.truncate(index);
            self.names.truncate(depth);
            return false;
        }
        let strayed = self.strayed;
        let hidden = self.outcome == Outcome::Hidden(index);
        for handle in self.pool(index) {
            self.picks.push(Picked::Entity(handle));
            let depth = self.names.len();
            // What he cannot see is as if it never was.
            let bound = match hidden {
                true => Value::Unknown,
                false => Value::Entity(handle),
            };
            self.names.bind(pick.name.clone(), bound);
            if self.after(index + 1) {
                return true;
            }
            self.picks.truncate(index);
            self.names.truncate(depth);
            if self.patience == 0 {
                return false;
            }
        }
        self.strayed = strayed;
        false
    }

    /// What may be picked, in the order in which it is tried.
    fn pool(&mut self, index: usize) -> Vec<Handle> {
        let pick = &self.rule.picks[index];
        let mirror = self.bow.mirror;
        let mut pool: Vec<Handle> = match &pick.from {
            _ if self.outcome == Outcome::Gone(index) => mirror
                .all(pick.kind)
                .filter(|(_, record)| record.gone)
                .map(|(handle, _)| handle)
                .collect(),
            None => mirror.live(pick.kind).collect(),
            Some(from) => {
                let depth = self.names.len();
                self.unveil();
                let scope = self.bow.prepared.model.scope(mirror, &self.names);
                let pool = from.eval(&scope);
                self.names.truncate(depth);
                match (pool, self.outcome) {
                    (Ok(pool), _) => handles(&pool),
                    // As where the record that never was would say in which collection it is.
                    (Err(EvalError::Unknown), Outcome::Absent(_)) => {
                        self.strayed = true;
                        mirror.live(pick.kind).collect()
                    }
                    (Err(_), _) => Vec::new(),
                }
            }
        };
        if pick.veiled {
            pool.retain(|handle| self.is_seen_as_wanted(index, *handle));
        }
        if let Some(Some(fixed)) = self.fixed.picks.get(index) {
            pool.retain(|handle| handle == fixed);
            return pool;
        }
        self.bow.order(&mut pool);
        if !self.fixed.focus.is_empty() && pool.len() > 1 && self.bow.chance(85) {
            let focus = self.fixed.focus;
            if let Some(at) = focus
                .iter()
                .rev()
                .find_map(|f| pool.iter().position(|p| p == f))
            {
                pool[..=at].rotate_right(1);
            }
        }
        pool
    }

    /// Whether who acts sees an entity, where the outcome asks for that, or does not, where it asks for that.
    fn is_seen_as_wanted(&self, index: usize, entity: Handle) -> bool {
        let model = &self.bow.prepared.model;
        let seen = model.sees(self.bow.mirror, self.actor.handle(), entity);
        match self.outcome {
            outcome if outcome == Outcome::Hidden(index) => seen == Some(false),
            Outcome::Refused(_) => seen == Some(true),
            _ => seen != Some(false),
        }
    }

    /// Binds what is hidden to what it is, for what depends on it.
    fn unveil(&mut self) {
        if let Outcome::Hidden(index) = self.outcome
            && let Some(hidden) = self.picks.get(index).and_then(|picked| picked.handle())
        {
            let name = self.rule.picks[index].name.clone();
            self.names.bind(name, Value::Entity(hidden));
        }
    }

    /// Arguments that are computed from what never was are computed from something of its kind. False where there is none.
    fn stand_in(&mut self) -> bool {
        self.unveil();
        let Outcome::Absent(index) = self.outcome else {
            return true;
        };
        let pick = &self.rule.picks[index];
        let other = self.bow.mirror.live(pick.kind).next_back();
        if let Some(other) = other {
            self.names.bind(pick.name.clone(), Value::Entity(other));
        }
        other.is_some()
    }

    /// Decides the next argument that something depends on; the others come last, where nothing can fail any more.
    fn argument(&mut self, from: usize) -> bool {
        let rule = self.rule;
        let next = (from..rule.args.len())
            .find(|i| self.demands.deciding[*i] || self.outcome == Outcome::Invalid(*i));
        let Some(index) = next else {
            return self.rest();
        };
        let picks = rule.picks.len();
        for value in self.candidates(index) {
            let depth = self.names.len();
            self.bind(index, &value);
            self.args[index] = Some(value);
            if self.after(picks + index + 1) {
                return true;
            }
            self.args[index] = None;
            self.names.truncate(depth);
            if self.patience == 0 {
                return false;
            }
        }
        false
    }

    fn bind(&mut self, index: usize, value: &Value) {
        let bound = match value {
            Value::Absent => Value::Null,
            other => other.clone(),
        };
        self.names.bind(self.rule.args[index].name.clone(), bound);
    }

    /// Draws the arguments that nothing depends on.
    fn rest(&mut self) -> bool {
        let depth = self.names.len();
        let rule = self.rule;
        for index in 0..rule.args.len() {
            if self.args[index].is_some() {
                continue;
            }
            let hint = self.fixed.hints.get(index).unwrap_or(&Hint::Any);
            let Some(value) = self.draw(index, hint) else {
                self.names.truncate(depth);
                self.forget_rest();
                return false;
            };
            self.bind(index, &value);
            self.args[index] = Some(value);
        }
        true
    }

    fn forget_rest(&mut self) {
        for (index, arg) in self.args.iter_mut().enumerate() {
            if !self.demands.deciding[index] && self.outcome != Outcome::Invalid(index) {
                *arg = None;
            }
        }
    }

    /// A value of an argument, or nothing where none can be computed.
    fn draw(&mut self, index: usize, hint: &Hint) -> Option<Value> {
        let drawer = &self.bow.prepared.drawers[self.number][index];
        let (value, lonely) = self.drawn(|runner, scope, fresh| match hint {
            Hint::Any => drawer.draw(runner, scope, fresh),
            Hint::Value(value) => Some(value.clone()),
            Hint::Path(path) => drawer.draw_along(path, runner, scope, fresh),
        });
        value.filter(|value| !lonely || *value != Value::Unknown)
    }

    /// What is drawn with the names in force, and whether what is unknown of it cannot be sent: it may be computed from
    /// what never was, and nothing stands in for that.
    fn drawn<T>(
        &mut self,
        draw: impl FnOnce(&mut TestRunner, &Scope<'_>, &mut u32) -> T,
    ) -> (T, bool) {
        let depth = self.names.len();
        let lonely = !self.stand_in();
        let scope = (self.bow.prepared.model).scope(self.bow.mirror, &self.names);
        let drawn = draw(self.bow.runner, &scope, self.bow.fresh);
        self.names.truncate(depth);
        (drawn, lonely)
    }

    /// The values to try for an argument that decides, in order.
    fn candidates(&mut self, index: usize) -> Vec<Value> {
        let arg = &self.rule.args[index];
        let prepared = self.bow.prepared;
        if self.outcome == Outcome::Invalid(index) {
            let mut values = prepared.invalid[self.number][index].clone();
            let start = self.bow.below(values.len());
            if !values.is_empty() {
                values.rotate_left(start);
            }
            values.truncate(3);
            return values;
        }
        let mut values = Vec::new();
        match self.fixed.hints.get(index).unwrap_or(&Hint::Any) {
            Hint::Any => {}
            hint => {
                let hint = hint.clone();
                values.extend(self.draw(index, &hint));
                values.extend(self.draw(index, &hint));
                return values;
            }
        }
        let refused = self
            .demands
            .all
            .iter()
            .any(|d| d.want == Want::False && d.ready > self.rule.picks.len());
        // What collides, and what lies on either side of a limit, is drawn from what there is; what is to be unique only
        // where a refusal is aimed at.
        if refused || self.bow.chance(10) && !is_unique(&arg.domain) {
            self.known(&arg.name, &arg.domain, &mut values);
        }
        if self.bow.chance(50) {
            values.extend(self.near(&arg.domain));
        }
        let late = self.bow.chance(60);
        let drawer = &prepared.drawers[self.number][index];
        let first = values.len();
        let ((), lonely) = self.drawn(|runner, scope, fresh| {
            drawer.variety(runner, scope, fresh, &mut values);
        });
        values.retain(|value| !lonely || *value != Value::Unknown);
        if late && !refused {
            values.rotate_left(first);
        }
        values
    }

    /// Values that the mirror holds already in fields of the argument's name, in an order that is drawn: of the kinds
    /// that the rule makes, where it makes any. Another kind's name may be longer than this one's.
    fn known(&mut self, name: &str, domain: &Domain, out: &mut Vec<Value>) {
        let mirror = self.bow.mirror;
        for (kind, definition) in (0u16..).zip(&self.bow.prepared.model.kinds) {
            let Some(field) = definition.fields.iter().position(|f| f.name == name) else {
                continue;
            };
            if !self
                .bow
                .prepared
                .statics
                .concerns(self.number, KindId(kind))
            {
                continue;
            }
            for (_, record) in mirror.all(KindId(kind)).rev().take(8) {
                if let Some(value) = record.fields.get(field)
                    && !value.has_unknown()
                    && *value != Value::Null
                    && domain.contains(value)
                    && !out.contains(value)
                {
                    out.push(value.clone());
                }
            }
        }
        if out.len() > 1 {
            let start = self.bow.below(out.len());
            out.rotate_left(start);
        }
    }

    /// A number at or beside one that who acts, or what it is about, has in a field.
    fn near(&mut self, domain: &Domain) -> Option<Value> {
        if !matches!(domain, Domain::Int { .. }) {
            return None;
        }
        let about = self.picks.iter().filter_map(|p| p.handle());
        let mut numbers: Vec<i64> = Vec::new();
        for handle in self.actor.handle().into_iter().chain(about) {
            if let Some(record) = self.bow.mirror.get(handle) {
                numbers.extend(record.fields.iter().filter_map(|v| match v {
                    Value::Int(number) => Some(*number),
                    _ => None,
                }));
            }
        }
        if numbers.is_empty() {
            return None;
        }
        let choice = self.bow.below(numbers.len());
        let delta = [-1, 0, 1][self.bow.below(3)];
        let value = Value::Int(numbers[choice].saturating_add(delta));
        domain.contains(&value).then_some(value)
    }
}

/// Whether values of a domain are meant to be new each time.
fn is_unique(domain: &Domain) -> bool {
    match domain {
        Domain::Unique { .. } => true,
        Domain::OneOf(domains) => domains.iter().any(is_unique),
        Domain::Optional(inner) => is_unique(inner),
        _ => false,
    }
}
