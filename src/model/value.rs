//! Values: what a field of the mirror, an argument or an answer holds. Ordered and hashable, so that mirrors can be
//! compared; entities are handles, never copies. JSON integers become [`Value::Int`], so that `body.count + 1 == 3` works.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ordered_float::OrderedFloat;
use serde::{Deserialize, Serialize};

/// Which kind of entity, as an index into [`crate::model::Model::kinds`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct KindId(pub u16);

/// The identity of an entity: its kind, the step that created it, and which of that step's creations it was.
///
/// It depends on nothing that a server says, so it is the same in the rehearsal, in the run and in every replay, and
/// stays the same when other steps are dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Handle {
    /// The entity's kind.
    pub kind: KindId,
    /// The id of the step that created it.
    pub step: u32,
    /// Which of that step's creations of this kind it was, from 0.
    pub nth: u16,
}

/// A value of the mirror, of an argument, or of an answer.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// JSON `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Number(OrderedFloat<f64>),
    /// A string.
    Text(Arc<str>),
    /// A list.
    List(Arc<[Value]>),
    /// A map; its keys may be entities.
    Map(Arc<BTreeMap<Value, Value>>),
    /// A reference to an entity of the mirror.
    Entity(Handle),
    /// A string that is new in every run: a prefix and a number that is unique within the plan.
    Fresh(Arc<str>, u32),
    /// What only the server can say, and has not said yet.
    Unknown,
    /// What a template yields to have its key left out.
    Absent,
}

impl Value {
    /// A text value.
    pub fn text(text: impl Into<Arc<str>>) -> Value {
        Value::Text(text.into())
    }

    /// The name of the value's type, as error messages call it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Number(_) => "number",
            Value::Text(_) | Value::Fresh(..) => "string",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Entity(_) => "entity",
            Value::Unknown => "unknown",
            Value::Absent => "absent",
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether any part of the value is still unknown.
    pub fn has_unknown(&self) -> bool {
        match self {
            Value::Unknown => true,
            Value::List(items) => items.iter().any(Value::has_unknown),
            Value::Map(map) => map.iter().any(|(k, v)| k.has_unknown() || v.has_unknown()),
            _ => false,
        }
    }

    /// Calls a function with every entity in the value.
    pub fn each_entity(&self, see: &mut dyn FnMut(Handle)) {
        match self {
            Value::Entity(handle) => see(*handle),
            Value::List(items) => items.iter().for_each(|v| v.each_entity(see)),
            Value::Map(map) => map.iter().for_each(|(k, v)| {
                k.each_entity(see);
                v.each_entity(see);
            }),
            _ => {}
        }
    }

    /// The value with each part replaced by what `change` makes of it, from the leaves up.
    pub fn rewrite(&self, change: &mut dyn FnMut(&Value) -> Option<Value>) -> Value {
        if let Some(new) = change(self) {
            return new;
        }
        match self {
            Value::List(items) => Value::List(items.iter().map(|v| v.rewrite(change)).collect()),
            Value::Map(map) => Value::Map(Arc::new(
                map.iter()
                    .map(|(k, v)| (k.rewrite(change), v.rewrite(change)))
                    .collect(),
            )),
            other => other.clone(),
        }
    }

    /// The value of a JSON text. Whole numbers that fit become [`Value::Int`].
    pub fn from_json(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            serde_json::Value::Number(n) => match n.as_i64() {
                Some(int) => Value::Int(int),
                None => Value::Number(OrderedFloat(n.as_f64().unwrap_or(f64::NAN))),
            },
            serde_json::Value::String(s) => Value::text(s.as_str()),
            serde_json::Value::Array(items) => {
                Value::List(items.iter().map(Value::from_json).collect())
            }
            serde_json::Value::Object(map) => Value::Map(Arc::new(
                map.iter()
                    .map(|(k, v)| (Value::text(k.as_str()), Value::from_json(v)))
                    .collect(),
            )),
        }
    }

    /// The JSON of the value. Keys whose value is absent are left out; an entity becomes what `entity` says.
    pub fn to_json(&self, entity: &dyn Fn(Handle) -> serde_json::Value) -> serde_json::Value {
        match self {
            Value::Null | Value::Unknown | Value::Absent => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(i) => (*i).into(),
            Value::Number(n) => serde_json::Number::from_f64(n.0)
                .map_or(serde_json::Value::Null, serde_json::Value::Number),
            Value::Text(t) => t.as_ref().into(),
            Value::Fresh(prefix, n) => format!("{prefix}-{n}").into(),
            Value::List(items) => items
                .iter()
                .filter(|v| **v != Value::Absent)
                .map(|v| v.to_json(entity))
                .collect(),
            Value::Map(map) => map
                .iter()
                .filter(|(_, v)| **v != Value::Absent)
                .map(|(k, v)| (k.to_text(entity), v.to_json(entity)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Entity(handle) => entity(*handle),
        }
    }

    /// The value as it stands inside a text: strings bare, everything else as JSON.
    pub fn to_text(&self, entity: &dyn Fn(Handle) -> serde_json::Value) -> String {
        match self {
            Value::Text(text) => text.to_string(),
            Value::Absent => String::new(),
            other => match other.to_json(entity) {
                serde_json::Value::String(text) => text,
                json => json.to_string(),
            },
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::text(value)
    }
}

impl From<Handle> for Value {
    fn from(value: Handle) -> Self {
        Value::Entity(value)
    }
}

impl fmt::Display for Handle {
    /// The form that plans are stored in: `1@4.0`, kind, step and number. People are shown names instead.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}.{}", self.kind.0, self.step, self.nth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_integers_are_ints_and_survive_a_round_trip() {
        let json = serde_json::json!({"a": [1, 2.5, "x", null, true], "b": {"c": -7}});
        let value = Value::from_json(&json);
        let Value::Map(map) = &value else {
            panic!("an object is a map")
        };
        let Value::List(items) = &map[&Value::text("a")] else {
            panic!("an array is a list")
        };
        assert_eq!(items[0], Value::Int(1));
        assert_eq!(value.to_json(&|_| serde_json::Value::Null), json);
    }

    #[test]
    fn absent_keys_are_left_out() {
        let map: BTreeMap<_, _> = [("a".into(), Value::Absent), ("b".into(), Value::Int(1))].into();
        let json = Value::Map(Arc::new(map)).to_json(&|_| serde_json::Value::Null);
        assert_eq!(json, serde_json::json!({"b": 1}));
    }
}
