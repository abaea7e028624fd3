//! Stories told in a world: publish, list, read, react, revise, delete. Reviews and acclaim are in `story_reviews`.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::call::{Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::input::Input;
use super::reactions::{REACTIONS, Toggled, toggle};
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::story_reviews::{acclaim_if_due, eligibility_json};
use super::worlds::world_row;

const STATUSES: &[&str] = &["published", "acclaimed"];
const PERSPECTIVES: &[&str] = &[
    "first_person_agent",
    "first_person_dweller",
    "third_person_limited",
    "third_person_omniscient",
];
/// The perspectives that are somebody's.
const OF_A_DWELLER: &[&str] = &["first_person_dweller", "third_person_limited"];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/stories", post(create).get(list))
        .route("/api/stories/worlds/{world_id}", get(list_of_world))
        .route("/api/stories/{story_id}", get(read).delete(delete))
        .route("/api/stories/{story_id}/react", post(react))
        .route("/api/stories/{story_id}/revise", post(revise))
}

/// A story with what is counted of its reviews.
macro_rules! select {
    ($which:expr) => {
        concat!(
            "SELECT stories.*,
                    (SELECT COUNT(*) FROM story_reviews WHERE story_id = stories.id) AS review_count,
                    (SELECT COUNT(*) FROM story_reviews
                     WHERE story_id = stories.id AND recommend_acclaim = 1) AS acclaim_count,
                    (SELECT COUNT(*) FROM story_reviews
                     WHERE story_id = stories.id AND author_responded = 0) AS unanswered_count
             FROM stories ",
            $which
        )
    };
}

macro_rules! matching {
    ($order:literal) => {
        concat!(
            "WHERE (CAST($1 AS TEXT) IS NULL OR world_id = $1)
               AND (CAST($2 AS TEXT) IS NULL OR author_id = $2)
               AND (CAST($3 AS TEXT) IS NULL OR perspective = $3)
               AND (CAST($4 AS TEXT) IS NULL OR status = $4) ",
            $order
        )
    };
}

const COUNT: &str = concat!("SELECT COUNT(*) AS total FROM stories ", matching!(""));
const BY_ENGAGEMENT: &str = select!(matching!(
    "ORDER BY CASE WHEN status = 'acclaimed' THEN 0 ELSE 1 END, reaction_count DESC, created_at DESC
     LIMIT $5 OFFSET $6"
));
const BY_TIME: &str = select!(matching!("ORDER BY created_at DESC LIMIT $5 OFFSET $6"));

async fn create(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let world = input.uuid("world_id");
    let title = input.text("title", 1..=200);
    let content = input.text("content", 100..=usize::MAX);
    let perspective = input.choice("perspective", PERSPECTIVES);
    let dweller = if OF_A_DWELLER.contains(&perspective) {
        Some(input.uuid("perspective_dweller_id"))
    } else {
        input.uuid_or_null("perspective_dweller_id")
    };
    let summary = input.text_or_null("summary", 0..=500);
    let events = input.uuids_or_empty("source_event_ids");
    let actions = input.uuids_or_empty("source_action_ids");
    let start = input.text_or_null("time_period_start", 0..=50);
    let end = input.text_or_null("time_period_end", 0..=50);
    input.finish()?;

    let mut tx = app.store.write().await?;
    world_row(&mut tx, &world).await?;
    if let Some(dweller) = &dweller {
        check_dweller(&mut tx, &world, dweller).await?;
    }
    let id = new_id();
    sqlx::query(
        "INSERT INTO stories (id, world_id, author_id, title, content, summary, perspective, perspective_dweller_id,
                              source_event_ids, source_action_ids, time_period_start, time_period_end,
                              created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)",
    )
    .bind(&id)
    .bind(&world)
    .bind(&agent.id)
    .bind(title)
    .bind(content)
    .bind(summary)
    .bind(perspective)
    .bind(dweller)
    .bind(json!(events).to_string())
    .bind(json!(actions).to_string())
    .bind(start)
    .bind(end)
    .bind(now())
    .execute(&mut *tx)
    .await?;
    let story = story_json(&story_row(&mut tx, &id).await?)?;
    tx.commit().await?;
    ok(json!({ "story": story }))
}

