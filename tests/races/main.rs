//! Requests that are sent at the same instant: what only shows then is found, explained by why no order of them fits, and
//! boiled down to the smallest race; and a server that does one thing after the other is never blamed.

mod deep_sci_fi;
mod key_rotation;
mod lost;
mod marketplace;
mod seats;
mod stand_ins;
mod user_databases;

use std::collections::BTreeSet;

use std::ops::Range;
use std::sync::Arc;

use gainsay::campaign::{Options, Report, campaign};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Generator, Races, Step, taken};
use gainsay::model::Model;
use gainsay::run::Runner;
use gainsay::shrink::Counterexample;

/// Races as the command line has them where nobody says how many.
fn racing() -> Races {
    Races {
        permille: 300,
        ..Races::default()
    }
}

/// These seeds, until the first of them fails.
fn until_one_fails(seeds: Range<u64>) -> Options {
    Options {
        seeds,
        jobs: 2,
        fail_fast: true,
        ..Options::default()
    }
}

/// Plans with races, driven at a server.
async fn drive(url: &str, model: &Arc<Model>, races: Races, options: &Options) -> Report {
    let plans = generate::Options {
        races,
        ..generate::Options::default()
    };
    drive_plans(url, model, plans, options).await
}

/// Plans made in any way, driven at a server.
async fn drive_plans(
    url: &str,
    model: &Arc<Model>,
    plans: generate::Options,
    options: &Options,
) -> Report {
    let generator = Generator::new(model.clone(), plans);
    let runner = Runner::new(model.clone(), client(url, model), generator.start());
    let report = campaign(&generator, &runner, options, &mut |_| {}).await;
    report.expect("the server is there")
}

fn client(url: &str, model: &Model) -> Client {
    let tolerate = model.tolerate.clone();
    let client = Client::new(url, Vec::new(), Limits::default(), tolerate, false);
    client.expect("a client")
}

/// What a race of two shows of a slip.
struct Shown {
    /// What is found of it, or a part of that.
    check: &'static str,
    /// The steps that the shortest plan has at most.
    steps: usize,
}

/// Whether a plan was boiled down to the race of two that shows a slip.
fn boiled_down(slip: impl std::fmt::Debug, found: &Counterexample, shown: &Shown) -> bool {
    let id = found.violation.id.to_string();
    println!(
        "{slip:?}: {id}: seed {:?}, {} steps, branches {:?}, {:?}",
        found.seed,
        found.plan.len(),
        branches(found),
        found.standing
    );
    id.contains(shown.check)
        && !found.standing.never()
        && found.plan.len() <= shown.steps
        && branches(found) == [2]
}

/// Whether a race fails, and what of a slip it shows first, can be a matter of milliseconds: so many of the plans that fail
/// are looked at.
const TRIES: usize = 6;

/// Every slip is found within 200 plans, and boiled down. `run` drives plans of so many races at a server with slips.
async fn all_are_found<S: Copy + std::fmt::Debug>(
    slips: &[(S, Shown)],
    run: impl AsyncFn(Vec<S>, Races, Range<u64>) -> Report,
) {
    for (slip, shown) in slips {
        let mut from = 0;
        let mut small = false;
        for _ in 0..TRIES {
            let report = run(vec![*slip], racing(), from..200).await;
            let found = &report.counterexamples;
            assert!(from > 0 || !found.is_empty(), "{slip:?}: {report:?}");
            small = found.iter().any(|found| boiled_down(slip, found, shown));
            let Some(last) = found.iter().filter_map(|found| found.seed).max() else {
                break;
            };
            if small {
                break;
            }
            from = last + 1;
        }
        assert!(small, "{slip:?}: never {} steps or fewer", shown.steps);
    }
}

/// No slip shows in ten plans without races.
async fn none_shows_without_races<S: Copy + std::fmt::Debug>(
    slips: &[(S, Shown)],
    run: impl AsyncFn(Vec<S>, Races, Range<u64>) -> Report,
) {
    for (slip, _) in slips {
        let report = run(vec![*slip], Races::default(), 0..10).await;
        assert!(report.held(), "{slip:?}: {:?}", report.failures());
    }
}

/// The plans of a sound server held, and had races whose branches began together.
fn held_in_races(report: &Report) {
    holds(report);
    assert!(report.races > 400, "{}", report.races);
    let spread = report.spread.expect("there were races");
    assert!(spread.as_millis() < 5, "{spread:?}");
}

/// Nothing failed. One plan in fifty may have a race that can be put in more orders than are looked at.
fn holds(report: &Report) {
    let failures = report.failures();
    assert!(failures.is_empty(), "{failures:?}");
    let plans = report.plans_run + report.inconclusive;
    assert_eq!(plans, report.plans_asked, "{:?}", report.stopped_by);
    assert!(report.inconclusive * 50 <= plans, "{}", report.inconclusive);
}

/// How many branches each race of a counterexample has.
fn branches(found: &Counterexample) -> Vec<usize> {
    let steps: Vec<Step> = found.plan.all().cloned().collect();
    let races = taken(&steps).filter(|steps| steps.len() > 1);
    let branches = races.map(|race| race.iter().map(|s| s.lane).collect::<BTreeSet<_>>().len());
    branches.collect()
}
