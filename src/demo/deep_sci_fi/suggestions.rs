//! Suggested revisions: one agent proposes a new value for a field of another's proposal or aspect, and the owner
//! accepts or rejects it. When the owner lets the deadline pass, enough upvotes let anybody accept.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use chrono::{Duration, SecondsFormat, Utc};
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
use super::suggestion_targets::{ASPECT, PROPOSAL, Target};

/// How long only the owner may decide.
const OWNER_TIME: Duration = Duration::hours(4);
/// Upvotes with which anybody may accept after that.
const UPVOTES_NEEDED: usize = 3;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/api/suggestions/proposals/{proposal_id}/suggest-revision",
            post(suggest_for_proposal),
        )
        .route(
            "/api/suggestions/proposals/{proposal_id}/suggestions",
            get(list_of_proposal),
        )
        .route(
            "/api/suggestions/aspects/{aspect_id}/suggest-revision",
            post(suggest_for_aspect),
        )
        .route(
            "/api/suggestions/aspects/{aspect_id}/suggestions",
            get(list_of_aspect),
        )
        .route("/api/suggestions/{suggestion_id}", get(read))
        .route("/api/suggestions/{suggestion_id}/accept", post(accept))
        .route("/api/suggestions/{suggestion_id}/reject", post(reject))
        .route("/api/suggestions/{suggestion_id}/upvote", post(upvote))
        .route("/api/suggestions/{suggestion_id}/withdraw", post(withdraw))
}

async fn suggest_for_proposal(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    suggest(&app, &call, &PROPOSAL, "proposal_id").await
}

async fn suggest_for_aspect(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    suggest(&app, &call, &ASPECT, "aspect_id").await
}

async fn suggest(app: &App, call: &Call, target: &Target, parameter: &'static str) -> Answer {
    let agent = call.agent(app).await?;
    let mut input = Input::with_body(call);
    let target_id = input.id(parameter);
    let field = input.text("field", 1..=100);
    let value = input.value("suggested_value");
    let rationale = input.text("rationale", 20..=usize::MAX);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let row = target.row(&mut tx, &target_id).await?;
    let owner: String = row.try_get("agent_id")?;
    if owner == agent.id {
        return Err(Refusal::bad(
            "Cannot suggest a revision of your own work",
            "Revise it yourself.",
        ));
    }
    let Some(field) = target.field(&field) else {
        let names: Vec<&str> = target.fields.iter().map(|field| field.name).collect();
        return Err(Refusal::bad(
            &format!("Field '{field}' cannot be revised by suggestion"),
            &format!("Use one of: {}", names.join(", ")),
        ));
    };
    let deadline = (Utc::now() + OWNER_TIME).to_rfc3339_opts(SecondsFormat::Micros, false);
    let suggestion = sqlx::query(
        "INSERT INTO suggestions (id, target_type, target_id, suggested_by, field, current_value, suggested_value,
                                  rationale, owner_response_deadline, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) RETURNING *",
    )
    .bind(new_id())
    .bind(target.name)
    .bind(&target_id)
    .bind(&agent.id)
    .bind(field.name)
    .bind(field.value(&row)?.to_string())
    .bind(value.to_string())
    .bind(rationale)
    .bind(deadline)
    .bind(now())
    .fetch_one(&mut *tx)
    .await?;
    let suggestion = suggestion_json(&suggestion)?;
    let about = (target.name, target_id.as_str());
    let news = json!({
        "suggestion_id": suggestion["id"],
        "suggested_by": agent.id,
        "field": field.name,
    });
    notify(&mut tx, &owner, "revision_suggested", about, &news).await?;
    tx.commit().await?;
    ok(json!({ "suggestion": suggestion }))
}

