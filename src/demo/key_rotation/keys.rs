//! `/admin/keys`: the keys that are in use.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::errors::{Answer, Refusal, created, no_content, ok};
use super::pools::Pool;
use super::rotation::{Rotation, Trigger, rotate};
use super::service::{App, finish, now};
use crate::demo::sqlite::Tx;

const LONGEST_ID: usize = 64;
const SHORTEST_KEY: usize = 8;
const LONGEST_KEY: usize = 200;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/admin/keys", get(list).post(add))
        .route("/admin/keys/{id}", axum::routing::delete(remove))
        .route("/admin/keys/{id}/rotate", post(rotate_key))
}

/// A key or a backup, as it is added.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    pub id: String,
    pub api_key: String,
}

impl NewKey {
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if !(1..=LONGEST_ID).contains(&self.id.chars().count()) {
            return Err(Refusal::invalid("an id has 1 to 64 characters"));
        }
        if !(SHORTEST_KEY..=LONGEST_KEY).contains(&self.api_key.chars().count()) {
            return Err(Refusal::invalid("a key has 8 to 200 characters"));
        }
        Ok(())
    }

    /// Takes the id for good.
    pub(super) async fn reserve(&self, tx: &mut Tx, pool: &str) -> Result<(), Refusal> {
        let taken = sqlx::query("INSERT OR IGNORE INTO ids (pool, id) VALUES (?, ?)")
            .bind(pool)
            .bind(&self.id)
            .execute(&mut **tx)
            .await?;
        match taken.rows_affected() {
            0 => Err(Refusal::conflict("exists", "this id was given before")),
            _ => Ok(()),
        }
    }
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
        sqlx::query("INSERT INTO keys (pool, id, api_key, created_at) VALUES (?, ?, ?, ?)")
            .bind(&pool)
            .bind(&new.id)
            .bind(&new.api_key)
            .bind(now())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        let shown = app.masked(&new.api_key);
        created(json!({ "id": new.id, "api_key": shown, "status": "healthy" }))
    })
    .await
}

async fn list(State(app): State<App>, Pool(pool): Pool) -> Answer {
    type Row = (String, String, String, i64, Option<String>, String);
    let statement = "SELECT id, api_key, status, requests_count, replaced_key, created_at
        FROM keys WHERE pool = ? ORDER BY rowid";
    let rows: Vec<Row> = sqlx::query_as(statement)
        .bind(&pool)
        .fetch_all(&app.database.readers)
        .await?;
    let item = |(id, api_key, status, requests, replaced, at): Row| {
        json!({
            "id": id, "api_key": app.masked(&api_key), "status": status, "requests_count": requests,
            "replaced_key": replaced, "created_at": at,
        })
    };
    let items: Vec<_> = rows.into_iter().map(item).collect();
    ok(json!({ "total": items.len(), "items": items }))
}

async fn remove(State(app): State<App>, Pool(pool): Pool, Path(id): Path<String>) -> Answer {
    finish(async move {
        let mut tx = app.database.write().await?;
        sqlx::query("DELETE FROM bindings WHERE pool = ? AND key_id = ?")
            .bind(&pool)
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        let deleted = sqlx::query("DELETE FROM keys WHERE pool = ? AND id = ?")
            .bind(&pool)
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        if deleted.rows_affected() == 0 {
            return Err(Refusal::absent("key"));
        }
        tx.commit().await?;
        no_content()
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

async fn rotate_key(
    State(app): State<App>,
    Pool(pool): Pool,
    Path(id): Path<String>,
    why: Result<Json<Why>, JsonRejection>,
) -> Answer {
    let Json(Why { reason }) = why?;
    let rotation = finish({
        let id = id.clone();
        async move { rotate(&app, &pool, &id, &reason, Trigger::Admin).await }
    });
    match rotation.await? {
        Rotation::Done { new } => ok(json!({ "old_id": id, "new_id": new })),
        Rotation::Already => ok(json!({ "old_id": id, "new_id": "", "already_rotated": true })),
        Rotation::Absent => Err(Refusal::absent("key")),
        Rotation::NoBackup => Err(Refusal::unavailable("no_backup", "no backup is left")),
        Rotation::Failed => Err(Refusal::unavailable("failed", "the rotation failed")),
    }
}
