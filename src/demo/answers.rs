//! What handlers answer where nothing is amiss, and how texts are hashed that must not be kept.

use std::fmt::Write as _;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(super) fn ok<R>(body: Value) -> Result<Response, R> {
    Ok(Json(body).into_response())
}

pub(super) fn created<R>(body: Value) -> Result<Response, R> {
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

pub(super) fn no_content<R>() -> Result<Response, R> {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The SHA-256 of a text, in hexadecimal.
pub(super) fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
