//! Runs of candidates against the server: whether one fails as the original did, counted, bounded and remembered.

use std::collections::HashMap;

use super::counterexample::{Counterexample, Standing};
use super::live::Bounds;
use super::reduce::Candidate;
use crate::check::{CheckId, Violation};
use crate::drive::ClientError;
use crate::generate::{Plan, Step};
use crate::run::{PlanRun, Reads, Runner};

/// What a run of a candidate showed.
pub(super) enum Shown {
    /// The same failure.
    Failure(Box<(PlanRun, Violation)>),
    /// Everything held.
    Nothing,
    /// The server could not be talked to until the end.
    Broken(ClientError),
    /// Something else failed. With the candidate without the steps that failed or were not sent.
    Inconclusive(Option<Candidate>),
}

/// A search under way.
pub(super) struct Search<'a> {
    pub runner: &'a Runner,
    id: CheckId,
    pub bounds: Bounds,
    pub replays: u32,
    pub requests: u64,
    cache: HashMap<(Candidate, bool), bool>,
    /// The last candidate that failed.
    best: Option<Candidate>,
    /// What its run showed.
    pub shown: Option<Box<(PlanRun, Violation)>>,
    /// Set when a candidate failed before its last step: the candidate up to there.
    pub earlier: Option<Candidate>,
    /// Set when other failures were in the way: the candidate without them.
    pub cleaned: Option<Candidate>,
    /// Whether reads along the way belong to the failure.
    pub all_reads: bool,
}

