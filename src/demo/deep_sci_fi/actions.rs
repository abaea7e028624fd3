//! The record of what dwellers did. An important action, once another agent has confirmed that it is, may be escalated
//! into an event of the world, once.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::events::{self, Account, Ground};
use super::input::Input;
use super::notifications::notify;
use super::server::App;
use super::store::{Tx, now};
use super::worlds::world_row;

/// From this importance on an action may become an event.
const ESCALATION: f64 = 0.8;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/actions/{action_id}", get(read))
        .route("/api/actions/{action_id}/confirm-importance", post(confirm))
        .route("/api/actions/{action_id}/escalate", post(escalate))
        .route(
            "/api/actions/worlds/{world_id}/escalation-eligible",
            get(eligible),
        )
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

    let mut tx = app.store.snapshot().await?;
    let mut action = action_json(&action_row(&mut tx, &id).await?)?;
    if let Some(event) = event_of(&app, &mut tx, &id).await? {
        action["escalated_to_event"] = json!({
            "id": event.try_get::<String, _>("id")?,
            "title": event.try_get::<String, _>("title")?,
        });
    }
    ok(json!({ "action": action }))
}

async fn confirm(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("action_id");
    let rationale = input.text("rationale", 20..=usize::MAX);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let action = action_row(&mut tx, &id).await?;
    let importance = require_eligible(&action)?;
    if confirmer(&action)?.is_some() && !app.bugs.has(Bug::ActionConfirmedAgain) {
        return Err(Refusal::bad(
            "The importance is already confirmed",
            "It may be escalated now.",
        ));
    }
    let actor: String = action.try_get("actor_id")?;
    if actor == agent.id && !app.bugs.has(Bug::ActionSelfConfirmation) {
        return Err(Refusal::bad(
            "Cannot confirm your own action",
            "Wait for another agent.",
        ));
    }
    if app.bugs.has(Bug::ActionConfirmedByTwo) {
        tx = app.store.let_go(tx).await?;
    }
    let confirmer = if app.bugs.has(Bug::ActionConfirmerMistaken) {
        &actor
    } else {
        &agent.id
    };
    sqlx::query(
        "UPDATE actions SET importance_confirmed_by = $1, importance_confirmed_at = $2, importance_rationale = $3
         WHERE id = $4",
    )
    .bind(confirmer)
    .bind(now())
    .bind(rationale)
    .bind(&id)
    .execute(&mut *tx)
    .await?;
    if !app.bugs.has(Bug::ConfirmationNotNotified) {
        let news = json!({ "confirmed_by": agent.id });
        let about = ("action", id.as_str());
        notify(&mut tx, &actor, "action_importance_confirmed", about, &news).await?;
    }
    tx.commit().await?;
    ok(json!({
        "action": {
            "id": id,
            "importance": importance,
            "escalation_eligible": true,
            "importance_confirmed": true,
        },
    }))
}

/// Anybody may, the actor and the confirmer too.
async fn escalate(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("action_id");
    let account = Account::of(&mut input);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let action = action_row(&mut tx, &id).await?;
    require_eligible(&action)?;
    if confirmer(&action)?.is_none() && !app.bugs.has(Bug::ActionEscalatedUnconfirmed) {
        return Err(Refusal::bad(
            "The importance is not confirmed",
            "Another agent has to confirm it first.",
        ));
    }
    let is_escalated = event_of(&app, &mut tx, &id).await?.is_some();
    if is_escalated && !app.bugs.has(Bug::ActionEscalatedTwice) {
        return Err(Refusal::bad(
            "The action is already escalated",
            "An action becomes one event at most.",
        ));
    }
    if app.bugs.has(Bug::ActionEscalatedByTwo) {
        tx = app.store.let_go(tx).await?;
    }
    let world = world_row(&mut tx, &action.try_get::<String, _>("world_id")?).await?;
    let dweller: String = action.try_get("dweller_name")?;
    let deed: String = action.try_get("content")?;
    let ground = Ground {
        justification: format!("It comes from what {dweller} did: {deed}"),
        action: Some(id.clone()),
    };
    let event = events::propose(&app, &mut tx, &world, &agent, &account, &ground).await?;
    tx.commit().await?;
    ok(json!({
        "event": event,
        "origin_action": { "id": id, "dweller_name": dweller, "content": deed },
    }))
}

/// What is important enough and not yet an event, of one world.
macro_rules! eligible {
    ($columns:literal, $page:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM actions JOIN dwellers ON dwellers.id = actions.dweller_id
                LEFT JOIN users ON users.id = actions.importance_confirmed_by
             WHERE dwellers.world_id = $1 AND actions.importance >= $2
               AND (actions.importance_confirmed_by IS NOT NULL OR CAST($3 AS BIGINT) = 0)
               AND NOT EXISTS (SELECT 1 FROM world_events WHERE origin_action_id = actions.id)",
            $page
        )
    };
}

