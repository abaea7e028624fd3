//! One run of one plan against a live server: sends its steps, and the reads that are due, and has all of it judged.

mod keep;
mod probe;
mod revoke;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Mutex, oneshot};

use crate::check::{Aftermath, Due, Expectation, Ran, Violation, Worlds, names_of};
use crate::drive::history::{Event, Exchange, History, Purpose, Request, Response};
use crate::drive::{
    Client, ClientError, Disturbance, Injector, InjectorError, Jars, Race, Raced, Renderer,
};
use crate::generate::{
    Damage, Delivery, Effect, Fault, Generator, LinkName, Plan, Step, rehearse_step, taken,
};
use crate::model::action::{Action, Outcome};
use crate::model::mirror::Mirror;
use crate::model::value::Handle;
use crate::model::{Model, Reuse, Statuses};
use crate::tidy::{Tidied, Tidy};

/// Which reads a run makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// All that are due.
    All,
    /// None at all.
    None,
    /// After every step, those of one invariant, about one entity if one is given.
    Each(usize, Option<Handle>),
}

/// What came of one run of a plan.
#[derive(Clone, Debug)]
pub struct PlanRun {
    /// What was sent and what came back.
    pub history: History,
    /// What was wrong.
    pub violations: Vec<Violation>,
    /// The outcome of each step that was sent: the step, its rule, and which outcome it was, if it was one.
    pub outcomes: Vec<(u32, usize, Option<Outcome>)>,
    /// The mirror at the end.
    pub mirror: Mirror,
    /// What principals kept of the answers to them.
    pub jars: Jars,
    /// What made unique values unique.
    pub mark: String,
    /// When it began, in seconds since 1970: what times in arguments count from.
    pub now: i64,
    /// Steps that were not sent: they name what does not exist or is tainted, or what is known to fail.
    pub skipped: usize,
    /// The requests that it took.
    pub requests: u64,
    /// Why it ended before its last step, if it did.
    pub broken: Option<ClientError>,
    /// How many worlds had to be told apart, at most.
    pub worlds: usize,
    /// What the server wrote meanwhile, if something was wrong and its log is known.
    pub log: Vec<String>,
    /// The steps with a fault that nothing met: no connection went through the link that was to break.
    pub unmet: BTreeSet<u32>,
    /// It ended because there were more than [`MOST_WORLDS`](crate::check::MOST_WORLDS).
    pub confused: bool,
    /// For each race, from the first byte that was sent of its first branch to the first byte of its last one.
    pub spreads: Vec<Duration>,
    /// What its clean-up came to, if there was one.
    pub tidied: Option<Tidied>,
}

impl PlanRun {
    /// Whether a step was sent.
    pub fn sent(&self, step: u32) -> bool {
        self.history.of_step(step).is_some()
    }

    /// The plan as it was run, for one of its violations: without the steps that were not sent, and those at which
    /// something else failed.
    pub fn ran(&self, plan: &Plan, violation: &Violation) -> Plan {
        let elsewhere = |step: u32| {
            step != violation.step && self.violations.iter().any(|v| v.step == step && !v.at_end)
        };
        let kept = |steps: &[Step]| -> Vec<Step> {
            let kept = steps.iter().filter(|s| self.sent(s.id) && !elsewhere(s.id));
            kept.cloned().collect()
        };
        Plan {
            seed: plan.seed,
            setup: kept(&plan.setup),
            steps: kept(&plan.steps),
        }
    }
}

/// Runs plans against one target. Cheap to clone; clones share the connection pool and the budgets.
#[derive(Clone, Debug)]
pub struct Runner {
    model: Arc<Model>,
    client: Client,
    start: Mirror,
    /// What principals have that were there before, such as the cookies of accounts.
    jars: Jars,
    /// What can be done to the server's process, if anything can.
    process: Option<Source>,
    /// The links that can be broken, by name, and the faults of a program's own.
    sources: BTreeMap<LinkName, Source>,
    /// What knows how to delete what a plan created, where that is to be done.
    cleaner: Option<Generator>,
    shared: Arc<Shared>,
}

/// A source of faults.
pub type Source = Arc<Mutex<dyn Injector>>;

/// A rule, what was predicted of it, and the fault that it was delivered with. What fails with a fault does not keep others
/// from being tried without.
type Known = (usize, String, Option<Fault>);

#[derive(Debug)]
struct Shared {
    /// Drawn once, so that nothing that another process made unique collides with what this one makes.
    salt: String,
    runs: AtomicU32,
    /// Checks that failed already: later plans seldom try these again, so that what lies deeper is reached.
    known: RwLock<BTreeSet<Known>>,
    /// Somebody wants it to end: plans are not gone on with.
    stopping: AtomicBool,
}

/// So long a server stands still.
const PAUSE: Duration = Duration::from_millis(300);

/// After so long the HTTP client has noticed that its connections are gone.
const SETTLED: Duration = Duration::from_millis(20);

/// So long a fault lasts at most that has to be ended.
const LEASE: Duration = Duration::from_secs(2);

