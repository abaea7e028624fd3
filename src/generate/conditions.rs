//! Conditions: in which ways a claim comes to be true, or false. A conjunction is false because of each of its parts, a
//! disjunction true because of each: what the modified condition/decision coverage of test standards asks for. And a
//! field that takes a few constants is compared with one of them in as many ways as there are constants left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators as op};

use crate::model::domain::Domain;
use crate::model::expression::{Expression, KindLayout, Uses};
use crate::model::template::Template;
use crate::model::types::Type;
use crate::model::value::{KindId, Value};
use crate::model::walk::{children, compares, rewrite};
use crate::model::{By, Effect, Model, Rule};

use super::demand::Want;

/// More ways than this of one condition are not told apart.
const MOST: usize = 12;

/// What fields of entities are ever given.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    constants: BTreeMap<(KindId, usize), BTreeSet<Arc<str>>>,
}

/// What the names of a rule stand for, as far as conditions are concerned.
pub(super) struct Glossary<'a> {
    model: &'a Model,
    vocabulary: &'a Vocabulary,
    kinds: BTreeMap<&'a str, KindId>,
    /// The constants that arguments are drawn from.
    choices: BTreeMap<&'a str, BTreeSet<Arc<str>>>,
}

/// A part of a condition, and what it must yield.
#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub that: Arc<Expression>,
    pub want: Want,
}

/// A way: all of these at once.
type Clause = Vec<(IdedExpr, Want)>;

impl Vocabulary {
    pub fn of(model: &Model) -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        for rule in &model.rules {
            for effect in rule.effects() {
                match effect {
                    Effect::Create { kind, fields, .. } => {
                        for (field, template) in fields.iter().enumerate() {
                            vocabulary.add(rule, Some(*kind), field, template.as_ref());
                        }
                    }
                    Effect::Set { place, value } if place.keys.is_empty() => {
                        vocabulary.add(rule, place.kind, place.field, Some(value));
                    }
                    _ => {}
                }
            }
        }
        vocabulary
    }

    fn add(
        &mut self,
        rule: &Rule,
        kind: Option<KindId>,
        field: usize,
        template: Option<&Template>,
    ) {
        let given = match template {
            Some(Template::Constant(Value::Text(text))) => BTreeSet::from([text.as_ref().into()]),
            // An argument that is one of a few.
            Some(Template::Expression(expression)) => {
                let Expr::Ident(name) = &expression.ast().expr else {
                    return;
                };
                let arg = rule.args.iter().find(|arg| *arg.name == *name.as_str());
                arg.and_then(|arg| constants(&arg.domain))
                    .unwrap_or_default()
            }
            _ => return,
        };
        if let (Some(kind), false) = (kind, given.is_empty()) {
            let texts = self.constants.entry((kind, field)).or_default();
            texts.extend(given);
        }
    }
}

