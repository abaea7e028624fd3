//! Servers that gainsay did not start: commands kill them and start them again. And the time that a server has to recover.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::process::{free_port, has_python, root, run};

pub const MODEL: &str = r#"
model: notes
BUILTIN
entities:
  note: { fields: { id: string, text: string } }
rules:
  write:
    by: anyone
    with: { text: "text(1)" }
    request: POST /notes
    json: { text: "${text}" }
    invalid: []
    responds: 201
    creates: { note: { id: "${body.id}", text: "${text}" } }
invariants:
  reads_back:
    for: note
    read: GET /notes/{note}
    always: status == 200 && body.text == note.text
"#;

/// The server, started by nobody but this test, and ended with it.
pub struct Notes {
    server: Child,
    pub port: u16,
}

impl Notes {
    pub fn start(folder: &Path, more: &[&str]) -> Notes {
        let port = free_port();
        let server = Command::new("python3")
            .arg(root().join("tests/faults/notes.py"))
            .args([&port.to_string(), "0"])
            .args(more)
            .current_dir(folder)
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "it does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::write(folder.join("pid"), server.id().to_string()).expect("written");
        Notes { server, port }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Drives the server with hooks, of which `crash` is given.
fn hooked(folder: &Path, port: u16, crash: &str, more: &[&str]) -> Output {
    let server = root().join("tests/faults/notes.py");
    let config = format!(
        "[target.it]\nurl = \"http://127.0.0.1:{port}\"\nready = \"GET /\"\n\
         hooks = {{ crash = '''{crash}''', \
         restart = '''python3 {} {port} 0 2>/dev/null >/dev/null & echo $! > pid''' }}\n",
        server.display()
    );
    std::fs::write(folder.join("gainsay.toml"), config).expect("written");
    std::fs::write(folder.join("notes.yaml"), MODEL.replace("BUILTIN\n", "")).expect("written");
    let model = folder.join("notes.yaml");
    let done = run(folder, &model.display().to_string(), more);
    end(folder);
    done
}

/// Ends the server, whoever started it last.
pub fn end(folder: &Path) {
    let _ = Command::new("sh")
        .args(["-c", "kill -9 $(cat pid)"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status();
}

#[test]
fn hooks_kill_a_server_and_start_it_again() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let faults = [
        "--faults",
        "process",
        "--fault-rate",
        "0.9",
        "--seeds",
        "0..6",
    ];
    let steps = [&faults[..], &["--steps", "12"]].concat();
    let notes = Notes::start(folder.path(), &[]);
    let held = hooked(folder.path(), notes.port, "kill -9 $(cat pid)", &steps);
    let told = String::from_utf8_lossy(&held.stdout);
    assert_eq!(held.status.code(), Some(0), "{held:?}");
    assert!(told.contains("crash ×"), "{told}");
    // There are no hooks for these, and that is said.
    assert!(
        !told.contains("stop ×") && !told.contains("pause ×"),
        "{told}"
    );
    let said = String::from_utf8_lossy(&held.stderr);
    assert!(said.contains("no hook for"), "{said}");

    // What is kept is gone with the file.
    let notes = Notes::start(folder.path(), &[]);
    let lost = "kill -9 $(cat pid); rm -f notes.json";
    let found = hooked(folder.path(), notes.port, lost, &steps);
    let told = String::from_utf8_lossy(&found.stdout);
    assert_eq!(found.status.code(), Some(1), "{found:?}");
    assert!(
        told.contains("reads_back does not hold after a crash"),
        "{told}"
    );

    // A hook that fails is no violation.
    let notes = Notes::start(folder.path(), &[]);
    let failed = hooked(folder.path(), notes.port, "exit 3", &steps);
    assert_eq!(failed.status.code(), Some(3), "{failed:?}");
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("the hook `crash` failed"), "{said}");
}

/// The server fails for a second after each start: within five that is as it may be, within a fifth of one it is not.
#[test]
fn a_server_has_its_time_to_recover_and_no_more() {
    if !has_python() {
        return;
    }
    for (builtin, code) in [("", 0), ("builtin: { recovers: 200ms }", 1)] {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let server = root().join("tests/faults/notes.py");
        let config = format!(
            "[target.it]\nurl = \"http://127.0.0.1:{port}\"\n\
             serve = [\"python3\", {server:?}, \"{port}\", \"1\"]\n"
        );
        std::fs::write(folder.path().join("gainsay.toml"), config).expect("written");
        let model = folder.path().join("notes.yaml");
        std::fs::write(&model, MODEL.replace("BUILTIN", builtin)).expect("written");
        let faults = [
            "--faults",
            "crash",
            "--fault-rate",
            "0.9",
            "--seeds",
            "0..2",
            "--steps",
            "6",
        ];
        let done = run(folder.path(), &model.display().to_string(), &faults);
        let told = String::from_utf8_lossy(&done.stdout);
        assert_eq!(done.status.code(), Some(code), "{done:?}");
        assert_eq!(
            told.contains("the server does not recover"),
            code == 1,
            "{told}"
        );
    }
}
