//! `/admin/backup-keys`: the keys that wait for another one to fail.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::json;

use super::errors::{Answer, Refusal, created, no_content, ok};
use super::keys::NewKey;
use super::pools::Pool;
use super::service::{App, finish, now};
use super::slips::Slip;
use crate::demo::sqlite::Tx;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/admin/backup-keys", get(list).post(add))
        .route("/admin/backup-keys/{id}", delete(remove))
        .route("/admin/backup-keys/{id}/restore", post(restore))
}

async fn add(
    State(app): State<App>,
    Pool(pool): Pool,
    new: Result<Json<NewKey>, JsonRejection>,
) -> Answer {
    let Json(new) = new?;
    new.check()?;
    finish(async move {
        let mut tx = app.database.write().await?;
        new.reserve(&mut tx, &pool).await?;
        sqlx::query("INSERT INTO backups (pool, id, api_key, created_at) VALUES (?, ?, ?, ?)")
            .bind(&pool)
            .bind(&new.id)
            .bind(&new.api_key)
            .bind(now())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        let shown = app.masked(&new.api_key);
        created(json!({ "id": new.id, "api_key": shown, "is_used": false }))
    })
    .await
}

async fn list(State(app): State<App>, Pool(pool): Pool) -> Answer {
    type Row = (String, String, bool, Option<String>, Option<String>, String);
    let statement = "SELECT id, api_key, is_used, used_for, used_at, created_at
        FROM backups WHERE pool = ? ORDER BY rowid";
    let rows: Vec<Row> = sqlx::query_as(statement)
        .bind(&pool)
        .fetch_all(&app.database.readers)
        .await?;
    let used = rows.iter().filter(|row| row.2).count();
    let item = |(id, api_key, is_used, used_for, used_at, at): Row| {
        json!({
            "id": id, "api_key": app.masked(&api_key), "is_used": is_used, "used_for": used_for,
            "used_at": used_at, "created_at": at,
        })
    };
    let keys: Vec<_> = rows.into_iter().map(item).collect();
    let total = keys.len();
    ok(json!({ "keys": keys, "total": total, "available": total - used, "used": used }))
}

/// Whether a backup is used, or 404.
async fn is_used(tx: &mut Tx, pool: &str, id: &str) -> Result<bool, Refusal> {
    sqlx::query_scalar("SELECT is_used FROM backups WHERE pool = ? AND id = ?")
        .bind(pool)
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Refusal::absent("backup"))
}

async fn remove(State(app): State<App>, Pool(pool): Pool, Path(id): Path<String>) -> Answer {
    finish(async move {
        let mut tx = app.database.write().await?;
        if is_used(&mut tx, &pool, &id).await? {
            return Err(Refusal::conflict("used", "this backup is used"));
        }
        sqlx::query("DELETE FROM backups WHERE pool = ? AND id = ?")
            .bind(&pool)
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        no_content()
    })
    .await
}

async fn restore(State(app): State<App>, Pool(pool): Pool, Path(id): Path<String>) -> Answer {
    finish(async move {
        let mut tx = app.database.write().await?;
        if !is_used(&mut tx, &pool, &id).await? {
            return Err(Refusal::conflict("available", "this backup is not used"));
        }
        let active: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM keys WHERE pool = ? AND id = ?)")
                .bind(&pool)
                .bind(&id)
                .fetch_one(&mut *tx)
                .await?;
        if active && !app.slips.has(Slip::RestoreActiveOk) {
            return Err(Refusal::conflict("active", "this backup is an active key"));
        }
        let statement = "UPDATE backups SET is_used = FALSE, used_for = NULL, used_at = NULL
            WHERE pool = ? AND id = ?";
        sqlx::query(statement)
            .bind(&pool)
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        ok(json!({ "id": id, "is_used": false }))
    })
    .await
}
