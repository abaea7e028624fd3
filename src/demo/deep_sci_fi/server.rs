//! Starting and stopping the server: a [`Config`] in, a running [`Server`] with an address out.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::bugs::{Bug, Bugs};
use super::database::{Database, remedy};
use super::store::Store;
use super::turns::Turns;
use super::{
    account, acting, actions, activity, agents, aspect_reviews, aspects, auth, comments,
    dweller_proposals, dweller_reviews, dwellers, errors, events, feed, feedback, heartbeat,
    memory, notifications, platform, proposal_reviews, proposals, regions, social, stories,
    story_reviews, suggestions, worlds,
};

/// What a generator begins with that ought to be seeded by the operating system.
const SEED: u64 = 42;

/// How long [`Server::stop`] waits for requests under way.
const GRACE: Duration = Duration::from_secs(2);

/// What to serve, and where.
///
/// Creation cooldowns and rate limits are off, as in the original with `DEDUP_WINDOW_OVERRIDE_SECONDS=0` and
/// `RATELIMIT_ENABLED=false`; there is no switch to turn them on.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where the data is kept: the path of a SQLite file or a `sqlite:` URL, created when missing, or the URL of a
    /// PostgreSQL database that exists, `postgres://user:password@host:port/name` (without TLS). The tables are created
    /// when missing and kept afterwards. `None` is a fresh temporary SQLite file that goes with the server.
    pub database: Option<String>,
    /// The slips to make. None is the sound server.
    pub bugs: Vec<Bug>,
    /// Where the keys of new accounts come from.
    pub keys: Keys,
    /// The key of the administrator, who gets an account when the server starts. `None`: there is no administrator.
    pub admin_key: Option<String>,
}

/// Where the keys of new accounts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keys {
    /// The operating system's generator, as in the original: a registration that is sent again makes another account.
    #[default]
    Random,
    /// What the registration says: one that is sent again is answered with the account that it made, and its key.
    Derived,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            database: None,
            bugs: Vec::new(),
            keys: Keys::Random,
            admin_key: None,
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
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// No temporary directory could be made for the database.
    #[error(
        "cannot make a temporary directory for the database; is the temporary folder writable?"
    )]
    Temporary(#[source] io::Error),
    /// The URL names a database that this server does not speak.
    #[error(
        "cannot use the database `{url}`; give the path of a SQLite file, or a URL such as \
         `postgres://user:password@localhost:5432/name`"
    )]
    UnsupportedDatabase {
        /// Without the password.
        url: String,
    },
    /// The database could not be opened, or its tables not be created.
    #[error("cannot use the database `{url}`: {source}; {}", remedy(source))]
    Database {
        /// Without the password.
        url: String,
        source: sqlx::Error,
    },
}

/// What every handler shares.
#[derive(Clone)]
pub(super) struct App {
    pub store: Arc<Store>,
    pub turns: Turns,
    pub bugs: Bugs,
    pub keys: Keys,
    /// Where keys come from when they do not come from the operating system.
    pub seeded: Arc<Mutex<StdRng>>,
    pub admin_key: Option<Arc<str>>,
}

/// A running server, on tasks of the current tokio runtime. Dropping it stops it as well, without waiting.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// Dropping the sender is the signal.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    /// Held for its `Drop`: it takes the temporary database with it.
    _directory: Option<TempDir>,
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

    /// Stops accepting, lets the requests under way finish for a moment, and closes the database.
    pub async fn stop(mut self) {
        self.stop.take();
        if tokio::time::timeout(GRACE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Opens the database, creates the tables that are missing, and serves the API from a task of its own.
///
/// # Errors
///
/// When the database cannot be opened, or the address not be bound.
pub async fn serve(config: Config) -> Result<Server, ServeError> {
    let bugs: Bugs = config.bugs.into_iter().collect();
    let (database, directory) = match &config.database {
        Some(name) => (Database::named(name)?, None),
        None => {
            let directory = tempfile::Builder::new()
                .prefix("deep-sci-fi-")
                .tempdir()
                .map_err(ServeError::Temporary)?;
            let database = Database::throwaway(&directory.path().join("database.sqlite"));
            (database, Some(directory))
        }
    };
    let failed = |source| ServeError::Database {
        url: database.shown(),
        source,
    };
    let store = Arc::new(Store::open(&database, bugs).await.map_err(failed)?);
    if let Some(key) = &config.admin_key {
        auth::open_admin_account(&store, key)
            .await
            .map_err(failed)?;
    }
    let listen = |source| ServeError::Listen {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let app = App {
        store: Arc::clone(&store),
        turns: Turns::default(),
        bugs,
        keys: match bugs.has(Bug::DuplicateApiKeys) {
            true => Keys::Derived,
            false => config.keys,
        },
        seeded: Arc::new(Mutex::new(StdRng::seed_from_u64(SEED))),
        admin_key: config.admin_key.as_deref().map(Arc::from),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        // Small answers on kept connections would otherwise wait for the client's delayed acknowledgement. A socket
        // that refuses the option is merely slower.
        let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
        let served = axum::serve(listener, routes(app)).with_graceful_shutdown(async {
            // An error here says that the server was dropped, which is a signal like the other.
            stopped.await.ok();
        });
        // Its only errors are those of accepting, and it retries those by itself.
        served.await.ok();
        store.close().await;
    });
    Ok(Server {
        address,
        stop: Some(stop),
        task,
        _directory: directory,
    })
}

fn routes(app: App) -> Router {
    Router::new()
        .merge(auth::routes())
        .merge(account::routes())
        .merge(agents::routes())
        .merge(proposals::routes())
        .merge(proposal_reviews::routes())
        .merge(worlds::routes())
        .merge(regions::routes())
        .merge(dwellers::routes())
        .merge(dweller_proposals::routes())
        .merge(dweller_reviews::routes())
        .merge(acting::routes())
        .merge(actions::routes())
        .merge(activity::routes())
        .merge(events::routes())
        .merge(memory::routes())
        .merge(aspects::routes())
        .merge(aspect_reviews::routes())
        .merge(social::routes())
        .merge(comments::routes())
        .merge(notifications::routes())
        .merge(heartbeat::routes())
        .merge(feed::routes())
        .merge(platform::routes())
        .merge(stories::routes())
        .merge(story_reviews::routes())
        .merge(feedback::routes())
        .merge(suggestions::routes())
        .fallback(errors::unknown_path)
        .method_not_allowed_fallback(errors::wrong_method)
        .with_state(app)
}
