//! `/pools`, who may use one, and `/admin/stats` and `/admin/history`, which are about all of a pool.

use axum::Router;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::routing::{get, post};
use serde_json::json;

use super::errors::{Answer, Refusal, created, ok};
use super::service::{App, finish};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/pools", post(open))
        .route("/admin/stats", get(stats))
        .route("/admin/history", get(history))
}

/// The id of the pool that the request's `X-Admin-Key` opens.
pub(super) struct Pool(pub String);

impl FromRequestParts<App> for Pool {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let shown = parts.headers.get("x-admin-key");
        let Some(shown) = shown.and_then(|shown| shown.to_str().ok()) else {
            return Err(Refusal::unauthenticated());
        };
        let pool = sqlx::query_scalar("SELECT id FROM pools WHERE admin_key = ?")
            .bind(shown)
            .fetch_optional(&app.database.readers)
            .await?;
        pool.map(Self).ok_or_else(Refusal::unauthenticated)
    }
}

async fn open(State(app): State<App>) -> Answer {
    finish(async move {
        let pool = format!("pool_{}", uuid::Uuid::new_v4().simple());
        let admin_key = format!("ak_{}", uuid::Uuid::new_v4().simple());
        let mut tx = app.database.write().await?;
        sqlx::query("INSERT INTO pools (id, admin_key) VALUES (?, ?)")
            .bind(&pool)
            .bind(&admin_key)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        created(json!({ "pool": pool, "admin_key": admin_key }))
    })
    .await
}

async fn stats(State(app): State<App>, Pool(pool): Pool) -> Answer {
    let statement = "SELECT
        (SELECT COUNT(*) FROM keys WHERE pool = ?1),
        (SELECT COUNT(*) FROM keys WHERE pool = ?1 AND status = 'healthy'),
        (SELECT COUNT(*) FROM backups WHERE pool = ?1),
        (SELECT COUNT(*) FROM backups WHERE pool = ?1 AND NOT is_used),
        (SELECT COUNT(*) FROM bindings WHERE pool = ?1),
        (SELECT COUNT(*) FROM history WHERE pool = ?1)";
    let (keys, healthy, backups, available, bindings, rotations): (i64, i64, i64, i64, i64, i64) =
        sqlx::query_as(statement)
            .bind(&pool)
            .fetch_one(&app.database.readers)
            .await?;
    ok(json!({
        "keys": keys, "healthy": healthy, "backups": backups, "available": available,
        "used": backups - available, "bindings": bindings, "rotations": rotations,
    }))
}

async fn history(State(app): State<App>, Pool(pool): Pool) -> Answer {
    let statement =
        "SELECT key_id, reason, new_key_id, at FROM history WHERE pool = ? ORDER BY rowid";
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(statement)
        .bind(&pool)
        .fetch_all(&app.database.readers)
        .await?;
    let items: Vec<_> = rows
        .into_iter()
        .map(|(key, reason, new, at)| {
            json!({ "key_id": key, "reason": reason, "new_key_id": new, "at": at })
        })
        .collect();
    ok(json!({ "total": items.len(), "items": items }))
}
