//! The database behind the API. SQLite for now; everything goes through sqlx's `Any` driver with `$n` parameters and
//! portable SQL, so that PostgreSQL can come here (a pool, and a lock in `write`) without rewriting the queries.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{Any, AnyPool, Row, Transaction};

use super::bugs::Bugs;
use super::errors::Refusal;
use super::schema;

/// A transaction, of either kind. Dropped without a commit, it is rolled back: also when a client hangs up.
pub(super) type Tx = Transaction<'static, Any>;

/// SQLite reads never wait for the writer (WAL), but each needs a connection of its own.
const READERS: u32 = 4;
const PATIENCE: Duration = Duration::from_secs(30);

/// How much a commit survives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// The process: the database is thrown away with the server.
    Process,
    /// The machine, short of its last moments.
    Machine,
}

pub(super) struct Store {
    /// One connection: SQLite has one writer anyway, and queueing here keeps "database is locked" out of reach.
    writer: AnyPool,
    readers: AnyPool,
}

impl Store {
    /// Opens the database at `url` and creates the tables that are missing.
    pub(super) async fn open(
        url: &str,
        durability: Durability,
        bugs: Bugs,
    ) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let writer = pool(1, durability).connect(url).await?;
        let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
        schema::create(&mut tx, bugs).await?;
        tx.commit().await?;
        let readers = pool(READERS, durability).connect(url).await?;
        Ok(Self { writer, readers })
    }

    /// A transaction that may write. It has the database for itself from here on, so what its checks saw still
    /// holds when it writes.
    pub(super) async fn write(&self) -> Result<Tx, sqlx::Error> {
        self.writer.begin_with("BEGIN IMMEDIATE").await
    }

    /// A transaction that reads one state of the database, however many queries it makes.
    pub(super) async fn snapshot(&self) -> Result<Tx, sqlx::Error> {
        self.readers.begin().await
    }

    /// For a single query that only reads.
    pub(super) fn readers(&self) -> &AnyPool {
        &self.readers
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn pool(connections: u32, durability: Durability) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        // The connections are to a file of ours: a ping before each use would only cost.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                // First of all, so that the others wait for another process instead of failing.
                sqlx::query("PRAGMA busy_timeout = 30000")
                    .execute(&mut *connection)
                    .await?;
                sqlx::query("PRAGMA journal_mode = WAL")
                    .execute(&mut *connection)
                    .await?;
                sqlx::query(match durability {
                    Durability::Process => "PRAGMA synchronous = OFF",
                    Durability::Machine => "PRAGMA synchronous = NORMAL",
                })
                .execute(&mut *connection)
                .await?;
                sqlx::query("PRAGMA foreign_keys = ON")
                    .execute(&mut *connection)
                    .await?;
                Ok(())
            })
        })
}

/// Documents and flags, which SQL types do not carry portably.
pub(super) trait Columns {
    /// A JSON document stored as text; null when the column is.
    fn document(&self, column: &str) -> Result<Value, Refusal>;
    /// A flag stored as 0 or 1.
    fn flag(&self, column: &str) -> Result<bool, sqlx::Error>;
}

impl Columns for AnyRow {
    fn document(&self, column: &str) -> Result<Value, Refusal> {
        match self.try_get::<Option<String>, _>(column)? {
            Some(text) => Ok(serde_json::from_str(&text)?),
            None => Ok(Value::Null),
        }
    }

    fn flag(&self, column: &str) -> Result<bool, sqlx::Error> {
        Ok(self.try_get::<i64, _>(column)? != 0)
    }
}

/// The time as it is stored and shown: UTC, microseconds, fixed width, so that text order is time order. Strictly
/// increasing within a process, so that lists have one order and "after the vote" is never a tie.
pub(super) fn now() -> String {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let clock = Utc::now().timestamp_micros();
    let last = LAST
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            Some(clock.max(last + 1))
        })
        // The closure always says `Some`; both arms are the value before it.
        .unwrap_or_else(|last| last);
    timestamp(DateTime::from_timestamp_micros(clock.max(last + 1)).unwrap_or_default())
}

/// A time in the form of [`now`].
pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, false)
}

pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::now;

    #[test]
    fn times_increase_and_have_one_width() {
        let times: Vec<String> = (0..100).map(|_| now()).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(times.iter().all(|time| time.len() == times[0].len()));
    }
}
