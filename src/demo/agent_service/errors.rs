//! What a handler answers: a [`Reply`] of a status and a JSON text, or a [`Refusal`] with `{code, message, details}`.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

pub(super) type Answer = Result<Reply, Refusal>;

/// An answer as text, so that the one that is sent again for an idempotency key is the same to the letter.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub status: StatusCode,
    pub body: String,
}

impl Reply {
    pub(super) fn ok(body: &impl Serialize) -> Answer {
        Ok(Self {
            status: StatusCode::OK,
            body: serde_json::to_string(body)?,
        })
    }

    pub(super) fn no_content() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: String::new(),
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        if self.body.is_empty() {
            return self.status.into_response();
        }
        let kind = [(CONTENT_TYPE, "application/json")];
        (self.status, kind, self.body).into_response()
    }
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("refused with {status}: {message}")]
    Client { status: StatusCode, message: String },
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("a stored document is not what it should be")]
    Document(#[from] serde_json::Error),
    #[error("the request's task ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Client {
            status,
            message: message.into(),
        }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 404 for an entity: `absent("agent")`.
    pub(super) fn absent(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Client { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message) = match self {
            Self::Client { status, message } => (status, message),
            error => (StatusCode::INTERNAL_SERVER_ERROR, with_causes(&error)),
        };
        let body = json!({ "code": code(status), "message": message, "details": null });
        let body = body.to_string();
        Reply { status, body }.into_response()
    }
}

fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "bad_request",
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "payload_too_large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
        StatusCode::UNPROCESSABLE_ENTITY => "unprocessable_entity",
        _ => "internal_error",
    }
}

fn with_causes(error: &Refusal) -> String {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    message
}

pub(super) async fn unknown_path() -> Refusal {
    Refusal::absent("path")
}

pub(super) async fn wrong_method() -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this path has no such method",
    )
}
