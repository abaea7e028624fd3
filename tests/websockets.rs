//! Websockets: what is said on them is an answer like any other, and is judged like one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gainsay::campaign::{Options, Report, campaign};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Faults, Generator, Races};
use gainsay::model::Model;
use gainsay::run::Runner;
use serde_json::{Value, json};

/// Rooms, in which only their owners may listen. Who listens says first from which word on.
const MODEL: &str = r#"
model: rooms
entities:
  speaker:
    fields: { id: string, token: secret }
    auth: { headers: { X-Token: "${self.token}" } }
  room:
    fields: { id: string, owner: speaker, words: "[string]", diary: private, over: bool = false }
    owner: owner
setup: [enter: 2]
rules:
  enter:
    by: anyone
    request: POST /speakers
    responds: 201
    creates: { speaker: { id: "${body.id}", token: "${body.token}" } }
  open:
    by: speaker
    with: { diary: text(8) }
    request: POST /rooms
    json: { diary: "${diary}" }
    responds: 201
    creates: { room: { id: "${body.id}", owner: "${actor}", diary: "${diary}" } }
  say:
    by: speaker
    pick: { room: rooms }
    with: { word: "text(1, 8)" }
    request: POST /rooms/{room}/words
    json: { word: "${word}" }
    requires:
      own_room: &own { that: room.owner == actor, else: 403 }
      it_is_not_over: { that: "!room.over", else: 409 }
    responds: 204
    sets: { room.words: "${room.words + [word]}" }
  end:
    by: speaker
    pick: { room: rooms }
    request: DELETE /rooms/{room}
    requires: { own_room: *own }
    responds: 204
    sets: { room.over: true }
  listen:
    by: speaker
    weight: 3
    pick: { room: rooms }
    with: { from: "int(0, 2)" }
    request: WS /rooms/{room}
    json: { from: "${from}" }
    requires: { own_room: { that: room.owner == actor, else: [403, 4003] } }
    unauthenticated: [401, 4001]
    absent: [404, 4004]
    invalid: 4022
    responds: 101
    returns:
      the_rest: >-
        body.messages == (from < size(room.words) ? room.words.slice(from, size(room.words)) : [])
      it_ends_with_the_room: >-
        room.over ? body.close == {"code": 1000, "reason": "over"} : body.close == null
"#;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Slip {
    None,
    /// None either: whom it refuses it tells so on a websocket.
    RefusesOnceOpen,
    /// Nobody needs a token to listen.
    NobodyIsAsked,
    /// A token is asked for, and it may be anybody's.
    AnybodyMayListen,
    /// The first word is always told.
    FromTheBeginning,
    /// What others wrote into their diaries is told, too, a letter at a time.
    TellsDiaries,
    /// It fails when a room is over, and says so.
    Fails,
    /// It fails when a room is over, and says nothing.
    BreaksOff,
}

#[derive(Default)]
struct House {
    tokens: Vec<String>,
    rooms: BTreeMap<String, Room>,
}

#[derive(Clone)]
struct Room {
    owner: usize,
    words: Vec<String>,
    diary: String,
    over: bool,
}

#[derive(Clone)]
struct Shared {
    slip: Slip,
    house: Arc<Mutex<House>>,
}

impl Shared {
    fn house(&self) -> MutexGuard<'_, House> {
        self.house.lock().expect("nobody panicked")
    }

    /// Who asks for a room; or how he is refused.
    fn asked(&self, headers: &HeaderMap, room: &str, listens: bool) -> Result<usize, StatusCode> {
        let house = self.house();
        let token = headers.get("x-token").and_then(|t| t.to_str().ok());
        let who = (house.tokens.iter()).position(|known| Some(known.as_str()) == token);
        let found = house.rooms.get(room);
        if listens && self.slip == Slip::NobodyIsAsked && found.is_some() {
            return Ok(0);
        }
        let who = who.ok_or(StatusCode::UNAUTHORIZED)?;
        let owner = found.ok_or(StatusCode::NOT_FOUND)?.owner;
        match who == owner || listens && self.slip == Slip::AnybodyMayListen {
            true => Ok(who),
            false => Err(StatusCode::FORBIDDEN),
        }
    }

    /// What is told of a room from a word on, and whether it is over.
    fn told(&self, room: &str, from: usize) -> (Vec<String>, bool) {
        let house = self.house();
        let found = &house.rooms[room];
        let from = match self.slip {
            Slip::FromTheBeginning => 0,
            _ => from.min(found.words.len()),
        };
        let mut told = found.words[from..].to_vec();
        if self.slip == Slip::TellsDiaries {
            let others = house.rooms.values().filter(|r| r.owner != found.owner);
            told.extend(others.flat_map(|r| r.diary.chars().map(String::from)));
        }
        (told, found.over)
    }

    async fn talk(self, mut socket: WebSocket, room: String) {
        let Some(Ok(Message::Text(text))) = socket.recv().await else {
            return;
        };
        let said: Value = serde_json::from_str(&text).unwrap_or_default();
        let Some(from) = said["from"].as_u64().filter(|from| *from <= 2) else {
            return close(socket, 4022, "unintelligible").await;
        };
        let (words, over) = self.told(&room, usize::try_from(from).unwrap_or(usize::MAX));
        for word in words {
            let text = json!(word).to_string();
            if socket.send(Message::Text(text.into())).await.is_err() {
                return;
            }
        }
        let (code, reason) = match (over, self.slip) {
            (true, Slip::Fails) => (1011, "oh"),
            (true, Slip::BreaksOff) => return,
            (true, _) => (1000, "over"),
            // Whoever listens hears when it is over; here he leaves before.
            (false, _) => {
                let _ = socket.recv().await;
                return;
            }
        };
        close(socket, code, reason).await;
    }
}

