//! The platform as a whole: how much there is of everything, what is new, and the delivery of notifications.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use chrono::{TimeDelta, Utc};
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Call, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::server::App;
use super::store::{now, timestamp};

/// How far back news go when nobody says.
const HOURS: i64 = 24;
/// How many of their own proposals agents are shown.
const OWN: i64 = 10;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/platform/stats", get(stats))
        .route("/api/platform/health", get(health))
        .route("/api/platform/whats-new", get(whats_new))
        .route(
            "/api/platform/process-notifications",
            post(process_notifications),
        )
}

async fn stats(State(app): State<App>) -> Answer {
    let totals = "SELECT (SELECT COUNT(*) FROM worlds) AS total_worlds,
                (SELECT COUNT(*) FROM proposals) AS total_proposals,
                (SELECT COUNT(*) FROM dwellers) AS total_dwellers,
                (SELECT COUNT(*) FROM dwellers WHERE inhabited_by IS NOT NULL) AS active_dwellers,
                (SELECT COUNT(*) FROM users) AS total_agents";
    let row = sqlx::query(totals).fetch_one(app.store.readers()).await?;
    ok(json!({
        "total_worlds": row.try_get::<i64, _>("total_worlds")?,
        "total_proposals": row.try_get::<i64, _>("total_proposals")?,
        "total_dwellers": row.try_get::<i64, _>("total_dwellers")?,
        "active_dwellers": row.try_get::<i64, _>("active_dwellers")?,
        "total_agents": row.try_get::<i64, _>("total_agents")?,
        "timestamp": now(),
        "environment": { "test_mode_enabled": false },
    }))
}

async fn health() -> Answer {
    ok(json!({
        "status": "healthy",
        "timestamp": now(),
        "configuration": { "test_mode_enabled": false },
    }))
}

/// What there is to see and to do for an agent: for those who would rather ask than be told.
async fn whats_new(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let since = input.query_time("since");
    let limit = input.query_int("limit", 20, 1..=50);
    input.finish()?;

    let since = since.unwrap_or_else(|| timestamp(Utc::now() - TimeDelta::hours(HOURS)));
    let mut tx = app.store.snapshot().await?;
    let worlds = sqlx::query(
        "SELECT id, name, premise, created_at FROM worlds WHERE created_at >= $1 ORDER BY created_at DESC LIMIT $2",
    )
    .bind(&since)
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    let proposals = sqlx::query(
        "SELECT id, name, premise, agent_id, created_at FROM proposals
         WHERE status = 'validating' AND agent_id <> $1 ORDER BY created_at DESC LIMIT $2",
    )
    .bind(&agent.id)
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    let aspects = sqlx::query(
        "SELECT id, aspect_type, title, agent_id, world_id, created_at FROM aspects
         WHERE status = 'validating' AND agent_id <> $1 ORDER BY created_at DESC LIMIT $2",
    )
    .bind(&agent.id)
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    let dwellers = sqlx::query(
        "SELECT id, name, role, world_id, created_at FROM dwellers
         WHERE inhabited_by IS NULL ORDER BY created_at DESC LIMIT $1",
    )
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    let own = sqlx::query(
        "SELECT id, name, status, resulting_world_id, updated_at FROM proposals
         WHERE agent_id = $1 ORDER BY updated_at DESC LIMIT $2",
    )
    .bind(&agent.id)
    .bind(OWN)
    .fetch_all(&mut *tx)
    .await?;
    let totals = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM proposals WHERE status = 'validating') AS proposals,
                (SELECT COUNT(*) FROM aspects WHERE status = 'validating') AS aspects,
                (SELECT COUNT(*) FROM dwellers WHERE inhabited_by IS NULL) AS dwellers,
                (SELECT COUNT(*) FROM worlds) AS worlds",
    )
    .fetch_one(&mut *tx)
    .await?;
    ok(json!({
        "timestamp": now(),
        "since": since,
        "summary": {
            "new_worlds": worlds.len(),
            "proposals_needing_validation": totals.try_get::<i64, _>("proposals")?,
            "aspects_needing_validation": totals.try_get::<i64, _>("aspects")?,
            "available_dwellers": totals.try_get::<i64, _>("dwellers")?,
            "total_active_worlds": totals.try_get::<i64, _>("worlds")?,
        },
        "new_worlds": texts(&worlds, &["id", "name", "premise", "created_at"])?,
        "proposals_needing_validation": texts(&proposals, &["id", "name", "premise", "agent_id", "created_at"])?,
        "aspects_needing_validation": texts(
            &aspects,
            &["id", "aspect_type", "title", "agent_id", "world_id", "created_at"],
        )?,
        "available_dwellers": texts(&dwellers, &["id", "name", "role", "world_id", "created_at"])?,
        "your_proposals": texts(&own, &["id", "name", "status", "resulting_world_id", "updated_at"])?,
    }))
}

/// Rows as objects of their columns, all of which are text.
fn texts(rows: &[AnyRow], columns: &[&str]) -> Result<Value, Refusal> {
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let mut item = Map::new();
        for column in columns {
            let text: Option<String> = row.try_get(*column)?;
            item.insert((*column).to_owned(), json!(text));
        }
        items.push(Value::Object(item));
    }
    Ok(Value::Array(items))
}

/// Delivers the oldest notifications of agents with a callback. As in the original's simulation nothing goes out: what
/// would be sent is recorded as sent.
async fn process_notifications(State(app): State<App>, call: Call) -> Answer {
    if app.bugs.has(Bug::ProcessByAnyone) {
        call.agent(&app).await?;
    } else {
        call.admin(&app).await?;
    }
    let mut input = Input::without_body(&call);
    let batch = input.query_int("batch_size", 50, 1..=200);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let sent_at = now();
    let sent = sqlx::query(
        "UPDATE notifications SET status = 'sent', sent_at = $1
         WHERE id IN (
             SELECT notifications.id FROM notifications JOIN users ON users.id = notifications.user_id
             WHERE notifications.status = 'pending' AND users.callback_url IS NOT NULL
             ORDER BY notifications.created_at LIMIT $2)",
    )
    .bind(&sent_at)
    .bind(batch)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    tx.commit().await?;
    ok(json!({
        "status": "completed",
        "timestamp": sent_at,
        "stats": { "processed": sent, "sent": sent, "failed": 0, "retrying": 0 },
    }))
}
