//! What happened to an agent's things while it was away: written by the other areas, polled by the agent.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Call, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::server::App;
use super::store::{Columns, Tx, new_id, now};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/notifications/pending", get(pending))
        .route("/api/notifications/history", get(history))
        .route("/api/notifications/{notification_id}/read", post(read))
}

/// News for one agent, about a `(type, id)`.
pub(super) async fn notify(
    tx: &mut Tx,
    user: &str,
    kind: &str,
    (target_type, target_id): (&str, &str),
    data: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO notifications (id, user_id, notification_type, target_type, target_id, data, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(new_id())
    .bind(user)
    .bind(kind)
    .bind(target_type)
    .bind(target_id)
    .bind(data.to_string())
    .bind(now())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The newest that an agent has not read. What was sent is not read yet.
pub(super) async fn unread(
    tx: &mut Tx,
    user: &str,
    limit: i64,
) -> Result<Vec<AnyRow>, sqlx::Error> {
    sqlx::query(
        "SELECT * FROM notifications WHERE user_id = $1 AND status IN ('pending', 'sent')
         ORDER BY created_at DESC LIMIT $2",
    )
    .bind(user)
    .bind(limit)
    .fetch_all(&mut **tx)
    .await
}

/// What an agent has not been shown about one thing, oldest first.
pub(super) async fn pending_about(
    tx: &mut Tx,
    user: &str,
    (target_type, target_id): (&str, &str),
) -> Result<Vec<AnyRow>, sqlx::Error> {
    sqlx::query(
        "SELECT * FROM notifications
         WHERE user_id = $1 AND target_type = $2 AND target_id = $3 AND status = 'pending' ORDER BY created_at",
    )
    .bind(user)
    .bind(target_type)
    .bind(target_id)
    .fetch_all(&mut **tx)
    .await
}

pub(super) async fn mark_read(
    tx: &mut Tx,
    notifications: &[AnyRow],
    read_at: &str,
) -> Result<(), sqlx::Error> {
    for row in notifications {
        sqlx::query("UPDATE notifications SET status = 'read', read_at = $1 WHERE id = $2")
            .bind(read_at)
            .bind(row.try_get::<String, _>("id")?)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

pub(super) fn notification_json(row: &AnyRow) -> Result<Value, Refusal> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "notification_type": row.try_get::<String, _>("notification_type")?,
        "target_type": row.try_get::<Option<String>, _>("target_type")?,
        "target_id": row.try_get::<Option<String>, _>("target_id")?,
        "data": row.document("data")?,
        "created_at": row.try_get::<String, _>("created_at")?,
    }))
}

/// For agents without a callback. To have seen a notification here is to have read it, unless one only peeks.
async fn pending(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let limit = input.query_int("limit", 20, 1..=100);
    let marks = input.query_flag("mark_as_read", true);
    input.finish()?;

    let is_marked =
        (marks || app.bugs.has(Bug::PeekMarksRead)) && !app.bugs.has(Bug::PendingNotMarked);
    let mut tx = if is_marked {
        app.store.write().await?
    } else {
        app.store.snapshot().await?
    };
    let rows = if app.bugs.has(Bug::PendingOfEveryone) {
        sqlx::query(
            "SELECT * FROM notifications WHERE status IN ('pending', 'sent') ORDER BY created_at DESC LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&mut *tx)
        .await?
    } else {
        unread(&mut tx, &agent.id, limit).await?
    };
    if is_marked {
        mark_read(&mut tx, &rows, &now()).await?;
    }
    tx.commit().await?;
    let items: Result<Vec<Value>, Refusal> = rows.iter().map(notification_json).collect();
    ok(json!({ "notifications": items?, "count": rows.len(), "marked_as_read": marks }))
}

/// The page of a history, and how long the whole of it is.
macro_rules! history {
    ($statuses:literal) => {
        (
            concat!(
                "SELECT * FROM notifications WHERE user_id = $1 AND status IN ",
                $statuses,
                " ORDER BY created_at DESC LIMIT $2 OFFSET $3"
            ),
            concat!(
                "SELECT COUNT(*) AS total FROM notifications WHERE user_id = $1 AND status IN ",
                $statuses
            ),
        )
    };
}

/// All there ever was, or the half of it that was read or not.
async fn history(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let status = input.query_choice("status", &["all", "read", "unread"]);
    let limit = input.query_int("limit", 50, 1..=200);
    let offset = input.query_int("offset", 0, 0..=i64::MAX - 200);
    input.finish()?;

    let is_inverted = app.bugs.has(Bug::HistoryFilterInverted);
    let (select, count) = match status {
        Some("read") if !is_inverted => history!("('read')"),
        Some("unread") if is_inverted => history!("('read')"),
        Some("read" | "unread") => history!("('pending', 'sent')"),
        _ => history!("('pending', 'sent', 'failed', 'read')"),
    };
    let mut tx = app.store.snapshot().await?;
    let rows = sqlx::query(select)
        .bind(&agent.id)
        .bind(limit)
        .bind(offset)
        .fetch_all(&mut *tx)
        .await?;
    let count = sqlx::query(count)
        .bind(&agent.id)
        .fetch_one(&mut *tx)
        .await?;
    let total: i64 = count.try_get("total")?;
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut item = notification_json(row)?;
        for column in ["status", "sent_at", "read_at"] {
            item[column] = json!(row.try_get::<Option<String>, _>(column)?);
        }
        items.push(item);
    }
    ok(json!({
        "notifications": items,
        "count": rows.len(),
        "total": total,
        "limit": limit,
        "offset": offset,
        "has_more": offset + limit < total,
    }))
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("notification_id");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let row = sqlx::query("SELECT * FROM notifications WHERE id = $1")
        .bind(&id)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Refusal::absent("Notification", &id))?;
    let is_own = row.try_get::<String, _>("user_id")? == agent.id;
    if !is_own && !app.bugs.has(Bug::NotificationReadByAnyone) {
        return Err(Refusal::forbidden(
            "Not your notification",
            "Only the agent it was written for can mark it.",
        ));
    }
    let read_at = now();
    mark_read(&mut tx, &[row], &read_at).await?;
    tx.commit().await?;
    ok(json!({ "notification_id": id, "status": "read", "read_at": read_at }))
}
