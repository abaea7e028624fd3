//! A walk through the effects of an outcome: which values a field of each entity that they touch may have had before, and
//! may have afterwards.

use std::collections::BTreeMap;

use cel::IdedExpr;
use cel::common::ast::Expr;

use crate::model::expression::Expression;
use crate::model::template::Template;
use crate::model::types::Type;
use crate::model::value::{KindId, Value};
use crate::model::{By, Effect, Model, Place, Rule};

use super::case::{Case, Choices, Conditions, constants, thinned};
use super::question::Question;
use super::scope::{Filter, Name, Path, Root, Scope, filtered, listed};
use super::{State, Subject};

static NOTHING: Template = Template::Constant(Value::Null);

pub(super) struct Walk<'a> {
    model: &'a Model,
    subject: Subject<'a>,
    /// The values that the field can have; none where this is what is to be found out.
    states: Vec<State>,
    names: Vec<(&'a str, Name<'a>)>,
    roots: Vec<Root<'a>>,
    choices: Choices<'a>,
    given: Vec<Given<'a>>,
    cases: BTreeMap<Path<'a>, Vec<Case<'a>>>,
    /// How many effects there have been.
    clock: usize,
    /// What new entities get, and what the others do; nothing where only a run can tell.
    pub created: Vec<Option<State>>,
    pub set: Vec<Option<State>>,
}

/// A condition that holds here, or does not.
#[derive(Clone, Copy)]
struct Given<'a> {
    that: &'a IdedExpr,
    truth: bool,
    /// How many names it sees.
    depth: usize,
}

impl<'a> Walk<'a> {
    pub fn new(model: &'a Model, subject: Subject<'a>, states: &[State], rule: &'a Rule) -> Self {
        let mut walk = Walk {
            model,
            subject,
            states: states.to_vec(),
            names: Vec::new(),
            roots: Vec::new(),
            choices: Choices::new(),
            given: Vec::new(),
            cases: BTreeMap::new(),
            clock: 0,
            created: Vec::new(),
            set: Vec::new(),
        };
        if let By::Kind(kind) = rule.by {
            let actor = walk.root(Some(kind), Vec::new());
            let name = model.kind(kind).name.as_str();
            walk.names.push((name, Name::Entity(actor.clone())));
            walk.names.push(("actor", Name::Entity(actor)));
        }
        for pick in &rule.picks {
            let path = match &pick.from {
                Some(from) => walk.item(from.ast(), Some(pick.kind)),
                None => walk.root(Some(pick.kind), Vec::new()),
            };
            walk.names.push((&pick.name, Name::Entity(path)));
        }
        for argument in &rule.args {
            let name = match constants(&argument.domain) {
                Some(states) => {
                    walk.choices.insert(&argument.name, states);
                    Name::Choice
                }
                None => Name::Other,
            };
            walk.names.push((&argument.name, name));
        }
        for (name, expression) in &rule.lets {
            walk.names.push((name, Name::Let(expression.ast())));
        }
        walk
    }

    /// Says of a condition what it is before anything happens.
    pub fn given(&mut self, that: &'a Expression, truth: bool) {
        self.given.push(Given {
            that: that.ast(),
            truth,
            depth: self.names.len(),
        });
    }

