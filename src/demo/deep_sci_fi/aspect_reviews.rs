//! Votes on aspects: one approval with the strengthen gate open integrates the aspect into the world's canon, one
//! rejection ends it.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::aspects::{aspect_row, check_entry};
use super::bugs::Bug;
use super::call::{JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::input::{ANY_LENGTH, Input};
use super::notifications::notify;
use super::regions;
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::verdicts::{VERDICTS, Verdicts, own_work, shut_gate};
use super::worlds::world_row;

/// The least that an integrator writes about the world as it is now, in code points.
const SUMMARY_LENGTH: usize = 50;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/aspects/{aspect_id}/validate", post(validate))
}

struct Review {
    verdict: &'static str,
    critique: String,
    conflicts: Vec<String>,
    fixes: Vec<String>,
    summary: Option<String>,
    entry: Option<Map<String, Value>>,
}

async fn validate(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("aspect_id");
    let test_mode = input.query_flag("test_mode", false);
    let review = Review {
        verdict: input.choice("verdict", VERDICTS),
        critique: input.text("critique", 20..=usize::MAX),
        conflicts: input.texts_or_empty("canon_conflicts"),
        fixes: input.texts_or_empty("suggested_fixes"),
        summary: input.text_or_null("updated_canon_summary", ANY_LENGTH),
        entry: input.object_or_null("approved_timeline_entry"),
    };
    input.finish()?;

    let mut tx = app.store.write().await?;
    let aspect = aspect_row(&mut tx, &id).await?;
    let status: String = aspect.try_get("status")?;
    if status != "validating" {
        return Err(Refusal::bad(
            &format!("Aspect is {status}, not accepting validations"),
            "Only aspects under validation can be validated.",
        ));
    }
    let author: String = aspect.try_get("agent_id")?;
    if author == agent.id && !app.bugs.has(Bug::AspectSelfValidation) {
        return Err(own_work(test_mode));
    }
    let mut verdicts = Verdicts::tally(&reviews_of(&mut tx, &id).await?)?;
    if verdicts.has_voted(&agent.id) {
        return Err(Refusal::bad(
            "You already validated this aspect",
            "Each agent validates an aspect once.",
        ));
    }
    let world = world_row(&mut tx, &aspect.try_get::<String, _>("world_id")?).await?;
    if review.verdict == "approve" {
        if !app.bugs.has(Bug::AspectWithoutSummary) {
            check_summary(review.summary.as_deref())?;
        }
        if aspect.try_get::<String, _>("aspect_type")? == "event" {
            check_entry(&world, review.entry.as_ref())?;
        }
    }

    if app.bugs.has(Bug::AspectDecidedByTwo) {
        tx = app.store.let_go(tx).await?;
    }
    let (review_id, created_at) = (new_id(), now());
    insert(&mut tx, &id, &agent.id, &review, &review_id, &created_at).await?;
    verdicts.count(review.verdict, &created_at);

    let last_revised_at: Option<String> = aspect.try_get("last_revised_at")?;
    let gate_is_shut =
        verdicts.gate_is_shut(last_revised_at.as_deref()) && !app.bugs.has(Bug::AspectGateIgnored);
    let status = match review.verdict {
        "approve" if !gate_is_shut => {
            integrate(&app, &mut tx, &world, &aspect, &review).await?;
            "approved"
        }
        "reject" if !app.bugs.has(Bug::AspectRejectionIgnored) => "rejected",
        _ => "validating",
    };
    sqlx::query("UPDATE aspects SET status = $1, updated_at = $2 WHERE id = $3")
        .bind(status)
        .bind(&created_at)
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    if !app.bugs.has(Bug::AspectVoteNotNotified) {
        let news = json!({
            "aspect_title": aspect.try_get::<String, _>("title")?,
            "verdict": review.verdict,
            "validator_id": agent.id,
            "aspect_status": status,
        });
        notify(&mut tx, &author, "aspect_validated", ("aspect", &id), &news).await?;
    }
    tx.commit().await?;

    let mut answer = json!({
        "validation": {
            "id": review_id,
            "verdict": review.verdict,
            "critique": review.critique,
            "created_at": created_at,
        },
        "aspect_status": status,
    });
    if status == "approved" {
        answer["world_updated"] = json!({
            "id": world.try_get::<String, _>("id")?,
            "canon_summary_updated": true,
        });
    }
    if review.verdict == "approve" && gate_is_shut {
        answer["strengthen_gate"] = shut_gate();
    }
    ok(answer)
}

