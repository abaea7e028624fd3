//! What every handler shares: the database and the switches, how work is finished, and how keys are shown.

use std::future::Future;
use std::sync::Arc;

use chrono::{SecondsFormat, Utc};
use tokio::sync::Mutex;

use super::errors::Refusal;
use super::slips::{Slip, Slips};
use crate::demo::sqlite::Database;

/// Keys longer than this are shown by their first eight characters and their last four.
const SHOWN_IN_PART: usize = 12;

pub(super) const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS pools (id TEXT PRIMARY KEY, admin_key TEXT NOT NULL UNIQUE)",
    // Every id that was ever given.
    "CREATE TABLE IF NOT EXISTS ids (pool TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (pool, id))",
    "CREATE TABLE IF NOT EXISTS keys (
        pool TEXT NOT NULL, id TEXT NOT NULL, api_key TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'healthy',
        requests_count INTEGER NOT NULL DEFAULT 0, last_turn INTEGER NOT NULL DEFAULT 0, replaced_key TEXT,
        created_at TEXT NOT NULL, PRIMARY KEY (pool, id))",
    "CREATE TABLE IF NOT EXISTS backups (
        pool TEXT NOT NULL, id TEXT NOT NULL, api_key TEXT NOT NULL, is_used INTEGER NOT NULL DEFAULT 0,
        used_for TEXT, used_at TEXT, created_at TEXT NOT NULL, PRIMARY KEY (pool, id))",
    "CREATE TABLE IF NOT EXISTS bindings (
        pool TEXT NOT NULL, proxy_id TEXT NOT NULL, key_id TEXT NOT NULL, priority INTEGER NOT NULL,
        PRIMARY KEY (pool, proxy_id))",
    "CREATE TABLE IF NOT EXISTS history (
        pool TEXT NOT NULL, key_id TEXT NOT NULL, reason TEXT NOT NULL, new_key_id TEXT NOT NULL, at TEXT NOT NULL)",
    "CREATE INDEX IF NOT EXISTS history_by_key ON history (pool, key_id)",
];

pub(super) type App = Arc<Service>;

pub(super) struct Service {
    pub database: Database,
    pub slips: Slips,
    /// Held by a rotation that commits between its steps, so that only a crash comes between them.
    pub rotations: Mutex<()>,
}

impl Service {
    pub(super) fn new(database: Database, slips: Slips) -> Self {
        Self {
            database,
            slips,
            rotations: Mutex::default(),
        }
    }

    /// How lists show a key.
    pub(super) fn masked(&self, api_key: &str) -> String {
        let characters: Vec<char> = api_key.chars().collect();
        if characters.len() > SHOWN_IN_PART {
            let first: String = characters[..8].iter().collect();
            let last: String = characters[characters.len() - 4..].iter().collect();
            return format!("{first}...{last}");
        }
        match self.slips.has(Slip::WholeKeyShown) {
            true => api_key.to_owned(),
            false => "...".to_owned(),
        }
    }
}

pub(super) fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Does work to its end in a task of its own: the handler's own future is dropped when the client hangs up.
pub(super) async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(work).await?
}
