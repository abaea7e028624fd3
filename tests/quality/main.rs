//! The quality suite: for every planted bug of the demo server, the exact minimal counterexample that is found, and
//! what finding and shrinking it took.

mod demo;
mod flaky;
mod several;
mod story;

use std::collections::BTreeMap;

use gainsay::demo::deep_sci_fi::Bug;

use demo::{Found, hunt};

/// No bug may take more live runs than this to shrink; and the median of all.
const MOST_REPLAYS: u32 = 15;
const MEDIAN_REPLAYS: u32 = 4;

/// What two seeds found of one failure is told in the same words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_seed_leaves_no_trace_in_a_counterexample() {
    let model = demo::model();
    let mut different = Vec::new();
    for bug in Bug::ALL {
        let mut stories: BTreeMap<String, String> = BTreeMap::new();
        for first in [0, 100, 200] {
            let Some(found) = hunt(&model, &[*bug], first..first + 25).await else {
                continue;
            };
            let id = found.counterexample.violation.id.to_string();
            let story = story::story(&model, &found.counterexample);
            let known = stories.entry(id).or_insert_with(|| story.clone());
            if *known != story {
                different.push(format!("{bug}\n{known}\n\nand\n\n{story}"));
            }
        }
    }
    assert!(
        different.is_empty(),
        "{} of one failure:\n{}",
        different.len(),
        different.join("\n\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_bug_is_found_and_boiled_down() {
    let model = demo::model();
    let mut found: Vec<(Bug, Option<Found>)> = Vec::new();
    for bug in Bug::ALL
        .iter()
        .filter(|b| std::env::var("BUG").map_or(true, |n| n.split(',').any(|n| n == b.name())))
    {
        found.push((*bug, hunt(&model, &[*bug], 0..25).await));
    }
    let table = demo::table(&found);
    println!("{table}");
    let mut replays: Vec<u32> = Vec::new();
    for (bug, found) in &found {
        let Some(found) = found else { continue };
        insta::with_settings!({
            snapshot_path => ".",
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, {
            insta::allow_duplicates! { insta::assert_snapshot!(bug.name(), story::story(&model, &found.counterexample)); }
        });
        let counterexample = &found.counterexample;
        if std::env::var_os("SOFT").is_some() {
            continue;
        }
        assert!(
            counterexample.standing.certain(),
            "{bug}: {:?}",
            counterexample.standing
        );
        assert!(
            counterexample.replays <= MOST_REPLAYS,
            "{bug} took {} replays",
            counterexample.replays
        );
        replays.push(counterexample.replays);
    }
    let missed: Vec<&str> = found
        .iter()
        .filter(|(_, f)| f.is_none())
        .map(|(bug, _)| bug.name())
        .collect();
    assert!(
        missed.is_empty(),
        "not found in 25 seeds: {}",
        missed.join(", ")
    );
    if replays.is_empty() {
        return;
    }
    replays.sort_unstable();
    assert!(replays[replays.len() / 2] <= MEDIAN_REPLAYS, "{replays:?}");
}
