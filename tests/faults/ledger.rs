//! A ledger that writes twice to take an entry, and counts what it has: whoever hangs up in between leaves it torn, where
//! the handler goes with the connection. Found by requests that nobody waits for, and by nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use gainsay::campaign::{Options, Report, campaign};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Delivery, Fault, Faults, Generator};
use gainsay::model::Model;
use gainsay::run::Runner;
use serde_json::{Value, json};

const MODEL: &str = r#"
model: ledger
about: Books, and entries in them.
entities:
  book: { fields: { id: string } }
  entry: { fields: { id: string, book: book } }
rules:
  open_book:
    by: anyone
    request: POST /books
    responds: 200
    creates: { book: { id: "${body.id}" } }
  add_entry:
    by: anyone
    pick: { book: books }
    with: { text: "text(1, 20)" }
    request: POST /books/{book}/entries
    json: { text: "${text}" }
    absent: { book: 404 }
    invalid: { text: 422 }
    responds: 200
    creates: { entry: { id: "${body.id}", book: "${book}" } }
invariants:
  entries_are_there:
    for: book
    read: GET /books/{book}
    always: entries.all(e, e.book != book || e.id in body.entries)
  nothing_else_is:
    for: book
    read: GET /books/{book}
    always: size(body.entries) == size(entries.filter(e, e.book == book))
  entries_are_counted:
    for: book
    read: GET /books/{book}
    always: body.count == size(body.entries)
"#;

#[derive(Default)]
struct Book {
    entries: Vec<String>,
    count: usize,
}

/// What each key was answered with.
type Keys = Arc<Mutex<BTreeMap<String, String>>>;

#[derive(Clone)]
struct Ledger {
    books: Arc<Mutex<BTreeMap<String, Book>>>,
    /// Whether an entry is written in two steps, with time to hang up in between.
    torn: bool,
    /// What each key was answered with, if it knows of keys.
    keys: Option<Keys>,
}

async fn open(State(ledger): State<Ledger>) -> Json<Value> {
    let id = uuid::Uuid::new_v4().to_string();
    let mut books = ledger.books.lock().expect("nobody panics");
    books.insert(id.clone(), Book::default());
    Json(json!({ "id": id }))
}