async fn accept(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let (id, reason) = decision(&call)?;

    let mut tx = app.store.write().await?;
    let suggestion = suggestion_row(&mut tx, &id).await?;
    let is_rejected = suggestion.try_get::<String, _>("status")? == "rejected";
    if !(is_rejected && app.bugs.has(Bug::SuggestionAfterRejection)) {
        require_pending(&suggestion)?;
    }
    let target = Target::named(&suggestion.try_get::<String, _>("target_type")?);
    let target_id: String = suggestion.try_get("target_id")?;
    let row = target.row(&mut tx, &target_id).await?;
    let is_owner = row.try_get::<String, _>("agent_id")? == agent.id;
    if !app.bugs.has(Bug::SuggestionAcceptedByAnyone) {
        check_turn(&suggestion, is_owner)?;
    }
    if app.bugs.has(Bug::SuggestionSettledByTwo) {
        tx = app.store.let_go(tx).await?;
    }
    if !app.bugs.has(Bug::SuggestionNotApplied) {
        let name: String = suggestion.try_get("field")?;
        let field = target
            .field(&name)
            .ok_or(Refusal::Crash("a suggestion for an unknown field"))?;
        let value = suggestion.document("suggested_value")?;
        field.write(&app, &mut tx, &target_id, &value).await?;
    }
    let suggestion = if app.bugs.has(Bug::SuggestionStaysPending) {
        suggestion_json(&suggestion)?
    } else {
        settle(&mut tx, &id, "accepted", Some(&reason)).await?
    };
    tx.commit().await?;
    ok(json!({ "suggestion": suggestion }))
}

/// The owner decides until the deadline; after it, anybody with enough upvotes behind the suggestion.
fn check_turn(suggestion: &AnyRow, is_owner: bool) -> Result<(), Refusal> {
    let deadline: String = suggestion.try_get("owner_response_deadline")?;
    let is_late = now() > deadline;
    match (is_owner, is_late) {
        (true, false) => Ok(()),
        (true, true) => Err(Refusal::forbidden(
            "The deadline for your response has passed",
            "Others may accept now.",
        )),
        (false, true) if upvotes(suggestion)?.len() >= UPVOTES_NEEDED => Ok(()),
        (false, true) => Err(Refusal::forbidden(
            "Not enough upvotes",
            "After the deadline, three upvotes are needed.",
        )),
        (false, false) => Err(Refusal::forbidden(
            "Not your work",
            "Until the deadline only the owner can accept.",
        )),
    }
}

async fn reject(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let (id, reason) = decision(&call)?;

    let mut tx = app.store.write().await?;
    let suggestion = suggestion_row(&mut tx, &id).await?;
    require_pending(&suggestion)?;
    let target = Target::named(&suggestion.try_get::<String, _>("target_type")?);
    let target_id: String = suggestion.try_get("target_id")?;
    let row = target.row(&mut tx, &target_id).await?;
    if row.try_get::<String, _>("agent_id")? != agent.id {
        return Err(Refusal::forbidden(
            "Not your work",
            "Only the owner can reject a suggestion.",
        ));
    }
    if app.bugs.has(Bug::SuggestionSettledByTwo) {
        tx = app.store.let_go(tx).await?;
    }
    let suggestion = settle(&mut tx, &id, "rejected", Some(&reason)).await?;
    tx.commit().await?;
    ok(json!({ "suggestion": suggestion }))
}

async fn upvote(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let id = suggestion_id(&call)?;

    let mut tx = app.store.write().await?;
    let suggestion = suggestion_row(&mut tx, &id).await?;
    require_pending(&suggestion)?;
    if is_by(&suggestion, &agent)? {
        return Err(Refusal::bad(
            "Cannot upvote your own suggestion",
            "Wait for others.",
        ));
    }
    let mut voters = upvotes(&suggestion)?;
    if voters.iter().any(|voter| *voter == agent.id.as_str()) {
        return Err(Refusal::bad(
            "You already upvoted this suggestion",
            "Each agent upvotes a suggestion once.",
        ));
    }
    voters.push(json!(agent.id));
    sqlx::query("UPDATE suggestions SET upvotes = $1 WHERE id = $2")
        .bind(json!(voters).to_string())
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(json!({ "suggestion_id": id, "upvote_count": voters.len() }))
}

async fn withdraw(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let id = suggestion_id(&call)?;

    let mut tx = app.store.write().await?;
    let suggestion = suggestion_row(&mut tx, &id).await?;
    require_pending(&suggestion)?;
    if !is_by(&suggestion, &agent)? && !app.bugs.has(Bug::SuggestionWithdrawnByAnyone) {
        return Err(Refusal::forbidden(
            "Not your suggestion",
            "Only who made a suggestion can withdraw it.",
        ));
    }
    if app.bugs.has(Bug::SuggestionSettledByTwo) {
        tx = app.store.let_go(tx).await?;
    }
    let suggestion = settle(&mut tx, &id, "withdrawn", None).await?;
    tx.commit().await?;
    ok(json!({ "suggestion": suggestion }))
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let id = suggestion_id(&call)?;
    let mut tx = app.store.snapshot().await?;
    ok(json!({ "suggestion": suggestion_json(&suggestion_row(&mut tx, &id).await?)? }))
}

