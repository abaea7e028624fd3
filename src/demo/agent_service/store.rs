//! The SQLite file: the actors' documents, the registry that the list goes by, and the idempotency keys.

use std::path::Path;

use serde_json::from_str;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::errors::Refusal;
use super::keys::Record;
use super::list::{Item, Page, Query, Remnant};
use super::state::{ActorState, Shown};
use crate::demo::sqlite::Database;

pub(super) use crate::demo::sqlite::Tx;

const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS actors (id TEXT PRIMARY KEY, state_json TEXT NOT NULL)",
    // Written by `stale_copy` only.
    "CREATE TABLE IF NOT EXISTS agent_state (id TEXT PRIMARY KEY, state_json TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS registry (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, created_at TEXT NOT NULL, position INTEGER NOT NULL UNIQUE)",
    "CREATE INDEX IF NOT EXISTS registry_by_name ON registry (name, position)",
    "CREATE TABLE IF NOT EXISTS idempotency (
        key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL)",
];

pub(super) struct Store {
    database: Database,
}

/// What the registry knows of an agent.
pub(super) struct Registered {
    pub id: String,
    pub position: i64,
    pub remnant: Remnant,
}

impl Store {
    /// Opens the file and creates the tables that are missing.
    pub(super) async fn open(file: &Path) -> Result<Self, sqlx::Error> {
        Ok(Self {
            database: Database::open(file, TABLES).await?,
        })
    }

    /// A transaction that has the database for itself: what is read and counted in it holds until its commit.
    pub(super) async fn write(&self) -> Result<Tx, sqlx::Error> {
        self.database.write().await
    }

    pub(super) async fn close(&self) {
        self.database.close().await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.database.is_closed()
    }

    /// An actor's document; with `copies`, the copy of it that the last graceful stop made, if there is one.
    pub(super) async fn load(&self, id: &str, copies: bool) -> Result<Option<ActorState>, Refusal> {
        let statement = if copies {
            "SELECT COALESCE(agent_state.state_json, actors.state_json)
             FROM actors LEFT JOIN agent_state ON agent_state.id = actors.id WHERE actors.id = ?"
        } else {
            "SELECT state_json FROM actors WHERE id = ?"
        };
        let stored: Option<String> = sqlx::query_scalar(statement)
            .bind(id)
            .fetch_optional(&self.database.readers)
            .await?;
        Ok(stored.map(|text| from_str(&text)).transpose()?)
    }

    pub(super) async fn recall(&self, key: &str) -> Result<Option<Record>, Refusal> {
        let statement = "SELECT fingerprint, status, body FROM idempotency WHERE key = ?";
        let row = sqlx::query(statement)
            .bind(key)
            .fetch_optional(&self.database.readers)
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        Ok(Some(Record {
            key: key.to_owned(),
            fingerprint: row.try_get("fingerprint")?,
            status: row.try_get("status")?,
            body: row.try_get("body")?,
        }))
    }

    pub(super) async fn last_position(&self) -> Result<i64, sqlx::Error> {
        let statement = "SELECT COALESCE(MAX(position), 0) FROM registry";
        sqlx::query_scalar(statement)
            .fetch_one(&self.database.readers)
            .await
    }

    /// A page of the list, and the total, out of one state of the database.
    pub(super) async fn page(&self, query: &Query) -> Result<Page, Refusal> {
        let mut tx = self.database.read().await?;
        let after: Option<i64> = sqlx::query_scalar("SELECT position FROM registry WHERE id = ?")
            .bind(&query.cursor)
            .fetch_optional(&mut *tx)
            .await?;
        let (total, rows) = match &query.name {
            None => {
                let total = sqlx::query_scalar("SELECT COUNT(*) FROM registry");
                let rows = sqlx::query(
                    "SELECT registry.*, state_json FROM registry LEFT JOIN actors USING (id)
                     WHERE position > ? ORDER BY position LIMIT ?",
                );
                (total, rows.bind(after.unwrap_or(i64::MIN)))
            }
            Some(name) => {
                let total = sqlx::query_scalar("SELECT COUNT(*) FROM registry WHERE name = ?");
                let rows = sqlx::query(
                    "SELECT registry.*, state_json FROM registry LEFT JOIN actors USING (id)
                     WHERE position > ? AND name = ? ORDER BY position LIMIT ?",
                );
                (
                    total.bind(name),
                    rows.bind(after.unwrap_or(i64::MIN)).bind(name),
                )
            }
        };
        let total: i64 = total.fetch_one(&mut *tx).await?;
        // A negative limit is none to SQLite.
        let limit = query.limit.map_or(-1, i64::from);
        let rows = rows.bind(limit).fetch_all(&mut *tx).await?;
        Ok(Page {
            items: rows.iter().map(item).collect::<Result<_, Refusal>>()?,
            total: usize::try_from(total).unwrap_or_default(),
        })
    }

