//! A server that gainsay starts and owns: it is ready when `start` returns, nothing of it survives, and whatever goes
//! wrong says what to do. Real processes; Python serves.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gainsay::drive::{Misstart, Ready, Run, Serve, ServeError, Server, Startup};

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn is_free(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
}

/// Whether a process runs; a zombie that nobody reaped does not.
fn runs(pid: &str) -> bool {
    let shown = Command::new("ps")
        .args(["-o", "stat=", "-p", pid])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&shown.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

fn soon(holds: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    holds()
}

fn has_python() -> bool {
    let found = Command::new("python3")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        eprintln!("skipped: this test needs python3 on the PATH");
    }
    found
}

fn serve(run: Run, directory: &Path) -> Serve {
    Serve {
        run,
        env: Vec::new(),
        unset: Vec::new(),
        directory: directory.to_owned(),
        ready: None,
        ready_within: Duration::from_secs(20),
    }
}

fn shell(line: impl Into<String>, directory: &Path) -> Serve {
    serve(Run::Shell(line.into()), directory)
}

/// Serves the files of its directory.
fn python(port: u16, directory: &Path) -> Serve {
    let words = [
        "-u",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        &port.to_string(),
    ]
    .map(str::to_owned);
    serve(Run::Program("python3".into(), words.to_vec()), directory)
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[tokio::test]
async fn a_server_is_ready_and_then_gone() {
    if !has_python() {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut ready = python(port, folder.path());
    ready.ready = Some(Ready {
        method: "GET".into(),
        path: "/missing".into(),
    });
    let log = folder.path().join("server.log");
    let mut server = Server::start(&ready, &url(port), Some(&log)).await.unwrap();
    assert_eq!(server.exited(), None);
    let said = server.last_lines(3).join("\n");
    assert!(said.contains("GET /missing"), "{said}");

    server.restart().await.unwrap();
    assert!(!is_free(port));
    server.stop().await.unwrap();
    assert!(is_free(port), "the port is free as soon as `stop` returns");
    server.kill().await.unwrap();
    assert!(
        std::fs::read_to_string(log)
            .unwrap()
            .matches("GET /missing")
            .count()
            >= 2
    );
}

#[tokio::test]
async fn a_server_that_dies_can_be_told_and_started_again() {
    if !has_python() {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let line = format!("echo $$ > pid; exec python3 -m http.server --bind 127.0.0.1 {port}");
    let mut server = Server::start(&shell(line, folder.path()), &url(port), None)
        .await
        .unwrap();
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    Command::new("kill")
        .args(["-s", "SEGV", pid.trim()])
        .status()
        .unwrap();
    assert!(soon(|| server.exited().is_some()));
    assert_eq!(server.exited().unwrap(), "signal 11");
    server.restart().await.unwrap();
    assert_eq!(server.exited(), None);
    let log = server.log().to_owned();
    drop(server);
    assert!(is_free(port), "nothing listens any more once it is dropped");
    assert!(!log.exists(), "a temporary log goes with its server");
}

#[tokio::test]
async fn a_command_that_ends_at_once_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let failing = shell(
        "echo starting; echo 'no module named app' >&2; exit 3",
        folder.path(),
    );
    let error = Server::start(&failing, &url(port), None).await.unwrap_err();
    let ServeError::Exited { exit, log, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(exit, "exit code 3");
    assert_eq!(log, &["starting", "no module named app"]);
    assert_eq!(
        error.to_string(),
        "the server `echo starting; echo 'no module named app' >&2; exit 3` ended with exit code 3 before it was ready; \
         `serve` must be a command that stays in the foreground; the last it wrote:\n  | starting\n  | no module named app"
    );
}

#[tokio::test]
async fn a_command_that_never_listens_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut idle = shell("echo $$ > pid; exec sleep 600", folder.path());
    idle.ready_within = Duration::from_secs(1);
    let started = Instant::now();
    let port = free_port();
    let error = Server::start(&idle, &url(port), None).await.unwrap_err();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(
        error.to_string(),
        format!(
            "the server `echo $$ > pid; exec sleep 600` was not ready within 1s: nothing listens on 127.0.0.1:{port}; \
             correct `ready`, or allow more with `ready_within`; it wrote nothing"
        )
    );
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(!runs(pid.trim()));
}

#[tokio::test]
async fn a_server_that_takes_the_question_and_never_answers_is_given_up() {
    if !has_python() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let code = format!(
        "import socket, time\ns = socket.create_server((\"127.0.0.1\", {port}))\ntime.sleep(600)"
    );
    let mut mute = serve(
        Run::Program("python3".into(), vec!["-c".into(), code]),
        folder.path(),
    );
    mute.ready_within = Duration::from_secs(1);
    mute.ready = Some(Ready {
        method: "GET".into(),
        path: "/".into(),
    });
    let error = Server::start(&mute, &url(port), None).await.unwrap_err();
    let ServeError::NotReady { last, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        last.contains("did not answer") || last.contains("no answer within"),
        "{last}"
    );
    assert!(is_free(port));
}

#[tokio::test]
async fn a_taken_port_is_refused_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let touching = shell("touch ran; sleep 600", folder.path());
    let error = Server::start(&touching, &format!("http://{address}/base"), None)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot start the server: something listens on {address} already; stop it, choose another port, or leave \
             `serve` out to test what is there"
        )
    );
    assert!(!folder.path().join("ran").exists());
}

