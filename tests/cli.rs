//! The real binary, as a new user has it: exit codes, what goes to stdout, and mistakes.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn gainsay(arguments: &[&str]) -> Output {
    gainsay_in(Path::new("."), arguments)
}

fn gainsay_in(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("CI")
        .env("NO_COLOR", "1")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn model() -> String {
    format!("{}/models/deep-sci-fi.yaml", env!("CARGO_MANIFEST_DIR"))
}

/// The demo server in a process of its own.
struct Served {
    process: std::process::Child,
    url: String,
}

impl Served {
    fn with(arguments: &[&str]) -> Served {
        let mut process = Command::new(env!("CARGO_BIN_EXE_gainsay"))
            .args(["demo", "--serve"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        let out = process.stdout.as_mut().unwrap();
        let mut byte = [0];
        while out.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            url.push(char::from(byte[0]));
        }
        Served { process, url }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_demo_finds_its_bug_and_explains_it() {
    let output = gainsay(&["demo"]);
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert!(
        err.contains("Deep Sci-Fi API runs at http://127.0.0.1:"),
        "{err}"
    );
    assert!(err.contains("Try next"), "{err}");
    assert!(out.contains("validate_proposal"), "{out}");
    assert!(out.contains("500"), "{out}");
    assert!(
        !out.contains('\u{1b}') && !err.contains('\u{1b}'),
        "no escape sequences with NO_COLOR"
    );
    assert!(!out.contains("dsf_"), "no key of any agent: {out}");
}

#[test]
fn the_sound_demo_holds() {
    let output = gainsay(&["demo", "--sound"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}

#[test]
fn the_demo_lists_its_bugs() {
    let output = gainsay(&["demo", "--list"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).lines().count() >= 12);
}

#[test]
fn shipped_models_check_and_show() {
    for entry in std::fs::read_dir("models").unwrap() {
        let path = entry.unwrap().path();
        let path = path.to_str().unwrap();
        let checked = gainsay(&["check", path, "--seeds", "0..3"]);
        assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
        assert!(stdout(&checked).contains("outcomes reached"));
        let shown = gainsay(&["show", path]);
        assert_eq!(shown.status.code(), Some(0));
        assert!(stdout(&shown).len() > 1_000);
    }
}

#[test]
fn a_run_finds_writes_for_review_replays_and_knows_it_again() {
    let server = Served::with(&["--bug", "submit_by_anyone"]);
    let directory = tempfile::tempdir().unwrap();
    let model = model();
    let run = |extra: &[&str]| {
        let mut arguments = vec![
            "run",
            model.as_str(),
            "--url",
            server.url.as_str(),
            "--seeds",
            "0..6",
        ];
        arguments.extend(extra);
        gainsay_in(directory.path(), &arguments)
    };
    let first = run(&["--curl"]);
    assert_eq!(
        first.status.code(),
        Some(1),
        "{}{}",
        stdout(&first),
        stderr(&first)
    );
    let pending = directory
        .path()
        .join("snapshots/deep-sci-fi/submit_proposal.own_proposal.snap.new");
    let text = std::fs::read_to_string(&pending).expect("a snapshot for review");
    for secret in ["dsf_", &server.url] {
        assert!(!text.contains(secret), "{text}");
    }
    let replayed = gainsay_in(
        directory.path(),
        &[
            "replay",
            pending.to_str().unwrap(),
            "--model",
            &model,
            "--url",
            &server.url,
        ],
    );
    assert_eq!(
        replayed.status.code(),
        Some(1),
        "{}{}",
        stdout(&replayed),
        stderr(&replayed)
    );
    let accepted = pending.with_extension("");
    std::fs::rename(&pending, &accepted).unwrap();
    let again = run(&[]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("still fails"), "{}", stderr(&again));
    assert!(
        !pending.exists(),
        "the same counterexample needs no second review"
    );
    drop(server);
    let sound = Served::with(&[]);
    let mended = gainsay_in(
        directory.path(),
        &[
            "replay",
            accepted.to_str().unwrap(),
            "--model",
            &model,
            "--url",
            &sound.url,
        ],
    );
    assert_eq!(
        mended.status.code(),
        Some(0),
        "{}{}",
        stdout(&mended),
        stderr(&mended)
    );
}

#[test]
fn the_same_bug_gives_the_same_snapshot() {
    let texts: Vec<String> = (0..2)
        .map(|_| {
            let server = Served::with(&["--bug", "self_validation"]);
            let directory = tempfile::tempdir().unwrap();
            let run = gainsay_in(
                directory.path(),
                &[
                    "run",
                    &model(),
                    "--url",
                    &server.url,
                    "--seeds",
                    "0..4",
                    "--jobs",
                    "1",
                ],
            );
            assert_eq!(
                run.status.code(),
                Some(1),
                "{}{}",
                stdout(&run),
                stderr(&run)
            );
            let path = directory
                .path()
                .join("snapshots/deep-sci-fi/validate_proposal.self_validate_proposal.snap.new");
            std::fs::read_to_string(path).unwrap()
        })
        .collect();
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn usage_errors_exit_with_2_and_say_what_to_do() {
    let typo = gainsay(&["chekc", "models/kinto.yaml"]);
    assert_eq!(typo.status.code(), Some(2));
    assert!(stderr(&typo).contains("check"), "{}", stderr(&typo));
    let missing = gainsay(&["check", "models/no-such-model.yaml"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(
        stderr(&missing).contains("no-such-model.yaml"),
        "{}",
        stderr(&missing)
    );
    let nowhere = gainsay(&["run", "models/kinto.yaml"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).contains("--url"), "{}", stderr(&nowhere));
    let rule = gainsay(&["check", "models/kinto.yaml", "--only", "registr"]);
    assert_eq!(rule.status.code(), Some(2));
    assert!(
        stderr(&rule).contains("did you mean `register`?"),
        "{}",
        stderr(&rule)
    );
    let bug = gainsay(&["demo", "--bug", "sixth_dwelle"]);
    assert_eq!(bug.status.code(), Some(2));
    assert!(stderr(&bug).contains("sixth_dweller"), "{}", stderr(&bug));
    let remote = gainsay(&["run", "models/kinto.yaml", "--url", "http://192.0.2.1:1"]);
    assert_eq!(remote.status.code(), Some(2));
    assert!(
        stderr(&remote).contains("--allow-remote"),
        "{}",
        stderr(&remote)
    );
    let broken = gainsay(&["check", "tests/model_errors/unknown_field.yaml"]);
    assert_eq!(broken.status.code(), Some(2));
    assert!(
        stderr(&broken).contains("did you mean"),
        "{}",
        stderr(&broken)
    );
}

#[test]
fn a_target_that_is_down_exits_with_3() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let down = gainsay(&["run", &model(), "--url", &url, "--seeds", "0..2"]);
    assert_eq!(
        down.status.code(),
        Some(3),
        "{}{}",
        stdout(&down),
        stderr(&down)
    );
    assert!(
        stderr(&down).contains("cannot be reached"),
        "{}",
        stderr(&down)
    );
}

#[test]
fn fewer_plans_than_asked_is_never_0() {
    let server = Served::with(&[]);
    let cut = gainsay(&[
        "run",
        &model(),
        "--url",
        &server.url,
        "--seeds",
        "0..20",
        "--max-requests",
        "200",
    ]);
    assert_eq!(
        cut.status.code(),
        Some(4),
        "{}{}",
        stdout(&cut),
        stderr(&cut)
    );
    assert!(stdout(&cut).contains("200 requests"), "{}", stdout(&cut));
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let mut shown = Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(["show", "models/kinto.yaml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(shown.stdout.take());
    let output = shown.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
}

#[test]
fn a_target_of_gainsay_toml_is_started_driven_and_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let config = format!(
        "[target.local]\nurl = \"http://127.0.0.1:{port}\"\nserve = [\"{}\", \"demo\", \"--serve\", \"--port\", \"{port}\"]\nready = \"GET /api/worlds\"\n",
        env!("CARGO_BIN_EXE_gainsay")
    );
    std::fs::write(directory.path().join("gainsay.toml"), config).unwrap();
    let run = gainsay_in(
        directory.path(),
        &["run", &model(), "--target", "local", "--seeds", "0..2"],
    );
    assert_eq!(
        run.status.code(),
        Some(0),
        "{}{}",
        stdout(&run),
        stderr(&run)
    );
    assert!(
        std::net::TcpStream::connect(("127.0.0.1", port)).is_err(),
        "the server is gone"
    );
    let typo = gainsay_in(directory.path(), &["run", &model(), "--target", "locla"]);
    assert_eq!(typo.status.code(), Some(2));
    assert!(stderr(&typo).contains("`local`"), "{}", stderr(&typo));
}

#[test]
fn an_address_in_the_place_of_a_target_is_told_where_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    for named in ["http://127.0.0.1:1", "staging"] {
        let run = gainsay_in(directory.path(), &["run", &model(), "--target", named]);
        assert_eq!(run.status.code(), Some(2));
        assert!(stderr(&run).contains("--url"), "{}", stderr(&run));
    }
}

#[test]
fn cargo_insta_reviews_what_a_run_writes() {
    let insta = |directory: &Path, arguments: &[&str]| {
        Command::new("cargo-insta")
            .arg("insta")
            .args(arguments)
            .current_dir(directory)
            .env_remove("CI")
            .output()
    };
    if insta(Path::new("."), &["--version"]).is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "cargo-insta is missing: cargo install cargo-insta"
        );
        println!("skipped: cargo-insta is not installed; cargo install cargo-insta");
        return;
    }
    let server = Served::with(&["--bug", "self_validation"]);
    let project = tempfile::tempdir().unwrap();
    std::fs::write(
        project.path().join("Cargo.toml"),
        "[package]\nname = \"shop\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n",
    )
    .unwrap();
    std::fs::write(project.path().join("lib.rs"), "").unwrap();
    let run = gainsay_in(
        project.path(),
        &[
            "run",
            &model(),
            "--url",
            &server.url,
            "--seeds",
            "0..10",
            "--only",
            "validate_proposal",
        ],
    );
    assert_eq!(
        run.status.code(),
        Some(1),
        "{}{}",
        stdout(&run),
        stderr(&run)
    );
    let accepted = project
        .path()
        .join("snapshots/deep-sci-fi/validate_proposal.self_validate_proposal.snap");
    let pending = accepted.with_extension("snap.new");
    let listed = insta(project.path(), &["pending-snapshots"]).unwrap();
    assert!(
        stdout(&listed).contains("self_validate_proposal"),
        "{}{}",
        stdout(&listed),
        stderr(&listed)
    );
    let review = insta(project.path(), &["accept"]).unwrap();
    assert!(review.status.success(), "{}", stderr(&review));
    assert!(accepted.exists() && !pending.exists());
    let replayed = gainsay_in(
        project.path(),
        &[
            "replay",
            accepted.to_str().unwrap(),
            "--model",
            &model(),
            "--url",
            &server.url,
        ],
    );
    assert_eq!(
        replayed.status.code(),
        Some(1),
        "{}{}",
        stdout(&replayed),
        stderr(&replayed)
    );
}
