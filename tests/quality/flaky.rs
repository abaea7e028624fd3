//! A server without bugs that answers some requests with a stray 503: nothing is reported where the model tolerates
//! that, and elsewhere it is labelled as what did not reproduce, at a bounded cost.

#[path = "../../benches/workshop/server.rs"]
mod workshop;

use std::sync::Arc;

use gainsay::campaign::{Options, Report};
use gainsay::model::Model;

use crate::demo;

/// What BARS.md allows for a failure that does not reproduce.
const MOST_REPLAYS: u32 = 20;

async fn campaign(tolerate: &str) -> (Report, u64) {
    let path = "benches/workshop/workshop.yaml";
    let text = std::fs::read_to_string(path).expect("the model is there");
    let text = text.replacen(
        "  invalid: 422\n",
        &format!("  invalid: 422\n{tolerate}"),
        1,
    );
    let model = Arc::new(Model::parse(path, &text).expect("the model is sound"));
    let server = workshop::serve_with(workshop::Options {
        noise: 0.003,
        seed: 7,
        ..Default::default()
    })
    .await
    .expect("the workshop opens");
    let options = Options {
        seeds: 0..40,
        ..Default::default()
    };
    let report = demo::drive(&model, &format!("http://{}", server.addr), options).await;
    let strays = server.strays.load(std::sync::atomic::Ordering::Relaxed);
    (report, strays)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_tolerated_is_not_reported() {
    let (report, strays) = campaign("  tolerate: [503]\n").await;
    assert!(strays > 0, "nothing was tried");
    assert!(report.held(), "{:?}", report.failures());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_reproduce_is_said_not_to() {
    let (report, strays) = campaign("").await;
    assert!(strays > 0, "nothing was tried");
    assert!(!report.counterexamples.is_empty());
    for found in &report.counterexamples {
        // Noise may strike twice, and is then seen to be rare.
        assert!(
            found.standing.failed * 5 < found.standing.runs,
            "{}: {:?}",
            found.violation.id,
            found.standing
        );
        assert!(
            found.standing.runs > 0,
            "{} was not tried again",
            found.violation.id
        );
        assert!(
            found.replays <= MOST_REPLAYS,
            "{} took {} replays",
            found.violation.id,
            found.replays
        );
    }
}
