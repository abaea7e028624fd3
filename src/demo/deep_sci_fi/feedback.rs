//! What agents report about the platform: filed by anybody, upvoted by others, and brought to an end by an
//! administrator.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, patch, post};
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::input::{ANY_LENGTH, Input};
use super::notifications::notify;
use super::server::App;
use super::store::{Columns, Tx, new_id, now};

const CATEGORIES: &[&str] = &[
    "api_bug",
    "api_usability",
    "documentation",
    "feature_request",
    "error_message",
    "performance",
];
const PRIORITIES: &[&str] = &["critical", "high", "medium", "low"];
const STATUSES: &[&str] = &["new", "acknowledged", "in_progress", "resolved", "wont_fix"];
/// The longest page of a list, and the usual one.
const PAGE: i64 = 100;
const USUAL_PAGE: i64 = 20;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/feedback", post(create))
        .route("/api/feedback/list", get(list))
        .route("/api/feedback/summary", get(summary))
        .route("/api/feedback/changelog", get(changelog))
        .route("/api/feedback/{feedback_id}", get(read))
        .route("/api/feedback/{feedback_id}/upvote", post(upvote))
        .route("/api/feedback/{feedback_id}/status", patch(set_status))
}

async fn create(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let category = input.choice("category", CATEGORIES);
    let priority = input.choice("priority", PRIORITIES);
    let title = input.text("title", 5..=255);
    let description = input.text("description", 20..=usize::MAX);
    let endpoint = input.text_or_null("endpoint", 0..=255);
    let error_code = input.int_or_null("error_code", 100..=599);
    let error_message = input.text_or_null("error_message", ANY_LENGTH);
    let expected = input.text_or_null("expected_behavior", ANY_LENGTH);
    let steps = input.texts_or_null("reproduction_steps");
    let request = input.object_or_null("request_payload");
    let response = input.object_or_null("response_payload");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let row = sqlx::query(
        "INSERT INTO feedback (id, agent_id, category, priority, title, description, endpoint, error_code,
                               error_message, expected_behavior, reproduction_steps, request_payload,
                               response_payload, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14) RETURNING *",
    )
    .bind(new_id())
    .bind(&agent.id)
    .bind(category)
    .bind(priority)
    .bind(title)
    .bind(description)
    .bind(endpoint)
    .bind(error_code)
    .bind(error_message)
    .bind(expected)
    .bind(steps.map(|steps| json!(steps).to_string()))
    .bind(request.map(|payload| Value::Object(payload).to_string()))
    .bind(response.map(|payload| Value::Object(payload).to_string()))
    .bind(now())
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    ok(json!({ "feedback": feedback_json(&row)? }))
}

async fn upvote(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("feedback_id");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let feedback = feedback_row(&mut tx, &id).await?;
    let mut upvoters = feedback.document("upvoters")?;
    let Value::Array(voters) = &mut upvoters else {
        return Err(Refusal::Crash("the upvoters are no list"));
    };
    let has_voted = voters.iter().any(|voter| *voter == agent.id.as_str());
    if has_voted && !app.bugs.has(Bug::FeedbackUpvotedTwice) {
        return Err(Refusal::bad(
            "You already upvoted this feedback",
            "Each agent upvotes a feedback once.",
        ));
    }
    let is_own = feedback.try_get::<String, _>("agent_id")? == agent.id;
    if is_own && !app.bugs.has(Bug::FeedbackSelfUpvote) {
        return Err(Refusal::bad(
            "Cannot upvote your own feedback",
            "Wait for another agent.",
        ));
    }
    if app.bugs.has(Bug::UpvotesLost) {
        tx = app.store.let_go(tx).await?;
    }
    voters.push(json!(agent.id));
    let count = i64::try_from(voters.len()).unwrap_or(i64::MAX);
    let stored = if app.bugs.has(Bug::FeedbackUpvoteNotCounted) {
        None
    } else {
        Some(count)
    };
    sqlx::query(
        "UPDATE feedback SET upvoters = $1, upvote_count = COALESCE($2, upvote_count) WHERE id = $3",
    )
    .bind(upvoters.to_string())
    .bind(stored)
    .bind(&id)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    ok(json!({ "feedback_id": id, "upvote_count": count }))
}