/// Between two questions whether it has.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What whoever asks for a crash is told.
pub const NO_PROCESS: &str = "crash, stop and pause need a server that gainsay starts itself, or commands that do it\n  \
     say how in gainsay.toml (`serve`, or `hooks`), and give --target";

/// What whoever asks for broken links is told.
pub const NO_LINKS: &str = "there is no link to break\n  \
     give the target one in gainsay.toml (`[target.NAME.links.database]`), let the server connect through it, and give --target";

/// What whoever asks for a fault of a program is told.
pub const NO_INJECTOR: &str = "there is no program that makes this fault\n  \
     give the target one in gainsay.toml (`injector`), and give --target";

/// Whether the server is started again for a delivery.
fn restarts(delivery: Delivery) -> bool {
    delivery.is_of_process() && delivery != Delivery::Paused
}

/// Of what is known to fail, one in so many is tried all the same.
const SELDOM: u64 = 8;

impl Runner {
    /// A runner of plans that start from a mirror, such as one with accounts in it.
    pub fn new(model: Arc<Model>, client: Client, start: Mirror) -> Runner {
        let salt = base36(u64::from(rand::random::<u32>() % (36 * 36 * 36 * 36)));
        Runner {
            model,
            jars: Jars::new(client.base().clone()),
            client,
            start,
            process: None,
            sources: BTreeMap::new(),
            cleaner: None,
            shared: Arc::new(Shared {
                salt,
                runs: AtomicU32::new(0),
                known: RwLock::new(BTreeSet::new()),
                stopping: AtomicBool::new(false),
            }),
        }
    }

    /// The same for a server to whose process things can be done.
    pub fn with_process(self, process: Source) -> Runner {
        Runner {
            process: Some(process),
            ..self
        }
    }

    /// The same with what principals have that were there before.
    pub fn with_jars(self, jars: Jars) -> Runner {
        Runner { jars, ..self }
    }

    /// The same with links that can be broken, and faults of a program's own, by name.
    pub fn with_sources(self, sources: BTreeMap<LinkName, Source>) -> Runner {
        Runner { sources, ..self }
    }

    /// The same with a clean-up at the end of every run.
    pub fn with_cleanup(self, cleaner: Generator) -> Runner {
        Runner {
            cleaner: Some(cleaner),
            ..self
        }
    }

