//! The workshop's model for proptest-state-machine as it comes: its generation and its own shrinking, over blocking
//! reqwest. In: `--url --bug --seed --max-requests --seconds`. Out: one JSON line on how many requests it took.
//!
//! As its manual has it, the model proposes what the state has room for: a draft is submitted, a submitted proposal
//! validated. Refusals come of the actor (403), of repetition (409) and of a frozen workshop (423).
//!
//! Proposals and claims are named by a key that their creation carries, not by a position in a list: with positions,
//! dropping a transition changes what those after it mean, and three times as many results are not minimal.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use reqwest::Method;
use reqwest::blocking::Client;
use serde_json::{Value, json};

const MEMBERS: usize = 4;
const STEPS: usize = 50;

/// Requests so far, without those that opened a workshop.
static REQUESTS: AtomicU64 = AtomicU64::new(0);
/// Plans and replays so far.
static RUNS: AtomicU64 = AtomicU64::new(0);
/// What both stood at when the first plan failed; 0 before.
static FOUND_REQUESTS: AtomicU64 = AtomicU64::new(0);
static FOUND_RUNS: AtomicU64 = AtomicU64::new(0);

#[derive(Clone, Debug, Default)]
struct Mirror {
    frozen: bool,
    proposals: BTreeMap<u32, Proposal>,
    claims: BTreeMap<u32, i64>,
    /// The key of what is made next.
    next: u32,
    /// What the last transition must answer: its status, and for reads its body.
    status: u16,
    body: Option<Value>,
}

#[derive(Clone, Debug)]
struct Proposal {
    author: usize,
    title: String,
    budget: i64,
    status: &'static str,
    votes: BTreeMap<usize, bool>,
    comments: usize,
}

#[derive(Clone, Debug)]
struct Transition {
    actor: usize,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Create {
        key: u32,
        title: String,
        budget: i64,
    },
    Submit(u32),
    Revise(u32, String),
    Withdraw(u32),
    Validate(u32, bool),
    Comment(u32, String),
    ListProposals,
    ReadProposal(u32),
    Claim {
        key: u32,
        hours: i64,
    },
    Release(u32),
    ListClaims,
    ToggleFreeze,
}

fn by_any(rule: impl Strategy<Value = Rule> + 'static) -> BoxedStrategy<Transition> {
    (0..MEMBERS, rule)
        .prop_map(|(actor, rule)| Transition { actor, rule })
        .boxed()
}

impl ReferenceStateMachine for Mirror {
    type State = Self;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Transition> {
        let key = state.next;
        let mut rules = vec![
            by_any(
                ("[a-z]{1,60}", 1..=1000_i64).prop_map(move |(title, budget)| Rule::Create {
                    key,
                    title,
                    budget,
                }),
            ),
            by_any((1..=8_i64).prop_map(move |hours| Rule::Claim { key, hours })),
            by_any(Just(Rule::ListProposals)),
            by_any(Just(Rule::ListClaims)),
            by_any(Just(Rule::ToggleFreeze)),
        ];
        let with_status = |status: &str| {
            let found = state.proposals.iter().filter(|(_, p)| p.status == status);
            found.map(|(key, _)| *key).collect::<Vec<_>>()
        };
        let drafts = with_status("draft");
        if !drafts.is_empty() {
            let one = || select(drafts.clone());
            rules.extend([
                by_any(one().prop_map(Rule::Submit)),
                by_any((one(), "[a-z]{1,60}").prop_map(|(p, title)| Rule::Revise(p, title))),
                by_any(one().prop_map(Rule::Withdraw)),
            ]);
        }
        let submitted = with_status("submitted");
        if !submitted.is_empty() {
            let one = select(submitted);
            rules.push(by_any(
                (one, any::<bool>()).prop_map(|(p, yes)| Rule::Validate(p, yes)),
            ));
        }
        if !state.proposals.is_empty() {
            let one = || select(state.proposals.keys().copied().collect::<Vec<_>>());
            rules.extend([
                by_any((one(), "[a-z]{1,60}").prop_map(|(p, text)| Rule::Comment(p, text))),
                by_any(one().prop_map(Rule::ReadProposal)),
            ]);
        }
        if !state.claims.is_empty() {
            let live: Vec<u32> = state.claims.keys().copied().collect();
            rules.push(by_any(select(live).prop_map(Rule::Release)));
        }
        proptest::strategy::Union::new(rules).boxed()
    }

