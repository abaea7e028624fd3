//! The server that a target's `serve` starts and gainsay owns: a process group of its own, a log, a wait until it is
//! ready, and an end that leaves nothing behind. Whatever goes wrong here is a harness error, never a violation.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use regex::Regex;
use reqwest::Url;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitIdOptions, WaitIdStatus, kill_process_group, test_kill_process_group, waitid,
};
use tempfile::TempPath;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::client::{Client, ClientError, Limits};
use super::history::Request;
use super::injector::{Disturbance, Eventually, Injector, InjectorError};
use crate::model::Statuses;

/// How long a server may take to stop by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long what was killed may take to be gone.
const LINGER: Duration = Duration::from_secs(1);
/// Between two looks at a process or a port.
const POLL: Duration = Duration::from_millis(25);
/// How much of the end of a log is read.
const TAIL_BYTES: u64 = 64 << 10;
/// How much of one line of a log is shown, in characters.
const LINE_CHARS: usize = 400;
/// How many lines of its log are kept with a counterexample.
const KEPT_LINES: usize = 200;
/// How many lines of its log an error shows.
const SHOWN_LINES: usize = 12;

/// How a process that found nothing wrong is said to have ended.
pub(super) const ENDED_WELL: &str = "exit code 0";

/// Reads until gainsay is gone, however it went, and then kills the server's group: `Drop` does not run on SIGKILL, on
/// abort and on `exit`. (dash wants `-s KILL`; it does not take `-KILL --`.)
const GUARD: &str = r#"trap '' HUP INT TERM; read -r _ || kill -s KILL -- "-$1""#;

/// How the server of a target is started.
#[derive(Clone, derive_more::Debug)]
pub struct Serve {
    /// What is run.
    pub run: Run,
    /// The environment beside gainsay's own; the values may be secret.
    #[debug("{:?}", env.iter().map(|(name, _)| name).collect::<Vec<_>>())]
    pub env: Vec<(String, String)>,
    /// What it does not get of gainsay's environment.
    pub unset: Vec<String>,
    /// Where it is run.
    pub directory: PathBuf,
    /// What must answer before it counts as ready; nothing means that its port accepts connections.
    pub ready: Option<Ready>,
    /// How long that may take.
    pub ready_within: Duration,
}

/// The command of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// Run by `sh -c`.
    Shell(String),
    /// A program and its arguments.
    Program(String, Vec<String>),
}

/// A request that a server answers with a status below 500 once it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// `GET`, …
    pub method: String,
    /// Its path, below that of the target.
    pub path: String,
}

impl Run {
    /// The command, with nothing said yet of where it runs and what it reads and writes.
    pub(super) fn command(&self) -> Command {
        match self {
            Run::Shell(line) => {
                let mut command = Command::new("sh");
                command.args(["-c", line]);
                command
            }
            Run::Program(program, arguments) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Run::Shell(line) => f.write_str(line),
            Run::Program(program, arguments) => {
                f.write_str(program)?;
                arguments.iter().try_for_each(|a| write!(f, " {a}"))
            }
        }
    }
}

