//! `/api/v1/session/…`: opening, closing and looking at the session of the key that asks.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::completions::resolved;
use super::credentials::Key;
use super::errors::{Answer, Refusal, ok};
use super::gateway::{App, finish};
use super::slips::Slip;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/session/modelsession", post(open))
        .route("/api/v1/session/closesession", post(close))
        .route("/api/v1/session/pingsession", post(ping))
        .route("/api/v1/session/upstream", get(upstream))
}

async fn check_active(app: &App, key: &Key) -> Result<(), Refusal> {
    if app.slips.has(Slip::RevokedOkOnSession) {
        return Ok(());
    }
    app.check_active(key).await
}

fn model_id(uri: &Uri) -> Result<String, Refusal> {
    let mut query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let given = query.find(|(name, _)| name == "model_id");
    let (_, model) = given.ok_or_else(|| Refusal::unprocessable("model_id must be given"))?;
    Ok(model.into_owned())
}

async fn open(State(app): State<App>, headers: HeaderMap, uri: Uri) -> Answer {
    let model = model_id(&uri)?;
    finish(async move {
        let key = app.key(&headers).await?;
        let _lock = app.lock_to_find(&key).await;
        check_active(&app, &key).await?;
        let model = resolved(&app, &model)?;
        let seat = app.find_or_open(&key, model).await?;
        ok(json!({
            "success": true,
            "session_id": seat.session,
            "api_key_prefix": key.prefix,
            "model": model,
        }))
    })
    .await
}

async fn close(State(app): State<App>, headers: HeaderMap) -> Answer {
    finish(async move {
        let key = app.key(&headers).await?;
        let _lock = app.lock(&key.id).await;
        check_active(&app, &key).await?;
        let active = app.store.active_session(&key.id).await?;
        let session = active.map(|active| active.id);
        if let Some(session) = &session {
            app.close(session).await?;
        }
        ok(json!({ "success": true, "session_id": session }))
    })
    .await
}

async fn ping(State(app): State<App>, headers: HeaderMap) -> Answer {
    finish(async move {
        let key = app.key(&headers).await?;
        let _lock = app.lock(&key.id).await;
        check_active(&app, &key).await?;
        let active = app.store.active_session(&key.id).await?;
        let status = match &active {
            Some(_) => "alive",
            None => "no_session",
        };
        let session = active.map(|active| active.id);
        ok(json!({ "success": true, "status": status, "session_id": session }))
    })
    .await
}

/// What the upstream has open on the bill of the key.
async fn upstream(State(app): State<App>, headers: HeaderMap) -> Answer {
    finish(async move {
        let key = app.key(&headers).await?;
        let _lock = app.lock(&key.id).await;
        check_active(&app, &key).await?;
        let open = app.upstream.open_of(&key.id);
        let entry = |(id, model): &(String, &str)| json!({ "id": id, "model": model });
        let sessions: Vec<Value> = open.iter().map(entry).collect();
        ok(json!({ "open": open.len(), "sessions": sessions }))
    })
    .await
}
