//! The two readings of a violation: either the API is wrong, or the model is. For the second, which line to change, and
//! how.

use std::time::Duration;

use crate::check::{CheckId, Finding};
use crate::model::action::Outcome;
use crate::model::{Model, Rule};

use super::scene::Scene;

/// What either reading comes to.
pub(super) struct Readings {
    /// What the API must do, if it is the one that is wrong.
    pub api: String,
    /// What to change, if the model is.
    pub model: String,
    /// How the model's lines would read.
    pub edit: Option<Edit>,
}

/// A change of one line of the model.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edit {
    /// The line, from 1.
    pub line: usize,
    /// As it is.
    pub old: String,
    /// As it would be; nothing where it goes.
    pub new: Option<String>,
}

/// An outcome that was expected: its statuses, and why, in words.
pub(super) struct Expected {
    pub outcome: Option<Outcome>,
    pub statuses: String,
    pub why: String,
}

/// What was expected of the failing step.
pub(super) fn expected(scene: &Scene<'_>) -> Vec<Expected> {
    let Finding::Status { expected, .. } = &scene.found.violation.finding else {
        return Vec::new();
    };
    let rule = scene
        .failing()
        .map(|step| &scene.model.rules[step.action.rule]);
    let in_words = |(name, statuses): &(String, String)| {
        let outcome = rule.and_then(|rule| {
            let mut outcomes = rule.outcomes(scene.model).into_iter();
            outcomes.find(|outcome| outcome.name(rule) == *name)
        });
        let why = match (rule, outcome) {
            (Some(rule), Some(outcome)) => why(scene, rule, outcome),
            _ => name.clone(),
        };
        Expected {
            outcome,
            statuses: statuses.clone(),
            why,
        }
    };
    expected.iter().map(in_words).collect()
}

/// Why an outcome is the one to expect.
fn why(scene: &Scene<'_>, rule: &Rule, outcome: Outcome) -> String {
    match outcome {
        Outcome::Ok(n) => match (&rule.successes[n].when, rule.requires.is_empty()) {
            (Some(when), _) => format!("because {} is true", scene.text(&one_line(&when.source))),
            (None, true) => "because no rule forbids it".to_owned(),
            (None, false) => "because everything that it requires is so".to_owned(),
        },
        Outcome::Refused(n) => {
            let that = scene.text(&one_line(&rule.requires[n].that.source));
            format!("because {}: {that} is false", rule.requires[n].name)
        }
        Outcome::Absent(n) => format!("because the {} never was", rule.picks[n].name),
        Outcome::Hidden(n) => format!(
            "because who asks cannot see the {}, as if it never was",
            rule.picks[n].name
        ),
        Outcome::Gone(n) => format!("because the {} is gone", rule.picks[n].name),
        Outcome::Unauthenticated => "because the credentials are missing or not valid".to_owned(),
        Outcome::OtherKind => "because the credentials are those of another kind".to_owned(),
        Outcome::Csrf => "because the token against forgery is missing or another one".to_owned(),
        Outcome::Invalid(n) => {
            let arg = &rule.args[n];
            format!(
                "because {} is outside {}",
                arg.name,
                scene.text(&one_line(&arg.domain.show()))
            )
        }
    }
}