impl<'a> Glossary<'a> {
    pub fn new(model: &'a Model, vocabulary: &'a Vocabulary, rule: &'a Rule) -> Glossary<'a> {
        let mut kinds = BTreeMap::new();
        for pick in &rule.picks {
            kinds.insert(pick.name.as_ref(), pick.kind);
        }
        if let By::Kind(kind) = rule.by {
            kinds.insert("actor", kind);
            kinds.insert(model.kind(kind).name.as_str(), kind);
        }
        let mut choices = BTreeMap::new();
        for arg in &rule.args {
            if let Some(texts) = constants(&arg.domain) {
                choices.insert(arg.name.as_ref(), texts);
            }
        }
        Glossary {
            model,
            vocabulary,
            kinds,
            choices,
        }
    }

    /// The ways in which an expression comes to have a truth value.
    pub fn ways(&self, expression: &Expression, truth: bool) -> Vec<Vec<Literal>> {
        let mut ast = expression.ast().clone();
        self.expand(&mut ast);
        let mut clauses = self.clauses(&ast, truth);
        clauses.truncate(MOST);
        clauses
            .into_iter()
            .map(|clause| {
                let literal = |(ast, want)| Literal {
                    that: Arc::new(part(expression, ast)),
                    want,
                };
                clause.into_iter().map(literal).collect()
            })
            .collect()
    }

    /// Puts what derived fields stand for in their place, so that there are ways to find in it. Whose field it is says what
    /// stands before it, or the field's name, where no other kind has a field of that name.
    fn expand(&self, ast: &mut IdedExpr) {
        rewrite(ast, &mut |expr| {
            let Expr::Select(select) = &expr.expr else {
                return;
            };
            let bound = BTreeMap::new();
            let kinds: Vec<&KindLayout> = match self.kind_of(&select.operand, &bound) {
                Some(kind) => vec![&self.model.layout.kinds[usize::from(kind.0)]],
                None => self.model.layout.kinds.iter().collect(),
            };
            let stored = kinds.iter().any(|kind| kind.fields.contains(&select.field));
            let mut derived = (kinds.iter().flat_map(|kind| &kind.derived))
                .filter(|(name, _)| *name == select.field);
            let (Some((_, what)), None, false) = (derived.next(), derived.next(), stored) else {
                return;
            };
            let mut body = what.ast().clone();
            substitute(&mut body, &select.operand);
            // It may use derived fields itself, of those above it, so this comes to an end.
            self.expand(&mut body);
            *expr = body;
        });
    }

    fn clauses(&self, ast: &IdedExpr, truth: bool) -> Vec<Clause> {
        let Expr::Call(call) = &ast.expr else {
            return vec![vec![(ast.clone(), wanted(truth))]];
        };
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::LOGICAL_NOT, [inner]) => self.clauses(inner, !truth),
            (name @ (op::LOGICAL_AND | op::LOGICAL_OR), _) => {
                let mut parts = Vec::new();
                flatten(ast, name, &mut parts);
                match (name == op::LOGICAL_AND) == truth {
                    true => self.together(&parts, truth),
                    false => self.alone(&parts, truth),
                }
            }
            (op::CONDITIONAL, [condition, yes, no]) => {
                let mut clauses = Vec::new();
                for (branch, chosen) in [(yes, true), (no, false)] {
                    for mut clause in self.clauses(branch, truth) {
                        clause.insert(0, (condition.clone(), wanted(chosen)));
                        clauses.push(clause);
                    }
                }
                clauses
            }
            _ => self.atom(ast, call, truth),
        }
    }

    /// All parts have the truth; the ways are those of each.
    fn together(&self, parts: &[&IdedExpr], truth: bool) -> Vec<Clause> {
        let mut clauses = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let ways = self.clauses(part, truth);
            if ways.len() == 1 {
                continue;
            }
            for way in ways {
                let others = parts
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != index);
                let mut clause: Clause = others
                    .map(|(_, part)| ((*part).clone(), wanted(truth)))
                    .collect();
                clause.extend(way);
                clauses.push(clause);
            }
        }
        if clauses.is_empty() {
            let all = parts.iter().map(|part| ((*part).clone(), wanted(truth)));
            clauses.push(all.collect());
        }
        clauses
    }

    /// One part alone has the truth; a later one may make no sense then.
    fn alone(&self, parts: &[&IdedExpr], truth: bool) -> Vec<Clause> {
        let mut clauses = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            for mut clause in self.clauses(part, truth) {
                for (other, part) in parts.iter().enumerate() {
                    let want = match (other.cmp(&index), truth) {
                        (std::cmp::Ordering::Equal, _) => continue,
                        (std::cmp::Ordering::Less, _) => wanted(!truth),
                        (_, false) => Want::NotFalse,
                        (_, true) => Want::NotTrue,
                    };
                    clause.push(((*part).clone(), want));
                }
                clauses.push(clause);
            }
        }
        clauses
    }

    /// A comparison with constants has as many ways as constants are left, one with a limit those at the limit and beyond;
    /// and what is counted or sought among entities may be of each sort.
    fn atom(&self, ast: &IdedExpr, call: &CallExpr, truth: bool) -> Vec<Clause> {
        if let Some((of, values)) = self.compared(call, truth, &BTreeMap::new())
            && values.len() > 1
        {
            return values
                .into_iter()
                .map(|value| vec![(equal(of, &value), Want::True)])
                .collect();
        }
        let whole = (ast.clone(), wanted(truth));
        let mut clauses: Vec<Clause> = Vec::new();
        if let Some(limit) = limit(call, truth) {
            clauses.push(vec![(limit.clone(), Want::True)]);
            clauses.push(vec![whole.clone(), (limit, Want::False)]);
        }
        self.sorts(ast, &mut |sort| {
            clauses.push(vec![whole.clone(), (sort, Want::True)]);
        });
        if clauses.len() < 2 {
            clauses = vec![vec![whole]];
        }
        clauses
    }

    /// What is compared with constants, and which of its constants give the comparison a truth value.
    fn compared<'b>(
        &self,
        call: &'b CallExpr,
        truth: bool,
        bound: &BTreeMap<&str, KindId>,
    ) -> Option<(&'b IdedExpr, Vec<Arc<str>>)> {
        let [left, right] = call.args.as_slice() else {
            return None;
        };
        let (of, named, same) = match call.func_name.as_str() {
            name @ (op::EQUALS | op::NOT_EQUALS) => {
                let (of, text) = match (text(left), text(right)) {
                    (None, Some(text)) => (left, text),
                    (Some(text), None) => (right, text),
                    _ => return None,
                };
                (of, vec![text], name == op::EQUALS)
            }
            op::IN => {
                let Expr::List(list) = &right.expr else {
                    return None;
                };
                let texts: Option<Vec<&str>> = list.elements.iter().map(text).collect();
                (left, texts?, true)
            }
            _ => return None,
        };
        let known = self.constants(of, bound)?;
        let left = known
            .iter()
            .filter(|value| named.contains(&value.as_ref()) == (same == truth));
        Some((of, left.cloned().collect()))
    }

    /// The constants that a path, or an argument, may be.
    fn constants(
        &self,
        ast: &IdedExpr,
        bound: &BTreeMap<&str, KindId>,
    ) -> Option<&BTreeSet<Arc<str>>> {
        match &ast.expr {
            Expr::Ident(name) => self.choices.get(name.as_str()),
            Expr::Select(select) => {
                let (kind, field) = self.field(select, bound)?;
                self.vocabulary.constants.get(&(kind, field))
            }
            _ => None,
        }
    }

    fn field(
        &self,
        select: &SelectExpr,
        bound: &BTreeMap<&str, KindId>,
    ) -> Option<(KindId, usize)> {
        let kind = self.kind_of(&select.operand, bound)?;
        let fields = &self.model.kind(kind).fields;
        let field = fields.iter().position(|f| f.name == select.field)?;
        Some((kind, field))
    }

    /// Of which kind a name, or a reference that it leads to, is.
    fn kind_of(&self, ast: &IdedExpr, bound: &BTreeMap<&str, KindId>) -> Option<KindId> {
        match &ast.expr {
            Expr::Ident(name) => {
                let name = name.as_str();
                bound.get(name).or_else(|| self.kinds.get(name)).copied()
            }
            Expr::Select(inner) => {
                let (kind, field) = self.field(inner, bound)?;
                match self.model.kind(kind).fields[field].ty.bare() {
                    Type::Entity(kind) => Some(*kind),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Says of each comprehension over all entities of a kind that there is one of each sort in it: for each constant that
    /// its predicate allows a field to be.
    fn sorts(&self, ast: &IdedExpr, found: &mut dyn FnMut(IdedExpr)) {
        match &ast.expr {
            Expr::Call(call) => {
                call.target.iter().for_each(|t| self.sorts(t, found));
                call.args.iter().for_each(|a| self.sorts(a, found));
            }
            Expr::Comprehension(over) => {
                let Expr::Ident(plural) = &over.iter_range.expr else {
                    return;
                };
                let Some(kind) = self.model.layout.plural(plural) else {
                    return;
                };
                let Some(predicate) = predicate(&over.loop_step) else {
                    return;
                };
                let bound = BTreeMap::from([(over.iter_var.as_str(), kind)]);
                let mut parts = Vec::new();
                flatten(predicate, op::LOGICAL_AND, &mut parts);
                for part in parts {
                    let Expr::Call(call) = &part.expr else {
                        continue;
                    };
                    if let Some((of, values)) = self.compared(call, true, &bound)
                        && values.len() > 1
                    {
                        for value in values {
                            let such = both(predicate.clone(), equal(of, &value));
                            if let Some(some) = exists(plural, &over.iter_var, such) {
                                found(some);
                            }
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// Puts an expression for `self`, and gives the variables of its surroundings other names where it uses them, too.
fn substitute(body: &mut IdedExpr, operand: &IdedExpr) {
    let mut taken = BTreeSet::new();
    idents(operand, &mut taken);
    let other = |name: &mut String| {
        if taken.contains(name.as_str()) {
            name.push_str("_of_self");
        }
    };
    let mut bound = BTreeSet::new();
    rewrite(body, &mut |expr| {
        if let Expr::Comprehension(over) = &mut expr.expr {
            bound.insert(over.iter_var.clone());
            other(&mut over.iter_var);
        }
    });
    rewrite(body, &mut |expr| match &mut expr.expr {
        Expr::Ident(name) if name == "self" => *expr = operand.clone(),
        Expr::Ident(name) if bound.contains(name) => other(name),
        _ => {}
    });
}

/// Whether an expression is a condition, on the face of it.
pub(super) fn decides(expression: &Expression) -> bool {
    let Expr::Call(call) = &expression.ast().expr else {
        return false;
    };
    let name = call.func_name.as_str();
    compares(name) || matches!(name, op::LOGICAL_AND | op::LOGICAL_OR | op::LOGICAL_NOT)
}

/// The name that an expression consists of.
pub(super) fn name(expression: &Expression) -> Option<&str> {
    match &expression.ast().expr {
        Expr::Ident(name) => Some(name),
        _ => None,
    }
}

/// The texts that a domain consists of.
fn constants(domain: &Domain) -> Option<BTreeSet<Arc<str>>> {
    match domain {
        Domain::OneOf(domains) => domains
            .iter()
            .map(|domain| match domain {
                Domain::Constant(Value::Text(text)) => Some(text.as_ref().into()),
                _ => None,
            })
            .collect(),
        Domain::Optional(inner) => constants(inner),
        _ => None,
    }
}

fn wanted(truth: bool) -> Want {
    match truth {
        true => Want::True,
        false => Want::False,
    }
}

/// The parts that one operator joins.
fn flatten<'a>(ast: &'a IdedExpr, operator: &str, parts: &mut Vec<&'a IdedExpr>) {
    match &ast.expr {
        Expr::Call(call) if call.func_name == operator => {
            call.args.iter().for_each(|a| flatten(a, operator, parts));
        }
        _ => parts.push(ast),
    }
}

/// What the loop of `filter`, `exists` or `all` asks of each item; of `all` that is what none must lack.
fn predicate(step: &IdedExpr) -> Option<&IdedExpr> {
    let Expr::Call(call) = &step.expr else {
        return None;
    };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (op::CONDITIONAL, [predicate, ..]) | (op::LOGICAL_OR, [_, predicate]) => Some(predicate),
        _ => None,
    }
}

fn text(ast: &IdedExpr) -> Option<&str> {
    match &ast.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn node(expr: Expr) -> IdedExpr {
    IdedExpr { id: 0, expr }
}

fn call_of(name: &str, args: Vec<IdedExpr>) -> IdedExpr {
    node(Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: None,
        args,
    }))
}

/// What is compared with a limit is the last number on the side of the limit where the comparison has a truth value.
fn limit(call: &CallExpr, truth: bool) -> Option<IdedExpr> {
    let [left, right] = call.args.as_slice() else {
        return None;
    };
    // How far from the limit the last number is where the comparison is true, and where it is not.
    let (if_true, if_false) = match call.func_name.as_str() {
        op::LESS => (-1, 0),
        op::LESS_EQUALS => (0, 1),
        op::GREATER => (1, 0),
        op::GREATER_EQUALS => (0, -1),
        _ => return None,
    };
    let past = if truth { if_true } else { if_false };
    let (of, last) = match (int(left), int(right)) {
        (None, Some(limit)) => (left, limit.checked_add(past)?),
        // `3 < x` is `x > 3`.
        (Some(limit), None) => (right, limit.checked_sub(past)?),
        _ => return None,
    };
    let last = node(Expr::Literal(LiteralValue::Int(last.into())));
    Some(call_of(op::EQUALS, vec![of.clone(), last]))
}

fn int(ast: &IdedExpr) -> Option<i64> {
    match &ast.expr {
        Expr::Literal(LiteralValue::Int(int)) => Some(*int.inner()),
        _ => None,
    }
}

fn equal(of: &IdedExpr, value: &str) -> IdedExpr {
    let value = node(Expr::Literal(LiteralValue::String(value.to_owned().into())));
    call_of(op::EQUALS, vec![of.clone(), value])
}

fn both(left: IdedExpr, right: IdedExpr) -> IdedExpr {
    call_of(op::LOGICAL_AND, vec![left, right])
}

/// `plural.exists(variable, such)`. The macro's expansion is the parser's, of a text with `true` in the place of `such`.
fn exists(plural: &str, variable: &str, such: IdedExpr) -> Option<IdedExpr> {
    let text = format!("{plural}.exists({variable}, true)");
    let parser = crate::model::expression::environment().parser();
    let mut ast = parser.parse(&text).ok()?;
    if let Expr::Comprehension(over) = &mut ast.expr
        && let Expr::Call(step) = &mut over.loop_step.expr
    {
        *step.args.last_mut()? = such;
        return Some(ast);
    }
    None
}

/// A part of an expression as one of its own. It uses no names but those that stand in it.
fn part(whole: &Expression, ast: IdedExpr) -> Expression {
    let mut names = BTreeSet::new();
    idents(&ast, &mut names);
    let mut uses = Uses::clone(&whole.uses);
    uses.variables.retain(|name| names.contains(name.as_str()));
    Expression::new(whole.source.clone(), whole.span.clone(), ast, uses)
}

fn idents<'a>(ast: &'a IdedExpr, names: &mut BTreeSet<&'a str>) {
    if let Expr::Ident(name) = &ast.expr {
        names.insert(name);
    }
    for child in children(ast) {
        idents(child, names);
    }
}
