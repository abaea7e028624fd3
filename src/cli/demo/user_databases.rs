//! The user databases, in a process of its own, so that it can be killed.

use super::process::Apart;
use super::{Arguments, alone, list, no_derived_keys, unserved};
use crate::cli::terminal::Terminal;
use crate::cli::{Ending, Failure, RACE_RATE};
use crate::demo::user_databases::{self as server, Config, EncryptionKey, Slip, VARIABLE};
use crate::generate::{Fault, Faults};

/// The name of the demo.
const NAME: &str = "user-databases";

/// The model of the server, as it ships.
const PATH: &str = "models/user-databases.yaml";
const MODEL: &str = include_str!("../../../models/user-databases.yaml");

/// The slip of a demo that names none: the story of the incident.
const DEFAULT_SLIP: Slip = Slip::NoAuthRateLimits;

/// The slips that do not show while every client waits for its answer.
const NEED_A_FAULT: [Slip; 1] = [Slip::UserNotAtomic];
/// The slips that only show in requests that run at once.
const NEED_A_RACE: [Slip; 2] = [Slip::EngineBeforeTables, Slip::UpsertRace];
/// How many of the steps are faults then. Few of these come while a user is made.
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
    let secret = std::env::var(VARIABLE).unwrap_or_default();
    if arguments.serve {
        let config = Config {
            place: arguments.config(slips),
            encryption_key: EncryptionKey::new(&secret),
        };
        let served = server::serve(config).await;
        return alone(served.map_err(unserved)?, &bugs, terminal).await;
    }
    if !arguments.faults.given() && slips.iter().any(|slip| NEED_A_FAULT.contains(slip)) {
        faults = Faults {
            kinds: [&Fault::NETWORK[..], &Fault::PROCESS].concat(),
            ..Faults::network(RATE)
        };
    }
    let secret = match (slips.contains(&Slip::StartWithoutKey), secret.is_empty()) {
        // With one, nobody would see that it starts without.
        (true, _) => String::new(),
        (false, true) => format!("{:032x}", rand::random::<u128>()),
        (false, false) => secret,
    };
    let demo = Apart {
        name: NAME,
        model: (PATH, MODEL),
        what: "A server whose users have a file each",
        races: match slips.iter().any(|slip| NEED_A_RACE.contains(slip)) {
            true => RACE_RATE,
            false => 0.0,
        },
        env: vec![(VARIABLE.to_owned(), secret)],
        ready: "/api/v1/health",
        bugs,
    };
    demo.run(arguments, faults, terminal).await
}