/// Both readings of what was found.
pub(super) fn readings(scene: &Scene<'_>) -> Readings {
    let violation = &scene.found.violation;
    match &violation.finding {
        Finding::Status { observed, .. } => status(scene, *observed),
        Finding::ServerError { observed } => Readings {
            api: format!("it fails ({observed}) where it should answer. Its log says why."),
            model: format!(
                "if {observed} means 'not now', add it to `tolerate` under `defaults`; \
                 if it may fail like this, switch the check off: `builtin: {{ no_server_errors: false }}`."
            ),
            edit: None,
        },
        Finding::NoOrder(_) => Readings {
            api: "it looks at what there is, and then changes it, as if nobody could have changed it meanwhile: a lock, a \
                  transaction or a unique index is missing."
                .to_owned(),
            model: "each answer is right by itself, so look at the rule that says what excludes the other: does it \
                    have to hold at every moment?"
                .to_owned(),
            edit: None,
        },
        Finding::Silence { .. } => Readings {
            api: "it gives no answer where it should: whatever serves the request dies of it, or waits for something \
                  that never comes. Its log says why."
                .to_owned(),
            model: "if it may do that, switch the check off: `builtin: { no_server_errors: false }`; if it only is \
                    slow, give it more time with `timeout` in gainsay.toml."
                .to_owned(),
            edit: None,
        },
        Finding::Undescribed(_) => Readings {
            api: "it answers something else than its description promises, and clients are made from that.".to_owned(),
            model: "the description that `openapi` names is wrong or of another version: correct it, or switch the \
                    check off: `builtin: { conformance: false }`."
                .to_owned(),
            edit: None,
        },
        Finding::Internals { what, .. } => Readings {
            api: format!(
                "what it shows, {what}, helps an attacker and no client: it belongs in its log, and the answer should say \
                 what the client can do."
            ),
            model: "if that is said on purpose, switch the check off: `builtin: { leaks_internals: false }`."
                .to_owned(),
            edit: None,
        },
        Finding::Twin { other, field, .. } => Readings {
            api: format!(
                "who is told two things by their {field} mistakes one for the other; it must not give that of {} again.",
                scene.names.get(*other)
            ),
            model: "if that is meant, what the rule makes is no new one: say what it changes (`sets`), or switch the check \
                    off: `builtin: { unique: false }`."
                .to_owned(),
            edit: None,
        },
        Finding::Untrue { .. } | Finding::Late { .. } => claim(scene),
        Finding::Shown { owner, field, to } => {
            let owner = scene.names.get(*owner);
            let to = to.map_or("anybody who asks".to_owned(), |to| scene.names.get(to));
            let (api, model) = match violation.id {
                CheckId::Isolation { .. } => (
                    format!("it must not show {to} the {field} of {owner}."),
                    format!(
                        "if others may see {field}, give it the type `string` instead of `private`."
                    ),
                ),
                _ => (
                    format!(
                        "it must not show the {field} of {owner} in any answer but the one that makes it."
                    ),
                    format!(
                        "if {field} is no secret, give it the type `string` instead of `secret`."
                    ),
                ),
            };
            Readings {
                api,
                model,
                edit: None,
            }
        }
    }
}

