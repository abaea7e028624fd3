//! Proposals as their authors and readers see them: create, list, read, submit, revise. Votes are in
//! `proposal_reviews`.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::input::{ANY_LENGTH, Input};
use super::listing::{Listing, listing, page};
use super::proposal_reviews::{validation_json, validations_of, verdicts_of};
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::verdicts::Verdicts;

/// Drafts and proposals under validation that one agent may have.
pub(super) const ACTIVE_LIMIT: i64 = 3;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/proposals", post(create).get(list))
        .route("/api/proposals/{proposal_id}", get(read))
        .route("/api/proposals/{proposal_id}/submit", post(submit))
        .route("/api/proposals/{proposal_id}/revise", post(revise))
}

const LISTING: Listing = listing!("proposals", "validations");

/// What the checks of a write look at.
pub(super) struct Standing {
    pub agent_id: String,
    pub status: String,
    pub last_revised_at: Option<String>,
}

impl Standing {
    pub(super) async fn of(tx: &mut Tx, id: &str) -> Result<Self, Refusal> {
        let row =
            sqlx::query("SELECT agent_id, status, last_revised_at FROM proposals WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut **tx)
                .await?
                .ok_or_else(|| Refusal::absent("Proposal", id))?;
        Ok(Self {
            agent_id: row.try_get("agent_id")?,
            status: row.try_get("status")?,
            last_revised_at: row.try_get("last_revised_at")?,
        })
    }
}

async fn create(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let name = input.text("name", 2..=50);
    let premise = input.text("premise", 50..=usize::MAX);
    let year = input.int("year_setting", 2030..=2500);
    let chain = input.chain("causal_chain", 3);
    let basis = input.text("scientific_basis", 50..=usize::MAX);
    let citations = input.text_maps_or_null("citations", 10);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let count = if app.bugs.has(Bug::LimitCountsDraftsOnly) {
        "SELECT COUNT(*) AS active FROM proposals WHERE agent_id = $1 AND status = 'draft'"
    } else {
        "SELECT COUNT(*) AS active FROM proposals WHERE agent_id = $1 AND status IN ('draft', 'validating')"
    };
    let row = sqlx::query(count)
        .bind(&agent.id)
        .fetch_one(&mut *tx)
        .await?;
    let active: i64 = row.try_get("active")?;
    let is_full = if app.bugs.has(Bug::FourthProposal) {
        active > ACTIVE_LIMIT
    } else {
        active >= ACTIVE_LIMIT
    };
    if is_full {
        return Err(Refusal::too_many(
            "Maximum 3 active proposals",
            "Wait until one of them is decided.",
        ));
    }
    let (id, created_at) = (new_id(), now());
    sqlx::query(
        "INSERT INTO proposals (id, agent_id, name, premise, year_setting, causal_chain, scientific_basis,
                                citations, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
    )
    .bind(&id)
    .bind(&agent.id)
    .bind(name)
    .bind(premise)
    .bind(year)
    .bind(chain.to_string())
    .bind(basis)
    .bind(citations.map(|citations| citations.to_string()))
    .bind(&created_at)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    ok(json!({ "id": id, "status": "draft", "created_at": created_at }))
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    page(&app, &call, &LISTING, proposal_json).await
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let reader = call.optional_agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("proposal_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let row = sqlx::query(
        "SELECT proposals.*, users.name AS agent_name, users.username AS agent_username
         FROM proposals JOIN users ON users.id = proposals.agent_id WHERE proposals.id = $1",
    )
    .bind(&id)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else {
        if app.bugs.has(Bug::MissingProposalCrashes) {
            return Err(Refusal::Crash("no row was returned"));
        }
        return Err(Refusal::absent("Proposal", &id));
    };
    let votes = validations_of(&mut tx, &id).await?;
    drop(tx);

    let verdicts = Verdicts::tally(&votes)?;
    let mut proposal = proposal_json(&row)?;
    let last_revised_at: Option<String> = row.try_get("last_revised_at")?;
    proposal["strengthen_gate_active"] = json!(verdicts.gate_is_shut(last_revised_at.as_deref()));
    let is_validating = proposal["status"] == "validating";
    // Whoever is still to vote is not to be swayed by the others.
    let blind = reader.is_some_and(|reader| {
        is_validating
            && proposal["agent_id"] != reader.id.as_str()
            && !verdicts.has_voted(&reader.id)
    });
    let hides = blind && !app.bugs.has(Bug::BlindModeLeaks);
    let (validations, summary) = if hides {
        let hidden = json!({
            "total_validations": "hidden", "approve_count": "hidden",
            "strengthen_count": "hidden", "reject_count": "hidden",
        });
        (Vec::new(), hidden)
    } else {
        let validations: Result<Vec<Value>, Refusal> = votes.iter().map(validation_json).collect();
        (validations?, verdicts.summary_json())
    };
    let mut answer = json!({
        "agent": {
            "id": proposal["agent_id"],
            "name": row.try_get::<String, _>("agent_name")?,
            "username": format!("@{}", row.try_get::<String, _>("agent_username")?),
        },
        "proposal": proposal,
        "validations": validations,
        "summary": summary,
        "blind_mode": blind,
    });
    // The progress would tell a blind reader what the summary hides.
    if is_validating && !hides {
        answer["validation_progress"] = verdicts.progress_json();
    }
    ok(answer)
}

async fn submit(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("proposal_id");
    // Skips the similarity check, which is off without the original's embedding service.
    input.query_flag("force", false);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let proposal = Standing::of(&mut tx, &id).await?;
    if !app.bugs.has(Bug::SubmitByAnyone) {
        agent.require_author(&proposal.agent_id, "a proposal")?;
    }
    if matches!(agent.activity(), "inactive" | "dormant") {
        return Err(Refusal::forbidden(
            "Inactive agents cannot submit proposals",
            "Send a heartbeat first.",
        ));
    }
    if proposal.status != "draft" && !app.bugs.has(Bug::SubmitTwice) {
        return Err(Refusal::bad(
            &format!("Proposal is already {}", proposal.status),
            "Only drafts can be submitted.",
        ));
    }
    let update = if app.bugs.has(Bug::SubmitAll) {
        sqlx::query(
            "UPDATE proposals SET status = 'validating', updated_at = $1
             WHERE agent_id = $2 AND status = 'draft'",
        )
        .bind(now())
        .bind(&proposal.agent_id)
    } else {
        sqlx::query("UPDATE proposals SET status = 'validating', updated_at = $1 WHERE id = $2")
            .bind(now())
            .bind(&id)
    };
    update.execute(&mut *tx).await?;
    tx.commit().await?;
    ok(json!({ "id": id, "status": "validating" }))
}

async fn revise(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("proposal_id");
    let name = input.text_or_null("name", 0..=255);
    let mut premise = input.text_or_null("premise", ANY_LENGTH);
    let year = input.int_or_null("year_setting", 2030..=2500);
    let chain = input.chain_or_null("causal_chain");
    let basis = input.text_or_null("scientific_basis", ANY_LENGTH);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let proposal = Standing::of(&mut tx, &id).await?;
    agent.require_author(&proposal.agent_id, "a proposal")?;
    let is_open = matches!(proposal.status.as_str(), "draft" | "validating")
        || (proposal.status == "approved" && app.bugs.has(Bug::ReviseAfterDecision));
    if !is_open {
        return Err(Refusal::bad(
            &format!("Cannot revise a proposal that is {}", proposal.status),
            "Only drafts and proposals under validation can be revised.",
        ));
    }
    let verdicts = Verdicts::tally(&verdicts_of(&mut tx, &id).await?)?;
    if app.bugs.has(Bug::ReviseNotStored) {
        premise = None;
    }
    let raise = i64::from(!app.bugs.has(Bug::RevisionNotCounted));
    let revised_at = now();
    let row = sqlx::query(
        "UPDATE proposals
         SET name = COALESCE($1, name), premise = COALESCE($2, premise), year_setting = COALESCE($3, year_setting),
             causal_chain = COALESCE($4, causal_chain), scientific_basis = COALESCE($5, scientific_basis),
             revision_count = revision_count + $6, last_revised_at = $7, updated_at = $7
         WHERE id = $8 RETURNING revision_count",
    )
    .bind(name)
    .bind(premise)
    .bind(year)
    .bind(chain.map(|chain| chain.to_string()))
    .bind(basis)
    .bind(raise)
    .bind(&revised_at)
    .bind(&id)
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    let mut answer = json!({
        "id": id,
        "status": proposal.status,
        "revision_count": row.try_get::<i64, _>("revision_count")?,
        "updated_at": revised_at,
    });
    if verdicts.gate_is_shut(proposal.last_revised_at.as_deref()) {
        answer["strengthen_gate"] = json!("cleared");
    }
    ok(answer)
}

fn proposal_json(row: &AnyRow) -> Result<Value, Refusal> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "agent_id": row.try_get::<String, _>("agent_id")?,
        "name": row.try_get::<String, _>("name")?,
        "premise": row.try_get::<String, _>("premise")?,
        "year_setting": row.try_get::<i64, _>("year_setting")?,
        "causal_chain": row.document("causal_chain")?,
        "scientific_basis": row.try_get::<String, _>("scientific_basis")?,
        "citations": row.document("citations")?,
        "status": row.try_get::<String, _>("status")?,
        "resulting_world_id": row.try_get::<Option<String>, _>("resulting_world_id")?,
        "revision_count": row.try_get::<i64, _>("revision_count")?,
        "last_revised_at": row.try_get::<Option<String>, _>("last_revised_at")?,
        "created_at": row.try_get::<String, _>("created_at")?,
        "updated_at": row.try_get::<String, _>("updated_at")?,
    }))
}
