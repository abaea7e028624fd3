//! The key rotation: keys that are lost or made in a rotation that is repeated, or cut off by a crash, in a process that is
//! killed for real. Slips that only requests at once show are with the server's own tests.

use std::process::{Command, Output};

use super::process::{all_are_found, flat, kept, steps};

fn keys(slip: Option<&str>, more: &[&str]) -> Output {
    kept("key-rotation", slip, more)
}

/// A slip, what is told of it, and the steps that the shortest plan has.
const IN_A_SEQUENCE: [(&str, &str, usize); 5] = [
    (
        "ignore_delete_count",
        "rotate answers something else than K6_nothing_more_happens says",
        // Six, with a second backup that is added; the plan that shows it first restores one that it has deleted.
        7,
    ),
    ("no_binding_move", "K5_bindings_follow does not hold", 5),
    (
        "restore_active_ok",
        "restore_backup must be refused: no_longer_active",
        5,
    ),
    ("whole_key_shown", "are_masked does not hold", 2),
    (
        "no_backup_deletes",
        "K1_as_many_keys_as_before does not hold",
        3,
    ),
];

/// The same of those that a crash shows. Where it is a matter of milliseconds whether a plan fails, it cannot be boiled
/// down as surely.
const IN_A_CRASH: [(&str, &str, usize); 2] = [
    ("delete_then_insert", "does not hold after", 10),
    ("insert_then_mark", "does not hold after", 10),
];

#[test]
fn what_a_sequence_shows_is_found() {
    all_are_found("key-rotation", &IN_A_SEQUENCE);
}

#[test]
fn what_a_crash_shows_is_found() {
    for (slip, check, most) in IN_A_CRASH {
        let calm = keys(Some(slip), &["--seeds", "0..10"]);
        assert_eq!(calm.status.code(), Some(0), "{slip}: {calm:?}");
        let faults = [
            "--faults",
            "network,process",
            "--fault-rate",
            "0.5",
            "--seeds",
            "0..25",
            "--fail-fast",
        ];
        let found = keys(Some(slip), &faults);
        let told = flat(&found);
        assert_eq!(found.status.code(), Some(1), "{slip}: {found:?}");
        assert!(told.contains(check), "{slip}: {told}");
        assert!(
            steps(&told).is_some_and(|steps| steps <= most),
            "{slip}: {told}"
        );
    }
}

#[test]
fn without_a_slip_the_same_plans_hold() {
    for faults in ["network,process", "crash"] {
        let held = keys(
            None,
            &[
                "--faults",
                faults,
                "--fault-rate",
                "0.5",
                "--seeds",
                "0..10",
            ],
        );
        assert_eq!(held.status.code(), Some(0), "{}", flat(&held));
    }
}

#[test]
fn the_demo_shows_a_rotation_that_is_repeated() {
    let demo = Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(["demo", "key-rotation"])
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&demo.stdout);
    assert_eq!(demo.status.code(), Some(1), "{demo:?}");
    assert!(told.contains("K6_nothing_more_happens"), "{told}");
}
