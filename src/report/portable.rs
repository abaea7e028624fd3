//! Plans as data that people can read and every YAML reader keeps: names instead of positions, `agent@2` for the entity
//! of step 2. Reading one back is pure: it looks at the model and at nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ordered_float::OrderedFloat;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::paint::is_unsafe;
use crate::generate::{Delivery, Lane, Plan, Step};
use crate::model::action::{Action, Actor, Forgery, Picked};
use crate::model::value::{Handle, KindId, Value};
use crate::model::{By, Model};

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortablePlan {
    /// As text: some readers know no numbers beyond 63 bits.
    pub seed: String,
    #[serde(default)]
    pub setup: Vec<PortableStep>,
    #[serde(default)]
    pub steps: Vec<PortableStep>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PortableStep {
    pub id: u32,
    pub rule: String,
    pub by: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pick: BTreeMap<String, String>,
    #[serde(default, rename = "with", skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, Json>,
    /// How it is delivered, where that is not as clients do.
    #[serde(default, skip_serializing_if = "is_plain_delivery")]
    pub delivery: Delivery,
    /// Where it stands in a race.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
}

fn is_plain_delivery(delivery: &Delivery) -> bool {
    *delivery == Delivery::Once
}

/// Why a plan is not one of this model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The model has no such thing, or no longer.
    #[error("the model has no {what} `{name}`{}", step.map_or(String::new(), |s| format!(" (step {s})")))]
    Unknown {
        /// `rule`, `entity`, …
        what: &'static str,
        /// Its name.
        name: String,
        /// The step that names it.
        step: Option<u32>,
    },
    /// The model needs what the plan does not say.
    #[error("step {step} does not say which {name} `{rule}` takes")]
    Missing {
        /// The pick or argument.
        name: String,
        /// The rule.
        rule: String,
        /// The step.
        step: u32,
    },
    /// It cannot be read.
    #[error("{what} cannot be `{text}` here{}", step.map_or(String::new(), |s| format!(" (step {s})")))]
    Malformed {
        /// What it should be.
        what: &'static str,
        /// What it is.
        text: String,
        /// The step.
        step: Option<u32>,
    },
}

/// Writes a plan.
pub(super) fn write(model: &Model, plan: &Plan) -> PortablePlan {
    let steps = |steps: &[Step]| steps.iter().map(|step| write_step(model, step)).collect();
    PortablePlan {
        seed: plan.seed.to_string(),
        setup: steps(&plan.setup),
        steps: steps(&plan.steps),
    }
}

pub(super) fn write_step(model: &Model, step: &Step) -> PortableStep {
    let rule = &model.rules[step.action.rule];
    let by = match step.action.actor {
        Actor::Entity(handle) | Actor::Other(handle) => write_handle(model, handle),
        Actor::Anyone => "anyone".to_owned(),
        Actor::Nobody => "nobody".to_owned(),
        Actor::Forged(handle, forgery) => {
            format!("{} {}", forgery.word(), write_handle(model, handle))
        }
    };
    let picks = rule
        .picks
        .iter()
        .zip(&step.action.picks)
        .map(|(pick, picked)| {
            let picked = match picked {
                Picked::Entity(handle) => write_handle(model, *handle),
                Picked::Never => "never".to_owned(),
            };
            (pick.name.to_string(), picked)
        });
    let args = rule.args.iter().zip(&step.action.args);
    PortableStep {
        id: step.id,
        rule: rule.name.clone(),
        by,
        pick: picks.collect(),
        args: args
            .map(|(arg, value)| (arg.name.to_string(), write_value(model, value)))
            .collect(),
        delivery: step.delivery,
        lane: step.lane,
    }
}

pub(super) fn write_handle(model: &Model, handle: Handle) -> String {
    let kind = &model.kind(handle.kind).name;
    match handle.nth {
        0 => format!("{kind}@{}", handle.step),
        nth => format!("{kind}@{}.{nth}", handle.step),
    }
}

pub(super) fn write_value(model: &Model, value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(i) => (*i).into(),
        // As text: YAML's writers and readers do not agree on fractions and exponents.
        Value::Number(n) => json!({ "$number": n.0.to_string() }),
        Value::Text(text) => write_text(text),
        Value::List(items) => items.iter().map(|v| write_value(model, v)).collect(),
        Value::Map(map) => {
            let plain = |key: &Value| match key {
                Value::Text(t) => !t.is_empty() && !t.starts_with('$') && is_plain(t),
                _ => false,
            };
            match map.keys().all(plain) {
                true => map
                    .iter()
                    .map(|(k, v)| {
                        (
                            k.as_text().unwrap_or_default().to_owned(),
                            write_value(model, v),
                        )
                    })
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
                false => {
                    let pairs = map
                        .iter()
                        .map(|(k, v)| json!([write_value(model, k), write_value(model, v)]));
                    json!({ "$map": pairs.collect::<Vec<_>>() })
                }
            }
        }
        Value::Entity(handle) => json!({ "$entity": write_handle(model, *handle) }),
        Value::Fresh(prefix, n) => json!({ "$fresh": write_text(prefix), "n": n }),
        Value::Unknown => json!({ "$unknown": true }),
        Value::Absent => json!({ "$absent": true }),
    }
}

