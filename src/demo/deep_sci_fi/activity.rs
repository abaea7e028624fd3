//! What dwellers did lately: all of it in a world, for anybody to read; what of it was said to one of them, for its
//! inhabitant.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Call, ok};
use super::dwellers::{dweller_row, require_inhabitant};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::notifications::{mark_read, pending_about};
use super::server::App;
use super::store::{Columns, Tx, now, timestamp};
use super::worlds::world_row;

const PAGE: i64 = 20;
/// How many actions of its region a dweller's context tells of.
const NEARBY: i64 = 10;
/// How far back a dweller is told who spoke to it.
const HOURS: i64 = 24;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/api/dwellers/worlds/{world_id}/activity",
            get(of_the_world),
        )
        .route("/api/dwellers/{dweller_id}/pending", get(pending))
}

async fn of_the_world(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("world_id");
    let limit = if app.bugs.has(Bug::ActivityLimitIgnored) {
        PAGE
    } else {
        input.query_int("limit", PAGE, 1..=100)
    };
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let world = world_row(&mut tx, &id).await?;
    let rows = sqlx::query(
        "SELECT actions.*, dwellers.name AS dweller_name
         FROM actions JOIN dwellers ON dwellers.id = actions.dweller_id
         WHERE dwellers.world_id = $1 ORDER BY actions.created_at DESC LIMIT $2",
    )
    .bind(&id)
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    let activity: Result<Vec<Value>, sqlx::Error> = rows.iter().map(deed_json).collect();
    ok(json!({
        "world_id": id,
        "world_name": world.try_get::<String, _>("name")?,
        "activity": activity?,
        "total": rows.len(),
    }))
}

fn deed_json(row: &AnyRow) -> Result<Value, sqlx::Error> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "dweller": {
            "id": row.try_get::<String, _>("dweller_id")?,
            "name": row.try_get::<String, _>("dweller_name")?,
        },
        "action_type": row.try_get::<String, _>("action_type")?,
        "target": row.try_get::<Option<String>, _>("target")?,
        "content": row.try_get::<String, _>("content")?,
        "in_reply_to_action_id": row.try_get::<Option<String>, _>("in_reply_to")?,
        "created_at": row.try_get::<String, _>("created_at")?,
    }))
}

/// What others did lately where this dweller is.
pub(super) async fn nearby(tx: &mut Tx, dweller: &AnyRow) -> Result<Value, Refusal> {
    let rows = sqlx::query(
        "SELECT dwellers.name, actions.action_type, actions.content, actions.created_at
         FROM actions JOIN dwellers ON dwellers.id = actions.dweller_id
         WHERE dwellers.world_id = $1 AND dwellers.current_region = $2 AND dwellers.id <> $3
         ORDER BY actions.created_at DESC LIMIT $4",
    )
    .bind(dweller.try_get::<String, _>("world_id")?)
    .bind(dweller.try_get::<Option<String>, _>("current_region")?)
    .bind(dweller.try_get::<String, _>("id")?)
    .bind(NEARBY)
    .fetch_all(&mut **tx)
    .await?;
    let mut activity = Vec::with_capacity(rows.len());
    for row in &rows {
        activity.push(json!({
            "dweller": row.try_get::<String, _>("name")?,
            "action_type": row.try_get::<String, _>("action_type")?,
            "content": row.try_get::<String, _>("content")?,
            "created_at": row.try_get::<String, _>("created_at")?,
        }));
    }
    Ok(Value::Array(activity))
}

/// The notifications about a dweller that its inhabitant has not seen, and what others said to it of late. Unlike
/// with all notifications of an agent, to look is not to have read, unless one says so.
async fn pending(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("dweller_id");
    let marks = input.query_flag("mark_read", false);
    input.finish()?;

    let mut tx = if marks {
        app.store.write().await?
    } else {
        app.store.snapshot().await?
    };
    let dweller = dweller_row(&mut tx, &id).await?;
    require_inhabitant(&dweller, &agent)?;
    let news = pending_about(&mut tx, &agent.id, ("dweller", &id)).await?;
    let mentions = mentions(&mut tx, &dweller).await?;
    if marks {
        mark_read(&mut tx, &news, &now()).await?;
    }
    tx.commit().await?;
    let mut notifications = Vec::with_capacity(news.len());
    for row in &news {
        notifications.push(json!({
            "id": row.try_get::<String, _>("id")?,
            "type": row.try_get::<String, _>("notification_type")?,
            "data": row.document("data")?,
            "created_at": row.try_get::<String, _>("created_at")?,
        }));
    }
    ok(json!({
        "dweller_id": id,
        "dweller_name": dweller.try_get::<String, _>("name")?,
        "total_pending": notifications.len(),
        "pending_notifications": notifications,
        "total_mentions": mentions.len(),
        "recent_mentions": mentions,
    }))
}

/// What others said to the dweller, oldest first.
async fn mentions(tx: &mut Tx, dweller: &AnyRow) -> Result<Vec<Value>, Refusal> {
    let rows = sqlx::query(
        "SELECT actions.id, actions.content, actions.created_at, speaker.name AS speaker
         FROM actions JOIN dwellers AS speaker ON speaker.id = actions.dweller_id
         WHERE speaker.world_id = $1 AND speaker.id <> $2 AND actions.action_type = 'speak'
           AND actions.target_key = $3 AND actions.created_at >= $4
         ORDER BY actions.created_at",
    )
    .bind(dweller.try_get::<String, _>("world_id")?)
    .bind(dweller.try_get::<String, _>("id")?)
    .bind(dweller.try_get::<String, _>("name_key")?)
    .bind(timestamp(Utc::now() - TimeDelta::hours(HOURS)))
    .fetch_all(&mut **tx)
    .await?;
    let mut mentions = Vec::with_capacity(rows.len());
    for row in &rows {
        mentions.push(json!({
            "type": "spoken_to",
            "action_id": row.try_get::<String, _>("id")?,
            "from_dweller": row.try_get::<String, _>("speaker")?,
            "content": row.try_get::<String, _>("content")?,
            "created_at": row.try_get::<String, _>("created_at")?,
        }));
    }
    Ok(mentions)
}
