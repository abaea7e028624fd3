//! What the server told: which places of an answer became which fields of the mirror, and which arguments are secret.

use std::collections::BTreeSet;

use crate::drive::history::Response;
use crate::generate::Step;
use crate::model::oracle::bind_answer;
use crate::model::template::Template;
use crate::model::value::{KindId, Value};
use crate::model::{Effect, Model, Rule};

/// A template that gives a field of a new entity its value.
pub(super) struct Given<'a> {
    /// The entity's kind.
    pub kind: KindId,
    /// The field, by its position.
    pub field: usize,
    /// What it is given.
    pub template: &'a Template,
}

/// Every field that a success of the rule gives to a new entity.
pub(super) fn given(rule: &Rule) -> Vec<Given<'_>> {
    let mut out = Vec::new();
    for effect in rule.effects() {
        if let Effect::Create { kind, fields, .. } = effect {
            let fields = fields.iter().enumerate();
            out.extend(fields.filter_map(|(field, template)| {
                let kind = *kind;
                template.as_ref().map(|template| Given {
                    kind,
                    field,
                    template,
                })
            }));
        }
    }
    out
}

/// The arguments of a rule that become secrets, by their position.
pub(super) fn secret_arguments(model: &Model, rule: &Rule) -> BTreeSet<usize> {
    let mut out = BTreeSet::new();
    for given in given(rule) {
        if !model.kind(given.kind).fields[given.field].ty.is_secret() {
            continue;
        }
        let position = rule
            .args
            .iter()
            .position(|arg| given.template.sends(&arg.name));
        out.extend(position);
    }
    out
}

/// The texts that an answer's secrets would be, whether or not the mirror learned them: the text and its name.
pub(super) fn secrets_in(model: &Model, step: &Step, response: &Response) -> Vec<(String, String)> {
    let rule = &model.rules[step.action.rule];
    let mut out = Vec::new();
    let answer = response.answer();
    let mirror = model.initial();
    let mut names = model.names(&step.action, false);
    bind_answer(&mut names, Some(&answer));
    for given in given(rule) {
        let kind = model.kind(given.kind);
        let field = &kind.fields[given.field];
        if !field.ty.is_secret() {
            continue;
        }
        let value = given
            .template
            .eval(&model.scope(&mirror, &names), &|_| Value::Unknown);
        if let Ok(Value::Text(text)) = value {
            out.push((text.to_string(), format!("‹{}.{}›", kind.name, field.name)));
        }
    }
    out
}

/// A plain path into an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Into a JSON body, as `jq` writes it: `.agent.id`.
    Body(String),
    /// A header, its name in lower case.
    Header(String),
    /// The value of the cookie of this name that is set.
    Cookie(String),
}

/// The path that a template is, if it is one: `${body.agent.id}`, `${headers.etag}`.
pub(super) fn source(template: &Template) -> Option<Source> {
    let Template::Expression(expression) = template else {
        return None;
    };
    let text = expression.source.trim();
    let found = PATH.captures(text)?;
    let path = found.get(2).map_or("", |m| m.as_str());
    match &found[1] {
        "body" => {
            let mut jq = path.replace("['", "[\"").replace("']", "\"]");
            if !jq.starts_with('.') {
                jq.insert(0, '.');
            }
            Some(Source::Body(jq))
        }
        _ => {
            let name = path
                .trim_start_matches(['.', '[', '"', '\''])
                .trim_end_matches([']', '"', '\'']);
            let plain = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
            plain.then(|| Source::Header(name.to_ascii_lowercase()))
        }
    }
}

static PATH: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles.
    regex::Regex::new(r#"^(body|headers)((?:\.[A-Za-z_][A-Za-z0-9_]*|\["[A-Za-z0-9_ -]+"\]|\['[A-Za-z0-9_ -]+'\]|\[\d+\])*)$"#)
        .expect("a constant pattern")
});
