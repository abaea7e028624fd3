//! Faults that a program of the user's makes.

use std::process::Output;

use super::hooks::{MODEL, Notes, end};
use super::process::{flat, has_python, root, run};

/// Drives the server with a program that takes its room, or kills it. And whether nothing is left of what was done.
fn with_program(careless: bool, wrong: &str, more: &[&str]) -> (Output, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let mode: &[&str] = if careless { &["careless"] } else { &[] };
    let notes = Notes::start(folder.path(), mode);
    let file = |name: &str| root().join("tests/faults").join(name).display().to_string();
    let mode = mode.concat();
    let command = format!("python3 {} {} 0 {mode}", file("notes.py"), notes.port);
    let mut injector = vec!["python3".into(), file("room.py"), command.trim().to_owned()];
    injector.extend((!wrong.is_empty()).then(|| wrong.to_owned()));
    let config = format!(
        "[target.it]\nurl = \"http://127.0.0.1:{}\"\ninjector = {injector:?}\n",
        notes.port
    );
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("gainsay.toml", &config).expect("written");
    write("notes.yaml", &MODEL.replace("BUILTIN\n", "")).expect("written");
    let model = folder.path().join("notes.yaml").display().to_string();
    let done = run(folder.path(), &model, more);
    end(folder.path());
    (done, !folder.path().join("notes.new").exists())
}

const OWN: [&str; 8] = [
    "--faults",
    "own",
    "--fault-rate",
    "0.9",
    "--seeds",
    "0..6",
    "--steps",
    "12",
];

#[test]
fn a_program_makes_faults_of_its_own() {
    if !has_python() {
        return;
    }
    let (held, healed) = with_program(false, "", &OWN);
    let told = flat(&held);
    assert_eq!(held.status.code(), Some(0), "{held:?}");
    assert!(told.contains("no_room ×") && healed, "{told}");
    let (found, _) = with_program(true, "", &OWN);
    let told = flat(&found);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    let so = "reads_back does not hold after a no_room";
    assert!(
        told.contains(so) && told.contains("meanwhile there is a `no_room`"),
        "{told}"
    );
    // Nothing is wrong while there is room.
    let (calm, _) = with_program(true, "", &["--seeds", "0..6"]);
    assert_eq!(calm.status.code(), Some(0), "{calm:?}");
}

#[test]
fn a_program_kills_a_server() {
    if !has_python() {
        return;
    }
    let process = [&["--faults", "process,no_room"], &OWN[2..]].concat();
    let (held, _) = with_program(false, "", &process);
    let told = flat(&held);
    assert_eq!(held.status.code(), Some(0), "{held:?}");
    assert!(
        told.contains("crash ×") && told.contains("no_room ×"),
        "{told}"
    );
}

/// Whatever is wrong with the program is no violation, and what to do is said.
#[test]
fn a_program_that_fails_is_trouble_of_the_harness() {
    if !has_python() {
        return;
    }
    for (wrong, faults, status, so) in [
        ("mute", "own", 3, "ended when it was told"),
        ("garbled", "own", 3, "with what is no answer"),
        ("clumsy", "own", 3, "could not do {\"do\":\"inject\""),
        ("", "now_room", 2, "and own (no_room)"),
    ] {
        let more = [&["--faults", faults], &OWN[2..]].concat();
        let (failed, _) = with_program(false, wrong, &more);
        assert_eq!(failed.status.code(), Some(status), "{wrong}: {failed:?}");
        let said = String::from_utf8_lossy(&failed.stderr);
        assert!(said.contains(so), "{wrong}: {said}");
    }
}
