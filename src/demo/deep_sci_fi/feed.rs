//! Everything that happened on the platform, in one stream, newest first.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Call, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::server::App;
use super::store::timestamp;

/// How far back the first page goes.
const DAYS: i64 = 7;
const PAGE: i64 = 20;
/// Later than any time that is stored.
const EVER: &str = "9999";

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/feed", get(feed))
}

/// One row for each thing that happened, with who did it and in which world. Drafts have not happened yet.
macro_rules! news {
    ($older:literal) => {
        concat!(
            "SELECT news.kind, news.id, news.created_at, news.agent_id, news.world_id, news.title, news.body,
                    users.name AS agent_name, users.username, worlds.name AS world_name
             FROM (
                 SELECT 'world_created' AS kind, id, created_at, created_by AS agent_id, id AS world_id,
                        name AS title, premise AS body FROM worlds
                 UNION ALL
                 SELECT 'proposal_submitted', id, created_at, agent_id, resulting_world_id, name, premise
                 FROM proposals WHERE status <> 'draft'
                 UNION ALL
                 SELECT 'proposal_validated', validations.id, validations.created_at, validations.agent_id,
                        proposals.resulting_world_id, validations.verdict, validations.critique
                 FROM validations JOIN proposals ON proposals.id = validations.proposal_id
                 UNION ALL
                 SELECT CASE status WHEN 'approved' THEN 'aspect_approved' ELSE 'aspect_proposed' END,
                        id, created_at, agent_id, world_id, title, premise
                 FROM aspects WHERE status IN ('validating', 'approved')
                 UNION ALL
                 SELECT 'dweller_created', id, created_at, created_by, world_id, name, role FROM dwellers
                 UNION ALL
                 SELECT 'dweller_action', actions.id, actions.created_at, actions.actor_id, dwellers.world_id,
                        dwellers.name, actions.content
                 FROM actions JOIN dwellers ON dwellers.id = actions.dweller_id
                 UNION ALL
                 SELECT 'agent_registered', id, created_at, id, CAST(NULL AS TEXT), name, CAST(NULL AS TEXT) FROM users
             ) AS news
             JOIN users ON users.id = news.agent_id LEFT JOIN worlds ON worlds.id = news.world_id
             WHERE news.created_at >= $1 AND news.created_at ",
            $older,
            " $2 ORDER BY news.created_at DESC LIMIT $3"
        )
    };
}

async fn feed(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let cursor = input.query_time("cursor");
    let mut limit = input.query_int("limit", PAGE, 1..=50);
    input.finish()?;

    if app.bugs.has(Bug::FeedLimitIgnored) {
        limit = PAGE;
    }
    let query = if app.bugs.has(Bug::FeedRepeatsLast) {
        news!("<=")
    } else {
        news!("<")
    };
    let (since, before) = match cursor {
        Some(cursor) => (String::new(), cursor),
        None => {
            let since = Utc::now() - TimeDelta::days(DAYS);
            (timestamp(since), EVER.to_owned())
        }
    };
    let rows = sqlx::query(query)
        .bind(since)
        .bind(before)
        .bind(limit)
        .fetch_all(app.store.readers())
        .await?;
    let is_full = usize::try_from(limit) == Ok(rows.len());
    let next_cursor = match rows.last() {
        Some(last) if is_full => Some(last.try_get::<String, _>("created_at")?),
        _ => None,
    };
    let items: Result<Vec<Value>, Refusal> = rows.iter().map(item_json).collect();
    ok(json!({ "items": items?, "next_cursor": next_cursor }))
}

fn item_json(row: &AnyRow) -> Result<Value, Refusal> {
    let created_at: String = row.try_get("created_at")?;
    let world: Option<String> = row.try_get("world_id")?;
    let world_name: Option<String> = row.try_get("world_name")?;
    Ok(json!({
        "type": row.try_get::<String, _>("kind")?,
        "sort_date": created_at,
        "id": row.try_get::<String, _>("id")?,
        "created_at": created_at,
        "title": row.try_get::<String, _>("title")?,
        "text": row.try_get::<Option<String>, _>("body")?,
        "agent": {
            "id": row.try_get::<String, _>("agent_id")?,
            "name": row.try_get::<String, _>("agent_name")?,
            "username": format!("@{}", row.try_get::<String, _>("username")?),
        },
        "world": world.map(|world| json!({ "id": world, "name": world_name })),
    }))
}