/// Why there is no server to test. All of these are errors of the harness.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The target's address does not say where the server will be.
    #[error("cannot tell where the server will listen: {reason}; check the target's url, {url}")]
    Address {
        /// The address of the target.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something listens there already.
    #[error(
        "cannot start the server: something listens on {address} already; stop it, choose another port, or leave `serve` out to test what is there"
    )]
    Taken {
        /// The address.
        address: SocketAddr,
    },
    /// The directory that it should run in is none.
    #[error("cannot start the server: its directory {} does not exist; correct `directory`", path.display())]
    Directory {
        /// The path.
        path: PathBuf,
    },
    /// The log cannot be written.
    #[error("cannot write the server's log {}: {source}", path.display())]
    Log {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The command cannot be run.
    #[error("cannot run `{command}`: {source}; correct `serve`")]
    Spawn {
        /// The command.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error(
        "the server `{command}` ended with {exit} before it was ready; `serve` must be a command that stays in the foreground{}",
        shown(log)
    )]
    Exited {
        /// The command.
        command: String,
        /// `exit code 1`, or the signal.
        exit: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// It was not ready in time.
    #[error(
        "the server `{command}` was not ready within {}: {last}; correct `ready`, or allow more with `ready_within`{}",
        humantime::format_duration(*within), shown(log)
    )]
    NotReady {
        /// The command.
        command: String,
        /// The bound.
        within: Duration,
        /// What the last attempt came to.
        last: String,
        /// The last lines of its log.
        log: Vec<String>,
    },
    /// It cannot be asked whether it is ready.
    #[error("cannot ask the server whether it is ready: {0}")]
    Client(#[from] ClientError),
    /// It is still there although it was killed.
    #[error("the server, process {pid}, is still there after SIGKILL; end it by hand")]
    Remains {
        /// The id of the process.
        pid: i32,
    },
}

fn shown(log: &[String]) -> String {
    if log.is_empty() {
        return "; it wrote nothing".into();
    }
    format!("; the last it wrote:\n  | {}", log.join("\n  | "))
}

/// A server that gainsay started. It is killed, with all its children, when this is dropped, and when gainsay dies in
/// any other way; [`Server::stop`] lets it end by itself. A process that leaves the server's process group (a daemon)
/// escapes.
///
/// ```no_run
/// # async fn example(serve: gainsay::drive::Serve) -> Result<(), gainsay::drive::ServeError> {
/// use gainsay::drive::Server;
/// let mut server = Server::start(&serve, "http://127.0.0.1:8000", None).await?;
/// // … drive it …
/// server.stop().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    serve: Serve,
    url: Url,
    client: Client,
    log: PathBuf,
    /// Deletes the log in the end, where nobody asked for it.
    _temporary: Option<TempPath>,
    running: Option<Running>,
}

impl Server {
    /// Starts the server of the target at `url` and waits until it is ready. What it prints goes to `log`, or to a
    /// temporary file.
    ///
    /// # Errors
    ///
    /// [`ServeError`]; nothing runs any more then.
    pub async fn start(serve: &Serve, url: &str, log: Option<&Path>) -> Result<Server, ServeError> {
        let limits = Limits {
            timeout: serve.ready_within,
            max_body: 64 << 10,
            max_deferrals: 0,
            ..Limits::default()
        };
        // Remote is fine: nothing but this question is sent, and a name such as `app.test` may mean this machine.
        let client = Client::new(url, Vec::new(), limits, Statuses::default(), true)?;
        let (log, temporary) = match log {
            Some(path) => (path.to_owned(), None),
            None => {
                let file = tempfile::Builder::new()
                    .prefix("gainsay-server-")
                    .suffix(".log")
                    .tempfile()
                    .map_err(|source| ServeError::Log {
                        path: std::env::temp_dir(),
                        source,
                    })?;
                let path = file.into_temp_path();
                (path.to_path_buf(), Some(path))
            }
        };
        File::create(&log).map_err(|source| ServeError::Log {
            path: log.clone(),
            source,
        })?;
        let mut server = Server {
            serve: serve.clone(),
            url: client.base().clone(),
            client,
            log,
            _temporary: temporary,
            running: None,
        };
        server.launch().await?;
        Ok(server)
    }

    /// The file that holds what the server printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last `n` lines of what the server printed, without what a terminal would take as a command. They are the
    /// server's own words and may hold what a report must not show.
    pub fn last_lines(&self, n: usize) -> Vec<String> {
        // A log that cannot be read must not hide the error that it would have explained.
        tail(&self.log, 0, n).unwrap_or_default()
    }

    /// How the server ended, if it did so by itself: `exit code 1`, `signal 11`.
    pub fn exited(&self) -> Option<String> {
        self.running.as_ref().and_then(Running::exited)
    }

