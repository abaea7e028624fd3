//! Start-up rules: with its environment changed, a server must refuse to start, or must start.

use std::fmt;

use super::process::{ENDED_WELL, Serve, ServeError, Server};

/// How a server must take a change of its environment.
#[derive(Clone, Debug)]
pub struct Startup {
    /// The name of the rule.
    pub name: String,
    /// How the server is started, with its environment changed.
    pub serve: Serve,
    /// The variables that have other values.
    pub changed: Vec<String>,
    /// Whether it must start. Where not, it must end with an error, and never listen.
    pub starts: bool,
}

/// What a server did that its start-up rule does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misstart {
    /// It listens, and must not.
    Listens,
    /// It ended as if all were well.
    EndedWell,
    /// It neither listened nor ended in time.
    Hangs,
    /// It did not start, and must: what came of it.
    Failed(String),
}

impl fmt::Display for Misstart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misstart::Listens => f.write_str("it must refuse to start, and it listens"),
            Misstart::EndedWell => f.write_str(
                "it must end with an error, and ended as if all were well (exit code 0)",
            ),
            Misstart::Hangs => {
                f.write_str("it must end with an error, and neither ended nor listened in time")
            }
            Misstart::Failed(what) => write!(f, "it must start, and did not: {what}"),
        }
    }
}

impl Startup {
    /// Starts the server of the target at `url`, sees what it does, and ends it.
    ///
    /// # Errors
    ///
    /// [`ServeError`] for what says nothing about the server: a port that is taken, a command that cannot be run.
    pub async fn check(&self, url: &str) -> Result<Option<Misstart>, ServeError> {
        let mut serve = self.serve.clone();
        if !self.starts {
            // Whatever it would answer: it must not listen.
            serve.ready = None;
        }
        let started = Server::start(&serve, url, None).await;
        Ok(match (started, self.starts) {
            (Ok(mut server), starts) => {
                server.stop().await?;
                (!starts).then_some(Misstart::Listens)
            }
            (Err(ServeError::Exited { exit, .. }), false) => {
                (exit == ENDED_WELL).then_some(Misstart::EndedWell)
            }
            (Err(ServeError::NotReady { .. }), false) => Some(Misstart::Hangs),
            (Err(error @ (ServeError::Exited { .. } | ServeError::NotReady { .. })), true) => {
                Some(Misstart::Failed(error.to_string()))
            }
            (Err(error), _) => return Err(error),
        })
    }
}
