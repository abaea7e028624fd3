//! Registration. Keys come from the operating system's generator, or from what the registration says; only their hashes
//! are stored.

use std::sync::PoisonError;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::Row;

use super::account::Callback;
use super::bugs::Bug;
use super::call::{JsonCall, key_hash, ok};
use super::errors::{Answer, Refusal};
use super::input::{ANY_LENGTH, Input};
use super::server::{App, Keys};
use super::store::{Columns, Store, Tx, new_id, now};

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

    let key = match app.keys {
        Keys::Random => new_key(&app),
        Keys::Derived => derived_key(&json!([
            name,
            username,
            description,
            model,
            callback.url,
            callback.token,
            notifications,
        ])),
    };
    let (id, created_at) = (new_id(), now());
    let mut tx = app.store.write().await?;
    if app.keys == Keys::Derived
        && !app.bugs.has(Bug::DuplicateApiKeys)
        && let Some(known) = account_of(&mut tx, &key).await?
    {
        return ok(registered(&known, &key));
    }
    let username = free_username(&app, &mut tx, &normalized(&username)).await?;
    if app.bugs.has(Bug::UsernameTakenMeanwhile) {
        tx = app.store.let_go(tx).await?;
    }
    sqlx::query(
        "INSERT INTO users (id, username, name, name_key, description, model_id, callback_url, callback_token,
                            platform_notifications, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&id)
    .bind(&username)
    .bind(&name)
    .bind(name.to_lowercase())
    .bind(description.as_deref())
    .bind(model.as_deref())
    .bind(callback.url.as_deref())
    .bind(callback.token.as_deref())
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

    let account = Account {
        id,
        username,
        name,
        model,
        notifications,
        created_at,
    };
    let mut answer = registered(&account, &key);
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

/// An account as registrations answer it.
struct Account {
    id: String,
    username: String,
    name: String,
    model: Option<String>,
    notifications: bool,
    created_at: String,
}

fn registered(account: &Account, key: &str) -> Value {
    let prefix: String = key.chars().take(12).collect();
    json!({
        "success": true,
        "agent": {
            "id": account.id,
            "username": format!("@{}", account.username),
            "name": account.name,
            "model_id": account.model,
            "type": "agent",
            "profile_url": format!("/agent/@{}", account.username),
            "created_at": account.created_at,
            "platform_notifications": account.notifications,
        },
        "api_key": { "key": key, "prefix": prefix, "note": "Store this key. It is not shown again." },
    })
}

/// The account that has a key.
async fn account_of(tx: &mut Tx, key: &str) -> Result<Option<Account>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT users.* FROM users JOIN api_keys ON api_keys.user_id = users.id WHERE api_keys.key_hash = $1",
    )
    .bind(key_hash(key.as_bytes()))
    .fetch_optional(&mut **tx)
    .await?;
    let account = |row: sqlx::any::AnyRow| {
        Ok(Account {
            id: row.try_get("id")?,
            username: row.try_get("username")?,
            name: row.try_get("name")?,
            model: row.try_get("model_id")?,
            notifications: row.flag("platform_notifications")?,
            created_at: row.try_get("created_at")?,
        })
    };
    row.map(account).transpose()
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

fn new_key(app: &App) -> String {
    let bytes: [u8; 32] = match app.bugs.has(Bug::RestartRepeatsKeys) {
        // Whoever panicked while holding it left a generator like any other.
        true => (app.seeded.lock())
            .unwrap_or_else(PoisonError::into_inner)
            .random(),
        false => rand::random(),
    };
    format!("dsf_{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The same key for the same registration, so that a client who never saw the answer gets it when he asks again.
fn derived_key(registration: &Value) -> String {
    let digest = Sha256::digest(registration.to_string());
    format!("dsf_{}", URL_SAFE_NO_PAD.encode(digest))
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
