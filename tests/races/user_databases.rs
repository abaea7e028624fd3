//! The user databases of the fifth incident: what two requests of one user do to each other, if the user's database is not
//! ready for the second, or has no index.

use std::ops::Range;
use std::sync::Arc;

use gainsay::campaign::Report;
use gainsay::demo::user_databases::{Config, Place, Slip, serve};
use gainsay::generate::Races;
use gainsay::model::Model;

use super::{
    Shown, all_are_found, drive, held_in_races, none_shows_without_races, racing, until_one_fails,
};

async fn run(slips: Vec<Slip>, races: Races, seeds: Range<u64>) -> Report {
    let config = Config::from(Place {
        slips,
        ..Place::default()
    });
    let server = serve(config).await.expect("it starts");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/models/user-databases.yaml");
    let model = Arc::new(Model::load(path.as_ref()).expect("a model"));
    let report = drive(&server.url(), &model, races, &until_one_fails(seeds)).await;
    server.stop().await;
    report
}

const SLIPS: [(Slip, Shown); 2] = [
    (
        Slip::EngineBeforeTables,
        Shown {
            check: "no_server_errors",
            steps: 3,
        },
    ),
    (
        Slip::UpsertRace,
        Shown {
            check: "no_server_errors",
            steps: 4,
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
