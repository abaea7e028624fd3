//! `/v1/agents/{id}/blocks`: the memory blocks that an agent was created with.

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::errors::{Answer, Refusal, Reply};
use super::input::{At, Fields};
use super::service::{App, finish};
use super::slips::Slip;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/v1/agents/{id}/blocks", get(list_blocks))
        .route(
            "/v1/agents/{id}/blocks/{block_id}",
            get(get_block).patch(patch_block),
        )
}

async fn list_blocks(State(app): State<App>, At(id): At<String>) -> Answer {
    Reply::ok(&app.call(&id).await?.state()?.agent.blocks)
}

async fn get_block(State(app): State<App>, At((id, block)): At<(String, String)>) -> Answer {
    let seat = app.call(&id).await?;
    let mut blocks = seat.state()?.agent.blocks.iter();
    let found = blocks.find(|other| other.id == block);
    Reply::ok(found.ok_or_else(|| Refusal::absent("block"))?)
}

async fn patch_block(
    State(app): State<App>,
    At((id, block)): At<(String, String)>,
    fields: Fields,
) -> Answer {
    let (value, limit) = (fields.text("value")?, fields.count("limit")?);
    finish(patched(app, id, block, value, limit)).await
}

async fn patched(
    app: App,
    id: String,
    block: String,
    value: Option<String>,
    limit: Option<u64>,
) -> Answer {
    let _write = app.begin_write().await;
    let mut seat = app.call(&id).await?;
    let mut next = seat.state()?.clone();
    let mut blocks = next.agent.blocks.iter_mut();
    let found = blocks.find(|other| other.id == block);
    let block = found.ok_or_else(|| Refusal::absent("block"))?;
    let unchecked = limit.is_none() && app.slips.has(Slip::LimitOfNewOnly);
    if let Some(value) = value {
        block.value = value;
    }
    block.limit = limit.or(block.limit);
    if !unchecked && !block.fits() {
        return Err(Refusal::bad("the value is longer than the block's limit"));
    }
    let reply = Reply::ok(block);
    app.save(&mut seat, next, None).await?;
    reply
}
