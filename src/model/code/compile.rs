//! From CEL's syntax tree to code. The macros (`all`, `filter`, …) were expanded by the parser, and are known again by
//! their shape.

use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators as op};
use ordered_float::OrderedFloat;

use super::{Code, Comparison, Declared, Loop, Operator, Slot};
use crate::model::expression::Layout;
use crate::model::value::Value;
use crate::model::walk::{children, unqualified};

impl Code {
    /// Compiles an expression for the mirrors of a layout.
    pub fn compile(expr: &IdedExpr, layout: &Layout) -> Code {
        compiled(expr, layout).unwrap_or_else(|| Code::Foreign(Box::new(unqualified(expr))))
    }
}

fn boxed(expr: &IdedExpr, layout: &Layout) -> Box<Code> {
    Box::new(Code::compile(expr, layout))
}

/// The code of an expression; nothing where it is CEL's.
fn compiled(expr: &IdedExpr, layout: &Layout) -> Option<Code> {
    match &expr.expr {
        Expr::Literal(literal) => constant(literal).map(Code::Constant),
        Expr::Ident(name) if name != BEFORE => Some(Code::Name(
            name.as_str().into(),
            match layout.plural(name) {
                Some(kind) => Declared::Plural(kind),
                None => match layout.globals.iter().position(|g| g == name) {
                    Some(index) => Declared::Global(index),
                    None => Declared::Nothing,
                },
            },
        )),
        Expr::Select(select) if !select.test && !past(expr) => {
            Some(field(&select.operand, &select.field, layout))
        }
        Expr::List(list) if list.optional_indices.is_empty() && !past(expr) => Some(Code::List(
            (list.elements.iter())
                .map(|element| Code::compile(element, layout))
                .collect(),
        )),
        Expr::Call(call) => called(expr, call, layout),
        Expr::Comprehension(over) => looped(over, layout),
        _ => None,
    }
}

fn field(of: &IdedExpr, name: &str, layout: &Layout) -> Code {
    let slots = (layout.kinds.iter())
        .map(|kind| Slot::of(kind, name))
        .collect();
    Code::Field(boxed(of, layout), name.into(), slots)
}

const BEFORE: &str = "before";

/// Whether the expression reads the mirror as it was before. Its entities are read there, so that what they flow
/// through is CEL's.
fn past(expr: &IdedExpr) -> bool {
    matches!(&expr.expr, Expr::Ident(name) if name == BEFORE)
        || children(expr).into_iter().any(past)
}

