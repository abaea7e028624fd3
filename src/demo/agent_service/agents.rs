//! `/v1/agents` and `/v1/agents/{id}`, but for the list.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::actors::Seat;
use super::creation::{NewAgent, create};
use super::errors::{Answer, Refusal, Reply};
use super::input::{At, Fields, Post};
use super::list;
use super::service::{App, finish, hop};
use super::slips::Slip;
use super::store;

const LONGEST_NAME: usize = 256;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/agents", get(list::list).post(create_agent))
        .route(
            "/v1/agents/{id}",
            get(get_agent).patch(patch_agent).delete(delete_agent),
        )
}

pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    if (1..=LONGEST_NAME).contains(&name.chars().count()) {
        return Ok(());
    }
    Err(Refusal::bad("the name must have 1 to 256 characters"))
}

async fn create_agent(State(app): State<App>, post: Post) -> Answer {
    let new = NewAgent::read(&post.fields)?;
    if !app.slips.has(Slip::ListFromCache) {
        return create(app, new, post.claim).await;
    }
    // The cache must have what is created, even if the client does not wait for it.
    finish(async move {
        let reply = create(app.clone(), new, post.claim).await?;
        list::refresh(&app).await?;
        Ok(reply)
    })
    .await
}

async fn get_agent(State(app): State<App>, At(id): At<String>) -> Answer {
    Reply::ok(&app.call(&id).await?.state()?.agent)
}

struct Patch {
    name: Option<String>,
    description: Option<String>,
    tags: Option<Vec<String>>,
}

async fn patch_agent(State(app): State<App>, At(id): At<String>, fields: Fields) -> Answer {
    let patch = Patch {
        name: fields.text("name")?,
        description: fields.text("description")?,
        tags: fields.texts("tags")?,
    };
    if let Some(name) = &patch.name {
        check_name(name)?;
    }
    finish(patched(app, id, patch)).await
}

async fn patched(app: App, id: String, patch: Patch) -> Answer {
    let _write = app.begin_write().await;
    let mut seat = app.call(&id).await?;
    let mut next = seat.state()?.clone();
    if let Some(name) = patch.name {
        next.agent.name = name;
    }
    if let Some(description) = patch.description {
        next.agent.description = Some(description);
    }
    if let Some(tags) = patch.tags {
        next.agent.tags = tags;
    }
    next.agent.updated_at = app.now();
    let reply = Reply::ok(&next.agent);
    app.save(&mut seat, next, None).await?;
    reply
}

async fn delete_agent(State(app): State<App>, At(id): At<String>) -> Answer {
    let missing_is_fine = app.slips.has(Slip::DeleteMissing);
    match delete(app, id).await {
        Ok(()) => Ok(Reply::no_content()),
        Err(refusal) if missing_is_fine && refusal.is_absent() => Ok(Reply::no_content()),
        Err(refusal) => Err(refusal),
    }
}

async fn delete(app: App, id: String) -> Result<(), Refusal> {
    let write = finish({
        let (app, id) = (app.clone(), id.clone());
        async move {
            let write = app.begin_write().await;
            let mut seat: Seat = app.call(&id).await?;
            seat.state()?;
            app.remove(&mut seat).await?;
            Ok(write)
        }
    })
    .await?;
    if app.slips.has(Slip::TwoStores) {
        hop().await;
        finish(async move {
            let mut tx = app.store.write().await?;
            store::unregister(&mut tx, &id).await?;
            tx.commit().await?;
            drop(write);
            Ok(())
        })
        .await?;
    }
    Ok(())
}
