//! The files of the users, one each: opened when they are first needed, and kept open for a while.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::service::BETWEEN;
use super::slips::{Slip, Slips};
use crate::demo::sqlite::Database;

/// So many are kept open, and more only while all of them are in use. Each takes threads and file descriptors.
const KEPT_OPEN: usize = 32;

const TABLES: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS provider_keys (provider TEXT NOT NULL, sealed BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS contents (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, content_type TEXT NOT NULL, body TEXT NOT NULL,
        is_deleted INTEGER NOT NULL DEFAULT 0)",
    "CREATE UNIQUE INDEX IF NOT EXISTS one_live_content_of_a_name ON contents (name, content_type)
        WHERE NOT is_deleted",
    "CREATE TABLE IF NOT EXISTS runs (id TEXT PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS events (
        run_id TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, PRIMARY KEY (run_id, seq))",
];
const ONE_KEY_A_PROVIDER: &str =
    "CREATE UNIQUE INDEX IF NOT EXISTS one_key_a_provider ON provider_keys (provider)";

struct Engine {
    name: String,
    database: Arc<Database>,
}

pub(super) struct Engines {
    directory: PathBuf,
    slips: Slips,
    /// Those that are open; the one that was used last is the last.
    open: Mutex<Vec<Engine>>,
}

impl Engines {
    pub(super) fn new(directory: PathBuf, slips: Slips) -> Self {
        Self {
            directory,
            slips,
            open: Mutex::default(),
        }
    }

    /// The database of a user. Whoever opens or closes one does so while nobody else looks, so that each is opened once.
    pub(super) async fn of(&self, user: &str) -> Result<Arc<Database>, sqlx::Error> {
        let name = match self.slips.has(Slip::SharedDb) {
            true => "shared",
            false => user,
        };
        let mut open = self.open.lock().await;
        if let Some(at) = open.iter().position(|engine| engine.name == name) {
            let engine = open.remove(at);
            let database = engine.database.clone();
            open.push(engine);
            return Ok(database);
        }
        if open.len() >= KEPT_OPEN {
            let idle = |engine: &Engine| Arc::strong_count(&engine.database) == 1;
            if let Some(at) = open.iter().position(idle) {
                open.remove(at).database.close().await;
            }
        }
        let file = self.directory.join(format!("user_{name}.sqlite"));
        let database = Arc::new(Database::connect(&file).await?);
        let engine = Engine {
            name: name.to_owned(),
            database: database.clone(),
        };
        if self.slips.has(Slip::EngineBeforeTables) {
            open.push(engine);
            drop(open);
            tokio::time::sleep(BETWEEN).await;
            self.create_tables(&database).await?;
        } else {
            self.create_tables(&database).await?;
            open.push(engine);
        }
        Ok(database)
    }

    async fn create_tables(&self, database: &Database) -> Result<(), sqlx::Error> {
        let index: &[&'static str] = match self.slips.has(Slip::UpsertRace) {
            true => &[],
            false => &[ONE_KEY_A_PROVIDER],
        };
        database.create(&[TABLES, index].concat()).await
    }

    pub(super) async fn close(&self) {
        for engine in self.open.lock().await.drain(..) {
            engine.database.close().await;
        }
    }
}
