//! Acting as a dweller, in two phases: fetch a context with its token, then act with that token.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use serde_json::{Value, json};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::actions::{self, Action};
use super::activity;
use super::bugs::Bug;
use super::call::{Agent, Call, JsonCall, ok};
use super::dwellers::{dweller_row, require_inhabitant};
use super::errors::{Answer, Refusal};
use super::input::{ANY_LENGTH, Input};
use super::memory;
use super::notifications::notify;
use super::regions::{named, region_name, regions_of, unknown_region};
use super::server::App;
use super::store::{Columns, Tx, new_id, now};
use super::worlds::{canon_json, world_row};

/// How long a context token lasts. It may be used often, and the next context replaces it.
const TOKEN_MINUTES: i64 = 60;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/dwellers/{dweller_id}/state", get(state))
        .route("/api/dwellers/{dweller_id}/act/context", post(context))
        .route("/api/dwellers/{dweller_id}/act", post(act))
}

async fn state(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::without_body(&call);
    let id = input.id("dweller_id");
    input.finish()?;

    let mut tx = app.store.snapshot().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    require_inhabitant(&dweller, &agent)?;
    ok(situation_json(&mut tx, &dweller).await?)
}

async fn context(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_optional_body(&call);
    let id = input.id("dweller_id");
    input.text_or_null("target", ANY_LENGTH);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    require_inhabitant(&dweller, &agent)?;
    let token = new_id();
    sqlx::query(
        "UPDATE dwellers SET context_token = $1, context_at = $2, updated_at = $2 WHERE id = $3",
    )
    .bind(&token)
    .bind(now())
    .bind(&id)
    .execute(&mut *tx)
    .await?;
    let mut answer = situation_json(&mut tx, &dweller).await?;
    answer["conversations"] = conversations(&mut tx, &dweller).await?;
    answer["recent_region_activity"] = activity::nearby(&mut tx, &dweller).await?;
    answer["session"] =
        json!({ "last_action_at": dweller.try_get::<Option<String>, _>("last_action_at")? });
    tx.commit().await?;
    answer["context_token"] = json!(token);
    answer["expires_in_minutes"] = json!(TOKEN_MINUTES);
    ok(answer)
}

async fn act(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let id = input.id("dweller_id");
    let token = input.uuid("context_token");
    let mut action = Action {
        id: String::new(),
        kind: input.text("action_type", 1..=50),
        target: input.text_or_null("target", 0..=255),
        content: input.text("content", 1..=usize::MAX),
        importance: input.share_or("importance", 0.5),
        in_reply_to: input.uuid_or_null("in_reply_to_action_id"),
        created_at: String::new(),
    };
    input.finish()?;

    let mut tx = app.store.write().await?;
    let dweller = dweller_row(&mut tx, &id).await?;
    if !app.bugs.has(Bug::ActByAnyone) {
        require_inhabitant(&dweller, &agent)?;
    }
    if !app.bugs.has(Bug::TokenNotChecked) {
        check_token(&dweller, &token)?;
    }
    let (mut new_place, mut listener) = (None, None);
    match action.addressee() {
        Some(target) if action.kind == "move" => {
            new_place = Some(destination(&mut tx, &dweller, target).await?);
        }
        Some(target) if action.kind == "speak" => {
            let in_reply_to = action.in_reply_to.as_deref();
            listener = Some(check_speech(&app, &mut tx, &dweller, target, in_reply_to).await?);
        }
        _ => {}
    }

    (action.id, action.created_at) = (new_id(), now());
    record(&app, &mut tx, &dweller, &agent, &action, new_place.as_ref()).await?;
    let is_told = match &listener {
        Some(listener) => tell(&app, &mut tx, &dweller, listener, &action).await?,
        None => false,
    };
    tx.commit().await?;

    let mut answer = json!({
        "action": {
            "id": action.id,
            "type": action.kind,
            "target": action.target,
            "content": action.content,
            "importance": action.importance,
            "in_reply_to_action_id": action.in_reply_to,
            "created_at": action.created_at,
        },
        "dweller_name": dweller.try_get::<String, _>("name")?,
    });
    if action.is_eligible() {
        answer["escalation"] = json!({ "eligible": true });
    }
    if let Some(place) = new_place {
        answer["new_location"] =
            json!({ "current_region": place.region, "specific_location": place.spot });
    }
    if is_told {
        answer["notification"] = json!({ "target_notified": true, "target": action.target });
    }
    ok(answer)
}

