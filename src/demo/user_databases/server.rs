//! Starting the server: a [`Config`] in, a running [`Server`] with an address out.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::errors::Refusal;
use super::sealing::{EncryptionKey, Sealing, VARIABLE};
use super::service::{App, Service};
use super::slips::{Slip, Slips};
use super::{contents, errors, keys, provider_keys, rate_limits, runs, users, watching};
use crate::demo::host::{self, GRACE, ServeError, Server};

/// Below this are all paths of the API.
const PREFIX: &str = "/api/v1";

/// Where to serve, and with which slips. The database is the master file; the files of the users are made beside it.
pub type Place = host::Config<Slip>;

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where, and with which slips.
    pub place: Place,
    /// What the secrets of users are sealed with. Without one the server does not start.
    pub encryption_key: Option<EncryptionKey>,
}

impl Default for Config {
    /// With an encryption key of its own, so that no other server can read what this one seals.
    fn default() -> Self {
        Self::from(Place::default())
    }
}

impl From<Place> for Config {
    fn from(place: Place) -> Self {
        Self {
            place,
            encryption_key: Some(EncryptionKey::random()),
        }
    }
}

/// Opens the master database, creates the tables that are missing, and serves the API from a task of its own.
///
/// # Errors
///
/// When there is no encryption key, the database cannot be opened, or the address not be bound.
pub async fn serve(config: Config) -> Result<Server, ServeError> {
    let slips: Slips = config.place.slips.into_iter().collect();
    let sealing = config.encryption_key.as_ref().and_then(Sealing::new);
    if sealing.is_none() && !slips.has(Slip::StartWithoutKey) {
        return Err(ServeError::NoEncryptionKey { variable: VARIABLE });
    }
    let (file, directory) = host::file(config.place.database, "user-databases-")?;
    // Dropped when the server is: then websockets end.
    let (stop, stopped) = watch::channel(());
    let app = match Service::open(&file, slips, sealing, stopped).await {
        Ok(app) => Arc::new(app),
        Err(source) => return Err(ServeError::Database { file, source }),
    };
    let routes = routes(app.clone());
    let end = move || async move {
        drop(stop);
        drop(tokio::time::timeout(GRACE, app.close()).await);
    };
    Server::start(config.place.listen, routes, directory, end).await
}

fn routes(app: App) -> Router {
    let api = Router::new()
        .route("/health", get(health))
        .merge(users::routes())
        .merge(keys::routes())
        .merge(provider_keys::routes())
        .merge(contents::routes())
        .merge(rate_limits::routes())
        .merge(runs::routes())
        .merge(watching::routes());
    Router::new()
        .nest(PREFIX, api)
        .fallback(errors::unknown_path)
        .method_not_allowed_fallback(errors::wrong_method)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), to_the_end))
        .layer(from_fn(host::read_first))
        .with_state(app)
}

/// Finishes a request in a task of its own: when the client hangs up, the future of its handler is dropped.
async fn to_the_end(State(app): State<App>, request: Request, next: Next) -> Response {
    let makes_a_user = request.method() == Method::POST
        && request.uri().path().strip_prefix(PREFIX) == Some(users::PATH);
    if makes_a_user && app.slips.has(Slip::UserNotAtomic) {
        return next.run(request).await;
    }
    match tokio::spawn(next.run(request)).await {
        Ok(response) => response,
        Err(error) => Refusal::from(error).into_response(),
    }
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
