//! A campaign: plans of successive seeds, several at once, each failure boiled down, one counterexample for each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::check::{Access, CheckId, Finding};
use crate::drive::ClientError;
use crate::generate::{Coverage, Delivery, Fault, Generator, Plan};
use crate::model::action::Outcome;
use crate::run::{PlanRun, Reads, Runner};
use crate::shrink::{Bounds, Counterexample, Standing, shrink};
use crate::tidy::Tidied;

/// What a campaign does.
#[derive(Clone, Debug)]
pub struct Options {
    /// The seeds: one plan for each.
    pub seeds: std::ops::Range<u64>,
    /// Plans at once.
    pub jobs: usize,
    /// Stop at the first counterexample.
    pub fail_fast: bool,
    /// Start no more plans after this time.
    pub time: Option<Duration>,
    /// What shrinking may cost.
    pub bounds: Bounds,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seeds: 0..25,
            jobs: 1,
            fail_fast: false,
            time: None,
            bounds: Bounds::default(),
        }
    }
}

/// What happens during a campaign, for whoever shows it.
#[derive(Debug)]
pub enum Progress<'a> {
    /// What came of a plan, whole, for whoever keeps it.
    Ran(&'a Plan, &'a PlanRun),
    /// A plan was run.
    Plan {
        /// Its seed.
        seed: u64,
        /// The steps that were sent.
        steps: usize,
        /// How many outcomes there are, and how many were reached so far.
        covered: (usize, usize),
    },
    /// Something failed that had not failed before, and is being boiled down.
    Failure {
        /// What.
        check: &'a CheckId,
        /// In the plan of which seed.
        seed: u64,
        /// The steps up to the failure.
        steps: usize,
    },
    /// A failure was boiled down.
    Counterexample(&'a Counterexample),
}

/// What came of a campaign.
#[derive(Debug, Default)]
pub struct Report {
    /// Plans asked for.
    pub plans_asked: u64,
    /// Plans run to their end.
    pub plans_run: u64,
    /// Steps sent, without those of shrinking.
    pub steps: u64,
    /// Steps left out: they named what did not exist, what was tainted, or what is known to fail.
    pub skipped: u64,
    /// Requests sent, with those of shrinking.
    pub requests: u64,
    /// Requests that plans took until the first failure was seen, if there was one.
    pub requests_to_first: Option<u64>,
    /// Plans that could not be judged to their end.
    pub inconclusive: u64,
    /// Requests that were not answered, once and never again.
    pub unanswered: u64,
    /// Races that were run.
    pub races: u64,
    /// From the first byte of the first branch of a race to the first byte of its last one, at the median.
    pub spread: Option<Duration>,
    /// Faults that happened, by their kinds.
    pub faults: BTreeMap<Fault, u64>,
    /// Faults of links and programs that nothing met, and that are not among those.
    pub unmet: u64,
    /// Steps that were to create something, and how many of them did.
    pub creations: (u64, u64),
    /// How many worlds had to be told apart, at most.
    pub worlds: usize,
    /// How many plans were run at once.
    pub jobs: usize,
    /// How long it took.
    pub elapsed: Duration,
    /// Which outcomes were reached.
    pub coverage: Coverage,
    /// As whom each rule was tried.
    pub access: Access,
    /// What was cleaned up after the plans, if that was to be done.
    pub tidied: Option<Tidied>,
    /// One for each distinct failure.
    pub counterexamples: Vec<Counterexample>,
    /// Failures that only ever followed another one in their plans, and did not show by themselves.
    pub consequences: Vec<CheckId>,
    /// Why plans were not run, if some were not.
    pub stopped_by: Option<String>,
}

impl Report {
    /// Each failure, and how surely it fails.
    pub fn failures(&self) -> Vec<(CheckId, Standing)> {
        self.counterexamples
            .iter()
            .map(|c| (c.violation.id.clone(), c.standing))
            .collect()
    }

    /// What else failed, at the end of the same steps as one of the failures.
    pub fn alongside(&self) -> usize {
        self.counterexamples.iter().map(|c| c.also.len()).sum()
    }

    /// Whether all plans were run and nothing failed.
    pub fn held(&self) -> bool {
        self.counterexamples.is_empty() && self.plans_run == self.plans_asked
    }
}

/// Why a campaign came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// What was to happen to the server's process could not be made to happen.
    #[error("{0}")]
    Process(ClientError),
    /// The target cannot be reached.
    #[error("the target at {url} cannot be reached: {source}")]
    Unreachable {
        /// Its address.
        url: String,
        /// What happened.
        source: ClientError,
    },
}

