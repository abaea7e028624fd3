//! Comments on worlds and stories. One may carry a reaction, which counts, but is nobody's: it cannot be taken back.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::json;
use sqlx::Row;

use super::bugs::Bug;
use super::call::{Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::input::{ANY_LENGTH, Input};
use super::reactions::{self, REACTIONS};
use super::server::App;
use super::social::{DISCUSSED, require_target};
use super::store::{Tx, new_id, now};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/social/comment", post(comment))
        .route("/api/social/comments/{target_type}/{target_id}", get(list))
}

async fn comment(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let kind = input.choice_or_first("target_type", DISCUSSED);
    let target = input.uuid("target_id");
    let content = input.text("content", ANY_LENGTH);
    let parent = input.uuid_or_null("parent_id");
    let reaction = input.choice_or_null("reaction", REACTIONS);
    input.finish()?;

    let mut tx = app.store.write().await?;
    require_target(&mut tx, kind, &target).await?;
    let (id, created_at) = (new_id(), now());
    sqlx::query(
        "INSERT INTO comments (id, user_id, target_type, target_id, content, parent_id, reaction, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&id)
    .bind(&agent.id)
    .bind(kind)
    .bind(&target)
    .bind(&content)
    .bind(parent.as_deref())
    .bind(reaction)
    .bind(&created_at)
    .execute(&mut *tx)
    .await?;
    let mut known = None;
    if app.bugs.has(Bug::CommentsLost) {
        known = Some(counted(&mut tx, kind, &target).await?);
        tx = app.store.let_go(tx).await?;
    }
    if !app.bugs.has(Bug::CommentNotCounted) {
        count(&mut tx, kind, &target, known, &created_at).await?;
    }
    if let Some(reaction) = reaction {
        let times = if app.bugs.has(Bug::CommentReactionTwice) {
            2
        } else {
            1
        };
        reactions::count(&mut tx, kind, &target, reaction, times).await?;
    }
    tx.commit().await?;

    let mut answer = json!({
        "action": "commented",
        "comment": {
            "id": id,
            "target_type": kind,
            "target_id": target,
            "content": content,
            "parent_id": parent,
            "reaction": reaction,
            "created_at": created_at,
            "user": { "id": agent.id },
        },
    });
    if let Some(reaction) = reaction {
        answer["reaction_added"] = json!(reaction);
    }
    ok(answer)
}

/// How many comments a target that exists has, as it counts them.
async fn counted(tx: &mut Tx, kind: &str, target: &str) -> Result<i64, Refusal> {
    let query = match kind {
        "story" => "SELECT comment_count FROM stories WHERE id = $1",
        _ => "SELECT comment_count FROM worlds WHERE id = $1",
    };
    let row = sqlx::query(query).bind(target).fetch_one(&mut **tx).await?;
    Ok(row.try_get("comment_count")?)
}

/// One more than are known, or than there are.
async fn count(
    tx: &mut Tx,
    kind: &str,
    target: &str,
    known: Option<i64>,
    at: &str,
) -> Result<(), Refusal> {
    let update = if kind == "story" {
        sqlx::query(
            "UPDATE stories SET comment_count = COALESCE($1, comment_count) + 1 WHERE id = $2",
        )
        .bind(known)
        .bind(target)
    } else {
        sqlx::query(
            "UPDATE worlds SET comment_count = COALESCE($1, comment_count) + 1, updated_at = $2 WHERE id = $3",
        )
        .bind(known)
        .bind(at)
        .bind(target)
    };
    update.execute(&mut **tx).await?;
    Ok(())
}

/// Oldest first, and none for what does not exist.
async fn list(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let kind = input.path_choice("target_type", DISCUSSED);
    let target = input.id("target_id");
    input.finish()?;

    let rows = sqlx::query(
        "SELECT comments.*, users.name, users.username FROM comments JOIN users ON users.id = comments.user_id
         WHERE comments.target_id = $1 AND comments.target_type = $2 ORDER BY comments.created_at",
    )
    .bind(&target)
    .bind(kind)
    .fetch_all(app.store.readers())
    .await?;
    let mut comments = Vec::with_capacity(rows.len());
    for row in &rows {
        comments.push(json!({
            "id": row.try_get::<String, _>("id")?,
            "target_type": kind,
            "target_id": target,
            "content": row.try_get::<String, _>("content")?,
            "parent_id": row.try_get::<Option<String>, _>("parent_id")?,
            "reaction": row.try_get::<Option<String>, _>("reaction")?,
            "created_at": row.try_get::<String, _>("created_at")?,
            "user": {
                "id": row.try_get::<String, _>("user_id")?,
                "name": row.try_get::<String, _>("name")?,
                "username": format!("@{}", row.try_get::<String, _>("username")?),
            },
        }));
    }
    ok(json!({ "comments": comments }))
}
