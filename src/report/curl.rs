//! A counterexample as a shell script: one curl command a request, later ones with what earlier ones brought.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::drive::TOKEN;
use crate::drive::history::{Exchange, Request};
use crate::drive::symbols::{looks_invented, truncated};
use crate::generate::{Damage, Delivery, Step};
use crate::model::action::Picked;
use crate::model::mirror::Mirror;
use crate::model::oracle::bind_answer;
use crate::model::template::Template;
use crate::model::value::{Handle, KindId, Value};
use crate::model::{self, Effect, Model, PathPart, TokenSource};
use crate::shrink::Counterexample;

use super::learned::{Source, secret_arguments, source};
use super::paint::inert;
use super::readings::expected;
use super::scene::Scene;
use super::shell::{Piece, quote, single, split_at, variable};
use super::story::{headline, shown};

/// The counterexample as a bash script against the server at `base`; it needs curl and jq. What must be new in every run
/// is made so by `$RUN`, ids and secrets are taken from the answers. A secret that no answer gives is an environment
/// variable.
pub fn curl(model: &Model, found: &Counterexample, base: &str) -> String {
    let scene = Scene::new(model, found);
    let mut script = Script {
        scene: &scene,
        variables: Vec::new(),
        by_field: BTreeMap::new(),
        used: BTreeSet::new(),
    };
    script.learn();
    let commands = script.commands();
    script.write(base, &commands)
}

/// A shell variable and the text that it stands for.
struct Variable {
    name: String,
    raw: String,
    origin: Origin,
    /// A number, or short: only where it stands alone.
    alone: bool,
    /// Nobody is shown it, nor half of it.
    secret: bool,
    /// The value of a cookie that is too short to be told from other texts: only there.
    cookie: bool,
}

/// Where a variable's value comes from.
enum Origin {
    /// The answer to a step.
    Answer(u32, Source),
    /// The script itself: it is a secret that the request makes up.
    Made(&'static str),
    /// The environment.
    Given,
}

struct Command {
    step: u32,
    title: String,
    remark: String,
    words: Vec<Vec<Piece>>,
    last: bool,
}

/// Whether curl can deliver a request like that.
fn by_curl(delivery: Delivery) -> bool {
    match delivery {
        Delivery::Once
        | Delivery::Again { .. }
        | Delivery::Behind { .. }
        | Delivery::Retried { .. }
        | Delivery::KeyOf { .. } => true,
        Delivery::Malformed(damage) => matches!(
            damage,
            Damage::Truncated | Damage::NotANumber | Damage::Nul | Damage::ContentType
        ),
        // And the servers of those who read the script are theirs to kill.
        _ => false,
    }
}

struct Script<'a> {
    scene: &'a Scene<'a>,
    variables: Vec<Variable>,
    by_field: BTreeMap<(Handle, usize), String>,
    used: BTreeSet<String>,
}

/// What curl is told to open a websocket, and to listen for two seconds. The key may be any 16 bytes.
const HANDSHAKE: [&str; 12] = [
    "--http1.1",
    "--no-buffer",
    "--max-time",
    "2",
    "-H",
    "Connection: Upgrade",
    "-H",
    "Upgrade: websocket",
    "-H",
    "Sec-WebSocket-Version: 13",
    "-H",
    "Sec-WebSocket-Key: Z2FpbnNheSBzYXlzIGhpLg==",
];

