//! The scene of a counterexample: its parts in the words of people. All texts that leave it are symbolised, without
//! secrets and without control characters.

use crate::check::CheckId;
use crate::drive::history::{Exchange, Purpose, Request};
use crate::drive::symbols::{HandleNames, Symbols};
use crate::generate::Step;
use crate::model::action::Picked;
use crate::model::mirror::Record;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{self, Model, PathPart};
use crate::shrink::Counterexample;

use super::learned::{secret_arguments, secrets_in};
use super::paint::{inert, quoted};

/// A counterexample, and how to speak of it.
pub(super) struct Scene<'a> {
    pub model: &'a Model,
    pub found: &'a Counterexample,
    pub names: HandleNames,
    pub symbols: Symbols,
}

/// Texts longer than this are shortened.
const LONGEST_TEXT: usize = 32;

impl<'a> Scene<'a> {
    pub fn new(model: &'a Model, found: &'a Counterexample) -> Scene<'a> {
        let mut names = HandleNames::of(model, &found.mirror);
        for index in 0..model.kinds.len() {
            let kind = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            for (handle, _) in found.violation.before.all(kind) {
                names.add(model, handle);
            }
        }
        names.stand_ins(&found.plan, &found.mirror);
        let mut symbols = Symbols::of(model, &found.mirror, &names, &found.mark);
        symbols.hide_told(&found.jars, &names);
        for step in found.plan.all() {
            let rule = &model.rules[step.action.rule];
            for position in secret_arguments(model, rule) {
                if let Some(Value::Text(text)) = step.action.args.get(position) {
                    symbols.hide(text, &format!("‹{}›", rule.args[position].name));
                }
            }
            if let Some(exchange) = found.history.of_step(step.id) {
                let response = exchange.response.iter();
                for (raw, symbol) in response.flat_map(|r| secrets_in(model, step, r)) {
                    symbols.hide(&raw, &symbol);
                }
            }
        }
        Scene {
            model,
            found,
            names,
            symbols,
        }
    }

    /// A text of the plan or the model.
    pub fn text(&self, text: &str) -> String {
        inert(&self.symbols.apply(text))
    }

    /// The step at which it fails.
    pub fn failing(&self) -> Option<&'a Step> {
        self.found
            .plan
            .all()
            .find(|s| s.id == self.found.violation.step)
    }

    /// The entities that a step brought into being.
    pub fn created(&self, step: u32) -> Vec<Handle> {
        let mut out = Vec::new();
        for index in 0..self.model.kinds.len() {
            let kind = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            out.extend(
                self.found
                    .mirror
                    .all(kind)
                    .map(|(h, _)| h)
                    .filter(|h| h.step == step),
            );
        }
        out
    }

    /// Who acts.
    pub fn actor(&self, step: &Step) -> String {
        inert(&self.names.actor(step.action.actor))
    }

    /// What a step is about, and with which arguments: `proposal#1`, `verdict "approve"`.
    pub fn particulars(&self, step: &Step) -> (Vec<String>, Vec<String>) {
        let rule = &self.model.rules[step.action.rule];
        let picks = rule
            .picks
            .iter()
            .zip(&step.action.picks)
            .map(|(pick, picked)| {
                let name = self.names.picked(*picked, &self.model.kind(pick.kind).name);
                match *pick.name == *self.model.kind(pick.kind).name {
                    true => name,
                    false => format!("{} {name}", pick.name),
                }
            });
        let secrets = secret_arguments(self.model, rule);
        let args = rule.args.iter().zip(&step.action.args).enumerate();
        let args = args.map(|(position, (arg, value))| match value {
            Value::Absent => format!("no {}", arg.name),
            Value::Text(_) | Value::Fresh(..) if secrets.contains(&position) => {
                format!("{} ‹{}›", arg.name, arg.name)
            }
            value => format!("{} {}", arg.name, self.value(value)),
        });
        (picks.map(|p| inert(&p)).collect(), args.collect())
    }

    /// A value of the plan or of the mirror.
    pub fn value(&self, value: &Value) -> String {
        let mut budget = 12;
        self.short(value, &mut budget)
    }

    fn short(&self, value: &Value, budget: &mut usize) -> String {
        match value {
            Value::Null => "null".into(),
            Value::Bool(b) => b.to_string(),
            Value::Int(i) => i.to_string(),
            Value::Number(n) => n.to_string(),
            Value::Text(text) => {
                let shown = self.symbols.apply(text);
                match shown.starts_with('‹') && shown.ends_with('›') {
                    true => inert(&shown),
                    false => quoted(&shown, LONGEST_TEXT),
                }
            }
            Value::Entity(handle) => inert(&self.names.get(*handle)),
            Value::Fresh(prefix, n) => quoted(&format!("{prefix}-{n}"), LONGEST_TEXT),
            Value::Unknown => "unknown".into(),
            Value::Absent => "left out".into(),
            Value::List(items) => {
                let mut parts = Vec::new();
                for item in items.iter() {
                    if *budget == 0 {
                        parts.push(format!("… {} more", items.len() - parts.len()));
                        break;
                    }
                    *budget -= 1;
                    parts.push(self.short(item, budget));
                }
                format!("[{}]", parts.join(", "))
            }
            Value::Map(map) => {
                let mut parts = Vec::new();
                for (key, value) in map.iter() {
                    if *budget == 0 {
                        parts.push(format!("… {} more", map.len() - parts.len()));
                        break;
                    }
                    *budget -= 1;
                    let key = match key {
                        Value::Text(text) => inert(&self.symbols.apply(text)),
                        other => self.short(other, budget),
                    };
                    parts.push(format!("{key}: {}", self.short(value, budget)));
                }
                format!("{{{}}}", parts.join(", "))
            }
        }
    }

    /// A value that an answer or the mirror gave to a part of a claim.
    pub fn observed(&self, part: &str, value: &Value) -> String {
        // Whatever is set, and however short it is.
        if part.starts_with("headers") && part.to_ascii_lowercase().contains("cookie") {
            return "‹hidden›".into();
        }
        if part.starts_with("body") || part.starts_with("headers") {
            let json = value.to_json(&|handle| self.names.get(handle).into());
            return brief(&self.symbols.apply_to_json(&json), 4, &mut 20);
        }
        self.value(value)
    }

    /// An entity as the mirror has it: `author agent#1, status "draft"`.
    pub fn record(&self, handle: Handle, record: &Record) -> String {
        let kind = self.model.kind(handle.kind);
        let mut parts = Vec::new();
        for (index, (field, value)) in kind.fields.iter().zip(record.fields.iter()).enumerate() {
            let shown = match value {
                Value::Null | Value::Unknown => self.value(value),
                _ if field.ty.is_secret() => format!("‹{}.{}›", self.names.get(handle), field.name),
                Value::Int(_)
                    if self.symbols.has_number(&format!(
                        "‹{}.{}›",
                        self.names.get(handle),
                        field.name
                    )) =>
                {
                    format!("‹{}.{}›", self.names.get(handle), field.name)
                }
                value => self.value(value),
            };
            // That an id is its own symbol says nothing.
            if shown == format!("‹{}.{}›", self.names.get(handle), field.name)
                && kind.key == Some(index)
            {
                continue;
            }
            parts.push(format!("{} {shown}", field.name));
        }
        match record.gone {
            true => format!("gone; was: {}", parts.join(", ")),
            false => parts.join(", "),
        }
    }

    /// The request line of a step, with names for what the server invented.
    pub fn request_line(&self, step: &Step, sent: &Request) -> String {
        let rule = &self.model.rules[step.action.rule];
        let keys: Vec<Option<Handle>> = step
            .action
            .picks
            .iter()
            .map(|p| Picked::handle(*p))
            .collect();
        self.line(&rule.request, sent, &keys, &step.action.args)
    }

    /// The request line of an invariant's read.
    pub fn read_line(
        &self,
        request: &model::Request,
        sent: &Request,
        entity: Option<Handle>,
    ) -> String {
        self.line(request, sent, &[entity], &[])
    }

    fn line(
        &self,
        request: &model::Request,
        sent: &Request,
        keys: &[Option<Handle>],
        args: &[Value],
    ) -> String {
        let mut path = String::new();
        for part in &request.parts {
            match part {
                PathPart::Literal(literal) => path.push_str(literal),
                PathPart::Pick(index) => match keys.get(*index).copied().flatten() {
                    Some(handle) => {
                        let kind = self.model.kind(handle.kind);
                        let key = kind.key.map_or("id", |k| kind.fields[k].name.as_str());
                        path.push_str(&format!("‹{}.{key}›", self.names.get(handle)));
                    }
                    None => path.push_str("‹never was›"),
                },
                PathPart::Argument(index) => match args.get(*index) {
                    Some(value) => path.push_str(&value.to_text(&|h| self.names.get(h).into())),
                    None => path.push('?'),
                },
                PathPart::Template(_) => {
                    path.clone_from(&sent.path);
                    break;
                }
            }
        }
        let secret = |name: &str| {
            let mut auths = self.model.kinds.iter().filter_map(|k| k.auth.as_ref());
            auths.any(|auth| auth.query.iter().any(|(n, _)| n == name))
        };
        let query: Vec<_> = sent
            .query
            .iter()
            .filter(|(name, _)| !secret(name))
            .map(|(name, value)| {
                format!(
                    "{name}={}",
                    shorten(&self.symbols.apply_to_answer(value), 40)
                )
            })
            .collect();
        if !query.is_empty() {
            path.push('?');
            path.push_str(&query.join("&"));
        }
        let mut line = format!("{} {}", sent.method, self.symbols.apply(&path));
        for (name, _) in &request.headers {
            if let Some((_, value)) = sent.headers.iter().find(|(n, _)| n == name) {
                line.push_str(&format!(
                    "  {name}: {}",
                    shorten(&self.symbols.apply_to_answer(value), 40)
                ));
            }
        }
        inert(&line)
    }

    /// What came back, in short.
    pub fn body(&self, exchange: &Exchange, parts: usize) -> String {
        let Some(response) = &exchange.response else {
            return "(no answer)".into();
        };
        if response.body.is_empty() {
            return "(no body)".into();
        }
        match response.json() {
            Some(json) => brief(&self.symbols.apply_to_json(&json), 4, &mut parts.max(1)),
            None => {
                let text = self.symbols.apply_to_answer(&response.text());
                let mut shown = quoted(text.trim(), 160);
                if response.truncated {
                    shown.push_str(" (cut)");
                }
                shown
            }
        }
    }

    /// The last exchange about what never was, where the answer to the failing step has to be like its answer.
    pub fn probe(&self) -> Option<&'a Exchange> {
        let violation = &self.found.violation;
        let CheckId::Indistinguishable { .. } = violation.id else {
            return None;
        };
        let mut events = self.found.history.events.iter().rev();
        let beside = |purpose: &Purpose| matches!(purpose, Purpose::Probe { of, .. } if *of == violation.step);
        let event = events.find(|event| beside(&event.purpose))?;
        Some(&event.exchange)
    }

    /// The exchange that showed the violation: that of the read, or that of the step.
    pub fn shown_by(&self) -> Option<(&'a Exchange, bool)> {
        let violation = &self.found.violation;
        match violation
            .event
            .and_then(|index| self.found.history.events.get(index))
        {
            Some(event) => Some((
                &event.exchange,
                matches!(event.purpose, Purpose::Read { .. }),
            )),
            None => self
                .found
                .history
                .of_step(violation.step)
                .map(|e| (e, false)),
        }
    }
}

