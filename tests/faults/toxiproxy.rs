//! What is said to a Toxiproxy. No registry that CI can reach has the program itself, so its HTTP API, as its documentation
//! has it, is played by a server of this test: what is tested is what gainsay sends, not what Toxiproxy makes of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use gainsay::drive::{Disturbance, Injector, LinkConfig, Toxiproxy};
use gainsay::generate::LinkFault;
use serde_json::{Value, json};

const LEASE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Proxy {
    made_of: Value,
    enabled: bool,
    toxics: BTreeMap<String, Value>,
}

type Proxies = Arc<Mutex<BTreeMap<String, Proxy>>>;

async fn make(State(proxies): State<Proxies>, Json(made_of): Json<Value>) -> StatusCode {
    let name = made_of["name"].as_str().expect("a name").to_owned();
    let enabled = true;
    let proxy = Proxy {
        made_of,
        enabled,
        ..Proxy::default()
    };
    proxies.lock().expect("nobody panics").insert(name, proxy);
    StatusCode::CREATED
}

async fn look(State(proxies): State<Proxies>, Path(name): Path<String>) -> StatusCode {
    match proxies.lock().expect("nobody panics").contains_key(&name) {
        true => StatusCode::OK,
        false => StatusCode::NOT_FOUND,
    }
}

async fn change(
    State(proxies): State<Proxies>,
    Path(name): Path<String>,
    Json(change): Json<Value>,
) -> StatusCode {
    let mut proxies = proxies.lock().expect("nobody panics");
    let proxy = proxies.get_mut(&name).expect("it was made");
    proxy.enabled = change["enabled"].as_bool().expect("a truth value");
    StatusCode::OK
}

async fn poison(
    State(proxies): State<Proxies>,
    Path(name): Path<String>,
    Json(toxic): Json<Value>,
) -> StatusCode {
    let mut proxies = proxies.lock().expect("nobody panics");
    let proxy = proxies.get_mut(&name).expect("it was made");
    let called = toxic["name"].as_str().expect("a name").to_owned();
    match proxy.toxics.insert(called, toxic) {
        None => StatusCode::OK,
        Some(_) => StatusCode::CONFLICT,
    }
}

async fn cure(
    State(proxies): State<Proxies>,
    Path((name, toxic)): Path<(String, String)>,
) -> StatusCode {
    let mut proxies = proxies.lock().expect("nobody panics");
    let proxy = proxies.get_mut(&name).expect("it was made");
    match proxy.toxics.remove(&toxic) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

#[tokio::test]
async fn each_fault_is_a_toxic_that_goes_again() {
    let proxies = Proxies::default();
    let routes = Router::new()
        .route("/proxies", post(make))
        .route("/proxies/{name}", get(look).post(change))
        .route("/proxies/{name}/toxics", post(poison))
        .route("/proxies/{name}/toxics/{toxic}", delete(cure))
        .with_state(proxies.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let url: reqwest::Url = url.parse().expect("an address");

    let missing = Toxiproxy::start(&url, "database", None).await;
    assert!(
        missing
            .expect_err("there is none")
            .to_string()
            .contains("has no proxy `database`")
    );
    let config = LinkConfig {
        listen: "127.0.0.1:15432".parse().expect("an address"),
        upstream: "127.0.0.1:5432".into(),
    };
    let mut link = Toxiproxy::start(&url, "database", Some(&config))
        .await
        .expect("made");
    let state = || {
        let proxies = proxies.lock().expect("nobody panics");
        let proxy = &proxies["database"];
        let toxics: Vec<Value> = proxy.toxics.values().cloned().collect();
        (proxy.made_of["upstream"].clone(), proxy.enabled, toxics)
    };
    assert_eq!(state(), (json!("127.0.0.1:5432"), true, vec![]));
    for (fault, enabled, kind) in [
        (LinkFault::Refuse, false, None),
        (LinkFault::Cut, true, Some("reset_peer")),
        (LinkFault::Delay { millis: 50 }, true, Some("latency")),
        (LinkFault::Slow, true, Some("bandwidth")),
        (
            LinkFault::CutAfter {
                bytes: 300,
                answers: true,
            },
            true,
            Some("limit_data"),
        ),
    ] {
        link.inject(Disturbance::Link(fault), LEASE)
            .await
            .expect("taken");
        let (_, on, toxics) = state();
        assert_eq!(on, enabled, "{fault:?}");
        assert_eq!(
            toxics.first().and_then(|t| t["type"].as_str()),
            kind,
            "{fault:?}"
        );
        assert!(link.heal().await.expect("healed"));
        assert_eq!(state(), (json!("127.0.0.1:5432"), true, vec![]));
    }
    // A lease ends by itself.
    let short = Duration::from_millis(20);
    link.inject(Disturbance::Link(LinkFault::Refuse), short)
        .await
        .expect("taken");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(state().1);
}

#[tokio::test]
async fn a_toxiproxy_that_does_not_run_is_no_violation() {
    let url = "http://127.0.0.1:9".parse().expect("an address");
    let error = Toxiproxy::start(&url, "database", None)
        .await
        .expect_err("nobody is there");
    assert!(error.to_string().contains("does not answer"), "{error}");
}
