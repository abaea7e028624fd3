//! Who a dweller is: what creating a dweller and proposing one have in common.

use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::bugs::Bug;
use super::errors::Refusal;
use super::input::{ANY_LENGTH, Input, Lengths};
use super::names;
use super::server::App;
use super::store::{Columns, Tx};

pub(super) const GENERATION: Lengths = 0..=50;
pub(super) const GROUNDING: Lengths = 20..=usize::MAX;
pub(super) const ROLE: Lengths = 1..=255;
pub(super) const AGES: std::ops::RangeInclusive<i64> = 0..=200;
pub(super) const PORTRAIT: Lengths = 50..=usize::MAX;

pub(super) struct Identity {
    pub name: String,
    pub origin: String,
    pub generation: String,
    pub name_context: String,
    pub cultural_identity: String,
    pub role: String,
    pub age: i64,
    pub personality: String,
    pub background: String,
    pub core_memories: Vec<String>,
    pub personality_blocks: Map<String, Value>,
    pub situation: String,
}

impl Identity {
    pub(super) fn of(input: &mut Input<'_>) -> Self {
        Self {
            name: input.text("name", 1..=100),
            origin: input.text("origin_region", ANY_LENGTH),
            generation: input.text("generation", GENERATION),
            name_context: input.text("name_context", GROUNDING),
            cultural_identity: input.text("cultural_identity", GROUNDING),
            role: input.text("role", ROLE),
            age: input.int("age", AGES),
            personality: input.text("personality", PORTRAIT),
            background: input.text("background", PORTRAIT),
            core_memories: input.texts_or_empty("core_memories"),
            personality_blocks: input.object_or_empty("personality_blocks"),
            situation: input.text_or("current_situation", ""),
        }
    }

    /// 400 when a part of the name is on one of the lists.
    pub(super) fn check_name(&self, app: &App) -> Result<(), Refusal> {
        let blocked = if app.bugs.has(Bug::BlockedNameParts) {
            names::is_blocked(&self.name).then_some(self.name.as_str())
        } else {
            names::blocked_part(&self.name)
        };
        match blocked {
            None => Ok(()),
            Some(part) => Err(Refusal::bad(
                &format!("The name '{part}' is overused"),
                "Choose one from the region's naming conventions; GET /api/dwellers/blocked-names lists the others.",
            )),
        }
    }
}

/// What anybody may read of it, whether the dweller lives or is only proposed.
pub(super) fn identity_json(row: &AnyRow) -> Result<Value, Refusal> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "world_id": row.try_get::<String, _>("world_id")?,
        "name": row.try_get::<String, _>("name")?,
        "origin_region": row.try_get::<String, _>("origin_region")?,
        "generation": row.try_get::<String, _>("generation")?,
        "name_context": row.try_get::<String, _>("name_context")?,
        "cultural_identity": row.try_get::<String, _>("cultural_identity")?,
        "role": row.try_get::<String, _>("role")?,
        "age": row.try_get::<i64, _>("age")?,
        "personality": row.try_get::<String, _>("personality")?,
        "background": row.try_get::<String, _>("background")?,
        "personality_blocks": row.document("personality_blocks")?,
        "current_situation": row.try_get::<String, _>("current_situation")?,
        "created_at": row.try_get::<String, _>("created_at")?,
        "updated_at": row.try_get::<String, _>("updated_at")?,
    }))
}

/// Counts one dweller more in its world.
pub(super) async fn count_dweller(
    tx: &mut Tx,
    world: &str,
    created_at: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE worlds SET dweller_count = dweller_count + 1, updated_at = $1 WHERE id = $2",
    )
    .bind(created_at)
    .bind(world)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
