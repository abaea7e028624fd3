//! Cookie sessions: each principal has a jar of his own, which the server fills, and which nobody is shown.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use gainsay::campaign::{Options, Progress, Report, campaign};
use gainsay::check::Identity;
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Generator, Races};
use gainsay::model::Model;
use gainsay::model::action::Forgery;
use gainsay::report::{self, Style};
use gainsay::run::Runner;
use serde_json::{Value, json};

/// A cloakroom: who is there has a session, and may leave things and fetch them.
const MODEL: &str = r#"
model: cloakroom
entities:
  session:
    fields: { id: string }
    auth: { jar: true }
  item:
    fields: { id: string, owner: session, text: string }
setup: [log_in: 2]
rules:
  log_in:
    by: anyone
    request: POST /auth/sessions
    responds: 201
    creates: { session: { id: "${body.id}" } }
  leave:
    by: session
    with: { text: "text(1, 20)" }
    request: POST /items
    json: { text: "${text}" }
    responds: 201
    creates: { item: { id: "${body.id}", owner: "${actor}", text: "${text}" } }
  fetch:
    by: session
    pick: { item: items }
    request: DELETE /items/{item}
    requires: { own_item: { that: item.owner == actor, else: 403 } }
    responds: 204
    deletes: item
  refresh:
    by: session
    request: POST /auth/sessions/refresh
    responds: 204
  log_out:
    by: session
    request: DELETE /auth/sessions/me
    responds: 204
    deletes: session
invariants:
  items_stay:
    for: item
    by: item.owner
    read: GET /items/{item}
    always: body.text == item.text
"#;

/// What the server does wrong, or does more of than others.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slip {
    None,
    /// Who has logged out may still leave things.
    StaysLoggedIn,
    /// A session is looked up by how its id begins.
    Prefix,
    /// Nobody's things are his own.
    AnybodyFetches,
    /// Who leaves something is told the session of whoever left something before.
    NamesTheOneBefore,
    /// Every answer sets hundreds of cookies, and huge ones.
    Lavish,
}

#[derive(Default)]
struct Room {
    next: usize,
    /// The ids of sessions in the order in which they were set, who they are of, and whether they are over.
    sids: Vec<(String, usize, bool)>,
    /// Things, whose they are, and what they are.
    items: Vec<(String, usize, String)>,
    /// What came that should never have come.
    strays: Vec<String>,
    /// The longest `Cookie` header.
    longest: usize,
}

#[derive(Clone)]
struct Cloakroom {
    slip: Slip,
    room: Arc<Mutex<Room>>,
}

impl Cloakroom {
    fn new(slip: Slip) -> Cloakroom {
        let room = Arc::default();
        Cloakroom { slip, room }
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().expect("nobody panicked")
    }

    /// A new session of somebody, and what is set for it.
    fn set(
        &self,
        room: &mut Room,
        who: usize,
    ) -> AppendHeaders<Vec<(axum::http::HeaderName, String)>> {
        let n = room.sids.len() + 1;
        let sid = format!("{:08x}{:024x}", n * 0x9e37, n * 7919);
        room.sids.push((sid.clone(), who, false));
        let mut set = vec![
            format!("sid={sid}; Path=/; HttpOnly; SameSite=Lax"),
            "stray=elsewhere; Domain=example.com; Path=/".to_owned(),
            "own=of-auth; Path=/auth".to_owned(),
        ];
        if self.slip == Slip::Lavish {
            set.extend((0..300).map(|n| format!("junk-{}-{n}=nothing; Path=/", room.sids.len())));
            set.push(format!("huge={}; Path=/", "x".repeat(50_000)));
        }
        AppendHeaders(set.into_iter().map(|text| (SET_COOKIE, text)).collect())
    }

    fn who(&self, room: &mut Room, headers: &HeaderMap, path: &str, leaves: bool) -> Option<usize> {
        let cookies = headers.get(COOKIE)?.to_str().ok()?;
        room.longest = room.longest.max(cookies.len());
        let stray = cookies.contains("stray=") || cookies.contains("huge=");
        if stray || cookies.contains("own=") != path.starts_with("/auth") {
            let shown = cookies.chars().take(200).collect();
            room.strays.push(shown);
        }
        let mut pairs = cookies.split("; ").filter_map(|pair| pair.split_once('='));
        let (_, shown) = pairs.find(|(name, _)| *name == "sid")?;
        let found = room.sids.iter().find(|(sid, _, over)| {
            let same = match self.slip {
                Slip::Prefix => shown.len() > 8 && sid.starts_with(shown),
                _ => sid == shown,
            };
            same && (!over || self.slip == Slip::StaysLoggedIn && leaves)
        });
        found.map(|(_, who, _)| *who)
    }
}

