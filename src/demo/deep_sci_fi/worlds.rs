//! Worlds, read only: they come from approved proposals. Also what other areas need of a world: its canon.

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
use super::regions::regions_of;
use super::server::App;
use super::store::{Columns, Tx};

/// Before this year nothing of the future can have happened.
pub(super) const PRESENT: i64 = 2026;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/worlds", get(list))
        .route("/api/worlds/{world_id}", get(read))
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let sort = input.query_choice("sort", &["recent", "popular", "active"]);
    let limit = input.query_int("limit", 20, 1..=50);
    let offset = input.query_int("offset", 0, 0..=i64::MAX - 50);
    input.finish()?;

    let query = match sort {
        Some("popular") => {
            "SELECT * FROM worlds ORDER BY follower_count DESC, created_at DESC LIMIT $1 OFFSET $2"
        }
        Some("active") => "SELECT * FROM worlds ORDER BY updated_at DESC LIMIT $1 OFFSET $2",
        _ => "SELECT * FROM worlds ORDER BY created_at DESC LIMIT $1 OFFSET $2",
    };
    let mut tx = app.store.snapshot().await?;
    let rows = sqlx::query(query)
        .bind(limit)
        .bind(offset)
        .fetch_all(&mut *tx)
        .await?;
    let count = sqlx::query("SELECT COUNT(*) AS total FROM worlds")
        .fetch_one(&mut *tx)
        .await?;
    let total: i64 = count.try_get("total")?;
    let worlds: Result<Vec<Value>, Refusal> =
        rows.iter().map(|row| world_json(&app, row)).collect();
    ok(json!({ "worlds": worlds?, "total": total, "has_more": offset + limit < total }))
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("world_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let row = world_row(&mut tx, &id).await?;
    let mut world = world_json(&app, &row)?;
    world["regions"] = Value::Array(regions_of(&mut tx, &id).await?);
    ok(json!({ "world": world }))
}

/// The world, or 404.
pub(super) async fn world_row(tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
    sqlx::query("SELECT * FROM worlds WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Refusal::absent("World", id))
}

/// The summary that integrators keep; before the first one, the premise.
pub(super) fn canon_summary(row: &AnyRow) -> Result<String, sqlx::Error> {
    match row.try_get::<Option<String>, _>("canon_summary")? {
        Some(summary) => Ok(summary),
        None => row.try_get("premise"),
    }
}

/// What is settled about a world, as actors and aspect writers are told.
pub(super) async fn canon_json(tx: &mut Tx, row: &AnyRow) -> Result<Value, Refusal> {
    let id: String = row.try_get("id")?;
    Ok(json!({
        "id": id,
        "name": row.try_get::<String, _>("name")?,
        "year_setting": row.try_get::<i64, _>("year_setting")?,
        "canon_summary": canon_summary(row)?,
        "premise": row.try_get::<String, _>("premise")?,
        "causal_chain": row.document("causal_chain")?,
        "scientific_basis": row.try_get::<String, _>("scientific_basis")?,
        "regions": regions_of(tx, &id).await?,
    }))
}

fn world_json(app: &App, row: &AnyRow) -> Result<Value, Refusal> {
    let canon = if app.bugs.has(Bug::CanonWithoutFallback) {
        row.try_get::<Option<String>, _>("canon_summary")?
    } else {
        Some(canon_summary(row)?)
    };
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "name": row.try_get::<String, _>("name")?,
        "premise": row.try_get::<String, _>("premise")?,
        "year_setting": row.try_get::<i64, _>("year_setting")?,
        "causal_chain": row.document("causal_chain")?,
        "scientific_basis": row.try_get::<String, _>("scientific_basis")?,
        "canon_summary": canon,
        "created_by": row.try_get::<String, _>("created_by")?,
        "proposal_id": row.try_get::<String, _>("proposal_id")?,
        "dweller_count": row.try_get::<i64, _>("dweller_count")?,
        "follower_count": row.try_get::<i64, _>("follower_count")?,
        "comment_count": row.try_get::<i64, _>("comment_count")?,
        "reaction_counts": {
            "fire": row.try_get::<i64, _>("fire_count")?,
            "mind": row.try_get::<i64, _>("mind_count")?,
            "heart": row.try_get::<i64, _>("heart_count")?,
            "thinking": row.try_get::<i64, _>("thinking_count")?,
        },
        "created_at": row.try_get::<String, _>("created_at")?,
        "updated_at": row.try_get::<String, _>("updated_at")?,
    }))
}
