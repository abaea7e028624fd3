//! Evaluation. It yields what CEL would: the same values, and no value for the same reasons, which
//! `tests` and the plans of every model depend on.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use ordered_float::OrderedFloat;

use super::{Code, Comparison, Declared, Frame, Local, Loop, Operator, Slot, Stop};
use crate::model::expression::{EvalError, Names, Scope, by_cel};
use crate::model::value::{Handle, KindId, Value};

type Seen<'a> = Result<Cow<'a, Value>, Stop>;

impl<'a> Frame<'a> {
    /// What code can see in a scope.
    pub fn of(scope: &'a Scope<'a>) -> Frame<'a> {
        Frame {
            scope,
            locals: None,
        }
    }

    fn bound(&self, name: &str) -> Option<&'a Value> {
        let mut local = self.locals;
        while let Some(here) = local {
            if here.name == name {
                return Some(here.value);
            }
            local = here.outer;
        }
        self.scope.names.get(name)
    }

    /// The same with a loop's variable.
    fn with<'b>(&self, local: &'b Local<'b>) -> Frame<'b>
    where
        'a: 'b,
    {
        Frame {
            locals: Some(local),
            ..*self
        }
    }
}

/// A value that was read, unless it is unknown.
fn known(value: &Value) -> Seen<'_> {
    fn unknown(value: &Value) -> bool {
        match value {
            Value::Unknown => true,
            Value::List(items) => items.iter().any(unknown),
            _ => false,
        }
    }
    match unknown(value) {
        true => Err(Stop::Unknown),
        false => Ok(Cow::Borrowed(value)),
    }
}

fn owned<'a>(value: impl Into<Value>) -> Seen<'a> {
    Ok(Cow::Owned(value.into()))
}

fn truth(value: &Value) -> Result<bool, Stop> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        _ => Err(Stop::Failed),
    }
}

impl Code {
    /// The value. A string that is new in every run stays one: written out, it would be none of that run's.
    pub fn value(&self, frame: &Frame<'_>) -> Result<Value, Stop> {
        let value = self.eval(frame)?;
        match value.has_unknown() {
            true => Err(Stop::Unknown),
            false => Ok(value.into_owned()),
        }
    }

    /// The truth.
    pub fn test(&self, frame: &Frame<'_>) -> Result<bool, Stop> {
        match self {
            Code::Not(inner) => Ok(!inner.test(frame)?),
            Code::Both(all, left, right) => {
                let left = left.test(frame);
                if left == Ok(!all) {
                    return Ok(!all);
                }
                // What the right side does not decide is as the left side was: decided neither, or without a value.
                match truth(&*right.eval(frame)?) {
                    Ok(right) if right == *all => left,
                    Ok(_) => Ok(!all),
                    Err(stop) => left.and(Err(stop)),
                }
            }
            Code::Conditional(condition, yes, no) => match condition.test(frame)? {
                true => yes.test(frame),
                false => no.test(frame),
            },
            Code::Compare(comparison, left, right) => {
                let (left, right) = (left.eval(frame)?, right.eval(frame)?);
                match comparison {
                    Comparison::Equal => Ok(equal(&left, &right)),
                    Comparison::NotEqual => Ok(!equal(&left, &right)),
                    _ => order(&left, &right).map(|order| comparison.accepts(order)),
                }
            }
            Code::In(item, list) => {
                let item = item.eval(frame)?;
                if let Some(kind) = list.plural(frame) {
                    return Ok(match item.as_ref() {
                        Value::Entity(handle) => {
                            handle.kind == kind && frame.scope.mirror.is_live(*handle)
                        }
                        _ => false,
                    });
                }
                match list.eval(frame)?.as_ref() {
                    Value::List(items) => Ok(items.iter().any(|i| equal(i, &item))),
                    Value::Map(map) => Ok(map.contains_key(&written_out(item))),
                    _ => Err(Stop::Failed),
                }
            }
            Code::Gone(of) => match of.eval(frame)?.as_ref() {
                Value::Entity(handle) => Ok(frame.scope.mirror.get(*handle).is_none_or(|r| r.gone)),
                _ => Err(Stop::Failed),
            },
            Code::Every(all, over, asked) => over.decide(frame, *all, asked),
            Code::One(over, asked) => {
                let mut found = 0;
                over.each(frame, |inner| {
                    found += usize::from(asked.test(inner)?);
                    Ok(true)
                })?;
                Ok(found == 1)
            }
            _ => truth(&*self.eval(frame)?),
        }
    }

