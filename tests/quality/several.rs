//! Several bugs at once: none hides another, none is reported twice.

use std::collections::BTreeMap;

use gainsay::campaign::Options;
use gainsay::demo::deep_sci_fi::Bug;

use crate::{demo, story};

/// None in the way of another, and each seen through one rule.
const FIVE: [Bug; 5] = [
    Bug::SubmitByAnyone,
    Bug::SecondVoteCrashes,
    Bug::RegionCaseSensitive,
    Bug::ReleaseByAnyone,
    Bug::FeedbackSelfUpvote,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_bugs_are_told_apart() {
    let model = demo::model();
    let options = Options {
        seeds: 0..25,
        jobs: 1,
        ..Default::default()
    };
    let report = demo::campaign(&model, &FIVE, options).await;
    let stories: BTreeMap<String, String> = report
        .counterexamples
        .iter()
        .map(|c| (c.violation.id.to_string(), story::story(&model, c)))
        .collect();
    for found in &report.counterexamples {
        assert!(
            found.standing.certain(),
            "{}: {:?}",
            found.violation.id,
            found.standing
        );
    }
    let shown: Vec<String> = stories.values().cloned().collect();
    story::pin("five_at_once", &shown.join("\n\n"));
    assert_eq!(stories.len(), FIVE.len(), "{:?}", stories.keys());
}
