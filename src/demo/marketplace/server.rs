//! Starting and stopping the server: a [`Config`] in, a running [`Server`] with an address out.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::gateway::{App, Gateway};
use super::slips::{Slip, Slips};
use super::store::Store;
use super::{completions, errors, history, input, keys, models, sessions};

/// How long [`Server::stop`] waits for requests under way.
const GRACE: Duration = Duration::from_secs(2);

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The SQLite file where the data is kept, created when missing; sessions end with the server. One server at a
    /// time may use it. `None` is a fresh temporary file that goes with the server.
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
    address: SocketAddr,
    app: App,
    /// Dropping the sender is the signal.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    /// Held for its `Drop`: it takes the temporary database with it.
    _directory: Option<TempDir>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// The address that it listens on, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The origin for requests: `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops gracefully: stops accepting, lets the requests under way finish for a moment, and closes the database.
    pub async fn stop(mut self) {
        self.stop.take();
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
        drop(tokio::time::timeout(GRACE, self.app.store.close()).await);
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
                .prefix("marketplace-")
                .tempdir()
                .map_err(ServeError::Temporary)?;
            (directory.path().join("database.sqlite"), Some(directory))
        }
    };
    let app = match open(&file, slips).await {
        Ok(app) => app,
        Err(source) => return Err(ServeError::Database { file, source }),
    };
    let listen = |source| ServeError::Listen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let routes = routes(app.clone());
    let task = tokio::spawn(async move {
        // Small answers on kept connections would otherwise wait for the client's delayed acknowledgement. A socket
        // that refuses the option is merely slower.
        let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
        let served = axum::serve(listener, routes).with_graceful_shutdown(async {
            // An error here says that the sender was dropped, which is the signal.
            stopped.await.ok();
        });
        // Its only errors are those of accepting, and it retries those by itself.
        served.await.ok();
    });
    Ok(Server {
        address,
        app,
        stop: Some(stop),
        task,
        _directory: directory,
    })
}

async fn open(file: &Path, slips: Slips) -> Result<App, sqlx::Error> {
    let store = Store::open(file, !slips.has(Slip::NoUniqueIndex)).await?;
    Ok(Arc::new(Gateway::new(store, slips)))
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
