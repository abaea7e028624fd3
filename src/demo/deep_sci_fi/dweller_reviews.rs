//! Votes on proposed dwellers, by the rules for proposals of worlds: what two approvals make here is a dweller.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{JsonCall, ok};
use super::dweller_proposals::proposal_row;
use super::errors::{Answer, Refusal};
use super::identity::count_dweller;
use super::input::Input;
use super::server::App;
use super::store::{Tx, new_id, now};
use super::verdicts::{
    APPROVALS_NEEDED, REJECTIONS_NEEDED, VERDICTS, Verdicts, own_work, shut_gate,
};

pub(super) fn routes() -> Router<App> {
    Router::new().route(
        "/api/dweller-proposals/{proposal_id}/validate",
        post(validate),
    )
}

async fn validate(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("proposal_id");
    let test_mode = input.query_flag("test_mode", false);
    let verdict = input.choice("verdict", VERDICTS);
    let critique = input.text("critique", 50..=usize::MAX);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let proposal = proposal_row(&mut tx, &id).await?;
    let status: String = proposal.try_get("status")?;
    if status != "validating" {
        return Err(Refusal::bad(
            &format!("Dweller proposal is {status}, not accepting validations"),
            "Only proposals under validation can be validated.",
        ));
    }
    let is_own = proposal.try_get::<String, _>("agent_id")? == agent.id;
    if is_own && !app.bugs.has(Bug::DwellerProposalSelfValidation) {
        return Err(own_work(test_mode));
    }
    let mut verdicts = Verdicts::tally(&validations_of(&mut tx, &id).await?)?;
    if verdicts.has_voted(&agent.id) {
        return Err(Refusal::bad(
            "You already validated this dweller proposal",
            "Each agent validates a proposal once.",
        ));
    }

    let (vote, created_at) = (new_id(), now());
    sqlx::query(
        "INSERT INTO dweller_validations (id, proposal_id, agent_id, verdict, critique, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&vote)
    .bind(&id)
    .bind(&agent.id)
    .bind(verdict)
    .bind(critique)
    .bind(&created_at)
    .execute(&mut *tx)
    .await?;
    if app.bugs.has(Bug::TwoDwellersAtOnce) {
        tx = app.store.let_go(tx).await?;
        verdicts = Verdicts::tally(&validations_of(&mut tx, &id).await?)?;
    } else {
        verdicts.count(verdict, &created_at);
    }

    let last_revised_at: Option<String> = proposal.try_get("last_revised_at")?;
    let gate_is_shut = verdicts.gate_is_shut(last_revised_at.as_deref());
    let needed = if app.bugs.has(Bug::DwellerProposalOneApproval) {
        1
    } else {
        APPROVALS_NEEDED
    };
    let has_enough = verdicts.approvals >= needed && verdicts.rejections == 0;
    let is_rejected = verdicts.rejections >= REJECTIONS_NEEDED
        && !app.bugs.has(Bug::DwellerProposalNeverRejected);
    let (status, dweller) = if has_enough && !gate_is_shut {
        ("approved", settle(&app, &mut tx, &proposal).await?)
    } else if is_rejected {
        ("rejected", None)
    } else {
        ("validating", None)
    };
    if status != "validating" {
        sqlx::query(
            "UPDATE dweller_proposals SET status = $1, resulting_dweller_id = $2, updated_at = $3 WHERE id = $4",
        )
        .bind(status)
        .bind(dweller.as_deref())
        .bind(&created_at)
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;

    let mut answer = json!({
        "validation": { "id": vote, "verdict": verdict, "created_at": created_at },
        "proposal_status": status,
        "validation_status": verdicts.status_json(status),
    });
    if let Some(dweller) = dweller {
        answer["dweller_created"] = json!({ "id": dweller });
    }
    if has_enough && gate_is_shut {
        answer["strengthen_gate"] = shut_gate();
    }
    ok(answer)
}

/// Makes the dweller, who is at home and available. Nobody looks at the name again.
async fn settle(app: &App, tx: &mut Tx, proposal: &AnyRow) -> Result<Option<String>, Refusal> {
    if app.bugs.has(Bug::DwellerProposalWithoutDweller) {
        return Ok(None);
    }
    let (id, created_at) = (new_id(), now());
    sqlx::query(
        "INSERT INTO dwellers (id, world_id, created_by, name, name_key, origin_region, generation, name_context,
                               cultural_identity, role, age, personality, background, core_memories,
                               personality_blocks, relationship_memories, current_situation, current_region,
                               created_at, updated_at)
         SELECT $1, world_id, agent_id, name, $2, origin_region, generation, name_context, cultural_identity, role,
                age, personality, background, core_memories, personality_blocks, '{}', current_situation,
                origin_region, $3, $3
         FROM dweller_proposals WHERE id = $4",
    )
    .bind(&id)
    .bind(proposal.try_get::<String, _>("name")?.to_lowercase())
    .bind(&created_at)
    .bind(proposal.try_get::<String, _>("id")?)
    .execute(&mut **tx)
    .await?;
    if !app.bugs.has(Bug::DwellerProposalNotCounted) {
        let world: String = proposal.try_get("world_id")?;
        count_dweller(tx, &world, &created_at).await?;
    }
    Ok(Some(id))
}

/// The votes on a dweller proposal, oldest first.
pub(super) async fn validations_of(tx: &mut Tx, id: &str) -> Result<Vec<AnyRow>, sqlx::Error> {
    sqlx::query("SELECT * FROM dweller_validations WHERE proposal_id = $1 ORDER BY created_at")
        .bind(id)
        .fetch_all(&mut **tx)
        .await
}

pub(super) fn validation_json(row: &AnyRow) -> Result<Value, Refusal> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "agent_id": row.try_get::<String, _>("agent_id")?,
        "verdict": row.try_get::<String, _>("verdict")?,
        "critique": row.try_get::<String, _>("critique")?,
        "created_at": row.try_get::<String, _>("created_at")?,
    }))
}