    /// Ends all runs at their next step. What they created is cleaned up all the same.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether somebody wanted it to end.
    pub fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Relaxed)
    }

    /// Whether a plan can be run: nothing happens in it to a process or a link that is out of reach, nor what only an absent
    /// program knows.
    pub fn can_run(&self, plan: &Plan) -> bool {
        plan.all().all(|step| {
            let source = step.delivery.source();
            (self.process.is_some() || !step.delivery.is_of_process())
                && source.is_none_or(|name| self.sources.contains_key(&name))
        })
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The mirror that plans start from.
    pub fn start(&self) -> &Mirror {
        &self.start
    }

    /// Notes that a check fails, so that later runs steer away from it.
    pub fn known_to_fail(&self, violation: &Violation, plan: &Plan) {
        let step = plan.all().find(|s| s.id == violation.step);
        if let (Some(step), Ok(mut known)) = (step, self.shared.known.write()) {
            let fault = Fault::of(step.delivery);
            known.insert((step.action.rule, violation.predicted.clone(), fault));
        }
    }

    /// Runs a plan. `steer` leaves out most of what is known to fail.
    pub async fn run(&self, plan: &Plan, reads: Reads, steer: bool) -> PlanRun {
        let count = self.shared.runs.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}{}", self.shared.salt, base36(u64::from(count)));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0));
        let mut run = Run {
            runner: self,
            renderer: Renderer::new(self.model.clone(), mark.clone(), now),
            mark: mark.clone(),
            judge: Worlds::new(self.model.clone(), self.start.clone()),
            history: History::default(),
            began: Instant::now(),
            requests: 0,
            confused: false,
            plan,
            retries: retries(plan),
            keys: BTreeMap::new(),
            jars: self.jars.clone(),
            sent_with: BTreeMap::new(),
            revoked: BTreeMap::new(),
            waited: false,
            recovering: None,
            unmet: BTreeSet::new(),
            spreads: Vec::new(),
        };
        let written = match &self.process {
            Some(process) => process.lock().await.written(),
            None => 0,
        };
        let last = plan.all().last().map(|s| s.id);
        let mut skipped = 0;
        let mut broken = None;
        for steps in taken(&plan.setup).chain(taken(&plan.steps)) {
            if self.is_stopping() {
                broken = Some(ClientError::Interrupted);
                break;
            }
            let steer = steer.then_some(plan.seed);
            let taken = match steps {
                [step] => {
                    let sent = run.step(step, reads, steer).await;
                    sent.map(|sent| usize::from(!sent))
                }
                race => run.race(race, reads, steer).await,
            };
            match taken {
                Ok(left_out) => {
                    skipped += left_out;
                    if run.confused {
                        break;
                    }
                }
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        if broken.is_none()
            && !run.confused
            && let Err(error) = run.end(reads, last.unwrap_or(0)).await
        {
            broken = Some(error);
        }
        let mut tidied = None;
        if let Some(generator) = &self.cleaner
            && let Some(mirror) = run.judge.mirrors().next().cloned()
        {
            let tidy = Tidy {
                generator,
                client: &self.client,
                renderer: &run.renderer,
                model: &self.model,
                start: &self.start,
            };
            let done = tidy.up(mirror, &mut run.jars).await;
            run.requests += done.requests;
            tidied = Some(done);
        }
        let Run {
            judge,
            history,
            requests,
            confused,
            unmet,
            spreads,
            jars,
            ..
        } = run;
        let worlds = judge.most();
        let (violations, outcomes, mirror) = judge.finish();
        let log = match &self.process {
            Some(process) if !violations.is_empty() => process.lock().await.wrote_since(written),
            _ => Vec::new(),
        };
        PlanRun {
            history,
            violations,
            outcomes,
            mirror,
            jars,
            mark,
            now,
            skipped,
            requests,
            broken,
            worlds,
            log,
            unmet,
            confused,
            spreads,
            tidied,
        }
    }

    fn steers_away(&self, seed: u64, step: &Step, expected: &Expectation) -> bool {
        let Ok(known) = self.shared.known.read() else {
            return false;
        };
        if known.is_empty() {
            return false;
        }
        let rule = &self.model.rules[step.action.rule];
        let predicted = names_of(rule, &expected.prediction.outcomes);
        let lot = seed
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(u64::from(step.id))
            % SELDOM;
        let fault = Fault::of(step.delivery);
        lot != 0 && known.contains(&(step.action.rule, predicted, fault))
    }
}

/// The steps of a plan that are tried again with their keys, and the steps that do it.
fn retries(plan: &Plan) -> BTreeMap<u32, u32> {
    let retried = plan.all().filter_map(|step| match step.delivery {
        Delivery::Retried { of } => Some((of, step.id)),
        _ => None,
    });
    retried.collect()
}

/// What came of a request.
struct Delivered {
    exchange: Exchange,
    response: Option<Arc<Response>>,
    /// A link was broken meanwhile, and something went through it.
    shaken: bool,
}

/// A run under way.
struct Run<'a> {
    runner: &'a Runner,
    renderer: Renderer,
    /// What makes unique values unique.
    mark: String,
    judge: Worlds,
    history: History,
    began: Instant,
    requests: u64,
    unmet: BTreeSet<u32>,
    /// There are more worlds than can be told apart.
    confused: bool,
    plan: &'a Plan,
    /// The steps that are tried again with their keys, and the steps that do it.
    retries: BTreeMap<u32, u32>,
    /// What principals have kept of the answers to them.
    jars: Jars,
    /// When credentials were revoked.
    revoked: BTreeMap<Handle, Instant>,
    /// A step has waited until revoked credentials may not be taken any more.
    waited: bool,
    /// The jars of then for the steps that are sent again.
    sent_with: BTreeMap<u32, Jars>,
    /// The steps whose idempotency keys steps have that have none of their own.
    keys: BTreeMap<u32, u32>,
    /// Until when the server may still fail, since something was done to it.
    recovering: Option<Instant>,
    /// How far apart the branches of each race began.
    spreads: Vec<Duration>,
}