    /// Asks the server to end (SIGTERM to its group), and kills what is left of it after five seconds.
    ///
    /// # Errors
    ///
    /// [`ServeError::Remains`].
    pub async fn stop(&mut self) -> Result<(), ServeError> {
        let Some(mut running) = self.running.take() else {
            return Ok(());
        };
        running.signal(Signal::TERM);
        // Something that is paused would not notice.
        running.signal(Signal::CONT);
        running.gone_within(GRACE).await;
        running.finish().await
    }

    /// Kills the server and its children (SIGKILL to its group): a crash.
    ///
    /// # Errors
    ///
    /// [`ServeError::Remains`].
    pub async fn kill(&mut self) -> Result<(), ServeError> {
        match self.running.take() {
            Some(running) => running.finish().await,
            None => Ok(()),
        }
    }

    /// Stops the server, if it still runs, and starts it again with the same command; returns when it is ready. The log
    /// goes on.
    ///
    /// # Errors
    ///
    /// [`ServeError`]; nothing runs any more then.
    pub async fn restart(&mut self) -> Result<(), ServeError> {
        self.stop().await?;
        self.launch().await
    }

    /// Lets the server stand still, with its children (SIGSTOP to its group), until [`Server::resume`].
    pub fn pause(&self) {
        self.running
            .iter()
            .for_each(|running| running.signal(Signal::STOP));
    }

    /// Lets the server go on (SIGCONT to its group).
    pub fn resume(&self) {
        self.running
            .iter()
            .for_each(|running| running.signal(Signal::CONT));
    }

    async fn launch(&mut self) -> Result<(), ServeError> {
        if let Some(address) = self.listening().await? {
            return Err(ServeError::Taken { address });
        }
        self.running = Some(Running::spawn(&self.serve, &self.log)?);
        let Err(failure) = self.until_ready().await else {
            return Ok(());
        };
        self.kill().await?;
        let command = self.serve.run.to_string();
        let log = self.last_lines(SHOWN_LINES);
        Err(match failure {
            NeverReady::Exited(exit) => ServeError::Exited { command, exit, log },
            NeverReady::Late(last) => ServeError::NotReady {
                command,
                within: self.serve.ready_within,
                last,
                log,
            },
        })
    }

