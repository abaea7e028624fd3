//! What a dweller remembers. Episodes are its actions, so they are read from there and never rewritten.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, patch, post};
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::actions::Action;
use super::bugs::Bug;
use super::call::{Call, JsonCall, ok};
use super::dwellers::{dweller_row, require_inhabitant};
use super::errors::{Answer, Refusal};
use super::input::{ANY_LENGTH, Input};
use super::server::App;
use super::store::{Columns, Tx, now};

/// How many episodes an actor has at hand.
pub(super) const WORKING_EPISODES: i64 = 50;
/// How much of an action's content a relationship remembers.
const EVENT_LENGTH: usize = 100;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/dwellers/{dweller_id}/memory", get(read))
        .route("/api/dwellers/{dweller_id}/memory/search", get(search))
        .route("/api/dwellers/{dweller_id}/memory/core", patch(core))
        .route(
            "/api/dwellers/{dweller_id}/memory/personality",
            patch(personality),
        )
        .route(
            "/api/dwellers/{dweller_id}/memory/relationship",
            patch(relationship),
        )
        .route(
            "/api/dwellers/{dweller_id}/memory/summarize",
            post(summarize),
        )
        .route("/api/dwellers/{dweller_id}/situation", patch(situation))
}

async fn read(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("dweller_id");
    let with_episodes = input.query_flag("include_episodes", true);
    let limit = input.query_int("episode_limit", 100, 1..=1_000);
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    require_inhabitant(&dweller, &agent)?;
    let limit = if with_episodes { limit } else { 0 };
    ok(json!({
        "dweller_id": id,
        "dweller_name": dweller.try_get::<String, _>("name")?,
        "memory": memory_json(&mut tx, &dweller, limit).await?,
    }))
}

/// The episodes that tell of any of the words, the most important ones first, and among equals the oldest.
async fn search(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("dweller_id");
    let query = input.required_query_text("q", 1..=usize::MAX);
    let least = input.query_share("importance_min", 0.0);
    let limit = input.query_int("limit", 20, 1..=100);
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    if !app.bugs.has(Bug::MemorySearchedByAnyone) {
        require_inhabitant(&dweller, &agent)?;
    }
    let rows = sqlx::query(
        "SELECT id, action_type, target, content, importance, created_at FROM actions
         WHERE dweller_id = $1 AND importance >= $2 ORDER BY importance DESC, created_at",
    )
    .bind(&id)
    .bind(least)
    .fetch_all(&mut *tx)
    .await?;
    let lower = query.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut results = Vec::new();
    for row in &rows {
        if results.len() < wanted && tells_of(row, &words)? {
            results.push(episode_json(row)?);
        }
    }
    ok(json!({
        "dweller_id": id,
        "query": query,
        "importance_min": least,
        "total_matches": results.len(),
        "results": results,
    }))
}

/// Whether any of the words, in lower case, is in what was done or whom it was aimed at.
fn tells_of(action: &AnyRow, words: &[&str]) -> Result<bool, sqlx::Error> {
    let content: String = action.try_get("content")?;
    let target: Option<String> = action.try_get("target")?;
    let text = format!("{content} {}", target.unwrap_or_default()).to_lowercase();
    Ok(words.iter().any(|word| text.contains(word)))
}

async fn core(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("dweller_id");
    let add = input.texts_or_empty("add");
    let remove = input.texts_or_empty("remove");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    require_inhabitant(&dweller, &agent)?;
    let mut memories: Vec<String> = serde_json::from_value(dweller.document("core_memories")?)?;
    if !app.bugs.has(Bug::CoreRemoveIgnored) {
        for memory in &remove {
            if let Some(place) = memories.iter().position(|known| known == memory) {
                memories.remove(place);
            }
        }
    }
    for memory in add {
        if !memories.contains(&memory) {
            memories.push(memory);
        }
    }
    sqlx::query("UPDATE dwellers SET core_memories = $1, updated_at = $2 WHERE id = $3")
        .bind(json!(memories).to_string())
        .bind(now())
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(json!({ "dweller_id": id, "core_memories": memories }))
}

