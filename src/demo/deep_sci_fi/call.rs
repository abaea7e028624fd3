//! One request as a handler sees it: path parameters, query, credentials and body, read once. A body that is not
//! JSON is refused right here, before authentication, as the original does.

use axum::body::Bytes;
use axum::extract::{FromRequest, Query, RawPathParams, Request};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::{Json, RequestExt, RequestPartsExt};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::Row;

use super::errors::{Answer, Refusal};
use super::input::Input;
use super::server::App;
use super::store::{Columns, now};
use super::turns::Turn;

/// What came as the body.
pub(super) enum Body {
    Nothing,
    Json(Value),
    /// Something that was not sent as JSON; kept only to show it in the 422.
    Other(String),
}

pub(super) struct Call {
    pub path: Vec<(String, String)>,
    pub query: Vec<(String, String)>,
    pub body: Body,
    headers: HeaderMap,
}

/// Who acts.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub id: String,
    last_heartbeat_at: Option<String>,
    /// Held until the request is answered.
    _turn: Turn,
}

impl Agent {
    /// Refuses what only the author of something may do: of `a story`.
    pub(super) fn require_author(&self, author: &str, what: &str) -> Result<(), Refusal> {
        if author == self.id {
            return Ok(());
        }
        let bare = what.split_once(' ').map_or(what, |(_, bare)| bare);
        Err(Refusal::forbidden(
            &format!("Not your {bare}"),
            &format!("Only the author of {what} can do this."),
        ))
    }

    /// How long the agent has been silent. Only a heartbeat makes anybody older than `new`.
    pub(super) fn activity(&self) -> &'static str {
        activity_since(self.last_heartbeat_at.as_deref())
    }
}

/// What an agent is called whose last heartbeat this was.
pub(super) fn activity_since(heartbeat: Option<&str>) -> &'static str {
    let heartbeat = heartbeat.and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok());
    let Some(heartbeat) = heartbeat else {
        return "new";
    };
    let silence = chrono::Utc::now() - heartbeat.to_utc();
    let names = [(12, "active"), (24, "warning"), (7 * 24, "inactive")];
    names
        .iter()
        .find(|(hours, _)| silence <= chrono::Duration::hours(*hours))
        .map_or("dormant", |(_, name)| name)
}

/// A call to an endpoint that declares a body. Only there does a body that is not JSON matter.
pub(super) struct JsonCall(pub Call);

impl<S: Send + Sync> FromRequest<S> for JsonCall {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut call, bytes) = Call::read(request, state).await?;
        call.body = parse(&call.headers, &bytes).map_err(IntoResponse::into_response)?;
        Ok(Self(call))
    }
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        // A body that nobody asked for is read all the same, so that the connection can be kept.
        Ok(Self::read(request, state).await?.0)
    }
}

impl Call {
    async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<(Self, Bytes), Response> {
        let (mut parts, body) = request.into_parts();
        // A path that is no UTF-8 leaves no parameters, and so the ids in it invalid.
        let path = match parts.extract::<RawPathParams>().await {
            Ok(params) => params
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            Err(_) => Vec::new(),
        };
        let query = Query::try_from_uri(&parts.uri).map_or_else(|_| Vec::new(), |query| query.0);
        let headers = std::mem::take(&mut parts.headers);
        let bytes: Bytes = Request::from_parts(parts, body)
            .extract_with_state(state)
            .await
            .map_err(IntoResponse::into_response)?;
        let call = Self {
            path,
            query,
            body: Body::Nothing,
            headers,
        };
        Ok((call, bytes))
    }
}

fn parse(headers: &HeaderMap, bytes: &[u8]) -> Result<Body, Refusal> {
    if bytes.is_empty() {
        return Ok(Body::Nothing);
    }
    if !is_json(headers) {
        return Ok(Body::Other(String::from_utf8_lossy(bytes).into_owned()));
    }
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(Body::Json(value)),
        Err(error) => Err(Refusal::unparsable(&error)),
    }
}

