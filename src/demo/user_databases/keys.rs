//! `/users/me/keys`: the API keys of a user. Each is shown once, when it is made.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{delete, post};
use serde_json::json;

use super::credentials::{Alone, Caller, new_key, prefix};
use super::errors::{Answer, Refusal, created, no_content, ok};
use super::service::{App, new_id};
use crate::demo::answers::hash;
use crate::demo::sqlite::Tx;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/users/me/keys", post(create).get(list))
        .route("/users/me/keys/{id}", delete(revoke))
}

pub(super) struct NewKey {
    pub id: String,
    pub secret: String,
}

impl NewKey {
    pub(super) async fn insert(tx: &mut Tx, user: &str) -> Result<Self, sqlx::Error> {
        let (id, secret) = (new_id(), new_key());
        sqlx::query("INSERT INTO keys (id, user_id, hash, prefix) VALUES (?, ?, ?, ?)")
            .bind(&id)
            .bind(user)
            .bind(hash(&secret))
            .bind(prefix(&secret))
            .execute(&mut **tx)
            .await?;
        Ok(Self { id, secret })
    }
}

async fn create(State(app): State<App>, caller: Caller) -> Answer {
    let mut tx = app.master.write().await?;
    let key = NewKey::insert(&mut tx, &caller.user).await?;
    tx.commit().await?;
    created(json!({ "key_id": key.id, "api_key": key.secret }))
}

async fn list(State(app): State<App>, caller: Caller) -> Answer {
    let statement = "SELECT id, prefix, is_revoked FROM keys WHERE user_id = ? ORDER BY rowid";
    let rows: Vec<(String, String, bool)> = sqlx::query_as(statement)
        .bind(&caller.user)
        .fetch_all(&app.master.readers)
        .await?;
    let key = |(id, prefix, revoked)| json!({ "key_id": id, "prefix": prefix, "revoked": revoked });
    let keys: Vec<_> = rows.into_iter().map(key).collect();
    ok(json!({ "keys": keys }))
}

async fn revoke(State(app): State<App>, Alone(caller): Alone, Path(id): Path<String>) -> Answer {
    let mut tx = app.master.write().await?;
    let statement = "UPDATE keys SET is_revoked = TRUE
        WHERE id = ? AND user_id = ? AND NOT is_revoked RETURNING hash";
    let hash: Option<String> = sqlx::query_scalar(statement)
        .bind(&id)
        .bind(&caller.user)
        .fetch_optional(&mut *tx)
        .await?;
    let hash = hash.ok_or_else(|| Refusal::absent("key"))?;
    tx.commit().await?;
    app.forget(&hash);
    no_content()
}
