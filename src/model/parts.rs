//! The parts of a claim: which of its subexpressions are compared, and how they are written.

use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue, operators as op};

use super::walk::compares;

/// Collects both sides of every comparison, outside of comprehensions, whose variables nobody could show.
pub(super) fn compared<'a>(expr: &'a IdedExpr, out: &mut Vec<&'a IdedExpr>) {
    let Expr::Call(call) = &expr.expr else {
        return;
    };
    match (call.func_name.as_str(), call.args.as_slice()) {
        (op::LOGICAL_AND | op::LOGICAL_OR, args) => args.iter().for_each(|a| compared(a, out)),
        (op::LOGICAL_NOT, [inner]) => compared(inner, out),
        (op::CONDITIONAL, args) => args.iter().for_each(|a| compared(a, out)),
        (name, [left, right]) if compares(name) => {
            for side in [left, right] {
                if !matches!(side.expr, Expr::Literal(_)) && !out.contains(&side) {
                    out.push(side);
                }
            }
        }
        _ => {}
    }
}

/// The text of an expression that is a name, a path, a literal, or a call of these; nothing for the rest.
pub(super) fn unparse(expr: &IdedExpr) -> Option<String> {
    Some(match &expr.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) if !select.test => {
            format!("{}.{}", unparse(&select.operand)?, select.field)
        }
        Expr::Literal(literal) => match literal {
            LiteralValue::Boolean(b) => b.inner().to_string(),
            LiteralValue::Int(i) => i.inner().to_string(),
            LiteralValue::UInt(u) => u.inner().to_string(),
            LiteralValue::Double(d) => d.inner().to_string(),
            LiteralValue::String(s) => format!("{:?}", s.inner()),
            LiteralValue::Null => "null".into(),
            LiteralValue::Bytes(_) => return None,
        },
        Expr::Call(call) => {
            let args: Option<Vec<String>> = call.args.iter().map(unparse).collect();
            let args = args?;
            match (call.func_name.as_str(), args.as_slice(), &call.target) {
                (op::INDEX, [of, key], None) => format!("{of}[{key}]"),
                (op::ADD, [a, b], None) => format!("{a} + {b}"),
                (op::SUBSTRACT, [a, b], None) => format!("{a} - {b}"),
                (name, _, Some(target)) => {
                    format!("{}.{name}({})", unparse(target)?, args.join(", "))
                }
                (name, _, None) if name.starts_with(char::is_alphabetic) => {
                    format!("{name}({})", args.join(", "))
                }
                _ => return None,
            }
        }
        // `size(proposals.filter(…))`: the macro is expanded, so its text is lost; its value still helps.
        Expr::Comprehension(comprehension) => {
            format!("{}…", unparse(&comprehension.iter_range)?)
        }
        _ => return None,
    })
}
