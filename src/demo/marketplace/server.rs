//! Starting the server: a [`Config`] in, a running [`Server`] with an address out.

use std::path::Path;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::gateway::{App, Gateway};
use super::slips::{Slip, Slips};
use super::store::Store;
use super::{completions, errors, history, input, keys, models, sessions};
use crate::demo::host::{self, GRACE, ServeError, Server};

/// What to serve, and where. Sessions end with the server, whatever file its data is kept in.
pub type Config = host::Config<Slip>;

/// Opens the database, creates the tables that are missing, and serves the API from a task of its own.
///
/// # Errors
///
/// When the database cannot be opened, or the address not be bound.
pub async fn serve(config: Config) -> Result<Server, ServeError> {
    let slips: Slips = config.slips.into_iter().collect();
    let (file, directory) = host::file(config.database, "marketplace-")?;
    let app = match open(&file, slips).await {
        Ok(app) => app,
        Err(source) => return Err(ServeError::Database { file, source }),
    };
    let routes = routes(app.clone());
    let end = move || async move {
        drop(tokio::time::timeout(GRACE, app.store.close()).await);
    };
    Server::start(config.listen, routes, directory, end).await
}

async fn open(file: &Path, slips: Slips) -> Result<App, sqlx::Error> {
    let store = Store::open(file, !slips.has(Slip::NoUniqueIndex)).await?;
    let open = store.active_sessions().await?;
    let gateway = Gateway::new(store, slips);
    for (id, key, model) in open {
        if let Ok(model) = models::known(&model) {
            gateway.upstream.has_open(id, &key, model);
        }
    }
    Ok(Arc::new(gateway))
}

fn routes(app: App) -> Router {
    Router::new()
        .route("/health", get(health))
        .merge(keys::routes())
        .merge(models::routes())
        .merge(completions::routes())
        .merge(sessions::routes())
        .merge(history::routes())
        .layer(DefaultBodyLimit::max(input::READ_AT_MOST))
        .fallback(errors::unknown_path)
        .method_not_allowed_fallback(errors::wrong_method)
        .with_state(app)
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
