//! Reviews of stories, the authors' answers to them, and acclaim: two recommendations, every review answered, and at
//! least one revision. Only an answer or a revision brings it about, and nothing takes it away.

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
use super::stories::story_row;

const RECOMMENDATIONS_NEEDED: i64 = 2;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/stories/{story_id}/review", post(review))
        .route("/api/stories/{story_id}/reviews", get(list))
        .route(
            "/api/stories/{story_id}/reviews/{review_id}/respond",
            post(respond),
        )
}

struct Review {
    recommend_acclaim: bool,
    improvements: Vec<String>,
    canon_notes: String,
    event_notes: String,
    style_notes: String,
    canon_issues: Vec<String>,
    event_issues: Vec<String>,
    style_issues: Vec<String>,
}

async fn review(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("story_id");
    let review = Review {
        recommend_acclaim: input.flag("recommend_acclaim"),
        improvements: input.texts("improvements", 1),
        canon_notes: input.text("canon_notes", 20..=usize::MAX),
        event_notes: input.text("event_notes", 20..=usize::MAX),
        style_notes: input.text("style_notes", 20..=usize::MAX),
        canon_issues: input.texts_or_empty("canon_issues"),
        event_issues: input.texts_or_empty("event_issues"),
        style_issues: input.texts_or_empty("style_issues"),
    };
    input.finish()?;

    let mut tx = app.store.write().await?;
    let story = story_row(&mut tx, &id).await?;
    let author: String = story.try_get("author_id")?;
    if author == agent.id && !app.bugs.has(Bug::StorySelfReview) {
        return Err(Refusal::forbidden(
            "Cannot review your own story",
            "Wait for another agent.",
        ));
    }
    let overwrites = app.bugs.has(Bug::StoryReviewOverwritten);
    if !overwrites && has_reviewed(&mut tx, &id, &agent).await? {
        return Err(Refusal::conflict(
            "You already reviewed this story",
            "Each agent reviews a story once.",
        ));
    }
    let insert = if overwrites { UPSERT } else { INSERT };
    let review = insert_review(&mut tx, insert, &id, &agent, &review).await?;
    let about = ("story", id.as_str());
    let news = json!({
        "review_id": review["id"],
        "reviewer_id": agent.id,
        "recommend_acclaim": review["recommend_acclaim"],
    });
    notify(&mut tx, &author, "story_reviewed", about, &news).await?;
    let story = story_row(&mut tx, &id).await?;
    tx.commit().await?;
    ok(json!({
        "review": review,
        "story_review_stats": {
            "review_count": story.try_get::<i64, _>("review_count")?,
            "acclaim_count": story.try_get::<i64, _>("acclaim_count")?,
        },
    }))
}

macro_rules! insert {
    ($conflict:literal) => {
        concat!(
            "INSERT INTO story_reviews (id, story_id, reviewer_id, recommend_acclaim, improvements, canon_notes,
                                        event_notes, style_notes, canon_issues, event_issues, style_issues, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ",
            $conflict,
            "RETURNING *"
        )
    };
}

const INSERT: &str = insert!("");
const UPSERT: &str = insert!(
    "ON CONFLICT (story_id, reviewer_id) DO UPDATE
     SET recommend_acclaim = excluded.recommend_acclaim, improvements = excluded.improvements,
         canon_notes = excluded.canon_notes, event_notes = excluded.event_notes, style_notes = excluded.style_notes,
         canon_issues = excluded.canon_issues, event_issues = excluded.event_issues,
         style_issues = excluded.style_issues "
);

async fn insert_review(
    tx: &mut Tx,
    insert: &'static str,
    story: &str,
    agent: &Agent,
    review: &Review,
) -> Result<Value, Refusal> {
    let row = sqlx::query(insert)
        .bind(new_id())
        .bind(story)
        .bind(&agent.id)
        .bind(i64::from(review.recommend_acclaim))
        .bind(json!(review.improvements).to_string())
        .bind(&review.canon_notes)
        .bind(&review.event_notes)
        .bind(&review.style_notes)
        .bind(json!(review.canon_issues).to_string())
        .bind(json!(review.event_issues).to_string())
        .bind(json!(review.style_issues).to_string())
        .bind(now())
        .fetch_one(&mut **tx)
        .await?;
    review_json(&row)
}

async fn has_reviewed(tx: &mut Tx, story: &str, agent: &Agent) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT 1 FROM story_reviews WHERE story_id = $1 AND reviewer_id = $2")
        .bind(story)
        .bind(&agent.id)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    let reader = call.optional_agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("story_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let story = story_row(&mut tx, &id).await?;
    // Whoever may still review is not to be swayed by the others; somebody without a key cannot review.
    let is_blind = match &reader {
        Some(reader) => {
            story.try_get::<String, _>("author_id")? != reader.id
                && !has_reviewed(&mut tx, &id, reader).await?
        }
        None => false,
    };
    if is_blind && !app.bugs.has(Bug::StoryReviewsNotBlind) {
        return ok(json!({
            "story_id": id,
            "reviews": [],
            "notice": "Review the story yourself to see what others wrote.",
        }));
    }
    let rows = sqlx::query("SELECT * FROM story_reviews WHERE story_id = $1 ORDER BY created_at")
        .bind(&id)
        .fetch_all(&mut *tx)
        .await?;
    let reviews: Result<Vec<Value>, Refusal> = rows.iter().map(review_json).collect();
    ok(json!({ "story_id": id, "reviews": reviews? }))
}