impl<'a> Run<'a> {
    /// Sends a step, and the reads that are due after it. False if the step could not be tried.
    async fn step(
        &mut self,
        step: &Step,
        reads: Reads,
        steer: Option<u64>,
    ) -> Result<bool, ClientError> {
        self.judge.unfold();
        let Some((step, action)) = self.tryable(step) else {
            return Ok(false);
        };
        let step = step.as_ref();
        let expected = self.judge.expect(action);
        if steer.is_some_and(|seed| self.runner.steers_away(seed, step, &expected)) {
            return Ok(false);
        }
        // What the server never gave cannot be sent; why it was not given has been reported already.
        let Some(request) = self.request(step, &expected.action) else {
            return Ok(false);
        };
        let reuse = self.reuse(step);
        if let Delivery::KeyOf { of, .. } = step.delivery
            && (reuse.is_none() || !self.judge.was_answered(of))
        {
            return Ok(false);
        }
        let Ok(lingers) = self.lingering(step, &expected.action).await else {
            return Ok(false);
        };
        self.remember(step);
        let shown = self.shown();
        let sent = Instant::now();
        let Delivered {
            exchange,
            response,
            shaken,
        } = match self.deliver(&request, step.delivery).await {
            Ok(delivered) => delivered,
            Err(error) => {
                let reason = error.silence().ok_or(error)?;
                let exchange = self.runner.client.unanswered(&request, self.began, sent);
                self.silent(step, &expected.action, exchange, &reason);
                let due = match reads {
                    Reads::None => return Ok(true),
                    _ => self.judge.due(Some(&[&expected.action])),
                };
                self.read(due, reads, step.id, false).await?;
                return Ok(true);
            }
        };
        if step.delivery.source().is_some() && !shaken {
            self.unmet.insert(step.id);
        }
        self.requests += 1 + u64::from(exchange.deferred);
        let event = self.history.events.len();
        let took = exchange.took;
        self.history.events.push(Event {
            purpose: Purpose::Step(step.id),
            exchange,
        });
        let answer = response.clone();
        let model = &self.runner.model;
        let action = &expected.action;
        // A failure that what gainsay did may have caused tells nothing.
        let failed = response
            .as_ref()
            .map(|response| Statuses::failed(response.status));
        let excused = failed == Some(true) && shaken || self.is_recovering(failed);
        let again = self.retries.get(&step.id).copied();
        let answered = response.filter(|_| !excused);
        match (step.delivery, answered.clone()) {
            (_, None) if excused => {
                let until = self.runner.client.fence();
                self.judge.perhaps(step, action, until, again);
            }
            (Delivery::Malformed(_), Some(response)) => {
                self.judge.observe_malformed(step, &response, event);
                if step.delivery.effect() == Effect::Perhaps && response.status < 400 {
                    self.judge.perhaps(step, action, Instant::now(), None);
                }
            }
            (Delivery::KeyOf { refused: true, .. }, Some(response)) => {
                if let Some(Reuse::Refused(statuses)) = reuse {
                    (self.judge).observe_borrowed(step, &expected, statuses, &response, event);
                }
            }
            (_, Some(response)) => {
                let refused = model.statuses(action.rule, Outcome::Unauthenticated);
                match lingers.filter(|_| !refused.allow(response.status)) {
                    Some(handle) => {
                        (self.judge).observe_as(handle, step, &expected, &response, (event, took));
                    }
                    None => {
                        (self.judge).observe(step, again, &expected, &response, (event, took));
                    }
                }
            }
            (
                Delivery::Abandoned { .. }
                | Delivery::Late
                | Delivery::Link { .. }
                | Delivery::Own(_)
                | Delivery::Malformed(Damage::Length),
                None,
            ) => {
                let until = self.runner.client.fence();
                self.judge.perhaps(step, action, until, again);
            }
            (Delivery::Crashed { .. }, None) => {
                self.judge.perhaps(step, action, Instant::now(), again);
                self.judge.fence();
            }
            (_, None) => self.judge.never(step, action),
        }
        if let Some(answer) = answer {
            self.keep(step, action, &answer, event);
        }
        self.revoke(shown);
        if self.judge.are_too_many() {
            self.confused = true;
            return Ok(true);
        }
        if let (Delivery::Once, Some(response)) = (step.delivery, answered) {
            self.probe(step, action, &response, event).await?;
        }
        let due = match reads {
            Reads::None => return Ok(true),
            // Whatever was acknowledged must be there again.
            Reads::All if restarts(step.delivery) || shaken => self.judge.due(None),
            Reads::All => self.judge.due(Some(&[&expected.action])),
            Reads::Each(..) => self.judge.due(None),
        };
        let shaking = restarts(step.delivery) || shaken;
        self.judge.aftermath(
            Fault::of(step.delivery)
                .filter(|_| shaking)
                .map(Aftermath::Fault),
        );
        self.read(due, reads, step.id, false).await?;
        self.judge.aftermath(None);
        self.overdue(reads, step.id).await?;
        Ok(true)
    }