async fn eligible(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("world_id");
    let confirmed_only = i64::from(input.query_flag("confirmed_only", false));
    let limit = input.query_int("limit", 20, 1..=100);
    let offset = input.query_int("offset", 0, 0..=i64::MAX - 100);
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let world = world_row(&mut tx, &id).await?;
    let rows = sqlx::query(eligible!(
        "actions.*, dwellers.name AS dweller_name, dwellers.world_id, users.name AS confirmer_name",
        " ORDER BY actions.created_at DESC LIMIT $4 OFFSET $5"
    ))
    .bind(&id)
    .bind(ESCALATION)
    .bind(confirmed_only)
    .bind(limit)
    .bind(offset)
    .fetch_all(&mut *tx)
    .await?;
    let count = sqlx::query(eligible!("COUNT(*) AS total", ""))
        .bind(&id)
        .bind(ESCALATION)
        .bind(confirmed_only)
        .fetch_one(&mut *tx)
        .await?;
    let total: i64 = count.try_get("total")?;
    let actions: Result<Vec<Value>, Refusal> = rows.iter().map(action_json).collect();
    ok(json!({
        "world_id": id,
        "world_name": world.try_get::<String, _>("name")?,
        "actions": actions?,
        "pagination": {
            "total": total,
            "limit": limit,
            "offset": offset,
            "has_more": offset + limit < total,
        },
    }))
}

/// The action with its dweller and world, or 404.
async fn action_row(tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
    sqlx::query(
        "SELECT actions.*, dwellers.name AS dweller_name, dwellers.world_id, users.name AS confirmer_name
         FROM actions JOIN dwellers ON dwellers.id = actions.dweller_id
            LEFT JOIN users ON users.id = actions.importance_confirmed_by
         WHERE actions.id = $1",
    )
    .bind(id)
    .fetch_optional(&mut **tx)
    .await?
    .ok_or_else(|| Refusal::absent("Action", id))
}

/// The event that the action was escalated to.
async fn event_of(app: &App, tx: &mut Tx, action: &str) -> Result<Option<AnyRow>, Refusal> {
    let events = sqlx::query(
        "SELECT id, title FROM world_events WHERE origin_action_id = $1 ORDER BY created_at LIMIT 2",
    )
    .bind(action)
    .fetch_all(&mut **tx)
    .await?;
    if events.len() > 1 && app.bugs.has(Bug::ActionEscalatedByTwo) {
        return Err(Refusal::Crash("an action became several events"));
    }
    Ok(events.into_iter().next())
}

fn confirmer(action: &AnyRow) -> Result<Option<String>, sqlx::Error> {
    action.try_get("importance_confirmed_by")
}

/// The importance, or 400 when it does not do.
fn require_eligible(action: &AnyRow) -> Result<f64, Refusal> {
    let importance: f64 = action.try_get("importance")?;
    if importance >= ESCALATION {
        return Ok(importance);
    }
    Err(Refusal::bad(
        &format!("An action of importance {importance} cannot be escalated"),
        "Choose one of at least 0.8.",
    ))
}

fn action_json(row: &AnyRow) -> Result<Value, Refusal> {
    let importance: f64 = row.try_get("importance")?;
    let confirmed_by = confirmer(row)?;
    let mut action = json!({
        "id": row.try_get::<String, _>("id")?,
        "dweller_id": row.try_get::<String, _>("dweller_id")?,
        "dweller_name": row.try_get::<String, _>("dweller_name")?,
        "world_id": row.try_get::<String, _>("world_id")?,
        "actor_id": row.try_get::<String, _>("actor_id")?,
        "action_type": row.try_get::<String, _>("action_type")?,
        "target": row.try_get::<Option<String>, _>("target")?,
        "content": row.try_get::<String, _>("content")?,
        "importance": importance,
        "escalation_eligible": importance >= ESCALATION,
        "importance_confirmed_by": confirmed_by,
        "in_reply_to_action_id": row.try_get::<Option<String>, _>("in_reply_to")?,
        "created_at": row.try_get::<String, _>("created_at")?,
    });
    if let Some(id) = confirmed_by {
        action["importance_confirmed"] = json!({
            "confirmed_by": { "id": id, "name": row.try_get::<Option<String>, _>("confirmer_name")? },
            "confirmed_at": row.try_get::<Option<String>, _>("importance_confirmed_at")?,
            "rationale": row.try_get::<Option<String>, _>("importance_rationale")?,
        });
    }
    Ok(action)
}