/// Closes a websocket, whether anybody hears of it or not.
async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let reason = reason.into();
    let frame = CloseFrame { code, reason };
    let _ = socket.send(Message::Close(Some(frame))).await;
    let _ = socket.recv().await;
}

async fn enter(State(shared): State<Shared>) -> Response {
    let mut house = shared.house();
    let number = house.tokens.len();
    let token = format!("{:08x}{:024x}", (number + 1) * 0x9e37, number * 7919);
    house.tokens.push(token.clone());
    let body = json!({ "id": format!("s{number}"), "token": token });
    (StatusCode::CREATED, Json(body)).into_response()
}

async fn open(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let mut house = shared.house();
    let token = headers.get("x-token").and_then(|t| t.to_str().ok());
    let Some(owner) = (house.tokens.iter()).position(|known| Some(known.as_str()) == token) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let Some(diary) = body["diary"].as_str().filter(|d| d.chars().count() >= 8) else {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    };
    let id = format!("r{}", house.rooms.len());
    let room = Room {
        owner,
        words: Vec::new(),
        diary: diary.to_owned(),
        over: false,
    };
    house.rooms.insert(id.clone(), room);
    (StatusCode::CREATED, Json(json!({ "id": id }))).into_response()
}

async fn say(
    State(shared): State<Shared>,
    Path(room): Path<String>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let word = body["word"].as_str();
    let word = word.filter(|w| (1..=8).contains(&w.chars().count()));
    let asked = shared.asked(&headers, &room, false);
    match (asked, word) {
        (Err(refused), _) => refused,
        (Ok(_), None) => StatusCode::UNPROCESSABLE_ENTITY,
        (Ok(_), Some(word)) => {
            let mut house = shared.house();
            match house.rooms.get_mut(&room) {
                Some(room) if !room.over => {
                    room.words.push(word.to_owned());
                    StatusCode::NO_CONTENT
                }
                _ => StatusCode::CONFLICT,
            }
        }
    }
}

async fn end(
    State(shared): State<Shared>,
    Path(room): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    if let Err(refused) = shared.asked(&headers, &room, false) {
        return refused;
    }
    if let Some(room) = shared.house().rooms.get_mut(&room) {
        room.over = true;
    }
    StatusCode::NO_CONTENT
}

async fn listen(
    State(shared): State<Shared>,
    Path(room): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    match shared.asked(&headers, &room, true) {
        Ok(_) => upgrade.on_upgrade(move |socket| shared.talk(socket, room)),
        Err(refused) if shared.slip == Slip::RefusesOnceOpen => {
            let code = 4000 + refused.as_u16() % 100;
            upgrade.on_upgrade(move |socket| close(socket, code, "no"))
        }
        Err(refused) => refused.into_response(),
    }
}

async fn run(slip: Slip, generate: generate::Options) -> Report {
    let house = Arc::default();
    let routes = Router::new()
        .route("/speakers", post(enter))
        .route("/rooms", post(open))
        .route("/rooms/{room}", get(listen).delete(end))
        .route("/rooms/{room}/words", post(say))
        .with_state(Shared { slip, house });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let model = Arc::new(Model::parse("rooms.yaml", MODEL).expect("a model"));
    let limits = Limits {
        quiet: Duration::from_millis(100),
        ..Limits::default()
    };
    let client = Client::new(&url, Vec::new(), limits, model.tolerate.clone(), false);
    let generator = Generator::new(model.clone(), generate);
    let runner = Runner::new(model, client.expect("a client"), generator.start());
    let options = Options {
        seeds: 0..10,
        jobs: 4,
        ..Options::default()
    };
    let report = campaign(&generator, &runner, &options, &mut |_| {}).await;
    server.abort();
    report.expect("it runs")
}

fn found(report: &Report) -> Vec<String> {
    let failures = report.failures().into_iter();
    failures.map(|(id, _)| id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_on_a_websocket_is_judged() {
    for sound in [Slip::None, Slip::RefusesOnceOpen] {
        let report = run(sound, generate::Options::default()).await;
        assert!(report.held(), "{:?}", found(&report));
        let (all, tried) = report.access.totals();
        assert_eq!(all, tried, "{:?}", report.access);
    }
    for (slip, check) in [
        (Slip::NobodyIsAsked, "listen: unauthenticated"),
        (Slip::AnybodyMayListen, "listen: own_room"),
        (Slip::FromTheBeginning, "listen returns the_rest"),
        (Slip::TellsDiaries, "isolation: room.diary in listen"),
        (Slip::Fails, "no_server_errors: listen"),
        (Slip::BreaksOff, "no_server_errors: listen"),
    ] {
        let report = run(slip, generate::Options::default()).await;
        let found = found(&report);
        assert!(found.iter().any(|id| id == check), "{slip:?}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_are_opened_in_races_and_among_faults() {
    let options = generate::Options {
        faults: Faults::network(0.3),
        races: Races {
            permille: 300,
            ..Races::default()
        },
        ..generate::Options::default()
    };
    let report = run(Slip::None, options).await;
    assert!(report.held(), "{:?}", found(&report));
}