    /// Sends the steps of a race at the same instant, and the reads that are due after it. How many could not be tried.
    async fn race(
        &mut self,
        steps: &[Step],
        reads: Reads,
        steer: Option<u64>,
    ) -> Result<usize, ClientError> {
        self.judge.unfold();
        let mut entries: Vec<(Cow<Step>, Action, Request)> = Vec::new();
        let runner = self.runner;
        let model = &runner.model;
        for planned in steps {
            let earlier = self.plan.all().filter(|step| {
                let mut others = entries.iter();
                others.any(|(other, ..)| other.id == step.id)
                    || self.history.of_step(step.id).is_some()
            });
            if !planned.follows(earlier) {
                continue;
            }
            let Some((step, action)) = self.tryable(planned) else {
                continue;
            };
            if self.may_linger(&action).is_some() {
                continue;
            }
            if let Some(seed) = steer {
                let expected = self.judge.expect(action.clone());
                if runner.steers_away(seed, &step, &expected) {
                    continue;
                }
            }
            let request = match step.delivery.again() {
                // What is sent again at once is the same to the byte.
                Some(of) => {
                    let mut sent = entries.iter();
                    let sent = sent.find(|(other, ..)| other.id == of);
                    let sent = sent.map(|(.., request)| request.clone());
                    self.keys.insert(step.id, self.root(of));
                    sent.or_else(|| self.request(&step, &action))
                }
                None => self.request(&step, &action),
            };
            let Some(request) = request else { continue };
            entries.push((step, action, request));
        }
        // What asks something else once another one has taken effect cannot run against it.
        let stands = |(step, action, request): &(Cow<Step>, Action, Request)| {
            let mut others = entries.iter().filter(|(other, ..)| other.id != step.id);
            others.all(|(other, ..)| {
                let mut mirrors = self.judge.mirrors();
                mirrors.all(|mirror| {
                    let mut after = mirror.clone();
                    rehearse_step(model, &mut after, other);
                    let jars = self.jars_of(step);
                    let again = self.renderer.request(&after, jars, action).ok();
                    again.map(|again| self.with_key(again, step)).as_ref() == Some(request)
                })
            })
        };
        let standing: Vec<bool> = entries.iter().map(stands).collect();
        let mut standing = standing.into_iter();
        entries.retain(|_| standing.next() == Some(true));
        let mut skipped = steps.len() - entries.len();
        let mut branches: Vec<(u8, Vec<usize>)> = Vec::new();
        for (index, (step, ..)) in entries.iter().enumerate() {
            let branch = step.lane.map_or(0, |lane| lane.branch);
            match branches.iter_mut().find(|(known, _)| *known == branch) {
                Some((_, members)) => members.push(index),
                None => branches.push((branch, vec![index])),
            }
        }
        if branches.len() < 2 {
            for (step, ..) in entries {
                if self.confused {
                    break;
                }
                skipped += usize::from(!self.step(&step, reads, None).await?);
            }
            return Ok(skipped);
        }
        let requests: Vec<(Delivery, Vec<Request>)> = (branches.iter())
            .map(|(_, members)| {
                let first = members.first().map(|m| entries[*m].0.delivery);
                let requests = members.iter().map(|m| entries[*m].2.clone());
                (first.unwrap_or_default(), requests.collect())
            })
            .collect();
        let behind = |step: &Step| matches!(step.delivery, Delivery::Behind { .. });
        let joined = entries.iter().any(|(step, ..)| behind(step));
        let crash = entries.iter().find_map(|(step, ..)| match step.delivery {
            Delivery::Crashed { after } => Some(after),
            _ => None,
        });
        for (step, ..) in &entries {
            self.remember(step);
        }
        let shown = self.shown();
        let race = self.at_once(&requests, crash).await?;
        let until = match crash {
            Some(_) => Instant::now(),
            None => self.runner.client.fence(),
        };
        self.spreads.extend((!joined).then_some(race.spread));
        let mut raced: Vec<(usize, Raced)> = Vec::new();
        for ((_, members), sent) in branches.iter().zip(race.branches) {
            raced.extend(members.iter().copied().zip(sent));
        }
        raced.sort_by_key(|(index, _)| *index);
        let lost = |step: &Step| {
            behind(step) || matches!(step.delivery, Delivery::Abandoned { .. } | Delivery::Late)
        };
        let mut ran = Vec::new();
        let mut failed = Vec::new();
        for (index, raced) in raced {
            let (step, action, _) = &entries[index];
            let Raced { exchange, error } = raced;
            self.requests += 1 + u64::from(exchange.deferred);
            let event = self.history.events.len();
            let rule = &model.rules[action.rule];
            let foreseen = |response: &Response| {
                let mut outcomes = rule.outcomes(model).into_iter();
                outcomes.any(|o| model.statuses(action.rule, o).allow(response.status))
            };
            let response = exchange.response.clone();
            let response = response.filter(|r| !Statuses::failed(r.status) || foreseen(r));
            match (&exchange.response, error) {
                // What was never sent did nothing.
                (
                    _,
                    Some(ClientError::Transport {
                        unreachable: true, ..
                    }),
                ) if crash.is_some() => {
                    continue;
                }
                // A server may end the connection with any answer, and one that is killed says nothing.
                (_, Some(_)) if lost(step) || crash.is_some() => {}
                (Some(_), None) if response.is_none() && crash.is_some() => {}
                (_, Some(error)) => failed.push((action.rule, Err(error), event)),
                (Some(answer), None) if response.is_none() => {
                    failed.push((action.rule, Ok(answer.status), event));
                }
                _ => {}
            }
            ran.push(Ran {
                step,
                action: action.clone(),
                response,
                event,
                began: exchange.started,
                ended: exchange.started + exchange.took,
                until,
            });
            self.history.events.push(Event {
                purpose: Purpose::Step(step.id),
                exchange,
            });
        }
        skipped += entries.len() - ran.len();
        let explained = self.judge.observe_race(&ran);
        if crash.is_some() {
            self.judge.fence();
        }
        for (rule, what, event) in failed {
            let definition = &model.rules[rule];
            let place = definition.span.start;
            match what {
                Ok(status) => self.judge.failed_in_a_race(rule, status, event),
                Err(error) => {
                    let reason = error.silence().ok_or(error)?;
                    (self.judge).silent(&definition.name, place, &reason, event);
                }
            }
        }
        if !explained || self.judge.are_too_many() {
            self.confused = true;
            return Ok(skipped);
        }
        // Whatever came last is what a client has in the end.
        let mut answered: Vec<&Ran<'_>> = ran.iter().collect();
        answered.sort_by_key(|ran| ran.ended);
        for ran in answered {
            let exchange = self.history.events.get(ran.event);
            if let Some(response) = exchange.and_then(|e| e.exchange.response.clone()) {
                self.keep(ran.step, &ran.action, &response, ran.event);
            }
        }
        self.revoke(shown);
        let last = ran.last().map_or(0, |ran| ran.step.id);
        let actions: Vec<&Action> = ran.iter().map(|ran| &ran.action).collect();
        let due = match reads {
            Reads::None => return Ok(skipped),
            // Whatever was acknowledged must be there again.
            Reads::All if crash.is_some() => self.judge.due(None),
            Reads::All => self.judge.due(Some(&actions)),
            Reads::Each(..) => self.judge.due(None),
        };
        self.judge.aftermath(Some(match crash {
            Some(_) => Aftermath::Fault(Fault::Crash),
            None => Aftermath::Race,
        }));
        self.read(due, reads, last, false).await?;
        self.judge.aftermath(None);
        self.judge.forget_order();
        self.overdue(reads, last).await?;
        Ok(skipped)
    }

