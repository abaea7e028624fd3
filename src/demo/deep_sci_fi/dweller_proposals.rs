//! Dwellers that anybody proposes for a world: create, list, read, submit, revise. Votes are in `dweller_reviews`.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Agent, Call, JsonCall, ok};
use super::dweller_reviews::{validation_json, validations_of};
use super::errors::{Answer, Refusal};
use super::identity::{AGES, GENERATION, GROUNDING, Identity, PORTRAIT, ROLE, identity_json};
use super::input::{ANY_LENGTH, Input};
use super::listing::{Listing, listing, page};
use super::regions::{named, region_name, regions_of, unknown_region};
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::verdicts::Verdicts;
use super::worlds::world_row;

/// Drafts and proposals under validation that one agent may have, in all worlds together.
const ACTIVE_LIMIT: i64 = 5;

const LISTING: Listing = listing!("dweller_proposals", "dweller_validations");

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/dweller-proposals", get(list))
        .route("/api/dweller-proposals/worlds/{world_id}", post(create))
        .route("/api/dweller-proposals/{proposal_id}", get(read))
        .route("/api/dweller-proposals/{proposal_id}/submit", post(submit))
        .route("/api/dweller-proposals/{proposal_id}/revise", post(revise))
}

async fn create(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let world = input.id("world_id");
    let identity = Identity::of(&mut input);
    input.finish()?;

    let mut tx = app.store.write().await?;
    world_row(&mut tx, &world).await?;
    require_room(&app, &mut tx, &agent).await?;
    let origin = home(&mut tx, &world, &identity.origin).await?;
    identity.check_name(&app)?;

    let (id, created_at) = (new_id(), now());
    sqlx::query(
        "INSERT INTO dweller_proposals (id, world_id, agent_id, name, origin_region, generation, name_context,
                                        cultural_identity, role, age, personality, background, core_memories,
                                        personality_blocks, current_situation, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $16)",
    )
    .bind(&id)
    .bind(&world)
    .bind(&agent.id)
    .bind(identity.name)
    .bind(origin)
    .bind(identity.generation)
    .bind(identity.name_context)
    .bind(identity.cultural_identity)
    .bind(identity.role)
    .bind(identity.age)
    .bind(identity.personality)
    .bind(identity.background)
    .bind(json!(identity.core_memories).to_string())
    .bind(Value::Object(identity.personality_blocks).to_string())
    .bind(identity.situation)
    .bind(&created_at)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    ok(json!({ "id": id, "status": "draft", "world_id": world, "created_at": created_at }))
}

async fn require_room(app: &App, tx: &mut Tx, agent: &Agent) -> Result<(), Refusal> {
    let row = sqlx::query(
        "SELECT COUNT(*) AS active FROM dweller_proposals
         WHERE agent_id = $1 AND status IN ('draft', 'validating')",
    )
    .bind(&agent.id)
    .fetch_one(&mut **tx)
    .await?;
    let active: i64 = row.try_get("active")?;
    let is_full = if app.bugs.has(Bug::SixthDwellerProposal) {
        active > ACTIVE_LIMIT
    } else {
        active >= ACTIVE_LIMIT
    };
    if is_full {
        return Err(Refusal::too_many(
            "Maximum 5 active dweller proposals",
            "Wait until one of them is decided.",
        ));
    }
    Ok(())
}

/// The region of that name as the world spells it, or 400.
async fn home(tx: &mut Tx, world: &str, name: &str) -> Result<String, Refusal> {
    let regions = regions_of(tx, world).await?;
    match named(&regions, name).and_then(region_name) {
        Some(known) => Ok(known.to_owned()),
        None => Err(unknown_region(name, &regions)),
    }
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    page(&app, &call, &LISTING, proposal_json).await
}