/// Texts of printable characters stand as they are. Of the others YAML's writers make different things, and of what looks
/// like a number to some its readers do: insta writes `1_000` without quotes.
fn write_text(text: &str) -> Json {
    if is_plain(text) {
        return text.into();
    }
    let mut escaped = String::new();
    for (index, unit) in text.encode_utf16().enumerate() {
        match u8::try_from(unit) {
            Ok(byte @ b' '..=b'~') if index > 0 && byte != b'\\' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("\\u{unit:04x}")),
        }
    }
    // What ends in a space is at the mercy of who trims lines.
    if escaped.ends_with(' ') {
        escaped.pop();
        escaped.push_str("\\u0020");
    }
    json!({ "$text": escaped })
}

fn is_plain(text: &str) -> bool {
    let printable = |c: char| {
        !is_unsafe(c) && !matches!(c, '\u{a0}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}')
    };
    let uuid = text.len() == 36 && text.matches('-').count() == 4;
    let number = text.starts_with(|c: char| c.is_ascii_digit() || "+-._".contains(c))
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-._:".contains(c))
        && !uuid;
    text.chars().all(printable) && !text.starts_with(' ') && !text.ends_with(' ') && !number
}

fn read_text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Object(map) if map.len() == 1 => {
            let escaped = map.get("$text")?.as_str()?;
            let quoted = format!("\"{}\"", escaped.replace('"', "\\\""));
            serde_json::from_str(&quoted).ok()
        }
        _ => None,
    }
}

