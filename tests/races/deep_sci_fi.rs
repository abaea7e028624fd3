//! The demo server of Deep Sci-Fi, with what its handlers do in one transaction done in two: every such slip is found,
//! and boiled down to the smallest race that shows it. Without a slip, no race is blamed; and without races, no slip
//! shows.

use std::sync::Arc;

use gainsay::campaign::{Options, Report, campaign};
use gainsay::demo::deep_sci_fi::{self, Bug, Config};
use gainsay::generate::{self, Generator, Races, Step};
use gainsay::model::Model;
use gainsay::run::Runner;
use gainsay::shrink::Counterexample;

use super::{client, holds, racing};

const ADMIN_KEY: &str = "dsf_administrator_of_the_races";

/// So many plans may pass before a race is found.
const PLANS: u64 = 200;

fn model() -> Arc<Model> {
    Arc::new(Model::load("models/deep-sci-fi.yaml".as_ref()).expect("the model is sound"))
}

async fn run(model: &Arc<Model>, bugs: &[Bug], races: Races, options: Options) -> Report {
    let server = deep_sci_fi::serve(Config {
        bugs: bugs.to_vec(),
        admin_key: Some(ADMIN_KEY.to_owned()),
        ..Config::default()
    });
    let server = server.await.expect("the demo server starts");
    let generator = Generator::new(
        model.clone(),
        generate::Options {
            accounts: generate::needed_accounts(model),
            races,
            ..generate::Options::default()
        },
    );
    let mut start = generator.start();
    for (kind, _) in generate::needed_accounts(model) {
        generate::give(model, &mut start, kind, &[("api_key", ADMIN_KEY.into())]);
    }
    let runner = Runner::new(model.clone(), client(&server.url(), model), start);
    let report = campaign(&generator, &runner, &options, &mut |_| {}).await;
    server.stop().await;
    report.expect("the server is there")
}

/// The races of a plan, rule by rule.
fn races(model: &Model, found: &Counterexample) -> Vec<Vec<String>> {
    let steps: Vec<Step> = found.plan.all().cloned().collect();
    let name = |step: &Step| model.rules[step.action.rule].name.clone();
    let races = generate::taken(&steps).filter(|steps| steps.len() > 1);
    races.map(|race| race.iter().map(name).collect()).collect()
}

/// What a slip is boiled down to: the rules that its race is made of, and how many steps are enough.
fn smallest(bug: Bug) -> (&'static [&'static str], usize) {
    match bug {
        Bug::UsernameTakenMeanwhile => (&["register_agent"], 2),
        Bug::TwoWorldsAtOnce | Bug::NeitherVoteDecides => (&["validate_proposal"], 7),
        Bug::TwoDwellersAtOnce => (&["validate_dweller_proposal"], 12),
        Bug::RegionsLost => (&["add_region", "add_region_in_capitals"], 9),
        Bug::DwellerClaimedByTwo => (&["claim_dweller", "claim_dweller_of_own_world"], 11),
        Bug::ActionConfirmedByTwo => (&["confirm_importance"], 15),
        Bug::ActionEscalatedByTwo => (&["escalate_action"], 17),
        Bug::EventDecidedByTwo => (&["approve_event", "reject_event"], 10),
        Bug::AspectDecidedByTwo => (&["validate_aspect", "approve_event_aspect"], 11),
        Bug::ReactionsLost => (&["react_to_story", "react_to_story_as_to_worlds"], 12),
        Bug::CommentsLost => (&["comment_on_world", "comment_on_story"], 10),
        Bug::UpvotesLost => (&["upvote_feedback"], 6),
        Bug::SuggestionSettledByTwo => (
            &[
                "accept_suggestion",
                "reject_suggestion",
                "withdraw_suggestion",
            ],
            6,
        ),
        _ => unreachable!("{bug} is no race"),
    }
}

/// Who wins is luck, so that one in some races is not boiled down all the way: so many are tried.
const HUNTS: usize = 3;

/// The shortest counterexample that comes first, or one that comes after it if that is not as short as it could be. One
/// plan at a time, so that no other gets in between.
async fn hunt(model: &Arc<Model>, bug: Bug) -> Option<Counterexample> {
    let mut from = 0;
    let mut best: Option<Counterexample> = None;
    for _ in 0..HUNTS {
        let options = Options {
            seeds: from..PLANS,
            fail_fast: true,
            ..Options::default()
        };
        let report = run(model, &[bug], racing(), options).await;
        let found = report.counterexamples.into_iter().chain(best.take());
        best = found.min_by_key(|c| (c.standing.never(), c.plan.len(), c.violation.id.clone()));
        let Some(found) = &best else { break };
        if !found.standing.never() && found.plan.len() <= smallest(bug).1 {
            break;
        }
        from += report.plans_run.max(1);
    }
    best
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_race_is_found_and_boiled_down() {
    let model = model();
    for pair in Bug::RACES.chunks(2) {
        let hunts = pair.iter().map(|bug| {
            let (model, bug) = (model.clone(), *bug);
            tokio::spawn(async move { (bug, hunt(&model, bug).await) })
        });
        for hunt in hunts.collect::<Vec<_>>() {
            let (bug, found) = hunt.await.expect("a hunt comes to its end");
            let found = found.unwrap_or_else(|| panic!("{bug} is not found in {PLANS} plans"));
            let races = races(&model, &found);
            println!(
                "{bug}: {}, seed {:?}, {} steps, {races:?}, {} of {}",
                found.violation.id,
                found.seed,
                found.plan.len(),
                found.standing.failed,
                found.standing.runs
            );
            let (rules, steps) = smallest(bug);
            let last = races
                .last()
                .unwrap_or_else(|| panic!("{bug}: a plan without a race"));
            assert!(
                last.iter().all(|rule| rules.contains(&rule.as_str())),
                "{bug}: {last:?}"
            );
            assert_eq!(last.len(), 2, "{bug}: {last:?}");
            assert!(!found.standing.never(), "{bug}: {:?}", found.standing);
            assert!(
                found.plan.len() <= steps,
                "{bug}: {} steps",
                found.plan.len()
            );
        }
    }
}

/// One transaction has the database for itself, so there always is an order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sound_server_holds_in_races() {
    let options = Options {
        seeds: 0..100,
        jobs: 4,
        ..Options::default()
    };
    let report = run(&model(), &[], racing(), options).await;
    holds(&report);
    assert!(report.races > 500, "{}", report.races);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sequence_shows_a_race() {
    let options = Options {
        seeds: 0..10,
        jobs: 2,
        ..Options::default()
    };
    let report = run(&model(), Bug::RACES, Races::default(), options).await;
    assert!(report.held(), "{:?}", report.failures());
}