    fn preconditions(state: &Self, Transition { rule, .. }: &Transition) -> bool {
        let status = |p| state.proposals.get(p).map(|p| p.status);
        match rule {
            Rule::Submit(p) | Rule::Revise(p, _) | Rule::Withdraw(p) => status(p) == Some("draft"),
            Rule::Validate(p, _) => status(p) == Some("submitted"),
            Rule::Comment(p, _) | Rule::ReadProposal(p) => status(p).is_some(),
            Rule::Release(c) => state.claims.contains_key(c),
            _ => true,
        }
    }

    fn apply(mut state: Self, transition: &Transition) -> Self {
        state.body = None;
        state.status = state.step(transition);
        state
    }
}

impl Mirror {
    fn proposal(&mut self, key: &u32) -> &mut Proposal {
        self.proposals
            .get_mut(key)
            .expect("a precondition of every rule that names one")
    }

    /// Does what a transition does, and says with which status the server must answer.
    fn step(&mut self, Transition { actor, rule }: &Transition) -> u16 {
        match rule {
            Rule::Create { key, title, budget } => {
                self.next = key + 1;
                let proposal = Proposal {
                    author: *actor,
                    title: title.clone(),
                    budget: *budget,
                    status: "draft",
                    votes: BTreeMap::new(),
                    comments: 0,
                };
                self.proposals.insert(*key, proposal);
                201
            }
            Rule::Submit(p) | Rule::Revise(p, _) | Rule::Withdraw(p)
                if self.proposal(p).author != *actor =>
            {
                403
            }
            Rule::Submit(p) => {
                self.proposal(p).status = "submitted";
                200
            }
            Rule::Revise(p, title) => {
                self.proposal(p).title.clone_from(title);
                200
            }
            Rule::Withdraw(p) => {
                self.proposals.remove(p);
                204
            }
            Rule::Validate(p, approves) => {
                let frozen = self.frozen;
                let proposal = self.proposal(p);
                if proposal.author == *actor {
                    return 403;
                } else if proposal.votes.contains_key(actor) {
                    return 409;
                } else if frozen {
                    return 423;
                }
                proposal.votes.insert(*actor, *approves);
                let approvals = proposal.votes.values().filter(|yes| **yes).count();
                if approvals == 3 {
                    proposal.status = "approved";
                } else if proposal.votes.len() - approvals == 2 {
                    proposal.status = "rejected";
                }
                201
            }
            Rule::Comment(p, _) => {
                self.proposal(p).comments += 1;
                201
            }
            Rule::ListProposals => {
                self.body = Some(json!(self.proposals.len()));
                200
            }
            Rule::ReadProposal(p) => {
                let proposal = self.proposal(p);
                self.body = Some(json!({
                    "title": proposal.title,
                    "budget": proposal.budget,
                    "status": proposal.status,
                    "validations": proposal.votes.len(),
                    "comments": proposal.comments,
                }));
                200
            }
            Rule::Claim { key, hours } => {
                self.next = key + 1;
                if self.claims.len() >= 5 {
                    return 409;
                }
                self.claims.insert(*key, *hours);
                201
            }
            Rule::Release(c) => {
                self.claims.remove(c);
                204
            }
            Rule::ListClaims => {
                self.body = Some(self.claims.values().sum::<i64>().into());
                200
            }
            Rule::ToggleFreeze => {
                self.frozen = !self.frozen;
                self.body = Some(json!(self.frozen));
                200
            }
        }
    }
}

