//! One actor an agent: loaded at its first call and kept, with a lock that makes calls to it one after the other.
//! A write goes to the database and then to the memory; `lazy_persist` and `delete_in_two_steps` turn that round.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::errors::Refusal;
use super::keys::Record;
use super::service::Service;
use super::slips::Slip;
use super::state::ActorState;
use super::store;

/// How long an actor with unstored changes is left alone before they are stored.
const IDLE: Duration = Duration::from_millis(200);

type Slot = Arc<AsyncMutex<Actor>>;

/// An actor, held for a call.
pub(super) type Seat = OwnedMutexGuard<Actor>;

enum Life {
    /// Not loaded.
    Asleep,
    Active(Box<ActorState>),
    /// Deleted, or never created. Ids are made once, so it stays so.
    Gone,
}

pub(super) struct Actor {
    id: String,
    life: Life,
    /// What the database does not have yet, with `lazy_persist` or `delete_in_two_steps`.
    unstored: Option<Unstored>,
    last_call: Instant,
}

#[derive(Default)]
struct Unstored {
    keys: Vec<Record>,
}

impl Actor {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            life: Life::Asleep,
            unstored: None,
            last_call: Instant::now(),
        }
    }

    /// What it knows, or 404.
    pub(super) fn state(&self) -> Result<&ActorState, Refusal> {
        match &self.life {
            Life::Active(state) => Ok(state),
            Life::Asleep | Life::Gone => Err(Refusal::absent("agent")),
        }
    }

    /// Takes over what the database has by now.
    pub(super) fn update(&mut self, state: ActorState) {
        self.life = Life::Active(Box::new(state));
    }
}

/// The actors in memory.
#[derive(Default)]
pub(super) struct Actors(Mutex<HashMap<String, Slot>>);

impl Actors {
    fn slots(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, id: &str) -> Slot {
        let mut slots = self.slots();
        if let Some(slot) = slots.get(id) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(AsyncMutex::new(Actor::new(id)));
        slots.insert(id.to_owned(), Arc::clone(&slot));
        slot
    }

    /// Those that are there. New ones may come while they are looked at.
    pub(super) fn ids(&self) -> Vec<String> {
        self.slots().keys().cloned().collect()
    }

    /// Only for an actor that is gone for good: a slot whose actor may come back must stay the only one of its id.
    fn forget(&self, id: &str) {
        self.slots().remove(id);
    }
}

impl Service {
    /// The seat of an agent that is about to be created.
    pub(super) async fn new_seat(&self, id: &str) -> Seat {
        self.actors.slot(id).lock_owned().await
    }

    /// The agent's actor for a call, loaded. Whether there is such an agent, its state says.
    pub(super) async fn call(&self, id: &str) -> Result<Seat, Refusal> {
        let mut seat = self.look(id).await?;
        if let Life::Active(_) = seat.life {
            seat.last_call = Instant::now();
        }
        Ok(seat)
    }

    /// Like [`Service::call`], but does not keep the actor from being idle.
    pub(super) async fn look(&self, id: &str) -> Result<Seat, Refusal> {
        let mut seat = self.actors.slot(id).lock_owned().await;
        if let Life::Asleep = seat.life {
            let copies = self.slips.has(Slip::StaleCopy);
            match self.store.load(id, copies).await? {
                Some(state) => seat.update(state),
                None => {
                    seat.life = Life::Gone;
                    self.actors.forget(id);
                }
            }
        }
        Ok(seat)
    }

    /// Stores what an agent has become, with the key of the request that changed it, and then takes it to memory.
    pub(super) async fn save(
        self: &Arc<Self>,
        seat: &mut Seat,
        next: ActorState,
        record: Option<Record>,
    ) -> Result<(), Refusal> {
        if self.slips.has(Slip::LazyPersist) {
            seat.update(next);
            self.store_later(seat, record);
            return Ok(());
        }
        let stored = async {
            let mut tx = self.store.write().await?;
            store::put_actor(&mut tx, &next).await?;
            store::rename(&mut tx, &next.agent.id, &next.agent.name).await?;
            self.remember(&mut tx, record.as_ref()).await?;
            Ok(tx.commit().await?)
        };
        if let Err(error) = stored.await {
            // A commit that failed may still have been one: the next call reads what the database has.
            seat.life = Life::Asleep;
            return Err(error);
        }
        seat.update(next);
        self.remembered(record);
        Ok(())
    }

