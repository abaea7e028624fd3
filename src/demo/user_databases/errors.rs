//! What a handler answers: JSON with a status, or a [`Refusal`] with `{detail}`.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::StatusCode;
use axum::http::header::WWW_AUTHENTICATE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::sealing::VARIABLE;

pub(super) use crate::demo::answers::{created, no_content, ok};

pub(super) type Answer = Result<Response, Refusal>;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{detail}")]
    Client { status: StatusCode, detail: String },
    #[error("the body is not as it should be: {0}")]
    Body(#[from] JsonRejection),
    #[error("the query is not as it should be: {0}")]
    Query(#[from] QueryRejection),
    #[error("this is for websockets: {0}")]
    Upgrade(#[from] WebSocketUpgradeRejection),
    #[error("internal error")]
    Database(#[from] sqlx::Error),
    /// The same with what the database says, which is nobody's business.
    #[error("Failed to create user: {0}")]
    Raw(sqlx::Error),
    #[error("Multiple rows were found when one or none was required")]
    SeveralRows,
    #[error("a secret could not be sealed")]
    Unsealed,
    #[error("{VARIABLE} is not set")]
    NoEncryptionKey,
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

    pub(super) fn unauthenticated(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn conflict(detail: &str) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub(super) fn invalid(detail: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// 404 for what is not there, or is somebody else's: `absent("content")`.
    pub(super) fn absent(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no such {what}"))
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Client { status, .. } => *status,
            Self::Body(rejection) if rejection.status() != StatusCode::BAD_REQUEST => {
                rejection.status()
            }
            Self::Body(_) | Self::Query(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Upgrade(rejection) => rejection.status(),
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, detail) = (self.status(), self.to_string());
        if matches!(self, Self::NoEncryptionKey) {
            return (status, detail).into_response();
        }
        let mut response = (status, Json(json!({ "detail": detail }))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

pub(super) async fn unknown_path() -> Refusal {
    Refusal::absent("path")
}

pub(super) async fn wrong_method() -> Refusal {
    let detail = "this path has no such method";
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}