    /// The value as it was read.
    pub(super) fn eval<'a>(&'a self, frame: &Frame<'a>) -> Seen<'a> {
        match self {
            Code::Constant(value) => Ok(Cow::Borrowed(value)),
            Code::Name(name, declared) => match (frame.bound(name), declared) {
                (Some(value), _) => known(value),
                (None, Declared::Plural(kind)) => Ok(Cow::Owned(Value::List(
                    frame.scope.mirror.live(*kind).map(Value::Entity).collect(),
                ))),
                (None, Declared::Global(index)) => {
                    known(frame.scope.mirror.global(*index).unwrap_or(&Value::Unknown))
                }
                (None, Declared::Nothing) => Err(Stop::Unknown),
            },
            Code::Field(of, field, slots) => match of.eval(frame)? {
                Cow::Owned(Value::Entity(handle)) | Cow::Borrowed(&Value::Entity(handle)) => {
                    field_of(frame, handle, slots[usize::from(handle.kind.0)])
                }
                of => look_up(of, &Value::Text(field.clone())),
            },
            Code::Index(of, key) => {
                let of = of.eval(frame)?;
                let key = written_out(key.eval(frame)?);
                match (of.as_ref(), &key) {
                    (Value::Entity(handle), Value::Text(field)) => {
                        let kind = &frame.scope.layout.kinds[usize::from(handle.kind.0)];
                        field_of(frame, *handle, Slot::of(kind, field))
                            .map(|value| Cow::Owned(value.into_owned()))
                    }
                    _ => look_up(of, &key),
                }
            }
            Code::Conditional(condition, yes, no) => match condition.test(frame)? {
                true => yes.eval(frame),
                false => no.eval(frame),
            },
            Code::Arithmetic(operator, left, right) => {
                compute(*operator, &*left.eval(frame)?, &*right.eval(frame)?).map(Cow::Owned)
            }
            Code::Negate(inner) => match inner.eval(frame)?.as_ref() {
                Value::Int(int) => owned(int.checked_neg().ok_or(Stop::Failed)?),
                Value::Number(number) => Ok(Cow::Owned(Value::Number(-*number))),
                _ => Err(Stop::Failed),
            },
            Code::List(items) => {
                let items: Result<Arc<[Value]>, Stop> = (items.iter())
                    .map(|item| Ok(item.eval(frame)?.into_owned()))
                    .collect();
                Ok(Cow::Owned(Value::List(items?)))
            }
            Code::Size(of) => {
                let size = match of.plural(frame) {
                    Some(kind) => frame.scope.mirror.live(kind).count(),
                    None => match of.eval(frame)?.as_ref() {
                        Value::List(items) => items.len(),
                        Value::Map(map) => map.len(),
                        of @ (Value::Text(_) | Value::Fresh(..)) => text(of).chars().count(),
                        _ => return Err(Stop::Failed),
                    },
                };
                owned(i64::try_from(size).map_err(|_| Stop::Failed)?)
            }
            Code::Sum(of) => match of.eval(frame)?.as_ref() {
                Value::List(items) => sum(items).map(Cow::Owned),
                _ => Err(Stop::Failed),
            },
            Code::Sort(of) => match of.eval(frame)?.as_ref() {
                Value::List(items) => sorted(items).map(Cow::Owned),
                _ => Err(Stop::Failed),
            },
            Code::Lower(of) => match of.eval(frame)? {
                of if matches!(*of, Value::Text(_) | Value::Fresh(..)) => {
                    Ok(Cow::Owned(Value::text(text(&of).to_ascii_lowercase())))
                }
                _ => Err(Stop::Failed),
            },
            Code::Collect {
                over,
                condition,
                item,
            } => {
                let mut items = Vec::new();
                over.each(frame, |inner| {
                    let taken = match condition {
                        Some(condition) => condition.test(inner)?,
                        None => true,
                    };
                    if taken {
                        items.push(item.eval(inner)?.into_owned());
                    }
                    Ok(true)
                })?;
                Ok(Cow::Owned(Value::List(items.into())))
            }
            Code::Not(_)
            | Code::Both(..)
            | Code::Compare(..)
            | Code::In(..)
            | Code::Gone(_)
            | Code::One(..)
            | Code::Every(..) => owned(self.test(frame)?),
            Code::Foreign(expr) => {
                let mut names = Cow::Borrowed(frame.scope.names);
                bind(frame.locals, &mut names);
                let scope = Scope {
                    names: &names,
                    ..*frame.scope
                };
                match by_cel(expr, &scope) {
                    Ok(value) => Ok(Cow::Owned(value)),
                    Err(EvalError::Unknown) => Err(Stop::Unknown),
                    Err(EvalError::Failed(_)) => Err(Stop::Failed),
                }
            }
        }
    }

