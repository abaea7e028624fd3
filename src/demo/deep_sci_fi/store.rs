//! The database behind the API: SQLite, or PostgreSQL. Everything goes through sqlx's `Any` driver with `$n` parameters
//! and portable SQL (`COUNT`, but no `SUM`: PostgreSQL answers that with a type which `Any` does not carry). The two
//! differ in how they are opened, and in how a write gets the database for itself.

use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{Any, AnyConnection, AnyPool, Connection, Row, Transaction};

use super::bugs::Bugs;
use super::database::{Database, Durability, Kind};
use super::errors::Refusal;
use super::schema;

/// A transaction, of either kind. Dropped without a commit, it is rolled back: also when a client hangs up.
pub(super) type Tx = Transaction<'static, Any>;

/// SQLite reads never wait for the writer (WAL), and PostgreSQL's for nobody, but each needs a connection of its own.
const READERS: u32 = 4;
/// SQLite has one writer anyway, and queueing for its connection keeps "database is locked" out of reach. Those of
/// PostgreSQL queue for [`WRITE_LOCK`], also with those of other servers on the same database.
const SQLITE_WRITERS: u32 = 1;
const POSTGRES_WRITERS: u32 = 4;
/// How long a request waits for a connection, and for its turn to write.
const PATIENCE: Duration = Duration::from_secs(30);
/// What lies between two transactions of a planted race, as it would with work to do or a database far away.
const MEANWHILE: Duration = Duration::from_millis(3);
/// How long a database may take to answer at all when the server starts.
const REACHED_WITHIN: Duration = Duration::from_secs(10);
/// The advisory lock of whoever writes to a PostgreSQL database: any number that nobody else takes. "gainsay", in ASCII.
const WRITE_LOCK: i64 = 0x67_61_69_6e_73_61_79;
/// The limits of a PostgreSQL session. Whatever waits ends, and no transaction stays open for good.
const POSTGRES_LIMITS: &str = "SELECT set_config('lock_timeout', '30s', false),
            set_config('statement_timeout', '60s', false),
            set_config('idle_in_transaction_session_timeout', '60s', false)";

pub(super) struct Store {
    kind: Kind,
    writers: AnyPool,
    readers: AnyPool,
}

impl Store {
    /// Opens the database and creates the tables that are missing.
    pub(super) async fn open(database: &Database, bugs: Bugs) -> Result<Self, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let Database { url, kind } = database;
        let writers = match kind {
            Kind::Sqlite(_) => SQLITE_WRITERS,
            Kind::Postgres => POSTGRES_WRITERS,
        };
        if *kind == Kind::Postgres {
            reach(url).await?;
        }
        let store = Self {
            kind: *kind,
            writers: pool(writers, *kind).connect(url).await?,
            readers: pool(READERS, *kind).connect(url).await?,
        };
        // Two servers may start on the same database at once: `IF NOT EXISTS` alone would not keep them apart.
        let mut tx = store.write().await?;
        schema::create(&mut tx, *kind, bugs).await?;
        tx.commit().await?;
        Ok(store)
    }

    /// A transaction that may write. It has the database for itself from here on, so what its checks saw still
    /// holds when it writes. This is all that keeps the sound server's rules under concurrent requests: in
    /// PostgreSQL, nothing below serialises, and a write that does not begin here races with the others.
    pub(super) async fn write(&self) -> Result<Tx, sqlx::Error> {
        match self.kind {
            Kind::Sqlite(_) => self.writers.begin_with("BEGIN IMMEDIATE").await,
            Kind::Postgres => {
                // Each statement sees what was committed before it: those after the lock, all that others wrote.
                let statement = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
                let mut tx = begun(&self.writers, statement).await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(WRITE_LOCK)
                    .execute(&mut *tx)
                    .await?;
                Ok(tx)
            }
        }
    }

    /// Ends a transaction half-way, with what it has done so far, and begins another: what was seen before it need not
    /// hold in it. All the planted races are made of this; the sound server never does it.
    pub(super) async fn let_go(&self, tx: Tx) -> Result<Tx, sqlx::Error> {
        tx.commit().await?;
        tokio::time::sleep(MEANWHILE).await;
        self.write().await
    }

    /// A transaction that reads one state of the database, however many queries it makes.
    pub(super) async fn snapshot(&self) -> Result<Tx, sqlx::Error> {
        match self.kind {
            Kind::Sqlite(_) => self.readers.begin().await,
            Kind::Postgres => {
                let statement = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                begun(&self.readers, statement).await
            }
        }
    }

    /// For a single query that only reads.
    pub(super) fn readers(&self) -> &AnyPool {
        &self.readers
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// One connection before there is a pool, which would knock until its patience ends where nobody listens.
async fn reach(url: &str) -> Result<(), sqlx::Error> {
    match tokio::time::timeout(REACHED_WITHIN, AnyConnection::connect(url)).await {
        Ok(connection) => connection?.close().await,
        Err(_) => Err(sqlx::Error::Io(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", REACHED_WITHIN.as_secs()),
        ))),
    }
}

/// A `BEGIN` that is finished even if the client hangs up meanwhile: cut short, sqlx's PostgreSQL driver would put the
/// connection back with the transaction open.
async fn begun(pool: &AnyPool, statement: &'static str) -> Result<Tx, sqlx::Error> {
    let pool = pool.clone();
    let begin = tokio::spawn(async move { pool.begin_with(statement).await });
    begin.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}

fn pool(connections: u32, kind: Kind) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        // Those to a file of ours do not break: a ping before each use would only cost.
        .test_before_acquire(kind == Kind::Postgres)
        .after_connect(move |connection, _| Box::pin(prepare(connection, kind)))
}

async fn prepare(connection: &mut AnyConnection, kind: Kind) -> Result<(), sqlx::Error> {
    let statements: &[&'static str] = match kind {
        Kind::Sqlite(durability) => &[
            // First of all, so that the others wait for another process instead of failing.
            "PRAGMA busy_timeout = 30000",
            "PRAGMA journal_mode = WAL",
            match durability {
                Durability::Process => "PRAGMA synchronous = OFF",
                Durability::Machine => "PRAGMA synchronous = NORMAL",
            },
            "PRAGMA foreign_keys = ON",
        ],
        Kind::Postgres => &[POSTGRES_LIMITS],
    };
    for statement in statements {
        sqlx::query(*statement).execute(&mut *connection).await?;
    }
    Ok(())
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
