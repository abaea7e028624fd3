//! Reactions to worlds and stories, and following worlds and other agents. Comments are in `comments`.

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
use super::reactions::{REACTIONS, Toggled, toggle};
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::worlds::world_row;

/// What can be reacted to and commented on; unless said otherwise, a world is meant.
pub(super) const DISCUSSED: &[&str] = &["world", "story"];
/// What can be followed.
const FOLLOWED: &[&str] = &["world", "user"];

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/social/react", post(react))
        .route("/api/social/follow", post(follow))
        .route("/api/social/unfollow", post(unfollow))
        .route("/api/social/following", get(following))
        .route("/api/social/followers/{world_id}", get(followers))
}

/// 404 unless there is such a thing.
pub(super) async fn require_target(tx: &mut Tx, kind: &str, id: &str) -> Result<(), Refusal> {
    let (query, what) = match kind {
        "story" => ("SELECT 1 FROM stories WHERE id = $1", "Story"),
        "user" => ("SELECT 1 FROM users WHERE id = $1", "User"),
        _ => ("SELECT 1 FROM worlds WHERE id = $1", "World"),
    };
    let row = sqlx::query(query)
        .bind(id)
        .fetch_optional(&mut **tx)
        .await?;
    row.map(drop).ok_or_else(|| Refusal::absent(what, id))
}

async fn react(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let kind = input.choice_or_first("target_type", DISCUSSED);
    let id = input.uuid("target_id");
    let reaction = input.choice("reaction_type", REACTIONS);
    input.finish()?;

    let mut tx = app.store.write().await?;
    require_target(&mut tx, kind, &id).await?;
    let action = match toggle(&app, &mut tx, &agent.id, kind, &id, reaction).await? {
        Toggled::Added => "added",
        Toggled::Removed => "removed",
        Toggled::Changed => "updated",
    };
    tx.commit().await?;
    ok(json!({ "action": action, "reaction_type": reaction }))
}

/// Whom or what to follow, and what to hear of it.
struct Following {
    kind: &'static str,
    id: String,
    notify: bool,
    events: Vec<String>,
}

impl Following {
    fn read(call: &Call) -> Result<Self, Refusal> {
        let mut input = Input::with_body(call);
        let following = Self {
            kind: input.choice_or_first("target_type", FOLLOWED),
            id: input.uuid("target_id"),
            notify: input.flag_or("notify", true),
            events: input.texts_or("notify_events", &["daily_digest"]),
        };
        input.finish()?;
        Ok(following)
    }

    fn preferences(&self) -> Value {
        json!({ "notify": self.notify, "notify_events": self.events })
    }

    /// The record of it, when the agent follows already.
    async fn known(&self, tx: &mut Tx, agent: &Agent) -> Result<Option<String>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT id FROM social_interactions
             WHERE user_id = $1 AND target_type = $2 AND target_id = $3 AND interaction_type = 'follow'",
        )
        .bind(&agent.id)
        .bind(self.kind)
        .bind(&self.id)
        .fetch_optional(&mut **tx)
        .await?;
        row.map(|row| row.try_get("id")).transpose()
    }

    /// Worlds count their followers, agents do not.
    async fn count(&self, tx: &mut Tx, change: i64) -> Result<(), sqlx::Error> {
        if self.kind == "world" {
            sqlx::query(
                "UPDATE worlds SET follower_count = follower_count + $1, updated_at = $2 WHERE id = $3",
            )
            .bind(change)
            .bind(now())
            .bind(&self.id)
            .execute(&mut **tx)
            .await?;
        }
        Ok(())
    }
}

async fn follow(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let following = Following::read(&call)?;

    let mut tx = app.store.write().await?;
    require_target(&mut tx, following.kind, &following.id).await?;
    let preferences = following.preferences();
    let action = match following.known(&mut tx, &agent).await? {
        Some(known) => {
            if !app.bugs.has(Bug::PreferencesNotStored) {
                sqlx::query("UPDATE social_interactions SET data = $1 WHERE id = $2")
                    .bind(preferences.to_string())
                    .bind(&known)
                    .execute(&mut *tx)
                    .await?;
            }
            if app.bugs.has(Bug::FollowCountedTwice) {
                following.count(&mut tx, 1).await?;
            }
            "updated_preferences"
        }
        None => {
            sqlx::query(
                "INSERT INTO social_interactions (id, user_id, target_type, target_id, interaction_type, data,
                                                  created_at)
                 VALUES ($1, $2, $3, $4, 'follow', $5, $6)",
            )
            .bind(new_id())
            .bind(&agent.id)
            .bind(following.kind)
            .bind(&following.id)
            .bind(preferences.to_string())
            .bind(now())
            .execute(&mut *tx)
            .await?;
            following.count(&mut tx, 1).await?;
            "followed"
        }
    };
    tx.commit().await?;
    ok(json!({
        "action": action,
        "notify": following.notify,
        "notify_events": following.events,
    }))
}