async fn log_in(State(server): State<Cloakroom>, headers: HeaderMap) -> Response {
    let mut room = server.room();
    if let Some(cookies) = headers.get(COOKIE) {
        let cookies = format!("at the login: {cookies:?}");
        room.strays.push(cookies);
    }
    room.next += 1;
    let who = room.next;
    let set = server.set(&mut room, who);
    let id = format!("s{who}");
    (StatusCode::CREATED, set, Json(json!({ "id": id }))).into_response()
}

async fn refresh(State(server): State<Cloakroom>, headers: HeaderMap) -> Response {
    let mut room = server.room();
    let Some(who) = server.who(&mut room, &headers, "/auth", false) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    for (_, _, over) in room.sids.iter_mut().filter(|(_, of, _)| *of == who) {
        *over = true;
    }
    (StatusCode::NO_CONTENT, server.set(&mut room, who)).into_response()
}

async fn log_out(State(server): State<Cloakroom>, headers: HeaderMap) -> Response {
    let mut room = server.room();
    let Some(who) = server.who(&mut room, &headers, "/auth", false) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    for (_, _, over) in room.sids.iter_mut().filter(|(_, of, _)| *of == who) {
        *over = true;
    }
    let ended = AppendHeaders([(SET_COOKIE, "sid=; Path=/; Max-Age=0")]);
    (StatusCode::NO_CONTENT, ended).into_response()
}