impl Script<'_> {
    /// Finds everything that a variable can stand for.
    fn learn(&mut self) {
        let scene = self.scene;
        let empty: &Mirror = &scene.model.initial();
        for step in scene.found.plan.all() {
            let rule = &scene.model.rules[step.action.rule];
            for position in secret_arguments(scene.model, rule) {
                let Some(Value::Text(text)) = step.action.args.get(position) else {
                    continue;
                };
                let made = match text.len() == 36 && text.matches('-').count() == 4 {
                    true => "$(uuidgen)",
                    false => "secret-$RUN-Aa1",
                };
                let name = variable(&format!("{}_{}", rule.args[position].name, step.id));
                self.add(name, text, Origin::Made(made), true);
            }
            let Some(exchange) = scene.found.history.of_step(step.id) else {
                continue;
            };
            let Some(response) = &exchange.response else {
                continue;
            };
            let answer = response.answer();
            let mut names = scene.model.names(&step.action, false);
            bind_answer(&mut names, Some(&answer));
            let scope = scene.model.scope(empty, &names);
            let value_of = |template: &Template| {
                let path = source(template)?;
                let value = template.eval(&scope, &|_| Value::Unknown).ok()?;
                match value {
                    Value::Text(text) => Some((path, text.to_string())),
                    Value::Int(int) => Some((path, int.to_string())),
                    _ => None,
                }
            };
            for success in &rule.successes {
                for (place, template) in templates(&success.effects) {
                    let Some((path, text)) = value_of(template) else {
                        continue;
                    };
                    match place {
                        Target::Field(kind, field) => {
                            self.learn_field(step.id, kind, field, &text, path);
                        }
                        Target::Place(place) => {
                            let name = variable(&format!("{place}_{}", step.id));
                            self.add(name, &text, Origin::Answer(step.id, path), false);
                        }
                    }
                }
            }
        }
        self.learn_given();
        self.learn_told();
    }

    /// What the server told principals alone, such as their cookies.
    fn learn_told(&mut self) {
        let scene = self.scene;
        for told in scene.found.jars.told() {
            let name = format!("{}_{}", scene.names.get(told.whose), told.what);
            let count = self.variables.len();
            let (name, origin) = match (told.step, &told.cookie) {
                (Some(step), Some(cookie)) => {
                    let source = Source::Cookie(cookie.clone());
                    (format!("{name}_{step}"), Origin::Answer(step, source))
                }
                (Some(step), None) if told.what == TOKEN => match self.shown_in(told.whose) {
                    Some(source) => (format!("{name}_{step}"), Origin::Answer(step, source)),
                    None => (name, Origin::Given),
                },
                _ => (name, Origin::Given),
            };
            let mut name = variable(&name);
            if self.variables.iter().any(|v| v.name == name) {
                name = format!("{name}_{count}");
            }
            self.add(name, &told.value, origin, true);
            if let Some(added) = self.variables.get_mut(count) {
                added.cookie = told.value.len() < 6;
            }
        }
    }

    /// Where answers show the token of a principal, if that is a plain path.
    fn shown_in(&self, whose: Handle) -> Option<Source> {
        let auth = self.scene.model.kind(whose.kind).auth.as_ref()?;
        match &auth.csrf.as_ref()?.source {
            TokenSource::Answer(template) => source(template),
            TokenSource::Cookie(_) => None,
        }
    }

    fn learn_field(&mut self, step: u32, kind: KindId, field: usize, text: &str, path: Source) {
        let scene = self.scene;
        let definition = &scene.model.kind(kind).fields[field];
        let mine = scene.created(step).into_iter().filter(|h| h.kind == kind);
        let matches = |handle: &Handle| {
            let value = scene
                .found
                .mirror
                .get(*handle)
                .and_then(|r| r.fields.get(field));
            matches!(value, Some(Value::Text(t)) if **t == *text)
                || matches!(value, Some(Value::Int(i)) if i.to_string() == text)
        };
        let created: Vec<Handle> = mine.collect();
        let handle = created
            .iter()
            .find(|h| matches(h))
            .or(created.first())
            .copied();
        let name = match handle {
            Some(handle) => variable(&format!("{}_{}", scene.names.get(handle), definition.name)),
            // A success that was not to be: the mirror knows nothing of it, and it has secrets all the same.
            None => variable(&format!(
                "{}_{}_{step}",
                scene.model.kind(kind).name,
                definition.name
            )),
        };
        if let Some(handle) = handle {
            self.by_field.insert((handle, field), name.clone());
        }
        self.add(
            name,
            text,
            Origin::Answer(step, path),
            definition.ty.is_secret(),
        );
    }

    /// What no answer gave: accounts, and what was learned in ways that a script cannot.
    fn learn_given(&mut self) {
        let scene = self.scene;
        for (index, kind) in scene.model.kinds.iter().enumerate() {
            let id = KindId(u16::try_from(index).unwrap_or(u16::MAX));
            for (handle, record) in scene.found.mirror.all(id) {
                for (position, (field, value)) in
                    kind.fields.iter().zip(record.fields.iter()).enumerate()
                {
                    let Value::Text(text) = value else { continue };
                    let known = self.variables.iter().any(|v| v.raw == **text);
                    let marked = text.contains(&scene.found.mark);
                    let wanted =
                        field.ty.is_secret() || handle.step == 0 && kind.key == Some(position);
                    if known || !wanted || marked && !scene.found.mark.is_empty() {
                        continue;
                    }
                    let name = variable(&format!("{}_{}", scene.names.get(handle), field.name));
                    self.by_field.insert((handle, position), name.clone());
                    self.add(name, text, Origin::Given, true);
                }
            }
        }
    }

    /// Adds a variable, unless its text could stand for anything.
    fn add(&mut self, name: String, raw: &str, origin: Origin, secret: bool) {
        let number = raw.bytes().all(|b| b.is_ascii_digit());
        let telling = match number {
            true => raw.len() >= 5,
            false => raw.len() >= 6 && looks_invented(raw),
        };
        let marked = !self.scene.found.mark.is_empty() && raw.contains(&self.scene.found.mark);
        if raw.is_empty()
            || self
                .variables
                .iter()
                .any(|v| v.name == name || v.raw == raw)
            || marked && !secret
        {
            return;
        }
        self.variables.push(Variable {
            name,
            raw: match telling || secret {
                true => raw.to_owned(),
                false => String::new(),
            },
            origin,
            alone: number || raw.len() < 6,
            secret,
            cookie: false,
        });
    }

    fn commands(&mut self) -> Vec<Command> {
        let scene = self.scene;
        let violation = &scene.found.violation;
        let read = scene.shown_by().filter(|(_, read)| *read);
        let mut out = Vec::new();
        for step in scene.found.plan.all() {
            let Some(exchange) = scene.found.history.of_step(step.id) else {
                continue;
            };
            let failing = step.id == violation.step;
            let wanted: Vec<_> = match failing {
                true => expected(scene).into_iter().map(|e| e.statuses).collect(),
                false => Vec::new(),
            };
            let status = shown(exchange);
            let remark = match wanted.is_empty() {
                true => format!("expected: {status}"),
                false => format!("expected: {}; came: {status}", wanted.join(" or ")),
            };
            let (picks, _) = scene.particulars(step);
            let rule = &scene.model.rules[step.action.rule];
            let mut title = format!(
                "{}  {}: {} {}",
                step.id,
                scene.actor(step),
                rule.name,
                picks.join(", ")
            );
            if let Some(how) = step.delivery.in_words() {
                title = format!("{} — {how}", title.trim_end());
            }
            let path = self.path(step, &exchange.request);
            out.push(Command {
                step: step.id,
                title: title.trim_end().to_owned(),
                remark,
                words: match by_curl(step.delivery) {
                    true => self.words(step.id, &path, exchange, &scene.created(step.id)),
                    false => Vec::new(),
                },
                last: failing && read.is_none(),
            });
        }
        if let Some(exchange) = scene.probe() {
            let path = self.pieces(&exchange.request.path, u32::MAX);
            out.push(Command {
                step: u32::MAX,
                title: "the same about what never was, which must be answered alike".to_owned(),
                remark: format!("came: {}", shown(exchange)),
                words: self.words(u32::MAX, &path, exchange, &[]),
                last: true,
            });
        }
        if let Some((exchange, _)) = read {
            let path = self.read_path(exchange);
            out.push(Command {
                step: u32::MAX,
                title: format!("the read that shows it: {}", headline(&violation.id)),
                remark: format!("came: {}", shown(exchange)),
                words: self.words(u32::MAX, &path, exchange, &[]),
                last: true,
            });
        }
        out
    }

    fn path(&mut self, step: &Step, sent: &Request) -> Vec<Piece> {
        let rule = &self.scene.model.rules[step.action.rule];
        let keys: Vec<Option<Handle>> = step
            .action
            .picks
            .iter()
            .map(|p| Picked::handle(*p))
            .collect();
        self.path_of(&rule.request, sent, &keys, step.id)
    }

    fn read_path(&mut self, exchange: &Exchange) -> Vec<Piece> {
        let scene = self.scene;
        let violation = &scene.found.violation;
        let crate::check::CheckId::Invariant { name, .. } = &violation.id else {
            return self.pieces(&exchange.request.path, u32::MAX);
        };
        let invariant = scene.model.invariants.iter().find(|i| *i.name == **name);
        match invariant.and_then(|i| i.read.as_ref()) {
            Some(read) => self.path_of(
                &read.request,
                &exchange.request,
                &[violation.entity],
                u32::MAX,
            ),
            None => self.pieces(&exchange.request.path, u32::MAX),
        }
    }

    fn path_of(
        &mut self,
        request: &model::Request,
        sent: &Request,
        keys: &[Option<Handle>],
        step: u32,
    ) -> Vec<Piece> {
        // An id that is too short to be told from other texts is one by its place.
        let mut out = Vec::new();
        let mut rest = sent.path.as_str();
        for part in &request.parts {
            match part {
                PathPart::Literal(literal) if rest.starts_with(literal.as_str()) => {
                    out.push(Piece::Literal(literal.clone()));
                    rest = &rest[literal.len()..];
                }
                PathPart::Pick(index) => {
                    let segment = rest.find('/').map_or(rest, |slash| &rest[..slash]);
                    rest = &rest[segment.len()..];
                    let name = keys.get(*index).copied().flatten().and_then(|handle| {
                        let key = self.scene.model.kind(handle.kind).key?;
                        self.by_field.get(&(handle, key)).cloned()
                    });
                    match name.filter(|name| self.available(name, step)) {
                        Some(name) => {
                            self.used.insert(name.clone());
                            out.push(Piece::Variable(name));
                        }
                        None => out.extend(self.pieces(segment, step)),
                    }
                }
                _ => break,
            }
        }
        out.extend(self.pieces(rest, step));
        out
    }

    fn available(&self, name: &str, step: u32) -> bool {
        self.variables
            .iter()
            .any(|v| v.name == name && v.origin.before(step))
    }

    fn words(
        &mut self,
        step: u32,
        path: &[Piece],
        exchange: &Exchange,
        created: &[Handle],
    ) -> Vec<Vec<Piece>> {
        let request = &exchange.request;
        let literal = |text: &str| vec![Piece::Literal(text.to_owned())];
        let mut words = Vec::new();
        if request.is_websocket() {
            // curl opens it and shows what comes; what there is to say on it, curl cannot.
            for word in HANDSHAKE {
                words.push(literal(word));
            }
        } else if request.method != "GET" || request.body.is_some() {
            words.push(literal("-X"));
            words.push(literal(&request.method));
        }
        let mut url = vec![Piece::Variable("BASE".into())];
        url.extend(path.iter().cloned());
        for (index, (name, value)) in request.query.iter().enumerate() {
            let sign = if index == 0 { '?' } else { '&' };
            url.push(Piece::Literal(format!(
                "{sign}{}=",
                utf8_percent_encode(name, NON_ALPHANUMERIC)
            )));
            for piece in self.pieces(value, step) {
                url.push(match piece {
                    Piece::Literal(text) => {
                        Piece::Literal(utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string())
                    }
                    variable => variable,
                });
            }
        }
        words.push(url);
        for (name, value) in &request.headers {
            let pair = value
                .strip_prefix("Basic ")
                .and_then(|v| STANDARD.decode(v).ok());
            let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
            match pair.filter(|_| name.eq_ignore_ascii_case("authorization")) {
                Some(pair) => {
                    words.push(literal("-u"));
                    words.push(self.pieces(&pair, step));
                }
                None => {
                    words.push(literal("-H"));
                    let mut header = literal(&format!("{name}: "));
                    header.extend(match name.eq_ignore_ascii_case("cookie") {
                        true => self.cookies(value, step),
                        false => self.pieces(value, step),
                    });
                    words.push(header);
                }
            }
        }
        if let Some(body) = request.body.as_ref().filter(|_| !request.is_websocket()) {
            words.push(literal("-H"));
            words.push(literal(&format!("Content-Type: {}", body.content_type)));
            words.push(literal("--data-raw"));
            words.push(self.pieces(&String::from_utf8_lossy(&body.bytes), step));
        }
        let _ = created;
        words
    }

    /// A `Cookie` header with variables for what they stand for, however short that is.
    fn cookies(&mut self, header: &str, step: u32) -> Vec<Piece> {
        let mut out = Vec::new();
        for (index, pair) in header.split("; ").enumerate() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let between = if index > 0 { "; " } else { "" };
            out.push(Piece::Literal(format!("{between}{name}=")));
            let mut known = self.variables.iter();
            let known = known.find(|v| v.raw == value && v.origin.before(step));
            match known.filter(|_| !value.is_empty()) {
                Some(variable) => {
                    self.used.insert(variable.name.clone());
                    out.push(Piece::Variable(variable.name.clone()));
                }
                None => out.extend(self.pieces(value, step)),
            }
        }
        out
    }

    /// A text with variables for what they stand for, longest first.
    fn pieces(&mut self, text: &str, step: u32) -> Vec<Piece> {
        let mark = &self.scene.found.mark;
        let variables = self.variables.iter();
        let variables =
            variables.filter(|v| !v.raw.is_empty() && !v.cookie && v.origin.before(step));
        let halves: Vec<(String, String)> = (variables.clone().filter(|v| v.secret))
            .map(|v| (truncated(&v.raw), &v.name))
            .filter(|(half, _)| half.len() >= 6)
            .map(|(half, name)| {
                let first = half.chars().count();
                (half, format!("{name}:0:{first}"))
            })
            .collect();
        let mut known: Vec<(&str, &str, bool)> = variables
            .map(|v| (v.raw.as_str(), v.name.as_str(), v.alone))
            .collect();
        let halves = halves.iter();
        known.extend(halves.map(|(half, name)| (half.as_str(), name.as_str(), false)));
        if !mark.is_empty() {
            known.push((mark, "RUN", false));
        }
        known.sort_by_key(|(raw, ..)| std::cmp::Reverse(raw.len()));
        let mut out = vec![Piece::Literal(text.to_owned())];
        for (raw, name, alone) in known {
            let mut next = Vec::new();
            for piece in out {
                match piece {
                    Piece::Literal(text) => split_at(&text, raw, name, alone, &mut next),
                    variable => next.push(variable),
                }
            }
            out = next;
        }
        for piece in &out {
            if let Piece::Variable(name) = piece {
                let whole = name.split(':').next();
                self.used.insert(whole.unwrap_or(name).to_owned());
            }
        }
        out
    }

    fn write(&self, base: &str, commands: &[Command]) -> String {
        let scene = self.scene;
        let mut out = String::from("#!/usr/bin/env bash\n");
        line(
            &mut out,
            &format!("# {}", inert(&headline(&scene.found.violation.id))),
        );
        line(
            &mut out,
            &format!(
                "# Found by gainsay with the model {}. Needs curl and jq.",
                inert(&scene.model.path)
            ),
        );
        line(&mut out, "set -euo pipefail");
        line(
            &mut out,
            &format!("BASE=${{BASE:-{}}}", single(base.trim_end_matches('/'))),
        );
        if self.used.contains("RUN")
            || self
                .variables
                .iter()
                .any(|v| matches!(v.origin, Origin::Made(_)))
        {
            line(
                &mut out,
                "RUN=$(date +%s)   # makes what must be new new in every run",
            );
        }
        for variable in self
            .variables
            .iter()
            .filter(|v| self.used.contains(&v.name))
        {
            let name = &variable.name;
            match &variable.origin {
                Origin::Answer(..) => {}
                Origin::Made(text) => line(&mut out, &format!("{name}=\"${{{name}:-{text}}}\"")),
                Origin::Given => line(
                    &mut out,
                    &format!(": \"${{{name}:?is not in any answer: set it}}\""),
                ),
            }
        }
        line(&mut out, "BODY=$(mktemp) HEAD=$(mktemp)");
        line(&mut out, "trap 'rm -f \"$BODY\" \"$HEAD\"' EXIT");
        line(
            &mut out,
            "send() { curl -sS -g -o \"$BODY\" -D \"$HEAD\" -w '%{http_code}\\n' \"$@\"; }",
        );
        for command in commands {
            let words: Vec<_> = command.words.iter().map(|pieces| quote(pieces)).collect();
            line(&mut out, &format!("\n# {}", inert(&command.title)));
            if words.is_empty() {
                line(&mut out, "# curl cannot do that; gainsay replay does");
                continue;
            }
            line(
                &mut out,
                &format!("send {}   # {}", words.join(" "), command.remark),
            );
            for variable in self
                .variables
                .iter()
                .filter(|v| self.used.contains(&v.name))
            {
                match &variable.origin {
                    Origin::Answer(step, Source::Body(path)) if *step == command.step => {
                        line(
                            &mut out,
                            &format!("{}=$(jq -er {} \"$BODY\")", variable.name, single(path)),
                        );
                    }
                    Origin::Answer(step, Source::Header(header)) if *step == command.step => {
                        let name = &variable.name;
                        line(
                            &mut out,
                            &format!(
                                "{name}=$(sed -n 's/^{header}: *//Ip' \"$HEAD\" | tr -d '\\r' | tail -n 1)"
                            ),
                        );
                    }
                    Origin::Answer(step, Source::Cookie(cookie)) if *step == command.step => {
                        let name = &variable.name;
                        // What a pattern may take for something else can be anything in it.
                        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
                        let cookie = cookie.replace(|c| !plain(c), ".");
                        let script = format!("s/^set-cookie: *{cookie}=\\([^;]*\\).*/\\1/Ip");
                        line(
                            &mut out,
                            &format!(
                                "{name}=$(sed -n {} \"$HEAD\" | tr -d '\\r' | tail -n 1)",
                                single(&script)
                            ),
                        );
                    }
                    _ => {}
                }
            }
            if command.last {
                line(&mut out, "cat \"$BODY\"; echo");
            }
        }
        out
    }
}