    /// Deletes an agent from the database, and then from memory. With `two_stores`, its registry row stays for now.
    pub(super) async fn remove(self: &Arc<Self>, seat: &mut Seat) -> Result<(), Refusal> {
        if self.slips.any(&[Slip::LazyPersist, Slip::DeleteInTwoSteps]) {
            seat.life = Life::Gone;
            self.store_later(seat, None);
            return Ok(());
        }
        let id = seat.id.clone();
        let stored = async {
            let mut tx = self.store.write().await?;
            store::delete_actor(&mut tx, &id).await?;
            if !self.slips.has(Slip::TwoStores) {
                store::unregister(&mut tx, &id).await?;
            }
            Ok(tx.commit().await?)
        };
        if let Err(error) = stored.await {
            seat.life = Life::Asleep;
            return Err(error);
        }
        seat.life = Life::Gone;
        self.actors.forget(&id);
        Ok(())
    }

    /// Leaves a change to be stored when the actor has been idle.
    pub(super) fn store_later(self: &Arc<Self>, seat: &mut Seat, record: Option<Record>) {
        if let Some(record) = &record {
            self.keys.keep(record.clone());
        }
        let scheduled = seat.unstored.is_some();
        let unstored = seat.unstored.get_or_insert_default();
        unstored.keys.extend(record);
        seat.last_call = Instant::now();
        if !scheduled {
            let slot = Arc::clone(OwnedMutexGuard::mutex(seat));
            tokio::spawn(Arc::clone(self).store_when_idle(slot, seat.last_call));
        }
    }

    async fn store_when_idle(self: Arc<Self>, slot: Slot, mut last_call: Instant) {
        while !self.store.is_closed() {
            tokio::time::sleep_until(last_call + IDLE).await;
            let _write = self.begin_write().await;
            let mut seat = Arc::clone(&slot).lock_owned().await;
            if seat.last_call + IDLE <= Instant::now() {
                if self.deactivate(&mut seat).await.is_ok() {
                    return;
                }
                // The database may be back later.
                seat.last_call = Instant::now();
            }
            last_call = seat.last_call;
        }
    }

    /// Stores what the database does not have yet.
    async fn deactivate(&self, seat: &mut Seat) -> Result<(), Refusal> {
        let Some(unstored) = &seat.unstored else {
            return Ok(());
        };
        let mut tx = self.store.write().await?;
        match &seat.life {
            Life::Active(state) => {
                store::put_actor(&mut tx, state).await?;
                store::register(&mut tx, state).await?;
            }
            Life::Gone => {
                store::delete_actor(&mut tx, &seat.id).await?;
                store::unregister(&mut tx, &seat.id).await?;
            }
            Life::Asleep => {}
        }
        if !self.slips.has(Slip::KeyInMemory) {
            for record in &unstored.keys {
                store::remember(&mut tx, record).await?;
            }
        }
        tx.commit().await?;
        seat.unstored = None;
        if let Life::Gone = seat.life {
            self.actors.forget(&seat.id);
        } else {
            seat.life = Life::Asleep;
        }
        Ok(())
    }

    /// Deactivates every actor, for a graceful stop.
    pub(super) async fn deactivate_all(&self) -> Result<(), Refusal> {
        let _all = self.between_writes().await;
        for id in self.actors.ids() {
            let mut seat = self.actors.slot(&id).lock_owned().await;
            if self.slips.has(Slip::StaleCopy)
                && let Life::Active(state) = &seat.life
            {
                let mut tx = self.store.write().await?;
                store::put_copy(&mut tx, state).await?;
                tx.commit().await?;
            }
            self.deactivate(&mut seat).await?;
        }
        Ok(())
    }
}
