//! What every handler shares, and how the session of a key is found, opened and closed.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedRwLockReadGuard, RwLock};
use tokio::time::sleep;

use super::credentials::Key;
use super::errors::Refusal;
use super::slips::{Slip, Slips};
use super::store::Store;
use super::upstream::{Reply, Upstream};
use crate::demo::locks::Locks;

/// With these, sessions are found and opened without the lock of their key.
const WITHOUT_LOCK: &[Slip] = &[Slip::NoKeyLock, Slip::NoUniqueIndex, Slip::LeakOnConflict];

/// How long the bill of a chat takes.
const BILL_TAKES: Duration = Duration::from_millis(3);

/// How much of a prompt `cache_by_prefix` looks at, in characters.
const CACHED_BY: usize = 16;

pub(super) type App = Arc<Gateway>;

pub(super) struct Gateway {
    pub store: Store,
    pub slips: Slips,
    pub upstream: Upstream,
    /// One a key: held while its sessions, or itself, are changed or looked at.
    keys: Locks<AsyncMutex<()>>,
    /// One a session: held shared by every chat in it, and alone by who closes it.
    sessions: Locks<RwLock<()>>,
    /// The reply of a session that waits for its bill, with `shared_slot`.
    slots: Mutex<HashMap<String, Reply>>,
    /// Echoes by the model and the start of the prompt, with `cache_by_prefix`.
    cache: Mutex<HashMap<(&'static str, String), String>>,
}

/// A session that is used: it is not closed before this is dropped.
pub(super) struct Seat {
    pub session: String,
    _held: OwnedRwLockReadGuard<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gateway {
    pub(super) fn new(store: Store, slips: Slips) -> Self {
        Self {
            store,
            slips,
            upstream: Upstream::default(),
            keys: Locks::default(),
            sessions: Locks::default(),
            slots: Mutex::default(),
            cache: Mutex::default(),
        }
    }

    /// Waits until no other request finds, opens or closes sessions of the key, nor revokes it.
    pub(super) async fn lock(&self, key: &str) -> OwnedMutexGuard<()> {
        self.keys.of(key).lock_owned().await
    }

    /// The same for what finds or opens a session.
    pub(super) async fn lock_to_find(&self, key: &Key) -> Option<OwnedMutexGuard<()>> {
        match self.slips.any(WITHOUT_LOCK) {
            true => None,
            false => Some(self.lock(&key.id).await),
        }
    }

    /// The session of the key for this model: the one that is active, or a new one in its place.
    pub(super) async fn find_or_open(
        &self,
        key: &Key,
        model: &'static str,
    ) -> Result<Seat, Refusal> {
        // Under the lock of the key, the first attempt succeeds.
        loop {
            if let Some(active) = self.store.active_session(&key.id).await? {
                if active.model == model {
                    match self.sit(&active.id, Some(key)).await? {
                        Some(seat) => return Ok(seat),
                        None => continue,
                    }
                }
                self.close(&active.id).await?;
            }
            if let Some(seat) = self.open(key, model).await? {
                return Ok(seat);
            }
        }
    }

    /// A seat in a session, of this key or, without one, of any. None, if it is not active.
    pub(super) async fn sit(
        &self,
        session: &str,
        key: Option<&Key>,
    ) -> Result<Option<Seat>, Refusal> {
        let seat = self.seat(session).await;
        let key = key.map(|key| key.id.as_str());
        let active = self.store.session(session, key).await?;
        Ok(active.map(|_| seat))
    }

    async fn seat(&self, session: &str) -> Seat {
        Seat {
            session: session.to_owned(),
            _held: self.sessions.of(session).read_owned().await,
        }
    }

    /// Opens a session, paid from now on, and makes it the active one of its key. None, if another became that first.
    async fn open(&self, key: &Key, model: &'static str) -> Result<Option<Seat>, Refusal> {
        self.store.deactivate_sessions(&key.id).await?;
        let session = self.upstream.open(&key.id, model).await;
        let seat = self.seat(&session).await;
        match self.store.add_session(&session, &key.id, model).await {
            Ok(()) => Ok(Some(seat)),
            Err(refusal) if refusal.is_conflict() && !self.slips.has(Slip::NoKeyLock) => {
                if !self.slips.has(Slip::LeakOnConflict) {
                    self.upstream.close(&session).await;
                }
                Ok(None)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Closes a session when its last chat is over.
    pub(super) async fn close(&self, session: &str) -> Result<(), Refusal> {
        let _alone = match self.slips.has(Slip::CloseInFlight) {
            true => None,
            false => Some(self.sessions.of(session).write_owned().await),
        };
        self.upstream.close(session).await;
        self.store.deactivate_session(session).await
    }

    /// Sends a prompt, and bills the reply.
    pub(super) async fn ask(&self, seat: &Seat, prompt: &str) -> Result<Reply, Refusal> {
        let mut reply = self.upstream.chat(&seat.session, prompt).await?;
        if self.slips.has(Slip::CacheByPrefix) {
            reply = self.cached(reply, prompt);
        }
        if !self.slips.has(Slip::SharedSlot) {
            self.bill(seat).await?;
            return Ok(reply);
        }
        locked(&self.slots).insert(seat.session.clone(), reply.clone());
        self.bill(seat).await?;
        let pending = locked(&self.slots).get(&seat.session).cloned();
        Ok(pending.unwrap_or(reply))
    }

    async fn bill(&self, seat: &Seat) -> Result<(), Refusal> {
        sleep(BILL_TAKES).await;
        self.store.count_chat(&seat.session).await
    }

    /// The same with the echo of an earlier prompt that begins alike, if there was one.
    fn cached(&self, reply: Reply, prompt: &str) -> Reply {
        let start = prompt.chars().take(CACHED_BY).collect();
        let mut cache = locked(&self.cache);
        let echo = cache.entry((reply.model, start)).or_insert(reply.echo);
        Reply {
            echo: echo.clone(),
            ..reply
        }
    }
}

/// Does work to its end in a task of its own: the handler's own future is dropped when the client hangs up.
pub(super) async fn finish<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::spawn(work).await?
}