    async fn until_ready(&self) -> Result<(), NeverReady> {
        let deadline = Instant::now() + self.serve.ready_within;
        let mut last = "there was no time to ask".to_owned();
        loop {
            if let Some(exit) = self.exited() {
                return Err(NeverReady::Exited(exit));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NeverReady::Late(last));
            }
            tokio::select! {
                asked = tokio::time::timeout(left, self.ask()) => match asked {
                    Ok(Ok(())) => {
                        // Another process may have taken the port first, and ours given up.
                        return self.exited().map_or(Ok(()), |exit| Err(NeverReady::Exited(exit)));
                    }
                    Ok(Err(said)) => last = said,
                    Err(_) => last = "it took the question and did not answer".to_owned(),
                },
                // One that accepts connections and never answers must not hide that it ended.
                () = self.until_exited() => {}
            }
            sleep(POLL.min(left)).await;
        }
    }

    /// Asks once whether the server is ready; what it said instead, otherwise.
    async fn ask(&self) -> Result<(), String> {
        let Some(ready) = &self.serve.ready else {
            return match self.listening().await {
                Ok(Some(_)) => Ok(()),
                Ok(None) => Err(format!("nothing listens on {}", place(&self.url))),
                Err(error) => Err(error.to_string()),
            };
        };
        let request = Request {
            method: ready.method.clone(),
            path: ready.path.clone(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
        };
        let answer = self.client.send(&request, Instant::now()).await;
        match answer.map(|(_, response)| response.status) {
            Ok(status) if status < 500 => Ok(()),
            Ok(status) => Err(format!("{} {} answered {status}", ready.method, ready.path)),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn until_exited(&self) {
        while self.exited().is_none() {
            sleep(POLL).await;
        }
    }

    /// The address of the target that accepts connections, if one does.
    async fn listening(&self) -> Result<Option<SocketAddr>, ServeError> {
        let bad = |reason: String| ServeError::Address {
            url: self.url.to_string(),
            reason,
        };
        let host = self.url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = self
            .url
            .port_or_known_default()
            .ok_or_else(|| bad("it names no port".into()))?;
        let found = tokio::net::lookup_host((host, port)).await;
        for address in found.map_err(|e| bad(format!("{host} has no address ({e})")))? {
            let connected = tokio::time::timeout(LINGER, TcpStream::connect(address)).await;
            if let Ok(Ok(stream)) = connected {
                // A connection to a free port above 32768 can meet itself; that is nobody listening.
                if stream.local_addr().ok() != stream.peer_addr().ok() {
                    return Ok(Some(address));
                }
            }
        }
        Ok(None)
    }
}

impl Injector for Server {
    fn can(&self, what: Disturbance) -> bool {
        !matches!(what, Disturbance::Link(_) | Disturbance::Own(_))
    }

    fn written(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    fn wrote_since(&self, bytes: u64) -> Vec<String> {
        // A log that cannot be read must not hide the failure that it would have explained.
        tail(&self.log, bytes, KEPT_LINES).unwrap_or_default()
    }

    fn inject(&mut self, what: Disturbance, _lease: Duration) -> Eventually<'_, ()> {
        Box::pin(async move {
            let failed = |error: ServeError| InjectorError(error.to_string());
            match what {
                Disturbance::Crash => self.kill().await.map_err(failed),
                Disturbance::Stop => self.stop().await.map_err(failed),
                Disturbance::Pause => {
                    self.pause();
                    Ok(())
                }
                Disturbance::Link(_) | Disturbance::Own(_) => {
                    Err(InjectorError("a server is no link".into()))
                }
            }
        })
    }

    /// Lets it go on, or starts it again, if it does not run any more.
    fn heal(&mut self) -> Eventually<'_, bool> {
        Box::pin(async move {
            match self.running {
                Some(_) => self.resume(),
                None => {
                    let launched = self.launch().await;
                    launched.map_err(|error| InjectorError(error.to_string()))?;
                }
            }
            Ok(true)
        })
    }
}

enum NeverReady {
    Exited(String),
    Late(String),
}

/// One life of the server. Its leader is not reaped before the end, not even when it exited: until then nobody else can
/// get the number of its group.
#[derive(Debug)]
struct Running {
    leader: Child,
    group: Pid,
    guard: Child,
    reaped: bool,
    slain: bool,
}

impl Running {
    fn spawn(serve: &Serve, log: &Path) -> Result<Running, ServeError> {
        if !serve.directory.is_dir() {
            return Err(ServeError::Directory {
                path: serve.directory.clone(),
            });
        }
        let unwritable = |source| ServeError::Log {
            path: log.to_owned(),
            source,
        };
        // Both streams append, so neither writes over the other, nor over what an earlier life said.
        let out = OpenOptions::new().append(true).open(log);
        let out = out.map_err(unwritable)?;
        let err = out.try_clone().map_err(unwritable)?;
        let mut command = serve.run.command();
        command.envs(serve.env.iter().map(|(name, value)| (name, value)));
        for name in &serve.unset {
            command.env_remove(name);
        }
        let mut leader = command
            .current_dir(&serve.directory)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(|source| ServeError::Spawn {
                command: serve.run.to_string(),
                source,
            })?;
        let group = Pid::from_child(&leader);
        let guard = Command::new("sh")
            .args(["-c", GUARD, "gainsay-guard", &group.to_string()])
            // Not the server's group, which can be paused; not gainsay's, which Ctrl-C ends.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => Ok(Running {
                leader,
                group,
                guard,
                reaped: false,
                slain: false,
            }),
            Err(source) => {
                // Without a guard there is no server; what these say would add nothing.
                let _ = kill_process_group(group, Signal::KILL);
                let _ = leader.wait();
                Err(ServeError::Spawn {
                    command: "sh".into(),
                    source,
                })
            }
        }
    }

    fn exited(&self) -> Option<String> {
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status: WaitIdStatus =
            waitid(rustix::process::WaitId::Pid(self.group), peek).ok()??;
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown status".into(),
        })
    }

    /// Sends a signal to all processes of the group.
    fn signal(&self, signal: Signal) {
        // It fails where nobody is left, which is fine, and where the server changed its user; then it remains, and
        // the end says so.
        if !self.reaped {
            let _ = kill_process_group(self.group, signal);
        }
    }

    /// Whether nothing of the group is left; reaps its leader.
    fn gone(&mut self) -> bool {
        self.reaped = self.reaped || !matches!(self.leader.try_wait(), Ok(None));
        self.reaped && test_kill_process_group(self.group) == Err(Errno::SRCH)
    }

    async fn gone_within(&mut self, bound: Duration) {
        let deadline = Instant::now() + bound;
        while !self.gone() && Instant::now() < deadline {
            sleep(POLL).await;
        }
    }

    /// Kills whatever is left.
    fn slay(&mut self) {
        // Before its leader is reaped, or while a child of it is left: so nobody else can have the group's number.
        if !self.reaped || !self.gone() {
            let _ = kill_process_group(self.group, Signal::KILL);
        }
        // The guard last, so that there is no moment at which gainsay's end would leave a server behind.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        self.slain = true;
    }

    async fn finish(mut self) -> Result<(), ServeError> {
        self.slay();
        self.gone_within(LINGER).await;
        // Orphans that process 1 is slow to reap are dead all the same; only the leader is ours to wait for.
        match self.reaped {
            true => Ok(()),
            false => Err(ServeError::Remains {
                pid: self.group.as_raw_pid(),
            }),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.slain && self.reaped {
            return;
        }
        self.slay();
        let deadline = Instant::now() + LINGER;
        while !self.gone() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Host and port of an address.
fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The last lines of a file that begin after some bytes; only its end is read.
fn tail(path: &Path, after: u64, lines: usize) -> io::Result<Vec<String>> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES).max(after);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut last: Vec<String> = text.lines().rev().take(lines).map(plain).collect();
    last.reverse();
    Ok(last)
}