async fn set_status(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    call.admin(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("feedback_id");
    let status = input.choice("status", STATUSES);
    let notes = input.text_or_null("resolution_notes", ANY_LENGTH);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let feedback = feedback_row(&mut tx, &id).await?;
    let before: String = feedback.try_get("status")?;
    let is_reopening = before == "wont_fix" && status != before && status != "new";
    let may = successors(&before).contains(&status)
        || (is_reopening && app.bugs.has(Bug::FeedbackReopened));
    if !may {
        return Err(Refusal::bad(
            &format!("Cannot go from {before} to {status}"),
            &format!("Allowed: {}", successors(&before).join(", ")),
        ));
    }
    let notes = notes.filter(|notes| !notes.is_empty());
    let needs_notes = status == "wont_fix"
        || (status == "resolved" && !app.bugs.has(Bug::FeedbackResolvedWithoutNotes));
    if needs_notes && notes.is_none() {
        return Err(Refusal::bad(
            "Resolution notes are required",
            "Say in resolution_notes how it ended.",
        ));
    }
    let changed_at = now();
    let resolved_at = (status == "resolved").then_some(changed_at.as_str());
    let row = sqlx::query(
        "UPDATE feedback
         SET status = $1, resolution_notes = COALESCE($2, resolution_notes),
             resolved_at = COALESCE($3, resolved_at), updated_at = $4
         WHERE id = $5 RETURNING *",
    )
    .bind(status)
    .bind(notes.as_deref())
    .bind(resolved_at)
    .bind(&changed_at)
    .bind(&id)
    .fetch_one(&mut *tx)
    .await?;
    if status == "resolved" {
        let author: String = feedback.try_get("agent_id")?;
        let news = json!({ "status": status, "resolution_notes": notes });
        notify(
            &mut tx,
            &author,
            "feedback_resolved",
            ("feedback", &id),
            &news,
        )
        .await?;
    }
    tx.commit().await?;
    ok(json!({ "feedback": feedback_json(&row)? }))
}

/// Where a status leads.
fn successors(status: &str) -> &'static [&'static str] {
    match status {
        "new" => &["acknowledged", "in_progress", "resolved", "wont_fix"],
        "acknowledged" => &["in_progress", "resolved", "wont_fix"],
        "in_progress" => &["resolved", "wont_fix"],
        _ => &[],
    }
}

macro_rules! matching {
    ($what:literal, $order:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM feedback
              WHERE (CAST($1 AS TEXT) IS NULL OR status = $1)
                AND (CAST($2 AS TEXT) IS NULL OR category = $2)
                AND (CAST($3 AS TEXT) IS NULL OR priority = $3) ",
            $order
        )
    };
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let limit = page(&mut input);
    let offset = input.query_int("offset", 0, i64::MIN..=i64::MAX - PAGE);
    input.finish()?;
    let status = filter(&call, "status", STATUSES)?;
    let category = filter(&call, "category", CATEGORIES)?;
    let priority = filter(&call, "priority", PRIORITIES)?;

    let offset = offset.max(0);
    let mut tx = app.store.snapshot().await?;
    let newest = matching!("*", "ORDER BY created_at DESC LIMIT $4 OFFSET $5");
    let rows = sqlx::query(newest)
        .bind(status)
        .bind(category)
        .bind(priority)
        .bind(limit)
        .bind(offset)
        .fetch_all(&mut *tx)
        .await?;
    let count = sqlx::query(matching!("COUNT(*) AS total", ""))
        .bind(status)
        .bind(category)
        .bind(priority)
        .fetch_one(&mut *tx)
        .await?;
    let total: i64 = count.try_get("total")?;
    let feedback: Result<Vec<Value>, Refusal> = rows.iter().map(feedback_json).collect();
    ok(json!({ "feedback": feedback?, "total": total, "has_more": offset + limit < total }))
}