#[tokio::test]
async fn what_cannot_be_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let none = serve(
        Run::Program("gainsay-no-such-program".into(), Vec::new()),
        folder.path(),
    );
    let error = Server::start(&none, &url(free_port()), None)
        .await
        .unwrap_err();
    assert!(matches!(error, ServeError::Spawn { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("cannot run `gainsay-no-such-program`: "),
        "{error}"
    );

    let nowhere = shell("sleep 600", &folder.path().join("nowhere"));
    let error = Server::start(&nowhere, &url(free_port()), None)
        .await
        .unwrap_err();
    assert!(matches!(error, ServeError::Directory { .. }), "{error}");
}

/// A shell that waits for a server beside another child, both deaf to SIGTERM.
fn family(port: u16, directory: &Path) -> Serve {
    let line = format!(
        "trap '' TERM; sleep 600 & echo $! > child; \
         python3 -m http.server --bind 127.0.0.1 {port} & echo $! > server; wait; wait"
    );
    shell(line, directory)
}

fn pids(directory: &Path) -> Vec<String> {
    ["child", "server"]
        .map(|name| {
            std::fs::read_to_string(directory.join(name))
                .unwrap()
                .trim()
                .to_owned()
        })
        .to_vec()
}

#[tokio::test]
async fn the_children_of_a_shell_go_with_it() {
    if !has_python() {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let serve = family(port, folder.path());
    let mut server = Server::start(&serve, &url(port), None).await.unwrap();
    let before = pids(folder.path());
    assert!(before.iter().all(|pid| runs(pid)));
    server.kill().await.unwrap();
    assert!(soon(|| !before.iter().any(|pid| runs(pid))));
    assert!(is_free(port));

    server.restart().await.unwrap();
    let after = pids(folder.path());
    assert!(after.iter().all(|pid| runs(pid)));
    drop(server);
    assert!(soon(|| !after.iter().any(|pid| runs(pid))));
}

#[test]
fn a_panic_leaves_nothing_behind() {
    if !has_python() {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let serve = family(port, folder.path());
    let crashed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let _server = Server::start(&serve, &url(port), None).await.unwrap();
            panic!("on purpose");
        });
    });
    assert!(crashed.join().is_err());
    let pids = pids(folder.path());
    assert!(soon(|| !pids.iter().any(|pid| runs(pid))));
}

/// Runs this test binary again as a gainsay that is killed in the middle, where no `Drop` runs.
#[test]
fn even_a_kill_of_gainsay_leaves_nothing_behind() {
    if !has_python() {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut gainsay = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "stands_in_for_gainsay"])
        .env("SERVE_TEST_DIRECTORY", folder.path())
        .env("SERVE_TEST_PORT", port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(soon(|| !is_free(port)));
    let pids = pids(folder.path());
    gainsay.kill().unwrap();
    gainsay.wait().unwrap();
    assert!(soon(|| !pids.iter().any(|pid| runs(pid))));
    assert!(is_free(port));
}

#[tokio::test]
#[ignore = "only started by even_a_kill_of_gainsay_leaves_nothing_behind"]
async fn stands_in_for_gainsay() {
    let (Ok(directory), Ok(port)) = (
        std::env::var("SERVE_TEST_DIRECTORY"),
        std::env::var("SERVE_TEST_PORT"),
    ) else {
        return;
    };
    let port: u16 = port.parse().unwrap();
    let _server = Server::start(&family(port, directory.as_ref()), &url(port), None)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// A server that wants a key: without one it does what is asked of it.
const WANTS_A_KEY: &str = r#"
import http.server, os, sys, time
if not os.environ.get("APP_KEY"):
    otherwise = os.environ["OTHERWISE"]
    if otherwise == "fails":
        sys.exit("APP_KEY is not set")
    if otherwise == "ends":
        sys.exit(0)
    if otherwise == "hangs":
        time.sleep(60)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"#;

async fn startup(otherwise: &str, key: Option<&str>, starts: bool) -> Option<Misstart> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("app.py"), WANTS_A_KEY).unwrap();
    let port = free_port();
    let arguments = ["app.py".to_owned(), port.to_string()];
    let mut serve = serve(
        Run::Program("python3".into(), arguments.to_vec()),
        directory.path(),
    );
    serve.env = vec![("OTHERWISE".into(), otherwise.into())];
    serve
        .env
        .extend(key.map(|key| ("APP_KEY".into(), key.to_owned())));
    serve.unset = vec!["APP_KEY".into()];
    if key.is_some() {
        serve.unset.clear();
    }
    serve.ready_within = Duration::from_secs(if otherwise == "hangs" { 2 } else { 20 });
    let rule = Startup {
        name: "without_key".into(),
        serve,
        changed: Vec::new(),
        starts,
    };
    let found = rule.check(&format!("http://127.0.0.1:{port}")).await;
    assert!(is_free(port), "nothing of it is left");
    found.unwrap()
}

#[tokio::test]
async fn a_server_that_must_not_start_ends_with_an_error() {
    if !has_python() {
        return;
    }
    assert_eq!(startup("fails", None, false).await, None);
    assert_eq!(
        startup("ends", None, false).await,
        Some(Misstart::EndedWell)
    );
    assert_eq!(startup("hangs", None, false).await, Some(Misstart::Hangs));
    assert_eq!(
        startup("serves", None, false).await,
        Some(Misstart::Listens)
    );
}

#[tokio::test]
async fn a_server_that_must_start_is_ready() {
    if !has_python() {
        return;
    }
    assert_eq!(startup("fails", Some("k"), true).await, None);
    let failed = startup("fails", None, true).await;
    assert!(
        matches!(&failed, Some(Misstart::Failed(what)) if what.contains("APP_KEY is not set")),
        "{failed:?}"
    );
}
