//! How far an expression is from being true, or false: the branch distance of search-based testing (Korel 1990,
//! Tracey 1998). It tells a count that is one short from one that is five short, which the truth alone does not.

use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use cel::common::types::{CelBool, CelDouble, CelInt, CelUInt};
use cel::{Context, IdedExpr};

use super::expression::{Expression, Scope, distance_of_derived};

impl Expression {
    /// How far the expression is from a truth value in a scope: 0 where it has it, up to 1 for each part that has to
    /// change. What is unknown counts as half way.
    pub fn distance(&self, scope: &Scope<'_>, want: bool) -> f64 {
        self.with_context(scope, |ast, context| distance(ast, context, want))
    }
}

fn distance(ast: &IdedExpr, context: &Context<'_, '_>, want: bool) -> f64 {
    let Expr::Call(call) = &ast.expr else {
        return truth(ast, context, want);
    };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (operators::LOGICAL_NOT, [inner]) => distance(inner, context, !want),
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
            let both = (call.func_name == operators::LOGICAL_AND) == want;
            let (left, right) = (
                distance(left, context, want),
                distance(right, context, want),
            );
            if both { left + right } else { left.min(right) }
        }
        (operators::CONDITIONAL, [condition, yes, no]) => {
            match cel::Value::resolve_val(condition, context) {
                Ok(val) => match val.downcast_ref::<CelBool>().map(|b| *b.inner()) {
                    Some(true) => distance(yes, context, want),
                    Some(false) => distance(no, context, want),
                    None => 0.5,
                },
                Err(_) => 0.5,
            }
        }
        (operators::INDEX, [of, field]) => {
            derived(of, field, context, want).unwrap_or_else(|| truth(ast, context, want))
        }
        _ => compared(call, context, want).unwrap_or_else(|| truth(ast, context, want)),
    }
}

fn derived(of: &IdedExpr, field: &IdedExpr, context: &Context<'_, '_>, want: bool) -> Option<f64> {
    let Expr::Literal(LiteralValue::String(field)) = &field.expr else {
        return None;
    };
    let of = cel::Value::resolve_val(of, context).ok()?;
    distance_of_derived(of.as_ref(), field.inner(), want)
}

fn truth(ast: &IdedExpr, context: &Context<'_, '_>, want: bool) -> f64 {
    match cel::Value::resolve_val(ast, context) {
        Ok(val) => match val.downcast_ref::<CelBool>() {
            Some(truth) if *truth.inner() == want => 0.0,
            _ => 1.0,
        },
        Err(_) => 0.5,
    }
}

/// The distance of a comparison of two numbers: less than 1, and more the further they are apart.
fn compared(call: &CallExpr, context: &Context<'_, '_>, want: bool) -> Option<f64> {
    let [left, right] = call.args.as_slice() else {
        return None;
    };
    let name = call.func_name.as_str();
    if !matches!(
        name,
        operators::LESS
            | operators::LESS_EQUALS
            | operators::GREATER
            | operators::GREATER_EQUALS
            | operators::EQUALS
            | operators::NOT_EQUALS
    ) {
        return None;
    }
    let left = number(left, context)?;
    let right = number(right, context)?;
    let gap = left - right;
    // How much is missing; a strict comparison misses one more.
    let missing = match (name, want) {
        (operators::LESS, true) | (operators::GREATER_EQUALS, false) => gap + 1.0,
        (operators::LESS_EQUALS, true) | (operators::GREATER, false) => gap,
        (operators::GREATER, true) | (operators::LESS_EQUALS, false) => 1.0 - gap,
        (operators::GREATER_EQUALS, true) | (operators::LESS, false) => -gap,
        (operators::EQUALS, true) | (operators::NOT_EQUALS, false) => gap.abs(),
        _ => match gap == 0.0 {
            true => 1.0,
            false => 0.0,
        },
    };
    Some(match missing > 0.0 {
        true => missing / (missing + 1.0),
        false => 0.0,
    })
}

fn number(ast: &IdedExpr, context: &Context<'_, '_>) -> Option<f64> {
    let val = cel::Value::resolve_val(ast, context).ok()?;
    if let Some(int) = val.downcast_ref::<CelInt>() {
        return Some(*int.inner() as f64);
    }
    if let Some(double) = val.downcast_ref::<CelDouble>() {
        return Some(*double.inner());
    }
    val.downcast_ref::<CelUInt>().map(|u| *u.inner() as f64)
}
