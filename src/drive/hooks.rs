//! Commands that do to a server what gainsay cannot do itself, since it did not start it: one in a container, say.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

use super::injector::{Disturbance, Eventually, Injector, InjectorError};
use super::process::{Ready, Run};
use super::{Client, history::Request};

/// So long one command may take.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// Between two questions whether the server is ready.
const POLL: Duration = Duration::from_millis(50);

/// The commands of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Kills the server.
    pub crash: Option<Run>,
    /// Asks the server to end.
    pub stop: Option<Run>,
    /// Starts it again.
    pub restart: Option<Run>,
    /// Lets it stand still.
    pub pause: Option<Run>,
    /// Lets it go on.
    pub resume: Option<Run>,
    /// Where they are run.
    pub directory: PathBuf,
    /// What the server must answer before it counts as ready.
    pub ready: Option<Ready>,
    /// How long that may take.
    pub ready_within: Duration,
}

/// The hooks of a target at work.
#[derive(Debug)]
pub struct Hooked {
    hooks: Hooks,
    client: Client,
    done: Option<Disturbance>,
}

impl Hooked {
    /// The hooks for a server that a client talks to.
    pub fn new(hooks: Hooks, client: Client) -> Hooked {
        Hooked {
            hooks,
            client,
            done: None,
        }
    }

    async fn run(&self, name: &str, run: Option<&Run>) -> Result<(), InjectorError> {
        let Some(run) = run else {
            return Err(InjectorError(format!(
                "there is no hook `{name}`; add it to the target's `hooks`"
            )));
        };
        let mut command = Command::from(run.command());
        let failed = |what: String| {
            InjectorError(format!(
                "the hook `{name}` failed: `{run}` {what}; correct it in `hooks`"
            ))
        };
        let running = command
            .current_dir(&self.hooks.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        match tokio::time::timeout(ENDS_WITHIN, running).await {
            Err(_) => Err(failed(format!(
                "took longer than {} s",
                ENDS_WITHIN.as_secs()
            ))),
            Ok(Err(error)) => Err(failed(format!("cannot be run: {error}"))),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(format!("ended with {status}"))),
        }
    }

    async fn until_ready(&self) -> Result<(), InjectorError> {
        let ready = self.hooks.ready.as_ref();
        let request = Request {
            method: ready.map_or("GET", |ready| &ready.method).to_owned(),
            path: ready.map_or("/", |ready| &ready.path).to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        };
        let deadline = Instant::now() + self.hooks.ready_within;
        loop {
            let asked = self.client.send(&request, std::time::Instant::now()).await;
            // Without a question of its own, any answer at all will do.
            let said = match asked {
                Ok((_, answer)) if answer.status < 500 || ready.is_none() => return Ok(()),
                Ok((_, answer)) => format!("it answers {}", answer.status),
                Err(error) => error.to_string(),
            };
            if Instant::now() >= deadline {
                return Err(InjectorError(format!(
                    "the server was not ready within {} after the hook `restart`: {said}; correct the hook or `ready`, \
                     or allow more with `ready_within`",
                    humantime::format_duration(self.hooks.ready_within)
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Injector for Hooked {
    fn can(&self, what: Disturbance) -> bool {
        let hooks = &self.hooks;
        match what {
            Disturbance::Crash => hooks.crash.is_some() && hooks.restart.is_some(),
            Disturbance::Stop => hooks.stop.is_some() && hooks.restart.is_some(),
            Disturbance::Pause => hooks.pause.is_some() && hooks.resume.is_some(),
            Disturbance::Link(_) | Disturbance::Own(_) => false,
        }
    }

    fn inject(&mut self, what: Disturbance, _lease: Duration) -> Eventually<'_, ()> {
        Box::pin(async move {
            self.done = Some(what);
            match what {
                Disturbance::Crash => self.run("crash", self.hooks.crash.as_ref()).await,
                Disturbance::Stop => self.run("stop", self.hooks.stop.as_ref()).await,
                Disturbance::Pause => self.run("pause", self.hooks.pause.as_ref()).await,
                Disturbance::Link(_) | Disturbance::Own(_) => {
                    Err(InjectorError("hooks break no links".into()))
                }
            }
        })
    }

    fn heal(&mut self) -> Eventually<'_, bool> {
        Box::pin(async move {
            match self.done.take() {
                None | Some(Disturbance::Link(_) | Disturbance::Own(_)) => return Ok(false),
                Some(Disturbance::Pause) => {
                    self.run("resume", self.hooks.resume.as_ref()).await?;
                }
                Some(Disturbance::Crash | Disturbance::Stop) => {
                    self.run("restart", self.hooks.restart.as_ref()).await?;
                    self.until_ready().await?;
                }
            }
            Ok(true)
        })
    }
}
