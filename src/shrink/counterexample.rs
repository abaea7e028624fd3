//! Counterexamples: a failure, boiled down, with what it takes to show it.

use crate::check::{CheckId, Violation};
use crate::drive::Jars;
use crate::drive::history::History;
use crate::generate::Plan;
use crate::model::mirror::Mirror;

/// A failure, boiled down.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What failed, as the last replay showed it.
    pub violation: Violation,
    /// The shortest plan that is known to fail; its last step is the one that fails. Step ids count from 1.
    pub plan: Plan,
    /// What was sent and what came back in the last replay that failed.
    pub history: History,
    /// The mirror at the end of that replay.
    pub mirror: Mirror,
    /// What principals kept of the answers to them in that replay.
    pub jars: Jars,
    /// What made unique values unique in that replay.
    pub mark: String,
    /// How surely it fails.
    pub standing: Standing,
    /// What the server wrote in that replay, where its log is known. It may hold what a report must not show.
    pub log: Vec<String>,
    /// What else fails at the end of the same steps.
    pub also: Vec<CheckId>,
    /// The seed of the plan in which it was found; none for one that was read from a file.
    pub seed: Option<u64>,
    /// The steps of the plan in which it was found, up to the failure.
    pub found_in: usize,
    /// How often plans were run to boil it down.
    pub replays: u32,
    /// The requests that this took.
    pub requests: u64,
}

impl Counterexample {
    /// Whether another one takes the same steps to the same place, so that one mistake is most likely behind both.
    pub fn is_like(&self, other: &Counterexample) -> bool {
        let steps = |found: &Counterexample| -> Vec<_> {
            let steps = found.plan.all();
            steps
                .map(|s| {
                    (
                        s.action.rule,
                        s.action.actor,
                        s.action.picks.clone(),
                        s.delivery,
                    )
                })
                .collect()
        };
        self.violation.step == other.violation.step && steps(self) == steps(other)
    }

    /// Takes in another one like it. That the server fails is told before anything else.
    pub fn join(&mut self, mut other: Counterexample) {
        let fails =
            |found: &Counterexample| matches!(found.violation.id, CheckId::ServerError { .. });
        if fails(&other) && !fails(self) {
            std::mem::swap(self, &mut other);
            self.also.splice(0..0, std::mem::take(&mut other.also));
        }
        self.also.push(other.violation.id);
    }
}

/// How surely a plan fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How often the plan failed.
    pub failed: u32,
    /// How often it was run, from its first step on fresh entities.
    pub runs: u32,
}

impl Standing {
    /// Whether it failed every time.
    pub fn certain(self) -> bool {
        self.runs > 0 && self.failed == self.runs
    }

    /// Whether it never failed again.
    pub fn never(self) -> bool {
        self.failed == 0
    }
}
