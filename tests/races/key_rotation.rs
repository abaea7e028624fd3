//! The key rotation of the fourth incident: keys that are lost, or backups that are taken for nothing, when two rotations run
//! at once.

use std::ops::Range;
use std::sync::Arc;

use gainsay::campaign::Report;
use gainsay::demo::key_rotation::{Config, Slip, serve};
use gainsay::generate::Races;
use gainsay::model::Model;

use super::{
    Shown, all_are_found, drive, held_in_races, none_shows_without_races, racing, until_one_fails,
};

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
            steps: 5,
        },
    ),
    (
        Slip::BurnBackup,
        Shown {
            check: "no order explains: chat_is_refused",
            steps: 5,
        },
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_slip_is_found() {
    all_are_found(&SLIPS, run).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_do_not_show_one_after_the_other() {
    none_shows_without_races(&SLIPS, run).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_slip_the_same_plans_hold() {
    held_in_races(&run(Vec::new(), racing(), 0..150).await);
}
