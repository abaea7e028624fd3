//! What was sent and what came back: the contract that checks and reports read.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::SEC_WEBSOCKET_ACCEPT;

use super::events::{self, Format};
use crate::model::oracle::Answer;
use crate::model::value::{Handle, Value};

/// A request, ready to be sent to any target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// `GET`, `POST`, …; `WS` for a websocket.
    pub method: String,
    /// The path, percent-encoded, without the target's prefix.
    pub path: String,
    /// Query parameters, not encoded.
    pub query: Vec<(String, String)>,
    /// Headers: those of the rule first, then the credentials.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Body>,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Body {
    /// `application/json`, …
    pub content_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A response, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; bounded, see [`super::Limits`].
    pub body: Vec<u8>,
    /// Whether the body was longer than the bound and is cut.
    pub truncated: bool,
}

/// One request and what came of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What was sent.
    pub request: Request,
    /// What came back; nothing where nobody waited for it.
    pub response: Option<Arc<Response>>,
    /// When it was sent, since the beginning of the plan.
    pub started: Duration,
    /// How long it took, without waiting for 'not now'.
    pub took: Duration,
    /// How often it was sent because the server said 'not now'.
    pub deferred: u32,
}

/// Why something was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A step of the plan, by its id.
    Step(u32),
    /// A read for invariants after a step, or at the end of the plan; and for which entity.
    Read {
        /// The id of the step before.
        after: u32,
        /// Whether the plan was over.
        at_end: bool,
        /// The entity that it is about.
        entity: Option<Handle>,
        /// The invariants that ask, by their position in the model.
        invariants: Vec<usize>,
    },
}

/// What happened in one run of a plan, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The exchanges.
    pub events: Vec<Event>,
}

/// One event of a history.
#[derive(Clone, Debug)]
pub struct Event {
    /// Why it was sent.
    pub purpose: Purpose,
    /// What was sent and what came back.
    pub exchange: Exchange,
}

impl History {
    /// The exchange of a step.
    pub fn of_step(&self, id: u32) -> Option<&Exchange> {
        self.events
            .iter()
            .find(|event| event.purpose == Purpose::Step(id))
            .map(|event| &event.exchange)
    }
}

impl Request {
    /// Whether it opens a websocket.
    pub fn is_websocket(&self) -> bool {
        self.method == crate::model::Request::WEBSOCKET
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }
}

/// The first value of a header.
fn first<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut headers = headers.iter();
    let header = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
    header.map(|(_, value)| value.as_str())
}

impl Exchange {
    /// The status that came back, if any did.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref().map(|response| response.status)
    }
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The body as JSON, if it is that.
    pub fn json(&self) -> Option<serde_json::Value> {
        if self.truncated || self.body.is_empty() {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }

    /// The events of a body that is a stream of them, if it is one.
    pub fn events(&self) -> Option<Vec<serde_json::Value>> {
        let format = self.header("content-type").and_then(Format::of)?;
        format.read(&self.body, self.truncated)
    }

    /// The texts in which something may stand that should not: the body, and of a stream what its pieces come to.
    pub fn texts(&self) -> Vec<String> {
        let mut texts = vec![self.text()];
        if let Some(pieces) = self.events().or_else(|| self.messages()) {
            texts.extend(events::joined(&pieces));
        }
        texts
    }

    /// What was said on a websocket, if this is the answer to the opening of one.
    fn messages(&self) -> Option<Vec<serde_json::Value>> {
        self.header(SEC_WEBSOCKET_ACCEPT.as_str())?;
        match self.json()?.get_mut("messages")?.take() {
            serde_json::Value::Array(messages) => Some(messages),
            _ => None,
        }
    }

    /// The body as models know it: of JSON its value, of a stream its events, of anything else its text, of none null.
    pub fn value(&self) -> serde_json::Value {
        if let Some(events) = self.events() {
            return serde_json::json!({ "events": events });
        }
        if self.body.is_empty() {
            return serde_json::Value::Null;
        }
        (self.json()).unwrap_or_else(|| serde_json::Value::String(self.text()))
    }

    /// The body as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The response as expressions see it.
    pub fn answer(&self) -> Answer {
        let mut headers = std::collections::BTreeMap::new();
        for (name, value) in &self.headers {
            headers
                .entry(Value::text(name.as_str()))
                .and_modify(|old: &mut Value| {
                    if let Value::Text(text) = old {
                        *old = Value::text(format!("{text}, {value}"));
                    }
                })
                .or_insert_with(|| Value::text(value.as_str()));
        }
        Answer {
            status: self.status,
            headers: Value::Map(Arc::new(headers)),
            body: Value::from_json(&self.value()),
        }
    }
}