async fn check_dweller(tx: &mut Tx, world: &str, dweller: &str) -> Result<(), Refusal> {
    sqlx::query("SELECT 1 FROM dwellers WHERE id = $1 AND world_id = $2")
        .bind(dweller)
        .bind(world)
        .fetch_optional(&mut **tx)
        .await?
        .map(drop)
        .ok_or_else(|| Refusal::absent("Dweller", dweller))
}

/// Which stories, in which order, and how many of them.
struct Page {
    author: Option<String>,
    perspective: Option<&'static str>,
    status: Option<&'static str>,
    newest_first: bool,
    limit: i64,
    offset: i64,
}

impl Page {
    fn wanted(input: &mut Input<'_>) -> Self {
        Self {
            author: input.query_id("author_id"),
            perspective: input.query_choice("perspective", PERSPECTIVES),
            status: input.query_choice("status", STATUSES),
            newest_first: input.query_choice("sort", &["engagement", "recent"]) == Some("recent"),
            limit: input.query_int("limit", 20, 1..=50),
            offset: input.query_int("offset", 0, 0..=i64::MAX - 50),
        }
    }

    async fn read(&self, tx: &mut Tx, world: Option<&str>) -> Result<Value, Refusal> {
        let query = if self.newest_first {
            BY_TIME
        } else {
            BY_ENGAGEMENT
        };
        let rows = sqlx::query(query)
            .bind(world)
            .bind(self.author.as_deref())
            .bind(self.perspective)
            .bind(self.status)
            .bind(self.limit)
            .bind(self.offset)
            .fetch_all(&mut **tx)
            .await?;
        let count = sqlx::query(COUNT)
            .bind(world)
            .bind(self.author.as_deref())
            .bind(self.perspective)
            .bind(self.status)
            .fetch_one(&mut **tx)
            .await?;
        let total: i64 = count.try_get("total")?;
        let stories: Result<Vec<Value>, Refusal> = rows.iter().map(story_json).collect();
        Ok(json!({
            "stories": stories?,
            "total": total,
            "has_more": self.offset + self.limit < total,
        }))
    }
}

async fn list(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let world = input.query_id("world_id");
    let page = Page::wanted(&mut input);
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    ok(page.read(&mut tx, world.as_deref()).await?)
}

