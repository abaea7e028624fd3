//! A shop that is closed says so before it looks at what is ordered, malformed or not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use gainsay::campaign::{Options, campaign};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Fault, Faults, Generator};
use gainsay::model::Model;
use gainsay::run::Runner;

const MODEL: &str = r#"
model: shop
about: A shop that may be closed.
globals: { open: "bool = true" }
rules:
  open_it:
    by: anyone
    request: PUT /open
    responds: 204
    sets: { open: true }
  close_it:
    by: anyone
    request: DELETE /open
    responds: 204
    sets: { open: false }
  order:
    by: anyone
    with: { what: "text(1, 9)" }
    request: POST /orders
    json: { what: "${what}" }
    invalid: 422
    requires:
      is_open: { that: open, else: 503 }
    responds: 201
"#;

#[derive(Clone)]
struct Shop {
    open: Arc<AtomicBool>,
    /// It fails where it is closed, rather than saying so, if it cannot read the order.
    fails: bool,
}

async fn order(State(shop): State<Shop>, body: Bytes) -> StatusCode {
    let order: Result<serde_json::Value, _> = serde_json::from_slice(&body);
    match (shop.open.load(Ordering::SeqCst), order) {
        (false, Err(_)) if shop.fails => StatusCode::INTERNAL_SERVER_ERROR,
        (false, _) => StatusCode::SERVICE_UNAVAILABLE,
        (true, Err(_)) => StatusCode::BAD_REQUEST,
        (true, Ok(order)) => match order["what"].as_str() {
            Some(what) if (1..=9).contains(&what.chars().count()) => StatusCode::CREATED,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        },
    }
}

/// What fails in ten plans.
async fn run(fails: bool) -> BTreeSet<String> {
    let set = |open| {
        async move |State(shop): State<Shop>| {
            shop.open.store(open, Ordering::SeqCst);
            StatusCode::NO_CONTENT
        }
    };
    let shop = Shop {
        open: Arc::new(AtomicBool::new(true)),
        fails,
    };
    let routes = Router::new()
        .route("/open", get(async || "").put(set(true)).delete(set(false)))
        .route("/orders", post(order))
        .with_state(shop.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let model = Arc::new(Model::parse("shop.yaml", MODEL).expect("a model"));
    let (limits, tolerate) = (Limits::default(), model.tolerate.clone());
    let client = Client::new(&url, Vec::new(), limits, tolerate, false).expect("a client");
    let options = generate::Options {
        faults: Faults {
            kinds: vec![Fault::Malformed],
            permille: 500,
            ..Faults::default()
        },
        ..Default::default()
    };
    let generator = Generator::new(model.clone(), options);
    let runner = Runner::new(model, client, generator.start());
    let mut failures = BTreeSet::new();
    for seed in 0..10 {
        // Each plan finds the shop open.
        shop.open.store(true, Ordering::SeqCst);
        let options = Options {
            seeds: seed..seed + 1,
            ..Options::default()
        };
        let report = campaign(&generator, &runner, &options, &mut |_| {}).await;
        let report = report.expect("the server is there");
        failures.extend(report.failures().iter().map(|(id, _)| id.to_string()));
    }
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_refuses_a_proper_order_may_refuse_a_malformed_one() {
    assert_eq!(run(false).await, BTreeSet::new());
    let found = ["no_server_errors: order".to_owned()];
    assert_eq!(run(true).await, BTreeSet::from(found));
}
