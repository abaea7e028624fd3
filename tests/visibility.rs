//! What somebody cannot see is to him as if it never was: what is predicted of that, that it is tried, and that a server
//! which tells it from what never was is found out.

mod scaffold;

use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gainsay::campaign::Report;
use gainsay::check::{Finding, Identity};
use gainsay::generate;
use gainsay::generate::{Delivery, Generator, Plan};
use gainsay::model::Model;
use gainsay::model::action::{Action, Actor, Outcome, Picked};
use gainsay::model::mirror::Mirror;
use gainsay::model::value::{Handle, KindId, Value};
use scaffold::{drive, found, serve};
use serde_json::json;

/// Writers keep notes, and let others read them. A clerk sees all of them.
const MODEL: &str = r#"
model: notebooks
entities:
  writer:
    fields: { id: string, token: secret }
    auth: { headers: { X-Token: "${self.token}" } }
  clerk:
    fields: { id: string, badge: secret }
    auth: { bearer: "${self.badge}" }
  note:
    fields: { id: string, author: writer, text: string, readers: "[writer]" }
    visible_to: { writer: "self.author == actor || actor in self.readers", clerk: "true" }
setup: [enter: 2, hire]
rules:
  enter:
    by: anyone
    request: POST /writers
    responds: 201
    creates: { writer: { id: "${body.id}", token: "${body.token}" } }
  hire:
    by: anyone
    request: POST /clerks
    responds: 201
    creates: { clerk: { id: "${body.id}", badge: "${body.token}" } }
  write:
    by: writer
    with: { text: "text(1, 20)" }
    request: POST /notes
    json: { text: "${text}" }
    responds: 201
    creates: { note: { id: "${body.id}", author: "${actor}", text: "${text}" } }
  read:
    by: writer
    pick: { note: notes }
    request: GET /notes/{note}
    responds: 200
    returns: { as_written: body.text == note.text }
  share:
    by: writer
    pick: { note: notes, reader: writers }
    request: POST /notes/{note}/readers
    json: { reader: "${reader}" }
    absent: { reader: 422 }
    requires:
      own_note: { that: note.author == actor, else: 403 }
    responds: 204
    sets: { note.readers: "${note.readers + [reader]}" }
  tear:
    by: writer
    pick: { note: notes }
    request: DELETE /notes/{note}
    requires:
      own_note: { that: note.author == actor, else: 403 }
    responds: 204
    deletes: note
  audit:
    by: clerk
    pick: { note: notes }
    request: GET /audit/{note}
    responds: 200
invariants:
  note_reads_back:
    for: note
    by: note.author
    read: GET /notes/{note}
    always: status == 200 && body.text == note.text
"#;

/// What the server does wrong, or otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slip {
    None,
    /// Nothing is wrong: each error has an id of its own.
    RequestIds,
    /// Others are told that they may not read.
    Forbids,
    /// Others are told so with the right status.
    TellsByText,
    /// Others are told by the type of the answer.
    TellsByType,
    /// Who looks for what never was is told more.
    TellsMoreOfNothing,
    /// What others cannot see they can tear up.
    TearsAllTheSame,
    /// Anybody may read.
    Shows,
}

struct Note {
    id: String,
    author: usize,
    text: String,
    readers: Vec<usize>,
}

#[derive(Default)]
struct Books {
    tokens: Vec<String>,
    notes: Vec<Note>,
    made: usize,
}

/// Why somebody gets nothing.
struct Refusal {
    status: StatusCode,
    body: serde_json::Value,
    /// It is not said that it is JSON.
    bare: bool,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self.bare {
            true => (self.status, self.body.to_string()).into_response(),
            false => (self.status, Json(self.body)).into_response(),
        }
    }
}

