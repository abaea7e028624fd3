//! The edges of domains: the simplest value within, and those that lie just outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use ordered_float::OrderedFloat;

use crate::model::domain::Domain;
use crate::model::value::Value;
use crate::model::{Argument, Sent};

/// The simplest valid value of a domain; nothing where it is computed from the mirror or must stay unique.
pub fn simplest(domain: &Domain) -> Option<Value> {
    Some(match domain {
        Domain::Text { min, .. } => Value::text("a".repeat(*min)),
        Domain::Int { min, max } => {
            let zero = *min <= 0 && max.is_none_or(|max| max >= 0);
            Value::Int(if zero { 0 } else { *min })
        }
        Domain::Number { min, max } => {
            let zero = *min <= 0.0 && max.is_none_or(|max| max >= 0.0);
            Value::Number(OrderedFloat(if zero { 0.0 } else { *min }))
        }
        Domain::Bool => Value::Bool(false),
        Domain::OneOf(domains) => return domains.iter().find_map(simplest),
        Domain::Uuid => Value::text("00000000-0000-4000-8000-000000000000"),
        Domain::Email => Value::text("user0@example.com"),
        Domain::List { item, min, .. } => {
            let item = match min {
                0 => Value::Null,
                _ => simplest(item)?,
            };
            Value::List(vec![item; *min].into())
        }
        Domain::Optional(_) => Value::Absent,
        Domain::Json => Value::Null,
        Domain::Map(fields) => {
            let mut map = BTreeMap::new();
            for (name, domain) in fields {
                match simplest(domain)? {
                    Value::Absent => {}
                    value => {
                        map.insert(Value::text(name.as_str()), value);
                    }
                }
            }
            Value::Map(Arc::new(map))
        }
        Domain::Tuple(domains) => {
            let items: Option<Vec<_>> = domains.iter().map(simplest).collect();
            Value::List(items?.into())
        }
        Domain::Constant(value) => value.clone(),
        Domain::Pattern { .. }
        | Domain::Unique { .. }
        | Domain::Canary
        | Domain::TimeFromNow { .. }
        | Domain::Computed(_) => return None,
    })
}

/// Values just outside of an argument's domain, which no lenient server takes for valid ones.
pub fn invalid_values(arg: &Argument, strict: bool) -> Vec<Value> {
    let mut values = Vec::new();
    outside(&arg.domain, arg.sent, strict, &mut values);
    if arg.sent == Sent::Json && !matches!(arg.domain, Domain::Optional(_)) {
        values.push(Value::Absent);
        values.push(Value::Null);
    }
    values.retain(|value| !arg.domain.contains(value));
    values.dedup();
    values
}

fn object() -> Value {
    Value::Map(Arc::new(
        [(Value::text("unexpected"), Value::text("object"))].into(),
    ))
}

fn outside(domain: &Domain, sent: Sent, strict: bool, out: &mut Vec<Value>) {
    let json = sent == Sent::Json;
    match domain {
        Domain::Text { min, max } => {
            if json && *min > 0 {
                out.push(Value::text("a".repeat(min - 1)));
            }
            if let Some(max) = max.filter(|max| *max < 1_000_000) {
                out.push(Value::text("a".repeat(max + 1)));
            }
            if json {
                out.push(object());
            }
        }
        Domain::Int { min, max } => {
            if *min > i64::MIN {
                out.push(Value::Int(min - 1));
            }
            out.extend(max.and_then(|max| max.checked_add(1)).map(Value::Int));
            out.push(match json {
                true => object(),
                false => Value::text("not-a-number"),
            });
            if json && strict {
                out.push(Value::text(min.to_string()));
            }
        }
        Domain::Number { min, max } => {
            out.push(Value::Number(OrderedFloat(min - 1.0)));
            out.extend(max.map(|max| Value::Number(OrderedFloat(max + 1.0))));
            out.push(match json {
                true => object(),
                false => Value::text("not-a-number"),
            });
        }
        Domain::Bool => out.push(match json {
            true => object(),
            false => Value::text("neither"),
        }),
        Domain::OneOf(domains) => {
            let constants = domains.iter().all(|d| matches!(d, Domain::Constant(_)));
            let texts = domains
                .iter()
                .any(|d| matches!(d, Domain::Constant(Value::Text(_))));
            if constants && texts {
                out.push(Value::text("no-such-value"));
            }
            if json {
                out.push(object());
            }
            // What lies outside of one alternative may lie within another; the caller filters.
            for domain in domains {
                if !matches!(domain, Domain::Constant(_)) {
                    outside(domain, sent, strict, out);
                }
            }
            // An object among the alternatives takes any object.
            if domains
                .iter()
                .any(|d| matches!(d, Domain::Map(_) | Domain::Constant(Value::Map(_))))
            {
                out.retain(|v| !matches!(v, Value::Map(_)));
                out.push(Value::Int(7));
            }
        }
        Domain::Uuid => out.push(Value::text("not-a-uuid")),
        Domain::Email => out.push(Value::text("not an e-mail address")),
        Domain::Pattern { regex, .. } => {
            let candidates = ["!", "", " ", "\u{fffd}"];
            let found = candidates.iter().find(|c| !regex.is_match(c));
            out.extend(found.map(|c| Value::text(*c)));
            if json {
                out.push(object());
            }
        }
        Domain::List { item, min, max } => {
            if let Some(one) = simplest(item) {
                if *min > 0 {
                    out.push(Value::List(vec![one.clone(); min - 1].into()));
                }
                if let Some(max) = max.filter(|max| *max < 10_000) {
                    out.push(Value::List(vec![one.clone(); max + 1].into()));
                }
                let mut inner = Vec::new();
                outside(item, sent, strict, &mut inner);
                for bad in inner {
                    let mut items = vec![one.clone(); (*min).max(1)];
                    items[0] = bad;
                    out.push(Value::List(items.into()));
                }
            }
            out.push(object());
        }
        Domain::Optional(inner) => outside(inner, sent, strict, out),
        Domain::Map(fields) => {
            if let Some(Value::Map(whole)) = simplest(domain) {
                for (name, domain) in fields {
                    let key = Value::text(name.as_str());
                    if !matches!(domain, Domain::Optional(_)) {
                        let mut map = whole.as_ref().clone();
                        map.remove(&key);
                        out.push(Value::Map(Arc::new(map)));
                    }
                    let mut inner = Vec::new();
                    outside(domain, sent, strict, &mut inner);
                    for bad in inner {
                        let mut map = whole.as_ref().clone();
                        map.insert(key.clone(), bad);
                        out.push(Value::Map(Arc::new(map)));
                    }
                }
            }
            out.push(Value::text("not an object"));
        }
        Domain::Tuple(_) => out.push(object()),
        Domain::TimeFromNow { .. } => out.push(Value::text("not a time")),
        Domain::Unique { .. } | Domain::Canary => {
            if json {
                out.push(object());
            }
        }
        Domain::Json | Domain::Constant(_) | Domain::Computed(_) => {}
    }
}