async fn list_of_world(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("world_id");
    let page = Page::wanted(&mut input);
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let world = world_row(&mut tx, &id).await?;
    let mut answer = page.read(&mut tx, Some(&id)).await?;
    answer["world_id"] = json!(id);
    answer["world_name"] = json!(world.try_get::<String, _>("name")?);
    ok(answer)
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("story_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let story = story_row(&mut tx, &id).await?;
    ok(json!({
        "story": story_json(&story)?,
        "acclaim_eligibility": eligibility_json(&app, &story)?,
    }))
}

async fn react(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("story_id");
    let reaction = input.choice("reaction_type", REACTIONS);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let before = story_row(&mut tx, &id).await?;
    if app.bugs.has(Bug::ReactionsLost) {
        tx = app.store.let_go(tx).await?;
    }
    let (action, change) = match toggle(&app, &mut tx, &agent.id, "story", &id, reaction).await? {
        Toggled::Added => ("added", 1),
        Toggled::Removed => ("removed", -1),
        Toggled::Changed => ("changed", 0),
    };
    if app.bugs.has(Bug::ReactionsLost) {
        sqlx::query("UPDATE stories SET reaction_count = $1 WHERE id = $2")
            .bind(before.try_get::<i64, _>("reaction_count")? + change)
            .bind(&id)
            .execute(&mut *tx)
            .await?;
    }
    let story = story_row(&mut tx, &id).await?;
    tx.commit().await?;
    ok(json!({
        "action": action,
        "reaction_type": reaction,
        "new_reaction_count": story.try_get::<i64, _>("reaction_count")?,
    }))
}

async fn revise(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("story_id");
    let title = input.text_or_null("title", 0..=200);
    let content = input.text_or_null("content", 100..=usize::MAX);
    let summary = input.text_or_null("summary", 0..=500);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let story = story_row(&mut tx, &id).await?;
    agent.require_author(&story.try_get::<String, _>("author_id")?, "a story")?;
    // An empty text is as good as none, as in the original.
    let given = [("title", title), ("content", content), ("summary", summary)]
        .map(|(field, text)| (field, text.filter(|text| !text.is_empty())));
    if given.iter().all(|(_, text)| text.is_none()) {
        return Err(Refusal::bad(
            "Nothing to revise",
            "Send a title, content or a summary.",
        ));
    }
    let mut changes = Vec::new();
    for (field, text) in &given {
        if text.is_some() && *text != story.try_get(*field)? {
            changes.push(*field);
        }
    }
    let revisions: i64 = story.try_get("revision_count")?;
    if changes.is_empty() {
        return ok(json!({ "story_id": id, "changes": changes, "revision_count": revisions }));
    }
    let raise = i64::from(!app.bugs.has(Bug::StoryRevisionNotCounted));
    let [(_, title), (_, content), (_, summary)] = given;
    sqlx::query(
        "UPDATE stories
         SET title = COALESCE($1, title), content = COALESCE($2, content), summary = COALESCE($3, summary),
             revision_count = revision_count + $4, last_revised_at = $5, updated_at = $5
         WHERE id = $6",
    )
    .bind(title)
    .bind(content)
    .bind(summary)
    .bind(raise)
    .bind(now())
    .bind(&id)
    .execute(&mut *tx)
    .await?;
    let is_acclaimed = acclaim_if_due(&app, &mut tx, &id).await?;
    tx.commit().await?;
    let mut answer = json!({
        "story_id": id,
        "changes": changes,
        "revision_count": revisions + raise,
    });
    if is_acclaimed {
        answer["status_changed"] = json!(true);
        answer["new_status"] = json!("acclaimed");
    }
    ok(answer)
}

async fn delete(State(app): State<App>, call: Call) -> Answer {
    if app.bugs.has(Bug::StoryDeletedByAnyone) {
        call.agent(&app).await?;
    } else {
        call.admin(&app).await?;
    }
    let mut input = Input::without_body(&call);
    let id = input.id("story_id");
    input.finish()?;

    let mut tx = app.store.write().await?;
    story_row(&mut tx, &id).await?;
    let mut deletions = vec![
        "DELETE FROM social_interactions WHERE target_type = 'story' AND target_id = $1",
        "DELETE FROM story_reviews WHERE story_id = $1",
        "DELETE FROM stories WHERE id = $1",
    ];
    if app.bugs.has(Bug::StoryReviewsNotDeleted) {
        deletions.remove(1);
    }
    for deletion in deletions {
        sqlx::query(deletion).bind(&id).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    ok(json!({ "deleted": true, "story_id": id }))
}

/// The story, or 404.
pub(super) async fn story_row(tx: &mut Tx, id: &str) -> Result<AnyRow, Refusal> {
    sqlx::query(select!("WHERE id = $1"))
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?
        .ok_or_else(|| Refusal::absent("Story", id))
}

fn story_json(row: &AnyRow) -> Result<Value, Refusal> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "world_id": row.try_get::<String, _>("world_id")?,
        "author_id": row.try_get::<String, _>("author_id")?,
        "title": row.try_get::<String, _>("title")?,
        "content": row.try_get::<String, _>("content")?,
        "summary": row.try_get::<Option<String>, _>("summary")?,
        "perspective": row.try_get::<String, _>("perspective")?,
        "perspective_dweller_id": row.try_get::<Option<String>, _>("perspective_dweller_id")?,
        "source_event_ids": row.document("source_event_ids")?,
        "source_action_ids": row.document("source_action_ids")?,
        "time_period_start": row.try_get::<Option<String>, _>("time_period_start")?,
        "time_period_end": row.try_get::<Option<String>, _>("time_period_end")?,
        "status": row.try_get::<String, _>("status")?,
        "review_count": row.try_get::<i64, _>("review_count")?,
        "acclaim_count": row.try_get::<i64, _>("acclaim_count")?,
        "reaction_count": row.try_get::<i64, _>("reaction_count")?,
        "comment_count": row.try_get::<i64, _>("comment_count")?,
        "revision_count": row.try_get::<i64, _>("revision_count")?,
        "last_revised_at": row.try_get::<Option<String>, _>("last_revised_at")?,
        "created_at": row.try_get::<String, _>("created_at")?,
        "updated_at": row.try_get::<String, _>("updated_at")?,
    }))
}
