//! The agent service, in a process of its own, so that it can be killed.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Arguments, drive, list, planted, shipped, until_told};
use crate::cli::terminal::Terminal;
use crate::cli::{Ending, FAULT_RATE, Failure};
use crate::demo::agent_service::{self as server, Slip};
use crate::drive::{Client, Limits, Ready, Run, Serve, Server};
use crate::generate::{Fault, Faults, Generator, Options};
use crate::run::Runner;

/// The model of the server, as it ships.
const PATH: &str = "models/agent-service.yaml";
const MODEL: &str = include_str!("../../../models/agent-service.yaml");

/// The slip of a demo that names none: the story of the incident.
const DEFAULT_SLIP: Slip = Slip::LazyPersist;

/// So long the server may take to start.
const READY_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn run(
    arguments: &Arguments,
    mut faults: Faults,
    terminal: &Terminal,
) -> Result<Ending, Failure> {
    if arguments.list {
        let slips: Vec<_> = Slip::ALL.iter().map(|s| (s.name(), s.about())).collect();
        terminal.print(&list(&slips));
        return Ok(Ending::Held);
    }
    let slips = arguments.bugs(DEFAULT_SLIP)?;
    let names: Vec<_> = slips.iter().map(|s| s.name()).collect();
    if arguments.derived_keys {
        return Err(Failure::Usage(
            "--derived-keys is about the accounts of deep-sci-fi; agent-service has none".into(),
        ));
    }
    if arguments.serve {
        return serve(arguments, slips, &names, terminal).await;
    }
    // What this server is about does not show without any.
    if !arguments.faults.given() {
        faults = Faults {
            kinds: [&Fault::NETWORK[..], &Fault::PROCESS].concat(),
            ..Faults::network(FAULT_RATE)
        };
    }
    let folder = tempfile::Builder::new()
        .prefix("agent-service-")
        .tempdir()
        .map_err(|e| Failure::Harness(format!("cannot make a temporary directory: {e}")))?;
    let port = match arguments.port {
        0 => free_port()?,
        port => port,
    };
    let url = format!("http://127.0.0.1:{port}");
    let database = match &arguments.database {
        Some(path) => PathBuf::from(path),
        None => folder.path().join("agents.sqlite"),
    };
    let serve = this_program(port, &database, &names)?;
    let model = shipped(PATH, MODEL, terminal)?;
    let limits = Limits::default();
    let client = Client::new(&url, Vec::new(), limits, model.tolerate.clone(), false)?;
    let started = Server::start(&serve, &url, None).await;
    let process = started.map_err(|e| Failure::Harness(e.to_string()))?;
    let process = Arc::new(Mutex::new(process));
    let generator = Generator::new(
        model.clone(),
        Options {
            faults,
            races: arguments.races.races()?,
            ..Options::default()
        },
    );
    terminal.note(&format!(
        "A server of agents runs at {url}, a process of its own on a SQLite file, with {} planted in it.\n\
         Gainsay does not know that. It has the model, {} rules in {PATH}, and makes {} plans of {} steps,\n\
         in which connections break, answers are lost, and the server is killed and started again.\n",
        planted(&names),
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
    terminal.note(
        "\nTry next:\n  gainsay demo agent-service --sound      the same without the bug: everything holds\n  \
         gainsay demo agent-service --list       the other bugs that can be planted\n\
         (with cargo: cargo run --release -- demo agent-service …)",
    );
    Ok(ending)
}

/// The server by itself, until somebody ends it.
async fn serve(
    arguments: &Arguments,
    slips: Vec<Slip>,
    names: &[&str],
    terminal: &Terminal,
) -> Result<Ending, Failure> {
    let demo = server::serve(server::Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)),
        database: arguments.database.as_ref().map(PathBuf::from),
        slips,
    })
    .await
    .map_err(|e| Failure::Harness(e.to_string()))?;
    until_told(&demo.url(), names, terminal).await?;
    demo.stop().await;
    Ok(Ending::Held)
}

/// This program as the server, with the slips.
fn this_program(port: u16, database: &Path, slips: &[&str]) -> Result<Serve, Failure> {
    let program = std::env::current_exe()
        .map_err(|e| Failure::Harness(format!("cannot find this program itself: {e}")))?;
    let mut arguments: Vec<String> = ["demo", "agent-service", "--serve", "--port"]
        .map(String::from)
        .to_vec();
    arguments.push(port.to_string());
    arguments.push("--database".to_owned());
    arguments.push(database.display().to_string());
    for slip in slips {
        arguments.extend(["--bug".to_owned(), (*slip).to_owned()]);
    }
    Ok(Serve {
        run: Run::Program(program.display().to_string(), arguments),
        env: Vec::new(),
        directory: ".".into(),
        ready: Some(Ready {
            method: "GET".into(),
            path: "/health".into(),
        }),
        ready_within: READY_WITHIN,
    })
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| Failure::Harness(format!("there is no free port: {e}")))
}
