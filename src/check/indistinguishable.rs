//! Whether an answer about what somebody cannot see can be told from answers about what never was: by its status, its
//! content type, or anything that its body says. What differs between two answers about what never was tells nothing.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::violation::Parts;
use crate::drive::symbols::without_times;
use crate::model::oracle::Answer;
use crate::model::value::Value;

/// What has to be so.
pub(super) const CLAIM: &str = "what who asks cannot see is answered like what never was";

/// The answer to a request about what never was.
#[derive(Clone, Debug, PartialEq)]
pub struct Probed {
    /// The answer.
    pub answer: Answer,
    /// The texts that were made up for the request, and what each stands in the place of.
    pub made_up: Vec<(String, String)>,
}

const STATUS: &str = "status";
const CONTENT_TYPE: &str = "headers.content-type";
const BODY: &str = "body";

/// What an answer about what somebody cannot see differs in from answers about what never was, which all agree on it:
/// `status`, `headers.content-type`, and in a body of JSON, by JSON pointer, `body/detail`. Nothing where there is no
/// answer to compare it with.
///
/// ```
/// use gainsay::check::{Probed, differences};
/// use gainsay::model::oracle::Answer;
/// use gainsay::model::value::Value;
///
/// let answer = |status, detail: &str| Answer {
///     status,
///     headers: Value::Null,
///     body: Value::from_json(&serde_json::json!({ "detail": detail })),
/// };
/// let probed = Probed {
///     answer: answer(404, "there is no note n-81"),
///     made_up: vec![("n-81".to_owned(), "n-2".to_owned())],
/// };
/// assert!(differences(&answer(404, "there is no note n-2"), &[probed.clone()]).is_empty());
/// assert_eq!(differences(&answer(404, "it is not yours"), &[probed]), ["body/detail"]);
/// ```
pub fn differences(hidden: &Answer, probed: &[Probed]) -> Vec<String> {
    let Some((first, others)) = probed.split_first() else {
        return Vec::new();
    };
    let structured = |answer: &Answer| matches!(answer.body, Value::Map(_) | Value::List(_));
    let by_part = structured(hidden) && probed.iter().all(|probe| structured(&probe.answer));
    let hidden = facts(hidden, &[], by_part);
    let facts = |probe: &Probed| facts(&probe.answer, &probe.made_up, by_part);
    let (first, others): (_, Vec<_>) = (facts(first), others.iter().map(facts).collect());
    let mut places: Vec<&String> = hidden.keys().chain(first.keys()).collect();
    places.sort_unstable();
    places.dedup();
    let differs = |place: &&String| {
        let never = first.get(*place);
        hidden.get(*place) != never && others.iter().all(|other| other.get(*place) == never)
    };
    places.into_iter().filter(differs).cloned().collect()
}

/// What an answer says, place by place, as if it were about what is hidden.
fn facts(answer: &Answer, made_up: &[(String, String)], by_part: bool) -> BTreeMap<String, String> {
    let told = |text: &str| without_times(&as_hidden(text, made_up));
    let mut facts = BTreeMap::new();
    facts.insert(STATUS.to_owned(), answer.status.to_string());
    if let Some(text) = content_type(answer) {
        facts.insert(CONTENT_TYPE.to_owned(), told(&text));
    }
    let body = answer.body.to_json(&|_| Json::Null);
    match by_part {
        true => leaves(&body, BODY, &told, &mut facts),
        false => {
            let text = match &body {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            facts.insert(BODY.to_owned(), told(&text));
        }
    }
    facts
}

fn content_type(answer: &Answer) -> Option<String> {
    let Value::Map(headers) = &answer.headers else {
        return None;
    };
    match headers.get(&Value::text("content-type"))? {
        Value::Text(text) => Some(text.trim().to_ascii_lowercase()),
        _ => None,
    }
}

/// The values in JSON that hold no others, by JSON pointer (RFC 6901).
fn leaves(
    json: &Json,
    place: &str,
    told: &dyn Fn(&str) -> String,
    out: &mut BTreeMap<String, String>,
) {
    match json {
        Json::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{place}/{index}"), told, out);
            }
        }
        Json::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                let name = told(name).replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{place}/{name}"), told, out);
            }
        }
        Json::String(text) => {
            out.insert(place.to_owned(), format!("\"{}\"", told(text)));
        }
        other => {
            out.insert(place.to_owned(), told(&other.to_string()));
        }
    }
}

/// A text with what is hidden in the place of what was made up. What is made up is longer than chance, and what is hidden
/// may be as short as `7`: the other way round would find it where it is not.
fn as_hidden(text: &str, made_up: &[(String, String)]) -> String {
    let mut out = text.to_owned();
    for (made_up, hidden) in made_up {
        out = replaced(&out, made_up, |same: fn(&str) -> String| same(hidden));
    }
    out
}

