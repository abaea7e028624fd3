//! The demo server on PostgreSQL: a real one of this test's own, which goes with it. The model holds on it, also with
//! two servers on one database, and a bug is found.

use std::fs::File;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use gainsay::Tester;
use gainsay::demo::deep_sci_fi::{Bug, Config, Server, serve};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

/// In URLs, and as it is: with what a URL must escape.
const PASSWORD: (&str, &str) = ("p%40ss%2Fw%3Ard", "p@ss/w:rd");

struct Postgres {
    folder: TempDir,
    server: Child,
    port: u16,
}

impl Postgres {
    /// A server with an empty cluster; nothing where PostgreSQL is not installed and this is not CI.
    fn start() -> Option<Postgres> {
        let programs = match programs() {
            Ok(programs) => programs,
            Err(why) => {
                assert!(std::env::var_os("CI").is_none(), "no PostgreSQL: {why}");
                println!("skipped: {why}");
                return None;
            }
        };
        let folder = tempfile::Builder::new()
            .prefix("gainsay-postgres-")
            .tempdir()
            .unwrap();
        let secret = folder.path().join("password");
        std::fs::write(&secret, PASSWORD.1).unwrap();
        if let Some((user, group)) = other_user() {
            for path in [folder.path(), &secret] {
                chown(path, Some(user), Some(group)).unwrap();
            }
        }
        // A collation that does not compare bytes: the server must not depend on it.
        let made = program(&programs.join("initdb"), folder.path())
            .args(["--pgdata=data", "--username=demo", "--auth=scram-sha-256"])
            .args(["--pwfile=password", "--encoding=UTF8", "--locale=C"])
            .args(["--locale-provider=icu", "--icu-locale=en-US", "--no-sync"])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", said(&made));
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let log = File::create(folder.path().join("log")).unwrap();
        let server = program(&programs.join("postgres"), folder.path())
            .args(["-D", "data", "-p", &port.to_string(), "-h", "127.0.0.1"])
            .args(["-c", "unix_socket_directories=.", "-c", "fsync=off"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut postgres = Postgres {
            folder,
            server,
            port,
        };
        postgres.wait();
        Some(postgres)
    }

    /// The server writes its state in the last line of this file.
    fn wait(&mut self) {
        let state = self.folder.path().join("data/postmaster.pid");
        let began = Instant::now();
        while !std::fs::read_to_string(&state)
            .is_ok_and(|state| state.lines().last().map(str::trim) == Some("ready"))
        {
            let ended = self.server.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(self.folder.path().join("log"));
                panic!("PostgreSQL does not start ({ended:?}): {log:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn url(&self, database: &str) -> String {
        let (password, port) = (PASSWORD.0, self.port);
        format!("postgres://demo:{password}@127.0.0.1:{port}/{database}")
    }

    async fn connect(&self, database: &str) -> PgConnection {
        PgConnection::connect(&self.url(database)).await.unwrap()
    }
}

impl Drop for Postgres {
    /// At once, with all of its processes; the folder goes after it.
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-s", "QUIT", &self.server.id().to_string()])
            .status();
        let began = Instant::now();
        while matches!(self.server.try_wait(), Ok(None)) {
            if began.elapsed() > Duration::from_secs(10) {
                let _ = self.server.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The folder of PostgreSQL's programs: one of the PATH, or the newest of those that Debian keeps apart.
fn programs() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|v| v.path()).collect())
        .unwrap_or_default();
    debian.sort_by_key(|version| {
        let name = version.file_name().unwrap_or_default().to_string_lossy();
        std::cmp::Reverse(name.parse::<u32>().unwrap_or(0))
    });
    let found = std::env::split_paths(&path)
        .chain(debian.iter().map(|version| version.join("bin")))
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .ok_or("`initdb` is neither in the PATH nor in /usr/lib/postgresql/*/bin; apt-get install postgresql")?;
    if is_root() && other_user().is_none() {
        return Err("PostgreSQL does not run as root, and there is no user `postgres`".to_owned());
    }
    Ok(found)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user and group to run as when this is root, which PostgreSQL refuses to.
fn other_user() -> Option<(u32, u32)> {
    let id = |what: &str| {
        let output = Command::new("id").args([what, "postgres"]).output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    };
    is_root().then(|| Some((id("-u")?, id("-g")?)))?
}

fn program(path: &Path, folder: &Path) -> Command {
    let mut command = match other_user() {
        // It replaces itself with the program, which ends with this test even when the test is killed.
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command
                .args([format!("--reuid={user}"), format!("--regid={group}")])
                .args(["--clear-groups", "--pdeathsig", "QUIT", "--"])
                .arg(path);
            command
        }
        None => Command::new(path),
    };
    command.current_dir(folder);
    command
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(&[out.as_slice(), err].concat()).into_owned()
}

fn gainsay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(arguments)
        .output()
        .unwrap()
}

async fn demo(database: String, bugs: &[Bug]) -> Server {
    let config = Config {
        database: Some(database),
        bugs: bugs.to_vec(),
        ..Config::default()
    };
    serve(config).await.unwrap()
}

fn tester(server: &Server) -> Tester {
    Tester::new("models/deep-sci-fi.yaml").url(server.url())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_holds_on_postgresql() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let url = postgres.url("postgres");
    let server = demo(url.clone(), &[]).await;
    let outcome = tester(&server)
        .seeds(0..6)
        .jobs(2)
        .run_async()
        .await
        .unwrap();
    outcome.assert_held();
    let mut connection = postgres.connect("postgres").await;
    let agents: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(agents >= 6, "{agents} agents are in the database");
    server.stop().await;

    // The bug is in one start, and the data of the other stays.
    let server = demo(url, &[Bug::TakenUsernameRefused]).await;
    let outcome = tester(&server)
        .seeds(0..6)
        .jobs(2)
        .run_async()
        .await
        .unwrap();
    let stories = outcome.stories();
    assert!(!outcome.report.held(), "{stories}");
    assert!(
        stories.contains("409") && stories.contains("Duplicate Entry"),
        "{stories}"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_database_are_as_one() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let url = postgres.url("postgres");
    let (one, two) = tokio::join!(demo(url.clone(), &[]), demo(url, &[]));
    let client = reqwest::Client::new();
    let post = |server: &Server, path: &str, key: &str, body: &Value| {
        let url = format!("{}/api{path}", server.url());
        client.post(url).header("X-API-Key", key).json(body).send()
    };
    let agent = json!({ "name": "An agent", "username": "racer" });
    let agent: Value = post(&one, "/auth/agent", "", &agent)
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let key = agent["api_key"]["key"].as_str().unwrap();
    let words = |length| "word ".repeat(length);
    let step = |year| json!({ "year": year, "event": words(3), "reasoning": words(3) });
    let proposal = json!({
        "name": "Tides",
        "premise": words(10),
        "year_setting": 2089,
        "causal_chain": [step(2026), step(2040), step(2060)],
        "scientific_basis": words(10),
    });
    let mut racing = tokio::task::JoinSet::new();
    for place in 0..20 {
        let server = if place % 2 == 0 { &one } else { &two };
        racing.spawn(post(server, "/proposals", key, &proposal));
    }
    let mut statuses: Vec<u16> = Vec::new();
    while let Some(answer) = racing.join_next().await {
        statuses.push(answer.unwrap().unwrap().status().as_u16());
    }
    statuses.sort_unstable();
    let mut expected = vec![200; 3];
    expected.resize(20, 429);
    assert_eq!(
        statuses, expected,
        "an agent has at most three active proposals"
    );
    one.stop().await;
    two.stop().await;
}

#[test]
fn the_demo_runs_on_postgresql() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let url = postgres.url("postgres");
    let found = gainsay(&["demo", "--database", &url, "--seeds", "0..4"]);
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    assert!(said(&found).contains("the server fails at validate_proposal"));

    let refused = |database: &str, expected: &str| {
        let output = gainsay(&["demo", "--serve", "--database", database]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(
            !said.contains(PASSWORD.0) && !said.contains(PASSWORD.1),
            "{said}"
        );
    };
    refused(&postgres.url("nowhere"), "create it, as with `createdb`");
    let wrong = url.replace(PASSWORD.0, "guessed");
    refused(&wrong, "correct the user or the password");
    refused(&format!("{url}?sslmode=require"), "leave `sslmode` out");
    drop(postgres);
    refused(&url, "is a database server running there?");
}

/// The server behind a link to its database that breaks in every way: what it cannot do it says so, and whatever it said
/// that it did is there.
#[test]
fn the_server_holds_while_its_link_to_postgresql_breaks() {
    let Some(postgres) = Postgres::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let (port, link) = (free(), free());
    let database = postgres.url("postgres");
    let upstream = format!("127.0.0.1:{}", postgres.port);
    let through = database.replace(&upstream, &format!("127.0.0.1:{link}"));
    let binary = env!("CARGO_BIN_EXE_gainsay");
    let admin = "dsf_administrator_of_the_link_test";
    let config = format!(
        "[target.it]\nurl = \"http://127.0.0.1:{port}\"\n\
         serve = [{binary:?}, \"demo\", \"--serve\", \"--port\", \"{port}\", \"--database\", {through:?}]\n\
         env = {{ ADMIN_API_KEY = {admin:?} }}\n\
         [target.it.links.database]\nlisten = \"127.0.0.1:{link}\"\nupstream = {upstream:?}\n\
         [[target.it.accounts.admin]]\napi_key = {admin:?}\n"
    );
    std::fs::write(folder.path().join("gainsay.toml"), config).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/deep-sci-fi.yaml");
    let run = Command::new(binary)
        .current_dir(folder.path())
        .arg("run")
        .arg(model)
        .args([
            "--target", "it", "--faults", "link", "--seeds", "0..6", "--steps", "60",
        ])
        .output()
        .unwrap();
    let said = said(&run);
    assert_eq!(run.status.code(), Some(0), "{said}");
    for fault in [
        "link_cut ×",
        "link_refuse ×",
        "link_delay ×",
        "link_slow ×",
        "link_cut_after ×",
    ] {
        assert!(said.contains(fault), "no {fault} in {said}");
    }
}
