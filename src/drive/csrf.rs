//! Tokens against forgery across sites: a principal sends the latest that an answer showed him with what is not only read.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

use super::history::{Body, Request, Response};
use super::jar::Jars;
use super::render::{BOUNDARY, never};
use crate::model::action::{Forgery, is_safe};
use crate::model::expression::Names;
use crate::model::oracle::bind_answer;
use crate::model::value::{Handle, Value};
use crate::model::{Csrf, Model, TokenPlace, TokenSource};

/// What a wrong token is like where nobody has been shown a right one.
const NO_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The token that an answer shows, if it shows one.
pub(super) fn shown(model: &Model, csrf: &Csrf, response: &Response) -> Option<String> {
    let TokenSource::Answer(template) = &csrf.source else {
        return None;
    };
    let mut names = Names::default();
    bind_answer(&mut names, Some(&response.answer()));
    let mirror = model.initial();
    let scope = model.scope(&mirror, &names);
    match template.eval(&scope, &|_| Value::Unknown) {
        Ok(Value::Text(text)) if !text.is_empty() => Some(text.to_string()),
        _ => None,
    }
}

/// Adds a principal's token to a request that needs one, if he has been shown one; or what is wrong with it.
pub(super) fn add(
    request: &mut Request,
    csrf: &Csrf,
    jars: &Jars,
    whose: Handle,
    forged: Option<Forgery>,
) {
    if is_safe(&request.method) || forged == Some(Forgery::Tokenless) {
        return;
    }
    let token = match &csrf.source {
        TokenSource::Cookie(name) => {
            let cookies = jars.cookies(whose, &request.path);
            let cookie = cookies.into_iter().find(|(known, _)| known == name);
            cookie.map(|(_, value)| decoded(&value).into_owned())
        }
        TokenSource::Answer(_) => jars.token(whose).map(str::to_owned),
    };
    let token = match forged {
        Some(Forgery::WrongToken) => Some(never(token.as_deref().unwrap_or(NO_TOKEN), 77)),
        _ => token,
    };
    let Some(token) = token else { return };
    match &csrf.place {
        TokenPlace::Header(name) => request.headers.push((name.clone(), token)),
        TokenPlace::Field(name) => add_field(&mut request.body, name, &token),
    }
}

/// A cookie's value without percent-encoding, as scripts in pages read it.
pub(super) fn decoded(value: &str) -> Cow<'_, str> {
    (percent_decode_str(value).decode_utf8()).unwrap_or(Cow::Borrowed(value))
}

/// Adds a field to a body that has fields; what has no body gets a form.
fn add_field(body: &mut Option<Body>, name: &str, value: &str) {
    const FORM: &str = "application/x-www-form-urlencoded";
    let body = body.get_or_insert_with(|| Body {
        content_type: FORM.into(),
        bytes: Vec::new(),
    });
    if body.content_type == FORM {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        encoded.append_pair(name, value);
        if !body.bytes.is_empty() {
            body.bytes.push(b'&');
        }
        body.bytes.extend(encoded.finish().into_bytes());
    } else if body.content_type.starts_with("multipart/form-data") {
        let end = format!("--{BOUNDARY}--\r\n");
        let name = name.replace('"', "%22");
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n{end}"
        );
        let kept = body.bytes.len().saturating_sub(end.len());
        body.bytes.truncate(kept);
        body.bytes.extend(part.into_bytes());
    } else if let Ok(Json::Object(mut map)) = serde_json::from_slice(&body.bytes) {
        map.insert(name.to_owned(), value.into());
        body.bytes = Json::Object(map).to_string().into_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_field(content_type: &str, text: &str) -> (String, String) {
        let mut body = Some(Body {
            content_type: content_type.into(),
            bytes: text.as_bytes().to_vec(),
        });
        add_field(&mut body, "_token", "a+b");
        let body = body.expect("it is there");
        (
            body.content_type,
            String::from_utf8_lossy(&body.bytes).into_owned(),
        )
    }

    #[test]
    fn a_field_goes_into_every_body_that_has_fields() {
        let (_, form) = with_field("application/x-www-form-urlencoded", "x=1");
        assert_eq!(form, "x=1&_token=a%2Bb");
        let (_, json) = with_field("application/json", r#"{"x":1}"#);
        assert_eq!(json, r#"{"_token":"a+b","x":1}"#);
        let (_, list) = with_field("application/json", "[1]");
        assert_eq!(list, "[1]");
        let mut none = None;
        add_field(&mut none, "_token", "a");
        assert_eq!(none.expect("a form").bytes, b"_token=a");
    }
}
