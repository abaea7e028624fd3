//! What the names in a rule's expressions stand for, without evaluating anything: entities by the path to them, and
//! expressions that have a name.

use cel::IdedExpr;
use cel::common::ast::{Expr, operators as op};

use crate::model::Model;
use crate::model::types::Type;
use crate::model::value::KindId;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Name<'a> {
    Entity(Path<'a>),
    /// An argument that is one of a few constants.
    Choice,
    /// The name of an expression, under `let`.
    Let(&'a IdedExpr),
    Other,
}

/// An entity: one that the rule has, and the references that lead on from it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path<'a> {
    pub root: usize,
    pub fields: Vec<&'a str>,
}

/// An entity that a rule has: who acts, a pick, an item of a list, or a new one.
#[derive(Debug)]
pub(super) struct Root<'a> {
    pub kind: Option<KindId>,
    /// What is true of it because of the list that it is from.
    pub filters: Vec<Filter<'a>>,
}

/// What `filter` asks of an item.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    /// How many names there were.
    pub depth: usize,
    pub variable: &'a str,
    pub that: &'a IdedExpr,
}

/// The names that an expression sees; later ones hide earlier ones.
#[derive(Clone, Copy)]
pub(super) struct Scope<'w, 'a> {
    pub model: &'a Model,
    pub roots: &'w [Root<'a>],
    pub names: &'w [(&'a str, Name<'a>)],
}

impl<'w, 'a> Scope<'w, 'a> {
    /// What a name stands for, and what could be seen where it was given.
    pub fn name(self, name: &str) -> Option<(&'w Name<'a>, Scope<'w, 'a>)> {
        let at = self.names.iter().rposition(|(known, _)| *known == name)?;
        let names = &self.names[..at];
        Some((&self.names[at].1, Scope { names, ..self }))
    }

    /// The expression that a name stands for, if this is such a name.
    pub fn behind(self, ast: &'a IdedExpr) -> (&'a IdedExpr, Scope<'w, 'a>) {
        match &ast.expr {
            Expr::Ident(name) => match self.name(name) {
                Some((Name::Let(ast), scope)) => scope.behind(ast),
                _ => (ast, self),
            },
            _ => (ast, self),
        }
    }

    /// The path to what an expression yields, if it is no more than a path.
    pub fn path(self, ast: &'a IdedExpr) -> Option<Path<'a>> {
        let (ast, scope) = self.behind(ast);
        match &ast.expr {
            Expr::Ident(name) => match scope.name(name)? {
                (Name::Entity(path), _) => Some(path.clone()),
                _ => None,
            },
            Expr::Select(select) if !select.test => {
                let mut path = scope.path(&select.operand)?;
                path.fields.push(&select.field);
                Some(path)
            }
            _ => None,
        }
    }

    /// The type of a path, of a list of entities, or of an item of something.
    pub fn ty(self, ast: &'a IdedExpr) -> Option<Type> {
        if let Some(path) = self.path(ast) {
            let root = Type::Entity(self.roots[path.root].kind?);
            return path
                .fields
                .iter()
                .try_fold(root, |ty, field| self.field(&ty, field));
        }
        let (ast, scope) = self.behind(ast);
        match &ast.expr {
            Expr::Ident(name) => {
                let kind = self.model.layout.plural(name)?;
                Some(Type::List(Box::new(Type::Entity(kind))))
            }
            Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
                (op::INDEX, [of, _]) => item(&scope.ty(of)?),
                _ => None,
            },
            Expr::Comprehension(_) => scope.ty(filtered(ast)?.0),
            _ => None,
        }
    }

    fn field(self, of: &Type, name: &str) -> Option<Type> {
        let Type::Entity(kind) = of.bare() else {
            return None;
        };
        let fields = &self.model.kind(*kind).fields;
        Some(fields.iter().find(|f| f.name == name)?.ty.clone())
    }
}

/// The kind of what a list or the keys of a map are.
pub(super) fn listed(ty: &Type) -> Option<KindId> {
    let item = match ty.bare() {
        Type::List(item) => item,
        Type::Map(key, _) => key,
        _ => return None,
    };
    match item.bare() {
        Type::Entity(kind) => Some(*kind),
        _ => None,
    }
}

fn item(ty: &Type) -> Option<Type> {
    match ty.bare() {
        Type::List(item) | Type::Map(_, item) => Some((**item).clone()),
        _ => None,
    }
}

/// `list.filter(variable, predicate)`: its three parts.
pub(super) fn filtered(ast: &IdedExpr) -> Option<(&IdedExpr, &str, &IdedExpr)> {
    let Expr::Comprehension(over) = &ast.expr else {
        return None;
    };
    let Expr::Call(step) = &over.loop_step.expr else {
        return None;
    };
    let (op::CONDITIONAL, [predicate, then, _]) = (step.func_name.as_str(), step.args.as_slice())
    else {
        return None;
    };
    let Expr::Call(append) = &then.expr else {
        return None;
    };
    let [_, added] = append.args.as_slice() else {
        return None;
    };
    match &added.expr {
        // `map` with a condition adds something else.
        Expr::List(list) => match list.elements.as_slice() {
            [only] => match &only.expr {
                Expr::Ident(name) if *name == over.iter_var => {
                    Some((&over.iter_range, &over.iter_var, predicate))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
