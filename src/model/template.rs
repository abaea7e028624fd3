//! Templates: YAML values in which `${…}` holds an expression. A scalar that is exactly one `${…}` keeps the value's
//! type, otherwise the text is interpolated.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::expression::{EvalError, Expression, Scope};
use super::value::{Handle, Value};

/// A template.
#[derive(Debug)]
pub enum Template {
    /// A constant.
    Constant(Value),
    /// Exactly one expression: keeps the value's type.
    Expression(Arc<Expression>),
    /// Text with expressions in it.
    Text(Vec<Part>),
    /// A list of templates.
    List(Vec<Template>),
    /// A map of templates.
    Map(Vec<(String, Template)>),
}

/// A part of an interpolated text.
#[derive(Debug)]
pub enum Part {
    /// As it stands.
    Literal(String),
    /// The text of an expression's value.
    Expression(Arc<Expression>),
}

impl Template {
    /// The value of the template in a scope. An entity within a text becomes its key, as `key` gives it.
    ///
    /// # Errors
    ///
    /// Those of its expressions.
    pub fn eval(
        &self,
        scope: &Scope<'_>,
        key: &dyn Fn(Handle) -> Value,
    ) -> Result<Value, EvalError> {
        match self {
            Template::Constant(value) => Ok(value.clone()),
            Template::Expression(expression) => expression.eval(scope),
            Template::Text(parts) => {
                let mut text = String::new();
                for part in parts {
                    match part {
                        Part::Literal(literal) => text.push_str(literal),
                        Part::Expression(expression) => {
                            let value = expression.eval(scope)?;
                            text.push_str(&value.to_text(&|handle| {
                                key(handle).to_json(&|_| serde_json::Value::Null)
                            }));
                        }
                    }
                }
                Ok(Value::text(text))
            }
            Template::List(items) => items
                .iter()
                .map(|t| t.eval(scope, key))
                .collect::<Result<Vec<_>, _>>()
                .map(|items| Value::List(items.into())),
            Template::Map(fields) => {
                let mut map = BTreeMap::new();
                for (name, template) in fields {
                    match template.eval(scope, key)? {
                        Value::Absent => {}
                        value => {
                            map.insert(Value::text(name.as_str()), value);
                        }
                    }
                }
                Ok(Value::Map(Arc::new(map)))
            }
        }
    }

    /// Every expression in the template.
    pub fn expressions(&self) -> Vec<&Expression> {
        match self {
            Template::Constant(_) => Vec::new(),
            Template::Expression(expression) => vec![expression],
            Template::Text(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Expression(expression) => Some(expression.as_ref()),
                    Part::Literal(_) => None,
                })
                .collect(),
            Template::List(items) => items.iter().flat_map(Template::expressions).collect(),
            Template::Map(fields) => fields.iter().flat_map(|(_, t)| t.expressions()).collect(),
        }
    }

    /// Whether it needs the server's answer.
    pub fn needs_answer(&self) -> bool {
        self.expressions().iter().any(|e| e.uses.answer)
    }

    /// Whether one of its scalars is exactly this name.
    pub fn sends(&self, name: &str) -> bool {
        match self {
            Template::Expression(expression) => expression.source.trim() == name,
            Template::List(items) => items.iter().any(|t| t.sends(name)),
            Template::Map(fields) => fields.iter().any(|(_, t)| t.sends(name)),
            Template::Constant(_) | Template::Text(_) => false,
        }
    }
}

/// The literals and `${…}` of a text: what is literal, and the bytes of each expression. A `$${` stands for `${`.
///
/// # Errors
///
/// The byte at which a `${` opens that never closes.
pub fn split(text: &str) -> Result<Vec<Piece>, usize> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = 0;
    while let Some(found) = text[rest..].find("${") {
        let open = rest + found;
        if text[..open].ends_with('$') {
            literal.push_str(&text[rest..open - 1]);
            literal.push_str("${");
            rest = open + 2;
            continue;
        }
        literal.push_str(&text[rest..open]);
        let close = closing(text, open + 2).ok_or(open)?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Expression(open + 2..close));
        rest = close + 1;
    }
    literal.push_str(&text[rest..]);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

/// A piece of a text, see [`split`].
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Literal(String),
    /// The bytes of an expression in the text.
    Expression(std::ops::Range<usize>),
}

/// The `}` that closes an expression: braces nest, and do not count within a string.
fn closing(text: &str, from: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text[from..].char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') if depth == 0 => return Some(from + at),
            (None, '}') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_at_its_expressions() {
        assert_eq!(split("abc"), Ok(vec![Piece::Literal("abc".into())]));
        assert_eq!(split("${a}"), Ok(vec![Piece::Expression(2..3)]));
        assert_eq!(
            split("x${ {'}': 1}['}'] }y$${z}"),
            Ok(vec![
                Piece::Literal("x".into()),
                Piece::Expression(3..18),
                Piece::Literal("y${z}".into())
            ])
        );
        assert_eq!(split("a ${b"), Err(2));
    }
}