fn status(scene: &Scene<'_>, observed: u16) -> Readings {
    let model = scene.model;
    let all = expected(scene);
    let wanted: Vec<_> = all
        .iter()
        .map(|e| format!("{} {}", e.statuses, e.why))
        .collect();
    let accepted = observed < 300;
    let refusal_wanted = all.iter().all(|e| !e.outcome.is_some_and(Outcome::is_ok));
    let api = match (accepted, refusal_wanted) {
        (true, true) => format!("it accepts what it must refuse: {}.", wanted.join("; or ")),
        (false, false) => format!(
            "it refuses ({observed}) what it must accept: {}.",
            wanted.join("; or ")
        ),
        _ => format!("it must answer {}.", wanted.join("; or ")),
    };
    let (Some(step), Some(first)) = (scene.failing(), all.first().and_then(|e| e.outcome)) else {
        return Readings {
            api,
            model: format!("let the rule answer {observed}."),
            edit: None,
        };
    };
    let rule = &model.rules[step.action.rule];
    let (change, edit) = match first {
        Outcome::Refused(n) if accepted => {
            let requirement = &rule.requires[n];
            let change = format!(
                "this is allowed: loosen `{}` of `{}`, or take it out.",
                requirement.name, rule.name
            );
            (change, removal(model, requirement.span.start))
        }
        Outcome::Refused(n) => {
            let requirement = &rule.requires[n];
            let until = rule
                .requires
                .get(n + 1)
                .map_or(end(model, rule), |next| next.span.start);
            let edit = replace(model, requirement.span.start, until, &ELSE, observed);
            (format!("`{}` answers {observed}.", requirement.name), edit)
        }
        Outcome::Ok(_) if accepted => {
            let edit = replace(
                model,
                rule.span.start,
                end(model, rule),
                &RESPONDS,
                observed,
            );
            (format!("`{}` succeeds with {observed}.", rule.name), edit)
        }
        Outcome::Ok(_) => (missing(scene, rule, observed), None),
        Outcome::Absent(n) => (by_name("absent", rule, &rule.picks[n].name, observed), None),
        Outcome::Hidden(n) => {
            let pick = &rule.picks[n];
            let kind = &model.kind(pick.kind).name;
            let change = match accepted {
                true => format!("he may see it: say so in `visible_to` of `{kind}`."),
                false => format!(
                    "if he may know of it, say so in `visible_to` of `{kind}`; or {}",
                    by_name("absent", rule, &pick.name, observed)
                ),
            };
            (change, None)
        }
        Outcome::Gone(n) => (by_name("gone", rule, &rule.picks[n].name, observed), None),
        Outcome::Invalid(n) if accepted => {
            let change = format!(
                "this value is allowed: widen the domain of `{}`, which is {}.",
                rule.args[n].name,
                one_line(&rule.args[n].domain.show())
            );
            (change, None)
        }
        Outcome::Invalid(n) => (by_name("invalid", rule, &rule.args[n].name, observed), None),
        Outcome::Unauthenticated | Outcome::OtherKind | Outcome::Csrf => {
            let key = match first {
                Outcome::OtherKind => "other_kind",
                Outcome::Csrf => "csrf",
                _ => "unauthenticated",
            };
            let (what, why) = match accepted {
                true => ("[]".to_owned(), "which is not tried, "),
                false => (observed.to_string(), ""),
            };
            let change = format!(
                "write `{key}: {what}`, {why}in the rule `{}`, or under `defaults` for all rules.",
                rule.name
            );
            (change, None)
        }
    };
    Readings {
        api,
        model: scene.text(&change),
        edit,
    }
}

/// A requirement that the model lacks, or that covers more than it says.
fn missing(scene: &Scene<'_>, rule: &Rule, observed: u16) -> String {
    let same: Vec<_> = rule
        .requires
        .iter()
        .filter(|r| r.statuses.allow(observed))
        .map(|r| format!("`{}` (line {})", r.name, scene.model.place(r.span.start).0))
        .collect();
    let mut text = format!(
        "it lacks a reason to refuse. Under `requires` of `{}` add one: `why_not: {{ that: …, else: {observed} }}`",
        rule.name
    );
    match same.is_empty() {
        true if [429, 503].contains(&observed) => {
            text.push_str(&format!(
                "; or, where {observed} means 'not now', add it to `tolerate` under `defaults`."
            ));
        }
        true => text.push('.'),
        false => text.push_str(&format!(
            "; or say more in what is refused with {observed} already: {}.",
            same.join(", ")
        )),
    }
    text
}

fn by_name(key: &str, rule: &Rule, name: &str, observed: u16) -> String {
    format!(
        "write `{key}: {{ {name}: {observed} }}` in the rule `{}`, or `{key}: {observed}` under `defaults` for all rules.",
        rule.name
    )
}