impl Origin {
    /// Whether it is known when a step is sent.
    fn before(&self, step: u32) -> bool {
        match self {
            Origin::Answer(from, _) => *from < step,
            Origin::Made(_) | Origin::Given => true,
        }
    }
}

/// What a template of an effect gives a value.
enum Target<'a> {
    /// A field of a new entity.
    Field(KindId, usize),
    /// A place.
    Place(&'a str),
}

fn templates(effects: &[Effect]) -> Vec<(Target<'_>, &Template)> {
    let mut out = Vec::new();
    for effect in Effect::all(effects) {
        match effect {
            Effect::Create { kind, fields, .. } => {
                for (field, template) in fields.iter().enumerate() {
                    out.extend(template.as_ref().map(|t| (Target::Field(*kind, field), t)));
                }
            }
            Effect::Set { place, value } => out.push((Target::Place(&place.source), value)),
            _ => {}
        }
    }
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Slip, found, model};
    use super::*;

    fn script(slip: Slip) -> String {
        let model = model();
        curl(
            &model,
            &found(&model, slip, 3),
            "http://127.0.0.1:8080/api/",
        )
    }

    #[test]
    fn a_step_that_fails() {
        insta::assert_snapshot!(script(Slip::PublishesForAnybody));
    }

    #[test]
    fn a_read_that_shows_it() {
        insta::assert_snapshot!(script(Slip::ForgetsToPublish));
    }

    #[test]
    fn no_secret_is_in_any_script() {
        for slip in [
            Slip::PublishesForAnybody,
            Slip::ForgetsToPublish,
            Slip::Fails,
            Slip::RegistersTwice,
        ] {
            let script = script(slip);
            assert!(
                !script.contains("_secret") && !script.contains("1b4e28ba"),
                "{script}"
            );
        }
    }

    #[test]
    fn every_script_is_bash() {
        for slip in [
            Slip::PublishesForAnybody,
            Slip::ForgetsToPublish,
            Slip::Fails,
            Slip::RegistersTwice,
        ] {
            let checked = std::process::Command::new("bash")
                .args(["-n", "-c", &script(slip)])
                .output();
            // Where there is no bash there is nothing to check with.
            if let Ok(checked) = checked {
                assert!(
                    checked.status.success(),
                    "{}",
                    String::from_utf8_lossy(&checked.stderr)
                );
            }
        }
    }
}
