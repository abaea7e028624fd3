//! Answers that are streams: server-sent events that come in pieces, JSON line by line, and streams that do not end.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{StreamExt, stream};
use gainsay::campaign::{Options, Report, campaign};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Generator};
use gainsay::model::Model;
use gainsay::run::Runner;
use serde_json::{Value, json};

const MODEL: &str = r#"
model: notes
about: Notes that only their writers may read.
entities:
  writer:
    fields: { id: string, token: secret }
    auth: { headers: { X-Token: "${self.token}" } }
  note:
    fields: { id: string, of: writer, text: private }
    owner: of
setup:
  - sign_up: 2
rules:
  sign_up:
    by: anyone
    request: POST /writers
    responds: 201
    creates: { writer: { id: "${body.id}", token: "${body.token}" } }
  write:
    by: writer
    with: { text: unique("a-long-thought") }
    request: POST /notes
    json: { text: "${text}" }
    unauthenticated: 401
    invalid: []
    responds: 201
    creates: { note: { id: "${body.id}", of: "${actor}", text: "${text}" } }
  read_out:
    by: writer
    let: { own: "notes.filter(n, n.of == actor)" }
    request: GET /notes/spoken
    unauthenticated: 401
    responds: 200
    returns:
      it_ends: body.events[size(body.events) - 1].event == "end"
      letter_by_letter: >-
        body.events.filter(e, e.event == "letter").map(e, e.json.letter).join("")
        == (size(own) == 0 ? "" : own[size(own) - 1].text)
  export:
    by: writer
    request: GET /notes/lines
    unauthenticated: 401
    responds: 200
    returns:
      each_on_a_line: body.events.map(e, e.id) == notes.filter(n, n.of == actor).map(n, n.id)
  follow:
    by: writer
    request: GET /clock
    unauthenticated: 401
    responds: 200
    returns:
      what_came: >-
        body.events == [{"event": "message", "id": "", "data": "tick", "json": null}]
"#;

#[derive(Clone)]
struct Note {
    id: String,
    of: String,
    text: String,
}

#[derive(Clone, Default)]
struct Desk {
    /// Reads out whatever was written last, whoever asks.
    leaks: bool,
    /// Token and id.
    writers: Arc<Mutex<BTreeMap<String, String>>>,
    notes: Arc<Mutex<Vec<Note>>>,
}

impl Desk {
    fn writer(&self, headers: &HeaderMap) -> Result<String, StatusCode> {
        let token = headers.get("x-token").and_then(|t| t.to_str().ok());
        let writers = self.writers.lock().expect("nobody panics");
        let writer = token.and_then(|token| writers.get(token));
        writer.cloned().ok_or(StatusCode::UNAUTHORIZED)
    }

    fn notes(&self, may_see: impl Fn(&Note) -> bool) -> Vec<Note> {
        let notes = self.notes.lock().expect("nobody panics");
        notes.iter().filter(|n| may_see(n)).cloned().collect()
    }
}

fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

async fn sign_up(State(desk): State<Desk>) -> (StatusCode, Json<Value>) {
    let (id, token) = (new_id(), new_id());
    let mut writers = desk.writers.lock().expect("nobody panics");
    writers.insert(token.clone(), id.clone());
    (
        StatusCode::CREATED,
        Json(json!({ "id": id, "token": token })),
    )
}

async fn write(
    State(desk): State<Desk>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    let note = Note {
        id: new_id(),
        of: desk.writer(&headers)?,
        text: body["text"].as_str().unwrap_or_default().to_owned(),
    };
    let id = note.id.clone();
    desk.notes.lock().expect("nobody panics").push(note);
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

/// An answer in pieces that are sent one by one.
fn pieces(content_type: &'static str, pieces: Vec<String>) -> Response {
    let pieces = stream::iter(pieces).then(async |piece| {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(piece)
    });
    ([(CONTENT_TYPE, content_type)], Body::from_stream(pieces)).into_response()
}

async fn spoken(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let writer = desk.writer(&headers)?;
    let notes = desk.notes(|note| desk.leaks || note.of == writer);
    let text = notes.last().map(|note| note.text.clone());
    let letters = text.unwrap_or_default();
    let mut events: Vec<String> = (letters.chars())
        .map(|letter| {
            format!(
                "event: letter\ndata: {}\n\n",
                json!({ "letter": letter.to_string() })
            )
        })
        .collect();
    events.push("event: end\ndata:\ndata:\n\n".into());
    Ok(pieces("text/event-stream; charset=utf-8", events))
}

async fn lines(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let writer = desk.writer(&headers)?;
    let notes = desk.notes(|note| note.of == writer);
    let lines = notes
        .iter()
        .map(|note| format!("{}\n", json!({ "id": note.id })));
    Ok(pieces("application/x-ndjson", lines.collect()))
}

async fn clock(State(desk): State<Desk>, headers: HeaderMap) -> Result<Response, StatusCode> {
    desk.writer(&headers)?;
    let ticks = stream::iter([Ok::<_, Infallible>("data: tick\n\ndata: to")]);
    let ticks = ticks.chain(stream::pending());
    let content_type = [(CONTENT_TYPE, "text/event-stream")];
    Ok((content_type, Body::from_stream(ticks)).into_response())
}

async fn run(leaks: bool) -> (Arc<Model>, Report) {
    let desk = Desk {
        leaks,
        ..Desk::default()
    };
    let routes = Router::new()
        .route("/writers", post(sign_up))
        .route("/notes", post(write))
        .route("/notes/spoken", get(spoken))
        .route("/notes/lines", get(lines))
        .route("/clock", get(clock))
        .with_state(desk);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let model = Arc::new(Model::parse("notes.yaml", MODEL).expect("a model"));
    let limits = Limits {
        timeout: Duration::from_millis(600),
        ..Limits::default()
    };
    let client = Client::new(&url, Vec::new(), limits, Default::default(), false);
    let options = generate::Options {
        steps: Some(12),
        ..Default::default()
    };
    let generator = Generator::new(model.clone(), options);
    let runner = Runner::new(model.clone(), client.expect("a client"), generator.start());
    let options = Options {
        seeds: 0..4,
        ..Options::default()
    };
    let report = campaign(&generator, &runner, &options, &mut |_| {}).await;
    (model, report.expect("the server is there"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_what_the_model_says() {
    let (model, report) = run(false).await;
    assert!(report.held(), "{:?}", report.failures());
    for rule in ["read_out", "export", "follow"] {
        let rule = model.rule_named(rule).expect("there is such a rule");
        let reached = report.coverage.of(rule);
        let ok = reached.filter(|(outcome, _)| outcome.is_ok());
        assert!(ok.map(|(_, times)| times).sum::<u64>() > 0);
    }
}

/// Each event has but a letter of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_leaks_in_pieces_is_found() {
    let (_, report) = run(true).await;
    let names: Vec<String> = (report.failures().iter())
        .map(|(id, _)| id.to_string())
        .collect();
    assert!(
        names.contains(&"isolation: note.text in read_out".into()),
        "{names:?}"
    );
}
