//! One run of one plan against a live server: sends its steps, and the reads that are due, and has all of it judged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;

use crate::check::{Due, Expectation, Violation, Worlds, names_of};
use crate::drive::history::{Event, Exchange, History, Purpose, Request, Response};
use crate::drive::{Client, ClientError, Renderer, ServeError, Server};
use crate::generate::{Delivery, Effect, Fault, Plan, Step};
use crate::model::action::{Action, Outcome};
use crate::model::mirror::Mirror;
use crate::model::value::Handle;
use crate::model::{Idempotence, Model};

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
    /// What made unique values unique.
    pub mark: String,
    /// Steps that were not sent: they name what does not exist or is tainted, or what is known to fail.
    pub skipped: usize,
    /// The requests that it took.
    pub requests: u64,
    /// Why it ended before its last step, if it did.
    pub broken: Option<ClientError>,
    /// How many worlds had to be told apart, at most.
    pub worlds: usize,
    /// It ended because there were more than [`MOST_WORLDS`](crate::check::MOST_WORLDS).
    pub confused: bool,
}

impl PlanRun {
    /// Whether a step was sent.
    pub fn sent(&self, step: u32) -> bool {
        let purpose = Purpose::Step(step);
        self.history
            .events
            .iter()
            .any(|event| event.purpose == purpose)
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
    /// The server's process, where it is ours.
    server: Option<Arc<Mutex<Server>>>,
    shared: Arc<Shared>,
}

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
}

/// So long a server stands still.
const PAUSE: Duration = Duration::from_millis(300);

/// After so long the HTTP client has noticed that its connections are gone.
const SETTLED: Duration = Duration::from_millis(20);

