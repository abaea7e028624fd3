//! The key rotation of the fourth incident: keys that are lost, or backups that are taken for nothing, when two rotations run
//! at once.

use std::net::SocketAddr;
use std::sync::Arc;

use gainsay::campaign::{Options, Report, campaign};
use gainsay::demo::key_rotation::{Config, Slip, serve};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Generator, Races};
use gainsay::model::Model;
use gainsay::run::Runner;

use super::{branches, holds, racing};

async fn run(slips: Vec<Slip>, races: Races, seeds: std::ops::Range<u64>) -> Report {
    let server = serve(Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        database: None,
        slips,
    })
    .await
    .expect("it starts");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/key-rotation.yaml");
    let model = Arc::new(Model::load(path.as_ref()).expect("a model"));
    let tolerate = model.tolerate.clone();
    let client = Client::new(
        &server.url(),
        Vec::new(),
        Limits::default(),
        tolerate,
        false,
    );
    let options = generate::Options {
        races,
        ..Default::default()
    };
    let generator = Generator::new(model.clone(), options);
    let runner = Runner::new(model, client.expect("a client"), generator.start());
    let options = Options {
        seeds,
        jobs: 2,
        fail_fast: true,
        ..Options::default()
    };
    let report = campaign(&generator, &runner, &options, &mut |_| {}).await;
    server.stop().await;
    report.expect("the server is there")
}

/// A slip, what is found of it first or a part of that, how many steps the shortest plan has at most, and how many of these
/// run at once.
const SLIPS: [(Slip, &str, usize, usize); 2] = [
    (Slip::NonatomicClaim, "", 6, 2),
    (Slip::BurnBackup, "", 6, 2),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_slip_is_found() {
    for (slip, check, steps, at_once) in SLIPS {
        let report = run(vec![slip], racing(), 0..200).await;
        let [found, ..] = report.counterexamples.as_slice() else {
            panic!("{slip:?}: {report:?}");
        };
        let id = found.violation.id.to_string();
        assert!(id.contains(check), "{slip:?}: {id}");
        assert!(found.plan.len() <= steps, "{slip:?}: {:?}", found.plan);
        assert_eq!(branches(found), [at_once], "{slip:?}: {:?}", found.plan);
        assert!(!found.standing.never(), "{slip:?}: {:?}", found.standing);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_do_not_show_one_after_the_other() {
    for (slip, ..) in SLIPS {
        let report = run(vec![slip], Races::default(), 0..10).await;
        assert!(report.held(), "{slip:?}: {:?}", report.failures());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_slip_the_same_plans_hold() {
    let report = run(Vec::new(), racing(), 0..150).await;
    holds(&report);
    assert!(report.races > 400, "{}", report.races);
    let spread = report.spread.expect("there were races");
    assert!(spread.as_millis() < 5, "{spread:?}");
}
