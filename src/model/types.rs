//! The types of fields, arguments and expressions, as they are written (`[string]`, `map(agent, int)`, `world?`).

use super::value::KindId;

/// The type of a field or of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nothing is known of it, or anything may stand there (`json`).
    Any,
    /// `null` alone.
    Null,
    /// `bool`
    Bool,
    /// `int`
    Int,
    /// `number`
    Number,
    /// `string`
    Text,
    /// `time`: an RFC 3339 text.
    Time,
    /// `secret`: a string that no output ever shows.
    Secret,
    /// `private`: a string that only its entity's owner may be shown.
    Private,
    /// An entity of a kind.
    Entity(KindId),
    /// `X?`
    Optional(Box<Type>),
    /// `[X]`
    List(Box<Type>),
    /// `map(K, V)`
    Map(Box<Type>, Box<Type>),
    /// The mirror before the step.
    Past,
}

impl Type {
    /// The type without a `?`.
    pub fn bare(&self) -> &Type {
        match self {
            Type::Optional(inner) => inner.bare(),
            other => other,
        }
    }

    /// Whether a value of this type is held as text.
    pub fn is_text(&self) -> bool {
        matches!(
            self.bare(),
            Type::Text | Type::Time | Type::Secret | Type::Private
        )
    }

    /// Whether a value of this type is a secret, or holds some.
    pub fn is_secret(&self) -> bool {
        match self {
            Type::Secret => true,
            Type::Optional(inner) | Type::List(inner) => inner.is_secret(),
            Type::Map(key, value) => key.is_secret() || value.is_secret(),
            _ => false,
        }
    }

    /// Whether a value of one type can ever equal a value of the other.
    pub fn comparable(&self, other: &Type) -> bool {
        let nullable = |t: &Type| matches!(t, Type::Optional(_) | Type::Null);
        if nullable(self) && nullable(other) {
            return true;
        }
        match (self.bare(), other.bare()) {
            (Type::Any, _) | (_, Type::Any) => true,
            // Comparing with null is how a field learned from an answer is tested, whatever its type.
            (Type::Null, _) | (_, Type::Null) => true,
            (a, b) if a.is_text() && b.is_text() => true,
            (Type::Int | Type::Number, Type::Int | Type::Number) => true,
            (Type::List(a), Type::List(b)) => a.comparable(b),
            (Type::Map(a, b), Type::Map(c, d)) => a.comparable(c) && b.comparable(d),
            (a, b) => a == b,
        }
    }

    /// The type as a model writes it.
    pub fn show(&self, kinds: &dyn Fn(KindId) -> String) -> String {
        match self {
            Type::Any => "json".into(),
            Type::Null => "null".into(),
            Type::Bool => "bool".into(),
            Type::Int => "int".into(),
            Type::Number => "number".into(),
            Type::Text => "string".into(),
            Type::Time => "time".into(),
            Type::Secret => "secret".into(),
            Type::Private => "private".into(),
            Type::Entity(kind) => kinds(*kind),
            Type::Optional(inner) => format!("{}?", inner.show(kinds)),
            Type::List(inner) => format!("[{}]", inner.show(kinds)),
            Type::Map(k, v) => format!("map({}, {})", k.show(kinds), v.show(kinds)),
            Type::Past => "before".into(),
        }
    }
}