/// The original caps the limit silently. It has no floor, and its database chokes on what is below zero; here that
/// is an empty page.
fn page(input: &mut Input<'_>) -> i64 {
    let limit = input.query_int("limit", USUAL_PAGE, i64::MIN..=i64::MAX);
    limit.clamp(0, PAGE)
}

/// Here a bad choice is the handler's 400, and not the schema's 422.
fn filter<'c>(call: &'c Call, name: &str, choices: &[&str]) -> Result<Option<&'c str>, Refusal> {
    match Input::without_body(call).query_text(name) {
        None | Some("") => Ok(None),
        Some(choice) if choices.contains(&choice) => Ok(Some(choice)),
        Some(choice) => Err(Refusal::bad(
            &format!("Invalid {name}: {choice}"),
            &format!("Use one of: {}", choices.join(", ")),
        )),
    }
}

async fn summary(State(app): State<App>) -> Answer {
    let rows = sqlx::query("SELECT status, category, priority FROM feedback")
        .fetch_all(app.store.readers())
        .await?;
    ok(json!({
        "total": rows.len(),
        "by_status": tally(&rows, "status", STATUSES)?,
        "by_category": tally(&rows, "category", CATEGORIES)?,
        "by_priority": tally(&rows, "priority", PRIORITIES)?,
    }))
}

/// How many rows have each of the choices in a column.
fn tally(rows: &[AnyRow], column: &str, choices: &[&str]) -> Result<Value, sqlx::Error> {
    let values: Result<Vec<String>, sqlx::Error> =
        rows.iter().map(|row| row.try_get(column)).collect();
    let values = values?;
    let counts: Map<String, Value> = choices
        .iter()
        .map(|choice| {
            let count = values.iter().filter(|value| value == choice).count();
            ((*choice).to_owned(), json!(count))
        })
        .collect();
    Ok(Value::Object(counts))
}

/// What was resolved, the latest first.
async fn changelog(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let limit = page(&mut input);
    input.finish()?;

    let rows = sqlx::query(
        "SELECT * FROM feedback WHERE status = 'resolved' ORDER BY resolved_at DESC LIMIT $1",
    )
    .bind(limit)
    .fetch_all(app.store.readers())
    .await?;
    let entries: Result<Vec<Value>, Refusal> = rows.iter().map(feedback_json).collect();
    ok(json!({ "changelog": entries?, "total": rows.len() }))
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("feedback_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    ok(json!({ "feedback": feedback_json(&feedback_row(&mut tx, &id).await?)? }))
}

/// The feedback, or 404.
async fn feedback_row(tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
    sqlx::query("SELECT * FROM feedback WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Refusal::absent("Feedback", id))
}

fn feedback_json(row: &AnyRow) -> Result<Value, Refusal> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "agent_id": row.try_get::<String, _>("agent_id")?,
        "category": row.try_get::<String, _>("category")?,
        "priority": row.try_get::<String, _>("priority")?,
        "title": row.try_get::<String, _>("title")?,
        "description": row.try_get::<String, _>("description")?,
        "endpoint": row.try_get::<Option<String>, _>("endpoint")?,
        "error_code": row.try_get::<Option<i64>, _>("error_code")?,
        "error_message": row.try_get::<Option<String>, _>("error_message")?,
        "expected_behavior": row.try_get::<Option<String>, _>("expected_behavior")?,
        "reproduction_steps": row.document("reproduction_steps")?,
        "request_payload": row.document("request_payload")?,
        "response_payload": row.document("response_payload")?,
        "status": row.try_get::<String, _>("status")?,
        "upvoters": row.document("upvoters")?,
        "upvote_count": row.try_get::<i64, _>("upvote_count")?,
        "resolution_notes": row.try_get::<Option<String>, _>("resolution_notes")?,
        "resolved_at": row.try_get::<Option<String>, _>("resolved_at")?,
        "created_at": row.try_get::<String, _>("created_at")?,
        "updated_at": row.try_get::<String, _>("updated_at")?,
    }))
}
