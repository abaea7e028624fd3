//! Aspects: additions to a world's canon, written by anybody. Votes are in
//! `aspect_reviews`.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::aspect_reviews::{review_json, reviews_of};
use super::bugs::Bug;
use super::call::{Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::listing::STATUSES;
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::verdicts::Verdicts;
use super::worlds::{PRESENT, canon_json, world_row};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/api/aspects/worlds/{world_id}/aspects",
            post(create).get(list),
        )
        .route("/api/aspects/worlds/{world_id}/canon", get(canon))
        .route("/api/aspects/{aspect_id}", get(read))
        .route("/api/aspects/{aspect_id}/submit", post(submit))
        .route("/api/aspects/{aspect_id}/revise", post(revise))
}

async fn create(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let world_id = input.id("world_id");
    let aspect_type = input.text("aspect_type", 1..=100);
    let title = input.text("title", 3..=255);
    let premise = input.text("premise", 30..=usize::MAX);
    let content = input.object("content");
    let justification = input.text("canon_justification", 50..=usize::MAX);
    let inspired_by = input.uuids_or_empty("inspired_by_actions");
    let entry = input.object_or_null("proposed_timeline_entry");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let world = world_row(&mut tx, &world_id).await?;
    if content.is_empty() {
        return Err(Refusal::bad(
            "Content cannot be empty",
            "Describe the aspect in content.",
        ));
    }
    if aspect_type == "event" {
        check_entry(&world, entry.as_ref())?;
    }
    for action in &inspired_by {
        check_inspiration(&mut tx, &world_id, action).await?;
    }

    let (id, created_at) = (new_id(), now());
    sqlx::query(
        "INSERT INTO aspects (id, world_id, agent_id, aspect_type, title, premise, content, canon_justification,
                              inspired_by_actions, proposed_timeline_entry, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
    )
    .bind(&id)
    .bind(&world_id)
    .bind(&agent.id)
    .bind(&aspect_type)
    .bind(&title)
    .bind(premise)
    .bind(Value::Object(content).to_string())
    .bind(justification)
    .bind(json!(inspired_by).to_string())
    .bind(entry.map(|entry| Value::Object(entry).to_string()))
    .bind(&created_at)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    ok(json!({
        "aspect": {
            "id": id,
            "world_id": world_id,
            "type": aspect_type,
            "title": title,
            "status": "draft",
            "created_at": created_at,
        },
    }))
}

/// An event needs an entry for the world's timeline, between its first step and its setting.
pub(super) fn check_entry(
    world: &AnyRow,
    entry: Option<&Map<String, Value>>,
) -> Result<(), Refusal> {
    let Some(entry) = entry.filter(|entry| !entry.is_empty()) else {
        return Err(Refusal::bad(
            "Event aspects need a timeline entry",
            "Send {year, event, reasoning}.",
        ));
    };
    if let Some(missing) = ["year", "event", "reasoning"]
        .iter()
        .find(|key| !entry.contains_key(**key))
    {
        return Err(Refusal::bad(
            &format!("The timeline entry lacks '{missing}'"),
            "Send {year, event, reasoning}.",
        ));
    }
    let Some(year) = entry["year"].as_i64() else {
        return Err(Refusal::bad(
            "The year of the timeline entry is not an integer",
            "Send a number.",
        ));
    };
    let chain = world.document("causal_chain")?;
    let first = chain[0]["year"].as_i64().unwrap_or(PRESENT);
    let last: i64 = world.try_get("year_setting")?;
    if !(first..=last).contains(&year) {
        return Err(Refusal::bad(
            &format!("The year {year} is outside of the world's timeline"),
            &format!("Choose a year from {first} to {last}."),
        ));
    }
    Ok(())
}

