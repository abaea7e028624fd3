//! What a condition says of a field that has a certain value, and what an effect makes of it. A condition that speaks of
//! something else may hold or not.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators as op};

use crate::model::expression::readable_operator;
use crate::model::parts::unparse;
use crate::model::template::Template;
use crate::model::types::Type;
use crate::model::value::Value;
use crate::model::walk::compares;

use super::State;
use super::case::{Choices, Conditions};
use super::scope::{Name, Path, Scope};

/// A field of an entity, and its value.
#[derive(Clone, Copy)]
pub(super) struct Question<'w, 'a> {
    pub scope: Scope<'w, 'a>,
    pub entity: &'w Path<'a>,
    pub field: &'a str,
    pub at: &'w State,
}

/// What an effect makes of the field.
pub(super) struct Written<'a> {
    /// Nothing where only a run can tell.
    pub state: Option<State>,
    pub choices: Choices<'a>,
    pub conditions: Conditions,
}

impl<'a> Question<'_, 'a> {
    /// What the arguments may still be if a condition is true, or false; nothing if it cannot be.
    pub fn ask(self, ast: &'a IdedExpr, truth: bool, choices: Choices<'a>) -> Option<Choices<'a>> {
        let (ast, question) = self.behind(ast);
        match &ast.expr {
            Expr::Literal(LiteralValue::Boolean(b)) => (*b.inner() == truth).then_some(choices),
            Expr::Call(call) => question.ask_call(call, truth, choices),
            _ => Some(choices),
        }
    }

    fn ask_call(
        self,
        call: &'a CallExpr,
        truth: bool,
        choices: Choices<'a>,
    ) -> Option<Choices<'a>> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_NOT, [inner]) => self.ask(inner, !truth, choices),
            (name @ (op::LOGICAL_AND | op::LOGICAL_OR), parts) => {
                match (name == op::LOGICAL_AND) == truth {
                    true => parts
                        .iter()
                        .try_fold(choices, |choices, part| self.ask(part, truth, choices)),
                    false => any(parts
                        .iter()
                        .map(|part| self.ask(part, truth, choices.clone()))),
                }
            }
            (op::CONDITIONAL, [condition, yes, no]) => {
                any([(yes, true), (no, false)].map(|(branch, chosen)| {
                    let choices = self.ask(condition, chosen, choices.clone())?;
                    self.ask(branch, truth, choices)
                }))
            }
            (op::EQUALS, [left, right]) => self.equal([left, right], truth, choices),
            (op::NOT_EQUALS, [left, right]) => self.equal([left, right], !truth, choices),
            (op::IN, [item, list]) => self.within(item, list, truth, choices),
            _ => Some(choices),
        }
    }

    fn equal(
        self,
        sides: [&'a IdedExpr; 2],
        truth: bool,
        mut choices: Choices<'a>,
    ) -> Option<Choices<'a>> {
        let [Some(left), Some(right)] = sides.map(|side| self.values(side, &choices)) else {
            return Some(choices);
        };
        let left_over = match truth {
            true => [&left & &right, &left & &right],
            false => [without(&left, &right), without(&right, &left)],
        };
        for (side, values) in sides.into_iter().zip(left_over) {
            if values.is_empty() {
                return None;
            }
            self.narrow(side, values, &mut choices);
        }
        Some(choices)
    }

    fn within(
        self,
        item: &'a IdedExpr,
        list: &'a IdedExpr,
        truth: bool,
        mut choices: Choices<'a>,
    ) -> Option<Choices<'a>> {
        let (list, question) = self.behind(list);
        let (Some(values), Expr::List(list)) = (self.values(item, &choices), &list.expr) else {
            return Some(choices);
        };
        let mut members = BTreeSet::new();
        for member in &list.elements {
            match question.values(member, &choices) {
                Some(values) if values.len() == 1 => members.extend(values),
                _ => return Some(choices),
            }
        }
        let values = match truth {
            true => &values & &members,
            false => members.into_iter().fold(values, |values, member| {
                without(&values, &BTreeSet::from([member]))
            }),
        };
        if values.is_empty() {
            return None;
        }
        self.narrow(item, values, &mut choices);
        Some(choices)
    }

    /// Whether a condition is about the field alone, so that what the field was says whether it held.
    pub fn settles(self, ast: &'a IdedExpr) -> bool {
        let (ast, question) = self.behind(ast);
        let Expr::Call(call) = &ast.expr else {
            return false;
        };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT, parts) => {
                parts.iter().all(|part| question.settles(part))
            }
            (op::EQUALS | op::NOT_EQUALS | op::IN, [left, right]) => {
                (question.is_place(left) && constant(right))
                    || (question.is_place(right) && constant(left))
            }
            _ => false,
        }
    }

    /// What the field becomes by a template.
    pub fn written(self, template: &'a Template, choices: Choices<'a>) -> Vec<Written<'a>> {
        let state = match template {
            Template::Expression(expression) => return self.outcomes(expression.ast(), choices),
            Template::Constant(Value::Text(text)) => Some(State::Text(text.clone())),
            Template::Constant(Value::Null | Value::Absent) => Some(State::Null),
            _ => None,
        };
        vec![Written::new(state, choices)]
    }

    fn outcomes(self, ast: &'a IdedExpr, choices: Choices<'a>) -> Vec<Written<'a>> {
        let (ast, question) = self.behind(ast);
        if let Expr::Call(call) = &ast.expr
            && let (op::CONDITIONAL, [condition, yes, no]) =
                (call.func_name.as_str(), call.args.as_slice())
        {
            let text = comparison(condition);
            let mut all = Vec::new();
            for (branch, truth) in [(yes, true), (no, false)] {
                let Some(left) = question.ask(condition, truth, choices.clone()) else {
                    continue;
                };
                for mut outcome in question.outcomes(branch, left) {
                    // What the field becomes may say it already: `to == null ? item.status : to`.
                    let mut known = choices.clone();
                    if let Some(state) = &outcome.state {
                        let only = BTreeSet::from([state.clone()]);
                        question.narrow(branch, only, &mut known);
                    }
                    let open = question.ask(condition, !truth, known).is_some();
                    if open && !question.settles(condition) {
                        match truth {
                            true => outcome.conditions.only_if(text.as_deref()),
                            false => outcome.conditions.unless(text.as_deref()),
                        }
                    }
                    all.push(outcome);
                }
            }
            return all;
        }
        if question.is_place(ast) {
            return vec![Written::new(Some(self.at.clone()), choices)];
        }
        let Some(values) = question.values(ast, &choices) else {
            return vec![Written::new(None, choices)];
        };
        let one = |value: State| {
            let mut choices = choices.clone();
            question.narrow(ast, BTreeSet::from([value.clone()]), &mut choices);
            Written::new(Some(value), choices)
        };
        values.into_iter().map(one).collect()
    }

    /// The states that an expression may yield, if that can be seen.
    fn values(self, ast: &'a IdedExpr, choices: &Choices<'a>) -> Option<BTreeSet<State>> {
        let (ast, question) = self.behind(ast);
        if let Some(state) = literal(ast) {
            return Some(BTreeSet::from([state]));
        }
        if question.is_place(ast) {
            return match self.at {
                State::Start | State::Gone => None,
                at => Some(BTreeSet::from([at.clone()])),
            };
        }
        if let Expr::Ident(name) = &ast.expr
            && let Some((Name::Choice, _)) = question.scope.name(name)
        {
            return choices.get(name.as_str()).cloned();
        }
        match question.scope.ty(ast)? {
            Type::Entity(_) => Some(BTreeSet::from([State::Set])),
            _ => None,
        }
    }

    /// Remembers what an argument may still be, if this is one.
    fn narrow(self, ast: &'a IdedExpr, values: BTreeSet<State>, choices: &mut Choices<'a>) {
        let (ast, question) = self.behind(ast);
        if let Expr::Ident(name) = &ast.expr
            && let Some((Name::Choice, _)) = question.scope.name(name)
        {
            choices.insert(name, values);
        }
    }

    fn is_place(self, ast: &'a IdedExpr) -> bool {
        let path = self.scope.path(ast);
        path.is_some_and(|path| {
            let last = path.fields.split_last();
            path.root == self.entity.root
                && last == Some((&self.field, self.entity.fields.as_slice()))
        })
    }

    fn behind(self, ast: &'a IdedExpr) -> (&'a IdedExpr, Self) {
        let (ast, scope) = self.scope.behind(ast);
        (ast, Question { scope, ..self })
    }
}