/// A workshop on the server, and what the server calls what the model knows by key.
struct Session {
    tokens: Vec<String>,
    ids: BTreeMap<u32, String>,
}

struct Harness {
    url: String,
    client: Client,
    max_requests: u64,
    engine: Value,
}

static HARNESS: std::sync::OnceLock<Harness> = std::sync::OnceLock::new();

fn harness() -> &'static Harness {
    HARNESS.get().expect("set first thing in main")
}

impl Session {
    fn open() -> Self {
        RUNS.fetch_add(1, SeqCst);
        let url = format!("{}/workshops", harness().url);
        let answer = harness()
            .client
            .post(url)
            .send()
            .expect("the workshop is up");
        let body: Value = answer.json().expect("a workshop");
        let members = body["members"].as_array().expect("members");
        let tokens = members
            .iter()
            .map(|m| m["token"].as_str().expect("a token"));
        Self {
            tokens: tokens.map(str::to_owned).collect(),
            ids: BTreeMap::new(),
        }
    }

    fn send(&self, actor: usize, method: Method, path: &str, body: Value) -> (u16, Value) {
        let sent = REQUESTS.fetch_add(1, SeqCst);
        if FOUND_RUNS.load(SeqCst) == 0 && sent >= harness().max_requests {
            finish("requests", None);
        }
        let mut request = harness()
            .client
            .request(method, format!("{}{path}", harness().url))
            .bearer_auth(&self.tokens[actor]);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().expect("the workshop is up");
        let status = answer.status().as_u16();
        (status, answer.json().unwrap_or(Value::Null))
    }
}

struct Stock;

impl StateMachineTest for Stock {
    type SystemUnderTest = Session;
    type Reference = Mirror;

    fn init_test(_: &Mirror) -> Session {
        Session::open()
    }

    fn apply(mut session: Session, mirror: &Mirror, transition: Transition) -> Session {
        let Transition { actor, rule } = transition;
        let id = |key: &u32| session.ids.get(key).map_or("none", String::as_str);
        let none = Value::Null;
        let (method, path, sent) = match &rule {
            Rule::Create { title, budget, .. } => (
                Method::POST,
                "/proposals".to_owned(),
                json!({ "title": title, "budget": budget }),
            ),
            Rule::Submit(p) => (Method::POST, format!("/proposals/{}/submit", id(p)), none),
            Rule::Revise(p, title) => (
                Method::PUT,
                format!("/proposals/{}", id(p)),
                json!({ "title": title }),
            ),
            Rule::Withdraw(p) => (Method::DELETE, format!("/proposals/{}", id(p)), none),
            Rule::Validate(p, approves) => (
                Method::POST,
                format!("/proposals/{}/validations", id(p)),
                json!({ "verdict": if *approves { "approve" } else { "reject" } }),
            ),
            Rule::Comment(p, text) => (
                Method::POST,
                format!("/proposals/{}/comments", id(p)),
                json!({ "text": text }),
            ),
            Rule::ListProposals => (Method::GET, "/proposals".to_owned(), none),
            Rule::ReadProposal(p) => (Method::GET, format!("/proposals/{}", id(p)), none),
            Rule::Claim { hours, .. } => (
                Method::POST,
                "/claims".to_owned(),
                json!({ "hours": hours }),
            ),
            Rule::Release(c) => (Method::DELETE, format!("/claims/{}", id(c)), none),
            Rule::ListClaims => (Method::GET, "/claims".to_owned(), none),
            Rule::ToggleFreeze => (Method::POST, "/freeze".to_owned(), none),
        };
        let (status, body) = session.send(actor, method, &path, sent);
        assert_eq!(status, mirror.status, "{rule:?}");
        match rule {
            Rule::Create { key, .. } | Rule::Claim { key, .. } => {
                if let Some(id) = body["id"].as_str() {
                    session.ids.insert(key, id.to_owned());
                }
            }
            _ => {}
        }
        let seen = match rule {
            Rule::ListProposals => json!(body["proposals"].as_array().map(Vec::len)),
            Rule::ListClaims => {
                let claims = body["claims"].as_array().into_iter().flatten();
                json!(claims.filter_map(|c| c["hours"].as_i64()).sum::<i64>())
            }
            Rule::ToggleFreeze => body["frozen"].clone(),
            Rule::ReadProposal(_) => {
                let keys = ["title", "budget", "status", "validations", "comments"];
                keys.iter()
                    .map(|k| (k.to_string(), body[k].clone()))
                    .collect()
            }
            _ => return session,
        };
        if let Some(expected) = &mirror.body {
            assert_eq!(&seen, expected, "{rule:?}");
        }
        session
    }
}

