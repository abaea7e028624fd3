//! Starting the server: a [`Config`] in, a running [`Server`] with an address out.

use std::path::Path;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::service::{App, Service, TABLES};
use super::slips::{Slip, Slips};
use super::{backups, bindings, errors, keys, pools, proxy};
use crate::demo::host::{self, GRACE, ServeError, Server};
use crate::demo::sqlite::Database;

/// What to serve, and where.
pub type Config = host::Config<Slip>;

/// Opens the database, creates the tables that are missing, and serves the API from a task of its own.
///
/// # Errors
///
/// When the database cannot be opened, or the address not be bound.
pub async fn serve(config: Config) -> Result<Server, ServeError> {
    let slips: Slips = config.slips.into_iter().collect();
    let (file, directory) = host::file(config.database, "key-rotation-")?;
    let app = match open(&file, slips).await {
        Ok(app) => app,
        Err(source) => return Err(ServeError::Database { file, source }),
    };
    let routes = routes(app.clone());
    let end = move || async move {
        drop(tokio::time::timeout(GRACE, app.database.close()).await);
    };
    Server::start(config.listen, routes, directory, end).await
}

async fn open(file: &Path, slips: Slips) -> Result<App, sqlx::Error> {
    let database = Database::open(file, TABLES).await?;
    Ok(Arc::new(Service::new(database, slips)))
}

fn routes(app: App) -> Router {
    Router::new()
        .route("/health", get(health))
        .merge(pools::routes())
        .merge(keys::routes())
        .merge(backups::routes())
        .merge(bindings::routes())
        .merge(proxy::routes())
        .fallback(errors::unknown_path)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(host::read_first))
        .with_state(app)
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
