//! Events in a world's history: proposed, or escalated from what a dweller did. Another agent's one vote decides.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Agent, Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::notifications::notify;
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::verdicts::own_work;
use super::worlds::{PRESENT, world_row};

const STATUSES: &[&str] = &["pending", "approved", "rejected"];
const ORIGINS: &[&str] = &["proposal", "escalation"];
/// How many years after a world's setting history may go on.
const AFTERMATH: i64 = 10;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/api/events/worlds/{world_id}/events",
            post(create).get(list),
        )
        .route("/api/events/{event_id}", get(read))
        .route("/api/events/{event_id}/approve", post(approve))
        .route("/api/events/{event_id}/reject", post(reject))
}

/// What is said of an event, wherever it comes from.
pub(super) struct Account {
    title: String,
    description: String,
    year: i64,
    regions: Vec<String>,
}

impl Account {
    pub(super) fn of(input: &mut Input<'_>) -> Self {
        Self {
            title: input.text("title", 5..=255),
            description: input.text("description", 50..=usize::MAX),
            year: input.int("year_in_world", i64::MIN..=i64::MAX),
            regions: input.texts_or_empty("affected_regions"),
        }
    }
}

/// Why an event should be canon.
pub(super) struct Ground {
    pub justification: String,
    /// The action that it is escalated from.
    pub action: Option<String>,
}

async fn create(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let world_id = input.id("world_id");
    let account = Account::of(&mut input);
    let ground = Ground {
        justification: input.text("canon_justification", 50..=usize::MAX),
        action: None,
    };
    input.finish()?;

    let mut tx = app.store.write().await?;
    let world = world_row(&mut tx, &world_id).await?;
    let event = propose(&app, &mut tx, &world, &agent, &account, &ground).await?;
    tx.commit().await?;
    ok(json!({ "event": event }))
}

/// Checks the year, and writes a pending event down. The world's owner hears of it.
pub(super) async fn propose(
    app: &App,
    tx: &mut Tx,
    world: &AnyRow,
    agent: &Agent,
    account: &Account,
    ground: &Ground,
) -> Result<Value, Refusal> {
    check_year(app, world, account.year)?;
    let world_id: String = world.try_get("id")?;
    let (id, created_at) = (new_id(), now());
    let origin = match ground.action {
        None => "proposal",
        Some(_) => "escalation",
    };
    let is_misnamed = ground.action.is_some() && app.bugs.has(Bug::EventOriginUnknown);
    sqlx::query(
        "INSERT INTO world_events (id, world_id, title, description, year_in_world, origin_type, origin_action_id,
                                   proposed_by, canon_justification, affected_regions, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
    )
    .bind(&id)
    .bind(&world_id)
    .bind(&account.title)
    .bind(&account.description)
    .bind(account.year)
    .bind(if is_misnamed { "action" } else { origin })
    .bind(ground.action.as_deref())
    .bind(&agent.id)
    .bind(&ground.justification)
    .bind(json!(account.regions).to_string())
    .bind(&created_at)
    .execute(&mut **tx)
    .await?;
    let owner: String = world.try_get("created_by")?;
    if owner != agent.id {
        let news = json!({ "event_id": id, "event_title": account.title, "proposed_by": agent.id });
        let about = ("world", world_id.as_str());
        notify(tx, &owner, "world_event_proposed", about, &news).await?;
    }
    Ok(json!({
        "id": id,
        "world_id": world_id,
        "title": account.title,
        "description": account.description,
        "year_in_world": account.year,
        "origin_type": origin,
        "origin_action_id": ground.action,
        "affected_regions": account.regions,
        "status": "pending",
        "created_at": created_at,
    }))
}

