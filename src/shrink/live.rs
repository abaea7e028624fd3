//! Live reduction: offline as far as the model admits, one run to confirm, and a search between what fails and what
//! does not where the model was too bold.

use std::collections::HashMap;

use super::counterexample::{Counterexample, Standing};
use super::reduce::{Goal, Reducer, renumber};
use crate::check::{CheckId, Violation};
use crate::generate::{Plan, Step};
use crate::run::{PlanRun, Reads, Runner};

/// How much shrinking may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Runs of plans in all.
    pub replays: u32,
    /// How often the final plan must fail.
    pub confirmations: u32,
    /// Runs of a plan that never fails again, before it is given up.
    pub futile: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            replays: 60,
            confirmations: 2,
            futile: 10,
        }
    }
}

/// What a run of a candidate showed.
#[derive(Clone)]
enum Shown {
    /// The same failure, at the last step.
    Failure(Box<(PlanRun, Violation)>),
    /// Everything held.
    Nothing,
    /// Something else failed, or the run broke.
    Inconclusive,
}

struct Search<'a> {
    runner: &'a Runner,
    id: CheckId,
    bounds: Bounds,
    replays: u32,
    requests: u64,
    cache: HashMap<(Vec<Step>, bool), bool>,
    /// The last failure that was seen, with the plan that showed it.
    best: Option<(Vec<Step>, Box<(PlanRun, Violation)>)>,
    /// Whether reads along the way belong to the failure.
    all_reads: bool,
}

/// Boils a failure down.
///
/// `plan` is the plan in which it was found, `violation` what was found.
pub async fn shrink(
    runner: &Runner,
    plan: &Plan,
    violation: &Violation,
    bounds: Bounds,
) -> Counterexample {
    let model = runner.model().clone();
    let mut steps: Vec<Step> = Vec::new();
    for step in plan.all() {
        steps.push(step.clone());
        if step.id == violation.step {
            break;
        }
    }
    let found_in = steps.len();
    let mut search = Search {
        runner,
        id: violation.id.clone(),
        bounds,
        replays: 0,
        requests: 0,
        cache: HashMap::new(),
        best: None,
        all_reads: false,
    };
    let reducer = Reducer::new(&model, runner.start());
    let goal = reducer.goal(&steps, violation.step, violation.entity);
    if let Some(goal) = &goal {
        search.reduce(&reducer, goal, &steps).await;
    } else {
        search.fails(&steps).await;
    }
    search.finish(plan, violation, steps, found_in).await
}

/// Runs a plan that is known from before, such as a committed counterexample: whether it still fails as it did.
pub async fn replay(
    runner: &Runner,
    plan: &Plan,
    id: &CheckId,
    times: u32,
) -> Option<Counterexample> {
    let steps: Vec<Step> = plan.all().cloned().collect();
    let mut search = Search {
        runner,
        id: id.clone(),
        bounds: Bounds {
            replays: times,
            confirmations: times,
            futile: times,
        },
        replays: 0,
        requests: 0,
        cache: HashMap::new(),
        best: None,
        all_reads: true,
    };
    let mut failed = 0;
    for _ in 0..times {
        if let Shown::Failure(shown) = search.run(&steps).await {
            failed += 1;
            search.best = Some((steps.clone(), shown));
        }
    }
    let (steps, shown) = search.best?;
    let (run, violation) = *shown;
    Some(Counterexample {
        violation,
        plan: Plan {
            seed: plan.seed,
            setup: Vec::new(),
            steps,
        },
        history: run.history,
        mirror: run.mirror,
        mark: run.mark,
        standing: Standing {
            failed,
            runs: times,
        },
        seed: None,
        found_in: plan.len(),
        replays: search.replays,
        requests: search.requests,
    })
}