    /// What became of all the entities.
    pub fn cases(&self) -> Vec<Case<'a>> {
        let moved = self.cases.values().flatten().filter(|case| case.moves());
        let cases = moved.map(|case| Case {
            choices: Choices::new(),
            ..case.clone()
        });
        thinned(cases.collect())
    }

    pub fn run(&mut self, effects: &'a [Effect]) {
        for effect in effects {
            match effect {
                Effect::Create {
                    kind, name, fields, ..
                } => {
                    let path = self.root(Some(*kind), Vec::new());
                    if *kind == self.subject.kind {
                        let field = fields.get(self.subject.field);
                        self.create(&path, field.and_then(Option::as_ref));
                    }
                    self.names.push((name, Name::Entity(path)));
                }
                Effect::Set { place, value } if self.concerns(place) => self.set(place, value),
                Effect::Unset(place) if self.concerns(place) => self.set(place, &NOTHING),
                Effect::Delete { what, kind } if *kind == Some(self.subject.kind) => {
                    self.delete(what.ast());
                }
                Effect::Each {
                    name,
                    list,
                    effects,
                } => self.each(name, list.ast(), effects),
                Effect::When { when, effects } => match when {
                    Some(when) => self.branch(when, effects),
                    None => self.run(effects),
                },
                Effect::Set { .. } | Effect::Unset(_) | Effect::Delete { .. } => {}
            }
        }
    }

    fn concerns(&self, place: &Place) -> bool {
        place.kind == Some(self.subject.kind)
            && place.field == self.subject.field
            && place.keys.is_empty()
    }

    fn create(&mut self, path: &Path<'a>, value: Option<&'a Template>) {
        let Some(choices) = self.allowed(path, &State::Start) else {
            return;
        };
        let new = vec![Case {
            from: State::Start,
            to: State::Start,
            choices,
            conditions: Conditions::default(),
            written: 0,
            again: false,
        }];
        let states = match value {
            Some(value) => self.write(path, new, value),
            None => vec![None],
        };
        self.created.extend(states);
    }

    fn set(&mut self, place: &'a Place, value: &'a Template) {
        let entity = place.entity.as_ref();
        let path = entity.and_then(|entity| self.scope(self.names.len()).path(entity.ast()));
        // What is reached otherwise may be any entity of the kind.
        let path = path.unwrap_or_else(|| self.root(place.kind, Vec::new()));
        let cases = self.take(&path);
        let states = self.write(&path, cases, value);
        self.set.extend(states);
    }

    /// Gives the field of an entity a value; returns the values that there are.
    fn write(
        &mut self,
        path: &Path<'a>,
        cases: Vec<Case<'a>>,
        value: &'a Template,
    ) -> Vec<Option<State>> {
        self.clock += 1;
        let mut froms = cases.iter().map(|case| &case.from);
        let first = froms.next().cloned();
        let sole = froms.all(|from| Some(from) == first.as_ref());
        let mut all = Vec::new();
        let mut states = Vec::new();
        for case in cases {
            if case.to == State::Gone {
                all.push(case);
                continue;
            }
            let question = self.question(&self.names, path, &case.to);
            for written in question.written(value, case.choices.clone()) {
                let possible = match (&written.state, self.subject.reference) {
                    (Some(state), _) => vec![state.clone()],
                    (None, true) => vec![State::Null, State::Set],
                    (None, false) => Vec::new(),
                };
                states.push(written.state);
                all.extend(possible.into_iter().map(|to| Case {
                    from: case.from.clone(),
                    again: sole && to == State::Set && case.from == to,
                    to,
                    choices: written.choices.clone(),
                    conditions: written.conditions.clone(),
                    written: self.clock,
                }));
            }
        }
        self.cases.insert(path.clone(), thinned(all));
        states
    }

    fn delete(&mut self, what: &'a IdedExpr) {
        let scope = self.scope(self.names.len());
        let (ast, _) = scope.behind(what);
        let path = match (scope.path(ast), &ast.expr) {
            (None, Expr::List(list)) => {
                for element in &list.elements {
                    self.delete(element);
                }
                return;
            }
            (Some(path), _) if !matches!(scope.ty(ast), Some(Type::List(_))) => path,
            _ => self.item(ast, Some(self.subject.kind)),
        };
        self.clock += 1;
        let mut cases = self.take(&path);
        for case in &mut cases {
            if case.to != State::Gone {
                case.to = State::Gone;
                case.written = self.clock;
                case.conditions = Conditions::default();
                case.again = false;
            }
        }
        self.cases.insert(path, thinned(cases));
    }

    fn branch(&mut self, when: &'a Expression, effects: &'a [Effect]) {
        let (start, roots, depth) = (self.clock, self.roots.len(), self.names.len());
        let before = self.cases.clone();
        let holds = Given {
            that: when.ast(),
            truth: true,
            depth,
        };
        for (path, cases) in &before {
            let cases = cases
                .iter()
                .filter_map(|case| self.asked(path, case, holds));
            let cases = cases.collect();
            self.cases.insert(path.clone(), cases);
        }
        self.given.push(holds);
        self.run(effects);
        self.given.pop();

        let text = super::one_line(&when.source);
        for (path, after) in std::mem::take(&mut self.cases) {
            let was = match before.get(&path) {
                Some(was) => was.clone(),
                None if path.root < roots => self.initial(&path),
                // It is only here that there is such an entity.
                None => Vec::new(),
            };
            let (mut changed, same): (Vec<_>, Vec<_>) =
                after.into_iter().partition(|case| case.written > start);
            if changed.is_empty() {
                self.cases.insert(path, was);
                continue;
            }
            let settled = self.question(&self.names[..depth], &path, &State::Start);
            let settled = settled.settles(when.ast());
            if !settled {
                changed
                    .iter_mut()
                    .for_each(|case| case.conditions.only_if(Some(&text)));
            }
            changed.extend(same);
            for case in was {
                let fails = Given {
                    truth: false,
                    ..holds
                };
                let Some(mut other) = self.asked(&path, &case, fails) else {
                    continue;
                };
                if !settled && other.written > 0 && self.asked(&path, &case, holds).is_some() {
                    other.conditions.unless(Some(&text));
                }
                changed.push(other);
            }
            self.cases.insert(path, thinned(changed));
        }
    }

    fn each(&mut self, name: &'a str, list: &'a IdedExpr, effects: &'a [Effect]) {
        let (start, depth) = (self.clock, self.names.len());
        let before = self.cases.clone();
        let roots = self.roots.len();
        let item = self.item(list, None);
        let once = item.root < roots;
        self.names.push((name, Name::Entity(item)));
        self.run(effects);
        self.names.truncate(depth);
        if once {
            return;
        }
        // There may be no item at all.
        for (path, mut after) in std::mem::take(&mut self.cases) {
            let changed = |case: &Case<'_>| case.written > start;
            if path.root < roots && after.iter().any(changed) {
                for case in after.iter_mut().filter(|case| changed(case)) {
                    case.conditions.only_if(None);
                }
                let was = before.get(&path).cloned();
                after.extend(was.unwrap_or_else(|| self.initial(&path)));
                after = thinned(after);
            }
            self.cases.insert(path, after);
        }
    }

    fn take(&mut self, path: &Path<'a>) -> Vec<Case<'a>> {
        let cases = self.cases.remove(path);
        cases.unwrap_or_else(|| self.initial(path))
    }

    /// An entity that nothing has happened to yet.
    fn initial(&self, path: &Path<'a>) -> Vec<Case<'a>> {
        let unknown = [State::Start];
        let states = match self.states.is_empty() {
            true => &unknown,
            false => self.states.as_slice(),
        };
        let case = |at: &State| {
            Some(Case {
                from: at.clone(),
                to: at.clone(),
                choices: self.allowed(path, at)?,
                conditions: Conditions::default(),
                written: 0,
                again: false,
            })
        };
        states.iter().filter_map(case).collect()
    }

    /// What the arguments may be if an entity's field has a value, if it can.
    fn allowed(&self, path: &Path<'a>, at: &State) -> Option<Choices<'a>> {
        let mut choices = self.choices.clone();
        for filter in &self.roots[path.root].filters {
            let root = Path {
                root: path.root,
                fields: Vec::new(),
            };
            let mut names = self.names[..filter.depth.min(self.names.len())].to_vec();
            names.push((filter.variable, Name::Entity(root)));
            let question = self.question(&names, path, at);
            choices = question.ask(filter.that, true, choices)?;
        }
        for given in &self.given {
            let question = self.question(&self.names[..given.depth], path, at);
            choices = question.ask(given.that, given.truth, choices)?;
        }
        Some(choices)
    }

    /// A case in which a condition holds, or does not; nothing if it cannot be.
    fn asked(&self, path: &Path<'a>, case: &Case<'a>, given: Given<'a>) -> Option<Case<'a>> {
        let question = self.question(&self.names[..given.depth], path, &case.to);
        let choices = question.ask(given.that, given.truth, case.choices.clone())?;
        Some(Case {
            choices,
            ..case.clone()
        })
    }

    /// An item of a list: of `[x]` it is `x`, of any other list one of which no more is known than how it was filtered.
    fn item(&mut self, list: &'a IdedExpr, kind: Option<KindId>) -> Path<'a> {
        let (mut ast, mut scope) = self.scope(self.names.len()).behind(list);
        if let Expr::List(list) = &ast.expr
            && let [only] = list.elements.as_slice()
            && let Some(path) = scope.path(only)
        {
            return path;
        }
        let kind = kind.or_else(|| listed(&scope.ty(ast)?));
        let mut filters = Vec::new();
        while let Some((range, variable, that)) = filtered(ast) {
            let depth = scope.names.len();
            filters.push(Filter {
                depth,
                variable,
                that,
            });
            (ast, scope) = scope.behind(range);
        }
        self.root(kind, filters)
    }

    fn root(&mut self, kind: Option<KindId>, filters: Vec<Filter<'a>>) -> Path<'a> {
        self.roots.push(Root { kind, filters });
        Path {
            root: self.roots.len() - 1,
            fields: Vec::new(),
        }
    }

    fn scope(&self, depth: usize) -> Scope<'_, 'a> {
        Scope {
            model: self.model,
            roots: &self.roots,
            names: &self.names[..depth],
        }
    }

    fn question<'w>(
        &'w self,
        names: &'w [(&'a str, Name<'a>)],
        entity: &'w Path<'a>,
        at: &'w State,
    ) -> Question<'w, 'a> {
        let scope = Scope {
            model: self.model,
            roots: &self.roots,
            names,
        };
        Question {
            scope,
            entity,
            field: self.subject.name,
            at,
        }
    }
}
