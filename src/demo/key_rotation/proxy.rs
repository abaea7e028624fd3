//! `/proxy/chat`: a request goes to the provider with the healthy key whose turn it is. Where the provider refuses the
//! key, it is replaced. If it had been replaced meanwhile, the request goes out again with another one.

use std::time::Duration;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::errors::{Answer, Refusal, ok};
use super::pools::Pool;
use super::rotation::{Rotation, Trigger, rotate};
use super::service::{App, finish};

/// How long the provider takes.
const PROVIDER_TAKES: Duration = Duration::from_millis(8);

pub(super) fn routes() -> Router<App> {
    Router::new().route("/proxy/chat", post(chat))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chat {
    /// What the provider answers.
    #[serde(default = "fine")]
    upstream_status: u16,
}

fn fine() -> u16 {
    200
}

async fn chat(
    State(app): State<App>,
    Pool(pool): Pool,
    chat: Result<Json<Chat>, JsonRejection>,
) -> Answer {
    let Json(Chat { upstream_status }) = chat?;
    if !(100..600).contains(&upstream_status) {
        return Err(Refusal::invalid("a status is a number from 100 to 599"));
    }
    finish(async move { forward(&app, &pool, upstream_status).await }).await
}

async fn forward(app: &App, pool: &str, upstream_status: u16) -> Answer {
    loop {
        let Some(key) = next(app, pool).await? else {
            let message = "no key is healthy";
            return Err(Refusal::unavailable("no_healthy_key", message));
        };
        tokio::time::sleep(PROVIDER_TAKES).await;
        if !matches!(upstream_status, 401..=403) {
            return ok(json!({ "key_id": key, "upstream_status": upstream_status }));
        }
        let reason = format!("upstream_{upstream_status}");
        let new = match rotate(app, pool, &key, &reason, Trigger::Upstream).await? {
            Rotation::Done { new } => new,
            Rotation::NoBackup | Rotation::Failed => String::new(),
            Rotation::Already | Rotation::Absent => continue,
        };
        return ok(json!({ "key_id": key, "upstream_status": upstream_status, "new_id": new }));
    }
}

/// The healthy key whose last turn is the longest ago.
async fn next(app: &App, pool: &str) -> Result<Option<String>, sqlx::Error> {
    let mut tx = app.database.write().await?;
    let statement = "UPDATE keys SET requests_count = requests_count + 1,
            last_turn = (SELECT MAX(last_turn) + 1 FROM keys WHERE pool = ?1)
        WHERE pool = ?1 AND id = (SELECT id FROM keys WHERE pool = ?1 AND status = 'healthy'
            ORDER BY last_turn, rowid LIMIT 1)
        RETURNING id";
    let key = sqlx::query_scalar(statement)
        .bind(pool)
        .fetch_optional(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(key)
}
