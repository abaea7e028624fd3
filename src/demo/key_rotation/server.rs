//! Starting and stopping the server: a [`Config`] in, a running [`Server`] with an address out.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::service::{App, Service, TABLES};
use super::slips::{Slip, Slips};
use super::{backups, bindings, errors, keys, pools, proxy};
use crate::demo::host::Host;
use crate::demo::sqlite::Database;

/// How long [`Server::stop`] waits for requests under way, and then again for the database.
const GRACE: Duration = Duration::from_secs(2);
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The SQLite file where the data is kept, created when missing. One server at a time may use it. `None` is a fresh
    /// temporary file that goes with the server.
    pub database: Option<PathBuf>,
    /// The slips to make. None is the sound server.
    pub slips: Vec<Slip>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            database: None,
            slips: Vec::new(),
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}; choose another address, or port 0 for a free one")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No temporary directory could be made for the database.
    #[error(
        "cannot make a temporary directory for the database; is the temporary folder writable?"
    )]
    Temporary(#[source] io::Error),
    /// The database could not be opened, or its tables not be created.
    #[error(
        "cannot use the database `{}`; give a path in a folder that is there and writable",
        file.display()
    )]
    Database {
        /// The SQLite file.
        file: PathBuf,
        /// What the database says.
        source: sqlx::Error,
    },
}

/// A running server, on tasks of the current tokio runtime. Dropping it stops it as well, but without waiting.
pub struct Server {
    host: Host,
    app: App,
    /// Held for its `Drop`: it takes the temporary database with it.
    _directory: Option<TempDir>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// The address that it listens on, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.host.address()
    }

    /// The origin for requests: `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Stops gracefully: stops accepting, lets the requests under way finish for a moment, and closes the database.
    pub async fn stop(mut self) {
        self.host.stop(GRACE).await;
        drop(tokio::time::timeout(GRACE, self.app.database.close()).await);
    }
}

/// Opens the database, creates the tables that are missing, and serves the API from a task of its own.
///
/// # Errors
///
/// When the database cannot be opened, or the address not be bound.
pub async fn serve(config: Config) -> Result<Server, ServeError> {
    let slips: Slips = config.slips.into_iter().collect();
    let (file, directory) = match config.database {
        Some(file) => (file, None),
        None => {
            let directory = tempfile::Builder::new()
                .prefix("key-rotation-")
                .tempdir()
                .map_err(ServeError::Temporary)?;
            (directory.path().join("database.sqlite"), Some(directory))
        }
    };
    let app = match open(&file, slips).await {
        Ok(app) => app,
        Err(source) => return Err(ServeError::Database { file, source }),
    };
    let host = Host::start(config.listen, routes(app.clone()))
        .await
        .map_err(|source| ServeError::Listen {
            address: config.listen,
            source,
        })?;
    Ok(Server {
        host,
        app,
        _directory: directory,
    })
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
        .layer(from_fn(read_first))
        .with_state(app)
}

/// Reads the body before anything is refused: a client that is still writing would lose the answer to a reset.
async fn read_first(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match to_bytes(body, LARGEST_BODY).await {
        Ok(bytes) => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
