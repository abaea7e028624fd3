//! What the servers that keep a SQLite file have in common: what to serve and where, and the server itself, on a task of
//! its own: routes in, an address out, until it is stopped.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How long [`Server::stop`] waits for requests under way, and how long it may take to end whatever else there is.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// The most bytes that a body may have which [`read_first`] reads.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct Config<S> {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The SQLite file where the data is kept, created when missing. One server at a time may use it. `None` is a fresh
    /// temporary file that goes with the server.
    pub database: Option<PathBuf>,
    /// The slips to make. None is the sound server.
    pub slips: Vec<S>,
}

impl<S> Default for Config<S> {
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
    /// The server keeps secrets of its users, and has nothing to seal them with.
    #[error(
        "{variable} is not set, and without it no secret can be kept; \
         set it to a long random text: export {variable}=$(openssl rand -hex 32)"
    )]
    NoEncryptionKey {
        /// The environment variable.
        variable: &'static str,
    },
}

/// The file where the data is kept, and its temporary directory if nobody named one.
pub(super) fn file(
    database: Option<PathBuf>,
    prefix: &str,
) -> Result<(PathBuf, Option<TempDir>), ServeError> {
    if let Some(file) = database {
        return Ok((file, None));
    }
    let directory = tempfile::Builder::new().prefix(prefix).tempdir();
    let directory = directory.map_err(ServeError::Temporary)?;
    Ok((directory.path().join("database.sqlite"), Some(directory)))
}

/// Reads the body before anything is refused: a client that is still writing would lose the answer to a reset.
pub(super) async fn read_first(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match to_bytes(body, LARGEST_BODY).await {
        Ok(bytes) => {
            next.run(Request::from_parts(parts, Body::from(bytes)))
                .await
        }
        Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    }
}

type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A running server, on tasks of the current tokio runtime. Dropping it stops it as well, but without waiting for
/// anything.
pub struct Server {
    address: SocketAddr,
    /// Dropping the sender is the signal.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    /// What is to be done once no request is under way.
    end: Box<dyn FnOnce() -> End + Send + Sync>,
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
    pub(super) async fn start<E>(
        listen: SocketAddr,
        routes: Router,
        directory: Option<TempDir>,
        end: impl FnOnce() -> E + Send + Sync + 'static,
    ) -> Result<Self, ServeError>
    where
        E: Future<Output = ()> + Send + 'static,
    {
        let refused = |source| ServeError::Listen {
            address: listen,
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let (stop, stopped) = oneshot::channel::<()>();
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
        Ok(Self {
            address,
            stop: Some(stop),
            task,
            end: Box::new(|| Box::pin(end())),
            _directory: directory,
        })
    }

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
        (self.end)().await;
    }
}
