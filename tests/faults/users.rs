//! The user databases: strangers who are let in, users who are mixed up, and half a user whom a client leaves behind who
//! hangs up. Slips that only requests at once show are with the races.

use std::process::{Command, Output};

use super::process::{all_are_found, flat, kept, steps};

fn users(slip: Option<&str>, more: &[&str]) -> Output {
    kept("user-databases", slip, more)
}

/// A slip, what is told of it, and the steps that the shortest plan has.
const IN_A_SEQUENCE: [(&str, &str, usize); 8] = [
    (
        "no_auth_rate_limits",
        "rate_limit must be refused: unauthenticated",
        3,
    ),
    ("shared_db", "A2_", 6),
    (
        "engine_cache_by_prefix",
        "A5_key_opens_its_account does not hold",
        2,
    ),
    ("username_500", "the server fails at create_user", 2),
    ("softdelete_name", "create_content_anew must succeed", 4),
    ("revoke_cached", "must be refused: unauthenticated", 6),
    (
        "ws_no_auth",
        "watch_run must be refused: unauthenticated",
        4,
    ),
    ("ws_no_owner", "watch_run must be refused: hidden run", 5),
];

#[test]
fn what_a_sequence_shows_is_found() {
    all_are_found("user-databases", &IN_A_SEQUENCE);
}

#[test]
fn half_a_user_is_found() {
    let slip = Some("user_not_atomic");
    let calm = users(slip, &["--seeds", "0..10"]);
    assert_eq!(calm.status.code(), Some(0), "{}", flat(&calm));
    let faults = ["--faults", "network", "--fault-rate", "0.5"];
    let found = users(
        slip,
        &[&faults[..], &["--seeds", "0..50", "--fail-fast"]].concat(),
    );
    let told = flat(&found);
    assert_eq!(found.status.code(), Some(1), "{told}");
    assert!(told.contains("create_user must succeed"), "{told}");
    // How much of it is needed is a matter of milliseconds.
    assert!(steps(&told).is_some_and(|steps| steps <= 6), "{told}");
}

#[test]
fn without_a_slip_the_same_plans_hold() {
    let faults = ["--faults", "network,process", "--fault-rate", "0.5"];
    for more in [&[][..], &faults] {
        let held = users(None, &[more, &["--seeds", "0..10"]].concat());
        assert_eq!(held.status.code(), Some(0), "{}", flat(&held));
    }
}

fn gainsay(arguments: &[&str], encryption_key: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(["demo", "user-databases"])
        .args(arguments)
        .env("ENCRYPTION_KEY", encryption_key)
        .output()
        .expect("it runs")
}

#[test]
fn the_demo_needs_no_encryption_key_of_the_users() {
    let demo = gainsay(&[], "");
    let told = String::from_utf8_lossy(&demo.stdout);
    assert_eq!(demo.status.code(), Some(1), "{demo:?}");
    assert!(told.contains("must be refused: unauthenticated"), "{told}");
    let without = gainsay(&["--bug", "start_without_key"], "a long random text");
    let told = String::from_utf8_lossy(&without.stdout);
    assert!(
        told.contains("the server fails at save_provider_key"),
        "{told}"
    );
}

#[test]
fn a_server_by_itself_needs_one() {
    let refused = gainsay(&["--serve"], "");
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("export ENCRYPTION_KEY="), "{told}");
}

/// What comes of a run whose target has a start-up rule: without its key the server must not start.
fn without_its_key(how: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("its address").port().to_string();
    drop(free);
    let serve = [
        &[
            env!("CARGO_BIN_EXE_gainsay"),
            "demo",
            "user-databases",
            "--serve",
        ],
        &["--port", &port][..],
        how,
    ];
    let config = format!(
        "[target.local]\nurl = \"http://127.0.0.1:{port}\"\nserve = {:?}\nready = \"GET /health\"\n\
         env = {{ ENCRYPTION_KEY = \"a long random text\" }}\n\
         startup.without_key = {{ unset = [\"ENCRYPTION_KEY\"], starts = false }}\n",
        serve.concat()
    );
    std::fs::write(folder.path().join("gainsay.toml"), config).expect("a file");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/user-databases.yaml");
    Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args([
            "run", model, "--target", "local", "--seeds", "0..1", "--steps", "5",
        ])
        .current_dir(folder.path())
        .env_remove("ENCRYPTION_KEY")
        .output()
        .expect("it runs")
}

#[test]
fn a_server_that_starts_without_its_key_is_found_by_a_start_up_rule() {
    let held = without_its_key(&["--sound"]);
    assert_eq!(held.status.code(), Some(0), "{held:?}");
    let found = without_its_key(&["--bug", "start_without_key"]);
    let told = String::from_utf8_lossy(&found.stdout);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(told.contains("without_key"), "{told}");
}