    /// Sends requests at the same instant. Where the server is to crash meanwhile, it does so many milliseconds after all are
    /// on their way, and is started again.
    async fn at_once(
        &mut self,
        requests: &[(Delivery, Vec<Request>)],
        crash: Option<u8>,
    ) -> Result<Race, ClientError> {
        let (runner, began) = (self.runner, self.began);
        let Some(after) = crash else {
            return runner.client.race(requests, None, began).await;
        };
        let failed = |reason: String| ClientError::Process { reason };
        let Some(process) = &runner.process else {
            return Err(failed(NO_PROCESS.into()));
        };
        let mut process = process.lock().await;
        let (released, on_their_way) = oneshot::channel();
        let crashed = async {
            if on_their_way.await.is_ok() {
                tokio::time::sleep(Duration::from_millis(u64::from(after))).await;
            }
            process.inject(Disturbance::Crash, LEASE).await
        };
        let (race, crashed) =
            tokio::join!(runner.client.race(requests, Some(released), began), crashed);
        crashed.map_err(|e| failed(e.0))?;
        self.start_again(&mut *process).await?;
        race
    }

    /// Starts a server again that ended, and gives it the time to recover.
    async fn start_again(&mut self, process: &mut dyn Injector) -> Result<(), ClientError> {
        let healed = process.heal().await;
        healed.map_err(|InjectorError(reason)| ClientError::Process { reason })?;
        tokio::time::sleep(SETTLED).await;
        self.recovering = Some(Instant::now() + self.runner.model.recovery);
        Ok(())
    }

