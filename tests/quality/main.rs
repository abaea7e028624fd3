//! The quality suite: for every planted bug of the demo server, the exact minimal counterexample that is found, and
//! what finding and shrinking it took.

mod demo;
mod faults;
mod flaky;
mod several;
mod sound;
mod story;

use std::collections::BTreeMap;

use gainsay::demo::deep_sci_fi::Bug;
use gainsay::generate::Faults;

use demo::Found;

/// No bug may take more live runs than this to shrink; and the median of all.
const MOST_REPLAYS: u32 = 30;
const MEDIAN_REPLAYS: u32 = 4;

/// What takes more live runs: that the feed forgets its limit shows only once there is more news than a page holds, which
/// takes some thirty steps, and the model knows of no reason for any of them.
const STUBBORN: &[Bug] = &[Bug::FeedLimitIgnored];

/// Bugs whose counterexamples must not show which seed found them.
const TRACELESS: &[Bug] = &[
    Bug::FourthProposal,
    Bug::SubmitByAnyone,
    Bug::SubmitAll,
    Bug::SecondVoteCrashes,
    Bug::WorldOwnedByVoter,
];

/// The bugs that sequences of requests show.
fn plain() -> Vec<Bug> {
    let plain = |bug: &Bug| !bug.needs_faults() && !bug.needs_races();
    Bug::ALL.iter().copied().filter(plain).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_bug_is_found_and_boiled_down() {
    let model = demo::model();
    let plain = plain();
    // On two cores.
    let found = demo::hunts(&model, &plain, Faults::default(), 2).await;
    println!("{}", demo::table(&found));
    let mut replays: Vec<u32> = Vec::new();
    let mut long: Vec<String> = Vec::new();
    for (bug, found) in &found {
        let Some(Found { counterexample, .. }) = found else {
            continue;
        };
        story::pin(bug.name(), &story::story(&model, counterexample));
        let standing = counterexample.standing;
        assert!(standing.certain(), "{bug}: {standing:?}");
        let taken = counterexample.replays;
        if taken > MOST_REPLAYS && !STUBBORN.contains(bug) {
            long.push(format!("{bug}: {taken}"));
        }
        replays.push(taken);
    }
    assert!(long.is_empty(), "too many replays: {long:?}");
    let missed = found.iter().filter(|(_, found)| found.is_none());
    let missed: Vec<&str> = missed.map(|(bug, _)| bug.name()).collect();
    assert!(missed.is_empty(), "not found in 25 seeds: {missed:?}");
    replays.sort_unstable();
    let median = replays[replays.len() / 2];
    assert!(
        median <= MEDIAN_REPLAYS,
        "{median} replays is the median of {replays:?}"
    );
}

/// What two seeds found of one failure is told in the same words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seed_leaves_no_trace_in_a_counterexample() {
    let model = demo::model();
    for bug in TRACELESS {
        let mut stories: BTreeMap<String, String> = BTreeMap::new();
        for first in [0, 100, 200] {
            let Some(found) = demo::hunt(&model, *bug, Faults::default(), first..first + 25).await
            else {
                continue;
            };
            let id = found.counterexample.violation.id.to_string();
            let story = story::story(&model, &found.counterexample);
            let known = stories.entry(id).or_insert_with(|| story.clone());
            assert_eq!(*known, story, "{bug}, from seed {first}");
        }
    }
}
