//! `/v1/agents/{id}/archival`: what an agent has put away.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::errors::{Answer, Refusal, Reply};
use super::input::{At, Post};
use super::keys::{Claim, Once};
use super::service::{App, finish};
use super::slips::Slip;
use super::state::{Entry, new_id};

const LONGEST_ENTRY: usize = 100_000;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/agents/{id}/archival", get(list_entries).post(add))
        .route(
            "/v1/agents/{id}/archival/{entry_id}",
            get(get_entry).delete(delete_entry),
        )
}

async fn list_entries(State(app): State<App>, At(id): At<String>) -> Answer {
    Reply::ok(&app.call(&id).await?.state()?.archival)
}

async fn get_entry(State(app): State<App>, At((id, entry)): At<(String, String)>) -> Answer {
    let seat = app.call(&id).await?;
    let mut entries = seat.state()?.archival.iter();
    let found = entries.find(|other| other.id == entry);
    Reply::ok(found.ok_or_else(|| Refusal::absent("entry"))?)
}

async fn add(State(app): State<App>, At(id): At<String>, post: Post) -> Answer {
    let content = post.fields.required_text("content")?;
    finish(added(app, id, content, post.claim)).await
}

async fn added(app: App, id: String, content: String, claim: Option<Claim>) -> Answer {
    let turn = match app.begin(claim).await? {
        Once::First(turn) => turn,
        Once::Again(reply) => return Ok(reply),
    };
    if !(1..=LONGEST_ENTRY).contains(&content.chars().count()) {
        return Err(Refusal::bad("content must have 1 to 100000 characters"));
    }
    let mut seat = app.call(&id).await?;
    let mut next = seat.state()?.clone();
    let entry = Entry {
        id: new_id(),
        content,
        created_at: app.now(),
    };
    let reply = Reply::ok(&entry)?;
    next.archival.push(entry);
    app.save(&mut seat, next, turn.record(&reply)).await?;
    Ok(reply)
}

async fn delete_entry(State(app): State<App>, At((id, entry)): At<(String, String)>) -> Answer {
    let missing_is_fine = app.slips.has(Slip::DeleteMissing);
    match finish(deleted(app, id, entry)).await {
        Ok(()) => Ok(Reply::no_content()),
        Err(refusal) if missing_is_fine && refusal.is_absent() => Ok(Reply::no_content()),
        Err(refusal) => Err(refusal),
    }
}

async fn deleted(app: App, id: String, entry: String) -> Result<(), Refusal> {
    let _write = app.begin_write().await;
    let mut seat = app.call(&id).await?;
    let mut next = seat.state()?.clone();
    let stored = next.archival.len();
    next.archival.retain(|other| other.id != entry);
    if next.archival.len() == stored {
        return Err(Refusal::absent("entry"));
    }
    app.save(&mut seat, next, None).await
}
