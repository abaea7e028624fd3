//! Who asks: a user, by one of their keys in the `X-ACM2-API-Key` header. Only hashes of keys are stored.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use chrono::Utc;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};

use super::errors::Refusal;
use super::service::{App, Service, locked, new_id};
use super::slips::Slip;
use crate::demo::answers::hash;

/// What every key begins with.
const KEY_START: &str = "acm2_";
/// How many characters of a key are no secret.
const PREFIX: usize = 12;
/// How many characters a key has.
const KEY_LENGTH: usize = KEY_START.len() + 12 + 1 + 32;

/// A new key: the time, as in a UUID of version 7, and what nobody can guess.
pub(super) fn new_key() -> String {
    let now = Utc::now().timestamp_millis();
    format!("{KEY_START}{now:012x}_{}", new_id())
}

/// What lists show of a key.
pub(super) fn prefix(key: &str) -> String {
    key.chars().take(PREFIX).collect()
}

fn is_well_formed(key: &str) -> bool {
    let of_a_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    key.len() == KEY_LENGTH && key.starts_with(KEY_START) && key.chars().all(of_a_key)
}

/// The key that a request shows in its header.
pub(super) fn shown(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-acm2-api-key")?.to_str().ok()
}

/// Kept for its `Drop`.
enum Held {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

/// The user who asks. While this is kept, none of their keys is revoked.
pub(super) struct Caller {
    /// The user's id.
    pub user: String,
    _held: Held,
}

/// The user who asks, when no other request of theirs is under way, and none will be before this is dropped.
pub(super) struct Alone(pub Caller);

impl FromRequestParts<App> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        app.caller(shown(&parts.headers)).await
    }
}

impl FromRequestParts<App> for Alone {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refusal> {
        let (hash, user) = app.owner(shown(&parts.headers)).await?;
        let _guard = app.users.of(&user).write_owned().await;
        let caller = app.admit(&hash, user, Held::Alone { _guard }).await?;
        Ok(Self(caller))
    }
}

impl Service {
    /// The user whose key is shown; 401 if there is none.
    pub(super) async fn caller(&self, shown: Option<&str>) -> Result<Caller, Refusal> {
        let (hash, user) = self.owner(shown).await?;
        let _guard = self.users.of(&user).read_owned().await;
        let mut caller = self.admit(&hash, user, Held::Shared { _guard }).await?;
        if let (true, Some(key)) = (self.slips.has(Slip::EngineCacheByPrefix), shown) {
            let mut users = locked(&self.by_prefix);
            let user = users.entry(prefix(key)).or_insert(caller.user);
            caller.user = user.clone();
        }
        Ok(caller)
    }

    /// The hash of a key, and whose it is or was. Whether it is revoked can change until the user's lock is held.
    async fn owner(&self, shown: Option<&str>) -> Result<(String, String), Refusal> {
        let key = shown.ok_or_else(|| Refusal::unauthenticated("API key required"))?;
        if !is_well_formed(key) {
            return Err(Refusal::unauthenticated(
                "this is not what API keys are like",
            ));
        }
        let hash = hash(key);
        let known = locked(&self.known).get(&hash).cloned();
        let user = match known {
            Some(user) => Some(user),
            None => {
                sqlx::query_scalar("SELECT user_id FROM keys WHERE hash = ?")
                    .bind(&hash)
                    .fetch_optional(&self.master.readers)
                    .await?
            }
        };
        match user {
            Some(user) => Ok((hash, user)),
            None => Err(invalid()),
        }
    }

    /// Lets the user in whose lock is held, unless the key is revoked.
    async fn admit(&self, hash: &str, user: String, held: Held) -> Result<Caller, Refusal> {
        if !locked(&self.known).contains_key(hash) {
            let statement = "SELECT NOT is_revoked FROM keys WHERE hash = ?";
            let valid: bool = sqlx::query_scalar(statement)
                .bind(hash)
                .fetch_one(&self.master.readers)
                .await?;
            if !valid {
                return Err(invalid());
            }
            locked(&self.known).insert(hash.to_owned(), user.clone());
        }
        Ok(Caller { user, _held: held })
    }

    /// Forgets a key that was revoked.
    pub(super) fn forget(&self, hash: &str) {
        if !self.slips.has(Slip::RevokeCached) {
            locked(&self.known).remove(hash);
        }
    }
}

fn invalid() -> Refusal {
    Refusal::unauthenticated("this API key is unknown, or was revoked")
}
