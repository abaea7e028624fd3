//! The agent service: what was acknowledged and lost, by crashes and broken connections, in a process that is killed for
//! real. Each of its slips is found, and without any the same plans hold.

use std::process::{Command, Output};

use super::process::{flat, kept, steps};

fn service(slip: Option<&str>, more: &[&str]) -> Output {
    kept("agent-service", slip, more)
}

/// A slip, the faults that show it, what is told of it in one way or another, and the steps that the shortest plan has at
/// most. Where it is a matter of milliseconds whether a plan fails, it cannot be boiled down as surely.
const SLIPS: [(&str, &str, &str, usize); 12] = [
    ("lazy_persist", "process", "killed", 2),
    (
        "read_back",
        "abandoned,crash",
        "listed_once does not hold after create_agent",
        10,
    ),
    ("two_stores", "abandoned,crash", "listed", 10),
    ("stale_copy", "process", "killed", 6),
    (
        "no_txn",
        "abandoned,crash",
        "does not hold after create_agent",
        10,
    ),
    ("delete_in_two_steps", "process", "killed", 3),
    ("key_in_memory", "network,process", "does not hold after", 4),
    (
        "key_of_anything",
        "key",
        "takes the idempotency key of another request",
        2,
    ),
    ("delete_200_missing", "network", "must be refused", 3),
    ("list_from_cache", "network", "does not hold after", 3),
    (
        "limit_of_new_only",
        "network",
        // Also where it is sent, and nobody waits for its answer: then what is read tells.
        "change_block must be refused: within_the_old_limit|block_reads_back does not hold after change_block",
        3,
    ),
    (
        "message_half_stored",
        "abandoned",
        "messages_in_order does not hold after tell",
        10,
    ),
];

/// Whether a plan fails can be a matter of milliseconds, on a machine that others use: so often it may be tried to boil
/// one down. It has to be found each time.
const TRIES: usize = 3;

#[test]
fn every_slip_is_found() {
    for (slip, faults, check, most) in SLIPS {
        let faults = [
            "--faults",
            faults,
            "--fault-rate",
            "0.5",
            "--seeds",
            "0..25",
            "--fail-fast",
        ];
        let boiled_down = || {
            let found = service(Some(slip), &faults);
            let told = flat(&found);
            assert_eq!(found.status.code(), Some(1), "{slip}: {found:?}");
            assert!(
                check.split('|').any(|way| told.contains(way)),
                "{slip}: {told}"
            );
            steps(&told).unwrap_or_else(|| panic!("{slip}: no steps in {told}"))
        };
        let fewest = (0..TRIES)
            .map(|_| boiled_down())
            .find(|steps| *steps <= most);
        assert!(fewest.is_some(), "{slip}: never {most} steps or fewer");
    }
}

#[test]
fn without_a_slip_the_same_plans_hold() {
    let faults = [
        "--faults",
        "network,process",
        "--fault-rate",
        "0.5",
        "--seeds",
        "0..25",
    ];
    holds(
        &faults,
        &["crash ×", "stop ×", "pause ×", "abandoned ×", "key ×"],
    );
}

/// The sound service holds under some plans, of which all this is told.
fn holds(plans: &[&str], parts: &[&str]) {
    let held = service(None, plans);
    let told = flat(&held);
    assert_eq!(held.status.code(), Some(0), "{told}");
    for part in parts {
        assert!(told.contains(part), "no {part} in {told}");
    }
}

/// Of two requests with one idempotency key that run at once, either may be the one that takes effect; and what another
/// client sends with the same key is the same request.
#[test]
fn requests_with_one_key_may_run_at_once() {
    let faults = [
        "--races",
        "--faults",
        "network,key",
        "--seeds",
        "2000..2060",
    ];
    holds(
        &faults,
        &["races; their branches", "swallowed ×", "twice ×"],
    );
}

/// What the case study says of each window: no sequence of requests shows it while all of them arrive, and nothing dies.
#[test]
fn the_windows_do_not_show_without_faults() {
    for slip in [
        "lazy_persist",
        "read_back",
        "two_stores",
        "stale_copy",
        "no_txn",
        "delete_in_two_steps",
    ] {
        let held = service(Some(slip), &["--seeds", "0..25"]);
        assert_eq!(held.status.code(), Some(0), "{slip}: {held:?}");
    }
}

#[test]
fn the_demo_kills_a_server_of_its_own() {
    let demo = Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args([
            "demo",
            "agent-service",
            "--faults",
            "crash",
            "--seeds",
            "0..8",
        ])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&demo.stdout);
    assert_eq!(demo.status.code(), Some(1), "{demo:?}");
    assert!(told.contains("does not hold after a crash"), "{told}");
    assert!(told.contains("creations got through"), "{told}");
}