    /// A step and what it asks for, if it can be tried now, whatever the world: all that it names is there, or something in
    /// its stead, and is offered to it.
    fn tryable<'s>(&self, step: &'s Step) -> Option<(Cow<'s, Step>, Action)> {
        let mut step = Cow::Borrowed(step);
        if let Some(there) = self.standing_in(&step) {
            step = Cow::Owned(there);
        }
        if !self.judge.can_try(&step) {
            return None;
        }
        let action = self.renderer.materialise(&step.action);
        let model = &self.runner.model;
        let mut mirrors = self.judge.mirrors();
        let offered = mirrors.all(|mirror| model.picks_from_its_lists(mirror, &action));
        offered.then_some((step, action))
    }

    /// The step about what came about in the stead of what it names, where that is something else, and the same in all
    /// worlds.
    fn standing_in(&self, step: &Step) -> Option<Step> {
        let there = |handle| {
            let mut mirrors = self.judge.mirrors();
            let first = self.plan.stand_in(mirrors.next()?, handle)?;
            let same = mirrors.all(|m| self.plan.stand_in(m, handle) == Some(first));
            same.then_some(first)
        };
        let names = step.names();
        let lost = names.iter().any(|handle| there(*handle) != Some(*handle));
        lost.then(|| step.renamed(|handle| there(handle).unwrap_or(handle)))
    }

    /// Notes that the server gave no answer to a step. Nobody knows whether it took effect.
    fn silent(&mut self, step: &Step, action: &Action, exchange: Exchange, reason: &str) {
        self.requests += 1;
        let event = self.history.events.len();
        self.history.events.push(Event {
            purpose: Purpose::Step(step.id),
            exchange,
        });
        let until = self.runner.client.fence();
        let again = self.retries.get(&step.id).copied();
        self.judge.perhaps(step, action, until, again);
        let rule = &self.runner.model.rules[action.rule];
        (self.judge).silent(&rule.name, rule.span.start, reason, event);
        self.confused |= self.judge.are_too_many();
    }

    /// Delivers a request, with what happens to the server or its links before it, meanwhile or at once.
    async fn deliver(
        &mut self,
        request: &Request,
        delivery: Delivery,
    ) -> Result<Delivered, ClientError> {
        let (runner, began) = (self.runner, self.began);
        let send = || runner.client.deliver(request, delivery, began);
        let delivered = |(exchange, response), shaken| Delivered {
            exchange,
            response,
            shaken,
        };
        if !delivery.is_of_all() {
            return Ok(delivered(send().await?, false));
        }
        let (source, missing, meanwhile) = match delivery {
            Delivery::Link { link, fault } => {
                let what = Disturbance::Link(fault);
                (runner.sources.get(&link), NO_LINKS, Some(what))
            }
            Delivery::Own(own) => {
                let what = Disturbance::Own(own.name);
                (runner.sources.get(&own.name), NO_INJECTOR, Some(what))
            }
            _ => (runner.process.as_ref(), NO_PROCESS, None),
        };
        let Some(source) = source else {
            return Err(ClientError::Process {
                reason: missing.into(),
            });
        };
        let mut source = source.lock().await;
        let failed = |error: InjectorError| ClientError::Process { reason: error.0 };
        if let Some(what) = meanwhile {
            let started = Instant::now();
            let broken = source.inject(what, LEASE).await;
            broken.map_err(failed)?;
            let sent = send().await;
            let fired = source.heal().await.map_err(failed)?;
            self.recovering = fired.then(|| Instant::now() + runner.model.recovery);
            return match sent {
                // A server that hangs up on a client because its database hung up on it: an answer all the same.
                Err(
                    ClientError::Transport {
                        unreachable: false, ..
                    }
                    | ClientError::Timeout { .. },
                ) if fired => {
                    let exchange = runner.client.unanswered(request, began, started);
                    Ok(delivered((exchange, None), true))
                }
                sent => Ok(delivered(sent?, fired)),
            };
        }
        if delivery == Delivery::Paused {
            let paused = source.inject(Disturbance::Pause, LEASE).await;
            paused.map_err(failed)?;
            let (sent, healed) = tokio::join!(send(), async {
                tokio::time::sleep(PAUSE).await;
                source.heal().await
            });
            healed.map_err(failed)?;
            return Ok(delivered(sent?, false));
        }
        let sent = match delivery {
            Delivery::Crashed { after } => {
                let sent = send().await?;
                tokio::time::sleep(Duration::from_millis(u64::from(after))).await;
                Some(sent)
            }
            _ => None,
        };
        let what = match delivery {
            Delivery::AfterStop => Disturbance::Stop,
            _ => Disturbance::Crash,
        };
        source.inject(what, LEASE).await.map_err(failed)?;
        if sent.is_none() {
            self.judge.fence();
        }
        self.start_again(&mut *source).await?;
        match sent {
            Some(sent) => Ok(delivered(sent, false)),
            None => Ok(delivered(send().await?, false)),
        }
    }

    /// Whether the server may fail still, because something was done to it. An answer that is no failure ends that.
    fn is_recovering(&mut self, failed: Option<bool>) -> bool {
        let (Some(failed), true) = (failed, self.runner.model.has_builtin("recovers")) else {
            return false;
        };
        let may = failed && (self.recovering).is_some_and(|until| Instant::now() < until);
        if !may {
            self.recovering = None;
        }
        may
    }

    /// The request of a step; nothing where it cannot be made, or would be another one in another world. What is sent
    /// again must be what the action says now: what it said before may mean something else by now.
    fn request(&mut self, step: &Step, action: &Action) -> Option<Request> {
        let first = step.delivery.key_of().map(|of| self.root(of));
        if let Some(of) = first {
            self.keys.insert(step.id, of);
        }
        let jars = self.jars_of(step);
        let rendered = |mirror| self.renderer.request(mirror, jars, action).ok();
        let keyed = |mirror| rendered(mirror).map(|request| self.with_key(request, step));
        let mut requests = self.judge.mirrors().map(keyed);
        let request = requests.next()??;
        let same = |other: Option<Request>| other.as_ref() == Some(&request);
        let before = (step.delivery.again()).map(|of| self.history.of_step(of));
        let meant = before.is_none_or(|sent| sent.is_some_and(|sent| sent.request == request));
        (meant && requests.all(same)).then_some(request)
    }

    /// The request with the key by which the server recognises it when it comes again, if its rule has one.
    fn with_key(&self, mut request: Request, step: &Step) -> Request {
        if let Some(key) = self.runner.model.rules[step.action.rule].key() {
            let value = format!("{}-{}", self.mark, self.root(step.id));
            request.headers.push((key.header.clone(), value));
        }
        request
    }

    /// The step whose idempotency key a step has.
    fn root(&self, step: u32) -> u32 {
        self.keys.get(&step).copied().unwrap_or(step)
    }

    /// What comes of the key that a step has of another one.
    fn reuse(&self, step: &Step) -> Option<&'a Reuse> {
        let Delivery::KeyOf { of, .. } = step.delivery else {
            return None;
        };
        let lender = self.plan.all().find(|earlier| earlier.id == of)?;
        let runner: &'a Runner = self.runner;
        let key = runner.model.rules[step.action.rule].key()?;
        key.reuse(&lender.action, &step.action)
    }

    /// Asks something, again and again while the server may still fail because something was done to it.
    async fn ask(&mut self, request: &Request) -> Result<(Exchange, Arc<Response>), ClientError> {
        let until = (self.recovering).filter(|_| self.runner.model.has_builtin("recovers"));
        loop {
            let asked = self.runner.client.send(request, self.began).await;
            let failed = match &asked {
                Ok((_, response)) => Statuses::failed(response.status),
                Err(ClientError::Transport { .. }) => true,
                Err(_) => false,
            };
            match until {
                Some(until) if failed && Instant::now() < until => {
                    self.requests += 1;
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                _ if failed => {
                    self.recovering = until;
                    return asked;
                }
                _ => return asked,
            }
        }
    }

    /// What is read when the plan is over: everything, and what is waited for until its time is up.
    async fn end(&mut self, reads: Reads, last: u32) -> Result<(), ClientError> {
        if reads == Reads::None {
            return Ok(());
        }
        let due = self.judge.due(None);
        self.read(due, reads, last, true).await?;
        self.judge.settle();
        // Bounded by the longest `within` of the model.
        while !self.judge.pending().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let due = self.judge.pending().iter().map(|p| p.due.clone()).collect();
            let waiting = self.judge.pending().len();
            let sent = self.requests;
            self.read(due, reads, last, true).await?;
            if self.requests == sent && self.judge.pending().len() == waiting {
                break;
            }
        }
        Ok(())
    }

    /// Reads what was waited for and whose time is up.
    async fn overdue(&mut self, reads: Reads, step: u32) -> Result<(), ClientError> {
        self.judge.settle();
        let now = Instant::now();
        let due: Vec<Due> = self
            .judge
            .pending()
            .iter()
            .filter(|p| p.deadline <= now)
            .map(|p| p.due.clone())
            .collect();
        self.read(due, reads, step, false).await
    }

    /// Sends reads, those that ask the same together, and has the answers judged.
    async fn read(
        &mut self,
        due: Vec<Due>,
        reads: Reads,
        after: u32,
        at_end: bool,
    ) -> Result<(), ClientError> {
        // What is under way may have made another world by now, in which another question would be asked.
        self.judge.unfold();
        let model = self.runner.model.clone();
        let mut groups: Vec<(Request, Option<Handle>, Vec<Due>)> = Vec::new();
        for due in due {
            if let Reads::Each(only, entity) = reads
                && (due.invariant != only || entity.is_some() && due.entity != entity)
            {
                continue;
            }
            let invariant = &model.invariants[due.invariant];
            let Some(read) = &invariant.read else {
                continue;
            };
            let entity = invariant
                .each
                .as_ref()
                .map(|(name, _)| name)
                .zip(due.entity);
            // What was never learned cannot be asked for, and nobody may be there to ask.
            let mut rendered = (self.judge.mirrors()).map(|mirror| {
                self.renderer
                    .read(mirror, &self.jars, read, entity)
                    .ok()
                    .flatten()
            });
            let Some(Some((request, asks))) = rendered.next() else {
                continue;
            };
            // Nor what would be asked for otherwise in another world.
            let same =
                |other: Option<(Request, _)>| other.as_ref() == Some(&(request.clone(), asks));
            if !rendered.all(same) {
                continue;
            }
            match groups
                .iter_mut()
                .find(|(r, a, _)| *r == request && *a == asks)
            {
                Some((_, _, group)) => group.push(due),
                None => groups.push((request, asks, vec![due])),
            }
        }
        for (request, asks, group) in groups {
            // The answer to the one before may have set something.
            let request = match group.first().filter(|_| asks.is_some()) {
                Some(due) => self.as_of_now(due).unwrap_or(request),
                None => request,
            };
            let purpose = Purpose::Read {
                after,
                at_end,
                entity: group.first().and_then(|d| d.entity),
                invariants: group.iter().map(|d| d.invariant).collect(),
            };
            let event = self.history.events.len();
            let sent = Instant::now();
            let (exchange, response) = match self.ask(&request).await {
                Ok(asked) => asked,
                Err(error) => {
                    let reason = error.silence().ok_or(error)?;
                    let exchange = self.runner.client.unanswered(&request, self.began, sent);
                    self.requests += 1;
                    self.history.events.push(Event { purpose, exchange });
                    if let Some(due) = group.first() {
                        let invariant = &model.invariants[due.invariant];
                        let place = invariant.span.start;
                        (self.judge).silent(&invariant.name, place, &reason, event);
                    }
                    continue;
                }
            };
            self.requests += 1 + u64::from(exchange.deferred);
            let asked = asks.map(|asks| (asks, response.clone()));
            let unrecovered = self.recovering.take().is_some() && Statuses::failed(response.status);
            self.history.events.push(Event { purpose, exchange });
            if let Some((asks, response)) = asked {
                self.keep_for(asks, None, &response, event);
            }
            if unrecovered && let Some(due) = group.first() {
                let invariant = &model.invariants[due.invariant];
                let place = invariant.span.start;
                (self.judge).unrecovered(&invariant.name, place, response.status, event);
                continue;
            }
            for due in &group {
                self.judge.observe_read(due, &response, event, asks, at_end);
            }
        }
        Ok(())
    }
}

fn base36(mut n: u64) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(DIGITS[usize::try_from(n % 36).unwrap_or(0)]));
        n /= 36;
        if n == 0 {
            break;
        }
    }
    digits.into_iter().rev().collect()
}