async fn add(
    State(ledger): State<Ledger>,
    Path(book): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    let key = headers.get("idempotency-key");
    let key = key.map(|key| key.to_str().expect("plain").to_owned());
    if let (Some(keys), Some(key)) = (&ledger.keys, &key)
        && let Some(id) = keys.lock().expect("nobody panics").get(key)
    {
        return Ok(Json(json!({ "id": id })));
    }
    let text = body["text"].as_str().unwrap_or_default();
    let known = ledger
        .books
        .lock()
        .expect("nobody panics")
        .contains_key(&book);
    if !known {
        return Err(StatusCode::NOT_FOUND);
    }
    if text.is_empty() || text.chars().count() > 20 {
        return Err(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let id = uuid::Uuid::new_v4().to_string();
    let (torn, keys) = (ledger.torn, ledger.keys.clone());
    let take = {
        let id = id.clone();
        async move {
            let change = |what: &dyn Fn(&mut Book)| {
                let mut books = ledger.books.lock().expect("nobody panics");
                books.get_mut(&book).map(what);
            };
            if torn {
                change(&|book| book.entries.push(id.clone()));
                tokio::time::sleep(Duration::from_millis(20)).await;
                change(&|book| book.count += 1);
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                change(&|book| {
                    book.entries.push(id.clone());
                    book.count += 1;
                });
            }
        }
    };
    take.await;
    if let (Some(keys), Some(key)) = (keys, key) {
        keys.lock().expect("nobody panics").insert(key, id.clone());
    }
    Ok(Json(json!({ "id": id })))
}

async fn show(
    State(ledger): State<Ledger>,
    Path(book): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let books = ledger.books.lock().expect("nobody panics");
    let book = books.get(&book).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(
        json!({ "entries": book.entries, "count": book.count }),
    ))
}

async fn run(torn: bool, faults: Faults, seeds: std::ops::Range<u64>) -> Report {
    let ledger = Ledger {
        books: Arc::default(),
        torn,
        keys: None,
    };
    drive(ledger, MODEL, faults, seeds).await
}

async fn drive(ledger: Ledger, model: &str, faults: Faults, seeds: std::ops::Range<u64>) -> Report {
    let routes = Router::new()
        .route("/books", post(open))
        .route("/books/{book}/entries", post(add))
        .route("/books/{book}", get(show))
        .with_state(ledger);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let model = Arc::new(Model::parse("ledger.yaml", model).expect("a model"));
    let (limits, tolerate) = (Limits::default(), model.tolerate.clone());
    let client = Client::new(&url, Vec::new(), limits, tolerate, false).expect("a client");
    let options = generate::Options {
        steps: Some(20),
        faults,
        ..Default::default()
    };
    let generator = Generator::new(model.clone(), options);
    let runner = Runner::new(model, client, generator.start());
    let options = Options {
        seeds,
        jobs: 4,
        ..Options::default()
    };
    let report = campaign(&generator, &runner, &options, &mut |_| {}).await;
    report.expect("the server is there")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_torn_by_hanging_up_is_found_by_hanging_up() {
    let calm = run(true, Faults::default(), 0..25).await;
    assert!(calm.held(), "{:?}", calm.failures());
    let hanging_up = Faults {
        kinds: vec![Fault::Abandoned],
        permille: 300,
        ..Faults::default()
    };
    let report = run(true, hanging_up, 0..25).await;
    let torn = report
        .counterexamples
        .iter()
        .find(|c| c.violation.id.to_string() == "entries_are_counted after add_entry")
        .unwrap_or_else(|| panic!("{:?}", report.failures()));
    let deliveries: Vec<Delivery> = torn.plan.all().map(|step| step.delivery).collect();
    let [Delivery::Once, Delivery::Abandoned { .. }] = deliveries.as_slice() else {
        panic!("not the shortest: {deliveries:?}");
    };
}

/// What is taken at once is there or not, and nobody who hung up can know which: both must do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_it_was_taken_is_left_open() {
    let report = run(false, Faults::network(0.6), 0..60).await;
    assert!(report.counterexamples.is_empty(), "{:?}", report.failures());
    // How much is under way at once is a matter of the machine.
    assert_eq!(report.plans_run + report.inconclusive, report.plans_asked);
    assert!(
        report.inconclusive * 20 <= report.plans_asked,
        "{}",
        report.inconclusive
    );
    assert!(report.worlds > 1);
    assert_eq!(report.faults.len(), 7, "{:?}", report.faults);
}

/// A server that says it knows a request by its key has to, and one that only may is believed either way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_again_is_known_by_its_key() {
    let again = || Faults {
        kinds: vec![Fault::Twice, Fault::Swallowed],
        permille: 400,
        ..Faults::default()
    };
    let says = |idempotent: &str| {
        let rule = format!("    idempotent: {idempotent}\n    creates: {{ entry:");
        MODEL.replace("    creates: { entry:", &rule)
    };
    let ledger = |knows: bool| Ledger {
        books: Arc::default(),
        torn: false,
        keys: knows.then(Keys::default),
    };
    let known = says("Idempotency-Key");
    let report = drive(ledger(true), &known, again(), 0..25).await;
    assert!(report.held(), "{:?}", report.failures());
    let report = drive(ledger(false), &known, again(), 0..25).await;
    let forgot = report
        .counterexamples
        .iter()
        .find(|c| c.violation.id.to_string() == "idempotent: add_entry")
        .unwrap_or_else(|| panic!("{:?}", report.failures()));
    let deliveries: Vec<Option<u32>> = (forgot.plan.all())
        .map(|step| step.delivery.again())
        .collect();
    assert_eq!(deliveries, [None, None, Some(2)]);
    let report = drive(ledger(false), &says("maybe"), again(), 0..25).await;
    assert!(report.held(), "{:?}", report.failures());
}
