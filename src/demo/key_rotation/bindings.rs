//! `/admin/bindings`: which outbound proxy uses which key.

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::errors::{Answer, Refusal, created, ok};
use super::pools::Pool;
use super::service::{App, finish};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/admin/bindings", get(list).post(bind))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBinding {
    proxy_id: String,
    key_id: String,
    #[serde(default)]
    priority: i64,
}

async fn bind(
    State(app): State<App>,
    Pool(pool): Pool,
    new: Result<Json<NewBinding>, JsonRejection>,
) -> Answer {
    let Json(new) = new?;
    finish(async move {
        let mut tx = app.database.write().await?;
        let active: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM keys WHERE pool = ? AND id = ?)")
                .bind(&pool)
                .bind(&new.key_id)
                .fetch_one(&mut *tx)
                .await?;
        if !active {
            return Err(Refusal::absent("key"));
        }
        let statement = "INSERT OR IGNORE INTO bindings (pool, proxy_id, key_id, priority)
            VALUES (?, ?, ?, ?)";
        let bound = sqlx::query(statement)
            .bind(&pool)
            .bind(&new.proxy_id)
            .bind(&new.key_id)
            .bind(new.priority)
            .execute(&mut *tx)
            .await?;
        if bound.rows_affected() == 0 {
            return Err(Refusal::conflict("bound", "this proxy has a key"));
        }
        tx.commit().await?;
        created(json!({ "proxy_id": new.proxy_id, "key_id": new.key_id, "is_active": true }))
    })
    .await
}

async fn list(State(app): State<App>, Pool(pool): Pool) -> Answer {
    let statement = "SELECT proxy_id, key_id, priority FROM bindings WHERE pool = ? ORDER BY rowid";
    let rows: Vec<(String, String, i64)> = sqlx::query_as(statement)
        .bind(&pool)
        .fetch_all(&app.database.readers)
        .await?;
    let items: Vec<_> = rows
        .into_iter()
        .map(|(proxy, key, priority)| {
            json!({ "proxy_id": proxy, "key_id": key, "priority": priority, "is_active": true })
        })
        .collect();
    ok(json!({ "total": items.len(), "items": items }))
}
