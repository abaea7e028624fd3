//! What a handler answers: JSON with a status, or a [`Refusal`] with `{code, message}`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

pub(super) use crate::demo::answers::{created, no_content, ok};

pub(super) type Answer = Result<Response, Refusal>;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{message}")]
    Client {
        status: StatusCode,
        code: &'static str,
        message: String,
    },
    #[error("the body is not as it should be: {0}")]
    Body(#[from] JsonRejection),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the request's task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::Client {
            status,
            code,
            message: message.into(),
        }
    }

    pub(super) fn unauthenticated() -> Self {
        let message = "X-Admin-Key is missing, or opens no pool";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", message)
    }

    /// 404 for a thing: `absent("key")`.
    pub(super) fn absent(what: &str) -> Self {
        let message = format!("there is no such {what}");
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn conflict(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub(super) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    pub(super) fn unavailable(code: &'static str, message: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Client { status, code, .. } => (*status, *code),
            Self::Body(rejection) => (rejection.status(), "invalid"),
            Self::Database(_) | Self::Task(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal_error")
            }
        };
        let body = json!({ "code": code, "message": self.to_string() });
        (status, Json(body)).into_response()
    }
}

pub(super) async fn unknown_path() -> Refusal {
    Refusal::absent("path")
}
