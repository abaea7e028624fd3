//! The documents keep their word: the README's model is the one that ships, and the examples hold against their server.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gainsay::Tester;
use gainsay::model::Model;

struct Lending {
    server: Child,
    url: String,
}

impl Lending {
    /// The example's server; nothing where there is no Python and this is not CI.
    fn start(environment: &[(&str, &str)]) -> Option<Lending> {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let server = Command::new("python3")
            .args(["docs/examples/lending.py", &port.to_string()])
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(server) = server else {
            assert!(std::env::var_os("CI").is_none(), "python3 is missing");
            println!("skipped: python3 is not installed");
            return None;
        };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "it does not start"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Lending {
            server,
            url: format!("http://127.0.0.1:{port}"),
        })
    }
}

impl Drop for Lending {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn the_model_in_the_readme_is_the_one_that_ships() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let shipped = std::fs::read_to_string("docs/examples/lending.yaml").unwrap();
    let shown = readme.split("```yaml\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    assert_eq!(shown.trim(), shipped.trim());
    Model::parse("docs/examples/lending.yaml", &shipped).unwrap();
}

#[test]
fn the_examples_hold_against_their_server() {
    for (model, environment) in [
        ("docs/examples/lending.yaml", &[("QUEUES", "no")][..]),
        ("docs/examples/lending-full.yaml", &[][..]),
    ] {
        let Some(lending) = Lending::start(environment) else {
            return;
        };
        let outcome = Tester::new(model)
            .url(&lending.url)
            .seeds(0..10)
            .run()
            .unwrap();
        outcome.assert_held();
    }
}

#[test]
fn a_bug_of_the_example_is_found_from_rust() {
    let Some(lending) = Lending::start(&[("BUG", "third_book")]) else {
        return;
    };
    let outcome = Tester::new("docs/examples/lending-full.yaml")
        .url(&lending.url)
        .seeds(0..10)
        .run()
        .unwrap();
    let found: Vec<String> = outcome
        .report
        .counterexamples
        .iter()
        .map(|c| c.violation.id.to_string())
        .collect();
    assert!(
        found.iter().any(|id| id.contains("two_at_most")),
        "{found:?}"
    );
}
