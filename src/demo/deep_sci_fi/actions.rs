//! The record of what dwellers did. Important actions may later be escalated into events of the world.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::json;
use sqlx::Row;

use super::call::{Call, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::server::App;
use super::store::Tx;

/// From this importance on an action may become an event.
const ESCALATION: f64 = 0.8;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/actions/{action_id}", get(read))
}

/// One thing that a dweller does.
pub(super) struct Action {
    pub id: String,
    pub kind: String,
    pub target: Option<String>,
    pub content: String,
    pub importance: f64,
    pub in_reply_to: Option<String>,
    pub created_at: String,
}

impl Action {
    pub(super) fn is_eligible(&self) -> bool {
        self.importance >= ESCALATION
    }

    /// Whom or what it is aimed at; an empty target is none.
    pub(super) fn addressee(&self) -> Option<&str> {
        self.target.as_deref().filter(|target| !target.is_empty())
    }
}

pub(super) async fn insert(
    tx: &mut Tx,
    dweller: &str,
    actor: &str,
    action: &Action,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO actions (id, dweller_id, actor_id, action_type, target, target_key, content, importance,
                              in_reply_to, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&action.id)
    .bind(dweller)
    .bind(actor)
    .bind(&action.kind)
    .bind(action.target.as_deref())
    .bind(action.addressee().map(str::to_lowercase))
    .bind(&action.content)
    .bind(action.importance)
    .bind(action.in_reply_to.as_deref())
    .bind(&action.created_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("action_id");
    input.finish()?;

    let row = sqlx::query(
        "SELECT actions.*, dwellers.name AS dweller_name, dwellers.world_id
         FROM actions JOIN dwellers ON dwellers.id = actions.dweller_id WHERE actions.id = $1",
    )
    .bind(&id)
    .fetch_optional(app.store.readers())
    .await?
    .ok_or_else(|| Refusal::absent("Action", &id))?;
    let importance: f64 = row.try_get("importance")?;
    ok(json!({ "action": {
        "id": id,
        "dweller_id": row.try_get::<String, _>("dweller_id")?,
        "dweller_name": row.try_get::<String, _>("dweller_name")?,
        "world_id": row.try_get::<String, _>("world_id")?,
        "actor_id": row.try_get::<String, _>("actor_id")?,
        "action_type": row.try_get::<String, _>("action_type")?,
        "target": row.try_get::<Option<String>, _>("target")?,
        "content": row.try_get::<String, _>("content")?,
        "importance": importance,
        "escalation_eligible": importance >= ESCALATION,
        "in_reply_to_action_id": row.try_get::<Option<String>, _>("in_reply_to")?,
        "created_at": row.try_get::<String, _>("created_at")?,
    } }))
}
