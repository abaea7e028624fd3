//! What a handler answers: a response, or a [`Refusal`] with `{detail}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

pub(super) use crate::demo::answers::{created, no_content, ok};

pub(super) type Answer = Result<Response, Refusal>;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("refused with {status}: {detail}")]
    Client { status: StatusCode, detail: String },
    #[error("Error handling session: session expired")]
    Expired,
    #[error("Error handling session: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the request's task ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl Refusal {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::Client {
            status,
            detail: detail.into(),
        }
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub(super) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Could not validate credentials")
    }

    /// 404 for what is not there, or is somebody else's: `absent("chat")`.
    pub(super) fn absent(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    /// Whether the database refused a row because of one that is there.
    pub(super) fn is_conflict(&self) -> bool {
        match self {
            Self::Database(error) => error
                .as_database_error()
                .is_some_and(|error| error.is_unique_violation()),
            _ => false,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Self::Client { status, detail } => (status, detail),
            error => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        };
        (status, Json(json!({ "detail": detail }))).into_response()
    }
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
