//! Votes on proposals: two approvals without a rejection and without an unaddressed strengthen vote make a world, two
//! rejections end the proposal.

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
use super::proposals::Standing;
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::verdicts::{
    APPROVALS_NEEDED, REJECTIONS_NEEDED, VERDICTS, Verdicts, own_work, shut_gate,
};

/// An approval names at least one weakness and at most these.
const WEAKNESSES: usize = 5;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/proposals/{proposal_id}/validate", post(validate))
        .route("/api/proposals/{proposal_id}/validations", get(list))
}

struct Vote {
    verdict: &'static str,
    critique: String,
    research: String,
    issues: Vec<String>,
    fixes: Vec<String>,
    weaknesses: Option<Vec<String>>,
}

async fn validate(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("proposal_id");
    let test_mode = input.query_flag("test_mode", false);
    let vote = Vote {
        verdict: input.choice("verdict", VERDICTS),
        critique: input.text("critique", 50..=usize::MAX),
        research: input.text("research_conducted", 100..=usize::MAX),
        issues: input.texts_or_empty("scientific_issues"),
        fixes: input.texts_or_empty("suggested_fixes"),
        weaknesses: input.texts_or_null("weaknesses"),
    };
    input.finish()?;

    let mut tx = app.store.write().await?;
    let mut earlier = None;
    if app.bugs.has(Bug::NeitherVoteDecides) {
        earlier = Some(Verdicts::tally(&verdicts_of(&mut tx, &id).await?)?);
        tx = app.store.let_go(tx).await?;
    }
    let proposal = Standing::of(&mut tx, &id).await?;
    let is_open = proposal.status == "validating"
        || (proposal.status == "draft" && app.bugs.has(Bug::ValidateDraft));
    if !is_open {
        return Err(Refusal::bad(
            &format!("Proposal is {}, not accepting validations", proposal.status),
            "Only proposals under validation can be validated.",
        ));
    }
    if proposal.agent_id == agent.id && !app.bugs.has(Bug::SelfValidation) {
        return Err(own_work(test_mode));
    }
    let mut verdicts = match earlier {
        Some(earlier) => earlier,
        None => Verdicts::tally(&verdicts_of(&mut tx, &id).await?)?,
    };
    let looks_back = !app.bugs.has(Bug::SecondVote) && !app.bugs.has(Bug::SecondVoteCrashes);
    if looks_back && verdicts.has_voted(&agent.id) {
        return Err(Refusal::bad(
            "You already validated this proposal",
            "Each agent validates a proposal once.",
        ));
    }
    if vote.verdict == "approve" {
        check_weaknesses(&app, vote.weaknesses.as_deref().unwrap_or_default())?;
    }

    let (vote_id, created_at) = (new_id(), now());
    insert(&app, &mut tx, &id, &agent, &vote, &vote_id, &created_at).await?;
    if app.bugs.has(Bug::TwoWorldsAtOnce) {
        tx = app.store.let_go(tx).await?;
        verdicts = Verdicts::tally(&verdicts_of(&mut tx, &id).await?)?;
    } else {
        verdicts.count(vote.verdict, &created_at);
    }

    let last_revised_at = proposal.last_revised_at.as_deref();
    let gate_is_shut = if app.bugs.has(Bug::GateIgnored) {
        false
    } else if app.bugs.has(Bug::GateOpenedByEarlierRevision) {
        verdicts.gate_is_shut(None) && last_revised_at.is_none()
    } else {
        verdicts.gate_is_shut(last_revised_at)
    };
    let has_enough = verdicts.approvals >= APPROVALS_NEEDED
        && (verdicts.rejections == 0 || app.bugs.has(Bug::ApprovalDespiteRejection));
    let (status, world) = if has_enough && !gate_is_shut {
        ("approved", approve(&app, &mut tx, &id, &agent).await?)
    } else if verdicts.rejections >= REJECTIONS_NEEDED && !app.bugs.has(Bug::RejectionNotFinal) {
        sqlx::query("UPDATE proposals SET status = 'rejected', updated_at = $1 WHERE id = $2")
            .bind(now())
            .bind(&id)
            .execute(&mut *tx)
            .await?;
        ("rejected", None)
    } else {
        ("validating", None)
    };
    let about = ("proposal", id.as_str());
    let news = json!({ "verdict": vote.verdict, "validator_id": agent.id });
    notify(
        &mut tx,
        &proposal.agent_id,
        "proposal_validated",
        about,
        &news,
    )
    .await?;
    if status != "validating" {
        let news = json!({ "new_status": status });
        notify(
            &mut tx,
            &proposal.agent_id,
            "proposal_status_changed",
            about,
            &news,
        )
        .await?;
    }
    tx.commit().await?;

    let mut answer = json!({
        "validation": { "id": vote_id, "verdict": vote.verdict, "created_at": created_at },
        "proposal_status": status,
        "validation_status": verdicts.status_json(status),
    });
    if let Some(world) = world {
        answer["world_created"] = json!({ "id": world });
    }
    if has_enough && gate_is_shut {
        answer["strengthen_gate"] = shut_gate();
    }
    ok(answer)
}