    /// The kind, if the code is the list of all live entities of one.
    fn plural(&self, frame: &Frame<'_>) -> Option<KindId> {
        match self {
            Code::Name(name, Declared::Plural(kind)) if frame.bound(name).is_none() => Some(*kind),
            _ => None,
        }
    }

    /// The code of a field that is computed, and what it sees, if the code is such a field.
    pub(super) fn with_derived<T>(
        &self,
        frame: &Frame<'_>,
        look: impl FnOnce(&Code, &Frame<'_>) -> T,
    ) -> Option<T> {
        let Code::Field(of, _, slots) = self else {
            return None;
        };
        let Value::Entity(handle) = *of.eval(frame).ok()? else {
            return None;
        };
        match slots[usize::from(handle.kind.0)] {
            Slot::Derived(index) => Some(derived(frame, handle, index, look)),
            Slot::Stored(_) | Slot::Nowhere => None,
        }
    }
}

/// Binds the variables of loops as names, the outermost first.
fn bind(local: Option<&Local<'_>>, names: &mut Cow<'_, Names>) {
    if let Some(local) = local {
        bind(local.outer, names);
        names.to_mut().bind(local.name, local.value.clone());
    }
}

impl Loop {
    /// Hands each item to `see`, until it answers false.
    fn each(
        &self,
        frame: &Frame<'_>,
        mut see: impl FnMut(&Frame<'_>) -> Result<bool, Stop>,
    ) -> Result<(), Stop> {
        let mut visit = |value: &Value| {
            see(&frame.with(&Local {
                name: &self.variable,
                value,
                outer: frame.locals,
            }))
        };
        if let Some(kind) = self.range.plural(frame) {
            for handle in frame.scope.mirror.live(kind) {
                if !visit(&Value::Entity(handle))? {
                    break;
                }
            }
            return Ok(());
        }
        match self.range.eval(frame)?.as_ref() {
            Value::List(items) => {
                for item in items.iter() {
                    if !visit(item)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for key in map.keys().filter(|key| known(key).is_ok()) {
                    if !visit(key)? {
                        break;
                    }
                }
            }
            _ => return Err(Stop::Failed),
        }
        Ok(())
    }

    /// Whether the condition holds of all, or of any: one that decides does so whatever is unknown of the others.
    fn decide(&self, frame: &Frame<'_>, all: bool, condition: &Code) -> Result<bool, Stop> {
        let mut pending = None;
        let mut decided = false;
        self.each(frame, |inner| {
            match condition.test(inner) {
                Ok(truth) if truth != all => decided = true,
                Ok(_) => {}
                Err(stop) => pending = Some(stop),
            }
            Ok(!decided)
        })?;
        match (decided, pending) {
            (true, _) => Ok(!all),
            (false, Some(stop)) => Err(stop),
            (false, None) => Ok(all),
        }
    }
}

fn field_of<'a>(frame: &Frame<'a>, handle: Handle, slot: Slot) -> Seen<'a> {
    match slot {
        Slot::Stored(index) => {
            let record = frame.scope.mirror.get(handle).ok_or(Stop::Unknown)?;
            known(record.fields.get(index).ok_or(Stop::Unknown)?)
        }
        Slot::Derived(index) => {
            derived(frame, handle, index, |code, frame| code.value(frame)).map(Cow::Owned)
        }
        Slot::Nowhere => Err(Stop::Failed),
    }
}

/// Hands the code of a field that is computed, and what it sees, to `look`.
fn derived<T>(
    frame: &Frame<'_>,
    handle: Handle,
    index: usize,
    look: impl FnOnce(&Code, &Frame<'_>) -> T,
) -> T {
    let layout = frame.scope.layout;
    let (_, expression) = &layout.kinds[usize::from(handle.kind.0)].derived[index];
    let inner = Frame {
        scope: &Scope {
            before: None,
            names: &Names::default(),
            ..*frame.scope
        },
        locals: Some(&Local {
            name: "self",
            value: &Value::Entity(handle),
            outer: None,
        }),
    };
    look(expression.code(layout), &inner)
}

/// `of[key]` of a map or of a list.
fn look_up<'a>(of: Cow<'a, Value>, key: &Value) -> Seen<'a> {
    fn at(items: &[Value], index: i64) -> Seen<'_> {
        let item = usize::try_from(index).ok().and_then(|i| items.get(i));
        Ok(Cow::Borrowed(item.ok_or(Stop::Failed)?))
    }
    fn find<'v>(of: &'v Value, key: &Value) -> Seen<'v> {
        match (of, key) {
            (Value::Map(map), _) => known(map.get(key).ok_or(Stop::Failed)?),
            (Value::List(items), Value::Int(index)) => at(items, *index),
            (Value::List(items), Value::Number(index)) if index.0.fract() == 0.0 => {
                at(items, index.0 as i64)
            }
            _ => Err(Stop::Failed),
        }
    }
    match of {
        Cow::Borrowed(of) => find(of, key),
        Cow::Owned(of) => find(&of, key).map(|value| Cow::Owned(value.into_owned())),
    }
}

