//! The demo server on PostgreSQL: a real one of this test's own, which goes with it. The model holds on it, also with
//! two servers on one database, and a bug is found.

#[path = "postgres/server.rs"]
mod server;

use std::path::Path;
use std::process::{Command, Output};

use gainsay::Tester;
use gainsay::demo::deep_sci_fi::{Bug, Config, Server, serve};
use serde_json::{Value, json};
use server::{PASSWORD, Postgres};
use sqlx::{Connection, PgConnection};

async fn connect(postgres: &Postgres, database: &str) -> PgConnection {
    PgConnection::connect(&postgres.url(database))
        .await
        .unwrap()
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
    let mut connection = connect(&postgres, "postgres").await;
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