fn shorten(text: &str, longest: usize) -> String {
    match text.chars().count() > longest {
        true => text.chars().take(longest).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

/// JSON in short: so deep, and so many parts.
fn brief(json: &serde_json::Value, depth: usize, budget: &mut usize) -> String {
    use serde_json::Value as Json;
    match json {
        Json::String(text) => quoted(text, 60),
        Json::Array(items) if depth == 0 && !items.is_empty() => format!("[… {}]", items.len()),
        Json::Object(map) if depth == 0 && !map.is_empty() => "{…}".into(),
        Json::Array(items) => {
            let mut parts = Vec::new();
            for item in items {
                if *budget == 0 {
                    parts.push(format!("… {} more", items.len() - parts.len()));
                    break;
                }
                *budget -= 1;
                parts.push(brief(item, depth - 1, budget));
            }
            format!("[{}]", parts.join(", "))
        }
        Json::Object(map) => {
            let mut parts = Vec::new();
            for (name, value) in map {
                if *budget == 0 {
                    parts.push(format!("… {} more", map.len() - parts.len()));
                    break;
                }
                *budget -= 1;
                parts.push(format!(
                    "{}: {}",
                    quoted(name, 60),
                    brief(value, depth - 1, budget)
                ));
            }
            format!("{{{}}}", parts.join(", "))
        }
        other => other.to_string(),
    }
}