/// A text, with what is new in every run written out.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Text(text) => Cow::Borrowed(text),
        Value::Fresh(prefix, n) => Cow::Owned(format!("{prefix}-{n}")),
        _ => Cow::Borrowed(""),
    }
}

/// The value with strings that are new in every run as texts, which is how CEL knows them.
pub(super) fn written_out(value: Cow<'_, Value>) -> Value {
    fn needs(value: &Value) -> bool {
        match value {
            Value::Fresh(..) => true,
            Value::List(items) => items.iter().any(needs),
            _ => false,
        }
    }
    match value.as_ref() {
        Value::Fresh(..) => Value::text(text(&value)),
        Value::List(items) if needs(&value) => Value::List(
            (items.iter())
                .map(|item| written_out(Cow::Borrowed(item)))
                .collect(),
        ),
        _ => value.into_owned(),
    }
}

/// Whether two values are equal to whoever asks: numbers by what they are worth, and what is left out is null.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Absent, other) => matches!(other, Value::Absent | Value::Null),
        // The number has no hyphen in it.
        (Value::Fresh(prefix, n), Value::Fresh(other, m)) => n == m && prefix == other,
        (Value::Fresh(prefix, n), Value::Text(text))
        | (Value::Text(text), Value::Fresh(prefix, n)) => reads(text, prefix, *n),
        (Value::Int(_) | Value::Number(_), Value::Int(_) | Value::Number(_)) => {
            order(left, right) == Ok(Ordering::Equal)
        }
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(l, r)| equal(l, r))
        }
        _ => left == right,
    }
}