fn check_token(dweller: &AnyRow, token: &str) -> Result<(), Refusal> {
    let stored: Option<String> = dweller.try_get("context_token")?;
    if stored.as_deref() != Some(token) {
        return Err(Refusal::bad(
            "Invalid context token",
            "Fetch one at POST /api/dwellers/{id}/act/context.",
        ));
    }
    let fetched: Option<String> = dweller.try_get("context_at")?;
    let fetched = fetched.and_then(|at| chrono::DateTime::parse_from_rfc3339(&at).ok());
    let age = fetched.map(|at| chrono::Utc::now() - at.to_utc());
    if age.is_some_and(|age| age > chrono::Duration::minutes(TOKEN_MINUTES)) {
        return Err(Refusal::bad("Context token expired", "Fetch a new one."));
    }
    Ok(())
}

/// Where a move leads.
struct Place {
    region: String,
    spot: Option<String>,
}

/// `Region`, or `Region: a spot in it`. Regions are canon, spots are free.
async fn destination(tx: &mut Tx, dweller: &AnyRow, target: &str) -> Result<Place, Refusal> {
    let (region, spot) = match target.split_once(':') {
        Some((region, spot)) => (region.trim(), Some(spot.trim().to_owned())),
        None => (target.trim(), None),
    };
    let regions = regions_of(tx, &dweller.try_get::<String, _>("world_id")?).await?;
    let known = named(&regions, region).and_then(region_name);
    let known = known.ok_or_else(|| unknown_region(region, &regions))?;
    Ok(Place {
        region: known.to_owned(),
        spot,
    })
}

/// Who is spoken to, and the agent who hears it.
struct Listener {
    id: String,
    inhabited_by: Option<String>,
}

/// Lets the listener's inhabitant know. A dweller without one has nobody to tell.
async fn tell(
    app: &App,
    tx: &mut Tx,
    dweller: &AnyRow,
    listener: &Listener,
    action: &Action,
) -> Result<bool, Refusal> {
    let Some(inhabitant) = &listener.inhabited_by else {
        return Ok(false);
    };
    if app.bugs.has(Bug::SpeechNotNotified) {
        return Ok(true);
    }
    let news = json!({
        "from_dweller": dweller.try_get::<String, _>("name")?,
        "from_dweller_id": dweller.try_get::<String, _>("id")?,
        "action_id": action.id,
        "content": action.content,
    });
    let about = ("dweller", listener.id.as_str());
    notify(tx, inhabitant, "dweller_spoken_to", about, &news).await?;
    Ok(true)
}