async fn leave(
    State(server): State<Cloakroom>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let mut room = server.room();
    let Some(who) = server.who(&mut room, &headers, "/items", true) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = body["text"].as_str().unwrap_or_default().to_owned();
    if !(1..=20).contains(&text.chars().count()) {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    room.next += 1;
    let id = format!("i{}", room.next);
    let before = room.items.last().map(|(_, who, _)| *who);
    let sid = room
        .sids
        .iter()
        .rev()
        .find(|(_, of, _)| Some(*of) == before);
    let sid = sid.map(|(sid, ..)| sid.clone());
    room.items.push((id.clone(), who, text));
    // What it was asked with, it says again, in another form.
    let asked = headers
        .get(COOKIE)
        .and_then(|cookies| cookies.to_str().ok());
    let asked = asked.and_then(|cookies| cookies.split("sid=").nth(1));
    let asked = STANDARD.encode(
        asked
            .and_then(|sid| sid.split(';').next())
            .unwrap_or_default(),
    );
    let answer = match server.slip {
        Slip::NamesTheOneBefore => json!({ "id": id, "before": sid }),
        _ => json!({ "id": id, "asked": asked }),
    };
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn item(
    State(server): State<Cloakroom>,
    Path(id): Path<String>,
    method: axum::http::Method,
    headers: HeaderMap,
) -> Response {
    let mut room = server.room();
    let Some(who) = server.who(&mut room, &headers, "/items", false) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let Some(at) = room.items.iter().position(|(item, ..)| *item == id) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if room.items[at].1 != who && server.slip != Slip::AnybodyFetches {
        return StatusCode::FORBIDDEN.into_response();
    }
    match method == axum::http::Method::DELETE {
        true => {
            room.items.remove(at);
            StatusCode::NO_CONTENT.into_response()
        }
        false => Json(json!({ "text": room.items[at].2 })).into_response(),
    }
}

/// What a campaign found, its model and address, and the history as it would be written.
struct Driven {
    report: Report,
    model: Arc<Model>,
    url: String,
    history: String,
}

async fn drive(server: &Cloakroom, plans: generate::Options) -> Driven {
    let routes = Router::new()
        .route("/auth/sessions", post(log_in))
        .route("/auth/sessions/refresh", post(refresh))
        .route("/auth/sessions/me", get(|| async { "" }).delete(log_out))
        .route("/items", post(leave))
        .route("/items/{id}", get(item).delete(item))
        .with_state(server.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let model = Arc::new(Model::parse("cloakroom.yaml", MODEL).expect("a model"));
    let tolerate = model.tolerate.clone();
    let client = Client::new(&url, Vec::new(), Limits::default(), tolerate, false);
    let generator = Generator::new(model.clone(), plans);
    let start = generator.start();
    let runner = Runner::new(model.clone(), client.expect("a client"), start.clone());
    let mut history = report::recording::head(&model, &start);
    let mut write = |progress: Progress<'_>| {
        if let Progress::Ran(plan, run) = progress {
            history.push_str(&report::recording::lines(&model, &start, plan, run, 0));
        }
    };
    let options = Options::default();
    let report = campaign(&generator, &runner, &options, &mut write).await;
    let report = report.expect("it runs");
    serving.abort();
    Driven {
        report,
        model,
        url,
        history,
    }
}

fn found(report: &Report) -> Vec<String> {
    let failures = report.failures().into_iter();
    failures.map(|(id, _)| id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_what_the_server_set_last_for_its_principal() {
    let server = Cloakroom::new(Slip::None);
    let report = drive(&server, generate::Options::default()).await.report;
    assert!(report.held(), "{:?}", found(&report));
    let room = server.room();
    assert!(room.strays.is_empty(), "{:?}", room.strays);
    // Some were refreshed, and went on with what they got.
    assert!(room.sids.len() > 60, "{}", room.sids.len());
    let (all, tried) = report.access.totals();
    // Forgers take turns at few rules.
    assert!(tried + 2 >= all, "{:?}", report.access);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_let_in_with_an_old_or_half_a_cookie_is_named() {
    for (slip, check, who) in [
        (
            Slip::StaysLoggedIn,
            "leave: unauthenticated",
            Identity::Gone,
        ),
        (
            Slip::Prefix,
            "fetch: unauthenticated",
            Identity::Forger(Forgery::Truncated),
        ),
        (Slip::AnybodyFetches, "fetch: own_item", Identity::Another),
    ] {
        let server = Cloakroom::new(slip);
        let report = drive(&server, generate::Options::default()).await.report;
        let found = found(&report);
        assert!(found.iter().any(|id| id == check), "{slip:?}: {found:?}");
        let mut cells = (0..5).flat_map(|rule| report.access.of(rule));
        let violated = cells.any(|(identity, cell)| identity == who && cell.violated > 0);
        assert!(violated, "{slip:?}: {:?}", report.access);
        // Every replay has jars of its own.
        let mut boiled = report.counterexamples.iter();
        assert!(boiled.all(|found| found.standing.certain()), "{slip:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_that_others_are_shown_is_found() {
    let server = Cloakroom::new(Slip::NamesTheOneBefore);
    let report = drive(&server, generate::Options::default()).await.report;
    assert_eq!(
        found(&report),
        ["no_secrets_leaked: session.cookie.sid in leave"]
    );
    assert_eq!(report.counterexamples[0].plan.len(), 4);
    assert!(report.counterexamples[0].standing.certain());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_output_shows_a_cookie() {
    for slip in [Slip::StaysLoggedIn, Slip::AnybodyFetches] {
        let server = Cloakroom::new(slip);
        let driven = drive(&server, generate::Options::default()).await;
        let Driven {
            report,
            model,
            url,
            history,
        } = &driven;
        let mut shown = history.clone();
        for found in &report.counterexamples {
            shown.push_str(&report::story(model, found, Style::PLAIN));
            let script = report::curl(model, found, url);
            assert!(script.contains("-H \"Cookie: "), "{script}");
            assert!(
                script.contains("SESSION_1_COOKIE_SID_1=$(sed -n"),
                "{script}"
            );
            shown.push_str(&script);
        }
        let room = server.room();
        assert!(room.sids.len() > 50);
        for (sid, ..) in &room.sids {
            assert!(!shown.contains(sid.as_str()), "{slip:?}: {sid}");
            let encoded = STANDARD_NO_PAD.encode(sid);
            let core = &encoded[..encoded.len() - 1];
            assert!(!shown.contains(core), "{slip:?}: {sid} as {core}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_race_both_branches_show_the_session_that_there_was() {
    let server = Cloakroom::new(Slip::None);
    let plans = generate::Options {
        races: Races {
            permille: 500,
            ..Races::default()
        },
        skip: vec!["refresh".into()],
        ..generate::Options::default()
    };
    let driven = drive(&server, plans).await;
    let report = &driven.report;
    assert!(report.held(), "{:?}", found(report));
    assert!(report.races > 20, "{}", report.races);
    assert!(server.room().strays.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lavish_server_is_bounded() {
    let server = Cloakroom::new(Slip::Lavish);
    let report = drive(&server, generate::Options::default()).await.report;
    assert!(report.held(), "{:?}", found(&report));
    let room = server.room();
    assert!(room.strays.is_empty(), "{:?}", room.strays);
    assert!((500..50 * 40).contains(&room.longest), "{}", room.longest);
}