async fn personality(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("dweller_id");
    let updates = input.object("updates");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    let world = sqlx::query("SELECT created_by FROM worlds WHERE id = $1")
        .bind(dweller.try_get::<String, _>("world_id")?)
        .fetch_one(&mut *tx)
        .await?;
    let is_creator = world.try_get::<String, _>("created_by")? == agent.id;
    let is_inhabitant = require_inhabitant(&dweller, &agent).is_ok();
    if !is_creator && !is_inhabitant && !app.bugs.has(Bug::PersonalityByAnyone) {
        return Err(Refusal::forbidden(
            "Only the world's creator or the inhabitant can change the personality",
            "Claim the dweller first.",
        ));
    }
    let known = serde_json::from_value(dweller.document("personality_blocks")?)?;
    let blocks = Value::Object(merged(known, updates));
    sqlx::query("UPDATE dwellers SET personality_blocks = $1, updated_at = $2 WHERE id = $3")
        .bind(blocks.to_string())
        .bind(now())
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(json!({
        "dweller_id": id,
        "personality_blocks": blocks,
        "updated_by": if is_creator { "creator" } else { "inhabitant" },
    }))
}

async fn relationship(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("dweller_id");
    let target = input.text("target", ANY_LENGTH);
    let status = input.text_or_null("new_status", ANY_LENGTH);
    let event = input.object_or_null("add_event");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    require_inhabitant(&dweller, &agent)?;
    let event = event.map(|event| {
        json!({
            "timestamp": now(),
            "event": event.get("event").unwrap_or(&json!("")),
            "sentiment": event.get("sentiment").unwrap_or(&json!("neutral")),
        })
    });
    let known = dweller.document("relationship_memories")?;
    let relationships = related(known, &target, status, event);
    sqlx::query("UPDATE dwellers SET relationship_memories = $1, updated_at = $2 WHERE id = $3")
        .bind(relationships.to_string())
        .bind(now())
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    let relationship = json!({ "target": target, "data": relationships[&target] });
    ok(json!({ "dweller_id": id, "relationship": relationship }))
}

