//! Requests that are sent at the same instant: what only shows then is found, explained by why no order of them fits, and
//! boiled down to the smallest race; and a server that does one thing after the other is never blamed.

mod deep_sci_fi;
mod key_rotation;
mod marketplace;
mod seats;

use std::collections::BTreeSet;

use gainsay::campaign::Report;
use gainsay::generate::{Races, Step, taken};
use gainsay::shrink::Counterexample;

/// Races as the command line has them where nobody says how many.
fn racing() -> Races {
    Races {
        permille: 300,
        ..Races::default()
    }
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
