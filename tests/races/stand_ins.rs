//! What a plan does with what a race created, when it was another branch that created it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, post};
use axum::{Json, Router};
use gainsay::generate::{Generator, Lane, Options, Plan, Step};
use gainsay::model::Model;
use gainsay::model::action::{Action, Actor, Picked};
use gainsay::model::value::{Handle, KindId, Value};
use gainsay::run::{Reads, Runner};
use serde_json::json;

use super::client;

const MODEL: &str = r#"
model: room
about: A room that one may book at a time.
entities:
  guest:
    fields: { id: string, name: string, token: secret }
    auth: { headers: { X-Token: "${self.token}" } }
  booking:
    fields: { id: string, by: guest }
rules:
  sign_in:
    by: anyone
    request: POST /guests
    with: { name: "text(3, 20)" }
    json: { name: "${name}" }
    responds: 201
    creates: { guest: { id: "${body.id}", name: "${name}", token: "${body.token}" } }
  book:
    by: guest
    request: POST /bookings
    unauthenticated: 401
    requires:
      is_free: { that: size(bookings) == 0, else: 409 }
    responds: 201
    creates: { booking: { id: "${body.id}", by: "${actor}" } }
  cancel:
    by: guest
    pick: { booking: bookings }
    request: DELETE /bookings/{booking}
    unauthenticated: 401
    absent: { booking: 404 }
    requires:
      own_booking: { that: booking.by == actor, else: 403 }
    responds: 204
    deletes: booking
"#;

#[derive(Clone, Default)]
struct Room {
    /// Token and name.
    guests: Arc<Mutex<BTreeMap<String, String>>>,
    /// The token of who has it.
    booked: Arc<Mutex<Option<String>>>,
}

impl Room {
    fn guest(&self, headers: &HeaderMap) -> Result<(String, String), StatusCode> {
        let token = headers.get("x-token").and_then(|t| t.to_str().ok());
        let token = token.ok_or(StatusCode::UNAUTHORIZED)?;
        let guests = self.guests.lock().expect("nobody panics");
        let name = guests.get(token).ok_or(StatusCode::UNAUTHORIZED)?;
        Ok((token.to_owned(), name.clone()))
    }
}

async fn sign_in(
    State(room): State<Room>,
    Json(body): Json<serde_json::Value>,
) -> (StatusCode, Json<serde_json::Value>) {
    let token = uuid::Uuid::new_v4().to_string();
    let name = body["name"].as_str().unwrap_or_default().to_owned();
    let mut guests = room.guests.lock().expect("nobody panics");
    guests.insert(token.clone(), name);
    let body = json!({ "id": uuid::Uuid::new_v4().to_string(), "token": token });
    (StatusCode::CREATED, Json(body))
}

/// Who is called slow comes last.
async fn book(
    State(room): State<Room>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<serde_json::Value>), StatusCode> {
    let (token, name) = room.guest(&headers)?;
    if name == "slow" {
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let mut booked = room.booked.lock().expect("nobody panics");
    if booked.is_some() {
        return Err(StatusCode::CONFLICT);
    }
    *booked = Some(token);
    Ok((StatusCode::CREATED, Json(json!({ "id": "the-booking" }))))
}

async fn cancel(
    State(room): State<Room>,
    Path(_): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, StatusCode> {
    let (token, _) = room.guest(&headers)?;
    let mut booked = room.booked.lock().expect("nobody panics");
    match booked.as_ref() {
        None => return Err(StatusCode::NOT_FOUND),
        Some(by) if *by != token => return Err(StatusCode::FORBIDDEN),
        Some(_) => {}
    }
    *booked = None;
    Ok(StatusCode::NO_CONTENT)
}

fn step(model: &Model, id: u32, rule: &str, actor: Actor, args: Vec<Value>) -> Step {
    let rule = model.rule_named(rule).expect("there is such a rule");
    let action = Action {
        rule,
        actor,
        picks: Vec::new(),
        args,
    };
    Step::new(id, action)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_branch_created_stands_in() {
    let routes = Router::new()
        .route("/guests", post(sign_in))
        .route("/bookings", post(book))
        .route("/bookings/{id}", delete(cancel))
        .with_state(Room::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let model = Arc::new(Model::parse("room.yaml", MODEL).expect("a model"));
    let kind = |name: &str| {
        let place = model.kinds.iter().position(|kind| kind.name == name);
        let place = place.and_then(|place| u16::try_from(place).ok());
        KindId(place.expect("there is such a kind"))
    };
    let made = |name, step| Handle {
        kind: kind(name),
        step,
        nth: 0,
    };
    let (slow, quick) = (made("guest", 1), made("guest", 2));
    let sign_in = |id, name: &str| {
        let name = vec![Value::Text(name.into())];
        step(&model, id, "sign_in", Actor::Anyone, name)
    };
    let book = |id, by, branch| Step {
        lane: Some(Lane { race: 3, branch }),
        ..step(&model, id, "book", Actor::Entity(by), Vec::new())
    };
    // The plan expects the first of them to win, and somebody else may not cancel that booking.
    let cancel = |id, by| {
        let mut step = step(&model, id, "cancel", Actor::Entity(by), Vec::new());
        step.action.picks = vec![Picked::Entity(made("booking", 3))];
        step
    };
    let plan = Plan {
        seed: 0,
        setup: vec![sign_in(1, "slow"), sign_in(2, "quick")],
        steps: vec![
            book(3, slow, 0),
            book(4, quick, 1),
            cancel(5, slow),
            cancel(6, quick),
        ],
    };
    let generator = Generator::new(model.clone(), Options::default());
    let runner = Runner::new(model.clone(), client(&url, &model), generator.start());
    let run = runner.run(&plan, Reads::All, false).await;
    assert!(run.violations.is_empty(), "{:?}", run.violations);
    let status = |step| run.history.of_step(step).and_then(|sent| sent.status());
    let came: Vec<Option<u16>> = (3..=6).map(status).collect();
    assert_eq!(came, [Some(409), Some(201), Some(403), Some(204)]);
    assert_eq!(run.skipped, 0);
    let booking = |step| plan.stand_in(&run.mirror, made("booking", step));
    assert_eq!(booking(3), Some(made("booking", 4)));
}
