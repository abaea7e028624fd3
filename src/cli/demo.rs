//! `gainsay demo`: an embedded server with a planted bug, found, boiled down and explained.

use std::net::SocketAddr;
use std::sync::Arc;

use super::run::{ending, summarise};
use super::terminal::Terminal;
use super::{Ending, Failure, FaultOptions, seeds};
use crate::campaign::{self, campaign};
use crate::demo::deep_sci_fi::{self as server, Bug, Keys, ServeError};
use crate::drive::{Client, Limits};
use crate::generate::{Generator, Options, give, needed_accounts};
use crate::model::Model;
use crate::report;
use crate::run::{NO_PROCESS, Runner};

/// The model of the demo server, as it ships.
const MODEL: &str = include_str!("../../models/deep-sci-fi.yaml");

/// The bug of a demo that names none: deep enough to show what a plan is, and short enough to read.
const DEFAULT_BUG: Bug = Bug::SecondVoteCrashes;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Which planted bug, by name; several can be on at once
    #[arg(long, value_name = "NAME")]
    bug: Vec<Bug>,
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
    /// Where the server keeps its data: postgres://user:password@host:port/name, or the path of a SQLite file that is
    /// kept (a temporary SQLite file)
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    #[command(flatten)]
    faults: FaultOptions,
    /// The seeds, one plan each
    #[arg(long, value_name = "A..B", default_value = "0..25", value_parser = seeds)]
    seeds: std::ops::Range<u64>,
    /// Plans at once
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
}

pub(super) async fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, Failure> {
    if arguments.list {
        let width = Bug::ALL.iter().map(|b| b.name().len()).max().unwrap_or(0);
        let lines: Vec<_> = Bug::ALL
            .iter()
            .map(|bug| format!("{:width$}  {}", bug.name(), bug.about()))
            .collect();
        terminal.print(&lines.join("\n"));
        return Ok(Ending::Held);
    }
    let faults = arguments.faults.faults()?;
    if faults.need_a_process() {
        return Err(Failure::Usage(NO_PROCESS.into()));
    }
    let bugs = match (arguments.bug.is_empty(), arguments.sound || arguments.serve) {
        (true, false) => vec![DEFAULT_BUG],
        (true, true) => Vec::new(),
        (false, _) => arguments.bug.clone(),
    };
    let listen = SocketAddr::from(([127, 0, 0, 1], arguments.port));
    let admin_key = match arguments.serve {
        true => std::env::var("ADMIN_API_KEY")
            .ok()
            .filter(|key| !key.is_empty()),
        false => Some(format!("dsf_{}", uuid::Uuid::new_v4().simple())),
    };
    let demo = server::serve(server::Config {
        listen,
        bugs: bugs.clone(),
        keys: match arguments.derived_keys {
            true => Keys::Derived,
            false => Keys::Random,
        },
        admin_key: admin_key.clone(),
        database: arguments.database.clone(),
    })
    .await
    .map_err(refused)?;
    let names: Vec<_> = bugs.iter().map(|b| b.name()).collect();
    let planted = match names.is_empty() {
        true => "no bug".to_owned(),
        false => names.join(", "),
    };
    if arguments.serve {
        terminal.print(&demo.url());
        terminal.note(&format!(
            "the demo server, with {planted} on; Ctrl-C ends it"
        ));
        std::future::pending::<()>().await;
    }
    let model = Arc::new(
        Model::parse("models/deep-sci-fi.yaml", MODEL)
            .map_err(|e| Failure::Rendered(e.render(terminal.color, terminal.width)))?,
    );
    let client = Client::new(
        &demo.url(),
        Vec::new(),
        Limits::default(),
        model.tolerate.clone(),
        false,
    )?;
    let accounts = needed_accounts(&model);
    let generator = Generator::new(
        model.clone(),
        Options {
            accounts: accounts.clone(),
            faults,
            ..Options::default()
        },
    );
    terminal.note(&format!(
        "A server of the Deep Sci-Fi API runs at {} on a real SQL database, with {planted} planted in it.\n\
         Gainsay does not know that. It has the model, {} rules in models/deep-sci-fi.yaml, and makes {} plans of {} steps\n\
         by several principals: what the rules allow, what they refuse, and what nobody may do.\n",
        demo.url(),
        model.rules.len(),
        arguments.seeds.end - arguments.seeds.start,
        generator.steps(),
    ));
    let mut start = generator.start();
    for (kind, _) in accounts {
        // The only account that no rule makes is the administrator's.
        let key = admin_key.as_deref().unwrap_or_default();
        give(&model, &mut start, kind, &[("api_key", key.into())]);
    }
    let runner = Runner::new(model.clone(), client, start);
    let options = campaign::Options {
        seeds: arguments.seeds.clone(),
        jobs: arguments.jobs.clamp(1, 64),
        ..campaign::Options::default()
    };
    let mut progress = terminal.progress(options.seeds.end - options.seeds.start);
    let result = campaign(&generator, &runner, &options, &mut |event| {
        progress.show(&event)
    })
    .await;
    progress.finish();
    let report = result?;
    for found in &report.counterexamples {
        terminal.print(&report::story(&model, found, terminal.style()));
    }
    terminal.print(&report::summary(
        &model,
        &summarise(&report, &options),
        terminal.style(),
    ));
    terminal.note(&next_steps(&model, !bugs.is_empty()));
    demo.stop().await;
    Ok(ending(&report, false))
}

fn refused(error: ServeError) -> Failure {
    let text = error.to_string();
    match error {
        ServeError::UnsupportedDatabase { .. } => Failure::Usage(text),
        _ => Failure::Harness(text),
    }
}

fn next_steps(model: &Model, bug: bool) -> String {
    let try_it = match bug {
        true => "gainsay demo --sound                 the same without the bug: everything holds",
        false => "gainsay demo --bug sixth_dweller     with a bug planted",
    };
    format!(
        "\nTry next:\n  {try_it}\n  gainsay demo --list                  the other bugs that can be planted\n  \
         gainsay demo --serve --port 8000     the server by itself; then, elsewhere:\n  \
         gainsay run {} --url http://127.0.0.1:8000\n  \
         gainsay show {}       what the model says, as a rule book\n\
         (with cargo: cargo run --release -- demo …)",
        model.path, model.path
    )
}
