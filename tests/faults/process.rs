//! Servers that are killed, stopped and held, by the binary as users run it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn has_python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        println!("skipped: python3 is not installed");
    }
    there
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

pub fn run(folder: &Path, model: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .current_dir(folder)
        .arg("run")
        .arg(root().join(model))
        .args(["--target", "it", "--snapshots", "found"])
        .args(more)
        .env_remove("CI")
        .output()
        .expect("it runs")
}

/// A demo server, or one with a slip, in a process of its own and on a file that is kept.
pub fn kept(name: &str, slip: Option<&str>, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let binary = env!("CARGO_BIN_EXE_gainsay");
    let slip = slip.map_or(String::new(), |slip| format!(", \"--bug\", \"{slip}\""));
    let config = format!(
        "[target.it]\nurl = \"http://127.0.0.1:{port}\"\nready = \"GET /health\"\n\
         serve = [{binary:?}, \"demo\", \"{name}\", \"--serve\", \"--port\", \"{port}\", \
         \"--database\", \"kept.sqlite\"{slip}]\nenv = {{ ENCRYPTION_KEY = \"a long random text\" }}\n"
    );
    std::fs::write(folder.path().join("gainsay.toml"), config).expect("written");
    run(folder.path(), &format!("models/{name}.yaml"), more)
}

/// Each slip of a demo server is found within 25 plans without faults: what is told of it, and the steps that the shortest
/// plan has.
pub fn all_are_found(name: &str, slips: &[(&str, &str, usize)]) {
    for (slip, check, most) in slips {
        let found = kept(name, Some(slip), &["--seeds", "0..25"]);
        let told = flat(&found);
        assert_eq!(found.status.code(), Some(1), "{slip}: {found:?}");
        assert!(told.contains(check), "{slip}: {told}");
        let steps = steps(&told);
        assert!(
            steps.is_some_and(|steps| steps <= *most),
            "{slip}: {steps:?} steps: {told}"
        );
    }
}

/// What was told, without its line breaks.
pub fn flat(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stdout);
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How many steps the shortest plan has that is told of: "Seed 2; 3 of 39 steps remain".
pub fn steps(told: &str) -> Option<usize> {
    let pieces: Vec<&str> = told.split(" steps remain").collect();
    let plans = pieces[..pieces.len().saturating_sub(1)].iter();
    let steps = plans.filter_map(|piece| piece.rsplit(' ').nth(2)?.parse().ok());
    steps.min()
}

/// What the server keeps in memory is gone with it, although it said that it had it.
#[test]
fn what_was_acknowledged_and_lost_in_a_crash_is_found() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let server = root().join("docs/examples/lending.py");
    let config = format!(
        "[target.it]\nurl = \"http://127.0.0.1:{port}\"\nserve = [\"python3\", {server:?}, \"{port}\"]\n\
         ready = \"GET /health\"\nenv = {{ QUEUES = \"no\" }}\n"
    );
    std::fs::write(folder.path().join("gainsay.toml"), config).expect("written");
    let model = "docs/examples/lending.yaml";
    let calm = run(folder.path(), model, &["--seeds", "0..3"]);
    assert_eq!(calm.status.code(), Some(0), "{calm:?}");
    let crashes = ["--seeds", "0..3", "--faults", "crash"];
    let crashed = run(folder.path(), model, &crashes);
    let told = String::from_utf8_lossy(&crashed.stdout);
    assert_eq!(crashed.status.code(), Some(1), "{crashed:?}");
    assert!(
        told.contains("the server was killed, and started again"),
        "{told}"
    );
    assert!(told.contains("Faults: crash"), "{told}");
}

/// The demo's server on a database that is kept, under faults of its process.
fn demo(bug: Option<&str>, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let binary = env!("CARGO_BIN_EXE_gainsay");
    let bug = bug.map_or(String::new(), |bug| format!(", \"--bug\", \"{bug}\""));
    let config = format!(
        "[target.it]\nurl = \"http://127.0.0.1:{port}\"\n\
         serve = [{binary:?}, \"demo\", \"--serve\", \"--port\", \"{port}\", \"--database\", \"kept.sqlite\"{bug}]\n\
         env = {{ ADMIN_API_KEY = \"dsf_administrator_of_the_crash_test\" }}\n\
         [[target.it.accounts.admin]]\napi_key = \"dsf_administrator_of_the_crash_test\"\n"
    );
    std::fs::write(folder.path().join("gainsay.toml"), config).expect("written");
    run(folder.path(), "models/deep-sci-fi.yaml", more)
}

/// What is on disk is there again.
#[test]
fn a_server_that_keeps_its_word_holds_through_crashes() {
    let faults = ["--faults", "process", "--fault-rate", "0.5"];
    let held = demo(None, &[&faults[..], &["--seeds", "0..4"]].concat());
    assert_eq!(held.status.code(), Some(0), "{held:?}");
    let told = String::from_utf8_lossy(&held.stdout);
    for fault in ["crash ×", "stop ×", "pause ×"] {
        assert!(told.contains(fault), "{told}");
    }
}

/// The other slip of the first incident: a generator of keys that begins anew shows once the server was started again.
#[test]
fn keys_that_repeat_after_a_restart_are_found_by_restarts() {
    let bug = Some("restart_repeats_keys");
    // Registrations of plans come first, and those of the second plan with keys of their own.
    let calm = demo(bug, &["--seeds", "0..2"]);
    assert_eq!(calm.status.code(), Some(0), "{calm:?}");
    let stops = ["--faults", "stop", "--seeds", "0..10", "--fail-fast"];
    let found = demo(bug, &stops);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    // The restart outlasts its plan: from then on a registration alone fails, until the keys from before are used up.
    let told = String::from_utf8_lossy(&found.stdout);
    assert!(told.contains("✗ register_"), "{told}");
}

#[test]
fn nobody_elses_server_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .current_dir(folder.path())
        .arg("run")
        .arg(root().join("docs/examples/lending.yaml"))
        .args(["--url", "http://127.0.0.1:9", "--faults", "crash"])
        .output()
        .expect("it runs");
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("need a server that gainsay starts itself"),
        "{said}"
    );
}
