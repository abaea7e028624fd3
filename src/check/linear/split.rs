//! Splitting: which operations can have nothing to do with each other, read off what their rules read and write. Each
//! group can be judged by itself, which is what makes a long history quick. Where it cannot be told, there is one group.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap as HashMap;

use cel::common::ast::Expr;

use super::{Deed, Operation};
use crate::model::action::Picked;
use crate::model::expression::{Expression, Uses};
use crate::model::mirror::Mirror;
use crate::model::template::{Part, Template};
use crate::model::types::Type;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{By, Effect, Invariant, Model, Rule, Statuses};

/// The groups of some operations, each in the order that was given.
pub(super) fn split(
    model: &Model,
    start: &Mirror,
    operations: &[Operation],
    group: &[usize],
) -> Vec<Vec<usize>> {
    let whole = || vec![group.to_vec()];
    let local: Vec<bool> = model
        .rules
        .iter()
        .map(|rule| is_local(model, rule))
        .collect();
    let mut rules = BTreeSet::new();
    let mut read = BTreeSet::new();
    for index in group {
        match &operations[*index].deed {
            Deed::Act(action) => rules.insert(action.rule),
            Deed::Read { invariant, .. } => read.insert(*invariant),
        };
    }
    let mut invariants = model.invariants.iter().enumerate();
    let looked_at = |index: &usize, of: &Invariant| of.read.is_none() || read.contains(index);
    if rules.iter().any(|rule| !local[*rule])
        || invariants.any(|(index, of)| looked_at(&index, of) && !speaks_of_one(model, of))
    {
        return whole();
    }
    // Kinds whose entities are the same from here on.
    let touched: BTreeSet<KindId> = rules
        .iter()
        .flat_map(|rule| touches(model, &model.rules[*rule]))
        .collect();
    let mut groups = Groups::default();
    let mut owner: HashMap<Handle, usize> = HashMap::default();
    for (at, index) in group.iter().enumerate() {
        groups.parent.push(at);
        for handle in concerns(model, start, &touched, &operations[*index]) {
            let other = *owner.entry(handle).or_insert(at);
            groups.join(at, other);
        }
    }
    let mut split: HashMap<usize, Vec<usize>> = HashMap::default();
    let mut order = Vec::new();
    for (at, index) in group.iter().enumerate() {
        let root = groups.root(at);
        let members = split.entry(root).or_insert_with(|| {
            order.push(root);
            Vec::new()
        });
        members.push(*index);
    }
    let all = order.iter().filter_map(|root| split.remove(root));
    all.collect()
}

/// The entities that an operation may read or write. What exists and stays as it is matters to nobody.
fn concerns(
    model: &Model,
    start: &Mirror,
    touched: &BTreeSet<KindId>,
    op: &Operation,
) -> Vec<Handle> {
    let mut handles = Vec::new();
    match &op.deed {
        Deed::Act(action) => {
            handles.extend(action.picks.iter().filter_map(|p| Picked::handle(*p)));
            handles.extend(action.actor.handle());
            action.args.iter().for_each(|arg| named(arg, &mut handles));
            let rule = &model.rules[action.rule];
            // Of one kind it makes no more than all that it makes.
            let most = u16::try_from(created(rule).count()).unwrap_or(u16::MAX);
            for kind in created(rule) {
                handles.extend((0..most).map(|nth| Handle {
                    kind,
                    step: op.id,
                    nth,
                }));
            }
        }
        Deed::Read { entity, .. } => handles.extend(*entity),
    }
    handles.retain(|h| touched.contains(&h.kind) || start.get(*h).is_none());
    handles
}

/// The entities that a value names.
fn named(value: &Value, handles: &mut Vec<Handle>) {
    match value {
        Value::Entity(handle) => handles.push(*handle),
        Value::List(items) => items.iter().for_each(|item| named(item, handles)),
        Value::Map(map) => map.iter().for_each(|(key, value)| {
            named(key, handles);
            named(value, handles);
        }),
        _ => {}
    }
}

fn created(rule: &Rule) -> impl Iterator<Item = KindId> + '_ {
    rule.effects().filter_map(|effect| match effect {
        Effect::Create { kind, .. } => Some(*kind),
        _ => None,
    })
}

/// The kinds whose entities a rule changes.
fn touches(model: &Model, rule: &Rule) -> Vec<KindId> {
    let refusals = rule.requires.iter().flat_map(|r| Effect::all(&r.effects));
    let mut kinds = Vec::new();
    for effect in rule.effects().chain(refusals) {
        match effect {
            Effect::Set { place, .. } | Effect::Unset(place) => kinds.extend(place.kind),
            Effect::Delete { kind: Some(k), .. } => kinds.push(*k),
            Effect::Delete { kind: None, .. } => {
                kinds.extend(
                    (0..model.kinds.len()).filter_map(|k| Some(KindId(u16::try_from(k).ok()?))),
                );
            }
            _ => {}
        }
    }
    kinds
}