/// Whether a text is what a string that is new in every run is written out as. Few are, and these are written out.
fn reads(text: &str, prefix: &str, n: u32) -> bool {
    let number = text
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| number == n.to_string())
}

fn order(left: &Value, right: &Value) -> Result<Ordering, Stop> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Ok(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Ok(left.cmp(right)),
        (Value::Int(_) | Value::Number(_), Value::Int(_) | Value::Number(_)) => {
            // Not a number has no place.
            match (number(left), number(right)) {
                (Some(left), Some(right)) => left.partial_cmp(&right).ok_or(Stop::Failed),
                _ => Err(Stop::Failed),
            }
        }
        (Value::Text(_) | Value::Fresh(..), Value::Text(_) | Value::Fresh(..)) => {
            Ok(text(left).cmp(&text(right)))
        }
        _ => Err(Stop::Failed),
    }
}

/// The number, if it is one.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(int) => Some(*int as f64),
        Value::Number(number) => Some(number.0),
        _ => None,
    }
}

fn sum(items: &[Value]) -> Result<Value, Stop> {
    let mut whole = 0i64;
    let mut real = None;
    for item in items {
        match item {
            Value::Int(int) => whole = whole.checked_add(*int).ok_or(Stop::Failed)?,
            Value::Number(number) => *real.get_or_insert(0.0) += number.0,
            _ => return Err(Stop::Failed),
        }
    }
    Ok(match real {
        Some(real) => Value::Number(OrderedFloat(real + whole as f64)),
        None => Value::Int(whole),
    })
}

/// The items in order, if they are all of one type that has one.
fn sorted(items: &[Value]) -> Result<Value, Stop> {
    let mut items: Vec<Value> = (items.iter())
        .map(|item| written_out(Cow::Borrowed(item)))
        .collect();
    let alike = |pair: &[Value]| {
        std::mem::discriminant(&pair[0]) == std::mem::discriminant(&pair[1])
            && order(&pair[0], &pair[1]).is_ok()
    };
    if !items.windows(2).all(alike) {
        return Err(Stop::Failed);
    }
    items.sort_by(|left, right| order(left, right).unwrap_or(Ordering::Equal));
    Ok(Value::List(items.into()))
}

fn compute(operator: Operator, left: &Value, right: &Value) -> Result<Value, Stop> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => match operator {
            Operator::Add => left.checked_add(*right),
            Operator::Subtract => left.checked_sub(*right),
            Operator::Multiply => left.checked_mul(*right),
            Operator::Divide => left.checked_div(*right),
            Operator::Remainder => left.checked_rem(*right),
        }
        .map(Value::Int)
        .ok_or(Stop::Failed),
        (Value::Number(left), Value::Number(right)) => match operator {
            Operator::Add => Ok(Value::Number(*left + *right)),
            Operator::Subtract => Ok(Value::Number(*left - *right)),
            Operator::Multiply => Ok(Value::Number(*left * *right)),
            Operator::Divide => Ok(Value::Number(*left / *right)),
            Operator::Remainder => Err(Stop::Failed),
        },
        (Value::Text(_) | Value::Fresh(..), Value::Text(_) | Value::Fresh(..))
            if matches!(operator, Operator::Add) =>
        {
            Ok(Value::text(format!("{}{}", text(left), text(right))))
        }
        (Value::List(left), Value::List(right)) if matches!(operator, Operator::Add) => Ok(
            Value::List(left.iter().chain(right.iter()).cloned().collect()),
        ),
        (Value::List(left), Value::Map(map)) if matches!(operator, Operator::Add) => {
            let keys = map.keys().filter(|key| known(key).is_ok());
            Ok(Value::List(left.iter().chain(keys).cloned().collect()))
        }
        _ => Err(Stop::Failed),
    }
}
