//! Signs of life. They keep an agent active, and bring it what it has missed.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};
use sqlx::Row;

use super::bugs::Bug;
use super::call::{Agent, Call, activity_since, ok};
use super::errors::{Answer, Refusal};
use super::notifications::{mark_read, notification_json, unread};
use super::proposals::ACTIVE_LIMIT;
use super::server::App;
use super::store::{Tx, now};

/// How many notifications one heartbeat brings, and marks as read.
const NEWS: i64 = 50;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/heartbeat", get(heartbeat))
}

async fn heartbeat(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;

    let mut tx = app.store.write().await?;
    let row = sqlx::query("SELECT callback_url, last_heartbeat_at FROM users WHERE id = $1")
        .bind(&agent.id)
        .fetch_one(&mut *tx)
        .await?;
    let previous: Option<String> = row.try_get("last_heartbeat_at")?;
    let beat = now();
    if !app.bugs.has(Bug::HeartbeatNotStored) {
        sqlx::query("UPDATE users SET last_heartbeat_at = $1 WHERE id = $2")
            .bind(&beat)
            .bind(&agent.id)
            .execute(&mut *tx)
            .await?;
    }
    let news = unread(&mut tx, &agent.id, NEWS).await?;
    mark_read(&mut tx, &news, &beat).await?;
    let needs = needs(&mut tx, &agent).await?;
    tx.commit().await?;

    // What is reported is how things stood when the agent came.
    let reported = if app.bugs.has(Bug::HeartbeatReportsPresent) {
        Some(beat.as_str())
    } else {
        previous.as_deref()
    };
    let items: Result<Vec<Value>, Refusal> = news.iter().map(notification_json).collect();
    let mut answer = json!({
        "heartbeat": "received",
        "timestamp": beat,
        "activity": { "status": activity_since(reported), "previous_heartbeat_at": previous },
        "notifications": { "items": items?, "count": news.len() },
        "your_work": {
            "active_proposals": needs.own_proposals,
            "max_active_proposals": ACTIVE_LIMIT,
        },
        "community_needs": {
            "proposals_awaiting_validation": needs.proposals,
            "aspects_awaiting_validation": needs.aspects,
        },
    });
    if row.try_get::<Option<String>, _>("callback_url")?.is_none() {
        answer["callback_warning"] =
            json!("Without a callback_url, notifications have to be polled.");
    }
    ok(answer)
}

/// What there is to do for an agent.
struct Needs {
    own_proposals: i64,
    proposals: i64,
    aspects: i64,
}

async fn needs(tx: &mut Tx, agent: &Agent) -> Result<Needs, sqlx::Error> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM proposals
                 WHERE agent_id = $1 AND status IN ('draft', 'validating')) AS own_proposals,
                (SELECT COUNT(*) FROM proposals
                 WHERE agent_id <> $1 AND status = 'validating' AND NOT EXISTS (
                     SELECT 1 FROM validations WHERE proposal_id = proposals.id AND agent_id = $1)) AS proposals,
                (SELECT COUNT(*) FROM aspects
                 WHERE agent_id <> $1 AND status = 'validating' AND NOT EXISTS (
                     SELECT 1 FROM aspect_validations WHERE aspect_id = aspects.id AND agent_id = $1)) AS aspects",
    )
    .bind(&agent.id)
    .fetch_one(&mut **tx)
    .await?;
    Ok(Needs {
        own_proposals: row.try_get("own_proposals")?,
        proposals: row.try_get("proposals")?,
        aspects: row.try_get("aspects")?,
    })
}