/// Speech goes to a dweller of the same world, and does not pass over what that one is waiting to hear.
async fn check_speech(
    app: &App,
    tx: &mut Tx,
    dweller: &AnyRow,
    target: &str,
    in_reply_to: Option<&str>,
) -> Result<Listener, Refusal> {
    let listener = sqlx::query(
        "SELECT id, inhabited_by FROM dwellers WHERE world_id = $1 AND name_key = $2 AND id <> $3
         ORDER BY created_at LIMIT 1",
    )
    .bind(dweller.try_get::<String, _>("world_id")?)
    .bind(target.to_lowercase())
    .bind(dweller.try_get::<String, _>("id")?)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(listener) = listener else {
        return Err(Refusal::bad(
            &format!("No other dweller called '{target}' in this world"),
            "Address somebody who is there.",
        ));
    };
    let listener = Listener {
        id: listener.try_get("id")?,
        inhabited_by: listener.try_get("inhabited_by")?,
    };
    let Some(reply) = in_reply_to else {
        if !app.bugs.has(Bug::ReplyNotRequired) && owes_reply(tx, dweller, &listener.id).await? {
            return Err(Refusal::bad(
                &format!("'{target}' is waiting for your reply"),
                "Send in_reply_to_action_id.",
            ));
        }
        return Ok(listener);
    };
    let heard = sqlx::query("SELECT dweller_id, action_type FROM actions WHERE id = $1")
        .bind(reply)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(heard) = heard else {
        return Err(Refusal::bad(
            "The action replied to does not exist",
            "Check in_reply_to_action_id.",
        ));
    };
    if heard.try_get::<String, _>("dweller_id")? != listener.id {
        return Err(Refusal::bad(
            &format!("The action replied to is not by '{target}'"),
            "Reply to the one you are speaking to.",
        ));
    }
    if heard.try_get::<String, _>("action_type")? != "speak" {
        return Err(Refusal::bad(
            "The action replied to is not speech",
            "Only speech can be replied to.",
        ));
    }
    Ok(listener)
}

/// Whether the listener said something to this dweller that nothing replies to.
async fn owes_reply(tx: &mut Tx, dweller: &AnyRow, listener: &str) -> Result<bool, sqlx::Error> {
    let row = sqlx::query(
        "SELECT 1 FROM actions AS said
         WHERE said.dweller_id = $1 AND said.action_type = 'speak' AND said.target_key = $2
           AND NOT EXISTS (SELECT 1 FROM actions AS reply WHERE reply.in_reply_to = said.id)
         LIMIT 1",
    )
    .bind(listener)
    .bind(dweller.try_get::<String, _>("name_key")?)
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.is_some())
}

