//! Walks over parsed expressions, which the parser's crate leaves to its users.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators as op};

/// What an expression is made of, in the order of the text.
pub fn children(expr: &IdedExpr) -> Vec<&IdedExpr> {
    match &expr.expr {
        Expr::Call(call) => (call.target.iter().map(AsRef::as_ref))
            .chain(&call.args)
            .collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => (map.entries.iter())
            .flat_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
                EntryExpr::StructField(field) => vec![&field.value],
            })
            .collect(),
        Expr::Comprehension(over) => vec![
            &over.iter_range,
            &over.accu_init,
            &over.loop_cond,
            &over.loop_step,
            &over.result,
        ],
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

/// As [`children`], to be changed.
fn children_mut(expr: &mut IdedExpr) -> Vec<&mut IdedExpr> {
    match &mut expr.expr {
        Expr::Call(call) => (call.target.iter_mut().map(AsMut::as_mut))
            .chain(&mut call.args)
            .collect(),
        Expr::Select(select) => vec![&mut select.operand],
        Expr::List(list) => list.elements.iter_mut().collect(),
        Expr::Map(map) => (map.entries.iter_mut())
            .flat_map(|entry| match &mut entry.expr {
                EntryExpr::MapEntry(entry) => vec![&mut entry.key, &mut entry.value],
                EntryExpr::StructField(field) => vec![&mut field.value],
            })
            .collect(),
        Expr::Comprehension(over) => vec![
            &mut over.iter_range,
            &mut over.accu_init,
            &mut over.loop_cond,
            &mut over.loop_step,
            &mut over.result,
        ],
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

/// Whether a call of this name compares two things.
pub fn compares(name: &str) -> bool {
    matches!(
        name,
        op::EQUALS
            | op::NOT_EQUALS
            | op::LESS
            | op::LESS_EQUALS
            | op::GREATER
            | op::GREATER_EQUALS
            | op::IN
    )
}

/// Changes an expression and all that it is made of, from the leaves up.
pub fn rewrite(expr: &mut IdedExpr, change: &mut dyn FnMut(&mut IdedExpr)) {
    for child in children_mut(expr) {
        rewrite(child, change);
    }
    change(expr);
}

/// An expression that means the same and is evaluated sooner. CEL takes `a.b.c` for one qualified name first, of which
/// models have none; `a["b"]["c"]` it does not.
pub(super) fn unqualified(expr: &IdedExpr) -> IdedExpr {
    let mut expr = expr.clone();
    rewrite(&mut expr, &mut |expr| {
        if let Expr::Select(select) = &mut expr.expr
            && !select.test
        {
            let field = Expr::Literal(LiteralValue::String(
                std::mem::take(&mut select.field).into(),
            ));
            let operand = std::mem::take(select.operand.as_mut());
            expr.expr = Expr::Call(CallExpr {
                func_name: op::INDEX.to_owned(),
                target: None,
                args: vec![operand, IdedExpr { id: 0, expr: field }],
            });
        }
    });
    expr
}

/// Puts `null` behind the sign: what is left out equals null by its own account, and CEL asks the left side.
pub(super) fn null_behind(expr: &mut IdedExpr) {
    rewrite(expr, &mut |expr| {
        if let Expr::Call(call) = &mut expr.expr
            && matches!(call.func_name.as_str(), op::EQUALS | op::NOT_EQUALS)
            && let [left, right] = call.args.as_mut_slice()
            && matches!(left.expr, Expr::Literal(LiteralValue::Null))
        {
            std::mem::swap(left, right);
        }
    });
}
