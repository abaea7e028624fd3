//! `/provider-keys`: what a user pays providers of language models with. It is kept sealed, and never shown.

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::credentials::Caller;
use super::errors::{Answer, Refusal, created, no_content, ok};
use super::service::{App, BETWEEN, Service};
use super::slips::Slip;
use crate::demo::sqlite::Database;

const PROVIDERS: [&str; 5] = ["openai", "anthropic", "google", "openrouter", "groq"];
/// So much of a key is shown, if there is more.
const SHOWN: usize = 8;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/provider-keys", get(list).post(save))
        .route("/provider-keys/{provider}", get(look).delete(remove))
}

#[derive(Deserialize)]
struct NewKey {
    provider: String,
    api_key: String,
}

/// What a secret is bound to.
fn whose(user: &str, provider: &str) -> String {
    format!("{user}/{provider}")
}

async fn save(
    State(app): State<App>,
    caller: Caller,
    new: Result<Json<NewKey>, JsonRejection>,
) -> Answer {
    let Json(new) = new?;
    if new.api_key.is_empty() {
        return Err(Refusal::invalid("api_key must not be empty"));
    }
    let provider = new.provider.to_lowercase();
    if !PROVIDERS.contains(&provider.as_str()) {
        let detail = format!("provider must be one of {}", PROVIDERS.join(", "));
        return Err(Refusal::bad(detail));
    }
    let whose = whose(&caller.user, &provider);
    let sealed = app.sealing()?.seal(&whose, &new.api_key)?;
    let database = app.engines.of(&caller.user).await?;
    upsert(&app, &database, &provider, &sealed).await?;
    let message = format!("the key for {provider} is saved");
    created(json!({ "message": message, "provider": provider }))
}

async fn upsert(
    app: &Service,
    database: &Database,
    provider: &str,
    sealed: &[u8],
) -> Result<(), Refusal> {
    let update = "UPDATE provider_keys SET sealed = ?2 WHERE provider = ?1";
    let insert = "INSERT INTO provider_keys (provider, sealed) VALUES (?1, ?2)";
    let statement = match app.slips.has(Slip::UpsertRace) {
        false => {
            "INSERT INTO provider_keys (provider, sealed) VALUES (?1, ?2)
                ON CONFLICT (provider) DO UPDATE SET sealed = excluded.sealed"
        }
        true => {
            let there = !rows(database, provider).await?.is_empty();
            tokio::time::sleep(BETWEEN).await;
            if there { update } else { insert }
        }
    };
    let mut tx = database.write().await?;
    sqlx::query(statement)
        .bind(provider)
        .bind(sealed)
        .execute(&mut *tx)
        .await?;
    Ok(tx.commit().await?)
}

/// One or none, unless something slipped.
async fn rows(database: &Database, provider: &str) -> Result<Vec<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar("SELECT sealed FROM provider_keys WHERE provider = ?")
        .bind(provider)
        .fetch_all(&database.readers)
        .await
}

async fn list(State(app): State<App>, caller: Caller) -> Answer {
    app.sealing()?;
    let database = app.engines.of(&caller.user).await?;
    let statement = "SELECT provider FROM provider_keys GROUP BY provider ORDER BY MIN(rowid)";
    let providers: Vec<String> = sqlx::query_scalar(statement)
        .fetch_all(&database.readers)
        .await?;
    ok(json!({ "providers": providers }))
}

async fn look(State(app): State<App>, caller: Caller, Path(provider): Path<String>) -> Answer {
    let sealing = app.sealing()?;
    let provider = provider.to_lowercase();
    let database = app.engines.of(&caller.user).await?;
    let mut answer = match rows(&database, &provider).await?.as_slice() {
        [] => return ok(json!({ "provider": provider, "configured": false })),
        [_, _, ..] => return Err(Refusal::SeveralRows),
        // One that was sealed with another encryption key is there, but cannot be read any more.
        [sealed] => {
            let secret = sealing.open(&whose(&caller.user, &provider), sealed);
            let secret = secret.filter(|secret| secret.chars().count() > SHOWN);
            let start = secret.map(|secret| secret.chars().take(SHOWN).collect::<String>());
            match start {
                Some(start) => json!({ "key_prefix": format!("{start}...") }),
                None => json!({}),
            }
        }
    };
    answer["provider"] = provider.into();
    answer["configured"] = true.into();
    ok(answer)
}

async fn remove(State(app): State<App>, caller: Caller, Path(provider): Path<String>) -> Answer {
    app.sealing()?;
    let database = app.engines.of(&caller.user).await?;
    let mut tx = database.write().await?;
    let removed = sqlx::query("DELETE FROM provider_keys WHERE provider = ?")
        .bind(provider.to_lowercase())
        .execute(&mut *tx)
        .await?;
    if removed.rows_affected() == 0 {
        return Err(Refusal::absent("provider key"));
    }
    tx.commit().await?;
    no_content()
}