/// What whoever asks for a crash is told.
pub const NO_PROCESS: &str = "crash, stop and pause need a server that gainsay starts itself\n  \
     say how in gainsay.toml (`serve`), and give --target";

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
            client,
            start,
            server: None,
            shared: Arc::new(Shared {
                salt,
                runs: AtomicU32::new(0),
                known: RwLock::new(BTreeSet::new()),
            }),
        }
    }

    /// The same for a server whose process is ours, so that it can be killed and started again.
    pub fn with_server(self, server: Arc<Mutex<Server>>) -> Runner {
        Runner {
            server: Some(server),
            ..self
        }
    }

    /// Whether a plan can be run: nothing happens in it to a process that is not ours.
    pub fn can_run(&self, plan: &Plan) -> bool {
        self.server.is_some() || !plan.all().any(|step| step.delivery.is_of_process())
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
        };
        let last = plan.all().last().map(|s| s.id);
        let mut skipped = 0;
        let mut broken = None;
        for step in plan.all() {
            match run.step(step, reads, steer.then_some(plan.seed)).await {
                Ok(true) if run.confused => break,
                Ok(true) => {}
                Ok(false) => skipped += 1,
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
        let Run {
            judge,
            history,
            requests,
            confused,
            ..
        } = run;
        let worlds = judge.most();
        let (violations, outcomes, mirror) = judge.finish();
        PlanRun {
            history,
            violations,
            outcomes,
            mirror,
            mark,
            skipped,
            requests,
            broken,
            worlds,
            confused,
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
    /// There are more worlds than can be told apart.
    confused: bool,
}

impl Run<'_> {
    /// Sends a step, and the reads that are due after it. False if the step could not be tried.
    async fn step(
        &mut self,
        step: &Step,
        reads: Reads,
        steer: Option<u64>,
    ) -> Result<bool, ClientError> {
        self.judge.unfold();
        if !self.judge.can_try(step) {
            return Ok(false);
        }
        let action = self.renderer.materialise(&step.action);
        let model = &self.runner.model;
        let offered = |mirror: &Mirror| model.picks_from_its_lists(mirror, &action);
        if !self.judge.mirrors().all(offered) {
            return Ok(false);
        }
        let expected = self.judge.expect(action);
        if steer.is_some_and(|seed| self.runner.steers_away(seed, step, &expected)) {
            return Ok(false);
        }
        // What the server never gave cannot be sent; why it was not given has been reported already.
        let Some(request) = self.request(step, &expected.action) else {
            return Ok(false);
        };
        let (exchange, response) = self.deliver(&request, step.delivery).await?;
        self.requests += 1 + u64::from(exchange.deferred);
        let event = self.history.events.len();
        let took = exchange.took;
        self.history.events.push(Event {
            purpose: Purpose::Step(step.id),
            exchange,
        });
        let action = &expected.action;
        match (step.delivery, response) {
            (Delivery::Malformed(_), Some(response)) => {
                self.judge.observe_malformed(step, &response, event);
                if step.delivery.effect() == Effect::Perhaps && response.status < 400 {
                    self.judge.perhaps(step, action, Instant::now());
                }
            }
            (_, Some(response)) => {
                (self.judge).observe(step, &expected, &response, event, took);
            }
            (Delivery::Abandoned(_) | Delivery::Late, None) => {
                let until = self.runner.client.fence();
                self.judge.perhaps(step, action, until);
            }
            (Delivery::Crashed, None) => {
                self.judge.perhaps(step, action, Instant::now());
                self.judge.fence();
            }
            (_, None) => self.judge.never(step, action),
        }
        if self.judge.are_too_many() {
            self.confused = true;
            return Ok(true);
        }
        let due = match reads {
            Reads::None => return Ok(true),
            // Whatever was acknowledged must be there again.
            Reads::All if restarts(step.delivery) => self.judge.due(None),
            Reads::All => self.judge.due(Some(&expected)),
            Reads::Each(..) => self.judge.due(None),
        };
        self.read(due, reads, step.id, false).await?;
        self.overdue(reads, step.id).await?;
        Ok(true)
    }

    /// Delivers a request, with what happens to the server's process before it, meanwhile or at once.
    async fn deliver(
        &mut self,
        request: &Request,
        delivery: Delivery,
    ) -> Result<(Exchange, Option<Arc<Response>>), ClientError> {
        let (runner, began) = (self.runner, self.began);
        let send = || runner.client.deliver(request, delivery, began);
        if !delivery.is_of_process() {
            return send().await;
        }
        let Some(server) = &runner.server else {
            return Err(ClientError::Process {
                reason: NO_PROCESS.into(),
            });
        };
        let mut server = server.lock().await;
        let failed = |error: ServeError| ClientError::Process {
            reason: error.to_string(),
        };
        if !restarts(delivery) {
            server.pause();
            let (delivered, ()) = tokio::join!(send(), async {
                tokio::time::sleep(PAUSE).await;
                server.resume();
            });
            return delivered;
        }
        let sent = match delivery {
            Delivery::Crashed => Some(send().await?),
            _ => None,
        };
        let ended = match delivery {
            Delivery::AfterStop => server.stop().await,
            _ => server.kill().await,
        };
        ended.map_err(failed)?;
        if sent.is_none() {
            self.judge.fence();
        }
        server.restart().await.map_err(failed)?;
        tokio::time::sleep(SETTLED).await;
        match sent {
            Some(sent) => Ok(sent),
            None => send().await,
        }
    }

    /// The request of a step; nothing where it cannot be made, or would be another one in another world. What is sent
    /// again must be what the action says now: what it said before may mean something else by now.
    fn request(&self, step: &Step, action: &Action) -> Option<Request> {
        let rendered = |mirror| self.renderer.request(mirror, action).ok();
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
        if let Some(Idempotence::Key(header)) =
            &self.runner.model.rules[step.action.rule].idempotent
        {
            let first = step.delivery.again().unwrap_or(step.id);
            let key = format!("{}-{first}", self.mark);
            request.headers.push((header.clone(), key));
        }
        request
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
            let mut rendered = (self.judge.mirrors())
                .map(|mirror| self.renderer.read(mirror, read, entity).ok().flatten());
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
            let (exchange, response) = self.runner.client.send(&request, self.began).await?;
            self.requests += 1 + u64::from(exchange.deferred);
            let event = self.history.events.len();
            self.history.events.push(Event {
                purpose: Purpose::Read {
                    after,
                    at_end,
                    entity: group.first().and_then(|d| d.entity),
                    invariants: group.iter().map(|d| d.invariant).collect(),
                },
                exchange,
            });
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
