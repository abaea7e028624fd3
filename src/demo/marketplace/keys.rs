//! `/api/v1/users` and `/api/v1/auth/keys`: users, and the API keys that they make and revoke.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{delete, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::credentials::{hash, new_key, new_token};
use super::errors::{Answer, Refusal, created, ok};
use super::gateway::{App, finish};
use super::input::{Fields, Id};
use super::store::new_id;

const LONGEST_NAME: usize = 100;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/users", post(create_user))
        .route("/api/v1/auth/keys", post(create_key).get(list_keys))
        .route("/api/v1/auth/keys/{id}", delete(revoke_key))
}

async fn create_user(State(app): State<App>, fields: Fields) -> Answer {
    let name = fields.short_text("name", LONGEST_NAME)?;
    finish(async move {
        let (id, token) = (new_id(), new_token());
        let mut tx = app.store.write().await?;
        sqlx::query("INSERT INTO users (id, name, token_hash) VALUES (?, ?, ?)")
            .bind(&id)
            .bind(&name)
            .bind(hash(&token))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        created(json!({ "id": id, "name": name, "token": token }))
    })
    .await
}

async fn create_key(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Answer {
    let name = fields.short_text("name", LONGEST_NAME)?;
    finish(async move {
        let user = app.user(&headers).await?;
        let id = new_id();
        let (prefix, secret) = new_key();
        let mut tx = app.store.write().await?;
        sqlx::query(
            "INSERT INTO api_keys (id, user_id, name, prefix, secret_hash) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&id)
        .bind(&user)
        .bind(&name)
        .bind(&prefix)
        .bind(hash(&secret))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let key = format!("{prefix}.{secret}");
        ok(json!({ "id": id, "key": key, "key_prefix": prefix, "name": name }))
    })
    .await
}

async fn list_keys(State(app): State<App>, headers: HeaderMap) -> Answer {
    let user = app.user(&headers).await?;
    let mut tx = app.store.read().await?;
    let statement =
        "SELECT id, prefix, name, is_active FROM api_keys WHERE user_id = ? ORDER BY position";
    let rows = sqlx::query(statement)
        .bind(&user)
        .fetch_all(&mut *tx)
        .await?;
    let entry = |row: &SqliteRow| {
        Ok(json!({
            "id": row.try_get::<&str, _>("id")?,
            "key_prefix": row.try_get::<&str, _>("prefix")?,
            "name": row.try_get::<&str, _>("name")?,
            "is_active": row.try_get::<bool, _>("is_active")?,
        }))
    };
    let keys: Vec<Value> = rows.iter().map(entry).collect::<Result<_, sqlx::Error>>()?;
    ok(json!({ "keys": keys }))
}

/// Closes the key's session, and lets nobody in with it any more. Can be repeated.
async fn revoke_key(State(app): State<App>, headers: HeaderMap, Id(id): Id) -> Answer {
    finish(async move {
        let user = app.user(&headers).await?;
        let _lock = app.lock(&id).await;
        let owner: Option<String> = {
            let mut tx = app.store.read().await?;
            sqlx::query_scalar("SELECT user_id FROM api_keys WHERE id = ?")
                .bind(&id)
                .fetch_optional(&mut *tx)
                .await?
        };
        if owner != Some(user) {
            return Err(Refusal::absent("key"));
        }
        if let Some(active) = app.store.active_session(&id).await? {
            app.close(&active.id).await?;
        }
        app.store.revoke_key(&id).await?;
        ok(json!({ "id": id, "is_active": false }))
    })
    .await
}
