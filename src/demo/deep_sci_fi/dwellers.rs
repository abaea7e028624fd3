//! Dwellers: created by anybody in a region of a world, claimed by one agent at a time, released again.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Agent, Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::identity::{Identity, count_dweller, identity_json};
use super::input::{ANY_LENGTH, Input};
use super::names;
use super::regions::{named, region_name, regions_of, unknown_region};
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::worlds::world_row;

/// Dwellers that one agent may inhabit.
const INHABITED_LIMIT: i64 = 5;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/dwellers/blocked-names", get(blocked_names))
        .route(
            "/api/dwellers/worlds/{world_id}/dwellers",
            post(create).get(list),
        )
        .route("/api/dwellers/{dweller_id}", get(read))
        .route("/api/dwellers/{dweller_id}/claim", post(claim))
        .route("/api/dwellers/{dweller_id}/release", post(release))
}

async fn blocked_names() -> Answer {
    ok(json!({
        "first_names": names::FIRST_NAMES,
        "last_names": names::LAST_NAMES,
        "sci_fi_words": names::SCI_FI_WORDS,
    }))
}

async fn create(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let world = input.id("world_id");
    let identity = Identity::of(&mut input);
    let relationships = input.object_or_empty("relationship_memories");
    let current = input.text_or_null("current_region", ANY_LENGTH);
    let specific_location = input.text_or_null("specific_location", ANY_LENGTH);
    input.finish()?;

    let mut tx = app.store.write().await?;
    world_row(&mut tx, &world).await?;
    let regions = regions_of(&mut tx, &world).await?;
    let region = named(&regions, &identity.origin)
        .ok_or_else(|| unknown_region(&identity.origin, &regions))?;
    let origin = region_name(region).unwrap_or_default();
    let current = match current.as_deref() {
        None | Some("") => origin,
        Some(current) => named(&regions, current)
            .and_then(region_name)
            .ok_or_else(|| unknown_region(current, &regions))?,
    };
    identity.check_name(&app)?;

    let (id, created_at) = (new_id(), now());
    sqlx::query(
        "INSERT INTO dwellers (id, world_id, created_by, name, name_key, origin_region, generation, name_context,
                               cultural_identity, role, age, personality, background, core_memories,
                               personality_blocks, relationship_memories, current_situation, current_region,
                               specific_location, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $20)",
    )
    .bind(&id)
    .bind(&world)
    .bind(&agent.id)
    .bind(&identity.name)
    .bind(identity.name.to_lowercase())
    .bind(origin)
    .bind(&identity.generation)
    .bind(identity.name_context)
    .bind(identity.cultural_identity)
    .bind(&identity.role)
    .bind(identity.age)
    .bind(identity.personality)
    .bind(identity.background)
    .bind(json!(identity.core_memories).to_string())
    .bind(Value::Object(identity.personality_blocks).to_string())
    .bind(Value::Object(relationships).to_string())
    .bind(identity.situation)
    .bind(current)
    .bind(specific_location.as_deref())
    .bind(&created_at)
    .execute(&mut *tx)
    .await?;
    if !app.bugs.has(Bug::DwellerNotCounted) {
        count_dweller(&mut tx, &world, &created_at).await?;
    }
    tx.commit().await?;
    ok(json!({
        "dweller": {
            "id": id,
            "name": identity.name,
            "origin_region": origin,
            "generation": identity.generation,
            "role": identity.role,
            "age": identity.age,
            "current_region": current,
            "specific_location": specific_location,
            "is_available": true,
            "created_at": created_at,
        },
        "world_id": world,
        "region_naming_conventions": region["naming_conventions"],
    }))
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("world_id");
    let available_only = input.query_flag("available_only", false);
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let world = world_row(&mut tx, &id).await?;
    let rows = sqlx::query(
        "SELECT * FROM dwellers WHERE world_id = $1 AND is_available >= $2 ORDER BY created_at DESC",
    )
    .bind(&id)
    .bind(i64::from(available_only))
    .fetch_all(&mut *tx)
    .await?;
    let mut dwellers = Vec::with_capacity(rows.len());
    let mut available = 0;
    for row in &rows {
        let is_available = row.flag("is_available")?;
        available += i64::from(is_available);
        dwellers.push(json!({
            "id": row.try_get::<String, _>("id")?,
            "name": row.try_get::<String, _>("name")?,
            "origin_region": row.try_get::<String, _>("origin_region")?,
            "generation": row.try_get::<String, _>("generation")?,
            "role": row.try_get::<String, _>("role")?,
            "age": row.try_get::<i64, _>("age")?,
            "current_region": row.try_get::<Option<String>, _>("current_region")?,
            "specific_location": row.try_get::<Option<String>, _>("specific_location")?,
            "is_available": is_available,
            "inhabited_by": row.try_get::<Option<String>, _>("inhabited_by")?,
        }));
    }
    ok(json!({
        "world_id": id,
        "world_name": world.try_get::<String, _>("name")?,
        "total": dwellers.len(),
        "available": available,
        "dwellers": dwellers,
    }))
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("dweller_id");
    input.finish()?;

    let row = sqlx::query(
        "SELECT dwellers.*, worlds.name AS world_name
         FROM dwellers JOIN worlds ON worlds.id = dwellers.world_id WHERE dwellers.id = $1",
    )
    .bind(&id)
    .fetch_optional(app.store.readers())
    .await?
    .ok_or_else(|| Refusal::absent("Dweller", &id))?;
    let mut dweller = identity_json(&row)?;
    dweller["world_name"] = json!(row.try_get::<String, _>("world_name")?);
    dweller["created_by"] = json!(row.try_get::<String, _>("created_by")?);
    dweller["relationship_memories"] = row.document("relationship_memories")?;
    dweller["current_region"] = json!(row.try_get::<Option<String>, _>("current_region")?);
    dweller["specific_location"] = json!(row.try_get::<Option<String>, _>("specific_location")?);
    dweller["is_available"] = json!(row.flag("is_available")?);
    dweller["inhabited_by"] = json!(row.try_get::<Option<String>, _>("inhabited_by")?);
    ok(json!({ "dweller": dweller }))
}

