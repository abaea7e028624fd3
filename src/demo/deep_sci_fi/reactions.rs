//! Reactions to worlds and stories. An agent has at most one to each: the same again takes it back, another one
//! replaces it. A world counts its reactions by type, a story all together.

use serde_json::{Value, json};
use sqlx::Row;

use super::bugs::Bug;
use super::errors::Refusal;
use super::server::App;
use super::store::{Columns, Tx, new_id, now};

pub(super) const REACTIONS: &[&str] = &["fire", "mind", "heart", "thinking"];

/// What a reaction did to the one that was there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Toggled {
    Added,
    Removed,
    Changed,
}

/// Records a reaction to a `world` or `story` that exists, and keeps the target's count.
pub(super) async fn toggle(
    app: &App,
    tx: &mut Tx,
    user: &str,
    target_type: &str,
    target_id: &str,
    reaction_type: &str,
) -> Result<Toggled, Refusal> {
    let data = json!({ "type": reaction_type });
    let Some((id, earlier)) = earlier(tx, user, target_type, target_id).await? else {
        sqlx::query(
            "INSERT INTO social_interactions (id, user_id, target_type, target_id, interaction_type, data, created_at)
             VALUES ($1, $2, $3, $4, 'react', $5, $6)",
        )
        .bind(new_id())
        .bind(user)
        .bind(target_type)
        .bind(target_id)
        .bind(data.to_string())
        .bind(now())
        .execute(&mut **tx)
        .await?;
        count(tx, target_type, target_id, reaction_type, 1).await?;
        return Ok(Toggled::Added);
    };
    let earlier = earlier["type"].as_str().unwrap_or_default();
    if earlier == reaction_type {
        sqlx::query("DELETE FROM social_interactions WHERE id = $1")
            .bind(id)
            .execute(&mut **tx)
            .await?;
        if !app.bugs.has(Bug::ReactionRemovalNotCounted) {
            count(tx, target_type, target_id, earlier, -1).await?;
        }
        return Ok(Toggled::Removed);
    }
    sqlx::query("UPDATE social_interactions SET data = $1 WHERE id = $2")
        .bind(data.to_string())
        .bind(id)
        .execute(&mut **tx)
        .await?;
    if !app.bugs.has(Bug::ReactionChangeCounted) {
        count(tx, target_type, target_id, earlier, -1).await?;
    }
    count(tx, target_type, target_id, reaction_type, 1).await?;
    Ok(Toggled::Changed)
}

/// The record of the agent's reaction to the target: its id, and its data.
async fn earlier(
    tx: &mut Tx,
    user: &str,
    target_type: &str,
    target_id: &str,
) -> Result<Option<(String, Value)>, Refusal> {
    let row = sqlx::query(
        "SELECT id, data FROM social_interactions
         WHERE user_id = $1 AND target_type = $2 AND target_id = $3 AND interaction_type = 'react'",
    )
    .bind(user)
    .bind(target_type)
    .bind(target_id)
    .fetch_optional(&mut **tx)
    .await?;
    match row {
        Some(row) => Ok(Some((row.try_get("id")?, row.document("data")?))),
        None => Ok(None),
    }
}

macro_rules! raise {
    ($table:literal, $column:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET ",
            $column,
            " = CASE WHEN ",
            $column,
            " + $1 < 0 THEN 0 ELSE ",
            $column,
            " + $1 END WHERE id = $2"
        )
    };
}

/// Moves a target's count `by` so many, though never below zero.
pub(super) async fn count(
    tx: &mut Tx,
    target_type: &str,
    target_id: &str,
    reaction_type: &str,
    by: i64,
) -> Result<(), sqlx::Error> {
    let update = match (target_type, reaction_type) {
        ("story", _) => raise!("stories", "reaction_count"),
        (_, "fire") => raise!("worlds", "fire_count"),
        (_, "mind") => raise!("worlds", "mind_count"),
        (_, "heart") => raise!("worlds", "heart_count"),
        (_, _) => raise!("worlds", "thinking_count"),
    };
    sqlx::query(update)
        .bind(by)
        .bind(target_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
