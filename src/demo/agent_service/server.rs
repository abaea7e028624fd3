//! Starting the server: a [`Config`] in, a running [`Server`] with an address out.

use std::path::Path;
use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::service::{App, Service};
use super::slips::{Slip, Slips};
use super::store::Store;
use super::{agents, archival, blocks, errors, messages};
use crate::demo::host::{self, GRACE, ServeError, Server};

/// What to serve, and where.
pub type Config = host::Config<Slip>;

/// Opens the database, creates the tables that are missing, and serves the API from a task of its own.
///
/// # Errors
///
/// When the database cannot be opened, or the address not be bound.
pub async fn serve(config: Config) -> Result<Server, ServeError> {
    let slips: Slips = config.slips.into_iter().collect();
    let (file, directory) = host::file(config.database, "agent-service-")?;
    let app = match open(&file, slips).await {
        Ok(app) => app,
        Err(source) => return Err(ServeError::Database { file, source }),
    };
    let routes = routes(app.clone());
    let end = move || async move {
        // What cannot be stored now is lost, as in a crash: there is nobody left to tell.
        drop(tokio::time::timeout(GRACE, app.deactivate_all()).await);
        drop(tokio::time::timeout(GRACE, app.store.close()).await);
    };
    Server::start(config.listen, routes, directory, end).await
}

async fn open(file: &Path, slips: Slips) -> Result<App, sqlx::Error> {
    let store = Store::open(file).await?;
    Ok(Arc::new(Service::new(store, slips).await?))
}

fn routes(app: App) -> Router {
    Router::new()
        .route("/health", get(health))
        .merge(agents::routes())
        .merge(blocks::routes())
        .merge(messages::routes())
        .merge(archival::routes())
        .fallback(errors::unknown_path)
        .method_not_allowed_fallback(errors::wrong_method)
        .with_state(app)
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
