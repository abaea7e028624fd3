//! A mock of the upstream that runs the models. A session is opened for a model, costs money until it is closed, and
//! answers prompts with their echo. It does what it is told, as slowly as a network would.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::errors::Refusal;
use super::store::new_id;

const OPEN_TAKES: Duration = Duration::from_millis(10);
const CLOSE_TAKES: Duration = Duration::from_millis(5);
const CHAT_TAKES: Duration = Duration::from_millis(10);

struct Open {
    /// How many were opened before.
    number: usize,
    /// The id of the API key on whose bill it is.
    key: String,
    model: &'static str,
}

/// What a session answers to a prompt.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub model: &'static str,
    pub session: String,
    pub echo: String,
}

#[derive(Default)]
struct Sessions {
    opened: usize,
    open: HashMap<String, Open>,
}

#[derive(Default)]
pub(super) struct Upstream(Mutex<Sessions>);

impl Upstream {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session, and gives its id.
    pub(super) async fn open(&self, key: &str, model: &'static str) -> String {
        sleep(OPEN_TAKES).await;
        let id = format!("0x{}", new_id());
        self.has_open(id.clone(), key, model);
        id
    }

    /// Knows of a session that is open: the upstream goes on while the server in front of it is down.
    pub(super) fn has_open(&self, id: String, key: &str, model: &'static str) {
        let mut sessions = self.sessions();
        let open = Open {
            number: sessions.opened,
            key: key.to_owned(),
            model,
        };
        sessions.opened += 1;
        sessions.open.insert(id, open);
    }

    /// Closes a session, if it is open.
    pub(super) async fn close(&self, id: &str) {
        sleep(CLOSE_TAKES).await;
        self.sessions().open.remove(id);
    }

    /// Answers a prompt, unless the session is closed before the answer is there.
    pub(super) async fn chat(&self, id: &str, prompt: &str) -> Result<Reply, Refusal> {
        let model = self.model(id)?;
        sleep(CHAT_TAKES).await;
        self.model(id)?;
        Ok(Reply {
            model,
            session: id.to_owned(),
            echo: prompt.to_owned(),
        })
    }

    /// The model of a session that is open.
    pub(super) fn model(&self, id: &str) -> Result<&'static str, Refusal> {
        let sessions = self.sessions();
        let open = sessions.open.get(id);
        open.map(|open| open.model).ok_or(Refusal::Expired)
    }

    /// The sessions that are open on the bill of a key, oldest first: their ids and models.
    pub(super) fn open_of(&self, key: &str) -> Vec<(String, &'static str)> {
        let sessions = self.sessions();
        let mut open: Vec<_> = (sessions.open.iter())
            .filter(|(_, open)| open.key == key)
            .collect();
        open.sort_by_key(|(_, open)| open.number);
        open.into_iter()
            .map(|(id, open)| (id.clone(), open.model))
            .collect()
    }
}
