//! What every handler shares: the master database, the users' own, who may come in, and the switches.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{RwLock, Semaphore, watch};

use super::engines::Engines;
use super::errors::Refusal;
use super::sealing::Sealing;
use super::slips::Slips;
use crate::demo::locks::Locks;
use crate::demo::sqlite::Database;

/// How long it is between two steps that should be one, with a slip.
pub(super) const BETWEEN: Duration = Duration::from_millis(15);

/// How many websockets may be open at once.
const MOST_SOCKETS: usize = 256;

const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS users (
        id TEXT PRIMARY KEY, username TEXT NOT NULL UNIQUE, email TEXT UNIQUE)",
    "CREATE TABLE IF NOT EXISTS keys (
        id TEXT PRIMARY KEY, user_id TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, prefix TEXT NOT NULL,
        is_revoked INTEGER NOT NULL DEFAULT 0)",
    "CREATE INDEX IF NOT EXISTS keys_by_user ON keys (user_id)",
    "CREATE TABLE IF NOT EXISTS rate_limits (
        name TEXT PRIMARY KEY, max_concurrent INTEGER NOT NULL, min_delay_seconds REAL NOT NULL)",
];

pub(super) type App = Arc<Service>;

pub(super) struct Service {
    pub master: Database,
    pub engines: Engines,
    pub slips: Slips,
    sealing: Option<Sealing>,
    /// One a user: held shared by every request with a key of theirs, and alone by one that revokes a key.
    pub users: Locks<RwLock<()>>,
    /// Whose key it is, by the hash of the key. None of them is revoked.
    pub known: Mutex<HashMap<String, String>>,
    /// The same by the start of a key, with `engine_cache_by_prefix`.
    pub by_prefix: Mutex<HashMap<String, String>>,
    /// Changes with every event of a run.
    pub news: watch::Sender<()>,
    /// Closed when the server ends.
    pub stopped: watch::Receiver<()>,
    pub sockets: Arc<Semaphore>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while holding it left a map like any other.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    /// Opens the master database; the files of the users are beside it.
    pub(super) async fn open(
        file: &Path,
        slips: Slips,
        sealing: Option<Sealing>,
        stopped: watch::Receiver<()>,
    ) -> Result<Self, sqlx::Error> {
        let directory = file.parent().unwrap_or(Path::new(""));
        Ok(Self {
            master: Database::open(file, TABLES).await?,
            engines: Engines::new(directory.to_owned(), slips),
            slips,
            sealing,
            users: Locks::default(),
            known: Mutex::default(),
            by_prefix: Mutex::default(),
            news: watch::Sender::new(()),
            stopped,
            sockets: Arc::new(Semaphore::new(MOST_SOCKETS)),
        })
    }

    pub(super) fn sealing(&self) -> Result<&Sealing, Refusal> {
        self.sealing.as_ref().ok_or(Refusal::NoEncryptionKey)
    }

    pub(super) async fn close(&self) {
        self.engines.close().await;
        self.master.close().await;
    }
}

pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
