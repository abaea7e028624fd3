//! Idempotency keys: the first successful POST with a key is remembered with its answer, and the same request with the
//! same key is answered from that. Refusals are not remembered.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::http::{HeaderMap, Method, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedRwLockReadGuard};

use super::errors::{Refusal, Reply};
use super::service::Service;
use super::slips::{Slip, Slips};
use super::store::{self, Tx};

const LONGEST_KEY: usize = 255;

/// What a request says about its key.
#[derive(Debug)]
pub(super) struct Claim {
    key: String,
    /// SHA-256 of method, path and body.
    fingerprint: String,
}

impl Claim {
    /// From the `Idempotency-Key` header, if there is one.
    pub(super) fn read(
        headers: &HeaderMap,
        method: &Method,
        path: &str,
        body: &[u8],
    ) -> Result<Option<Self>, Refusal> {
        let Some(key) = headers.get("idempotency-key") else {
            return Ok(None);
        };
        let bytes = key.as_bytes();
        let visible = bytes.iter().all(u8::is_ascii_graphic);
        match key.to_str() {
            Ok(key) if visible && (1..=LONGEST_KEY).contains(&key.len()) => Ok(Some(Self {
                key: key.to_owned(),
                fingerprint: fingerprint(method, path, body),
            })),
            _ => Err(Refusal::bad(
                "Idempotency-Key must have 1 to 255 visible ASCII characters",
            )),
        }
    }
}

fn fingerprint(method: &Method, path: &str, body: &[u8]) -> String {
    let mut digest = Sha256::new();
    // Neither a method nor a path has a line break in it, so no two requests run together to one text.
    for part in [method.as_str().as_bytes(), path.as_bytes()] {
        digest.update(part);
        digest.update(b"\n");
    }
    digest.update(body);
    digest
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// A key that is taken, and the answer that goes with it.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub key: String,
    pub fingerprint: String,
    pub status: u16,
    pub body: String,
}

/// The keys that are in use right now, and those that only the memory knows (`key_in_memory`, `lazy_persist`).
#[derive(Default)]
pub(super) struct Keys {
    turns: Mutex<HashMap<String, Weak<AsyncMutex<()>>>>,
    unstored: Mutex<HashMap<String, Record>>,
}

impl Keys {
    /// Waits until no other request with this key is under way.
    async fn turn(&self, key: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = locked(&self.turns);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let under_way = turns.get(key).and_then(Weak::upgrade);
            under_way.unwrap_or_else(|| {
                let turn = Arc::default();
                turns.insert(key.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    fn recall(&self, key: &str) -> Option<Record> {
        locked(&self.unstored).get(key).cloned()
    }

    pub(super) fn keep(&self, record: Record) {
        locked(&self.unstored).insert(record.key.clone(), record);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to do a POST. It goes with the work into its task, so that the work of a client that hung up still keeps
/// a retry with the same key waiting.
pub(super) struct Turn {
    claim: Option<Claim>,
    _key: Option<OwnedMutexGuard<()>>,
    _write: OwnedRwLockReadGuard<()>,
}

impl Turn {
    /// What to remember with an effect that is answered like this.
    pub(super) fn record(&self, reply: &Reply) -> Option<Record> {
        self.claim.as_ref().map(|claim| Record {
            key: claim.key.clone(),
            fingerprint: claim.fingerprint.clone(),
            status: reply.status.as_u16(),
            body: reply.body.clone(),
        })
    }
}

/// Whether a POST is to be done.
pub(super) enum Once {
    First(Turn),
    Again(Reply),
}

impl Service {
    /// Begins a POST: finds the answer that its key already has, or reserves the key.
    pub(super) async fn begin(&self, claim: Option<Claim>) -> Result<Once, Refusal> {
        let write = self.begin_write().await;
        let mut turn = None;
        if let Some(claim) = &claim {
            turn = Some(self.keys.turn(&claim.key).await);
            let record = match self.keys.recall(&claim.key) {
                Some(record) => Some(record),
                None => self.store.recall(&claim.key).await?,
            };
            if let Some(record) = record {
                return again(self.slips, claim, record).map(Once::Again);
            }
        }
        Ok(Once::First(Turn {
            claim,
            _key: turn,
            _write: write,
        }))
    }

    /// Remembers a key in the transaction of its effect.
    pub(super) async fn remember(
        &self,
        tx: &mut Tx,
        record: Option<&Record>,
    ) -> Result<(), Refusal> {
        match record {
            // Kept once the effect is committed, by `remembered`.
            Some(_) if self.slips.has(Slip::KeyInMemory) => Ok(()),
            Some(record) => store::remember(tx, record).await,
            None => Ok(()),
        }
    }

    /// After the commit.
    pub(super) fn remembered(&self, record: Option<Record>) {
        if let Some(record) = record
            && self.slips.has(Slip::KeyInMemory)
        {
            self.keys.keep(record);
        }
    }
}

fn again(slips: Slips, claim: &Claim, record: Record) -> Result<Reply, Refusal> {
    let another = record.fingerprint != claim.fingerprint;
    if another && !slips.has(Slip::KeyOfAnything) {
        return Err(Refusal::unprocessable(
            "this Idempotency-Key was used for another request; use a new one",
        ));
    }
    let status = StatusCode::from_u16(record.status).unwrap_or(StatusCode::OK);
    Ok(Reply {
        status,
        body: record.body,
    })
}
