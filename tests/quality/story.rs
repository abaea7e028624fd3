//! A counterexample in symbols: one line a step, then the check, and what was expected beside what was observed.

use gainsay::check::Finding;
use gainsay::check::Parts;
use gainsay::drive::symbols::{HandleNames, Symbols};
use gainsay::generate::Step;
use gainsay::model::Model;
use gainsay::model::action::Picked;
use gainsay::model::value::Value;
use gainsay::shrink::Counterexample;

/// Texts longer than this are shown by their length.
const SHOWN: usize = 24;

/// Compares with the snapshot of that name in this folder.
pub fn pin(name: &str, story: &str) {
    insta::with_settings!({
        snapshot_path => ".",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_snapshot!(name, story);
    });
}

/// The whole counterexample.
pub fn story(model: &Model, found: &Counterexample) -> String {
    let names = HandleNames::of(model, &found.mirror);
    let symbols = Symbols::of(model, &found.mirror, &names, &found.mark);
    let mut lines: Vec<String> = found
        .plan
        .all()
        .map(|step| line(model, &names, step))
        .collect();
    lines.push(format!("violates {}", found.violation.id));
    lines.push(symbols.apply(&finding(&names, &found.violation.finding)));
    lines.join("\n")
}

fn line(model: &Model, names: &HandleNames, step: &Step) -> String {
    let rule = &model.rules[step.action.rule];
    let mut line = format!(
        "{} {} by {}",
        step.id,
        rule.name,
        names.actor(step.action.actor)
    );
    for (index, (pick, picked)) in rule.picks.iter().zip(&step.action.picks).enumerate() {
        line.push_str(if index == 0 { " on " } else { ", " });
        let shown = match picked {
            Picked::Entity(handle) => names.get(*handle),
            Picked::Never => format!("a {} that never was", pick.name),
        };
        line.push_str(&shown);
    }
    if let Some(how) = step.delivery.in_words() {
        line.push_str(&format!(": {how}"));
    }
    if step.delivery.again().is_some() {
        return line;
    }
    let given: Vec<String> = rule
        .args
        .iter()
        .zip(&step.action.args)
        .filter(|(_, value)| **value != Value::Absent)
        .map(|(arg, value)| format!("{}: {}", arg.name, shown(names, value)))
        .collect();
    if !given.is_empty() {
        line.push_str(&format!(" ({})", given.join(", ")));
    }
    line
}

fn shown(names: &HandleNames, value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Absent | Value::Unknown => "nothing".into(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Number(n) => n.to_string(),
        Value::Text(text) if text.chars().count() > SHOWN => {
            format!("{} characters", text.chars().count())
        }
        Value::Text(text) => format!("{text:?}"),
        Value::Fresh(prefix, n) => format!("{prefix}-{n}"),
        Value::List(items) => match items.len() {
            0 => "no items".into(),
            1 => format!("1 item: {}", shown(names, &items[0])),
            n if items.iter().all(|item| *item == items[0]) => {
                format!("{n} items, each {}", shown(names, &items[0]))
            }
            n => format!(
                "{n} items: {}",
                items
                    .iter()
                    .map(|v| shown(names, v))
                    .collect::<Vec<_>>()
                    .join("; ")
            ),
        },
        Value::Map(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| {
                    format!("{} {}", key.as_text().unwrap_or("?"), shown(names, value))
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Entity(handle) => names.get(*handle),
    }
}

fn finding(names: &HandleNames, finding: &Finding) -> String {
    match finding {
        Finding::Status { expected, observed } => {
            let expected: Vec<String> = expected
                .iter()
                .map(|(name, statuses)| format!("{statuses} ({name})"))
                .collect();
            format!("expected {}, observed {observed}", expected.join(" or "))
        }
        Finding::ServerError { observed } => {
            format!("expected no server error, observed {observed}")
        }
        Finding::Internals { what, evidence } => format!("the answer shows {what}: {evidence}"),
        Finding::NoOrder(dispute) => format!("no order explains {:?}", dispute.core),
        Finding::Silence { reason } => format!("expected an answer, observed none: {reason}"),
        Finding::Undescribed(mismatch) => {
            format!(
                "expected {}, observed {}",
                mismatch.expected, mismatch.observed
            )
        }
        Finding::Untrue {
            claim,
            reason,
            parts,
        } => untrue(names, claim, reason.as_deref(), parts),
        Finding::Late {
            claim,
            parts,
            within,
        } => {
            format!("within {within} ms: {}", untrue(names, claim, None, parts))
        }
        Finding::Twin { made, other, field } => format!(
            "expected a {field} of its own, observed {} with that of {}",
            names.get(*made),
            names.get(*other)
        ),
        Finding::Shown { owner, field, to } => {
            let to = to.map_or_else(|| "nobody in particular".into(), |to| names.get(to));
            format!(
                "expected {field} of {} to be kept, observed it in an answer to {to}",
                names.get(*owner)
            )
        }
    }
}

fn untrue(names: &HandleNames, claim: &str, reason: Option<&str>, parts: &Parts) -> String {
    let mut out = format!(
        "expected {}",
        claim.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    if let Some(reason) = reason {
        out.push_str(&format!("\nobserved {reason}"));
    }
    for (part, value) in parts {
        match value {
            Ok(value) => out.push_str(&format!("\nobserved {part} = {}", shown(names, value))),
            Err(error) => out.push_str(&format!("\nobserved {part}: {error}")),
        }
    }
    out
}
