//! Faults that a program of the user's makes. It is told what to do by lines of JSON, and answers each with one.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::injector::{Disturbance, Eventually, Injector, InjectorError};
use super::process::Run;
use crate::generate::{Fault, OwnFault};

/// So long the program may take for one answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// So long it has to end once nobody talks to it any more.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks whether it has.
const POLL: Duration = Duration::from_millis(20);
/// The most bytes of a line.
const MAX_LINE: u64 = 1 << 20;
/// The version of the language.
const VERSION: u32 = 1;

/// How the program of a target is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginConfig {
    /// The program.
    pub run: Run,
    /// Where it is run.
    pub directory: PathBuf,
}

/// A program that makes faults. Dropped, it is given the time to undo what it did, and ends.
#[derive(Debug)]
pub struct Plugin {
    run: Run,
    child: Child,
    /// Until it is to end.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Of the faults of the server's process, those that it makes.
    process: Vec<Disturbance>,
    /// Those that only it knows.
    own: Vec<OwnFault>,
}

/// What it is told.
#[derive(Debug, Serialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Order<'a> {
    /// Say which faults there are.
    Describe { version: u32 },
    /// Make one. It ends by itself after the lease.
    Inject { fault: &'a str, lease_ms: u128 },
    /// End whatever was done, and answer when all is well again.
    Heal,
}

/// What it says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    /// Why it could not do what it was told.
    error: Option<String>,
    /// Whether what was done met anything; `true` where it does not know.
    fired: Option<bool>,
    faults: Vec<Offered>,
}

/// A fault that it makes.
#[derive(Debug, Deserialize)]
struct Offered {
    name: String,
    #[serde(default)]
    requests: Requests,
}

/// What a fault does to the requests under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Requests {
    /// Those that fail may have been applied.
    #[default]
    Maybe,
    /// They are answered all the same.
    Known,
}

impl Plugin {
    /// Starts the program, and asks it for its faults.
    ///
    /// # Errors
    ///
    /// Where it cannot be started, or does not say what it can do.
    pub async fn start(config: &PluginConfig) -> Result<Plugin, InjectorError> {
        let mut child = Command::from(config.run.command())
            .current_dir(&config.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt is for gainsay: the program has to undo what it did, once it is told no more.
            .process_group(0)
            .spawn()
            .map_err(|e| trouble(&config.run, &format!("cannot be run: {e}")))?;
        let (Some(orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(trouble(&config.run, "cannot be spoken to"));
        };
        let mut plugin = Plugin {
            run: config.run.clone(),
            child,
            orders: Some(orders),
            answers: BufReader::new(answers),
            process: Vec::new(),
            own: Vec::new(),
        };
        let told = plugin.tell(&Order::Describe { version: VERSION }).await?;
        for offered in told.faults {
            plugin.learn(&offered)?;
        }
        match plugin.process.is_empty() && plugin.own.is_empty() {
            true => Err(plugin.trouble("makes no faults; name some in its answer to `describe`")),
            false => Ok(plugin),
        }
    }

    fn learn(&mut self, offered: &Offered) -> Result<(), InjectorError> {
        let name = &offered.name;
        let process = match name.parse::<Fault>() {
            Ok(Fault::Crash) => Disturbance::Crash,
            Ok(Fault::Stop) => Disturbance::Stop,
            Ok(Fault::Pause) => Disturbance::Pause,
            Ok(_) => {
                let why = format!("offers `{name}`, which gainsay makes itself; rename it");
                return Err(self.trouble(&why));
            }
            Err(_) => {
                let Some(known) = OwnFault::named(name) else {
                    let why = format!(
                        "offers `{name}`; a fault is named by 1 to 32 of a-z, 0-9 and _, but not as a group is"
                    );
                    return Err(self.trouble(&why));
                };
                let open = offered.requests == Requests::Maybe;
                self.own.push(OwnFault { open, ..known });
                return Ok(());
            }
        };
        self.process.push(process);
        Ok(())
    }

    /// The faults that only it knows.
    pub fn own(&self) -> &[OwnFault] {
        &self.own
    }

    /// Whether it does anything to the server's process.
    pub fn has_process(&self) -> bool {
        !self.process.is_empty()
    }

    /// Lets it end, and waits until it has: it is to undo what it did once nobody talks to it.
    pub fn end(&mut self) {
        self.orders = None;
        let until = Instant::now() + ENDS_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= until {
                // It may have ended by now.
                let _ = self.child.start_kill();
                break;
            }
            std::thread::sleep(POLL);
        }
    }

    async fn tell(&mut self, order: &Order<'_>) -> Result<Answer, InjectorError> {
        let line = serde_json::to_string(order).map_err(|e| self.trouble(&e.to_string()))?;
        let answered = timeout(ANSWERS_WITHIN, self.ask(&line)).await;
        let (line, answer) = match answered {
            Err(_) => {
                let seconds = ANSWERS_WITHIN.as_secs();
                return Err(self.trouble(&format!("did not answer {line} within {seconds} s")));
            }
            Ok(Err(error)) => {
                return Err(self.trouble(&format!("does not answer {line}: {error}")));
            }
            Ok(Ok(answer)) if answer.is_empty() => {
                let why = format!(
                    "ended when it was told {line}; it is to read lines until there are no more"
                );
                return Err(self.trouble(&why));
            }
            Ok(Ok(answer)) => (line, answer),
        };
        let answer: Answer = serde_json::from_slice(&answer).map_err(|e| {
            self.trouble(&format!(
                "answered {line} with what is no answer ({e}); it is to write a line of JSON, such as {{}}"
            ))
        })?;
        match &answer.error {
            Some(error) => Err(self.trouble(&format!("could not do {line}: {error}"))),
            None => Ok(answer),
        }
    }

    async fn ask(&mut self, line: &str) -> std::io::Result<Vec<u8>> {
        let orders = (self.orders.as_mut()).ok_or(std::io::ErrorKind::BrokenPipe)?;
        orders.write_all(format!("{line}\n").as_bytes()).await?;
        orders.flush().await?;
        let mut answer = Vec::new();
        let mut bounded = (&mut self.answers).take(MAX_LINE);
        bounded.read_until(b'\n', &mut answer).await?;
        Ok(answer)
    }

    fn trouble(&self, what: &str) -> InjectorError {
        trouble(&self.run, what)
    }
}

fn trouble(run: &Run, what: &str) -> InjectorError {
    InjectorError(format!("the injector `{run}` {what}"))
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.end();
    }
}

impl Injector for Plugin {
    fn can(&self, what: Disturbance) -> bool {
        match what {
            Disturbance::Own(name) => self.own.iter().any(|own| own.name == name),
            Disturbance::Link(_) => false,
            what => self.process.contains(&what),
        }
    }

    fn inject(&mut self, what: Disturbance, lease: Duration) -> Eventually<'_, ()> {
        Box::pin(async move {
            let fault = match &what {
                Disturbance::Crash => Fault::Crash.name(),
                Disturbance::Stop => Fault::Stop.name(),
                Disturbance::Pause => Fault::Pause.name(),
                Disturbance::Own(name) => name.as_str(),
                Disturbance::Link(_) => return Err(self.trouble("breaks no links")),
            };
            let lease_ms = lease.as_millis();
            self.tell(&Order::Inject { fault, lease_ms }).await?;
            Ok(())
        })
    }

    fn heal(&mut self) -> Eventually<'_, bool> {
        Box::pin(async move {
            let told = self.tell(&Order::Heal).await?;
            Ok(told.fired.unwrap_or(true))
        })
    }
}
