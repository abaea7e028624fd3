//! The key rotation, in a process of its own, so that it can be killed.

use super::process::Apart;
use super::{Arguments, alone, list, no_derived_keys, unserved};
use crate::cli::terminal::Terminal;
use crate::cli::{Ending, Failure, RACE_RATE};
use crate::demo::key_rotation::{self as server, Slip};
use crate::generate::{Fault, Faults};

/// The name of the demo.
const NAME: &str = "key-rotation";

/// The model of the server, as it ships.
const PATH: &str = "models/key-rotation.yaml";
const MODEL: &str = include_str!("../../../models/key-rotation.yaml");

/// The slip of a demo that names none: the story of the incident.
const DEFAULT_SLIP: Slip = Slip::IgnoreDeleteCount;

/// The slips that do not show while the server stays alive.
const NEED_A_CRASH: [Slip; 2] = [Slip::DeleteThenInsert, Slip::InsertThenMark];
/// The slips that only show in requests that run at once.
const NEED_A_RACE: [Slip; 2] = [Slip::NonatomicClaim, Slip::BurnBackup];
/// How many of the steps are faults then. Few of these come while a rotation is under way.
const RATE: f64 = 0.5;

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
    let bugs: Vec<_> = slips.iter().map(|s| s.name()).collect();
    no_derived_keys(arguments, NAME)?;
    if arguments.serve {
        let served = server::serve(arguments.config(slips)).await;
        return alone(served.map_err(unserved)?, &bugs, terminal).await;
    }
    if !arguments.faults.given() && slips.iter().any(|slip| NEED_A_CRASH.contains(slip)) {
        faults = Faults {
            kinds: [&Fault::NETWORK[..], &Fault::PROCESS].concat(),
            ..Faults::network(RATE)
        };
    }
    let demo = Apart {
        name: NAME,
        model: (PATH, MODEL),
        what: "A server that rotates keys",
        races: match slips.iter().any(|slip| NEED_A_RACE.contains(slip)) {
            true => RACE_RATE,
            false => 0.0,
        },
        env: Vec::new(),
        ready: "/health",
        bugs,
    };
    demo.run(arguments, faults, terminal).await
}