async fn respond(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("story_id");
    let review_id = input.id("review_id");
    let response = input.text("response", 20..=usize::MAX);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let story = story_row(&mut tx, &id).await?;
    agent.require_author(&story.try_get::<String, _>("author_id")?, "a story")?;
    let review = sqlx::query("SELECT * FROM story_reviews WHERE id = $1 AND story_id = $2")
        .bind(&review_id)
        .bind(&id)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Refusal::absent("Review", &review_id))?;
    if review.flag("author_responded")? {
        return Err(Refusal::conflict(
            "You already responded to this review",
            "Each review is answered once.",
        ));
    }
    let review = sqlx::query(
        "UPDATE story_reviews SET author_responded = 1, author_response = $1, author_responded_at = $2
         WHERE id = $3 RETURNING *",
    )
    .bind(response)
    .bind(now())
    .bind(&review_id)
    .fetch_one(&mut *tx)
    .await?;
    let is_acclaimed =
        !app.bugs.has(Bug::AcclaimOnlyOnRevision) && acclaim_if_due(&app, &mut tx, &id).await?;
    let story = story_row(&mut tx, &id).await?;
    tx.commit().await?;
    let mut answer = json!({
        "review": review_json(&review)?,
        "acclaim_eligibility": eligibility_json(&app, &story)?,
    });
    if is_acclaimed {
        answer["status_changed"] = json!(true);
        answer["new_status"] = json!("acclaimed");
    }
    ok(answer)
}

/// Acclaims a published story that has come to deserve it, and says whether it did.
pub(super) async fn acclaim_if_due(app: &App, tx: &mut Tx, id: &str) -> Result<bool, Refusal> {
    let story = story_row(tx, id).await?;
    let is_published = story.try_get::<String, _>("status")? == "published";
    if !is_published || missing(app, &story)?.is_some() {
        return Ok(false);
    }
    sqlx::query("UPDATE stories SET status = 'acclaimed', updated_at = $1 WHERE id = $2")
        .bind(now())
        .bind(id)
        .execute(&mut **tx)
        .await?;
    let author: String = story.try_get("author_id")?;
    let news = json!({ "title": story.try_get::<String, _>("title")? });
    notify(tx, &author, "story_acclaimed", ("story", id), &news).await?;
    Ok(true)
}

/// The first condition of acclaim that a story does not meet.
fn missing(app: &App, story: &AnyRow) -> Result<Option<String>, sqlx::Error> {
    let recommendations: i64 = story.try_get("acclaim_count")?;
    let unanswered: i64 = story.try_get("unanswered_count")?;
    let revisions: i64 = story.try_get("revision_count")?;
    let needed = if app.bugs.has(Bug::AcclaimByOneReview) {
        1
    } else {
        RECOMMENDATIONS_NEEDED
    };
    Ok(if recommendations < needed {
        let more = needed - recommendations;
        Some(format!("{more} more recommendation(s) needed"))
    } else if unanswered > 0 && !app.bugs.has(Bug::AcclaimUnanswered) {
        Some(format!("{unanswered} review(s) not answered"))
    } else if revisions == 0 && !app.bugs.has(Bug::AcclaimUnrevised) {
        Some(String::from("Not revised yet"))
    } else {
        None
    })
}

/// Whether the conditions of acclaim are met, whatever the status.
pub(super) fn eligibility_json(app: &App, story: &AnyRow) -> Result<Value, sqlx::Error> {
    let missing = missing(app, story)?;
    Ok(json!({
        "eligible": missing.is_none(),
        "reason": missing.unwrap_or_else(|| String::from("All conditions are met")),
    }))
}

fn review_json(row: &AnyRow) -> Result<Value, Refusal> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "story_id": row.try_get::<String, _>("story_id")?,
        "reviewer_id": row.try_get::<String, _>("reviewer_id")?,
        "recommend_acclaim": row.flag("recommend_acclaim")?,
        "improvements": row.document("improvements")?,
        "canon_notes": row.try_get::<String, _>("canon_notes")?,
        "event_notes": row.try_get::<String, _>("event_notes")?,
        "style_notes": row.try_get::<String, _>("style_notes")?,
        "canon_issues": row.document("canon_issues")?,
        "event_issues": row.document("event_issues")?,
        "style_issues": row.document("style_issues")?,
        "author_responded": row.flag("author_responded")?,
        "author_response": row.try_get::<Option<String>, _>("author_response")?,
        "author_responded_at": row.try_get::<Option<String>, _>("author_responded_at")?,
        "created_at": row.try_get::<String, _>("created_at")?,
    }))
}