async fn check_inspiration(tx: &mut Tx, world: &str, action: &str) -> Result<(), Refusal> {
    let row = sqlx::query(
        "SELECT 1 FROM actions JOIN dwellers ON dwellers.id = actions.dweller_id
         WHERE actions.id = $1 AND dwellers.world_id = $2",
    )
    .bind(action)
    .bind(world)
    .fetch_optional(&mut **tx)
    .await?;
    if row.is_none() {
        return Err(Refusal::bad(
            &format!("Action {action} is not of this world"),
            "Name actions of dwellers of this world only.",
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
        "SELECT * FROM aspects WHERE world_id = $1 AND (CAST($2 AS TEXT) IS NULL OR status = $2)
         ORDER BY created_at DESC",
    )
    .bind(&id)
    .bind(status)
    .fetch_all(&mut *tx)
    .await?;
    let aspects: Result<Vec<Value>, Refusal> = rows.iter().map(aspect_json).collect();
    ok(json!({
        "world_id": id,
        "world_name": world.try_get::<String, _>("name")?,
        "total": rows.len(),
        "aspects": aspects?,
    }))
}

async fn canon(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("world_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let world = world_row(&mut tx, &id).await?;
    let mut canon = canon_json(&mut tx, &world).await?;
    let rows = sqlx::query(
        "SELECT * FROM aspects WHERE world_id = $1 AND status = 'approved' ORDER BY created_at",
    )
    .bind(&id)
    .fetch_all(&mut *tx)
    .await?;
    let aspects: Result<Vec<Value>, Refusal> = rows.iter().map(aspect_json).collect();
    canon["world_id"] = json!(id);
    canon["approved_aspects"] = Value::Array(aspects?);
    ok(canon)
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("aspect_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let row = aspect_row(&mut tx, &id).await?;
    let reviews = reviews_of(&mut tx, &id).await?;
    let verdicts = Verdicts::tally(&reviews)?;
    let mut aspect = aspect_json(&row)?;
    let last_revised_at: Option<String> = row.try_get("last_revised_at")?;
    aspect["strengthen_gate_active"] = json!(verdicts.gate_is_shut(last_revised_at.as_deref()));
    let validations: Result<Vec<Value>, Refusal> = reviews.iter().map(review_json).collect();
    ok(json!({
        "aspect": aspect,
        "validations": validations?,
        "summary": verdicts.summary_json(),
    }))
}

async fn submit(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("aspect_id");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let aspect = aspect_row(&mut tx, &id).await?;
    if !app.bugs.has(Bug::AspectSubmitByAnyone) {
        agent.require_author(&aspect.try_get::<String, _>("agent_id")?, "an aspect")?;
    }
    let status: String = aspect.try_get("status")?;
    if status != "draft" {
        return Err(Refusal::bad(
            &format!("Aspect is already {status}"),
            "Only drafts can be submitted.",
        ));
    }
    sqlx::query("UPDATE aspects SET status = 'validating', updated_at = $1 WHERE id = $2")
        .bind(now())
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(json!({ "aspect_id": id, "id": id, "status": "validating" }))
}

async fn revise(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("aspect_id");
    let title = input.text_or_null("title", 3..=255);
    let premise = input.text_or_null("premise", 30..=usize::MAX);
    let content = input.object_or_null("content");
    let justification = input.text_or_null("canon_justification", 50..=usize::MAX);
    let entry = input.object_or_null("proposed_timeline_entry");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let aspect = aspect_row(&mut tx, &id).await?;
    agent.require_author(&aspect.try_get::<String, _>("agent_id")?, "an aspect")?;
    let status: String = aspect.try_get("status")?;
    if !matches!(status.as_str(), "draft" | "validating") {
        return Err(Refusal::bad(
            &format!("Cannot revise an aspect that is {status}"),
            "Only drafts and aspects under validation can be revised.",
        ));
    }
    let verdicts = Verdicts::tally(&reviews_of(&mut tx, &id).await?)?;
    let last_revised_at: Option<String> = aspect.try_get("last_revised_at")?;
    let revised_at = now();
    let row = sqlx::query(
        "UPDATE aspects
         SET title = COALESCE($1, title), premise = COALESCE($2, premise), content = COALESCE($3, content),
             canon_justification = COALESCE($4, canon_justification),
             proposed_timeline_entry = COALESCE($5, proposed_timeline_entry),
             revision_count = revision_count + 1, last_revised_at = $6, updated_at = $6
         WHERE id = $7 RETURNING revision_count",
    )
    .bind(title.as_deref())
    .bind(premise)
    .bind(content.map(|content| Value::Object(content).to_string()))
    .bind(justification)
    .bind(entry.map(|entry| Value::Object(entry).to_string()))
    .bind(&revised_at)
    .bind(&id)
    .fetch_one(&mut *tx)
    .await?;
    if app.bugs.has(Bug::AspectReviseHitsWorld) {
        sqlx::query("UPDATE aspects SET title = COALESCE($1, title) WHERE world_id = $2")
            .bind(title)
            .bind(aspect.try_get::<String, _>("world_id")?)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    let mut answer = json!({
        "aspect_id": id,
        "id": id,
        "status": status,
        "revision_count": row.try_get::<i64, _>("revision_count")?,
        "updated_at": revised_at,
    });
    if verdicts.gate_is_shut(last_revised_at.as_deref()) {
        answer["strengthen_gate"] = json!("cleared");
    }
    ok(answer)
}

/// The aspect, or 404.
pub(super) async fn aspect_row(tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
    sqlx::query("SELECT * FROM aspects WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Refusal::absent("Aspect", id))
}

fn aspect_json(row: &AnyRow) -> Result<Value, Refusal> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "world_id": row.try_get::<String, _>("world_id")?,
        "agent_id": row.try_get::<String, _>("agent_id")?,
        "type": row.try_get::<String, _>("aspect_type")?,
        "title": row.try_get::<String, _>("title")?,
        "premise": row.try_get::<String, _>("premise")?,
        "content": row.document("content")?,
        "canon_justification": row.try_get::<String, _>("canon_justification")?,
        "inspired_by_actions": row.document("inspired_by_actions")?,
        "proposed_timeline_entry": row.document("proposed_timeline_entry")?,
        "status": row.try_get::<String, _>("status")?,
        "revision_count": row.try_get::<i64, _>("revision_count")?,
        "last_revised_at": row.try_get::<Option<String>, _>("last_revised_at")?,
        "created_at": row.try_get::<String, _>("created_at")?,
        "updated_at": row.try_get::<String, _>("updated_at")?,
    }))
}
