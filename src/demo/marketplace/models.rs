//! The models that can be asked: `GET /api/v1/models`, for everybody.

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};

use super::errors::{Answer, Refusal, ok};
use super::gateway::App;

pub(super) const MODELS: [&str; 2] = [DEFAULT_MODEL, "mistral-31-24b"];
/// What `silent_default_model` falls back to.
pub(super) const DEFAULT_MODEL: &str = "llama-3.3-70b";

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/v1/models", get(list))
}

async fn list() -> Answer {
    let entry = |name: &&str| json!({ "id": name, "object": "model" });
    let data: Vec<Value> = MODELS.iter().map(entry).collect();
    ok(json!({ "object": "list", "data": data }))
}

/// The model of this name, case and all.
pub(super) fn known(name: &str) -> Result<&'static str, Refusal> {
    let mut models = MODELS.into_iter();
    let found = models.find(|model| *model == name);
    found.ok_or_else(|| Refusal::bad(format!("there is no model `{name}`")))
}
