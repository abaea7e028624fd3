//! Reading a request: the ids in its path, and its JSON body, strictly typed. Unknown fields are ignored, and null is
//! as good as not given.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value};

use super::errors::Refusal;

const LARGEST_BODY: usize = 2 * 1024 * 1024;
/// What is read of a body that is too large: a client that is still writing would else lose the answer to a reset.
pub(super) const READ_AT_MOST: usize = 16 * 1024 * 1024;

/// The id in the path. One that is no text names nothing, so it is as unknown as a made-up one.
pub(super) struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(id)) => Ok(Self(id)),
            Err(_) => Err(Refusal::absent("path")),
        }
    }
}

/// A JSON object.
pub(super) struct Fields(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let json = is_json(request.headers());
        let body = Bytes::from_request(request, state).await;
        let too_large = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 2 MiB");
        let body = match body {
            Ok(body) if body.len() > LARGEST_BODY => return Err(too_large()),
            Ok(body) => body,
            Err(error) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                return Err(too_large());
            }
            Err(_) => return Err(Refusal::bad("the body did not arrive whole")),
        };
        if !json {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send JSON, with `Content-Type: application/json`",
            ));
        }
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Refusal::unprocessable("the body must be an object")),
            Err(error) => Err(Refusal::bad(format!("the body is not JSON: {error}"))),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let sent = headers
        .get(CONTENT_TYPE)
        .and_then(|sent| sent.to_str().ok());
    let essence = sent.and_then(|sent| sent.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn wrong(name: &str, expected: &str) -> Refusal {
    Refusal::unprocessable(format!("{name} must be {expected}"))
}

impl Fields {
    fn given(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.given(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    pub(super) fn required_text(&self, name: &str) -> Result<String, Refusal> {
        self.text(name)?
            .ok_or_else(|| wrong(name, "given, as a string"))
    }

    /// A text of at least one character, and at most so many.
    pub(super) fn short_text(&self, name: &str, most: usize) -> Result<String, Refusal> {
        let text = self.required_text(name)?;
        if (1..=most).contains(&text.chars().count()) {
            return Ok(text);
        }
        Err(wrong(name, &format!("of 1 to {most} characters")))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.given(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong(name, "true or false")),
        }
    }

    pub(super) fn objects(&self, name: &str) -> Result<Vec<Fields>, Refusal> {
        let expected = || wrong(name, "given, as an array of objects");
        let items = self.given(name).and_then(Value::as_array);
        let object = |item: &Value| item.as_object().cloned().map(Fields).ok_or_else(expected);
        items.ok_or_else(expected)?.iter().map(object).collect()
    }
}
