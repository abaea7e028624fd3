//! A server that gives no answer: whatever serves the request dies of it, and the connection with it.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use gainsay::campaign::{Options, Report, campaign};
use gainsay::check::Finding;
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Generator};
use gainsay::model::Model;
use gainsay::report::{Style, story};
use gainsay::run::Runner;

const MODEL: &str = r#"
model: counters
about: A number that is divided.
rules:
  divide:
    by: anyone
    with: { by: "int(0, 3)" }
    request: POST /divide/{by}
    responds: 200
    absent: []
    invalid: []
invariants:
  it_is_there:
    read: GET /number
    always: status == 200
"#;

async fn run(routes: Router) -> (Arc<Model>, Report) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let model = Arc::new(Model::parse("counters.yaml", MODEL).expect("a model"));
    let client = Client::new(
        &url,
        Vec::new(),
        Limits::default(),
        Default::default(),
        false,
    );
    let generator = Generator::new(model.clone(), generate::Options::default());
    let runner = Runner::new(model.clone(), client.expect("a client"), generator.start());
    let options = Options {
        seeds: 0..5,
        ..Options::default()
    };
    let report = campaign(&generator, &runner, &options, &mut |_| {}).await;
    (model, report.expect("the server is there"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_dies_is_found() {
    async fn divide(axum::extract::Path(by): axum::extract::Path<u32>) -> String {
        (10 / by).to_string()
    }
    let routes = Router::new()
        .route("/divide/{by}", post(divide))
        .route("/number", get(async || "10"));
    let (model, report) = run(routes).await;
    let [found] = report.counterexamples.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(found.violation.id.to_string(), "no_server_errors: divide");
    assert!(matches!(found.violation.finding, Finding::Silence { .. }));
    assert_eq!(found.plan.len(), 1);
    let told = story(&model, found, Style::PLAIN);
    assert!(told.contains("POST /divide/0"), "{told}");
    assert!(told.contains("expected  an answer"), "{told}");
    assert!(
        told.contains("came      none: the connection broke"),
        "{told}"
    );
    assert_eq!((report.plans_run, report.inconclusive), (5, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_dies_is_found() {
    let die = async || -> &'static str { panic!("as planned") };
    let routes = Router::new()
        .route("/divide/{by}", post(async || "10"))
        .route("/number", get(die));
    let (_, report) = run(routes).await;
    let names: Vec<String> = (report.failures().iter())
        .map(|(id, _)| id.to_string())
        .collect();
    assert_eq!(names, ["no_server_errors: it_is_there"]);
}