/// Prints the line and ends the process: a limit can be reached on any thread, deep inside the engine.
fn finish(stopped: &str, plan: Option<&[Transition]>) -> ! {
    let (requests, runs) = (REQUESTS.load(SeqCst), RUNS.load(SeqCst));
    let found = FOUND_RUNS.load(SeqCst) > 0;
    let at = |counter: &AtomicU64, all| if found { counter.load(SeqCst) } else { all };
    let (find_requests, find_runs) = (at(&FOUND_REQUESTS, requests), at(&FOUND_RUNS, runs));
    let mut line = harness().engine.clone();
    line["found"] = json!(found);
    line["stopped"] = json!(stopped);
    line["find_requests"] = json!(find_requests);
    line["find_runs"] = json!(find_runs);
    line["shrink_requests"] = json!(requests - find_requests);
    line["shrink_replays"] = json!(runs - find_runs);
    line["minimal_steps"] = json!(plan.map(<[_]>::len));
    line["plan"] = json!(plan.map(|plan| {
        let steps = plan.iter().map(|t| format!("{} {:?}", t.actor, t.rule));
        steps.collect::<Vec<_>>()
    }));
    println!("{line}");
    std::process::exit(0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut url, mut bug) = ("http://127.0.0.1:8080".to_owned(), "none".to_owned());
    let (mut seed, mut max_requests, mut seconds) = (0_u64, 20_000, 60);
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value = args.next().ok_or(format!("{flag} takes a value"))?;
        match flag.as_str() {
            "--url" => url = value,
            "--bug" => bug = value,
            "--seed" => seed = value.parse()?,
            "--max-requests" => max_requests = value.parse()?,
            "--seconds" => seconds = value.parse()?,
            other => return Err(format!("there is no {other}").into()),
        }
    }
    let harness = Harness {
        url,
        client: Client::builder().no_proxy().build()?,
        max_requests,
        engine: json!({ "engine": "proptest-state-machine", "bug": bug, "seed": seed }),
    };
    assert!(HARNESS.set(harness).is_ok(), "set once");
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        finish("time", None);
    });
    // Every replay that still fails panics; the line at the end is the only output wanted.
    std::panic::set_hook(Box::new(|_| {}));

    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: u32::MAX,
        max_shrink_iters: u32::MAX,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config.clone(), rng);
    let outcome = runner.run(
        &Mirror::sequential_strategy(STEPS),
        |(mirror, transitions, seen)| {
            let test = || Stock::test_sequential(config.clone(), mirror, transitions, seen);
            let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test)) else {
                return Ok(());
            };
            if FOUND_RUNS.load(SeqCst) == 0 {
                FOUND_REQUESTS.store(REQUESTS.load(SeqCst), SeqCst);
                FOUND_RUNS.store(RUNS.load(SeqCst), SeqCst);
            }
            std::panic::resume_unwind(panic)
        },
    );
    match outcome {
        Err(TestError::Fail(_, (_, plan, _))) => finish("", Some(&plan)),
        other => Err(format!("{other:?}").into()),
    }
}
