//! Seats that one may claim and many may like. Where it looks first and then changes, two may have the same seat, and likes
//! are lost.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use gainsay::campaign::{Options, Report};
use gainsay::check::{CheckId, Finding};
use gainsay::generate::{self, Races, Step};
use gainsay::model::Model;
use gainsay::report::{Snapshot, Style, story};
use gainsay::shrink::Counterexample;
use serde_json::{Value, json};

use super::{drive, holds, racing};

const MODEL: &str = r#"
model: seats
about: Seats that one may claim, and many may like.
entities:
  guest:
    fields: { id: string, token: secret }
    auth: { headers: { X-Token: "${self.token}" } }
  seat:
    fields: { id: string, taken_by: guest?, likes: int }
setup:
  - sign_in: 3
rules:
  sign_in:
    by: anyone
    request: POST /guests
    responds: 201
    creates: { guest: { id: "${body.id}", token: "${body.token}" } }
  add_seat:
    by: guest
    request: POST /seats
    responds: 201
    unauthenticated: 401
    creates: { seat: { id: "${body.id}", likes: 0 } }
  claim:
    by: guest
    pick: { seat: seats }
    request: POST /seats/{seat}/claim
    unauthenticated: 401
    absent: { seat: 404 }
    requires:
      already_taken: { that: seat.taken_by == null, else: 409 }
    responds: 200
    returns:
      mine: body.taken_by == actor.id
    sets: { seat.taken_by: "${actor}" }
  like:
    by: guest
    pick: { seat: seats }
    request: POST /seats/{seat}/like
    unauthenticated: 401
    absent: { seat: 404 }
    responds: 200
    sets: { seat.likes: "${seat.likes + 1}" }
invariants:
  likes_are_counted:
    for: seat
    read: GET /seats/{seat}
    always: body.likes == seat.likes
  whose_it_is:
    for: seat
    read: GET /seats/{seat}
    always: "body.taken_by == (seat.taken_by == null ? null : seat.taken_by.id)"
"#;

#[derive(Clone, Copy, Default)]
struct Slips {
    /// Two who look at once both find a seat free.
    claims: bool,
    /// Two who count at once count one.
    likes: bool,
}

/// Whose a seat is, and how many like it.
type Seat = (Option<String>, u64);

#[derive(Clone)]
struct Hall {
    slips: Slips,
    guests: Arc<Mutex<BTreeMap<String, String>>>,
    seats: Arc<Mutex<BTreeMap<String, Seat>>>,
}

impl Hall {
    fn guest(&self, headers: &HeaderMap) -> Result<String, StatusCode> {
        let token = headers.get("x-token").and_then(|t| t.to_str().ok());
        let guests = self.guests.lock().expect("nobody panics");
        let guest = token.and_then(|token| guests.get(token));
        guest.cloned().ok_or(StatusCode::UNAUTHORIZED)
    }

    fn seat(&self, id: &str) -> Result<Seat, StatusCode> {
        let seats = self.seats.lock().expect("nobody panics");
        seats.get(id).cloned().ok_or(StatusCode::NOT_FOUND)
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Seat)) {
        let mut seats = self.seats.lock().expect("nobody panics");
        seats.get_mut(id).map(change).expect("it was there");
    }
}

/// A while, as between two statements of a transaction that is none.
async fn meanwhile() {
    tokio::time::sleep(Duration::from_millis(4)).await;
}

async fn sign_in(State(hall): State<Hall>) -> (StatusCode, Json<Value>) {
    let new = || uuid::Uuid::new_v4().to_string();
    let (id, token) = (new(), new());
    let mut guests = hall.guests.lock().expect("nobody panics");
    guests.insert(token.clone(), id.clone());
    (
        StatusCode::CREATED,
        Json(json!({ "id": id, "token": token })),
    )
}