/// Runs a campaign.
///
/// # Errors
///
/// [`CampaignError`] where the target cannot be reached; failures of the API are in the report.
pub async fn campaign(
    generator: &Generator,
    runner: &Runner,
    options: &Options,
    progress: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Report, CampaignError> {
    let began = Instant::now();
    let sent_before = runner.client().sent();
    let mut report = Report {
        plans_asked: options.seeds.end.saturating_sub(options.seeds.start),
        coverage: Coverage::new(generator.model(), generator.left_out()),
        access: Access::new(generator.model(), generator.left_out()),
        ..Report::default()
    };
    let mut seeds = options.seeds.clone();
    let mut running: JoinSet<(Arc<Plan>, PlanRun)> = JoinSet::new();
    // A crash ends everybody's requests.
    let jobs = match generator.faults().are_of_all() {
        true => 1,
        false => options.jobs.max(1),
    };
    report.jobs = jobs;
    let mut stop = false;
    let mut spreads: Vec<Duration> = Vec::new();
    let mut seen: Vec<CheckId> = Vec::new();
    loop {
        while !stop && running.len() < jobs {
            if options.time.is_some_and(|time| began.elapsed() >= time) {
                stop = true;
                report.stopped_by = Some("the time was up".into());
                break;
            }
            let Some(seed) = seeds.next() else { break };
            let (generator, runner) = (generator.clone(), runner.clone());
            running.spawn(async move {
                let plan = Arc::new(generator.plan(seed));
                let run = runner.run(&plan, Reads::All, true).await;
                (plan, run)
            });
        }
        let Some(finished) = running.join_next().await else {
            break;
        };
        // A task that panicked is a bug of gainsay's; its plan counts as not run.
        let Ok((plan, run)) = finished else {
            report.inconclusive += 1;
            continue;
        };
        progress(Progress::Ran(&plan, &run));
        report.races += run.spreads.len() as u64;
        spreads.extend(&run.spreads);
        report.steps += run.outcomes.len() as u64;
        report.skipped += run.skipped as u64;
        for (_, rule, outcome) in &run.outcomes {
            if let Some(outcome) = outcome {
                report.coverage.count(*rule, *outcome);
            }
        }
        let model = generator.model();
        (report.access).count(model, &plan, &run.outcomes, &run.violations);
        report.worlds = report.worlds.max(run.worlds);
        for step in plan.all().filter(|s| run.sent(s.id)) {
            // What is sent again in a race is part of it.
            let raced = step.lane.is_some() && matches!(step.delivery, Delivery::Again { .. });
            if let Some(fault) = Fault::of(step.delivery).filter(|_| !raced) {
                match run.unmet.contains(&step.id) {
                    true => report.unmet += 1,
                    false => *report.faults.entry(fault).or_default() += 1,
                }
            }
        }
        for (_, rule, outcome) in &run.outcomes {
            if generator.model().rules[*rule].creates() {
                report.creations.0 += 1;
                report.creations.1 += u64::from(outcome.is_some_and(Outcome::is_ok));
            }
        }
        match &run.broken {
            None if run.confused => report.inconclusive += 1,
            None => report.plans_run += 1,
            Some(ClientError::Interrupted) => {
                stop = true;
                report.stopped_by = Some("it was interrupted".into());
            }
            Some(ClientError::Exhausted { max }) => {
                stop = true;
                report.stopped_by = Some(format!("the budget of {max} requests was used up"));
            }
            Some(
                error @ (ClientError::Transport {
                    unreachable: true, ..
                }
                | ClientError::Remote { .. }
                | ClientError::Setup { .. }
                | ClientError::Address { .. }),
            ) => {
                running.shutdown().await;
                return Err(CampaignError::Unreachable {
                    url: runner.client().base().to_string(),
                    source: error.clone(),
                });
            }
            Some(error @ ClientError::Process { .. }) => {
                running.shutdown().await;
                return Err(CampaignError::Process(error.clone()));
            }
            Some(error) => {
                report.inconclusive += 1;
                report.stopped_by.get_or_insert_with(|| error.to_string());
            }
        }
        progress(Progress::Plan {
            seed: plan.seed,
            steps: run.outcomes.len(),
            covered: report.coverage.totals(),
        });
        if let Some(tidied) = &run.tidied {
            report.tidied.get_or_insert_default().add(tidied);
        }
        for (index, violation) in run.violations.iter().enumerate() {
            if runner.is_stopping() {
                break;
            }
            // What is only seen when a plan is over belongs to no step, and so to a failure of that invariant that
            // is known already.
            let known = seen.iter().any(|id| {
                *id == violation.id || violation.at_end && id.same_failure(&violation.id)
            });
            let followed = report
                .consequences
                .iter()
                .any(|id| index > 0 && id.same_failure(&violation.id));
            if stop && options.fail_fast || known || followed {
                continue;
            }
            seen.push(violation.id.clone());
            if report.requests_to_first.is_none() {
                let until = violation.event.map_or(run.requests, |e| e as u64 + 1);
                let earlier = runner.client().sent() - sent_before - run.requests;
                report.requests_to_first = Some(earlier + until);
            }
            let steps = plan
                .all()
                .position(|s| s.id == violation.step)
                .map_or(plan.len(), |p| p + 1);
            progress(Progress::Failure {
                check: &violation.id,
                seed: plan.seed,
                steps,
            });
            let found = shrink(
                runner,
                &run.ran(&plan, violation),
                &run,
                violation,
                options.bounds,
            )
            .await;
            // What it came to so far is not all that it would come to.
            if runner.is_stopping() {
                break;
            }
            // A connection may break once for no reason of the server's.
            if found.standing.never() && matches!(violation.finding, Finding::Silence { .. }) {
                report.unanswered += 1;
                continue;
            }
            let alone = index == 0;
            if found.standing.never() && !alone {
                report.consequences.push(violation.id.clone());
                continue;
            }
            if !found.standing.never() {
                runner.known_to_fail(&found.violation, &found.plan);
            }
            seen.push(found.violation.id.clone());
            let known = report.counterexamples.iter().any(|c| {
                c.violation.id == found.violation.id || c.also.contains(&found.violation.id)
            });
            if known {
                continue;
            }
            progress(Progress::Counterexample(&found));
            // Said with the one that it goes with: it is looked for all the same, so nothing hides behind that.
            let twin = report
                .counterexamples
                .iter_mut()
                .find(|c| c.is_like(&found));
            match twin.filter(|_| !found.standing.never()) {
                Some(twin) => twin.join(found),
                None => report.counterexamples.push(found),
            }
            if options.fail_fast {
                stop = true;
                report.stopped_by = Some("the first failure (--fail-fast)".into());
                running.abort_all();
            }
        }
    }
    report.requests = runner.client().sent() - sent_before;
    report.elapsed = began.elapsed();
    spreads.sort_unstable();
    report.spread = spreads.get(spreads.len() / 2).copied();
    Ok(report)
}
