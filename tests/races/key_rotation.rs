//! The key rotation of the fourth incident: keys that are lost, or backups that are taken for nothing, when two rotations run
//! at once.

use std::ops::Range;
use std::sync::Arc;

use gainsay::campaign::Report;
use gainsay::demo::key_rotation::{Config, Slip, serve};
use gainsay::generate::Races;
use gainsay::model::Model;

use super::{Shown, TRIES, boiled_down, drive, holds, racing, until_one_fails};

async fn run(slips: Vec<Slip>, races: Races, seeds: Range<u64>) -> Report {
    let config = Config {
        slips,
        ..Config::default()
    };
    let server = serve(config).await.expect("it starts");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/key-rotation.yaml");
    let model = Arc::new(Model::load(path.as_ref()).expect("a model"));
    let report = drive(&server.url(), &model, races, &until_one_fails(seeds)).await;
    server.stop().await;
    report
}

const SLIPS: [(Slip, Shown); 2] = [
    (
        Slip::NonatomicClaim,
        Shown {
            check: "no order explains: chat_is_refused",
            steps: 6,
        },
    ),
    (
        Slip::BurnBackup,
        Shown {
            check: " after a race",
            steps: 6,
        },
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_slip_is_found() {
    for (slip, shown) in SLIPS {
        let mut small = false;
        for _ in 0..TRIES {
            let report = run(vec![slip], racing(), 0..200).await;
            small |= boiled_down(slip, &report, &shown);
            if small {
                break;
            }
        }
        assert!(small, "{slip:?}: never {} steps or fewer", shown.steps);
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