/// Writes the action and what it does to the dweller who acts.
async fn record(
    app: &App,
    tx: &mut Tx,
    dweller: &AnyRow,
    agent: &Agent,
    action: &Action,
    new_place: Option<&Place>,
) -> Result<(), Refusal> {
    let id: String = dweller.try_get("id")?;
    actions::insert(tx, &id, &agent.id, action).await?;
    let relationships = match action.addressee() {
        Some(target) if action.kind != "move" => {
            let known = dweller.document("relationship_memories")?;
            Some(memory::remembered(known, target, action).to_string())
        }
        _ => None,
    };
    sqlx::query(
        "UPDATE dwellers SET last_action_at = $1, updated_at = $1,
                relationship_memories = COALESCE($2, relationship_memories) WHERE id = $3",
    )
    .bind(&action.created_at)
    .bind(relationships)
    .bind(&id)
    .execute(&mut **tx)
    .await?;
    if let Some(place) = new_place
        && !app.bugs.has(Bug::MoveNotStored)
    {
        sqlx::query(
            "UPDATE dwellers SET current_region = $1, specific_location = $2 WHERE id = $3",
        )
        .bind(&place.region)
        .bind(place.spot.as_deref())
        .bind(&id)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// All that the inhabitant may know before acting.
async fn situation_json(tx: &mut Tx, dweller: &AnyRow) -> Result<Value, Refusal> {
    let id: String = dweller.try_get("id")?;
    let world_id: String = dweller.try_get("world_id")?;
    let world = world_row(tx, &world_id).await?;
    let canon = canon_json(tx, &world).await?;
    let origin: String = dweller.try_get("origin_region")?;
    let regions = canon["regions"].as_array().map_or(&[][..], Vec::as_slice);
    let region = named(regions, &origin).cloned();
    let others = sqlx::query(
        "SELECT id, name, role, current_region, inhabited_by FROM dwellers
         WHERE world_id = $1 AND id <> $2 ORDER BY name, created_at",
    )
    .bind(&world_id)
    .bind(&id)
    .fetch_all(&mut **tx)
    .await?;
    let others: Result<Vec<Value>, sqlx::Error> = others.iter().map(other_json).collect();
    Ok(json!({
        "dweller_id": id,
        "world_canon": canon,
        "persona": {
            "name": dweller.try_get::<String, _>("name")?,
            "role": dweller.try_get::<String, _>("role")?,
            "age": dweller.try_get::<i64, _>("age")?,
            "personality": dweller.try_get::<String, _>("personality")?,
            "cultural_identity": dweller.try_get::<String, _>("cultural_identity")?,
            "background": dweller.try_get::<String, _>("background")?,
        },
        "cultural_context": {
            "origin_region": origin,
            "generation": dweller.try_get::<String, _>("generation")?,
            "region_details": region,
        },
        "location": {
            "current_region": dweller.try_get::<Option<String>, _>("current_region")?,
            "specific_location": dweller.try_get::<Option<String>, _>("specific_location")?,
        },
        "memory": memory::memory_json(tx, dweller, memory::WORKING_EPISODES).await?,
        "current_state": { "situation": dweller.try_get::<String, _>("current_situation")? },
        "other_dwellers": others?,
    }))
}

fn other_json(row: &AnyRow) -> Result<Value, sqlx::Error> {
    Ok(json!({
        "id": row.try_get::<String, _>("id")?,
        "name": row.try_get::<String, _>("name")?,
        "role": row.try_get::<String, _>("role")?,
        "current_region": row.try_get::<Option<String>, _>("current_region")?,
        "is_inhabited": row.try_get::<Option<String>, _>("inhabited_by")?.is_some(),
    }))
}

/// What was said between this dweller and each other one, oldest first.
async fn conversations(tx: &mut Tx, dweller: &AnyRow) -> Result<Value, Refusal> {
    let id: String = dweller.try_get("id")?;
    let rows = sqlx::query(
        "SELECT said.id, said.dweller_id, said.target, said.target_key, said.content, said.in_reply_to,
                speaker.name AS speaker, speaker.name_key AS speaker_key,
                (SELECT COUNT(*) FROM actions AS reply WHERE reply.in_reply_to = said.id) AS replies
         FROM actions AS said JOIN dwellers AS speaker ON speaker.id = said.dweller_id
         WHERE speaker.world_id = $1 AND said.action_type = 'speak' AND (said.dweller_id = $2 OR said.target_key = $3)
         ORDER BY said.created_at",
    )
    .bind(dweller.try_get::<String, _>("world_id")?)
    .bind(&id)
    .bind(dweller.try_get::<String, _>("name_key")?)
    .fetch_all(&mut **tx)
    .await?;
    let mut threads: BTreeMap<String, (String, Vec<Value>, i64)> = BTreeMap::new();
    for row in &rows {
        let is_mine = row.try_get::<String, _>("dweller_id")? == id;
        let (key, name): (Option<String>, Option<String>) = if is_mine {
            (row.try_get("target_key")?, row.try_get("target")?)
        } else {
            (row.try_get("speaker_key")?, row.try_get("speaker")?)
        };
        // Speech to nobody in particular belongs to no conversation.
        let (Some(key), Some(name)) = (key, name) else {
            continue;
        };
        let awaits_reply = !is_mine && row.try_get::<i64, _>("replies")? == 0;
        let (_, thread, unanswered) = threads.entry(key).or_insert((name, Vec::new(), 0));
        *unanswered += i64::from(awaits_reply);
        thread.push(json!({
            "action_id": row.try_get::<String, _>("id")?,
            "speaker": row.try_get::<String, _>("speaker")?,
            "content": row.try_get::<String, _>("content")?,
            "in_reply_to": row.try_get::<Option<String>, _>("in_reply_to")?,
            "awaiting_your_reply": awaits_reply,
        }));
    }
    let conversations = threads.into_values().map(|(name, thread, unanswered)| {
        json!({
            "with_dweller": name,
            "thread": thread,
            "unanswered_count": unanswered,
            "your_turn": unanswered > 0,
        })
    });
    Ok(conversations.collect())
}