impl Search<'_> {
    /// Runs a candidate, once.
    async fn run(&mut self, steps: &[Step]) -> Shown {
        let plan = Plan {
            seed: 0,
            setup: Vec::new(),
            steps: steps.to_vec(),
        };
        let reads = match (&self.id, self.all_reads) {
            (_, true) => Reads::All,
            (CheckId::Invariant { name, .. } | CheckId::ServerError { rule: name }, false) => {
                let model = self.runner.model();
                match model.invariants.iter().position(|i| *i.name == **name) {
                    Some(index) if model.invariants[index].read.is_some() => Reads::Last(index),
                    _ => Reads::None,
                }
            }
            (CheckId::Secret { rule, .. } | CheckId::Isolation { rule, .. }, false) => {
                let model = self.runner.model();
                match model.invariants.iter().position(|i| *i.name == **rule) {
                    Some(index) => Reads::Last(index),
                    None => Reads::None,
                }
            }
            _ => Reads::None,
        };
        let run = self.runner.run(&plan, reads, false).await;
        self.replays += 1;
        self.requests += run.requests;
        let last = steps.last().map(|s| s.id);
        if run.broken.is_some() || run.skipped > 0 {
            return Shown::Inconclusive;
        }
        let first = run.violations.first().cloned();
        match first {
            None => Shown::Nothing,
            Some(first) => {
                // Several checks may fail at the last step at once; what comes before it must hold.
                let same = run
                    .violations
                    .iter()
                    .find(|v| v.id.same_failure(&self.id) && Some(v.step) == last);
                match same {
                    Some(same) if Some(first.step) == last => {
                        let same = same.clone();
                        Shown::Failure(Box::new((run, same)))
                    }
                    _ => Shown::Inconclusive,
                }
            }
        }
    }

    /// Whether a candidate fails; keeps it as the best if it does.
    async fn fails(&mut self, steps: &[Step]) -> bool {
        let key = (steps.to_vec(), self.all_reads);
        if let Some(known) = self.cache.get(&key) {
            return *known;
        }
        if self.replays >= self.bounds.replays {
            return false;
        }
        let failed = match self.run(steps).await {
            Shown::Failure(shown) => {
                self.best = Some((steps.to_vec(), shown));
                true
            }
            Shown::Nothing | Shown::Inconclusive => false,
        };
        self.cache.insert(key, failed);
        failed
    }

    /// The shortest plan that fails, as `best`.
    async fn reduce(&mut self, reducer: &Reducer<'_>, goal: &Goal, steps: &[Step]) {
        let sliced = reducer.shorten(steps, goal);
        let fewer = reducer.fewer_principals(&sliced, goal);
        let simple = reducer.simpler_arguments(&fewer, goal);
        for candidate in [&simple, &fewer, &sliced] {
            if self.fails(candidate).await {
                let complete = *candidate == simple;
                self.tighten(reducer, goal, complete).await;
                return;
            }
        }
        // The model was too bold: what the failure needs is not what the prediction needs. Either the reads along the
        // way take part, or a step that the model thinks harmless does.
        if !self.fails(steps).await {
            self.all_reads = true;
            let whole = steps.to_vec();
            if self.fails(&simple).await || !self.fails(&whole).await {
                return;
            }
        }
        self.between(reducer, goal, &sliced, steps).await;
        self.tighten(reducer, goal, false).await;
    }

    /// Delta debugging between a plan that does not fail and one that does (Zeller and Hildebrandt, 2002), over the
    /// steps that only the latter has.
    async fn between(
        &mut self,
        reducer: &Reducer<'_>,
        goal: &Goal,
        passing: &[Step],
        failing: &[Step],
    ) {
        let needed: Vec<u32> = passing.iter().map(|s| s.id).collect();
        let mut kept: Vec<Step> = failing.to_vec();
        let mut chunks = 2;
        loop {
            let spare: Vec<u32> = kept
                .iter()
                .map(|s| s.id)
                .filter(|id| !needed.contains(id))
                .collect();
            if spare.is_empty() || self.replays >= self.bounds.replays {
                return;
            }
            let size = spare.len().div_ceil(chunks);
            let mut dropped = false;
            // The latest first: what happened just before the failure is more often part of it.
            for chunk in spare.rchunks(size) {
                let mut candidate: Vec<Step> = kept
                    .iter()
                    .filter(|s| !chunk.contains(&s.id))
                    .cloned()
                    .collect();
                if !reducer.admits(&candidate, goal) {
                    candidate = closure(reducer, &candidate, goal);
                    if candidate.is_empty() {
                        continue;
                    }
                }
                if self.fails(&candidate).await {
                    kept = candidate;
                    dropped = true;
                    break;
                }
            }
            if dropped {
                chunks = chunks.saturating_sub(1).max(2);
            } else if size <= 1 {
                return;
            } else {
                chunks = (chunks * 2).min(spare.len());
            }
        }
    }

    /// Confirms that every step of the best plan is needed, and simplifies what the model would not.
    async fn tighten(&mut self, reducer: &Reducer<'_>, goal: &Goal, simple: bool) {
        loop {
            let Some((best, _)) = &self.best else { return };
            let best = best.clone();
            let mut shorter = false;
            for index in (0..best.len().saturating_sub(1)).rev() {
                let mut candidate = best.clone();
                candidate.remove(index);
                if reducer.admits(&candidate, goal) && self.fails(&candidate).await {
                    shorter = true;
                    break;
                }
            }
            if !shorter {
                break;
            }
        }
        if simple {
            return;
        }
        let Some((best, _)) = &self.best else { return };
        let best = best.clone();
        let simplified = reducer.simpler_arguments(&best, goal);
        if simplified != best && !self.fails(&simplified).await {
            // Step by step: some arguments are part of the failure.
            for index in 0..best.len() {
                let Some((current, _)) = &self.best else {
                    return;
                };
                let mut candidate = current.clone();
                if candidate[index] == simplified[index] {
                    continue;
                }
                candidate[index] = simplified[index].clone();
                if reducer.admits(&candidate, goal) {
                    self.fails(&candidate).await;
                }
            }
        }
    }

    /// Confirms the result on fresh entities, and puts it together.
    async fn finish(
        mut self,
        plan: &Plan,
        violation: &Violation,
        steps: Vec<Step>,
        found_in: usize,
    ) -> Counterexample {
        let model = self.runner.model().clone();
        let (minimal, was_best) = match self.best.take() {
            Some((steps, _)) => (steps, true),
            None => (steps, false),
        };
        let (numbered, _) = renumber(&model, &minimal);
        // The run that found it to fail counts as one.
        let mut standing = Standing {
            failed: u32::from(was_best),
            runs: u32::from(was_best),
        };
        let mut shown = None;
        let wanted = match was_best {
            true => self.bounds.confirmations,
            false => self.bounds.futile.saturating_sub(self.replays).max(1),
        };
        let mut extra = 0;
        while standing.runs < wanted + extra {
            standing.runs += 1;
            match self.run(&numbered).await {
                Shown::Failure(failure) => {
                    standing.failed += 1;
                    shown = Some(failure);
                }
                // It does not fail every time: more runs tell how often.
                Shown::Nothing | Shown::Inconclusive if was_best && extra == 0 => {
                    extra = 8;
                }
                _ => {}
            }
            if shown.is_some() && !was_best && extra == 0 {
                extra = 4;
            }
        }
        if !was_best {
            standing.runs = self.replays;
        }
        let total = self.requests;
        match shown {
            Some(shown) => {
                let (run, found) = *shown;
                Counterexample {
                    violation: found,
                    plan: Plan {
                        seed: plan.seed,
                        setup: Vec::new(),
                        steps: numbered,
                    },
                    history: run.history,
                    mirror: run.mirror,
                    mark: run.mark,
                    standing,
                    seed: Some(plan.seed),
                    found_in,
                    replays: self.replays,
                    requests: total,
                }
            }
            // It was seen once and never again: shown as it was found.
            None => Counterexample {
                violation: violation.clone(),
                plan: Plan {
                    seed: plan.seed,
                    setup: Vec::new(),
                    steps: minimal,
                },
                history: crate::drive::history::History::default(),
                mirror: violation.before.clone(),
                mark: String::new(),
                standing,
                seed: Some(plan.seed),
                found_in,
                replays: self.replays,
                requests: total,
            },
        }
    }
}

/// The candidate without the steps that cannot be tried in it; empty if the goal is not among what remains.
fn closure(reducer: &Reducer<'_>, candidate: &[Step], goal: &Goal) -> Vec<Step> {
    let kept = reducer.applicable(candidate);
    match reducer.admits(&kept, goal) {
        true => kept,
        false => Vec::new(),
    }
}
