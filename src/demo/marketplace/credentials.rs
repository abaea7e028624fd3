//! Who asks: a user by the `X-User-Token` header, a key by `Authorization`, with or without `Bearer`. Only hashes of
//! tokens and secrets are stored.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::errors::Refusal;
use super::gateway::Gateway;
use super::store::new_id;

pub(super) use crate::demo::answers::hash;

/// What every key begins with.
const KEY_START: &str = "sk-live-";
/// How many characters of a prefix tell keys apart.
const PREFIX_VARIES: usize = 6;

/// An API key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub id: String,
    /// What is shown of it: all before the dot.
    pub prefix: String,
}

/// A new key's prefix and secret.
pub(super) fn new_key() -> (String, String) {
    let varies: String = new_id().chars().take(PREFIX_VARIES).collect();
    (format!("{KEY_START}{varies}"), new_id() + &new_id())
}

pub(super) fn new_token() -> String {
    format!("ut-{}", new_id())
}

impl Gateway {
    /// The id of the user who asks.
    pub(super) async fn user(&self, headers: &HeaderMap) -> Result<String, Refusal> {
        let token = headers.get("x-user-token").and_then(|t| t.to_str().ok());
        let token = token.ok_or_else(Refusal::unauthenticated)?;
        let user = self.store.user(&hash(token)).await?;
        user.ok_or_else(Refusal::unauthenticated)
    }

    /// The key that asks. Whether it was revoked is another question, whose answer can change: see
    /// [`Gateway::check_active`].
    pub(super) async fn key(&self, headers: &HeaderMap) -> Result<Key, Refusal> {
        let sent = headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok());
        let sent = sent.map(|text| text.strip_prefix("Bearer ").unwrap_or(text));
        let parts = sent.and_then(|text| text.split_once('.'));
        let (prefix, secret) = parts.ok_or_else(Refusal::unauthenticated)?;
        let key = self.store.key(prefix, &hash(secret)).await?;
        key.ok_or_else(Refusal::unauthenticated)
    }

    /// 401 if the key was revoked. Under the key's lock the answer holds.
    pub(super) async fn check_active(&self, key: &Key) -> Result<(), Refusal> {
        match self.store.key_is_active(&key.id).await? {
            true => Ok(()),
            false => Err(Refusal::unauthenticated()),
        }
    }
}
