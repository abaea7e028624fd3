//! Locks that go by a name, such as the id of a key: made when they are first needed, forgotten when nobody holds them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub(super) struct Locks<L>(Mutex<HashMap<String, Weak<L>>>);

impl<L> Default for Locks<L> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<L: Default> Locks<L> {
    /// The one lock of this name. An owned guard of it keeps it.
    pub(super) fn of(&self, name: &str) -> Arc<L> {
        // Whoever panicked while holding it left a map like any other.
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(name).and_then(Weak::upgrade) {
            return lock;
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(L::default());
        locks.insert(name.to_owned(), Arc::downgrade(&lock));
        lock
    }
}