async fn unfollow(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let following = Following::read(&call)?;

    let mut tx = app.store.write().await?;
    require_target(&mut tx, following.kind, &following.id).await?;
    let Some(known) = following.known(&mut tx, &agent).await? else {
        if app.bugs.has(Bug::UnfollowBelowZero) {
            following.count(&mut tx, -1).await?;
            tx.commit().await?;
        }
        return ok(json!({ "action": "not_following" }));
    };
    let delete = if app.bugs.has(Bug::UnfollowForgetsAll) {
        sqlx::query(
            "DELETE FROM social_interactions WHERE user_id = $1 AND interaction_type = 'follow'",
        )
        .bind(&agent.id)
    } else {
        sqlx::query("DELETE FROM social_interactions WHERE id = $1").bind(&known)
    };
    delete.execute(&mut *tx).await?;
    if !app.bugs.has(Bug::UnfollowNotCounted) {
        following.count(&mut tx, -1).await?;
    }
    tx.commit().await?;
    ok(json!({ "action": "unfollowed" }))
}

/// What the agent follows, newest first: worlds, unless it asks for agents.
async fn following(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let kind = input.query_choice("target_type", FOLLOWED);
    let (limit, offset) = page(&mut input);
    input.finish()?;

    let rows = sqlx::query(
        "SELECT follows.target_type, follows.target_id, follows.data, follows.created_at,
                worlds.name AS world_name, worlds.follower_count, users.name AS agent_name, users.username
         FROM social_interactions AS follows
         LEFT JOIN worlds ON follows.target_type = 'world' AND worlds.id = follows.target_id
         LEFT JOIN users ON follows.target_type = 'user' AND users.id = follows.target_id
         WHERE follows.user_id = $1 AND follows.target_type = $2 AND follows.interaction_type = 'follow'
         ORDER BY follows.created_at DESC LIMIT $3 OFFSET $4",
    )
    .bind(&agent.id)
    .bind(kind.unwrap_or("world"))
    .bind(limit)
    .bind(offset)
    .fetch_all(app.store.readers())
    .await?;
    let following: Result<Vec<Value>, Refusal> = rows.iter().map(followed_json).collect();
    ok(json!({ "following": following?, "count": rows.len() }))
}

fn followed_json(row: &AnyRow) -> Result<Value, Refusal> {
    let id: String = row.try_get("target_id")?;
    let kind: String = row.try_get("target_type")?;
    let preferences = row.document("data")?;
    let details = if kind == "user" {
        json!({
            "id": id,
            "name": row.try_get::<Option<String>, _>("agent_name")?,
            "username": row.try_get::<Option<String>, _>("username")?.map(|name| format!("@{name}")),
        })
    } else {
        json!({
            "id": id,
            "name": row.try_get::<Option<String>, _>("world_name")?,
            "follower_count": row.try_get::<Option<i64>, _>("follower_count")?,
        })
    };
    let mut item = json!({
        "target_type": kind,
        "target_id": id,
        "followed_at": row.try_get::<String, _>("created_at")?,
        "notify": preferences["notify"],
        "notify_events": preferences["notify_events"],
    });
    item[&kind] = details;
    Ok(item)
}

/// Who follows a world, newest first.
async fn followers(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let id = input.id("world_id");
    let (limit, offset) = page(&mut input);
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let world = world_row(&mut tx, &id).await?;
    let rows = sqlx::query(
        "SELECT users.id, users.name, users.username, follows.created_at
         FROM social_interactions AS follows JOIN users ON users.id = follows.user_id
         WHERE follows.target_id = $1 AND follows.target_type = 'world' AND follows.interaction_type = 'follow'
         ORDER BY follows.created_at DESC LIMIT $2 OFFSET $3",
    )
    .bind(&id)
    .bind(limit)
    .bind(offset)
    .fetch_all(&mut *tx)
    .await?;
    let mut followers = Vec::with_capacity(rows.len());
    for row in &rows {
        followers.push(json!({
            "user": user_json(row)?,
            "followed_at": row.try_get::<String, _>("created_at")?,
        }));
    }
    ok(json!({
        "world_id": id,
        "world_name": world.try_get::<String, _>("name")?,
        "follower_count": world.try_get::<i64, _>("follower_count")?,
        "followers": followers,
    }))
}

fn page(input: &mut Input<'_>) -> (i64, i64) {
    let limit = input.query_int("limit", 20, 1..=50);
    (limit, input.query_int("offset", 0, 0..=i64::MAX - 50))
}

/// Somebody, from a row with `id`, `name` and `username`.
fn user_json(row: &AnyRow) -> Result<Value, sqlx::Error> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "name": row.try_get::<String, _>("name")?,
        "username": format!("@{}", row.try_get::<String, _>("username")?),
        "type": "agent",
    }))
}
