//! Deep Sci-Fi, in this process.

use std::net::SocketAddr;

use super::{Arguments, drive, list, planted, shipped, until_told};
use crate::cli::terminal::Terminal;
use crate::cli::{Ending, Failure};
use crate::demo::deep_sci_fi::{self as server, Bug, Keys, ServeError};
use crate::drive::{Client, Limits};
use crate::generate::{Faults, Generator, Options, give, needed_accounts};
use crate::model::Model;
use crate::run::{NO_PROCESS, Runner};

/// The model of the server, as it ships.
const PATH: &str = "models/deep-sci-fi.yaml";
const MODEL: &str = include_str!("../../../models/deep-sci-fi.yaml");

/// The bug of a demo that names none: deep enough to show what a plan is, and short enough to read.
const DEFAULT_BUG: Bug = Bug::SecondVoteCrashes;

pub(super) async fn run(
    arguments: &Arguments,
    faults: Faults,
    terminal: &Terminal,
) -> Result<Ending, Failure> {
    if arguments.list {
        let bugs: Vec<_> = Bug::ALL.iter().map(|b| (b.name(), b.about())).collect();
        terminal.print(&list(&bugs));
        return Ok(Ending::Held);
    }
    if faults.need_a_process() {
        return Err(Failure::Usage(NO_PROCESS.into()));
    }
    let bugs = arguments.bugs(DEFAULT_BUG)?;
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
    if arguments.serve {
        until_told(&demo.url(), &names, terminal).await?;
        demo.stop().await;
        return Ok(Ending::Held);
    }
    let model = shipped(PATH, MODEL, terminal)?;
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
            races: arguments.races.races()?,
            ..Options::default()
        },
    );
    terminal.note(&format!(
        "A server of the Deep Sci-Fi API runs at {} on a real SQL database, with {} planted in it.\n\
         Gainsay does not know that. It has the model, {} rules in {PATH}, and makes {} plans of {} steps\n\
         by several principals: what the rules allow, what they refuse, and what nobody may do.\n",
        demo.url(),
        planted(&names),
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
    let ending = drive(arguments, &model, &generator, &runner, terminal).await?;
    terminal.note(&next_steps(&model, !bugs.is_empty()));
    demo.stop().await;
    Ok(ending)
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
         gainsay demo agent-service           another server, whose bug needs a crash\n  \
         gainsay demo --serve --port 8000     the server by itself; then, elsewhere:\n  \
         gainsay run {} --url http://127.0.0.1:8000\n  \
         gainsay show {}       what the model says, as a rule book\n\
         (with cargo: cargo run --release -- demo …)",
        model.path, model.path
    )
}