#[derive(Clone)]
struct Shared {
    slip: Slip,
    books: Arc<Mutex<Books>>,
    asked: Arc<AtomicUsize>,
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panicked")
    }

    fn error(&self, status: StatusCode, detail: &str) -> Refusal {
        let mut body = json!({ "error": detail });
        if self.slip == Slip::RequestIds {
            let asked = self.asked.fetch_add(1, Ordering::Relaxed);
            body["request"] = format!("r{}", asked * 7919 % 10_007).into();
        }
        let bare = false;
        Refusal { status, body, bare }
    }

    fn absent(&self, id: &str) -> Refusal {
        let mut refusal = self.error(StatusCode::NOT_FOUND, &format!("there is no note {id}"));
        if self.slip == Slip::TellsMoreOfNothing {
            refusal.body["hint"] = "look at /notes".into();
        }
        refusal
    }

    fn hidden(&self, id: &str) -> Refusal {
        let (status, text) = (StatusCode::NOT_FOUND, format!("there is no note {id}"));
        match self.slip {
            Slip::Forbids => self.error(StatusCode::FORBIDDEN, "it is not yours"),
            Slip::TellsByText => self.error(status, "it is not yours"),
            slip => Refusal {
                bare: slip == Slip::TellsByType,
                ..self.error(status, &text)
            },
        }
    }

    fn enter(&self, badge: bool) -> Response {
        let mut books = self.books();
        let count = books.tokens.len() + 1;
        let kind = if badge { "b" } else { "w" };
        let token = format!("{kind}{:08x}{:024x}", count * 0x9e37, count * 7919);
        books.tokens.push(token.clone());
        let made = json!({ "id": format!("p{count}"), "token": token });
        (StatusCode::CREATED, Json(made)).into_response()
    }

    /// Who asks, or what he is told.
    fn who(&self, headers: &HeaderMap, badge: bool) -> Result<usize, Refusal> {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let shown = match badge {
            true => text("authorization").and_then(|t| Some(t.strip_prefix("Bearer ")?.to_owned())),
            false => text("x-token"),
        };
        let kind = if badge { 'b' } else { 'w' };
        let books = self.books();
        let known = books
            .tokens
            .iter()
            .position(|token| shown.as_ref() == Some(token) && token.starts_with(kind));
        known.ok_or_else(|| self.error(StatusCode::UNAUTHORIZED, "who are you?"))
    }

    /// The position of a note that somebody can see, or what he is told.
    fn find(&self, who: usize, id: &str) -> Result<usize, Refusal> {
        let books = self.books();
        let at = books.notes.iter().position(|note| note.id == id);
        let at = at.ok_or_else(|| self.absent(id))?;
        let note = &books.notes[at];
        match note.author == who || note.readers.contains(&who) || self.slip == Slip::Shows {
            true => Ok(at),
            false => Err(self.hidden(id)),
        }
    }
}

