//! `/api/v1/chat-history/…`: the chats that a user keeps, and their messages.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{delete, get, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::errors::{Answer, Refusal, created, no_content, ok};
use super::gateway::{App, finish};
use super::input::{Fields, Id};
use super::store::{Tx, new_id};

const LONGEST_TITLE: usize = 200;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/chat-history/chats", post(create).get(list))
        .route("/api/v1/chat-history/chats/{id}", get(read).delete(archive))
        .route("/api/v1/chat-history/chats/{id}/messages", post(add))
        .route("/api/v1/chat-history/messages/{id}", delete(remove))
}

async fn create(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Answer {
    let title = fields.short_text("title", LONGEST_TITLE)?;
    finish(async move {
        let user = app.user(&headers).await?;
        let id = new_id();
        let mut tx = app.store.write().await?;
        sqlx::query("INSERT INTO chats (id, user_id, title) VALUES (?, ?, ?)")
            .bind(&id)
            .bind(&user)
            .bind(&title)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        created(json!({ "id": id, "title": title }))
    })
    .await
}

async fn list(State(app): State<App>, headers: HeaderMap) -> Answer {
    let user = app.user(&headers).await?;
    let mut tx = app.store.read().await?;
    let statement =
        "SELECT id, title FROM chats WHERE user_id = ? AND is_archived = 0 ORDER BY position";
    let rows = sqlx::query(statement)
        .bind(&user)
        .fetch_all(&mut *tx)
        .await?;
    let entry = |row: &SqliteRow| {
        Ok(json!({
            "id": row.try_get::<&str, _>("id")?,
            "title": row.try_get::<&str, _>("title")?,
        }))
    };
    let chats: Vec<Value> = rows.iter().map(entry).collect::<Result<_, sqlx::Error>>()?;
    ok(json!({ "chats": chats }))
}

/// The title of a user's chat; 404 if it is somebody else's or archived.
async fn title(tx: &mut Tx, id: &str, user: &str) -> Result<String, Refusal> {
    let statement = "SELECT title FROM chats WHERE id = ? AND user_id = ? AND is_archived = 0";
    let title = sqlx::query_scalar(statement)
        .bind(id)
        .bind(user)
        .fetch_optional(&mut **tx)
        .await?;
    title.ok_or_else(|| Refusal::absent("chat"))
}

async fn read(State(app): State<App>, headers: HeaderMap, Id(id): Id) -> Answer {
    let user = app.user(&headers).await?;
    let mut tx = app.store.read().await?;
    let title = title(&mut tx, &id, &user).await?;
    let statement =
        "SELECT id, role, content, sequence FROM messages WHERE chat_id = ? ORDER BY sequence";
    let rows = sqlx::query(statement).bind(&id).fetch_all(&mut *tx).await?;
    let entry = |row: &SqliteRow| {
        Ok(json!({
            "id": row.try_get::<&str, _>("id")?,
            "role": row.try_get::<&str, _>("role")?,
            "content": row.try_get::<&str, _>("content")?,
            "sequence": row.try_get::<i64, _>("sequence")?,
        }))
    };
    let messages: Vec<Value> = rows.iter().map(entry).collect::<Result<_, sqlx::Error>>()?;
    ok(json!({ "id": id, "title": title, "messages": messages }))
}

async fn archive(State(app): State<App>, headers: HeaderMap, Id(id): Id) -> Answer {
    finish(async move {
        let user = app.user(&headers).await?;
        let mut tx = app.store.write().await?;
        title(&mut tx, &id, &user).await?;
        sqlx::query("UPDATE chats SET is_archived = 1 WHERE id = ?")
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        no_content()
    })
    .await
}

async fn add(State(app): State<App>, headers: HeaderMap, Id(id): Id, fields: Fields) -> Answer {
    let role = fields.required_text("role")?;
    let content = fields.required_text("content")?;
    finish(async move {
        let user = app.user(&headers).await?;
        if !["user", "assistant"].contains(&role.as_str()) {
            return Err(Refusal::bad("role must be `user` or `assistant`"));
        }
        let mut tx = app.store.write().await?;
        title(&mut tx, &id, &user).await?;
        let next = "UPDATE chats SET last_sequence = last_sequence + 1 WHERE id = ?
                    RETURNING last_sequence";
        let sequence: i64 = sqlx::query_scalar(next)
            .bind(&id)
            .fetch_one(&mut *tx)
            .await?;
        let message = new_id();
        let statement =
            "INSERT INTO messages (id, chat_id, role, content, sequence) VALUES (?, ?, ?, ?, ?)";
        sqlx::query(statement)
            .bind(&message)
            .bind(&id)
            .bind(&role)
            .bind(&content)
            .bind(sequence)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        created(json!({ "id": message, "role": role, "content": content, "sequence": sequence }))
    })
    .await
}

async fn remove(State(app): State<App>, headers: HeaderMap, Id(id): Id) -> Answer {
    finish(async move {
        let user = app.user(&headers).await?;
        let mut tx = app.store.write().await?;
        let statement = "DELETE FROM messages WHERE id = ? AND chat_id IN
                         (SELECT id FROM chats WHERE user_id = ? AND is_archived = 0)";
        let removed = sqlx::query(statement)
            .bind(&id)
            .bind(&user)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        match removed.rows_affected() {
            0 => Err(Refusal::absent("message")),
            _ => no_content(),
        }
    })
    .await
}