fn check_weaknesses(app: &App, weaknesses: &[String]) -> Result<(), Refusal> {
    if weaknesses.is_empty() && !app.bugs.has(Bug::WeaknessesNotRequired) {
        return Err(Refusal::bad(
            "Weaknesses required when approving",
            "Name one to five weaknesses.",
        ));
    }
    let most = if app.bugs.has(Bug::SixWeaknesses) {
        WEAKNESSES + 1
    } else {
        WEAKNESSES
    };
    if weaknesses.len() > most {
        return Err(Refusal::bad(
            "Too many weaknesses",
            "Name one to five weaknesses.",
        ));
    }
    Ok(())
}

async fn insert(
    app: &App,
    tx: &mut Tx,
    proposal: &str,
    agent: &Agent,
    vote: &Vote,
    id: &str,
    created_at: &str,
) -> Result<(), Refusal> {
    let inserted = sqlx::query(
        "INSERT INTO validations (id, proposal_id, agent_id, verdict, critique, research_conducted,
                                  scientific_issues, suggested_fixes, weaknesses, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id)
    .bind(proposal)
    .bind(&agent.id)
    .bind(vote.verdict)
    .bind(&vote.critique)
    .bind(&vote.research)
    .bind(json!(vote.issues).to_string())
    .bind(json!(vote.fixes).to_string())
    .bind(vote.weaknesses.as_ref().map(|list| json!(list).to_string()))
    .bind(created_at)
    .execute(&mut **tx)
    .await;
    match inserted {
        Err(_) if app.bugs.has(Bug::SecondVoteCrashes) => {
            Err(Refusal::Crash("the vote could not be stored"))
        }
        inserted => Ok(inserted.map(drop)?),
    }
}

/// Makes the world and ties it to its proposal.
async fn approve(
    app: &App,
    tx: &mut Tx,
    id: &str,
    voter: &Agent,
) -> Result<Option<String>, Refusal> {
    let approved_at = now();
    let world = new_id();
    if app.bugs.has(Bug::ApprovalWithoutWorld) {
        sqlx::query("UPDATE proposals SET status = 'approved', updated_at = $1 WHERE id = $2")
            .bind(&approved_at)
            .bind(id)
            .execute(&mut **tx)
            .await?;
        return Ok(None);
    }
    open_world(app, tx, &world, id, voter).await?;
    if app.bugs.has(Bug::ApprovalTwoWorlds) {
        open_world(app, tx, &new_id(), id, voter).await?;
    }
    sqlx::query(
        "UPDATE proposals SET status = 'approved', resulting_world_id = $1, updated_at = $2 WHERE id = $3",
    )
    .bind(&world)
    .bind(&approved_at)
    .bind(id)
    .execute(&mut **tx)
    .await?;
    Ok(Some(world))
}

async fn open_world(
    app: &App,
    tx: &mut Tx,
    world: &str,
    proposal: &str,
    voter: &Agent,
) -> Result<(), sqlx::Error> {
    let owner = app.bugs.has(Bug::WorldOwnedByVoter).then_some(&voter.id);
    sqlx::query(
        "INSERT INTO worlds (id, name, premise, year_setting, causal_chain, scientific_basis, created_by,
                             proposal_id, created_at, updated_at)
         SELECT $1, name, premise, year_setting, causal_chain, scientific_basis, COALESCE($2, agent_id), id, $3, $3
         FROM proposals WHERE id = $4",
    )
    .bind(world)
    .bind(owner)
    .bind(now())
    .bind(proposal)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Public, without blind mode, and empty for a proposal that does not exist.
async fn list(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("proposal_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let rows = validations_of(&mut tx, &id).await?;
    let verdicts = Verdicts::tally(&rows)?;
    let validations: Result<Vec<Value>, Refusal> = rows.iter().map(validation_json).collect();
    ok(json!({
        "validations": validations?,
        "summary": {
            "total": verdicts.total(),
            "approve_count": verdicts.approvals,
            "strengthen_count": verdicts.strengthens,
            "reject_count": verdicts.rejections,
        },
    }))
}

/// Who voted how and when: all that a decision looks at.
pub(super) async fn verdicts_of(tx: &mut Tx, id: &str) -> Result<Vec<AnyRow>, sqlx::Error> {
    sqlx::query("SELECT agent_id, verdict, created_at FROM validations WHERE proposal_id = $1")
        .bind(id)
        .fetch_all(&mut **tx)
        .await
}

/// The votes on a proposal in full, oldest first.
pub(super) async fn validations_of(tx: &mut Tx, id: &str) -> Result<Vec<AnyRow>, sqlx::Error> {
    sqlx::query(
        "SELECT validations.*, users.name AS agent_name, users.username AS agent_username
         FROM validations JOIN users ON users.id = validations.agent_id
         WHERE proposal_id = $1 ORDER BY validations.created_at",
    )
    .bind(id)
    .fetch_all(&mut **tx)
    .await
}

pub(super) fn validation_json(row: &AnyRow) -> Result<Value, Refusal> {
    let agent: String = row.try_get("agent_id")?;
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "agent_id": agent,
        "validator": {
            "id": agent,
            "name": row.try_get::<String, _>("agent_name")?,
            "username": format!("@{}", row.try_get::<String, _>("agent_username")?),
        },
        "verdict": row.try_get::<String, _>("verdict")?,
        "critique": row.try_get::<String, _>("critique")?,
        "research_conducted": row.try_get::<String, _>("research_conducted")?,
        "scientific_issues": row.document("scientific_issues")?,
        "suggested_fixes": row.document("suggested_fixes")?,
        "weaknesses": row.document("weaknesses")?,
        "created_at": row.try_get::<String, _>("created_at")?,
    }))
}
