//! `gainsay demo`: a server with a planted bug, found, boiled down and explained. The servers are those of the case
//! studies.

mod agent_service;
mod deep_sci_fi;
mod key_rotation;
mod marketplace;
mod process;
mod user_databases;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use super::run::{driven, ending, summarise};
use super::terminal::Terminal;
use super::{Ending, Failure, FaultOptions, RaceOptions, seeds};
use crate::campaign;
use crate::demo::host;
use crate::generate::Generator;
use crate::model::Model;
use crate::report;
use crate::run::{NO_LINKS, Runner};

/// The servers that can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Api {
    /// Agents propose worlds and judge each other's; more than a hundred bugs that sequences of requests show
    DeepSciFi,
    /// Agents with memory, messages and an archive; its bugs lose in a crash what was acknowledged
    AgentService,
    /// Keys that pay for sessions with language models; its bugs need requests that run at once
    Marketplace,
    /// Keys that are replaced by backups; its bugs lose one or make one too many, some of them only in a crash or a race
    KeyRotation,
    /// Users with a file each; its bugs let strangers in, or show users what is not theirs
    UserDatabases,
}

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which server
    #[arg(value_enum, default_value = "deep-sci-fi", hide_default_value = false)]
    api: Api,
    /// Which planted bug, by name; several can be on at once
    #[arg(long, value_name = "NAME")]
    bug: Vec<String>,
    /// No bug at all: everything should hold
    #[arg(long, conflicts_with = "bug")]
    sound: bool,
    /// The server derives the key of an account from what its registration says, and answers one that is sent again with
    /// the account that exists
    #[arg(long)]
    derived_keys: bool,
    /// List the planted bugs
    #[arg(long)]
    list: bool,
    /// Only serve, until Ctrl-C
    #[arg(long)]
    serve: bool,
    /// The port of the server (any that is free)
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Where the server keeps its data: the path of a SQLite file that is kept, or, for deep-sci-fi,
    /// postgres://user:password@host:port/name (a temporary SQLite file)
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    #[command(flatten)]
    faults: FaultOptions,
    #[command(flatten)]
    races: RaceOptions,
    /// The seeds, one plan each
    #[arg(long, value_name = "A..B", default_value = "0..25", value_parser = seeds)]
    seeds: std::ops::Range<u64>,
    /// Plans at once
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
}

pub(super) async fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, Failure> {
    let mut faults = arguments.faults.faults()?;
    faults.offer(&[])?;
    if faults.need_links() {
        return Err(Failure::Usage(NO_LINKS.into()));
    }
    match arguments.api {
        Api::DeepSciFi => deep_sci_fi::run(arguments, faults, terminal).await,
        Api::AgentService => agent_service::run(arguments, faults, terminal).await,
        Api::Marketplace => marketplace::run(arguments, faults, terminal).await,
        Api::KeyRotation => key_rotation::run(arguments, faults, terminal).await,
        Api::UserDatabases => user_databases::run(arguments, faults, terminal).await,
    }
}

impl Arguments {
    /// What a server with slips is to be.
    fn config<S>(&self, slips: Vec<S>) -> host::Config<S> {
        host::Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            database: self.database.as_ref().map(PathBuf::from),
            slips,
        }
    }

    /// The bugs that are asked for: none of a server that is sound or only serves, otherwise one at least.
    fn bugs<B>(&self, default: B) -> Result<Vec<B>, Failure>
    where
        B: FromStr,
        B::Err: ToString,
    {
        match (self.bug.is_empty(), self.sound || self.serve) {
            (true, false) => Ok(vec![default]),
            _ => (self.bug.iter())
                .map(|name| {
                    name.parse()
                        .map_err(|e: B::Err| Failure::Usage(e.to_string()))
                })
                .collect(),
        }
    }
}

/// The names of bugs with what they are, one a line.
fn list(bugs: &[(&str, &str)]) -> String {
    let width = bugs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = bugs
        .iter()
        .map(|(name, about)| format!("{name:width$}  {about}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The names of bugs, as a sentence has them.
fn planted(names: &[&str]) -> String {
    match names.is_empty() {
        true => "no bug".to_owned(),
        false => names.join(", "),
    }
}

/// A server by itself, until somebody ends it.
async fn alone(
    server: host::Server,
    names: &[&str],
    terminal: &Terminal,
) -> Result<Ending, Failure> {
    until_told(&server.url(), names, terminal).await?;
    server.stop().await;
    Ok(Ending::Held)
}

/// A server that did not start.
fn unserved(error: host::ServeError) -> Failure {
    Failure::Harness(error.to_string())
}

/// Refuses an option that is about deep-sci-fi only.
fn no_derived_keys(arguments: &Arguments, name: &str) -> Result<(), Failure> {
    match arguments.derived_keys {
        true => Err(Failure::Usage(format!(
            "--derived-keys is about the accounts of deep-sci-fi; {name} has none"
        ))),
        false => Ok(()),
    }
}

/// A model that ships.
fn shipped(path: &str, text: &str, terminal: &Terminal) -> Result<Arc<Model>, Failure> {
    let model = Model::parse(path, text)
        .map_err(|e| Failure::Rendered(e.render(terminal.color, terminal.width)))?;
    Ok(Arc::new(model))
}

/// Says where a server is, and waits until somebody ends it: by Ctrl-C, which ends this process, or by SIGTERM.
async fn until_told(url: &str, names: &[&str], terminal: &Terminal) -> Result<(), Failure> {
    let mut told = signal(SignalKind::terminate())
        .map_err(|e| Failure::Harness(format!("cannot wait for signals: {e}")))?;
    terminal.print(url);
    terminal.note(&format!(
        "the demo server, with {} on; Ctrl-C ends it",
        planted(names)
    ));
    told.recv().await;
    Ok(())
}

/// Drives plans, and reports.
async fn drive(
    arguments: &Arguments,
    model: &Model,
    generator: &Generator,
    runner: &Runner,
    terminal: &Terminal,
) -> Result<Ending, Failure> {
    let options = campaign::Options {
        seeds: arguments.seeds.clone(),
        jobs: arguments.jobs.clamp(1, 64),
        ..campaign::Options::default()
    };
    let report = driven(generator, runner, &options, terminal).await?;
    for found in &report.counterexamples {
        terminal.print(&report::story(model, found, terminal.style()));
    }
    terminal.print(&report::summary(
        model,
        &summarise(&report, &options),
        terminal.style(),
    ));
    Ok(ending(&report, false))
}
