//! Races in which an answer is lost, or the server is killed: what became of it is open, and the order all the same has to
//! explain the rest.

use std::process::Command;
use std::sync::Arc;

use gainsay::campaign::Options;
use gainsay::demo::marketplace::{Config, serve};
use gainsay::generate::{self, Delivery, Fault, Faults, Generator, Plan, Races};
use gainsay::model::Model;

use super::drive_plans;

/// How many steps of races are delivered so that nobody sees their answers.
fn lost_in_races(plan: &Plan) -> usize {
    let lost = |delivery| matches!(delivery, Delivery::Abandoned { .. } | Delivery::Late);
    let raced = plan.steps.iter().filter(|step| step.lane.is_some());
    raced.filter(|step| lost(step.delivery)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_lost_in_races_and_the_sound_server_holds() {
    let server = serve(Config::default()).await.expect("it starts");
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/models/marketplace-sessions.yaml"
    );
    let model = Arc::new(Model::load(path.as_ref()).expect("a model"));
    let plans = generate::Options {
        faults: Faults {
            kinds: vec![Fault::Abandoned, Fault::Late],
            ..Faults::network(0.3)
        },
        races: Races {
            permille: 500,
            // Of four or more that create something, with answers lost, there can be more orders than are told apart.
            width: 3,
        },
        ..generate::Options::default()
    };
    let generator = Generator::new(model.clone(), plans.clone());
    let lost: usize = (0..30)
        .map(|seed| lost_in_races(&generator.plan(seed)))
        .sum();
    assert!(lost >= 20, "{lost}");
    let options = Options {
        seeds: 0..30,
        jobs: 2,
        ..Options::default()
    };
    let report = drive_plans(&server.url(), &model, plans, &options).await;
    assert!(report.held(), "{:?}", report.failures());
    assert_eq!(report.inconclusive, 0);
    assert!(report.races > 100, "{}", report.races);
    server.stop().await;
}

/// What is under way when the server dies, and what was acknowledged before, in a process that is killed for real.
#[test]
fn the_server_dies_during_races_and_holds() {
    let demo = |more: &[&str]| {
        let demo = Command::new(env!("CARGO_BIN_EXE_gainsay"))
            .args(["demo", "key-rotation", "--races"])
            .args(["--faults", "crash", "--fault-rate", "0.5"])
            .args(more)
            .output()
            .expect("it runs");
        (demo.status.code(), format!("{demo:?}"))
    };
    let (code, told) = demo(&["--sound", "--seeds", "0..12"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("crash ×") && told.contains("races; their"),
        "{told}"
    );
    assert!(!told.contains("could not be judged"), "{told}");
}
