//! How a request is refused: one error type for all handlers, and the bodies that the original answers with.
//! Handlers say `{detail}`, the validation layer says `{error, details}`, the database and the rest say `{error}`.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What a handler answers. Every success is 200, creations included.
pub(super) type Answer = Result<Json<Value>, Refusal>;

/// One thing wrong with the path, the query or the body.
#[derive(Debug, Clone)]
pub(super) struct FieldError {
    pub field: String,
    pub message: String,
    pub kind: &'static str,
    pub input: Value,
}

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("refused with {status}: {detail}")]
    Detail { status: StatusCode, detail: Value },
    #[error("{} invalid fields", .0.len())]
    Invalid(Vec<FieldError>),
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("a stored document is not JSON")]
    Document(#[from] serde_json::Error),
    #[error("{0}")]
    Crash(&'static str),
}

impl Refusal {
    fn detail(status: StatusCode, error: &str, how_to_fix: &str) -> Self {
        let detail = json!({ "error": error, "how_to_fix": how_to_fix });
        Self::Detail { status, detail }
    }

    /// 404 for an entity: `absent("Proposal", id)`.
    pub(super) fn absent(what: &str, id: &str) -> Self {
        let detail = json!({
            "error": format!("{what} not found"),
            "id": id,
            "how_to_fix": "Check the id, or look it up in the list.",
        });
        Self::Detail {
            status: StatusCode::NOT_FOUND,
            detail,
        }
    }

    pub(super) fn unauthenticated(error: &str) -> Self {
        Self::detail(
            StatusCode::UNAUTHORIZED,
            error,
            "Send your key as X-API-Key or as Authorization: Bearer. Register at POST /api/auth/agent.",
        )
    }

    pub(super) fn forbidden(error: &str, how_to_fix: &str) -> Self {
        Self::detail(StatusCode::FORBIDDEN, error, how_to_fix)
    }

    pub(super) fn bad(error: &str, how_to_fix: &str) -> Self {
        Self::detail(StatusCode::BAD_REQUEST, error, how_to_fix)
    }

    pub(super) fn conflict(error: &str, how_to_fix: &str) -> Self {
        Self::detail(StatusCode::CONFLICT, error, how_to_fix)
    }

    pub(super) fn too_many(error: &str, how_to_fix: &str) -> Self {
        Self::detail(StatusCode::TOO_MANY_REQUESTS, error, how_to_fix)
    }

    /// A body that is not JSON at all: refused before anybody asks who sent it.
    pub(super) fn unparsable(error: &serde_json::Error) -> Self {
        Self::Invalid(vec![FieldError {
            field: String::from("body"),
            message: format!("JSON decode error: {error}"),
            kind: "json_invalid",
            input: json!({}),
        }])
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::Detail { status, detail } => (status, json!({ "detail": detail })),
            Self::Invalid(errors) => (StatusCode::UNPROCESSABLE_ENTITY, invalid(errors)),
            Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                let body = named(
                    "Duplicate Entry",
                    "This already exists.",
                    "Use the one that exists.",
                );
                (StatusCode::CONFLICT, body)
            }
            Self::Database(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                let message = "Something that this refers to does not exist.";
                let body = named(
                    "Invalid Reference",
                    message,
                    "Check the ids in the request.",
                );
                (StatusCode::BAD_REQUEST, body)
            }
            error @ (Self::Database(_) | Self::Document(_) | Self::Crash(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, internal(&error))
            }
        };
        (status, Json(body)).into_response()
    }
}

fn named(error: &str, message: &str, how_to_fix: &str) -> Value {
    json!({ "error": error, "message": message, "how_to_fix": how_to_fix })
}

fn invalid(errors: Vec<FieldError>) -> Value {
    let details: Vec<Value> = errors
        .into_iter()
        .map(|error| {
            json!({ "field": error.field, "message": error.message, "type": error.kind, "your_input": error.input })
        })
        .collect();
    json!({
        "error": "Validation Error",
        "message": format!("{} field(s) are invalid.", details.len()),
        "details": details,
        "how_to_fix": "Correct the listed fields and send the request again.",
    })
}

fn internal(error: &Refusal) -> Value {
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        cause = error.source();
    }
    json!({
        "error": "Internal Server Error",
        "message": "Something broke on our side.",
        "request_id": uuid::Uuid::new_v4().to_string(),
        "how_to_fix": "Try again later.",
        "debug": { "error_message": message },
    })
}

/// Unknown paths: 404, but a trailing slash redirects to the path without it, as the original's router does.
pub(super) async fn unknown_path(uri: axum::http::Uri) -> Response {
    let path = uri.path();
    if path.starts_with("/api/") && path.ends_with('/') {
        let mut target = path.trim_end_matches('/').to_owned();
        if let Some(query) = uri.query() {
            target = format!("{target}?{query}");
        }
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, target)]).into_response();
    }
    (
        StatusCode::NOT_FOUND,
        Json(json!({ "detail": "Not Found" })),
    )
        .into_response()
}

pub(super) async fn wrong_method() -> Response {
    (
        StatusCode::METHOD_NOT_ALLOWED,
        Json(json!({ "detail": "Method Not Allowed" })),
    )
        .into_response()
}
