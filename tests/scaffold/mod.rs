//! A campaign against a small server of a test's own, on a real socket.

use std::sync::Arc;

use axum::Router;
use gainsay::campaign::{Options, Report, campaign};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Generator};
use gainsay::model::Model;
use gainsay::run::Runner;

/// A model that must be sound.
pub fn model(path: &str, source: &str) -> Arc<Model> {
    match Model::parse(path, source) {
        Ok(model) => Arc::new(model),
        Err(errors) => panic!("{}", errors.render(false, 100)),
    }
}

/// Serves on a free port: the address, and what to stop.
pub async fn serve(routes: Router) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let server = tokio::spawn(async move {
        axum::serve(listener, routes).await.expect("it serves");
    });
    (url, server)
}

/// Tries a server by a model.
pub async fn drive(
    model: &Arc<Model>,
    routes: Router,
    options: generate::Options,
    cleanup: bool,
) -> Report {
    let (url, server) = serve(routes).await;
    let tolerate = model.tolerate.clone();
    let client = Client::new(&url, Vec::new(), Limits::default(), tolerate, false);
    let generator = Generator::new(model.clone(), options);
    let mut runner = Runner::new(model.clone(), client.expect("a client"), generator.start());
    if cleanup {
        runner = runner.with_cleanup(generator.clone());
    }
    let report = campaign(&generator, &runner, &Options::default(), &mut |_| {}).await;
    server.abort();
    report.expect("it runs")
}

/// What failed.
pub fn found(report: &Report) -> Vec<String> {
    let failures = report.failures().into_iter();
    failures.map(|(id, _)| id.to_string()).collect()
}
