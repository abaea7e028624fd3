//! Requests of one agent are served one after the other. In the original every authenticated request locks the row of
//! its account; here it is a lock of its own, which leaves the database to the others.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::demo::locks::Locks;

/// Who is being served.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Locks<Mutex<()>>>);

/// An agent's turn: it ends when the last of these is dropped.
pub(super) type Turn = Arc<OwnedMutexGuard<()>>;

impl Turns {
    /// Waits until no other request of the agent is being served.
    pub(super) async fn take(&self, agent: &str) -> Turn {
        Arc::new(self.0.of(agent).lock_owned().await)
    }
}