async fn summarize(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("dweller_id");
    let period = input.text("period", ANY_LENGTH);
    let summary = input.text("summary", 20..=usize::MAX);
    let key_events = input.texts_or_empty("key_events");
    let emotional_arc = input.text_or("emotional_arc", "");
    input.finish()?;

    let mut tx = app.store.write().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    require_inhabitant(&dweller, &agent)?;
    let summary = json!({
        "period": period,
        "summary": summary,
        "key_events": key_events,
        "emotional_arc": emotional_arc,
        "created_at": now(),
    });
    let mut summaries: Vec<Value> = serde_json::from_value(dweller.document("memory_summaries")?)?;
    summaries.push(summary.clone());
    sqlx::query("UPDATE dwellers SET memory_summaries = $1, updated_at = $2 WHERE id = $3")
        .bind(json!(summaries).to_string())
        .bind(now())
        .bind(&id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(json!({ "dweller_id": id, "summary": summary, "total_summaries": summaries.len() }))
}

async fn situation(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = if app.bugs.has(Bug::SituationWithoutKey) {
        call.optional_agent(&app).await?
    } else {
        Some(call.agent(&app).await?)
    };
    let mut input = Input::with_body(&call);
    let id = input.id("dweller_id");
    let situation = input.text("situation", ANY_LENGTH);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    if let Some(agent) = &agent {
        require_inhabitant(&dweller, agent)?;
    }
    let (update, key) = if app.bugs.has(Bug::SituationWrittenToWorld) {
        let world: String = dweller.try_get("world_id")?;
        (
            "UPDATE dwellers SET current_situation = $1, updated_at = $2 WHERE world_id = $3",
            world,
        )
    } else {
        (
            "UPDATE dwellers SET current_situation = $1, updated_at = $2 WHERE id = $3",
            id.clone(),
        )
    };
    sqlx::query(update)
        .bind(&situation)
        .bind(now())
        .bind(key)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(json!({ "dweller_id": id, "situation": situation }))
}

/// All that the dweller remembers, with its latest `episodes` actions, oldest first.
pub(super) async fn memory_json(
    tx: &mut Tx,
    dweller: &AnyRow,
    episodes: i64,
) -> Result<Value, Refusal> {
    let id: String = dweller.try_get("id")?;
    let row = sqlx::query("SELECT COUNT(*) AS total FROM actions WHERE dweller_id = $1")
        .bind(&id)
        .fetch_one(&mut **tx)
        .await?;
    let total: i64 = row.try_get("total")?;
    let rows = sqlx::query(
        "SELECT id, action_type, target, content, importance, created_at FROM actions
         WHERE dweller_id = $1 ORDER BY created_at DESC LIMIT $2",
    )
    .bind(&id)
    .bind(episodes)
    .fetch_all(&mut **tx)
    .await?;
    let recent: Result<Vec<Value>, sqlx::Error> = rows.iter().rev().map(episode_json).collect();
    Ok(json!({
        "core_memories": dweller.document("core_memories")?,
        "personality_blocks": dweller.document("personality_blocks")?,
        "relationship_memories": dweller.document("relationship_memories")?,
        "episodic_memories": recent?,
        "total_episodes": total,
        "memory_summaries": dweller.document("memory_summaries")?,
    }))
}

fn episode_json(row: &AnyRow) -> Result<Value, sqlx::Error> {
    Ok(json!({
        "action_id": row.try_get::<String, _>("id")?,
        "timestamp": row.try_get::<String, _>("created_at")?,
        "type": row.try_get::<String, _>("action_type")?,
        "content": row.try_get::<String, _>("content")?,
        "target": row.try_get::<Option<String>, _>("target")?,
        "importance": row.try_get::<f64, _>("importance")?,
    }))
}

/// The relationships after an action that was aimed at somebody.
pub(super) fn remembered(relationships: Value, target: &str, action: &Action) -> Value {
    let content: String = action.content.chars().take(EVENT_LENGTH).collect();
    let event = json!({
        "timestamp": action.created_at,
        "event": format!("{}: {content}", action.kind),
        "sentiment": "neutral",
    });
    related(relationships, target, None, Some(event))
}

/// The relationships with a new status or one more event for one of them. What creators wrote about the target may have
/// any shape; it gets a history beside it if it is an object, and makes way for one if it is not.
fn related(
    relationships: Value,
    target: &str,
    status: Option<String>,
    event: Option<Value>,
) -> Value {
    let mut relationships = match relationships {
        Value::Object(known) => known,
        _ => Map::new(),
    };
    let mut relation = match relationships.remove(target) {
        Some(Value::Object(relation)) => relation,
        _ => Map::from_iter([(String::from("current_status"), json!("acquaintance"))]),
    };
    if let Some(status) = status {
        relation.insert(String::from("current_status"), json!(status));
    }
    let mut history = match relation.remove("history") {
        Some(Value::Array(history)) => history,
        _ => Vec::new(),
    };
    history.extend(event);
    relation.insert(String::from("history"), Value::Array(history));
    relationships.insert(target.to_owned(), Value::Object(relation));
    Value::Object(relationships)
}

/// Null removes a block, a list onto a list is their union in order, anything else replaces.
fn merged(mut blocks: Map<String, Value>, updates: Map<String, Value>) -> Map<String, Value> {
    for (key, update) in updates {
        match (blocks.get_mut(&key), update) {
            (_, Value::Null) => {
                blocks.remove(&key);
            }
            (Some(Value::Array(known)), Value::Array(items)) => {
                for item in items {
                    if !known.contains(&item) {
                        known.push(item);
                    }
                }
            }
            (_, update) => {
                blocks.insert(key, update);
            }
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn personality_updates_merge() {
        let blocks = object(json!({ "fears": ["dark"], "voice": "low", "old": 1 }));
        let updates =
            object(json!({ "fears": ["dark", "rain"], "voice": "high", "old": null, "new": {} }));
        let expected = json!({ "fears": ["dark", "rain"], "voice": "high", "new": {} });
        assert_eq!(Value::Object(merged(blocks, updates)), expected);
    }

    #[test]
    fn relationships_take_an_event_whatever_they_were() {
        let action = Action {
            id: String::new(),
            kind: String::from("speak"),
            target: Some(String::from("Ylva")),
            content: "x".repeat(200),
            importance: 0.5,
            in_reply_to: None,
            created_at: String::from("now"),
        };
        for known in [
            json!({}),
            json!({ "Ylva": "a friend" }),
            json!({ "Ylva": { "history": 1 } }),
        ] {
            let after = remembered(known, "Ylva", &action);
            let event = after["Ylva"]["history"][0]["event"].as_str().unwrap();
            assert_eq!(event.len(), "speak: ".len() + EVENT_LENGTH);
        }
    }
}
