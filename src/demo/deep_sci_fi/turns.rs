//! Requests of one agent are served one after the other. In the original every authenticated request locks the row of
//! its account; here it is a lock of its own, which leaves the database to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Guarded, PoisonError};

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Who is being served.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Guarded<HashMap<String, Arc<Mutex<()>>>>>);

/// An agent's turn: it ends when the last of these is dropped.
pub(super) type Turn = Arc<OwnedMutexGuard<()>>;

impl Turns {
    /// Waits until no other request of the agent is being served.
    pub(super) async fn take(&self, agent: &str) -> Turn {
        let lock = {
            // Whoever panicked while holding it left a map like any other.
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(agent.to_owned()).or_default())
        };
        Arc::new(lock.lock_owned().await)
    }
}