impl<'a> Written<'a> {
    fn new(state: Option<State>, choices: Choices<'a>) -> Written<'a> {
        Written {
            state,
            choices,
            conditions: Conditions::default(),
        }
    }
}

/// What is left in any of several ways.
fn any<'a>(ways: impl IntoIterator<Item = Option<Choices<'a>>>) -> Option<Choices<'a>> {
    ways.into_iter().flatten().reduce(|mut all, way| {
        for (name, values) in way {
            all.entry(name).or_default().extend(values);
        }
        all
    })
}

/// The values that are not the only one of others. That two entities are set says not that they are the same.
fn without(values: &BTreeSet<State>, others: &BTreeSet<State>) -> BTreeSet<State> {
    match others.len() == 1 && !others.contains(&State::Set) {
        true => values - others,
        false => values.clone(),
    }
}

fn literal(ast: &IdedExpr) -> Option<State> {
    match &ast.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(State::Text(text.inner().into())),
        Expr::Literal(LiteralValue::Null) => Some(State::Null),
        Expr::Call(call) if call.func_name == "absent" && call.args.is_empty() => Some(State::Null),
        _ => None,
    }
}

fn constant(ast: &IdedExpr) -> bool {
    match &ast.expr {
        Expr::List(list) => list.elements.iter().all(constant),
        _ => literal(ast).is_some(),
    }
}

/// The text of a name, a path, or a comparison of two.
fn comparison(ast: &IdedExpr) -> Option<String> {
    if let Expr::Call(call) = &ast.expr
        && compares(&call.func_name)
        && let [left, right] = call.args.as_slice()
    {
        let operator = readable_operator(&call.func_name);
        return Some(format!("{} {operator} {}", unparse(left)?, unparse(right)?));
    }
    unparse(ast)
}
