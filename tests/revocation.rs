//! Revoked credentials: those of before a rule changed them, and of who is gone, are refused at once, or within the time
//! that the model gives.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gainsay::campaign::{Options, Report, campaign};
use gainsay::check::Identity;
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Generator};
use gainsay::model::Model;
use gainsay::model::action::Forgery;
use gainsay::report::{self, Style};
use gainsay::run::Runner;
use serde_json::json;

/// Whoever holds a token may write notes, and may have another token instead.
const MODEL: &str = r#"
model: vault
entities:
  holder:
    fields: { id: string, token: secret }
    auth: { bearer: "${self.token}"WITHIN }
  note:
    fields: { id: string, author: holder }
setup: [enrol: 2]
rules:
  enrol:
    by: anyone
    request: POST /holders
    responds: 201
    creates: { holder: { id: "${body.id}", token: "${body.token}" } }
  rotate:
    by: holder
    request: POST /holders/me
    responds: 200
    sets: { actor.token: "${body.token}" }
  write:
    by: holder
    request: POST /notes
    responds: 201
    creates: { note: { id: "${body.id}", author: "${actor}" } }
  leave:
    by: holder
    request: DELETE /holders/me
    responds: 204
    deletes: holder
invariants:
  all_notes_count:
    for: holder
    by: holder
    read: GET /notes
    always: body.count == size(notes.filter(n, n.author == holder))
"#;

#[derive(Default)]
struct Vault {
    /// Tokens, whose they are, and since when they are revoked.
    tokens: Vec<(String, usize, Option<Instant>)>,
    holders: usize,
    /// Whose notes there are.
    notes: Vec<usize>,
    /// How often a revoked token was taken.
    taken: usize,
}

#[derive(Clone)]
struct Shared {
    /// So long notes can be written with revoked tokens.
    lingers: Duration,
    vault: Arc<Mutex<Vault>>,
}

impl Shared {
    fn vault(&self) -> MutexGuard<'_, Vault> {
        self.vault.lock().expect("nobody panicked")
    }

    fn who(&self, vault: &mut Vault, headers: &HeaderMap, writes: bool) -> Option<usize> {
        let shown = headers.get("authorization")?.to_str().ok()?;
        let shown = shown.strip_prefix("Bearer ")?;
        let (_, who, revoked) = vault.tokens.iter().find(|(token, ..)| token == shown)?;
        match revoked {
            None => Some(*who),
            Some(at) if writes && at.elapsed() < self.lingers => {
                let who = *who;
                vault.taken += 1;
                Some(who)
            }
            Some(_) => None,
        }
    }
}

fn issue(vault: &mut Vault, who: usize) -> String {
    let n = vault.tokens.len() + 1;
    let token = format!("{:08x}{:024x}", n * 0x9e37, n * 7919);
    vault.tokens.push((token.clone(), who, None));
    token
}

fn revoke(vault: &mut Vault, who: usize) {
    let tokens = vault.tokens.iter_mut();
    for (_, _, revoked) in tokens.filter(|(_, of, revoked)| *of == who && revoked.is_none()) {
        *revoked = Some(Instant::now());
    }
}

async fn enrol(State(shared): State<Shared>) -> Response {
    let mut vault = shared.vault();
    vault.holders += 1;
    let who = vault.holders;
    let token = issue(&mut vault, who);
    let body = json!({ "id": format!("h{who}"), "token": token });
    (StatusCode::CREATED, Json(body)).into_response()
}

async fn me(State(shared): State<Shared>, method: Method, headers: HeaderMap) -> Response {
    let mut vault = shared.vault();
    let Some(who) = shared.who(&mut vault, &headers, false) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    revoke(&mut vault, who);
    match method == Method::DELETE {
        true => StatusCode::NO_CONTENT.into_response(),
        false => Json(json!({ "token": issue(&mut vault, who) })).into_response(),
    }
}

