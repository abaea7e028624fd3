//! The agent service, in a process of its own, so that it can be killed.

use super::process::Apart;
use super::{Arguments, alone, list, no_derived_keys, unserved};
use crate::cli::terminal::Terminal;
use crate::cli::{Ending, FAULT_RATE, Failure};
use crate::demo::agent_service::{self as server, Slip};
use crate::generate::{Fault, Faults};

/// The name of the demo.
const NAME: &str = "agent-service";

/// The model of the server, as it ships.
const PATH: &str = "models/agent-service.yaml";
const MODEL: &str = include_str!("../../../models/agent-service.yaml");

/// The slip of a demo that names none: the story of the incident.
const DEFAULT_SLIP: Slip = Slip::LazyPersist;

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
    // What this server is about does not show without any.
    if !arguments.faults.given() {
        faults = Faults {
            kinds: [&Fault::NETWORK[..], &Fault::PROCESS].concat(),
            ..Faults::network(FAULT_RATE)
        };
    }
    let demo = Apart {
        name: NAME,
        model: (PATH, MODEL),
        what: "A server of agents",
        races: 0.0,
        env: Vec::new(),
        ready: "/health",
        bugs,
    };
    demo.run(arguments, faults, terminal).await
}
