//! Who may do what: each rule is tried as everybody who must be refused, and the report says so.

mod scaffold;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gainsay::campaign::Report;
use gainsay::check::Identity;
use gainsay::generate;
use gainsay::model::action::Forgery;
use scaffold::found;
use serde_json::{Value, json};

/// A desk where visitors leave notes, and a clerk who may clear them away.
const MODEL: &str = r#"
model: desk
entities:
  visitor:
    fields: { id: string, token: secret, spares: "[secret]" }
    auth: { headers: { X-Token: "${self.token}" } }
  clerk:
    fields: { id: string, badge: secret }
    auth: { bearer: "${self.badge}" }
  note:
    fields: { id: string, author: visitor, text: string }
setup: [enter: 2, hire]
rules:
  enter:
    by: anyone
    request: POST /visitors
    responds: 201
    creates: { visitor: { id: "${body.id}", token: "${body.token}", spares: ["${body.spare}"] } }
  hire:
    by: anyone
    request: POST /clerks
    responds: 201
    creates: { clerk: { id: "${body.id}", badge: "${body.token}" } }
  write:
    by: visitor
    with: { text: "text(1, 20)" }
    request: POST /notes
    json: { text: "${text}" }
    responds: 201
    creates: { note: { id: "${body.id}", author: "${actor}", text: "${text}" } }
  take_back:
    by: visitor
    pick: { note: notes }
    request: DELETE /notes/{note}
    requires: { own_note: { that: note.author == actor, else: 403 } }
    responds: 204
    deletes: note
  clear:
    by: clerk
    pick: { note: notes }
    request: DELETE /desk/{note}
    responds: 204
    deletes: note
  leave:
    by: visitor
    request: DELETE /visitors/me
    responds: 204
    deletes: visitor
"#;

/// What a visitor can show in the place of a token.
fn spare(token: &str) -> String {
    token.chars().rev().collect()
}

/// What the server forgets to ask.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slip {
    None,
    /// Any badge will do, be it a visitor's token.
    AnyBadge,
    /// A token is looked up by how it begins.
    Prefix,
    /// Who is gone may still write.
    GoneMayWrite,
    /// Nobody needs to be anybody to clear the desk.
    NobodyMayClear,
    /// An error says which statement failed.
    ShowsSql,
    /// Whoever enters third gets the token of the first one.
    RepeatsToken,
    /// A note is signed with what its author could log in with instead.
    ShowsSpare,
}

#[derive(Default)]
struct Desk {
    next: usize,
    /// Tokens, whether they are badges, and whether they are gone.
    known: Vec<(String, bool, bool)>,
    /// Notes with their authors.
    notes: Vec<(String, usize)>,
}

#[derive(Clone)]
struct Shared {
    slip: Slip,
    desk: Arc<Mutex<Desk>>,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("nobody panicked")
    }

    fn enter(&self, badge: bool) -> Response {
        let mut desk = self.desk();
        desk.next += 1;
        let number = match (
            self.slip,
            desk.known
                .iter()
                .filter(|(_, of_badge, _)| !of_badge)
                .count(),
        ) {
            (Slip::RepeatsToken, 2..) if !badge => 1,
            _ => desk.next,
        };
        let token = format!("{:08x}{:024x}", number * 0x9e37, number * 7919);
        desk.known.push((token.clone(), badge, false));
        let id = format!("p{}", desk.next);
        (
            StatusCode::CREATED,
            Json(json!({ "id": id, "spare": spare(&token), "token": token })),
        )
            .into_response()
    }

    fn who(&self, headers: &HeaderMap, badge: bool, writes: bool) -> Option<usize> {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let shown = match badge {
            true => text("authorization").and_then(|t| Some(t.strip_prefix("Bearer ")?.to_owned())),
            false => text("x-token"),
        };
        let shown = match self.slip {
            Slip::AnyBadge if badge => shown.or(text("x-token")),
            _ => shown,
        }?;
        let desk = self.desk();
        desk.known.iter().position(|(token, of_badge, gone)| {
            let same = match self.slip {
                Slip::Prefix => !shown.is_empty() && token.starts_with(&shown),
                _ => *token == shown,
            };
            let kind = *of_badge == badge || self.slip == Slip::AnyBadge && badge;
            same && kind && (!gone || self.slip == Slip::GoneMayWrite && writes)
        })
    }
}