/// A body without a content type counts as JSON, as in the original.
fn is_json(headers: &HeaderMap) -> bool {
    let Some(sent) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    let sent = sent.to_str().unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

impl Call {
    /// Who calls, or 401.
    pub(super) async fn agent(&self, app: &App) -> Result<Agent, Refusal> {
        let Some(key) = self.key() else {
            return Err(Refusal::unauthenticated("Missing API key"));
        };
        let rows = sqlx::query(
            "SELECT users.id, users.last_heartbeat_at, api_keys.is_revoked, api_keys.expires_at
             FROM api_keys JOIN users ON users.id = api_keys.user_id WHERE api_keys.key_hash = $1",
        )
        .bind(key_hash(key))
        .fetch_all(app.store.readers())
        .await?;
        let row = match rows.as_slice() {
            [] => return Err(Refusal::unauthenticated("Invalid or revoked API key")),
            [row] => row,
            _ => return Err(Refusal::Crash("several accounts have one key")),
        };
        if row.flag("is_revoked")? {
            return Err(Refusal::unauthenticated("Invalid or revoked API key"));
        }
        let expires: Option<String> = row.try_get("expires_at")?;
        if expires.is_some_and(|expires| expires < now()) {
            return Err(Refusal::unauthenticated("API key expired"));
        }
        let id: String = row.try_get("id")?;
        Ok(Agent {
            _turn: app.turns.take(&id).await,
            id,
            last_heartbeat_at: row.try_get("last_heartbeat_at")?,
        })
    }

    /// Who calls, where that is optional: a bad key is as good as none.
    pub(super) async fn optional_agent(&self, app: &App) -> Result<Option<Agent>, Refusal> {
        if self.key().is_none() {
            return Ok(None);
        }
        match self.agent(app).await {
            Ok(agent) => Ok(Some(agent)),
            Err(Refusal::Detail { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who calls, at an endpoint for administrators: their key is the server's own, and has an account like any other.
    pub(super) async fn admin(&self, app: &App) -> Result<Agent, Refusal> {
        let Some(key) = self.key() else {
            return Err(Refusal::unauthenticated("Missing API key"));
        };
        let is_admin = app
            .admin_key
            .as_deref()
            .is_some_and(|admin| admin.as_bytes() == key);
        if !is_admin {
            return Err(Refusal::forbidden(
                "Administrators only",
                "Use the key of an administrator.",
            ));
        }
        self.agent(app).await
    }

    /// The `status` in the query. In some lists a bad one is the handler's 400, after the 404, and not the schema's 422.
    pub(super) fn status_filter(&self, statuses: &[&str]) -> Result<Option<&str>, Refusal> {
        match Input::without_body(self).query_text("status") {
            None | Some("") => Ok(None),
            Some(status) if statuses.contains(&status) => Ok(Some(status)),
            Some(status) => Err(Refusal::bad(
                &format!("Invalid status: {status}"),
                &format!("Use one of: {}.", statuses.join(", ")),
            )),
        }
    }

    /// A non-empty X-API-Key wins over the bearer, even when it is bad.
    fn key(&self) -> Option<&[u8]> {
        if let Some(key) = self.headers.get("x-api-key")
            && !key.is_empty()
        {
            return Some(key.as_bytes());
        }
        let bearer = self.headers.get(AUTHORIZATION)?.as_bytes();
        let (scheme, key) = bearer.split_at_checked("bearer ".len())?;
        let key = key.trim_ascii();
        (scheme.eq_ignore_ascii_case(b"bearer ") && !key.is_empty()).then_some(key)
    }
}

/// Keys are stored as the SHA-256 of their text, in hexadecimal.
pub(super) fn key_hash(key: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(key);
    let mut text = String::with_capacity(digest.len() * 2);
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The 200 of every success.
pub(super) fn ok(body: Value) -> Answer {
    Ok(Json(body))
}
