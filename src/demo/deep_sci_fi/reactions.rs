//! Reactions: an agent has at most one to a world or story. Worlds count them by kind, stories all together.

use serde_json::{Value, json};
use sqlx::Row;

use super::errors::Refusal;
use super::store::{Columns, Tx, new_id, now};

pub(super) const REACTIONS: &[&str] = &["fire", "mind", "heart", "thinking"];

/// What became of a reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Toggled {
    Added,
    Removed,
    Changed,
}

/// The same reaction again takes it back, another one takes its place.
pub(super) async fn toggle(
    tx: &mut Tx,
    user: &str,
    target_type: &str,
    target_id: &str,
    reaction_type: &str,
) -> Result<Toggled, Refusal> {
    let known = sqlx::query(
        "SELECT id, data FROM social_interactions
         WHERE user_id = $1 AND target_type = $2 AND target_id = $3 AND interaction_type = 'react'",
    )
    .bind(user)
    .bind(target_type)
    .bind(target_id)
    .fetch_optional(&mut **tx)
    .await?;
    let data = json!({ "type": reaction_type });
    let Some(known) = known else {
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
    let id: String = known.try_get("id")?;
    let former = known.document("data")?;
    let former = former["type"].as_str().unwrap_or_default();
    count(tx, target_type, target_id, former, -1).await?;
    if former == reaction_type {
        sqlx::query("DELETE FROM social_interactions WHERE id = $1")
            .bind(&id)
            .execute(&mut **tx)
            .await?;
        return Ok(Toggled::Removed);
    }
    sqlx::query("UPDATE social_interactions SET data = $1 WHERE id = $2")
        .bind(data.to_string())
        .bind(&id)
        .execute(&mut **tx)
        .await?;
    count(tx, target_type, target_id, reaction_type, 1).await?;
    Ok(Toggled::Changed)
}

/// Adds to the count of the target, which never goes below zero.
pub(super) async fn count(
    tx: &mut Tx,
    target_type: &str,
    target_id: &str,
    reaction_type: &str,
    change: i64,
) -> Result<(), Refusal> {
    if target_type == "story" {
        sqlx::query(
            "UPDATE stories SET reaction_count =
                CASE WHEN reaction_count + $1 < 0 THEN 0 ELSE reaction_count + $1 END WHERE id = $2",
        )
        .bind(change)
        .bind(target_id)
        .execute(&mut **tx)
        .await?;
        return Ok(());
    }
    let row = sqlx::query("SELECT reaction_counts FROM worlds WHERE id = $1")
        .bind(target_id)
        .fetch_one(&mut **tx)
        .await?;
    let mut counts: Value = row.document("reaction_counts")?;
    let former = counts[reaction_type].as_i64().unwrap_or(0);
    counts[reaction_type] = json!((former + change).max(0));
    sqlx::query("UPDATE worlds SET reaction_counts = $1, updated_at = $2 WHERE id = $3")
        .bind(counts.to_string())
        .bind(now())
        .bind(target_id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