/// Reads a plan.
///
/// # Errors
///
/// [`PlanError`] where the model does not have what the plan names, or the plan lacks what the model needs.
pub(super) fn read(model: &Model, plan: &PortablePlan) -> Result<Plan, PlanError> {
    let seed = plan
        .seed
        .parse()
        .map_err(|_| malformed("a seed", &plan.seed, None))?;
    let mut ids = BTreeSet::new();
    let mut steps = |steps: &[PortableStep]| {
        steps
            .iter()
            .map(|step| match ids.insert(step.id) {
                true => read_step(model, step),
                false => Err(malformed(
                    "the id of a second step",
                    &step.id.to_string(),
                    Some(step.id),
                )),
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let plan = Plan {
        seed,
        setup: steps(&plan.setup)?,
        steps: steps(&plan.steps)?,
    };
    for (index, step) in plan.all().enumerate() {
        if let (Some(of), false) = (step.delivery.again(), step.follows(plan.all().take(index))) {
            return Err(malformed(
                "an earlier step with the same request",
                &of.to_string(),
                Some(step.id),
            ));
        }
    }
    Ok(plan)
}

fn malformed(what: &'static str, text: &str, step: Option<u32>) -> PlanError {
    PlanError::Malformed {
        what,
        text: text.chars().take(80).collect(),
        step,
    }
}

pub(super) fn read_step(model: &Model, step: &PortableStep) -> Result<Step, PlanError> {
    let at = Some(step.id);
    let unknown = |what, name: &str| PlanError::Unknown {
        what,
        name: name.to_owned(),
        step: at,
    };
    let position = model
        .rule_named(&step.rule)
        .ok_or_else(|| unknown("rule", &step.rule))?;
    let rule = &model.rules[position];
    let missing = |name: &str| PlanError::Missing {
        name: name.to_owned(),
        rule: rule.name.clone(),
        step: step.id,
    };
    let actor = match (step.by.as_str(), rule.by) {
        ("anyone", By::Anyone) => Actor::Anyone,
        ("nobody", By::Kind(_)) => Actor::Nobody,
        (text, By::Kind(kind)) => {
            let (forgery, name) = match text.split_once(' ') {
                Some((word, name)) => {
                    let mut all = Forgery::ALL.into_iter();
                    let forgery = all.find(|forgery| forgery.word() == word);
                    let forgery = forgery.ok_or_else(|| malformed("who acts", text, at))?;
                    (Some(forgery), name)
                }
                None => (None, text),
            };
            let handle = read_handle(model, name, at)?;
            match (handle.kind == kind, forgery) {
                (true, Some(forgery)) => Actor::Forged(handle, forgery),
                (true, None) => Actor::Entity(handle),
                (false, None) if model.kind(handle.kind).auth.is_some() => Actor::Other(handle),
                (false, _) => return Err(malformed("who acts", text, at)),
            }
        }
        (text, By::Anyone) => return Err(malformed("who acts", text, at)),
    };
    if let Some(name) = step
        .pick
        .keys()
        .find(|name| !rule.picks.iter().any(|p| *p.name == ***name))
    {
        return Err(unknown("pick", name));
    }
    if let Some(name) = step
        .args
        .keys()
        .find(|name| !rule.args.iter().any(|a| *a.name == ***name))
    {
        return Err(unknown("argument", name));
    }
    let mut picks = Vec::with_capacity(rule.picks.len());
    for pick in &rule.picks {
        let text = step
            .pick
            .get(&*pick.name)
            .ok_or_else(|| missing(&pick.name))?;
        picks.push(match text.as_str() {
            "never" => Picked::Never,
            text => match read_handle(model, text, at)? {
                handle if handle.kind == pick.kind => Picked::Entity(handle),
                _ => return Err(malformed("a pick", text, at)),
            },
        });
    }
    let mut args = Vec::with_capacity(rule.args.len());
    for arg in &rule.args {
        let json = step
            .args
            .get(&*arg.name)
            .ok_or_else(|| missing(&arg.name))?;
        args.push(read_value(model, json, at)?);
    }
    let action = Action {
        rule: position,
        actor,
        picks,
        args,
    };
    Ok(Step {
        id: step.id,
        action,
        delivery: step.delivery,
        lane: step.lane,
    })
}

pub(super) fn read_handle(model: &Model, text: &str, at: Option<u32>) -> Result<Handle, PlanError> {
    let bad = || malformed("an entity", text, at);
    let (kind, place) = text.rsplit_once('@').ok_or_else(bad)?;
    let (step, nth) = place.split_once('.').unwrap_or((place, "0"));
    let position = model.kinds.iter().position(|k| k.name == kind);
    let position = position.ok_or_else(|| PlanError::Unknown {
        what: "entity",
        name: kind.chars().take(80).collect(),
        step: at,
    })?;
    Ok(Handle {
        kind: KindId(u16::try_from(position).map_err(|_| bad())?),
        step: step.parse().map_err(|_| bad())?,
        nth: nth.parse().map_err(|_| bad())?,
    })
}

pub(super) fn read_value(model: &Model, json: &Json, at: Option<u32>) -> Result<Value, PlanError> {
    let bad = || malformed("a value", &json.to_string(), at);
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match n.as_i64() {
            Some(int) => Value::Int(int),
            None => Value::Number(OrderedFloat(n.as_f64().ok_or_else(bad)?)),
        },
        Json::String(text) => Value::text(text.as_str()),
        Json::Array(items) => Value::List(
            items
                .iter()
                .map(|item| read_value(model, item, at))
                .collect::<Result<Vec<_>, _>>()?
                .into(),
        ),
        Json::Object(map) => match map
            .keys()
            .find(|key| key.starts_with('$'))
            .map(String::as_str)
        {
            None => {
                let entry = |(k, v): (&String, &Json)| {
                    Ok((Value::text(k.as_str()), read_value(model, v, at)?))
                };
                Value::Map(Arc::new(
                    map.iter().map(entry).collect::<Result<_, PlanError>>()?,
                ))
            }
            Some("$text") => Value::text(read_text(json).ok_or_else(bad)?),
            Some("$number") => {
                let number = map["$number"].as_str().and_then(|n| n.parse().ok());
                Value::Number(OrderedFloat(number.ok_or_else(bad)?))
            }
            Some("$entity") => Value::Entity(read_handle(
                model,
                map["$entity"].as_str().ok_or_else(bad)?,
                at,
            )?),
            Some("$fresh") => {
                let prefix = read_text(&map["$fresh"]).ok_or_else(bad)?;
                let n = map
                    .get("n")
                    .and_then(Json::as_u64)
                    .and_then(|n| u32::try_from(n).ok());
                Value::Fresh(prefix.into(), n.ok_or_else(bad)?)
            }
            Some("$unknown") => Value::Unknown,
            Some("$absent") => Value::Absent,
            Some("$map") => {
                let mut entries = BTreeMap::new();
                for pair in map["$map"].as_array().ok_or_else(bad)? {
                    let [key, value] = pair.as_array().ok_or_else(bad)?.as_slice() else {
                        return Err(bad());
                    };
                    entries.insert(read_value(model, key, at)?, read_value(model, value, at)?);
                }
                Value::Map(Arc::new(entries))
            }
            Some(_) => return Err(bad()),
        },
    })
}
