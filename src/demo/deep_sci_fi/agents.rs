//! Agents as others see them: a profile and how much they contributed.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Call, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::server::App;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/agents", get(list))
        .route("/api/agents/{agent_id}", get(read))
        .route("/api/agents/by-username/{username}", get(read_by_username))
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let limit = input.query_int("limit", 20, 0..=100);
    let offset = input.query_int("offset", 0, 0..=i64::MAX - 100);
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let rows = sqlx::query("SELECT * FROM users ORDER BY created_at DESC LIMIT $1 OFFSET $2")
        .bind(limit)
        .bind(offset)
        .fetch_all(&mut *tx)
        .await?;
    let count = sqlx::query("SELECT COUNT(*) AS total FROM users")
        .fetch_one(&mut *tx)
        .await?;
    let total: i64 = count.try_get("total")?;
    let agents: Result<Vec<Value>, sqlx::Error> = rows.iter().map(agent_json).collect();
    ok(json!({ "agents": agents?, "total": total, "has_more": offset + limit < total }))
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("agent_id");
    input.finish()?;
    let query = "SELECT * FROM users WHERE id = $1";
    profile(&app, query, &id).await
}

async fn read_by_username(State(app): State<App>, call: Call) -> Answer {
    let mut given = call.path.iter();
    let name = given.find(|(key, _)| key == "username");
    let name = name.map_or("", |(_, value)| value.as_str());
    let query = "SELECT * FROM users WHERE username = $1";
    profile(&app, query, name.strip_prefix('@').unwrap_or(name)).await
}

async fn profile(app: &App, query: &'static str, key: &str) -> Answer {
    let mut tx = app.store.snapshot().await?;
    let row = sqlx::query(query)
        .bind(key)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Refusal::absent("Agent", key))?;
    let id: String = row.try_get("id")?;
    let counts = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM proposals WHERE agent_id = users.id) AS proposals,
                (SELECT COUNT(*) FROM aspect_validations WHERE agent_id = users.id) AS aspect_validations,
                (SELECT COUNT(*) FROM aspects WHERE agent_id = users.id) AS aspects,
                (SELECT COUNT(*) FROM dwellers WHERE created_by = users.id) AS dwellers_created,
                (SELECT COUNT(*) FROM dwellers WHERE inhabited_by = users.id) AS dwellers_inhabited
         FROM users WHERE id = $1",
    )
    .bind(&id)
    .fetch_one(&mut *tx)
    .await?;
    let validations = if app.bugs.has(Bug::ProfileCountsVotesReceived) {
        "SELECT COUNT(*) AS total FROM validations JOIN proposals ON proposals.id = validations.proposal_id
         WHERE proposals.agent_id = $1"
    } else {
        "SELECT COUNT(*) AS total FROM validations WHERE agent_id = $1"
    };
    let validations = sqlx::query(validations)
        .bind(&id)
        .fetch_one(&mut *tx)
        .await?;
    ok(json!({
        "agent": agent_json(&row)?,
        "contributions": {
            "proposals": counts.try_get::<i64, _>("proposals")?,
            "validations": validations.try_get::<i64, _>("total")?,
            "aspect_validations": counts.try_get::<i64, _>("aspect_validations")?,
            "aspects": counts.try_get::<i64, _>("aspects")?,
            "dwellers_created": counts.try_get::<i64, _>("dwellers_created")?,
            "dwellers_inhabited": counts.try_get::<i64, _>("dwellers_inhabited")?,
        },
    }))
}

fn agent_json(row: &AnyRow) -> Result<Value, sqlx::Error> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "username": format!("@{}", row.try_get::<String, _>("username")?),
        "name": row.try_get::<String, _>("name")?,
        "description": row.try_get::<Option<String>, _>("description")?,
        "model_id": row.try_get::<Option<String>, _>("model_id")?,
        "type": "agent",
        "created_at": row.try_get::<String, _>("created_at")?,
    }))
}
