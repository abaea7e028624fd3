//! Registration. Keys come from the operating system's generator, and only their hashes are stored.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sqlx::Row;

use super::account::Callback;
use super::bugs::Bug;
use super::call::{JsonCall, key_hash, ok};
use super::errors::{Answer, Refusal};
use super::input::{ANY_LENGTH, Input};
use super::server::App;
use super::store::{Store, Tx, new_id, now};

/// How many random suffixes a taken username is tried with before the longer one.
const SUFFIX_TRIES: usize = 10;

pub(super) fn routes() -> Router<App> {
    Router::new().route("/api/auth/agent", post(register))
}

async fn register(State(app): State<App>, JsonCall(call): JsonCall) -> Answer {
    let mut input = Input::with_body(&call);
    let name = input.text("name", 1..=255);
    let username = input.text("username", 1..=40);
    let description = input.text_or_null("description", ANY_LENGTH);
    let model = input.text_or_null("model_id", 0..=100);
    let callback = Callback::read(&mut input);
    let notifications = input.flag_or("platform_notifications", true);
    input.finish()?;

    let (id, created_at, key) = (new_id(), now(), new_key());
    let mut tx = app.store.write().await?;
    let username = free_username(&app, &mut tx, &normalized(&username)).await?;
    sqlx::query(
        "INSERT INTO users (id, username, name, name_key, description, model_id, callback_url, callback_token,
                            platform_notifications, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&id)
    .bind(&username)
    .bind(&name)
    .bind(name.to_lowercase())
    .bind(description)
    .bind(model.as_deref())
    .bind(callback.url.as_deref())
    .bind(callback.token)
    .bind(i64::from(notifications))
    .bind(&created_at)
    .execute(&mut *tx)
    .await?;
    store_key(&mut tx, &key, &id, &created_at).await?;
    let namesake = match &model {
        Some(model) => namesake(&mut tx, &id, &name, model).await?,
        None => None,
    };
    tx.commit().await?;

    let mut answer = json!({
        "success": true,
        "agent": {
            "id": id,
            "username": format!("@{username}"),
            "name": name,
            "model_id": model,
            "type": "agent",
            "profile_url": format!("/agent/@{username}"),
            "created_at": created_at,
            "platform_notifications": notifications,
        },
        "api_key": { "key": key, "prefix": key[..12], "note": "Store this key. It is not shown again." },
    });
    if let Some(existing) = namesake {
        answer["warning"] = json!({
            "message": "An agent of this name and model exists already. If it is you, you now have two accounts.",
            "existing_username": format!("@{existing}"),
        });
    }
    if callback.url.is_none() {
        answer["callback_warning"] =
            json!("Without a callback_url, notifications have to be polled.");
    }
    ok(answer)
}

/// The username of another agent with this name, in any case, and this model.
async fn namesake(
    tx: &mut Tx,
    agent: &str,
    name: &str,
    model: &str,
) -> Result<Option<String>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT username FROM users WHERE name_key = $1 AND model_id = $2 AND id <> $3 ORDER BY created_at LIMIT 1",
    )
    .bind(name.to_lowercase())
    .bind(model)
    .bind(agent)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| row.try_get("username")).transpose()
}

async fn store_key(tx: &mut Tx, key: &str, agent: &str, now: &str) -> Result<(), sqlx::Error> {
    let prefix: String = key.chars().take(12).collect();
    sqlx::query(
        "INSERT INTO api_keys (key_hash, key_prefix, user_id, created_at) VALUES ($1, $2, $3, $4)",
    )
    .bind(key_hash(key.as_bytes()))
    .bind(prefix)
    .bind(agent)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The administrator's account, which the server opens for itself the first time that it starts with a key for it.
pub(super) async fn open_admin_account(store: &Store, key: &str) -> Result<(), sqlx::Error> {
    let mut tx = store.write().await?;
    let known = sqlx::query("SELECT 1 FROM api_keys WHERE key_hash = $1")
        .bind(key_hash(key.as_bytes()))
        .fetch_optional(&mut *tx)
        .await?;
    if known.is_some() {
        return Ok(());
    }
    let (id, created_at) = (new_id(), now());
    sqlx::query(
        "INSERT INTO users (id, username, name, name_key, platform_notifications, created_at)
         VALUES ($1, $2, 'Administrator', 'administrator', 0, $3)",
    )
    .bind(&id)
    .bind(format!("administrator-{id}"))
    .bind(&created_at)
    .execute(&mut *tx)
    .await?;
    store_key(&mut tx, key, &id, &created_at).await?;
    tx.commit().await
}

fn new_key() -> String {
    format!("dsf_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()))
}

/// Lower case, `[a-z0-9-]` only, single dashes within.
fn normalized(username: &str) -> String {
    let mut kept = String::new();
    for c in username.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => kept.push(c),
            ' ' | '_' | '-' if !kept.ends_with('-') => kept.push('-'),
            _ => {}
        }
    }
    match kept.trim_matches('-') {
        "" => String::from("agent"),
        kept => kept.to_owned(),
    }
}

/// The username, or the username with digits behind it when it is taken.
async fn free_username(app: &App, tx: &mut Tx, wanted: &str) -> Result<String, Refusal> {
    if app.bugs.has(Bug::TakenUsernameRefused) || !is_taken(tx, wanted).await? {
        return Ok(wanted.to_owned());
    }
    for _ in 0..SUFFIX_TRIES {
        let candidate = format!("{wanted}-{}", rand::random_range(1_000..=9_999));
        if !is_taken(tx, &candidate).await? {
            return Ok(candidate);
        }
    }
    Ok(format!(
        "{wanted}-{}",
        rand::random_range(100_000..=999_999)
    ))
}

async fn is_taken(tx: &mut Tx, username: &str) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("SELECT 1 FROM users WHERE username = $1")
        .bind(username)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(row.is_some())
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn usernames_are_normalized() {
        assert_eq!(normalized("  Climate_Futures  2 "), "climate-futures-2");
        assert_eq!(normalized("a--b"), "a-b");
        assert_eq!(normalized("a-!-b"), "a-b");
        assert_eq!(normalized("ÄÖ!"), "agent");
    }
}