fn claim(scene: &Scene<'_>) -> Readings {
    let violation = &scene.found.violation;
    let model = scene.model;
    let rule = scene.failing().map(|step| &model.rules[step.action.rule]);
    let effects = rule.map_or(String::new(), |rule| {
        let line = rule.successes.first().map_or(rule.span.start, |s| s.span.start);
        format!(
            " If the claim is right and what it is compared with is not, change what `{}` does (line {}).",
            rule.name,
            model.place(line).0
        )
    });
    let (api, change) = match (&violation.id, &violation.finding) {
        (CheckId::Indistinguishable { .. }, _) => (
            "whoever asks learns that there is something, which its answer must not tell: not by its status, and \
             not by what it says."
                .to_owned(),
            "if he may know of it, say so in `visible_to`; if a difference does no harm, switch the check off: \
             `builtin: { indistinguishable: false }`."
                .to_owned(),
        ),
        (CheckId::Answer { place, .. }, _) => (
            format!("its answer lacks what becomes {place}."),
            format!("take {place} from where the answer has it, or do without it."),
        ),
        (CheckId::Returns { check, .. }, _) => (
            format!("its answer is not what was done: `{check}` must be true of it."),
            format!("loosen the check `{check}`, or take it out.{effects}"),
        ),
        (_, Finding::Late { within, .. }) => (
            format!("it must get there within {}.", duration(*within)),
            format!(
                "allow it more time: `within`, now {}.{effects}",
                duration(*within)
            ),
        ),
        (CheckId::Invariant { name, .. }, _) => (
            format!("it breaks `{name}`, which must always hold."),
            format!(
                "loosen the claim of `{name}`, say with `when` where it holds, or take it out.{effects}"
            ),
        ),
        _ => (
            "it must not answer so.".to_owned(),
            effects.trim().to_owned(),
        ),
    };
    let edit = match violation.id {
        CheckId::Returns { .. } => removal(model, violation.place),
        _ => None,
    };
    Readings {
        api: scene.text(&api),
        model: scene.text(&change),
        edit,
    }
}

/// Milliseconds, in words.
pub(super) fn duration(millis: u64) -> String {
    humantime::format_duration(Duration::from_millis(millis)).to_string()
}

/// A line of the model's file, from 1.
pub(super) fn line(model: &Model, number: usize) -> &str {
    model
        .source
        .lines()
        .nth(number.saturating_sub(1))
        .unwrap_or("")
}

/// The edit that takes out a named line that holds nothing else.
fn removal(model: &Model, at: usize) -> Option<Edit> {
    let number = model.place(at).0;
    let old = line(model, number);
    let opens = old.matches(['{', '[']).count();
    let closes = old.matches(['}', ']']).count();
    let alone = ALONE.is_match(old) && opens == closes;
    alone.then(|| Edit {
        line: number,
        old: old.trim_end().to_owned(),
        new: None,
    })
}

/// The edit that puts another status after a key.
fn replace(
    model: &Model,
    from: usize,
    until: usize,
    key: &regex::Regex,
    status: u16,
) -> Option<Edit> {
    let found = key.captures(model.source.get(from..until)?)?.get(1)?;
    let at = from + found.start();
    let start = model.source[..at].rfind('\n').map_or(0, |n| n + 1);
    let number = model.place(at).0;
    let old = line(model, number).trim_end().to_owned();
    let new = format!(
        "{}{status}{}",
        old.get(..at - start)?,
        old.get(at - start + found.len()..)?
    );
    Some(Edit {
        line: number,
        old,
        new: Some(new),
    })
}

/// Where the rule ends: where the next thing begins.
fn end(model: &Model, rule: &Rule) -> usize {
    let rules = model.rules.iter().map(|r| r.span.start);
    let invariants = model.invariants.iter().map(|i| i.span.start);
    let after = rules.chain(invariants).filter(|at| *at > rule.span.start);
    after.min().unwrap_or(model.source.len())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

static ELSE: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles.
    regex::Regex::new(r"(?:else|status):\s*(\[[^\]\n]*\]|[0-9][0-9X]{2})")
        .expect("a constant pattern")
});

static RESPONDS: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles.
    regex::Regex::new(r"responds:\s*(\[[^\]\n]*\]|[0-9][0-9X]{2})").expect("a constant pattern")
});

static ALONE: std::sync::LazyLock<regex::Regex> = std::sync::LazyLock::new(|| {
    // The pattern is a constant that compiles.
    regex::Regex::new(r"^\s*[A-Za-z_][A-Za-z0-9_]*:\s*\S.*$").expect("a constant pattern")
});