fn check_summary(summary: Option<&str>) -> Result<(), Refusal> {
    match summary {
        None | Some("") => Err(Refusal::bad(
            "An approval needs updated_canon_summary",
            "Write the world's canon as it is with this aspect.",
        )),
        Some(summary) if summary.chars().count() < SUMMARY_LENGTH => Err(Refusal::bad(
            "updated_canon_summary is too short",
            "Write at least 50 characters.",
        )),
        Some(_) => Ok(()),
    }
}

async fn insert(
    tx: &mut Tx,
    aspect: &str,
    agent: &str,
    review: &Review,
    id: &str,
    created_at: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO aspect_validations (id, aspect_id, agent_id, verdict, critique, canon_conflicts,
                                         suggested_fixes, updated_canon_summary, approved_timeline_entry, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(id)
    .bind(aspect)
    .bind(agent)
    .bind(review.verdict)
    .bind(&review.critique)
    .bind(json!(review.conflicts).to_string())
    .bind(json!(review.fixes).to_string())
    .bind(review.summary.as_deref())
    .bind(review.entry.as_ref().map(|entry| json!(entry).to_string()))
    .bind(created_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes the aspect part of its world: a region, a step of the timeline, and the summary.
async fn integrate(
    app: &App,
    tx: &mut Tx,
    world: &AnyRow,
    aspect: &AnyRow,
    review: &Review,
) -> Result<(), Refusal> {
    let world_id: String = world.try_get("id")?;
    let mut chain = None;
    match aspect.try_get::<String, _>("aspect_type")?.as_str() {
        "region" => {
            let content = aspect.document("content")?;
            if content.get("name").is_some() && !app.bugs.has(Bug::AspectRegionLost) {
                let count = regions::regions_of(tx, &world_id).await?.len();
                regions::append(tx, &world_id, count, &content).await?;
            }
        }
        "event" => {
            if let Some(entry) = &review.entry {
                chain = Some(with_entry(world.document("causal_chain")?, entry).to_string());
            }
        }
        _ => {}
    }
    let summary = if app.bugs.has(Bug::AspectCanonNotUpdated) {
        None
    } else {
        review.summary.as_deref()
    };
    sqlx::query(
        "UPDATE worlds SET canon_summary = COALESCE($1, canon_summary), causal_chain = COALESCE($2, causal_chain),
                updated_at = $3 WHERE id = $4",
    )
    .bind(summary)
    .bind(chain)
    .bind(now())
    .bind(&world_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The chain with the entry before the first later year.
fn with_entry(chain: Value, entry: &Map<String, Value>) -> Value {
    let mut steps = match chain {
        Value::Array(steps) => steps,
        _ => Vec::new(),
    };
    let year = entry.get("year").and_then(Value::as_i64);
    let place = steps
        .iter()
        .position(|step| step["year"].as_i64() > year)
        .unwrap_or(steps.len());
    steps.insert(place, json!(entry));
    Value::Array(steps)
}

/// The votes on an aspect, newest first, as the original lists them.
pub(super) async fn reviews_of(tx: &mut Tx, id: &str) -> Result<Vec<AnyRow>, sqlx::Error> {
    sqlx::query("SELECT * FROM aspect_validations WHERE aspect_id = $1 ORDER BY created_at DESC")
        .bind(id)
        .fetch_all(&mut **tx)
        .await
}

pub(super) fn review_json(row: &AnyRow) -> Result<Value, Refusal> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "agent_id": row.try_get::<String, _>("agent_id")?,
        "verdict": row.try_get::<String, _>("verdict")?,
        "critique": row.try_get::<String, _>("critique")?,
        "canon_conflicts": row.document("canon_conflicts")?,
        "suggested_fixes": row.document("suggested_fixes")?,
        "updated_canon_summary": row.try_get::<Option<String>, _>("updated_canon_summary")?,
        "approved_timeline_entry": row.document("approved_timeline_entry")?,
        "created_at": row.try_get::<String, _>("created_at")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_goes_before_the_first_later_year() {
        let chain = json!([{ "year": 2026 }, { "year": 2030 }, { "year": 2040 }]);
        let entry = Map::from_iter([(String::from("year"), json!(2030))]);
        let after = with_entry(chain, &entry);
        assert_eq!(
            after,
            json!([{ "year": 2026 }, { "year": 2030 }, { "year": 2030 }, { "year": 2040 }])
        );
    }
}