fn refused(shared: &Shared) -> Response {
    match shared.slip {
        Slip::ShowsSql => {
            let error = json!({ "error": "no row for SELECT id FROM visitors WHERE token = ?" });
            (StatusCode::UNAUTHORIZED, Json(error)).into_response()
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn write(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let Some(author) = shared.who(&headers, false, true) else {
        return refused(&shared);
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if !body["text"]
        .as_str()
        .is_some_and(|t| (1..=20).contains(&t.chars().count()))
    {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    let mut desk = shared.desk();
    desk.next += 1;
    let id = format!("n{}", desk.next);
    desk.notes.push((id.clone(), author));
    let signed = match shared.slip {
        Slip::ShowsSpare => spare(&desk.known[author].0),
        _ => "a visitor".to_owned(),
    };
    let note = json!({ "id": id, "signed": signed });
    (StatusCode::CREATED, Json(note)).into_response()
}

async fn take_back(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    let Some(who) = shared.who(&headers, false, false) else {
        return StatusCode::UNAUTHORIZED;
    };
    let mut desk = shared.desk();
    let Some(at) = desk.notes.iter().position(|(note, _)| *note == id) else {
        return StatusCode::NOT_FOUND;
    };
    if desk.notes[at].1 != who {
        return StatusCode::FORBIDDEN;
    }
    desk.notes.remove(at);
    StatusCode::NO_CONTENT
}

async fn clear(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> StatusCode {
    if shared.who(&headers, true, false).is_none() && shared.slip != Slip::NobodyMayClear {
        return StatusCode::UNAUTHORIZED;
    }
    let mut desk = shared.desk();
    let before = desk.notes.len();
    desk.notes.retain(|(note, _)| *note != id);
    match desk.notes.len() < before {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::NOT_FOUND,
    }
}

async fn leave(State(shared): State<Shared>, headers: HeaderMap) -> StatusCode {
    match shared.who(&headers, false, false) {
        Some(who) => {
            shared.desk().known[who].2 = true;
            StatusCode::NO_CONTENT
        }
        None => StatusCode::UNAUTHORIZED,
    }
}

async fn run(slip: Slip) -> Report {
    let desk = Arc::default();
    drive(Shared { slip, desk }, false).await
}

async fn drive(shared: Shared, cleanup: bool) -> Report {
    let routes = Router::new()
        .route(
            "/visitors",
            post(|State(s): State<Shared>| async move { s.enter(false) }),
        )
        .route(
            "/clerks",
            post(|State(s): State<Shared>| async move { s.enter(true) }),
        )
        .route("/visitors/me", get(|| async { "" }).delete(leave))
        .route("/notes", post(write))
        .route("/notes/{id}", get(|| async { "" }).delete(take_back))
        .route("/desk/{id}", get(|| async { "" }).delete(clear))
        .with_state(shared);
    let model = scaffold::model("desk.yaml", MODEL);
    scaffold::drive(&model, routes, generate::Options::default(), cleanup).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_is_tried_at_every_rule() {
    let report = run(Slip::None).await;
    assert!(report.held(), "{:?}", found(&report));
    let (all, tried) = report.access.totals();
    // Two rules are for anyone; of those by visitors, one is about what another one may have; no clerk is ever gone.
    let expected = 2 + (7 + 8 + 7) + 6;
    assert_eq!((all, tried), (expected, expected), "{:?}", report.access);
    for (identity, cell) in report.access.of(3) {
        assert_eq!(cell.violated, 0);
        match identity {
            Identity::Own => assert!(cell.allowed > 0),
            other => assert!(cell.allowed == 0 && cell.refused > 0, "{other:?}: {cell:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_let_in_is_named() {
    for (slip, check, who) in [
        (Slip::AnyBadge, "clear: other kind", Identity::OtherKind),
        (
            Slip::Prefix,
            "take_back: unauthenticated",
            Identity::Forger(Forgery::Truncated),
        ),
        (Slip::GoneMayWrite, "write: unauthenticated", Identity::Gone),
        (
            Slip::NobodyMayClear,
            "clear: unauthenticated",
            Identity::Nobody,
        ),
    ] {
        let report = run(slip).await;
        let found = found(&report);
        assert!(found.iter().any(|id| id == check), "{slip:?}: {found:?}");
        let rules = 0..6;
        let mut cells = rules.flat_map(|rule| report.access.of(rule));
        let violated = cells.any(|(identity, cell)| identity == who && cell.violated > 0);
        assert!(violated, "{slip:?}: {:?}", report.access);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_shows_sql_is_found_with_the_evidence() {
    let report = run(Slip::ShowsSql).await;
    assert_eq!(found(&report), ["leaks_internals: write"]);
    let finding = format!("{:?}", report.counterexamples[0].violation.finding);
    assert!(finding.contains("SELECT id FROM visitors"), "{finding}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_plans_created_is_deleted_by_the_rules_that_there_are() {
    let shared = Shared {
        slip: Slip::None,
        desk: Arc::default(),
    };
    let report = drive(shared.clone(), true).await;
    assert!(report.held(), "{:?}", found(&report));
    let tidied = report.tidied.expect("it was cleaned up");
    let desk = shared.desk();
    assert!(desk.notes.is_empty(), "{:?}", desk.notes);
    let visitors = desk.known.iter().filter(|(_, badge, _)| !badge);
    assert!(visitors.clone().all(|(_, _, gone)| *gone));
    // Nobody ever dismisses a clerk.
    let clerks = desk.known.iter().filter(|(_, badge, _)| *badge).count() as u64;
    assert_eq!(tidied.left.values().collect::<Vec<_>>(), [&clerks]);
    assert!(clerks >= 25 && tidied.deleted > 50, "{tidied:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_one_within_a_list_too() {
    let report = run(Slip::ShowsSpare).await;
    assert_eq!(
        found(&report),
        ["no_secrets_leaked: visitor.spares in write"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_two_have_is_found() {
    let report = run(Slip::RepeatsToken).await;
    let found = found(&report);
    assert!(
        found
            .iter()
            .any(|id| id == "unique: visitor.token in enter"),
        "{found:?}"
    );
}
