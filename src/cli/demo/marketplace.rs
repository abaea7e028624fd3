//! The marketplace of language models, in this process.

use super::{Arguments, alone, drive, list, no_derived_keys, planted, shipped, unserved};
use crate::cli::terminal::Terminal;
use crate::cli::{Ending, Failure, RACE_RATE};
use crate::demo::marketplace::{self as server, Slip};
use crate::drive::{Client, Limits};
use crate::generate::{Faults, Generator, Options};
use crate::run::{NO_PROCESS, Runner};

/// The model of the server, as it ships.
const PATH: &str = "models/marketplace-sessions.yaml";
const MODEL: &str = include_str!("../../../models/marketplace-sessions.yaml");

/// The slip of a demo that names none: the story of the incident.
const DEFAULT_SLIP: Slip = Slip::NoKeyLock;

pub(super) async fn run(
    arguments: &Arguments,
    faults: Faults,
    terminal: &Terminal,
) -> Result<Ending, Failure> {
    if arguments.list {
        let slips: Vec<_> = Slip::ALL.iter().map(|s| (s.name(), s.about())).collect();
        terminal.print(&list(&slips));
        return Ok(Ending::Held);
    }
    no_derived_keys(arguments, "marketplace")?;
    if faults.need_a_process() {
        return Err(Failure::Usage(NO_PROCESS.into()));
    }
    let slips = arguments.bugs(DEFAULT_SLIP)?;
    let names: Vec<_> = slips.iter().map(|s| s.name()).collect();
    let demo = server::serve(arguments.config(slips)).await;
    let demo = demo.map_err(unserved)?;
    if arguments.serve {
        return alone(demo, &names, terminal).await;
    }
    let model = shipped(PATH, MODEL, terminal)?;
    let limits = Limits::default();
    let client = Client::new(
        &demo.url(),
        Vec::new(),
        limits,
        model.tolerate.clone(),
        false,
    )?;
    let generator = Generator::new(
        model.clone(),
        Options {
            faults,
            // What this server is about shows only in requests that run at once.
            races: arguments.races.races_or(RACE_RATE)?,
            ..Options::default()
        },
    );
    terminal.note(&format!(
        "A marketplace of language models runs at {} on a SQLite file, with {} planted in it.\n\
         Gainsay does not know that. It has the model, {} rules in {PATH}, and makes {} plans of {} steps\n\
         by users and their API keys, each of which has one paid session at a time.\n",
        demo.url(),
        planted(&names),
        model.rules.len(),
        arguments.seeds.end - arguments.seeds.start,
        generator.steps(),
    ));
    let runner = Runner::new(model.clone(), client, generator.start());
    let ending = drive(arguments, &model, &generator, &runner, terminal).await?;
    terminal.note(
        "\nTry next:\n  gainsay demo marketplace --sound      the same without the bug: everything holds\n  \
         gainsay demo marketplace --list       the other bugs that can be planted\n\
         (with cargo: cargo run --release -- demo marketplace …)",
    );
    demo.stop().await;
    Ok(ending)
}