async fn write(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, Refusal> {
    let author = shared.who(&headers, false)?;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_default();
    let text = body["text"]
        .as_str()
        .filter(|text| (1..=20).contains(&text.chars().count()));
    let text = text.ok_or_else(|| shared.error(StatusCode::UNPROCESSABLE_ENTITY, "no text"))?;
    let mut books = shared.books();
    books.made += 1;
    let id = format!("n{}", books.made);
    books.notes.push(Note {
        id: id.clone(),
        author,
        text: text.to_owned(),
        readers: Vec::new(),
    });
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

async fn read(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let who = shared.who(&headers, false)?;
    let at = shared.find(who, &id)?;
    let books = shared.books();
    Ok(Json(json!({ "id": id, "text": books.notes[at].text })).into_response())
}

async fn share(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<serde_json::Value>,
) -> Result<StatusCode, Refusal> {
    let who = shared.who(&headers, false)?;
    let at = shared.find(who, &id)?;
    let mut books = shared.books();
    if books.notes[at].author != who {
        return Err(shared.error(StatusCode::FORBIDDEN, "only its author may"));
    }
    let reader = body["reader"]
        .as_str()
        .and_then(|id| id.strip_prefix('p')?.parse::<usize>().ok());
    let reader = reader.filter(|reader| *reader <= books.tokens.len());
    let reader =
        reader.ok_or_else(|| shared.error(StatusCode::UNPROCESSABLE_ENTITY, "no reader"))?;
    books.notes[at].readers.push(reader - 1);
    Ok(StatusCode::NO_CONTENT)
}

async fn tear(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let who = shared.who(&headers, false)?;
    let found = shared.find(who, &id);
    let mut books = shared.books();
    if let (Err(_), Slip::TearsAllTheSame) = (&found, shared.slip) {
        books.notes.retain(|note| note.id != id);
    }
    let at = found?;
    if books.notes[at].author != who {
        return Err(shared.error(StatusCode::FORBIDDEN, "only its author may"));
    }
    books.notes.remove(at);
    Ok(StatusCode::NO_CONTENT)
}

async fn audit(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    shared.who(&headers, true)?;
    let known = shared.books().notes.iter().any(|note| note.id == id);
    known
        .then_some(StatusCode::OK)
        .ok_or_else(|| shared.absent(&id))
}

fn routes(slip: Slip) -> Router {
    let shared = Shared {
        slip,
        books: Arc::default(),
        asked: Arc::default(),
    };
    Router::new()
        .route(
            "/writers",
            post(|State(s): State<Shared>| async move { s.enter(false) }),
        )
        .route(
            "/clerks",
            post(|State(s): State<Shared>| async move { s.enter(true) }),
        )
        .route("/notes", post(write))
        .route("/notes/{id}", get(read).delete(tear))
        .route("/notes/{id}/readers", post(share))
        .route("/audit/{id}", get(audit))
        .with_state(shared)
}

fn notebooks() -> Arc<Model> {
    scaffold::model("notebooks.yaml", MODEL)
}

async fn run(slip: Slip) -> Report {
    drive(
        &notebooks(),
        routes(slip),
        generate::Options::default(),
        false,
    )
    .await
}

const ABOUT_NOTES: [(&str, bool); 4] = [
    ("read", true),
    ("share", true),
    ("tear", true),
    ("audit", false),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_tell_holds_and_every_rule_is_tried_by_who_cannot_see() {
    for slip in [Slip::None, Slip::RequestIds] {
        let report = run(slip).await;
        assert!(report.held(), "{slip:?}: {:?}", found(&report));
        let model = notebooks();
        for (name, hidden) in ABOUT_NOTES {
            let rule = model.rule_named(name).expect("a rule");
            let outcomes: Vec<_> = report.coverage.of(rule).collect();
            assert!(
                outcomes.iter().all(|(_, count)| *count > 0),
                "{name}: {outcomes:?}"
            );
            let there = outcomes
                .iter()
                .any(|(outcome, _)| *outcome == Outcome::Hidden(0));
            assert_eq!(there, hidden, "{name}: {outcomes:?}");
            let mut cells = report.access.of(rule);
            let another = cells.find(|(identity, _)| *identity == Identity::Another);
            let refused = another.is_some_and(|(_, cell)| cell.refused > 0 && cell.violated == 0);
            assert_eq!(refused, hidden, "{name}: {another:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_tells_or_lets_in_is_found() {
    for (slip, check) in [
        (Slip::Forbids, "read: hidden note"),
        (Slip::Shows, "read: hidden note"),
        (Slip::TellsByText, "indistinguishable: read"),
        (Slip::TellsByText, "indistinguishable: share"),
        (Slip::TellsByType, "indistinguishable: tear"),
        (Slip::TellsMoreOfNothing, "indistinguishable: read"),
        (Slip::TearsAllTheSame, "note_reads_back after tear"),
    ] {
        let report = run(slip).await;
        let found = found(&report);
        assert!(found.iter().any(|id| id == check), "{slip:?}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counterexample_shows_both_answers_and_needs_little() {
    let report = run(Slip::TellsByText).await;
    let mut counterexamples = report.counterexamples.iter();
    let told = counterexamples.find(|c| c.violation.id.to_string() == "indistinguishable: read");
    let told = told.expect("it is found");
    // Two writers, a note, and who cannot see it.
    assert_eq!(told.plan.len(), 4, "{:?}", told.plan);
    assert!(told.standing.certain(), "{:?}", told.standing);
    let Finding::Untrue { reason, parts, .. } = &told.violation.finding else {
        panic!("{:?}", told.violation.finding);
    };
    assert_eq!(reason.as_deref(), Some("they differ in body/error"));
    let parts: Vec<String> = parts.iter().map(|(part, _)| part.clone()).collect();
    assert_eq!(
        parts,
        ["body about what is hidden", "body about what never was"]
    );
    let style = gainsay::report::Style::PLAIN;
    let story = gainsay::report::story(&notebooks(), told, style);
    assert!(story.contains("it is not yours"), "{story}");
    assert!(story.contains("there is no note ‹never was›"), "{story}");
    let script = gainsay::report::curl(&notebooks(), told, "http://127.0.0.1:1");
    assert!(script.contains("the same about what never was"), "{script}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_turns_it_off_and_races_and_faults_do_it_no_harm() {
    let off = MODEL.replace("setup:", "builtin: { indistinguishable: false }\nsetup:");
    let model = scaffold::model("notebooks.yaml", &off);
    let options = generate::Options::default;
    let report = drive(&model, routes(Slip::TellsByText), options(), false).await;
    assert!(report.held(), "{:?}", found(&report));
    let mut options = options();
    options.faults.kinds = vec![generate::Fault::Twice, generate::Fault::Abandoned];
    options.faults.permille = 200;
    options.races.permille = 200;
    let report = drive(&notebooks(), routes(Slip::RequestIds), options, false).await;
    assert!(report.held(), "{:?}", found(&report));
}

fn gainsay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gainsay"))
        .args(arguments)
        .env("NO_COLOR", "1")
        .output()
        .expect("the binary starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_has_what_is_needed_to_judge_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| {
        folder
            .path()
            .join(name)
            .to_str()
            .expect("a path")
            .to_owned()
    };
    let (model, history) = (path("notebooks.yaml"), path("history.jsonl"));
    std::fs::write(&model, MODEL).expect("it is written");
    for (slip, code) in [(Slip::RequestIds, 0), (Slip::TellsByText, 1)] {
        let (url, server) = serve(routes(slip)).await;
        let run = [
            "run",
            &model,
            "--url",
            &url,
            "--history",
            &history,
            "--seeds",
            "0..6",
        ];
        let (ran, judged) =
            tokio::task::block_in_place(|| (gainsay(&run), gainsay(&["judge", &model, &history])));
        server.abort();
        assert_eq!(ran.status.code(), Some(code), "{slip:?}: {ran:?}");
        assert_eq!(judged.status.code(), Some(code), "{slip:?}: {judged:?}");
        let told = String::from_utf8_lossy(&judged.stdout).into_owned();
        let why = "is answered otherwise than what never was: it differs in body/error";
        assert_eq!(told.contains(why), code == 1, "{told}");
        let written = std::fs::read_to_string(&history).expect("a history");
        assert!(written.contains("\"probe\":"), "{slip:?}");
        let other = written.replace("\"probe\":", "\"probe\":9");
        std::fs::write(&history, other).expect("it is written");
        let judged = tokio::task::block_in_place(|| gainsay(&["judge", &model, &history]));
        assert_eq!(judged.status.code(), Some(2), "{judged:?}");
    }
}

/// A state with two writers and a note of the first one.
struct Scene {
    model: Arc<Model>,
    mirror: Mirror,
    writers: [Handle; 2],
    note: Handle,
}

impl Scene {
    fn new(source: &str) -> Scene {
        let model = scaffold::model("notebooks.yaml", source);
        let mut mirror = model.initial();
        let handle = |kind, step| Handle {
            kind: KindId(kind),
            step,
            nth: 0,
        };
        let writers = [handle(0, 1), handle(0, 2)];
        for writer in writers {
            let name = format!("p{}", writer.step);
            mirror.insert(writer, vec![Value::text(name), Value::text("a long token")]);
        }
        let note = handle(2, 3);
        let readers = Value::List(Arc::new([]));
        let fields = vec![
            Value::text("n1"),
            Value::Entity(writers[0]),
            Value::text("x"),
            readers,
        ];
        mirror.insert(note, fields);
        Scene {
            model,
            mirror,
            writers,
            note,
        }
    }

    fn action(&self, rule: &str, actor: Actor) -> Action {
        let rule = self.model.rule_named(rule).expect("a rule");
        let mut picks = vec![Picked::Entity(self.note)];
        if self.model.rules[rule].picks.len() > 1 {
            picks.push(Picked::Entity(self.writers[1]));
        }
        Action {
            rule,
            actor,
            picks,
            args: Vec::new(),
        }
    }

    fn predicted(&self, action: &Action) -> Vec<String> {
        let rule = &self.model.rules[action.rule];
        let prediction = self.model.predict(&self.mirror, action, None);
        prediction
            .outcomes
            .iter()
            .map(|outcome| outcome.name(rule))
            .collect()
    }
}

#[test]
fn what_is_hidden_is_predicted_like_what_never_was() {
    let mut scene = Scene::new(MODEL);
    let [author, other] = scene.writers.map(Actor::Entity);
    assert_eq!(scene.predicted(&scene.action("tear", author)), ["ok"]);
    // That it is not his own would tell him that it is there.
    assert_eq!(
        scene.predicted(&scene.action("tear", other)),
        ["hidden note"]
    );
    let statuses = scene.model.statuses(3, Outcome::Hidden(0)).to_string();
    assert_eq!(statuses, "404");
    // As with what never was, something else that is wrong is wrong all the same.
    let mut share = scene.action("share", other);
    share.picks[1] = Picked::Never;
    assert_eq!(scene.predicted(&share), ["hidden note", "absent reader"]);
    // Whoever is nobody is that first.
    for nobody in [Actor::Nobody, Actor::Other(scene.writers[1])] {
        let expected = match nobody {
            Actor::Nobody => "unauthenticated",
            _ => "other kind",
        };
        assert_eq!(scene.predicted(&scene.action("tear", nobody)), [expected]);
    }
    scene.mirror.delete(scene.note);
    assert_eq!(
        scene.predicted(&scene.action("tear", author)),
        ["gone note"]
    );
    assert_eq!(
        scene.predicted(&scene.action("tear", other)),
        ["hidden note"]
    );
}

#[test]
fn it_has_the_statuses_of_absence_and_where_that_is_not_tried_it_is_none() {
    let scene = Scene::new(&MODEL.replace(
        "request: DELETE /notes/{note}",
        "request: DELETE /notes/{note}\n    absent: { note: [404, 410] }",
    ));
    let tear = scene.model.rule_named("tear").expect("a rule");
    assert_eq!(
        scene.model.statuses(tear, Outcome::Hidden(0)).to_string(),
        "404 or 410"
    );
    let scene = Scene::new(&MODEL.replace(
        "request: DELETE /notes/{note}",
        "request: DELETE /notes/{note}\n    absent: []",
    ));
    let other = Actor::Entity(scene.writers[1]);
    assert_eq!(scene.predicted(&scene.action("tear", other)), ["own_note"]);
}

#[test]
fn whether_he_sees_it_may_be_unknown() {
    let mut scene = Scene::new(MODEL);
    let author = scene.writers[0];
    let fields = vec![
        Value::text("n1"),
        Value::Entity(author),
        Value::text("x"),
        Value::Unknown,
    ];
    scene.mirror.insert(scene.note, fields);
    let other = Actor::Entity(scene.writers[1]);
    assert_eq!(
        scene.predicted(&scene.action("read", other)),
        ["hidden note", "ok"]
    );
    assert_eq!(
        scene.predicted(&scene.action("read", Actor::Entity(author))),
        ["ok"]
    );
}

/// Without `visible_to` nothing of it is there: the same goals, and so the same plans.
#[test]
fn a_model_that_says_nothing_of_it_has_the_plans_that_it_had() {
    let line = MODEL
        .lines()
        .find(|line| line.contains("visible_to:"))
        .expect("a line");
    let seen = "    visible_to: { writer: \"true\", clerk: \"true\" }";
    let plans = |source: &str| -> Vec<Plan> {
        let generator = Generator::new(
            scaffold::model("notebooks.yaml", source),
            generate::Options::default(),
        );
        (0..6).map(|seed| generator.plan(seed)).collect()
    };
    let without = plans(&MODEL.replace(line, ""));
    assert_eq!(without, plans(&MODEL.replace(line, seen)));
    assert!(
        without
            .iter()
            .flat_map(Plan::all)
            .all(|step| step.delivery == Delivery::Once)
    );
    let with = plans(MODEL);
    assert_ne!(without, with);
}

#[test]
fn the_owner_alone_is_said_in_a_word() {
    let line = MODEL
        .lines()
        .find(|line| line.contains("visible_to:"))
        .expect("a line");
    let source = MODEL.replace(line, "    owner: author\n    visible_to: owner");
    let scene = Scene::new(&source);
    let [author, other] = scene.writers.map(Actor::Entity);
    assert_eq!(scene.predicted(&scene.action("read", author)), ["ok"]);
    assert_eq!(
        scene.predicted(&scene.action("read", other)),
        ["hidden note"]
    );
    let rules = scene.model.rule_book();
    assert!(
        rules.contains("- a `writer` (`actor`) where `self.author == actor`"),
        "{rules}"
    );
}