async fn add(
    State(hall): State<Hall>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), StatusCode> {
    hall.guest(&headers)?;
    let id = uuid::Uuid::new_v4().to_string();
    let mut seats = hall.seats.lock().expect("nobody panics");
    seats.insert(id.clone(), (None, 0));
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

async fn claim(
    State(hall): State<Hall>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let guest = hall.guest(&headers)?;
    let (taken_by, _) = hall.seat(&id)?;
    if hall.slips.claims {
        if taken_by.is_some() {
            return Err(StatusCode::CONFLICT);
        }
        meanwhile().await;
        hall.change(&id, |seat| seat.0 = Some(guest.clone()));
        return Ok(Json(json!({ "taken_by": guest })));
    }
    meanwhile().await;
    let mut won = false;
    hall.change(&id, |seat| {
        won = seat.0.is_none();
        seat.0.get_or_insert(guest.clone());
    });
    match won {
        true => Ok(Json(json!({ "taken_by": guest }))),
        false => Err(StatusCode::CONFLICT),
    }
}

async fn like(
    State(hall): State<Hall>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<(), StatusCode> {
    hall.guest(&headers)?;
    let (_, likes) = hall.seat(&id)?;
    meanwhile().await;
    match hall.slips.likes {
        true => hall.change(&id, |seat| seat.1 = likes + 1),
        false => hall.change(&id, |seat| seat.1 += 1),
    }
    Ok(())
}

async fn show(State(hall): State<Hall>, Path(id): Path<String>) -> Result<Json<Value>, StatusCode> {
    let (taken_by, likes) = hall.seat(&id)?;
    Ok(Json(json!({ "taken_by": taken_by, "likes": likes })))
}

async fn run(slips: Slips, races: Races, seeds: Range<u64>) -> (Arc<Model>, Report) {
    let hall = Hall {
        slips,
        guests: Arc::default(),
        seats: Arc::default(),
    };
    let routes = Router::new()
        .route("/guests", post(sign_in))
        .route("/seats", post(add))
        .route("/seats/{id}", get(show))
        .route("/seats/{id}/claim", post(claim))
        .route("/seats/{id}/like", post(like))
        .with_state(hall);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let model = Arc::new(Model::parse("seats.yaml", MODEL).expect("a model"));
    let options = Options {
        seeds,
        jobs: 4,
        ..Options::default()
    };
    let report = drive(&url, &model, races, &options).await;
    (model, report)
}

/// The steps, rule by rule, those that run at once in brackets.
fn shape(model: &Model, found: &Counterexample) -> String {
    let steps: Vec<Step> = found.plan.all().cloned().collect();
    let name = |step: &Step| model.rules[step.action.rule].name.clone();
    let parts = generate::taken(&steps).map(|steps| match steps {
        [step] => name(step),
        race => format!(
            "[{}]",
            race.iter().map(name).collect::<Vec<_>>().join(" | ")
        ),
    });
    parts.collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_after_the_other_is_never_blamed() {
    let (_, report) = run(Slips::default(), racing(), 0..200).await;
    holds(&report);
    assert!(report.races > 500, "{}", report.races);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_winners_are_found() {
    let slips = Slips {
        claims: true,
        ..Slips::default()
    };
    let (_, report) = run(slips, Races::default(), 0..50).await;
    assert!(
        report.held(),
        "it shows without races: {:?}",
        report.failures()
    );
    let (model, report) = run(slips, racing(), 0..50).await;
    let two = CheckId::Order {
        rules: vec!["claim".into(), "claim".into()],
    };
    let found = report
        .counterexamples
        .iter()
        .find(|c| c.violation.id == two);
    let found = found.unwrap_or_else(|| panic!("{:?}", report.failures()));
    assert_eq!(shape(&model, found), "sign_in, add_seat, [claim | claim]");
    assert!(
        found.standing.failed * 2 > found.standing.runs,
        "{:?}",
        found.standing
    );
    assert!(matches!(found.violation.finding, Finding::NoOrder(_)));
    let told = story(&model, found, Style::PLAIN);
    assert!(told.contains("2 at once"), "{told}");
    assert!(
        told.contains("must answer 409 (already_taken), and answered 200"),
        "{told}"
    );
    let snapshot = Snapshot::new(&model, found);
    let text = snapshot.to_text(&model).expect("it can be written");
    let read = Snapshot::parse(&model, "a.snap", &text).expect("it can be read");
    assert_eq!(read.plan, found.plan);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_updates_are_found() {
    let slips = Slips {
        likes: true,
        ..Slips::default()
    };
    let (model, report) = run(slips, racing(), 0..50).await;
    let counted =
        |c: &&Counterexample| c.violation.id.to_string() == "likes_are_counted after a race";
    let found = report.counterexamples.iter().find(counted);
    let found = found.unwrap_or_else(|| panic!("{:?}", report.failures()));
    assert_eq!(shape(&model, found), "sign_in, add_seat, [like | like]");
}
