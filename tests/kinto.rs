//! Kinto, a real server that nobody here wrote (PyPI `kinto`, memory backend): the model holds, and what Kinto does
//! wrong is found. On PostgreSQL, what it has acknowledged survives its end.

#[path = "postgres/server.rs"]
mod postgres;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gainsay::Tester;
use gainsay::generate::{Fault, Faults};
use postgres::{Postgres, free_port};

struct Kinto {
    server: Child,
    port: u16,
}

/// Whether Kinto is there; says so where it is not. In CI it must be.
fn is_installed() -> bool {
    let there = Path::new("target/kinto-venv/bin/kinto").exists();
    if !there {
        let how = "run tests/kinto/install.sh, which installs it in target/kinto-venv";
        assert!(std::env::var_os("CI").is_none(), "Kinto is missing: {how}");
        println!("skipped: Kinto is not installed; {how}");
    }
    there
}

impl Kinto {
    /// Starts a server of its own with an empty memory; nothing where Kinto is not installed and this is not CI.
    fn start() -> Option<Kinto> {
        if !is_installed() {
            return None;
        }
        let port = free_port();
        let server = Command::new("tests/kinto/start.sh")
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut kinto = Kinto { server, port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                kinto.server.try_wait().unwrap().is_none(),
                "Kinto ended at once"
            );
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "Kinto does not start"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(kinto)
    }

    fn tester(&self) -> Tester {
        Tester::new("models/kinto.yaml").url(format!("http://127.0.0.1:{}", self.port))
    }
}

impl Drop for Kinto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn the_model_holds_over_25_seeds() {
    let Some(kinto) = Kinto::start() else { return };
    let outcome = kinto
        .tester()
        .skip(["finds"])
        .seeds(0..25)
        .jobs(2)
        .run()
        .unwrap();
    outcome.assert_held();
    let (all, reached) = outcome.report.coverage.totals();
    println!(
        "{reached} of {all} outcomes, {} requests",
        outcome.report.requests
    );
    assert!(
        outcome.report.steps > 1_000,
        "{} steps",
        outcome.report.steps
    );
    let (all, tried) = outcome.report.access.totals();
    assert!(tried * 100 >= all * 95, "{tried} of {all} pairs were tried");
}

/// But for malformed requests: lists within lists, 10,000 deep, make it fail.
#[test]
fn the_model_holds_under_faults() {
    let Some(kinto) = Kinto::start() else { return };
    let mut faults = Faults::network(0.3);
    faults.kinds.retain(|kind| *kind != Fault::Malformed);
    let tester = kinto.tester().skip(["finds"]).faults(faults);
    let outcome = tester.seeds(0..40).jobs(3).run().unwrap();
    outcome.assert_held();
    let report = &outcome.report;
    assert_eq!(report.faults.len(), 6, "{:?}", report.faults);
    assert_eq!(report.inconclusive, 0);
}

#[test]
fn what_kinto_does_wrong_is_found() {
    let Some(kinto) = Kinto::start() else { return };
    let outcome = kinto.tester().seeds(0..25).jobs(2).run().unwrap();
    let found: Vec<String> = outcome
        .report
        .counterexamples
        .iter()
        .map(|c| c.violation.id.to_string())
        .collect();
    println!("{}", outcome.stories());
    assert!(
        !found.is_empty(),
        "the rules tagged `finds` claim what Kinto does not do"
    );
    for counterexample in &outcome.report.counterexamples {
        assert!(
            counterexample.standing.certain(),
            "{}",
            counterexample.violation.id
        );
    }
}

/// Killed, ended and paused, and started again by gainsay itself.
#[test]
fn what_was_acknowledged_survives_a_crash_on_postgresql() {
    if !is_installed() {
        return;
    }
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let database = postgres
        .url("postgres")
        .replace("postgres://", "postgresql://");
    let backends = [
        ("KINTO_STORAGE_BACKEND", "kinto.core.storage.postgresql"),
        ("KINTO_STORAGE_URL", &database),
        (
            "KINTO_PERMISSION_BACKEND",
            "kinto.core.permission.postgresql",
        ),
        ("KINTO_PERMISSION_URL", &database),
    ];
    let made = Command::new("target/kinto-venv/bin/kinto")
        .args(["migrate", "--ini", "tests/kinto/kinto.ini"])
        .envs(backends)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let port = free_port();
    let start = root.join("tests/kinto/start.sh");
    let env = backends.map(|(name, value)| format!("{name} = {value:?}"));
    let config = format!(
        "[target.kinto]\nurl = \"http://127.0.0.1:{port}\"\nserve = [{start:?}, \"{port}\"]\n\
         ready = \"GET /v1/\"\nenv = {{ {} }}\n",
        env.join(", ")
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gainsay.toml"), config).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .arg("run")
        .arg(root.join("models/kinto.yaml"))
        .args(["--target", "kinto", "--skip", "finds", "--seeds", "0..8"])
        .args(["--faults", "process", "--fault-rate", "0.1"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    for fault in ["crash", "stop", "pause"] {
        assert!(told.contains(fault), "{told}");
    }
}