/// Whether a rule reads and writes only what it picks, who acts and what it makes.
fn is_local(model: &Model, rule: &Rule) -> bool {
    // Which request is recognised, and what becomes of something where the model does not know, reaches further.
    let mut statuses = (rule.successes.iter().map(|s| &s.statuses))
        .chain(rule.requires.iter().map(|r| &r.statuses));
    if rule.idempotent.is_some() || statuses.any(Statuses::is_any) {
        return false;
    }
    let mut names: Vec<&str> = vec!["actor"];
    names.extend(rule.picks.iter().map(|pick| &*pick.name));
    if let By::Kind(kind) = rule.by {
        names.push(&model.kind(kind).name);
    }
    let mut looked: Vec<&Uses> = Vec::new();
    looked.extend(rule.lets.iter().map(|(_, e)| &e.uses));
    let mut effects: Vec<&Effect> = rule.effects().collect();
    for requirement in &rule.requires {
        looked.push(&requirement.that.uses);
        looked.extend(requirement.returns.iter().map(|check| &check.that.uses));
        effects.extend(Effect::all(&requirement.effects));
    }
    for success in &rule.successes {
        looked.extend(success.when.as_ref().map(|when| &when.uses));
        looked.extend(success.returns.iter().map(|check| &check.that.uses));
    }
    let mut expressions: Vec<&Expression> = Vec::new();
    for pick in rule.picks.iter().filter(|pick| pick.veiled) {
        let visibility = model.kind(pick.kind).visible_to.iter();
        let to = visibility.flat_map(|visibility| &visibility.to);
        expressions.extend(to.map(|(_, which)| which));
    }
    for effect in effects {
        match effect {
            Effect::Create {
                kind, name, fields, ..
            } => {
                // A key that is used again makes another entity be forgotten.
                if model.deletes(*kind) {
                    return false;
                }
                names.push(name);
                for template in fields.iter().flatten() {
                    within(template, &mut expressions);
                }
            }
            Effect::Set { place, value } => {
                if !is_named(place.entity.as_ref(), &names) {
                    return false;
                }
                within(value, &mut expressions);
                expressions.extend(&place.keys);
            }
            Effect::Unset(place) => {
                if !is_named(place.entity.as_ref(), &names) {
                    return false;
                }
                expressions.extend(&place.keys);
            }
            Effect::Delete { what, .. } => {
                if !is_named(Some(what), &names) {
                    return false;
                }
            }
            Effect::Each { .. } => return false,
            Effect::When { when, .. } => expressions.extend(when),
        }
    }
    looked.extend(expressions.into_iter().map(|e| &e.uses));
    looked.into_iter().all(|uses| is_plain(model, uses))
}

/// Whether what an invariant says of an entity depends on that entity alone.
fn speaks_of_one(model: &Model, invariant: &Invariant) -> bool {
    let mut looked = vec![&invariant.claim.uses];
    looked.extend(invariant.when.as_ref().map(|when| &when.uses));
    looked.extend(invariant.lets.iter().map(|(_, e)| &e.uses));
    invariant.each.is_some()
        && !invariant.claim.uses.variables.contains("step")
        && looked.into_iter().all(|uses| is_plain(model, uses))
}

/// Whether an expression reads nothing through another entity, no list of a whole kind, and no single value.
fn is_plain(model: &Model, uses: &Uses) -> bool {
    let field = |(kind, field): &(KindId, usize)| {
        let kind = model.kind(*kind);
        let plain = kind
            .fields
            .get(*field)
            .is_some_and(|f| names_nothing(&f.ty));
        plain && kind.derived.is_empty()
    };
    uses.plurals.is_empty()
        && !uses.variables.contains("before")
        && !(model.globals.iter()).any(|global| uses.variables.contains(&global.name))
        && uses.fields.iter().all(field)
}

/// Whether a value of a type can hold no entity.
fn names_nothing(ty: &Type) -> bool {
    match ty {
        Type::Null | Type::Bool | Type::Int | Type::Number | Type::Text | Type::Time => true,
        Type::Secret | Type::Private => true,
        Type::Optional(inner) | Type::List(inner) => names_nothing(inner),
        Type::Map(key, value) => names_nothing(key) && names_nothing(value),
        Type::Any | Type::Entity(_) | Type::Past => false,
    }
}

/// Whether an expression is just one of some names.
fn is_named(entity: Option<&Expression>, names: &[&str]) -> bool {
    // Its source is that of the whole place that it stands in.
    let ident = |entity: &Expression| matches!(&entity.ast().expr, Expr::Ident(name) if names.contains(&name.as_str()));
    entity.is_some_and(ident)
}

fn within<'t>(template: &'t Template, expressions: &mut Vec<&'t Expression>) {
    match template {
        Template::Constant(_) => {}
        Template::Expression(expression) => expressions.push(expression),
        Template::Text(parts) => expressions.extend(parts.iter().filter_map(|part| match part {
            Part::Expression(expression) => Some(&**expression),
            Part::Literal(_) => None,
        })),
        Template::List(items) => items.iter().for_each(|item| within(item, expressions)),
        Template::Map(entries) => entries.iter().for_each(|(_, t)| within(t, expressions)),
    }
}

/// Disjoint sets.
#[derive(Default)]
struct Groups {
    parent: Vec<usize>,
}

impl Groups {
    fn root(&mut self, mut at: usize) -> usize {
        while self.parent[at] != at {
            self.parent[at] = self.parent[self.parent[at]];
            at = self.parent[at];
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.parent[one] = other;
    }
}