async fn list_of_proposal(State(app): State<App>, call: Call) -> Answer {
    list(&app, &call, &PROPOSAL, "proposal_id").await
}

async fn list_of_aspect(State(app): State<App>, call: Call) -> Answer {
    list(&app, &call, &ASPECT, "aspect_id").await
}

async fn list(app: &App, call: &Call, target: &Target, parameter: &'static str) -> Answer {
    let mut input = Input::without_body(call);
    let id = input.id(parameter);
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    target.row(&mut tx, &id).await?;
    let rows = sqlx::query(
        "SELECT * FROM suggestions WHERE target_type = $1 AND target_id = $2 ORDER BY created_at DESC",
    )
    .bind(target.name)
    .bind(&id)
    .fetch_all(&mut *tx)
    .await?;
    let suggestions: Result<Vec<Value>, Refusal> = rows.iter().map(suggestion_json).collect();
    ok(json!({ "suggestions": suggestions?, "total": rows.len() }))
}

fn suggestion_id(call: &Call) -> Result<String, Refusal> {
    let mut input = Input::without_body(call);
    let id = input.id("suggestion_id");
    input.finish()?;
    Ok(id)
}

/// Which suggestion is decided, and why.
fn decision(call: &Call) -> Result<(String, String), Refusal> {
    let mut input = Input::with_body(call);
    let id = input.id("suggestion_id");
    let reason = input.text("reason", 10..=usize::MAX);
    input.finish()?;
    Ok((id, reason))
}

fn require_pending(suggestion: &AnyRow) -> Result<(), Refusal> {
    let status: String = suggestion.try_get("status")?;
    if status == "pending" {
        return Ok(());
    }
    Err(Refusal::bad(
        &format!("Suggestion is already {status}"),
        "Only pending suggestions can change.",
    ))
}

fn is_by(suggestion: &AnyRow, agent: &Agent) -> Result<bool, sqlx::Error> {
    Ok(suggestion.try_get::<String, _>("suggested_by")? == agent.id)
}

fn upvotes(suggestion: &AnyRow) -> Result<Vec<Value>, Refusal> {
    match suggestion.document("upvotes")? {
        Value::Array(voters) => Ok(voters),
        _ => Err(Refusal::Crash("the upvotes are no list")),
    }
}

async fn settle(
    tx: &mut Tx,
    id: &str,
    status: &str,
    reason: Option<&str>,
) -> Result<Value, Refusal> {
    let row = sqlx::query(
        "UPDATE suggestions SET status = $1, response_reason = $2, updated_at = $3 WHERE id = $4 RETURNING *",
    )
    .bind(status)
    .bind(reason)
    .bind(now())
    .bind(id)
    .fetch_one(&mut **tx)
    .await?;
    suggestion_json(&row)
}

/// The suggestion, or 404.
async fn suggestion_row(tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
    sqlx::query("SELECT * FROM suggestions WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Refusal::absent("Suggestion", id))
}

fn suggestion_json(row: &AnyRow) -> Result<Value, Refusal> {
    let upvotes = upvotes(row)?;
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "target_type": row.try_get::<String, _>("target_type")?,
        "target_id": row.try_get::<String, _>("target_id")?,
        "suggested_by": row.try_get::<String, _>("suggested_by")?,
        "field": row.try_get::<String, _>("field")?,
        "current_value": row.document("current_value")?,
        "suggested_value": row.document("suggested_value")?,
        "rationale": row.try_get::<String, _>("rationale")?,
        "status": row.try_get::<String, _>("status")?,
        "upvote_count": upvotes.len(),
        "upvotes": upvotes,
        "response_reason": row.try_get::<Option<String>, _>("response_reason")?,
        "owner_response_deadline": row.try_get::<String, _>("owner_response_deadline")?,
        "created_at": row.try_get::<String, _>("created_at")?,
        "updated_at": row.try_get::<String, _>("updated_at")?,
    }))
}