    /// The whole registry, in order.
    pub(super) async fn registry(&self) -> Result<Vec<Registered>, Refusal> {
        let rows = sqlx::query("SELECT * FROM registry ORDER BY position")
            .fetch_all(&self.database.readers)
            .await?;
        let registered = |row: &SqliteRow| {
            Ok(Registered {
                id: row.try_get("id")?,
                position: row.try_get("position")?,
                remnant: remnant(row)?,
            })
        };
        rows.iter().map(registered).collect()
    }
}

fn item(row: &SqliteRow) -> Result<Item, Refusal> {
    match row.try_get::<Option<&str>, _>("state_json")? {
        Some(text) => Ok(Item::Agent(from_str::<Shown>(text)?.agent)),
        None => Ok(Item::Remnant(remnant(row)?)),
    }
}

fn remnant(row: &SqliteRow) -> Result<Remnant, Refusal> {
    let (id, name) = (row.try_get("id")?, row.try_get("name")?);
    Ok(Remnant::new(id, name, row.try_get("created_at")?))
}

pub(super) async fn put_actor(tx: &mut Tx, state: &ActorState) -> Result<(), Refusal> {
    let statement = "INSERT OR REPLACE INTO actors (id, state_json) VALUES (?, ?)";
    sqlx::query(statement)
        .bind(&state.agent.id)
        .bind(serde_json::to_string(state)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The second copy, for `stale_copy`.
pub(super) async fn put_copy(tx: &mut Tx, state: &ActorState) -> Result<(), Refusal> {
    let statement = "INSERT OR REPLACE INTO agent_state (id, state_json) VALUES (?, ?)";
    sqlx::query(statement)
        .bind(&state.agent.id)
        .bind(serde_json::to_string(state)?)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn register(tx: &mut Tx, state: &ActorState) -> Result<(), Refusal> {
    let statement =
        "INSERT OR REPLACE INTO registry (id, name, created_at, position) VALUES (?, ?, ?, ?)";
    sqlx::query(statement)
        .bind(&state.agent.id)
        .bind(&state.agent.name)
        .bind(&state.agent.created_at)
        .bind(state.position)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn rename(tx: &mut Tx, id: &str, name: &str) -> Result<(), Refusal> {
    let statement = "UPDATE registry SET name = ? WHERE id = ? AND name <> ?";
    sqlx::query(statement)
        .bind(name)
        .bind(id)
        .bind(name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

pub(super) async fn delete_actor(tx: &mut Tx, id: &str) -> Result<(), Refusal> {
    for statement in [
        "DELETE FROM actors WHERE id = ?",
        "DELETE FROM agent_state WHERE id = ?",
    ] {
        sqlx::query(statement).bind(id).execute(&mut **tx).await?;
    }
    Ok(())
}

pub(super) async fn unregister(tx: &mut Tx, id: &str) -> Result<(), Refusal> {
    let statement = "DELETE FROM registry WHERE id = ?";
    sqlx::query(statement).bind(id).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn remember(tx: &mut Tx, record: &Record) -> Result<(), Refusal> {
    let statement = "INSERT INTO idempotency (key, fingerprint, status, body) VALUES (?, ?, ?, ?)";
    sqlx::query(statement)
        .bind(&record.key)
        .bind(&record.fingerprint)
        .bind(record.status)
        .bind(&record.body)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