fn constant(literal: &LiteralValue) -> Option<Value> {
    Some(match literal {
        LiteralValue::Boolean(b) => Value::Bool(*b.inner()),
        LiteralValue::Int(i) => Value::Int(*i.inner()),
        LiteralValue::Double(d) => Value::Number(OrderedFloat(*d.inner())),
        LiteralValue::String(s) => Value::text(s.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::UInt(_) | LiteralValue::Bytes(_) => return None,
    })
}

fn called(expr: &IdedExpr, call: &CallExpr, layout: &Layout) -> Option<Code> {
    let whole: Vec<&IdedExpr> = (call.target.as_deref().into_iter())
        .chain(&call.args)
        .collect();
    let compare = |comparison, left, right| {
        Some(Code::Compare(
            comparison,
            boxed(left, layout),
            boxed(right, layout),
        ))
    };
    let compute = |operator, left, right| {
        (!past(expr)).then(|| Code::Arithmetic(operator, boxed(left, layout), boxed(right, layout)))
    };
    match (call.func_name.as_str(), whole.as_slice()) {
        (op::LOGICAL_NOT, [inner]) => Some(Code::Not(boxed(inner, layout))),
        (op::LOGICAL_AND, [left, right]) => {
            Some(Code::Both(true, boxed(left, layout), boxed(right, layout)))
        }
        (op::LOGICAL_OR, [left, right]) => {
            Some(Code::Both(false, boxed(left, layout), boxed(right, layout)))
        }
        (op::EQUALS, [left, right]) => compare(Comparison::Equal, left, right),
        (op::NOT_EQUALS, [left, right]) => compare(Comparison::NotEqual, left, right),
        (op::LESS, [left, right]) => compare(Comparison::Less, left, right),
        (op::LESS_EQUALS, [left, right]) => compare(Comparison::LessOrEqual, left, right),
        (op::GREATER, [left, right]) => compare(Comparison::Greater, left, right),
        (op::GREATER_EQUALS, [left, right]) => compare(Comparison::GreaterOrEqual, left, right),
        (op::IN, [left, right]) => Some(Code::In(boxed(left, layout), boxed(right, layout))),
        (op::ADD, [left, right]) => compute(Operator::Add, left, right),
        (op::SUBSTRACT, [left, right]) => compute(Operator::Subtract, left, right),
        (op::MULTIPLY, [left, right]) => compute(Operator::Multiply, left, right),
        (op::DIVIDE, [left, right]) => compute(Operator::Divide, left, right),
        (op::MODULO, [left, right]) => compute(Operator::Remainder, left, right),
        (op::NEGATE, [inner]) => Some(Code::Negate(boxed(inner, layout))),
        _ if past(expr) => None,
        (op::CONDITIONAL, [condition, yes, no]) => Some(Code::Conditional(
            boxed(condition, layout),
            boxed(yes, layout),
            boxed(no, layout),
        )),
        (op::INDEX, [of, key]) => Some(match &key.expr {
            Expr::Literal(LiteralValue::String(name)) => field(of, name.inner(), layout),
            _ => Code::Index(boxed(of, layout), boxed(key, layout)),
        }),
        ("size", [of]) => Some(Code::Size(boxed(of, layout))),
        ("sum", [of]) if call.target.is_none() => Some(Code::Sum(boxed(of, layout))),
        ("sort", [of]) if call.target.is_some() => Some(Code::Sort(boxed(of, layout))),
        ("lowerAscii", [of]) if call.target.is_some() => Some(Code::Lower(boxed(of, layout))),
        ("gone", [of]) if call.target.is_none() => Some(Code::Gone(boxed(of, layout))),
        ("absent", []) => Some(Code::Constant(Value::Absent)),
        _ => None,
    }
}

/// A macro, by the shape that the parser gives it.
fn looped(over: &ComprehensionExpr, layout: &Layout) -> Option<Code> {
    if past(&over.iter_range) {
        return None;
    }
    let accumulator =
        |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if *name == over.accu_var);
    let items = Loop {
        range: boxed(&over.iter_range, layout),
        variable: Arc::from(over.iter_var.as_str()),
    };
    let Expr::Call(step) = &over.loop_step.expr else {
        return None;
    };
    if !accumulator(&over.result) {
        // Of the macros, `exists_one` alone counts, and asks in the end whether it counted one.
        let counted = matches!(&over.result.expr, Expr::Call(call)
            if call.func_name == op::EQUALS && call.args.first().is_some_and(accumulator));
        return match (step.func_name.as_str(), step.args.as_slice()) {
            (op::CONDITIONAL, [asked, _, left]) if counted && accumulator(left) => {
                Some(Code::One(items, boxed(asked, layout)))
            }
            _ => None,
        };
    }
    let every = |all: bool| matches!(&over.accu_init.expr, Expr::Literal(LiteralValue::Boolean(b)) if *b.inner() == all);
    match (step.func_name.as_str(), step.args.as_slice()) {
        (op::LOGICAL_AND, [left, asked]) if accumulator(left) && every(true) => {
            Some(Code::Every(true, items, boxed(asked, layout)))
        }
        (op::LOGICAL_OR, [left, asked]) if accumulator(left) && every(false) => {
            Some(Code::Every(false, items, boxed(asked, layout)))
        }
        (op::CONDITIONAL, [asked, taken, left]) if accumulator(left) => Some(Code::Collect {
            item: Box::new(appended(taken, over, layout)?),
            condition: Some(boxed(asked, layout)),
            over: items,
        }),
        (op::ADD, _) => Some(Code::Collect {
            item: Box::new(appended(&over.loop_step, over, layout)?),
            condition: None,
            over: items,
        }),
        _ => None,
    }
}

/// What a step of `map` or `filter` adds to the list: `x` of `@result + [x]`.
fn appended(step: &IdedExpr, over: &ComprehensionExpr, layout: &Layout) -> Option<Code> {
    let empty = matches!(&over.accu_init.expr, Expr::List(list) if list.elements.is_empty());
    match &step.expr {
        Expr::Call(call) if empty && call.func_name == op::ADD => match call.args.as_slice() {
            [
                IdedExpr {
                    expr: Expr::Ident(accumulator),
                    ..
                },
                IdedExpr {
                    expr: Expr::List(list),
                    ..
                },
            ] if *accumulator == over.accu_var => match list.elements.as_slice() {
                [item] if !past(item) => Some(Code::compile(item, layout)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
