//! An agent's own account: what it says of itself, the model behind it, and where it wants to be called back. Nothing
//! is ever sent to a callback from here; the address is only kept.

use axum::Router;
use axum::extract::State;
use axum::routing::{get, patch};
use serde_json::{Value, json};
use sqlx::Row;

use super::bugs::Bug;
use super::call::{Agent, Call, JsonCall, ok};
use super::errors::{Answer, Refusal};
use super::input::{ANY_LENGTH, Input};
use super::server::App;
use super::store::Columns;

/// The longest address that is accepted, in code points.
const URL_LENGTH: usize = 2_083;
const TOKEN_LENGTH: usize = 256;
/// How many agents a search for an existing account shows.
const LIKELY: i64 = 5;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/auth/check", get(check))
        .route("/api/auth/me", get(me))
        .route("/api/auth/verify", get(verify))
        .route("/api/auth/me/model", patch(set_model))
        .route("/api/auth/me/callback", patch(set_callback))
}

/// Where an agent wants to hear of its notifications, as registrations and updates say it.
pub(super) struct Callback {
    pub url: Option<String>,
    pub token: Option<String>,
}

impl Callback {
    pub(super) fn read(input: &mut Input<'_>) -> Self {
        let url = input.text_or_null("callback_url", 0..=URL_LENGTH);
        let token = input.text_or_null("callback_token", 0..=TOKEN_LENGTH);
        if let Some(url) = &url {
            input.web_address("callback_url", url);
        }
        Self { url, token }
    }
}

/// For those who may have registered already: agents whose name contains this one.
async fn check(State(app): State<App>, call: Call) -> Answer {
    let mut input = Input::without_body(&call);
    let name = input.required_query_text("name", ANY_LENGTH).to_lowercase();
    let model = input.query_text("model_id");
    input.finish()?;

    let model = model.filter(|model| !model.is_empty());
    let rows = sqlx::query(
        "SELECT username, name, model_id, created_at FROM users
         WHERE name_key LIKE $1 ESCAPE '!' AND (CAST($2 AS TEXT) IS NULL OR model_id = $2)
         ORDER BY created_at LIMIT $3",
    )
    .bind(format!("%{}%", literal(&name)))
    .bind(model)
    .bind(LIKELY)
    .fetch_all(app.store.readers())
    .await?;
    let mut agents = Vec::with_capacity(rows.len());
    for row in &rows {
        agents.push(json!({
            "username": format!("@{}", row.try_get::<String, _>("username")?),
            "name": row.try_get::<String, _>("name")?,
            "model_id": row.try_get::<Option<String>, _>("model_id")?,
            "created_at": row.try_get::<String, _>("created_at")?,
        }));
    }
    let message = if agents.is_empty() {
        "Nobody goes by a name like this."
    } else {
        "If one of these is you, go on with the key that you have."
    };
    ok(json!({ "possible_existing_agents": agents, "message": message }))
}

/// The text as a LIKE pattern that matches only itself.
fn literal(text: &str) -> String {
    text.replace('!', "!!")
        .replace('%', "!%")
        .replace('_', "!_")
}

async fn me(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    ok(profile(&app, &agent).await?)
}

async fn verify(State(app): State<App>, call: Call) -> Answer {
    let agent = call.agent(&app).await?;
    ok(json!({ "valid": true, "agent": profile(&app, &agent).await? }))
}

async fn set_model(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let model = input.text_or_null("model_id", 0..=100);
    input.finish()?;

    let mut tx = app.store.write().await?;
    let update = if app.bugs.has(Bug::ModelWrittenToEveryone) {
        sqlx::query("UPDATE users SET model_id = $1").bind(model.as_deref())
    } else {
        sqlx::query("UPDATE users SET model_id = $1 WHERE id = $2")
            .bind(model.as_deref())
            .bind(&agent.id)
    };
    update.execute(&mut *tx).await?;
    tx.commit().await?;
    ok(json!({ "success": true, "model_id": model }))
}

/// An address that is left out is cleared; a token that is left out stays.
async fn set_callback(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let agent = call.agent(&app).await?;
    let mut input = Input::with_body(&call);
    let callback = Callback::read(&mut input);
    input.finish()?;

    let update = if app.bugs.has(Bug::CallbackUrlKept) {
        "UPDATE users SET callback_url = COALESCE($1, callback_url), callback_token = COALESCE($2, callback_token)
         WHERE id = $3 RETURNING callback_url, callback_token"
    } else if app.bugs.has(Bug::CallbackTokenCleared) {
        "UPDATE users SET callback_url = $1, callback_token = $2
         WHERE id = $3 RETURNING callback_url, callback_token"
    } else {
        "UPDATE users SET callback_url = $1, callback_token = COALESCE($2, callback_token)
         WHERE id = $3 RETURNING callback_url, callback_token"
    };
    let mut tx = app.store.write().await?;
    let row = sqlx::query(update)
        .bind(callback.url)
        .bind(callback.token)
        .bind(&agent.id)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    ok(json!({
        "success": true,
        "callback_url": row.try_get::<Option<String>, _>("callback_url")?,
        "callback_token_set": row.try_get::<Option<String>, _>("callback_token")?.is_some(),
    }))
}

async fn profile(app: &App, agent: &Agent) -> Result<Value, Refusal> {
    let row = sqlx::query(
        "SELECT username, name, model_id, callback_url, callback_token, platform_notifications, last_heartbeat_at,
                created_at
         FROM users WHERE id = $1",
    )
    .bind(&agent.id)
    .fetch_one(app.store.readers())
    .await?;
    Ok(json!({
        "id": agent.id,
        "username": format!("@{}", row.try_get::<String, _>("username")?),
        "name": row.try_get::<String, _>("name")?,
        "model_id": row.try_get::<Option<String>, _>("model_id")?,
        "type": "agent",
        "callback_url": row.try_get::<Option<String>, _>("callback_url")?,
        "callback_token_set": row.try_get::<Option<String>, _>("callback_token")?.is_some(),
        "platform_notifications": row.flag("platform_notifications")?,
        "activity_status": agent.activity(),
        "last_heartbeat_at": row.try_get::<Option<String>, _>("last_heartbeat_at")?,
        "created_at": row.try_get::<String, _>("created_at")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::literal;

    #[test]
    fn a_name_is_no_pattern() {
        assert_eq!(literal("50%_off!"), "50!%!_off!!");
    }
}
