//! What every handler shares: the database, the actors and the clock, and how a write is finished.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::{Mutex as AsyncMutex, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::actors::Actors;
use super::errors::Refusal;
use super::keys::Keys;
use super::list::Item;
use super::slips::Slips;
use super::store::Store;

/// How long a call to another actor or store takes, where a slip makes one.
const HOP: Duration = Duration::from_millis(5);

pub(super) type App = Arc<Service>;

pub(super) struct Service {
    pub store: Store,
    pub slips: Slips,
    pub actors: Actors,
    pub keys: Keys,
    /// The list, with `list_from_cache`, once it was asked for or an agent was created.
    pub cache: AsyncMutex<Option<Vec<Item>>>,
    /// Held shared by every write, and alone by what must see none half done.
    writes: Arc<RwLock<()>>,
    /// The last tick, in microseconds since 1970.
    clock: Mutex<i64>,
}

impl Service {
    pub(super) async fn new(store: Store, slips: Slips) -> Result<Self, sqlx::Error> {
        let last = store.last_position().await?;
        Ok(Self {
            store,
            slips,
            actors: Actors::default(),
            keys: Keys::default(),
            cache: AsyncMutex::default(),
            writes: Arc::default(),
            clock: Mutex::new(last),
        })
    }

    /// The time in microseconds, strictly increasing: also the position in the list of what is created then. It goes on
    /// from the positions in the database, whatever became of the clock of the machine.
    pub(super) fn tick(&self) -> i64 {
        let mut last = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Utc::now().timestamp_micros().max(*last + 1);
        *last
    }

    pub(super) fn now(&self) -> String {
        timestamp(self.tick())
    }

    pub(super) async fn begin_write(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.writes).read_owned().await
    }

    /// Waits for the writes under way, and keeps others waiting.
    pub(super) async fn between_writes(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.writes).write_owned().await
    }
}

/// RFC 3339 in UTC, of one width.
pub(super) fn timestamp(tick: i64) -> String {
    let time = DateTime::from_timestamp_micros(tick).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Does work to its end in a task of its own: the handler's own future is dropped when the client hangs up.
pub(super) async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(work).await?
}

pub(super) async fn hop() {
    tokio::time::sleep(HOP).await;
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn times_have_microseconds_and_one_width() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(
            timestamp(1_768_404_844_000_001),
            "2026-01-14T15:34:04.000001Z"
        );
    }
}