/// A text with another one in the place of a part of it, be that in capitals or not.
fn replaced(text: &str, part: &str, by: impl Fn(fn(&str) -> String) -> String) -> String {
    let cases: [fn(&str) -> String; 3] =
        [|t| t.to_owned(), |t| t.to_lowercase(), |t| t.to_uppercase()];
    let mut out = text.to_owned();
    for case in cases {
        let part = case(part);
        if !part.is_empty() && out.contains(&part) {
            out = out.replace(&part, &by(case));
        }
    }
    out
}

/// Both answers, as far as they differ.
pub(super) fn parts(differences: &[String], hidden: &Answer, probe: &Probed) -> Parts {
    let mut parts = Vec::new();
    let mut both = |what: &str, hidden: Value, never: Value| {
        parts.push((format!("{what} about what is hidden"), Ok(hidden)));
        parts.push((format!("{what} about what never was"), Ok(never)));
    };
    let differs = |what: &str| differences.iter().any(|place| place.starts_with(what));
    let status = |answer: &Answer| Value::Int(i64::from(answer.status));
    if differs(STATUS) {
        both(STATUS, status(hidden), status(&probe.answer));
    }
    if differs(CONTENT_TYPE) {
        let of = |answer| content_type(answer).map_or(Value::Null, Value::text);
        both(CONTENT_TYPE, of(hidden), of(&probe.answer));
    }
    if differs(BODY) {
        both(BODY, hidden.body.clone(), unmade(probe));
    }
    parts
}

/// The body of an answer about what never was, with a sign in the place of what was made up.
fn unmade(probe: &Probed) -> Value {
    const SIGN: &str = "‹never was›";
    let unmade = |text: &str| {
        let mut out = text.to_owned();
        for (made_up, _) in &probe.made_up {
            out = replaced(&out, made_up, |_| SIGN.to_owned());
        }
        out
    };
    probe.answer.body.rewrite(&mut |value| match value {
        Value::Text(text) => Some(Value::text(unmade(text))),
        Value::Int(int) => {
            let made_up = probe
                .made_up
                .iter()
                .any(|(text, _)| *text == int.to_string());
            made_up.then(|| Value::text(SIGN))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(status: u16, body: Json) -> Answer {
        let headers = [(Value::text("content-type"), Value::text("application/json"))];
        Answer {
            status,
            headers: Value::Map(std::sync::Arc::new(headers.into())),
            body: Value::from_json(&body),
        }
    }

    fn probed(status: u16, body: Json) -> Probed {
        Probed {
            answer: answer(status, body),
            made_up: vec![("900000081".to_owned(), "7".to_owned())],
        }
    }

    #[test]
    fn ids_and_times_are_no_difference() {
        let hidden = answer(
            404,
            json!({ "detail": "no note 7 of 7 notes", "id": 7, "at": "2026-11-22T10:00:00Z" }),
        );
        let never = json!({ "detail": "no note 900000081 of 7 notes", "id": 900_000_081, "at": "2026-11-22T10:00:01Z" });
        assert_eq!(differences(&hidden, &[probed(404, never)]), [""; 0]);
    }

    #[test]
    fn what_differs_among_what_never_was_tells_nothing() {
        let hidden = answer(404, json!({ "detail": "no note", "request": "a1" }));
        let first = probed(404, json!({ "detail": "no note", "request": "b2" }));
        assert_eq!(
            differences(&hidden, std::slice::from_ref(&first)),
            ["body/request"]
        );
        let second = probed(404, json!({ "detail": "no note", "request": "c3" }));
        assert_eq!(differences(&hidden, &[first, second]), [""; 0]);
    }

    #[test]
    fn what_only_one_of_them_says_is_a_difference() {
        let hidden = answer(
            404,
            json!({ "detail": "no note", "owner": { "name": "ann" } }),
        );
        let never = || probed(403, json!({ "detail": "no note", "hint": [] }));
        assert_eq!(
            differences(&hidden, &[never(), never()]),
            ["body/hint", "body/owner/name", "status"]
        );
    }

    #[test]
    fn of_a_text_all_of_it_counts() {
        let hidden = answer(404, json!("no note 7"));
        assert_eq!(
            differences(&hidden, &[probed(404, json!("no note 900000081"))]),
            [""; 0]
        );
        let other = probed(404, json!({ "detail": "no note 900000081" }));
        assert_eq!(differences(&hidden, &[other]), ["body"]);
    }
}
