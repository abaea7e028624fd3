//! What a rule book says of the parts of a rule: outcomes, credentials, expressions and templates.

use crate::model::action::Outcome;
use crate::model::expression::Expression;
use crate::model::template::{Part, Template};
use crate::model::value::Value;
use crate::model::{Argument, Auth, Rule, Statuses, TokenPlace};

/// When an outcome comes about.
pub(super) fn why(rule: &Rule, outcome: Outcome) -> String {
    match outcome {
        Outcome::Ok(n) => match &rule.successes[n].when {
            Some(when) => source(when),
            None if rule.successes.len() > 1 => "nothing forbids it: one of these".to_owned(),
            None => "nothing forbids it".to_owned(),
        },
        Outcome::Refused(n) => format!("not: {}", source(&rule.requires[n].that)),
        Outcome::Absent(n) => format!("{} never was", rule.picks[n].name),
        Outcome::Hidden(n) => format!("who asks cannot see {}", rule.picks[n].name),
        Outcome::Gone(n) => format!("{} is gone", rule.picks[n].name),
        Outcome::Unauthenticated => "no credentials, or none that are valid".to_owned(),
        Outcome::OtherKind => "credentials of another kind of principal".to_owned(),
        Outcome::Csrf => "no token against forgery, or another one".to_owned(),
        Outcome::Invalid(n) => {
            let Argument { name, domain, .. } = &rule.args[n];
            format!("{name} is outside {}", one_line(&domain.show()))
        }
    }
}

pub(super) fn statuses_of(statuses: &Statuses) -> String {
    match statuses.0.is_empty() {
        true => "(not tried)".to_owned(),
        false => statuses.to_string(),
    }
}

/// Where the credentials go, without the credentials.
pub(super) fn credentials(auth: &Auth) -> String {
    let mut places = Vec::new();
    let named = [
        ("header", &auth.headers),
        ("query parameter", &auth.query),
        ("cookie", &auth.cookies),
    ];
    for (what, fields) in named {
        places.extend(
            fields
                .iter()
                .map(|(name, _)| format!("the {what} `{name}`")),
        );
    }
    if auth.jar {
        places.push("the cookies that the server has set".to_owned());
    }
    if auth.basic.is_some() {
        places.push("a user name and a password (Basic)".to_owned());
    }
    if auth.bearer.is_some() {
        places.push("a bearer token".to_owned());
    }
    if let Some(csrf) = &auth.csrf {
        let place = match &csrf.place {
            TokenPlace::Header(name) => format!("the header `{name}`"),
            TokenPlace::Field(name) => format!("the field `{name}`"),
        };
        places.push(format!("the latest token in {place}"));
    }
    places.join(" and ")
}

pub(super) fn source(expression: &Expression) -> String {
    one_line(&expression.source)
}

/// A template as an expression would write it.
pub(super) fn template(value: &Template) -> String {
    match value {
        Template::Constant(value) => literal(value),
        Template::Expression(expression) => source(expression),
        Template::Text(parts) => {
            let parts = parts.iter().map(|part| match part {
                Part::Literal(text) => text.escape_debug().to_string(),
                Part::Expression(expression) => format!("${{{}}}", source(expression)),
            });
            format!("\"{}\"", parts.collect::<String>())
        }
        Template::List(items) => {
            let items: Vec<_> = items.iter().map(template).collect();
            format!("[{}]", items.join(", "))
        }
        Template::Map(fields) => map(fields),
    }
}

pub(super) fn map(fields: &[(String, Template)]) -> String {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\": {}", template(value)))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

pub(super) fn literal(value: &Value) -> String {
    value
        .to_json(&|handle| handle.to_string().into())
        .to_string()
}

pub(in crate::model) fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
