//! What expressions are compiled to. CEL's interpreter looks names up by their text, boxes every value and builds every
//! error message; an expression is evaluated a hundred thousand times while plans are made. What the core of the
//! language needs is done here, on the mirror's own values; a call of anything else, and whatever reads the mirror as
//! it was before, is left to CEL.

mod compile;
mod distance;
mod evaluate;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::sync::Arc;

use cel::IdedExpr;

use super::expression::{KindLayout, Scope};
use super::value::{KindId, Value};

/// A compiled expression.
#[derive(Debug)]
pub(super) enum Code {
    Constant(Value),
    /// A name; where nothing is bound to it, what the layout says.
    Name(Arc<str>, Declared),
    /// A field of an entity, with its place in each kind, or a key of a map that is written as a name.
    Field(Box<Code>, Arc<str>, Vec<Slot>),
    /// `of[key]`
    Index(Box<Code>, Box<Code>),
    Not(Box<Code>),
    /// `&&` (true) or `||`.
    Both(bool, Box<Code>, Box<Code>),
    Conditional(Box<Code>, Box<Code>, Box<Code>),
    Compare(Comparison, Box<Code>, Box<Code>),
    In(Box<Code>, Box<Code>),
    Arithmetic(Operator, Box<Code>, Box<Code>),
    Negate(Box<Code>),
    List(Vec<Code>),
    Size(Box<Code>),
    Sum(Box<Code>),
    Sort(Box<Code>),
    /// In lower case, as far as ASCII goes.
    Lower(Box<Code>),
    Gone(Box<Code>),
    /// `all` (true) or `exists`, and what is asked of each.
    Every(bool, Loop, Box<Code>),
    /// `exists_one`
    One(Loop, Box<Code>),
    /// `filter` and `map`: the list of what `item` yields where the condition holds, if there is one.
    Collect {
        over: Loop,
        condition: Option<Box<Code>>,
        item: Box<Code>,
    },
    /// What CEL evaluates.
    Foreign(Box<IdedExpr>),
}

/// A loop over a list, or over the keys of a map.
#[derive(Debug)]
pub(super) struct Loop {
    range: Box<Code>,
    variable: Arc<str>,
}

/// Where a kind of entity has a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Stored(usize),
    /// It is computed.
    Derived(usize),
    Nowhere,
}

impl Slot {
    fn of(kind: &KindLayout, field: &str) -> Slot {
        let stored = kind.fields.iter().position(|name| name == field);
        let derived = || kind.derived.iter().position(|(name, _)| name == field);
        match stored {
            Some(index) => Slot::Stored(index),
            None => derived().map_or(Slot::Nowhere, Slot::Derived),
        }
    }
}

/// What a name means where nothing is bound to it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Declared {
    Plural(KindId),
    Global(usize),
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Whether two things in this order to one another satisfy it.
    fn accepts(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Why there is no value. What failed, CEL can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Something that it needs is unknown.
    Unknown,
    /// It makes no sense of the values it met.
    Failed,
}

/// What code can see.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub scope: &'a Scope<'a>,
    /// The variables of the loops around, the innermost first.
    pub locals: Option<&'a Local<'a>>,
}

/// The variable of a loop.
pub(super) struct Local<'a> {
    name: &'a str,
    value: &'a Value,
    outer: Option<&'a Local<'a>>,
}
