//! A SQLite file that several requests use at once: one writer, several readers, and what is committed survives the
//! process.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

/// Dropped without a commit, it is rolled back.
pub(super) type Tx = Transaction<'static, Sqlite>;

/// Reads never wait for the writer (WAL), but each needs a connection of its own.
const READERS: u32 = 4;
/// SQLite has one writer anyway, and queueing for its connection keeps "database is locked" out of reach.
const WRITERS: u32 = 1;
/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Database {
    writers: SqlitePool,
    pub(super) readers: SqlitePool,
}

impl Database {
    /// Opens the file, and creates it and the tables that are missing.
    pub(super) async fn open(file: &Path, tables: &[&'static str]) -> Result<Self, sqlx::Error> {
        let database = Self::connect(file).await?;
        database.create(tables).await?;
        Ok(database)
    }

    /// Opens the file, and creates it if it is missing.
    pub(super) async fn connect(file: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .busy_timeout(PATIENCE)
            .journal_mode(SqliteJournalMode::Wal)
            // What is committed survives the process; only a failure of power takes the last moments.
            .synchronous(SqliteSynchronous::Normal);
        Ok(Self {
            writers: pool(WRITERS).connect_with(options.clone()).await?,
            readers: pool(READERS).connect_with(options).await?,
        })
    }

    /// Makes the tables that are missing, all of them or none.
    pub(super) async fn create(&self, tables: &[&'static str]) -> Result<(), sqlx::Error> {
        let mut tx = self.write().await?;
        for table in tables {
            sqlx::query(*table).execute(&mut *tx).await?;
        }
        tx.commit().await
    }

    /// A transaction that has the database for itself: what is read and counted in it holds until its commit.
    pub(super) async fn write(&self) -> Result<Tx, sqlx::Error> {
        self.writers.begin_with("BEGIN IMMEDIATE").await
    }

    /// A transaction in which everything is read out of one state of the database.
    pub(super) async fn read(&self) -> Result<Tx, sqlx::Error> {
        self.readers.begin().await
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.writers.is_closed()
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        // Those to a file of ours do not break: a ping before each use would only cost.
        .test_before_acquire(false)
}