/// Public, and without blind mode.
async fn read(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("proposal_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let row = proposal_row(&mut tx, &id).await?;
    let votes = validations_of(&mut tx, &id).await?;
    drop(tx);

    let verdicts = Verdicts::tally(&votes)?;
    let mut proposal = proposal_json(&row)?;
    let last_revised_at: Option<String> = row.try_get("last_revised_at")?;
    proposal["strengthen_gate_active"] = json!(verdicts.gate_is_shut(last_revised_at.as_deref()));
    let is_validating = proposal["status"] == "validating";
    let validations: Result<Vec<Value>, Refusal> = votes.iter().map(validation_json).collect();
    let mut answer = json!({
        "proposal": proposal,
        "validations": validations?,
        "summary": verdicts.summary_json(),
    });
    if is_validating {
        answer["validation_progress"] = verdicts.progress_json();
    }
    ok(answer)
}

async fn submit(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("proposal_id");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let proposal = proposal_row(&mut tx, &id).await?;
    agent.require_author(
        &proposal.try_get::<String, _>("agent_id")?,
        "a dweller proposal",
    )?;
    let status: String = proposal.try_get("status")?;
    if status != "draft" {
        return Err(Refusal::bad(
            &format!("Dweller proposal is already {status}"),
            "Only drafts can be submitted.",
        ));
    }
    sqlx::query(
        "UPDATE dweller_proposals SET status = 'validating', updated_at = $1 WHERE id = $2",
    )
    .bind(now())
    .bind(&id)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    ok(json!({ "id": id, "status": "validating" }))
}

/// Unlike creation, this does not look the name up among the blocked ones.
async fn revise(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("proposal_id");
    let name = input.text_or_null("name", 0..=100);
    let origin = input.text_or_null("origin_region", ANY_LENGTH);
    let generation = input.text_or_null("generation", GENERATION);
    let name_context = input.text_or_null("name_context", GROUNDING);
    let cultural_identity = input.text_or_null("cultural_identity", GROUNDING);
    let role = input.text_or_null("role", ROLE);
    let age = input.int_or_null("age", AGES);
    let personality = input.text_or_null("personality", PORTRAIT);
    let background = input.text_or_null("background", PORTRAIT);
    let core_memories = input.texts_or_null("core_memories");
    let personality_blocks = input.object_or_null("personality_blocks");
    let situation = input.text_or_null("current_situation", ANY_LENGTH);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let proposal = proposal_row(&mut tx, &id).await?;
    agent.require_author(
        &proposal.try_get::<String, _>("agent_id")?,
        "a dweller proposal",
    )?;
    let status: String = proposal.try_get("status")?;
    if !matches!(status.as_str(), "draft" | "validating") {
        return Err(Refusal::bad(
            &format!("Cannot revise a dweller proposal that is {status}"),
            "Only drafts and proposals under validation can be revised.",
        ));
    }
    let world: String = proposal.try_get("world_id")?;
    let origin = match origin {
        Some(origin) => Some(home(&mut tx, &world, &origin).await?),
        None => None,
    };
    let verdicts = Verdicts::tally(&validations_of(&mut tx, &id).await?)?;
    let last_revised_at: Option<String> = proposal.try_get("last_revised_at")?;
    let revised_at = now();
    let is_noted = !app.bugs.has(Bug::DwellerProposalGateStaysShut);
    let row = sqlx::query(
        "UPDATE dweller_proposals
         SET name = COALESCE($1, name), origin_region = COALESCE($2, origin_region),
             generation = COALESCE($3, generation), name_context = COALESCE($4, name_context),
             cultural_identity = COALESCE($5, cultural_identity), role = COALESCE($6, role), age = COALESCE($7, age),
             personality = COALESCE($8, personality), background = COALESCE($9, background),
             core_memories = COALESCE($10, core_memories), personality_blocks = COALESCE($11, personality_blocks),
             current_situation = COALESCE($12, current_situation), revision_count = revision_count + 1,
             last_revised_at = COALESCE($13, last_revised_at), updated_at = $14
         WHERE id = $15 RETURNING revision_count",
    )
    .bind(name)
    .bind(origin)
    .bind(generation)
    .bind(name_context)
    .bind(cultural_identity)
    .bind(role)
    .bind(age)
    .bind(personality)
    .bind(background)
    .bind(core_memories.map(|memories| json!(memories).to_string()))
    .bind(personality_blocks.map(|blocks| Value::Object(blocks).to_string()))
    .bind(situation)
    .bind(is_noted.then_some(&revised_at))
    .bind(&revised_at)
    .bind(&id)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    let mut answer = json!({
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

/// The dweller proposal, or 404.
pub(super) async fn proposal_row(tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
    sqlx::query("SELECT * FROM dweller_proposals WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Refusal::absent("Dweller proposal", id))
}

fn proposal_json(row: &AnyRow) -> Result<Value, Refusal> {
    let mut proposal = identity_json(row)?;
    proposal["agent_id"] = json!(row.try_get::<String, _>("agent_id")?);
    proposal["core_memories"] = row.document("core_memories")?;
    proposal["status"] = json!(row.try_get::<String, _>("status")?);
    proposal["resulting_dweller_id"] =
        json!(row.try_get::<Option<String>, _>("resulting_dweller_id")?);
    proposal["revision_count"] = json!(row.try_get::<i64, _>("revision_count")?);
    proposal["last_revised_at"] = json!(row.try_get::<Option<String>, _>("last_revised_at")?);
    Ok(proposal)
}