async fn claim(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("dweller_id");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    if !dweller.flag("is_available")? && !app.bugs.has(Bug::ClaimInhabited) {
        return Err(Refusal::bad(
            "Dweller is already inhabited",
            "Choose one that is available.",
        ));
    }
    let row = sqlx::query("SELECT COUNT(*) AS inhabited FROM dwellers WHERE inhabited_by = $1")
        .bind(&agent.id)
        .fetch_one(&mut *tx)
        .await?;
    let inhabited: i64 = row.try_get("inhabited")?;
    let is_full = if app.bugs.has(Bug::SixthDweller) {
        inhabited > INHABITED_LIMIT
    } else {
        inhabited >= INHABITED_LIMIT
    };
    if is_full {
        return Err(Refusal::bad(
            &format!("You already inhabit {inhabited} dwellers"),
            "Release one of them first.",
        ));
    }
    if app.bugs.has(Bug::DwellerClaimedByTwo) {
        tx = app.store.let_go(tx).await?;
    }
    sqlx::query(
        "UPDATE dwellers SET inhabited_by = $1, is_available = 0, last_action_at = $2, updated_at = $2 WHERE id = $3",
    )
    .bind(&agent.id)
    .bind(now())
    .bind(&id)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    ok(json!({
        "claimed": true,
        "dweller_id": id,
        "dweller_name": dweller.try_get::<String, _>("name")?,
    }))
}

async fn release(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("dweller_id");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    if !app.bugs.has(Bug::ReleaseByAnyone) {
        require_inhabitant(&dweller, &agent)?;
    }
    let update = if app.bugs.has(Bug::ReleaseKeepsInhabitant) {
        "UPDATE dwellers SET is_available = 1, updated_at = $1 WHERE id = $2"
    } else {
        "UPDATE dwellers SET is_available = 1, inhabited_by = NULL, updated_at = $1 WHERE id = $2"
    };
    sqlx::query(update)
        .bind(now())
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(json!({
        "released": true,
        "dweller_id": id,
        "dweller_name": dweller.try_get::<String, _>("name")?,
    }))
}

/// The dweller, or 404.
pub(super) async fn dweller_row(tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
    sqlx::query("SELECT * FROM dwellers WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Refusal::absent("Dweller", id))
}

/// 403 unless the agent inhabits the dweller.
pub(super) fn require_inhabitant(dweller: &AnyRow, agent: &Agent) -> Result<(), Refusal> {
    let inhabitant: Option<String> = dweller.try_get("inhabited_by")?;
    if inhabitant.as_deref() == Some(agent.id.as_str()) {
        return Ok(());
    }
    Err(Refusal::forbidden(
        "You are not inhabiting this dweller",
        "Claim it first.",
    ))
}
