//! The SQLite file: users, their API keys and chats, and which session of a key is the active one.

use std::path::Path;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::credentials::Key;
use super::errors::Refusal;
use crate::demo::sqlite::Database;

pub(super) use crate::demo::sqlite::Tx;

const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS users (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, token_hash TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS api_keys (
        position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, name TEXT NOT NULL,
        prefix TEXT NOT NULL, secret_hash TEXT NOT NULL, is_active INTEGER NOT NULL DEFAULT 1)",
    "CREATE INDEX IF NOT EXISTS api_keys_by_prefix ON api_keys (prefix)",
    "CREATE INDEX IF NOT EXISTS api_keys_by_user ON api_keys (user_id)",
    "CREATE TABLE IF NOT EXISTS sessions (
        position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, api_key_id TEXT NOT NULL, model TEXT NOT NULL,
        chats INTEGER NOT NULL DEFAULT 0, is_active INTEGER NOT NULL DEFAULT 1)",
    "CREATE TABLE IF NOT EXISTS chats (
        position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL, title TEXT NOT NULL,
        last_sequence INTEGER NOT NULL DEFAULT 0, is_archived INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX IF NOT EXISTS chats_by_user ON chats (user_id)",
    "CREATE TABLE IF NOT EXISTS messages (
        id TEXT PRIMARY KEY, chat_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL,
        sequence INTEGER NOT NULL, UNIQUE (chat_id, sequence))",
];
const ONE_ACTIVE: &str = "CREATE UNIQUE INDEX IF NOT EXISTS one_active_session_per_key
    ON sessions (api_key_id) WHERE is_active = 1";
const MANY_ACTIVE: &str = "DROP INDEX IF EXISTS one_active_session_per_key";

pub(super) struct Store {
    database: Database,
}

/// The session that a key uses.
pub(super) struct Active {
    pub id: String,
    pub model: String,
}

impl Store {
    /// Opens the file and creates the tables that are missing. `one_active`: a key has at most one active session.
    pub(super) async fn open(file: &Path, one_active: bool) -> Result<Self, sqlx::Error> {
        let index = if one_active { ONE_ACTIVE } else { MANY_ACTIVE };
        Ok(Self {
            database: Database::open(file, &[TABLES, &[index]].concat()).await?,
        })
    }

    /// A transaction that has the database for itself: what is read and counted in it holds until its commit.
    pub(super) async fn write(&self) -> Result<Tx, sqlx::Error> {
        self.database.write().await
    }

    /// A transaction that sees one state of the database.
    pub(super) async fn read(&self) -> Result<Tx, sqlx::Error> {
        self.database.read().await
    }

    pub(super) async fn close(&self) {
        self.database.close().await;
    }

    /// The user with this token.
    pub(super) async fn user(&self, token_hash: &str) -> Result<Option<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT id FROM users WHERE token_hash = ?")
            .bind(token_hash)
            .fetch_optional(&self.database.readers)
            .await
    }

    /// The key with this prefix and secret, revoked or not. Several keys may have one prefix.
    pub(super) async fn key(
        &self,
        prefix: &str,
        secret_hash: &str,
    ) -> Result<Option<Key>, sqlx::Error> {
        let statement = "SELECT id, prefix FROM api_keys WHERE prefix = ? AND secret_hash = ?";
        let row = sqlx::query(statement)
            .bind(prefix)
            .bind(secret_hash)
            .fetch_optional(&self.database.readers)
            .await?;
        let key = |row: SqliteRow| {
            Ok(Key {
                id: row.try_get("id")?,
                prefix: row.try_get("prefix")?,
            })
        };
        row.map(key).transpose()
    }

    pub(super) async fn key_is_active(&self, id: &str) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT is_active = 1 FROM api_keys WHERE id = ?")
            .bind(id)
            .fetch_one(&self.database.readers)
            .await
    }

    /// The newest active session of a key: the only one, unless something slipped.
    pub(super) async fn active_session(&self, key: &str) -> Result<Option<Active>, sqlx::Error> {
        let statement = "SELECT id, model FROM sessions WHERE api_key_id = ? AND is_active = 1
                         ORDER BY position DESC LIMIT 1";
        let row = sqlx::query(statement)
            .bind(key)
            .fetch_optional(&self.database.readers)
            .await?;
        row.map(active).transpose()
    }

    /// An active session by its id, of this key or, without one, of any.
    pub(super) async fn session(
        &self,
        id: &str,
        key: Option<&str>,
    ) -> Result<Option<Active>, sqlx::Error> {
        let statement = "SELECT id, model FROM sessions
                         WHERE id = ? AND is_active = 1 AND api_key_id = COALESCE(?, api_key_id)";
        let row = sqlx::query(statement)
            .bind(id)
            .bind(key)
            .fetch_optional(&self.database.readers)
            .await?;
        row.map(active).transpose()
    }

    /// The active sessions, oldest first: their ids, keys and models.
    pub(super) async fn active_sessions(
        &self,
    ) -> Result<Vec<(String, String, String)>, sqlx::Error> {
        let statement =
            "SELECT id, api_key_id, model FROM sessions WHERE is_active = 1 ORDER BY position";
        sqlx::query_as(statement)
            .fetch_all(&self.database.readers)
            .await
    }

    pub(super) async fn add_session(
        &self,
        id: &str,
        key: &str,
        model: &str,
    ) -> Result<(), Refusal> {
        let mut tx = self.write().await?;
        sqlx::query("INSERT INTO sessions (id, api_key_id, model) VALUES (?, ?, ?)")
            .bind(id)
            .bind(key)
            .bind(model)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn count_chat(&self, session: &str) -> Result<(), Refusal> {
        self.change(
            "UPDATE sessions SET chats = chats + 1 WHERE id = ?",
            session,
        )
        .await
    }

    pub(super) async fn deactivate_session(&self, id: &str) -> Result<(), Refusal> {
        self.change("UPDATE sessions SET is_active = 0 WHERE id = ?", id)
            .await
    }

    pub(super) async fn deactivate_sessions(&self, key: &str) -> Result<(), Refusal> {
        self.change(
            "UPDATE sessions SET is_active = 0 WHERE api_key_id = ?",
            key,
        )
        .await
    }

    pub(super) async fn revoke_key(&self, id: &str) -> Result<(), Refusal> {
        self.change("UPDATE api_keys SET is_active = 0 WHERE id = ?", id)
            .await
    }

    /// A change by id, in a transaction of its own.
    async fn change(&self, statement: &'static str, id: &str) -> Result<(), Refusal> {
        let mut tx = self.write().await?;
        sqlx::query(statement).bind(id).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}

fn active(row: SqliteRow) -> Result<Active, sqlx::Error> {
    Ok(Active {
        id: row.try_get("id")?,
        model: row.try_get("model")?,
    })
}

pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