impl<'a> Search<'a> {
    pub fn new(runner: &'a Runner, id: CheckId, bounds: Bounds) -> Search<'a> {
        Search {
            runner,
            id,
            bounds,
            replays: 0,
            requests: 0,
            cache: HashMap::new(),
            best: None,
            shown: None,
            earlier: None,
            cleaned: None,
            all_reads: false,
        }
    }

    /// The last candidate that failed.
    pub fn best(&self) -> Option<Candidate> {
        self.best.clone()
    }

    /// The invariant whose reads show the failure, by its position.
    fn watched(&self) -> Option<usize> {
        let (CheckId::Invariant { name, .. }
        | CheckId::ServerError { rule: name }
        | CheckId::Conformance { rule: name }
        | CheckId::Secret { rule: name, .. }
        | CheckId::Internals { rule: name }
        | CheckId::Isolation { rule: name, .. }) = &self.id
        else {
            return None;
        };
        let invariants = &self.runner.model().invariants;
        let index = invariants.iter().position(|i| *i.name == **name)?;
        invariants[index].read.is_some().then_some(index)
    }

    /// Whether reads show the failure, and not the failing step's own answer.
    pub fn watches(&self) -> bool {
        self.watched().is_some()
    }

    /// Has the failure told by the first of all reads that shows it, where the server fails at several of them.
    pub async fn first_to_show(&mut self) {
        let (Some(best), CheckId::ServerError { .. }, true) =
            (self.best(), &self.id, self.watches())
        else {
            return;
        };
        let each = std::mem::replace(&mut self.all_reads, true);
        let shown = self.run(&best).await;
        self.all_reads = each;
        let Shown::Failure(shown) = shown else { return };
        let (run, violation) = *shown;
        let first = (run.violations.into_iter())
            .find(|v| v.step == violation.step && matches!(v.id, CheckId::ServerError { .. }));
        let Some(first) = first.filter(|first| first.id != self.id) else {
            return;
        };
        let known = std::mem::replace(&mut self.id, first.id);
        // What is remembered is of the other failure.
        self.cache.clear();
        let entity = first.entity;
        if !(self.watches() && self.fails(&Candidate { entity, ..best }).await) {
            self.id = known;
            self.cache.clear();
        }
    }

    /// Whether the failure is that an answer lacks what the model takes from it.
    pub fn lacks_something(&self) -> bool {
        matches!(self.id, CheckId::Answer { .. })
    }

    /// Runs a candidate, once.
    pub async fn run(&mut self, candidate: &Candidate) -> Shown {
        let plan = Plan {
            seed: 0,
            setup: Vec::new(),
            steps: candidate.steps.clone(),
        };
        let reads = match (self.all_reads, self.watched()) {
            (true, _) => Reads::All,
            // After every step, since only then the step that breaks it is known.
            (false, Some(index)) => Reads::Each(index, candidate.entity),
            (false, None) => Reads::None,
        };
        let run = self.runner.run(&plan, reads, false).await;
        self.replays += 1;
        self.requests += run.requests;
        if let Some(error) = run.broken {
            return Shown::Broken(error);
        }
        let Some(first) = run.violations.first() else {
            return match run.skipped {
                0 => Shown::Nothing,
                _ => Shown::Inconclusive(None),
            };
        };
        // Several checks may fail at one step; what comes before it must hold.
        let same = run
            .violations
            .iter()
            .find(|v| v.step == first.step && v.id.same_failure(&self.id));
        match same.cloned() {
            Some(same) => Shown::Failure(Box::new((run, same))),
            None => {
                let failed = |id: u32| run.violations.iter().any(|v| v.step == id && !v.at_end);
                let last = candidate.steps.last().map(|s| s.id);
                let steps: Vec<Step> = candidate
                    .steps
                    .iter()
                    .filter(|s| Some(s.id) == last || run.sent(s.id) && !failed(s.id))
                    .cloned()
                    .collect();
                Shown::Inconclusive((steps.len() < candidate.steps.len()).then_some(Candidate {
                    steps,
                    entity: candidate.entity,
                }))
            }
        }
    }

    /// Whether a candidate fails; keeps it as the best if it does, up to the step that fails.
    pub async fn fails(&mut self, candidate: &Candidate) -> bool {
        let candidate = &candidate.clone().normal();
        let key = (candidate.clone(), self.all_reads);
        if let Some(known) = self.cache.get(&key) {
            return *known;
        }
        // Who wins a race is a matter of luck.
        let tries = match candidate.has_races() {
            true => self.bounds.tries,
            false => 1,
        };
        let mut failed = false;
        for _ in 0..tries {
            if self.replays >= self.bounds.replays {
                return false;
            }
            failed = self.fails_now(candidate).await;
            if failed {
                break;
            }
        }
        self.cache.insert(key, failed);
        failed
    }

    /// Whether a candidate fails this time.
    async fn fails_now(&mut self, candidate: &Candidate) -> bool {
        match self.run(candidate).await {
            Shown::Failure(shown) => {
                let (run, violation) = shown.as_ref();
                let mut best = candidate.clone();
                let cut = best.steps.iter().position(|s| s.id == violation.step);
                best.steps.truncate(cut.map_or(best.steps.len(), |p| p + 1));
                best.steps.retain(|s| run.sent(s.id));
                if best.steps.last() != candidate.steps.last() {
                    self.earlier = Some(best.clone());
                }
                self.best = Some(best);
                self.shown = Some(shown);
                true
            }
            Shown::Nothing | Shown::Broken(_) => false,
            Shown::Inconclusive(cleaned) => {
                self.cleaned = cleaned;
                false
            }
        }
    }
}

/// So often a race is run for it to fail.
const LUCK: u32 = 20;

/// How often a plan is run at most that is to be run so many times: more where it is a matter of luck whether it fails.
pub fn replays_of(plan: &Plan, times: u32) -> u32 {
    match plan.all().any(|step| step.lane.is_some()) {
        true => times.max(LUCK),
        false => times,
    }
}

/// Runs a plan that is known from before, such as a committed counterexample: whether it still fails as it did.
///
/// # Errors
///
/// Why the plan could not be run to its end, where that is so of every run: nobody knows then whether it fails.
pub async fn replay(
    runner: &Runner,
    plan: &Plan,
    id: &CheckId,
    times: u32,
) -> Result<Option<Counterexample>, ClientError> {
    let candidate = Candidate {
        steps: plan.all().cloned().collect(),
        entity: None,
    };
    let bounds = Bounds {
        replays: times,
        confirmations: times,
        futile: times,
        ..Bounds::default()
    };
    let mut search = Search::new(runner, id.clone(), bounds);
    search.all_reads = true;
    let mut last = None;
    let mut failed = 0;
    let mut broken = Vec::new();
    let mut runs = 0;
    while runs < times || failed == 0 && runs < replays_of(plan, times) {
        runs += 1;
        match search.run(&candidate).await {
            Shown::Failure(shown) => {
                failed += 1;
                last = Some(shown);
            }
            Shown::Broken(error) => broken.push(error),
            Shown::Nothing | Shown::Inconclusive(_) => {}
        }
    }
    let all_broken = broken.len() as u64 == u64::from(runs);
    if let (true, Some(error)) = (all_broken, broken.pop()) {
        return Err(error);
    }
    let Some(last) = last else { return Ok(None) };
    let (run, violation) = *last;
    Ok(Some(Counterexample {
        also: Vec::new(),
        log: run.log,
        violation,
        plan: Plan {
            seed: plan.seed,
            setup: Vec::new(),
            steps: candidate.steps,
        },
        history: run.history,
        mirror: run.mirror,
        jars: run.jars,
        mark: run.mark,
        standing: Standing { failed, runs },
        seed: None,
        found_in: plan.len(),
        replays: search.replays,
        requests: search.requests,
    }))
}
