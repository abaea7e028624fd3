//! A demo whose server is a process of its own, so that it can be killed: this program itself, which serves.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Arguments, drive, planted, shipped};
use crate::cli::terminal::Terminal;
use crate::cli::{Ending, Failure};
use crate::drive::{Client, Limits, Ready, Run, Serve, Server};
use crate::generate::{Faults, Generator, Options};
use crate::run::Runner;

/// So long the server may take to start.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Such a demo.
pub(super) struct Apart {
    /// As the command line has it.
    pub name: &'static str,
    /// Where the model is in the repository, and its text.
    pub model: (&'static str, &'static str),
    /// What the server is: `A server of agents`.
    pub what: &'static str,
    /// The bugs that are planted.
    pub bugs: Vec<&'static str>,
    /// The environment that the server needs.
    pub env: Vec<(String, String)>,
    /// What answers once it is ready.
    pub ready: &'static str,
    /// Of the steps that change something, so many run against others where nobody says how many.
    pub races: f64,
}

impl Apart {
    /// Starts the server, and drives plans against it.
    pub(super) async fn run(
        &self,
        arguments: &Arguments,
        faults: Faults,
        terminal: &Terminal,
    ) -> Result<Ending, Failure> {
        let folder = tempfile::Builder::new()
            .prefix(&format!("{}-", self.name))
            .tempdir()
            .map_err(|e| Failure::Harness(format!("cannot make a temporary directory: {e}")))?;
        let port = match arguments.port {
            0 => free_port()?,
            port => port,
        };
        let url = format!("http://127.0.0.1:{port}");
        let database = match &arguments.database {
            Some(path) => PathBuf::from(path),
            None => folder.path().join("kept.sqlite"),
        };
        let serve = self.this_program(port, &database)?;
        let (path, text) = self.model;
        let model = shipped(path, text, terminal)?;
        let limits = Limits::default();
        let client = Client::new(&url, Vec::new(), limits, model.tolerate.clone(), false)?;
        let started = Server::start(&serve, &url, None).await;
        let process = started.map_err(|e| Failure::Harness(e.to_string()))?;
        let process = Arc::new(Mutex::new(process));
        let trouble = match faults.are_on() {
            true => {
                ",\nin which requests fail on their way, or the server is killed and started again"
            }
            false => "",
        };
        let options = Options {
            faults,
            races: arguments.races.races_or(self.races)?,
            ..Options::default()
        };
        let generator = Generator::new(model.clone(), options);
        terminal.note(&format!(
            "{} runs at {url}, a process of its own on a SQLite file, with {} planted in it.\n\
             Gainsay does not know that. It has the model, {} rules in {path}, and makes {} plans of {} steps{trouble}.\n",
            self.what,
            planted(&self.bugs),
            model.rules.len(),
            arguments.seeds.end - arguments.seeds.start,
            generator.steps(),
        ));
        let runner =
            Runner::new(model.clone(), client, generator.start()).with_process(process.clone());
        let driven = drive(arguments, &model, &generator, &runner, terminal).await;
        let stopped = process.lock().await.stop().await;
        let ending = driven?;
        stopped.map_err(|e| Failure::Harness(e.to_string()))?;
        let name = self.name;
        terminal.note(&format!(
            "\nTry next:\n  gainsay demo {name} --sound      the same without the bug: everything holds\n  \
             gainsay demo {name} --list       the other bugs that can be planted\n\
             (with cargo: cargo run --release -- demo {name} …)",
        ));
        Ok(ending)
    }

    /// This program as the server, with the bugs.
    fn this_program(&self, port: u16, database: &Path) -> Result<Serve, Failure> {
        let program = std::env::current_exe()
            .map_err(|e| Failure::Harness(format!("cannot find this program itself: {e}")))?;
        let mut arguments: Vec<String> = ["demo", self.name, "--serve", "--port"]
            .map(String::from)
            .to_vec();
        arguments.push(port.to_string());
        arguments.push("--database".to_owned());
        arguments.push(database.display().to_string());
        for bug in &self.bugs {
            arguments.extend(["--bug".to_owned(), (*bug).to_owned()]);
        }
        Ok(Serve {
            run: Run::Program(program.display().to_string(), arguments),
            env: self.env.clone(),
            unset: Vec::new(),
            directory: ".".into(),
            ready: Some(Ready {
                method: "GET".into(),
                path: self.ready.into(),
            }),
            ready_within: READY_WITHIN,
        })
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| Failure::Harness(format!("there is no free port: {e}")))
}