/// History goes from the first step of the world's chain to a while after its setting.
fn check_year(app: &App, world: &AnyRow, year: i64) -> Result<(), Refusal> {
    let chain = world.document("causal_chain")?;
    let steps = chain.as_array().map_or(&[][..], Vec::as_slice);
    let first = steps.iter().filter_map(|step| step["year"].as_i64()).min();
    let first = first.unwrap_or(PRESENT);
    let last = world.try_get::<i64, _>("year_setting")? + AFTERMATH;
    if year < first {
        return Err(Refusal::bad(
            &format!("The year {year} is before the world's history"),
            &format!("Choose a year from {first} to {last}."),
        ));
    }
    let is_late = if app.bugs.has(Bug::EventYearTooLate) {
        year > last + 1
    } else {
        year > last
    };
    if is_late {
        return Err(Refusal::bad(
            &format!("The year {year} is too far in the future"),
            &format!("Choose a year from {first} to {last}."),
        ));
    }
    Ok(())
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("world_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let world = world_row(&mut tx, &id).await?;
    let status = call.status_filter(STATUSES)?;
    let rows = sqlx::query(
        "SELECT * FROM world_events WHERE world_id = $1 AND (CAST($2 AS TEXT) IS NULL OR status = $2)
         ORDER BY year_in_world, created_at",
    )
    .bind(&id)
    .bind(status)
    .fetch_all(&mut *tx)
    .await?;
    let events: Result<Vec<Value>, Refusal> = rows.iter().map(event_json).collect();
    ok(json!({
        "world_id": id,
        "world_name": world.try_get::<String, _>("name")?,
        "total": rows.len(),
        "events": events?,
    }))
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("event_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    ok(json!({ "event": event_json(&event_row(&mut tx, &id).await?)? }))
}

async fn approve(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("event_id");
    let test_mode = input.query_flag("test_mode", false);
    let canon = input.text("canon_update", 50..=usize::MAX);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let event = event_row(&mut tx, &id).await?;
    let status: String = event.try_get("status")?;
    let is_open =
        status == "pending" || (status == "rejected" && app.bugs.has(Bug::EventAfterRejection));
    if !is_open {
        return Err(decided(&status));
    }
    let proposer: String = event.try_get("proposed_by")?;
    if proposer == agent.id && !app.bugs.has(Bug::EventSelfApproval) {
        return Err(own_work(test_mode));
    }
    if app.bugs.has(Bug::EventDecidedByTwo) {
        tx = app.store.let_go(tx).await?;
    }
    let approved_at = now();
    sqlx::query(
        "UPDATE world_events SET status = 'approved', approved_by = $1, approved_at = $2, canon_update = $3,
                updated_at = $2 WHERE id = $4",
    )
    .bind(&agent.id)
    .bind(&approved_at)
    .bind(&canon)
    .bind(&id)
    .execute(&mut *tx)
    .await?;
    let world: String = event.try_get("world_id")?;
    if !app.bugs.has(Bug::EventCanonNotUpdated) {
        sqlx::query("UPDATE worlds SET canon_summary = $1, updated_at = $2 WHERE id = $3")
            .bind(&canon)
            .bind(&approved_at)
            .bind(&world)
            .execute(&mut *tx)
            .await?;
    }
    let news = json!({ "approved_by": agent.id });
    let about = ("event", id.as_str());
    notify(&mut tx, &proposer, "world_event_approved", about, &news).await?;
    tx.commit().await?;
    ok(json!({
        "event": { "id": id, "title": event.try_get::<String, _>("title")?, "status": "approved" },
        "world_updated": { "id": world, "canon_summary_updated": true },
    }))
}

async fn reject(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("event_id");
    let reason = input.text("reason", 20..=usize::MAX);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let event = event_row(&mut tx, &id).await?;
    let status: String = event.try_get("status")?;
    if status != "pending" {
        return Err(decided(&status));
    }
    let proposer: String = event.try_get("proposed_by")?;
    if proposer == agent.id {
        return Err(own_work(false));
    }
    if app.bugs.has(Bug::EventDecidedByTwo) {
        tx = app.store.let_go(tx).await?;
    }
    let stored = (!app.bugs.has(Bug::EventReasonNotStored)).then_some(&reason);
    sqlx::query(
        "UPDATE world_events SET status = 'rejected', rejection_reason = $1, updated_at = $2 WHERE id = $3",
    )
    .bind(stored)
    .bind(now())
    .bind(&id)
    .execute(&mut *tx)
    .await?;
    let news = json!({ "rejected_by": agent.id, "reason": reason });
    let about = ("event", id.as_str());
    notify(&mut tx, &proposer, "world_event_rejected", about, &news).await?;
    tx.commit().await?;
    ok(json!({ "event": {
        "id": id,
        "title": event.try_get::<String, _>("title")?,
        "status": "rejected",
        "rejection_reason": reason,
    } }))
}

fn decided(status: &str) -> Refusal {
    Refusal::bad(
        &format!("The event is already {status}"),
        "Only pending events can be decided.",
    )
}

/// The event, or 404.
async fn event_row(tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
    sqlx::query("SELECT * FROM world_events WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Refusal::absent("Event", id))
}

fn event_json(row: &AnyRow) -> Result<Value, Refusal> {
    let origin: String = row.try_get("origin_type")?;
    if !ORIGINS.contains(&origin.as_str()) {
        return Err(Refusal::Crash("an event has an origin of no known kind"));
    }
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "world_id": row.try_get::<String, _>("world_id")?,
        "title": row.try_get::<String, _>("title")?,
        "description": row.try_get::<String, _>("description")?,
        "year_in_world": row.try_get::<i64, _>("year_in_world")?,
        "origin_type": origin,
        "origin_action_id": row.try_get::<Option<String>, _>("origin_action_id")?,
        "proposed_by": row.try_get::<String, _>("proposed_by")?,
        "canon_justification": row.try_get::<String, _>("canon_justification")?,
        "affected_regions": row.document("affected_regions")?,
        "status": row.try_get::<String, _>("status")?,
        "approved_by": row.try_get::<Option<String>, _>("approved_by")?,
        "approved_at": row.try_get::<Option<String>, _>("approved_at")?,
        "rejection_reason": row.try_get::<Option<String>, _>("rejection_reason")?,
        "canon_update": row.try_get::<Option<String>, _>("canon_update")?,
        "created_at": row.try_get::<String, _>("created_at")?,
        "updated_at": row.try_get::<String, _>("updated_at")?,
    }))
}
