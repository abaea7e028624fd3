//! What an actor knows: the agent as clients see it, with its blocks, and the messages and archival entries behind it.
//! Stored whole, as one JSON document an actor.

use serde::{Deserialize, Serialize};

/// An agent, as it is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Agent {
    pub id: String,
    pub name: String,
    pub description: Option<String>,
    pub tags: Vec<String>,
    /// In order of creation.
    pub blocks: Vec<Block>,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Block {
    pub id: String,
    pub label: String,
    pub value: String,
    /// In characters.
    pub limit: Option<u64>,
}

impl Block {
    pub(super) fn fits(&self) -> bool {
        let length = self.value.chars().count() as u64;
        self.limit.is_none_or(|limit| length <= limit)
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    User,
    Assistant,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Message {
    pub id: String,
    pub role: Role,
    pub content: String,
    pub date: String,
}

/// An archival entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub id: String,
    pub content: String,
    pub created_at: String,
}

/// All that an actor knows. Messages and entries are oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ActorState {
    /// Where the agent stands in the list.
    pub position: i64,
    pub agent: Agent,
    pub messages: Vec<Message>,
    pub archival: Vec<Entry>,
}

/// The part of a stored [`ActorState`] that the list shows.
#[derive(Debug, Deserialize)]
pub(super) struct Shown {
    pub agent: Agent,
}

pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}