async fn notes(State(shared): State<Shared>, method: Method, headers: HeaderMap) -> Response {
    let mut vault = shared.vault();
    let writes = method == Method::POST;
    let Some(who) = shared.who(&mut vault, &headers, writes) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if writes {
        vault.notes.push(who);
        let body = json!({ "id": format!("n{}", vault.notes.len()) });
        return (StatusCode::CREATED, Json(body)).into_response();
    }
    let count = vault.notes.iter().filter(|of| **of == who).count();
    Json(json!({ "count": count })).into_response()
}

struct Driven {
    report: Report,
    model: Arc<Model>,
    url: String,
    shared: Shared,
}

/// Plans against a server that takes revoked tokens for so many milliseconds, by a model that allows for some.
async fn drive(lingers: u64, within: &str, seeds: u64) -> Driven {
    let shared = Shared {
        lingers: Duration::from_millis(lingers),
        vault: Arc::default(),
    };
    let routes = Router::new()
        .route("/holders", post(enrol))
        .route("/holders/me", post(me).delete(me))
        .route("/notes", get(notes).post(notes))
        .with_state(shared.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let source = MODEL.replace("WITHIN", within);
    let model = Arc::new(Model::parse("vault.yaml", &source).expect("a model"));
    let tolerate = model.tolerate.clone();
    let client = Client::new(&url, Vec::new(), Limits::default(), tolerate, false);
    let generator = Generator::new(model.clone(), generate::Options::default());
    let runner = Runner::new(model.clone(), client.expect("a client"), generator.start());
    let options = Options {
        seeds: 0..seeds,
        jobs: 4,
        ..Options::default()
    };
    let report = campaign(&generator, &runner, &options, &mut |_| {}).await;
    serving.abort();
    let report = report.expect("it runs");
    Driven {
        report,
        model,
        url,
        shared,
    }
}

fn found(report: &Report) -> Vec<String> {
    let failures = report.failures().into_iter();
    failures.map(|(id, _)| id.to_string()).collect()
}

const FOR_EVER: u64 = 1 << 40;

const OLD: Identity = Identity::Forger(Forgery::Old);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_of_before_is_tried_at_every_rule() {
    let report = drive(0, "", 50).await.report;
    assert!(report.held(), "{:?}", found(&report));
    for rule in 1..4 {
        let mut cells = report.access.of(rule);
        let old = cells.find(|(identity, _)| *identity == OLD);
        assert!(old.is_some_and(|(_, cell)| cell.refused > 0), "{old:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_taken_after_its_successor_is_found() {
    let driven = drive(FOR_EVER, "", 25).await;
    let report = &driven.report;
    assert_eq!(found(report), ["write: unauthenticated"]);
    let mut cells = report.access.of(2);
    // Those of somebody who is gone are taken as well, and whoever comes first shows it.
    assert!(
        cells.any(|(identity, cell)| {
            matches!(identity, OLD | Identity::Gone) && cell.violated > 0
        })
    );
    let found = &report.counterexamples[0];
    assert!(found.standing.certain() && found.plan.len() <= 3);
    let story = report::story(&driven.model, found, Style::PLAIN);
    let shown = report::curl(&driven.model, found, &driven.url) + &story;
    for (token, ..) in &driven.shared.vault().tokens {
        assert!(!shown.contains(token.as_str()), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_its_time_both_answers_are_right_and_what_was_done_counts() {
    let lingering = drive(150, "", 12).await;
    assert!(!lingering.report.held());
    let driven = drive(150, ", revoked_within: 500ms", 25).await;
    assert!(driven.report.held(), "{:?}", found(&driven.report));
    assert!(driven.shared.vault().taken > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_time_only_the_refusal_is() {
    let driven = drive(FOR_EVER, ", revoked_within: 200ms", 12).await;
    assert_eq!(found(&driven.report), ["write: unauthenticated"]);
    assert!(driven.report.counterexamples[0].standing.certain());
}
