//! `GET /v1/agents`: pages of the list, oldest first. It comes out of one state of the database, where nothing is half
//! done; with the slips that keep the memory ahead of the database, through the actors.

use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use serde_json::json;

use super::errors::{Answer, Refusal, Reply};
use super::service::App;
use super::slips::Slip;
use super::state::{Agent, Block};

const DEFAULT_LIMIT: u32 = 50;
const HIGHEST_LIMIT: u32 = 100;

/// With these, what the database has is not what the actors say.
const AHEAD_IN_MEMORY: &[Slip] = &[Slip::LazyPersist, Slip::StaleCopy, Slip::DeleteInTwoSteps];

/// An agent in the list.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Item {
    Agent(Agent),
    /// With `two_stores`: its actor is gone.
    Remnant(Remnant),
}

/// What the registry knows of an agent.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Remnant {
    id: String,
    name: String,
    description: Option<String>,
    tags: Vec<String>,
    blocks: Vec<Block>,
    created_at: String,
    updated_at: Option<String>,
}

impl Remnant {
    pub(super) fn new(id: String, name: String, created_at: String) -> Self {
        Self {
            id,
            name,
            description: None,
            tags: Vec::new(),
            blocks: Vec::new(),
            created_at,
            updated_at: None,
        }
    }
}

impl Item {
    fn id(&self) -> &str {
        match self {
            Self::Agent(agent) => &agent.id,
            Self::Remnant(remnant) => &remnant.id,
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Agent(agent) => &agent.name,
            Self::Remnant(remnant) => &remnant.name,
        }
    }
}

pub(super) struct Page {
    pub items: Vec<Item>,
    /// Of all pages.
    pub total: usize,
}

/// What is asked for. The default is everything.
#[derive(Default)]
pub(super) struct Query {
    /// None: all at once.
    pub limit: Option<u32>,
    pub cursor: Option<String>,
    pub name: Option<String>,
}

impl Query {
    fn read(uri: &Uri) -> Result<Self, Refusal> {
        let mut query = Self {
            limit: Some(DEFAULT_LIMIT),
            ..Self::default()
        };
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "limit" => query.limit = Some(limit(&value)?),
                "cursor" => query.cursor = Some(value.into_owned()),
                "name" => query.name = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(query)
    }

    fn page(&self, all: &[Item]) -> Page {
        let cursor = self.cursor.as_deref();
        let last = all.iter().position(|item| Some(item.id()) == cursor);
        let first = last.map_or(0, |last| last + 1);
        let matches = |item: &&Item| self.name.as_deref().is_none_or(|name| name == item.name());
        let limit = self.limit.map_or(usize::MAX, |limit| limit as usize);
        let items = all[first..].iter().filter(matches).take(limit);
        Page {
            items: items.cloned().collect(),
            total: all.iter().filter(matches).count(),
        }
    }
}

fn limit(text: &str) -> Result<u32, Refusal> {
    let wrong = || Refusal::unprocessable(format!("limit must be 1 to {HIGHEST_LIMIT}"));
    let limit = text.parse().map_err(|_| wrong())?;
    if (1..=HIGHEST_LIMIT).contains(&limit) {
        return Ok(limit);
    }
    Err(wrong())
}

pub(super) async fn list(State(app): State<App>, uri: Uri) -> Answer {
    let query = Query::read(&uri)?;
    let page = if app.slips.has(Slip::ListFromCache) {
        let mut cache = app.cache.lock().await;
        let all = match cache.take() {
            Some(all) => all,
            None => current(&app, &Query::default()).await?.items,
        };
        query.page(cache.insert(all))
    } else {
        current(&app, &query).await?
    };
    let cursor = page.items.last().map(Item::id);
    Reply::ok(&json!({ "items": page.items, "total": page.total, "cursor": cursor }))
}

/// Fills the cache of `list_from_cache`. Under its lock, so that no older list comes after a newer one.
pub(super) async fn refresh(app: &App) -> Result<(), Refusal> {
    let mut cache = app.cache.lock().await;
    *cache = Some(current(app, &Query::default()).await?.items);
    Ok(())
}

async fn current(app: &App, query: &Query) -> Result<Page, Refusal> {
    if app.slips.any(AHEAD_IN_MEMORY) {
        return Ok(query.page(&through_actors(app).await?));
    }
    app.store.page(query).await
}

/// Every agent, as its actor has it.
async fn through_actors(app: &App) -> Result<Vec<Item>, Refusal> {
    let _all = app.between_writes().await;
    let mut found = Vec::new();
    let mut unregistered = app.actors.ids();
    for registered in app.store.registry().await? {
        unregistered.retain(|id| *id != registered.id);
        let seat = app.look(&registered.id).await?;
        if let Ok(state) = seat.state() {
            found.push((registered.position, Item::Agent(state.agent.clone())));
        } else if app.slips.has(Slip::TwoStores) {
            found.push((registered.position, Item::Remnant(registered.remnant)));
        }
    }
    for id in unregistered {
        if let Ok(state) = app.look(&id).await?.state() {
            found.push((state.position, Item::Agent(state.agent.clone())));
        }
    }
    found.sort_by_key(|(position, _)| *position);
    Ok(found.into_iter().map(|(_, item)| item).collect())
}