/// A line without colours and other control characters, and not too long.
fn plain(line: &str) -> String {
    static ESCAPES: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\x1b\[[0-9;?]*[ -/]*[@-~]").ok());
    let line = match ESCAPES.as_ref() {
        Some(escapes) => escapes.replace_all(line, ""),
        None => line.into(),
    };
    let line = line.chars().filter(|c| !c.is_control() || *c == '\t');
    line.take(LINE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_bounded_and_plain() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let long = "x".repeat(10_000);
        let mut text = format!("{long}\n").repeat(20);
        text.push_str("one\n\u{1b}[31mtwo\u{1b}[0m\u{7}\r\nthree\u{fffd}");
        fs::write(&path, text).unwrap();
        assert_eq!(tail(&path, 0, 2).unwrap(), ["two", "three\u{fffd}"]);
        let all = tail(&path, 0, 1000).unwrap();
        assert!(all.len() < 12, "{}", all.len());
        assert!(all.iter().all(|line| line.len() <= LINE_CHARS));
        assert!(tail(&folder.path().join("none"), 0, 2).is_err());
    }

    #[test]
    fn the_environment_of_a_server_is_not_shown() {
        let serve = Serve {
            run: Run::Shell("true".into()),
            env: vec![("TOKEN".into(), "hidden".into())],
            unset: Vec::new(),
            directory: ".".into(),
            ready: None,
            ready_within: Duration::from_secs(1),
        };
        let shown = format!("{serve:?}");
        assert!(
            shown.contains("TOKEN") && !shown.contains("hidden"),
            "{shown}"
        );
    }
}
