//! Reading a request: the ids in its path, and its JSON body, strictly typed. Unknown fields are ignored, and null is
//! as good as not given.

use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::errors::Refusal;
use super::keys::Claim;

const LARGEST_BODY: usize = 2 * 1024 * 1024;
/// What is read of a body that is too large: a client that is still writing would else lose the answer to a reset.
const READ_AT_MOST: usize = 16 * 1024 * 1024;

/// The parameters of the path. Those that are no text name nothing, so they are as unknown as a made-up id.
pub(super) struct At<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_) => Err(Refusal::absent("path")),
        }
    }
}

/// A JSON object.
pub(super) struct Fields {
    /// Where it is in the body, for messages: empty, or `memory_blocks[1].`.
    at: String,
    fields: Map<String, Value>,
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        Self::parse(&parts.headers, &read(body).await?)
    }
}

/// A body with the idempotency key that came with it.
pub(super) struct Post {
    pub fields: Fields,
    pub claim: Option<Claim>,
}

impl<S: Send + Sync> FromRequest<S> for Post {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let body = read(body).await?;
        let fields = Fields::parse(&parts.headers, &body)?;
        let claim = Claim::read(&parts.headers, &parts.method, parts.uri.path(), &body)?;
        Ok(Self { fields, claim })
    }
}

async fn read(mut body: Body) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|_| Refusal::bad("the body did not arrive whole"))?;
        // The other kind of frame are trailers.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length <= LARGEST_BODY {
            bytes.extend_from_slice(&data);
        } else if length > READ_AT_MOST {
            break;
        }
    }
    if length > LARGEST_BODY {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is larger than 2 MiB",
        ));
    }
    Ok(bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let sent = headers
        .get(CONTENT_TYPE)
        .and_then(|sent| sent.to_str().ok());
    let essence = sent.and_then(|sent| sent.split(';').next());
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

impl Fields {
    fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        if !is_json(headers) {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send JSON, with `Content-Type: application/json`",
            ));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self {
                at: String::new(),
                fields,
            }),
            Ok(_) => Err(Refusal::unprocessable("the body must be an object")),
            Err(error) => Err(Refusal::bad(format!("the body is not JSON: {error}"))),
        }
    }

    fn given(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn wrong(&self, name: &str, expected: &str) -> Refusal {
        Refusal::unprocessable(format!("{}{name} must be {expected}", self.at))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.given(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    pub(super) fn required_text(&self, name: &str) -> Result<String, Refusal> {
        self.text(name)?
            .ok_or_else(|| self.wrong(name, "given, as a string"))
    }

    pub(super) fn count(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let expected = "an integer that is not negative";
        match self.given(name).map(Value::as_u64) {
            None => Ok(None),
            Some(Some(count)) => Ok(Some(count)),
            Some(None) => Err(self.wrong(name, expected)),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Refusal> {
        let Some(items) = self.given(name) else {
            return Ok(None);
        };
        let texts = items.as_array().and_then(|items| {
            let text = |item: &Value| item.as_str().map(str::to_owned);
            items.iter().map(text).collect::<Option<Vec<String>>>()
        });
        match texts {
            Some(texts) => Ok(Some(texts)),
            None => Err(self.wrong(name, "an array of strings")),
        }
    }

    pub(super) fn objects(&self, name: &str) -> Result<Vec<Fields>, Refusal> {
        let wrong = || self.wrong(name, "an array of objects");
        let items = match self.given(name) {
            None => return Ok(Vec::new()),
            Some(items) => items.as_array().ok_or_else(wrong)?,
        };
        let object = |(index, item): (usize, &Value)| match item {
            Value::Object(fields) => Ok(Fields {
                at: format!("{}{name}[{index}].", self.at),
                fields: fields.clone(),
            }),
            _ => Err(wrong()),
        };
        items.iter().enumerate().map(object).collect()
    }
}
