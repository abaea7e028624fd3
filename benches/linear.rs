//! How long the checker of concurrent histories takes, in milliseconds: on the histories of BARS.md, section 3, with a fence
//! and without. `cargo bench --bench linear`. Where the environment variable `PORCUPINE` names the program that
//! benches/peers/porcupine makes, it judges the same histories, each right after gainsay has.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use gainsay::check::linear::{Bounds, Deed, Operation, Verdict, check};
use gainsay::model::Model;
use gainsay::model::action::{Action, Actor, Picked};
use gainsay::model::mirror::Mirror;
use gainsay::model::oracle::Answer;
use gainsay::model::value::{Handle, KindId, Value};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

// What the binary allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LENGTHS: [usize; 3] = [50, 200, 1000];
const SEEDS: [u64; 3] = [1, 2, 3];

/// Longer than this is too long.
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    keys: u16,
    clients: usize,
    /// In percent, how many operations have no answer. Half of these never take effect.
    lost: u32,
    /// One read in the last third is of what was there in the beginning, and never again.
    stale: bool,
    /// How long after its start an operation without an answer may take effect, in the units of the simulation, where
    /// that is known. An operation takes 20 on average.
    fence: Option<u64>,
}

const CASES: [Case; 12] = {
    let case = Case {
        name: "1 key, 4 clients, 5 %",
        keys: 1,
        clients: 4,
        lost: 5,
        stale: false,
        fence: None,
    };
    let eight = Case {
        name: "1 key, 8 clients, 5 %",
        clients: 8,
        ..case
    };
    let keys = Case {
        name: "8 keys, 8 clients, 5 %",
        keys: 8,
        ..eight
    };
    [
        case,
        Case {
            name: "… bad",
            stale: true,
            ..case
        },
        Case {
            name: "… bad, fenced",
            stale: true,
            fence: Some(100),
            ..case
        },
        Case {
            name: "1 key, 8 clients, 0 %",
            lost: 0,
            ..eight
        },
        Case {
            name: "… bad",
            lost: 0,
            stale: true,
            ..eight
        },
        eight,
        Case {
            name: "… fenced",
            fence: Some(100),
            ..eight
        },
        Case {
            name: "… bad",
            stale: true,
            ..eight
        },
        Case {
            name: "… bad, fenced",
            stale: true,
            fence: Some(100),
            ..eight
        },
        keys,
        Case {
            name: "… bad",
            stale: true,
            ..keys
        },
        Case {
            name: "… bad, fenced",
            stale: true,
            fence: Some(100),
            ..keys
        },
    ]
};

fn register(key: u16) -> Handle {
    Handle {
        kind: KindId(0),
        step: 0,
        nth: key,
    }
}

/// What clients see of registers that do one thing after the other.
fn history(model: &Model, case: Case, seed: u64, length: usize) -> Vec<Operation> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut free = vec![0u64; case.clients];
    let mut asked = Vec::new();
    for index in 0..length {
        let client = index % case.clients;
        let start = free[client] + rng.random_range(1..20);
        let effect = start + rng.random_range(0..20);
        let end = effect + rng.random_range(0..20);
        free[client] = end + 1;
        let key = rng.random_range(0..case.keys);
        let put = rng.random::<bool>().then(|| rng.random_range(1..100i64));
        asked.push((effect, start, end, key, put, rng.random_range(0..100u32)));
    }
    asked.sort_unstable();
    let mut values = vec![0; usize::from(case.keys)];
    let mut to_spoil = case.stale;
    let mut operations = Vec::new();
    for (id, (_, start, end, key, put, luck)) in (1..).zip(asked) {
        let (lost, comes) = (luck < case.lost, luck * 2 >= case.lost);
        let now = &mut values[usize::from(key)];
        let (rule, args) = match put {
            Some(value) => ("put", vec![Value::Int(value)]),
            None => ("get", Vec::new()),
        };
        let mut seen = *now;
        if let (Some(value), true) = (put, comes) {
            *now = value;
        }
        let last_third = usize::try_from(id).is_ok_and(|id| id > length * 2 / 3);
        if to_spoil && put.is_none() && !lost && last_third && seen != 0 {
            seen = 0;
            to_spoil = false;
        }
        let body = match put {
            Some(_) => Value::Null,
            None => Value::Map(Arc::new([("value".into(), Value::Int(seen))].into())),
        };
        let answer = Answer {
            status: 200,
            headers: Value::Map(Arc::default()),
            body,
        };
        let until = match lost {
            true => case.fence.map(|fence| start + fence),
            false => Some(end),
        };
        operations.push(Operation {
            id,
            deed: Deed::Act(Action {
                rule: model.rule_named(rule).expect("a rule of the model"),
                actor: Actor::Anyone,
                picks: vec![Picked::Entity(register(key))],
                args,
            }),
            start,
            end: until,
            answer: (!lost).then_some(answer),
            again: None,
        });
    }
    operations
}

fn start(model: &Model, keys: u16) -> Mirror {
    let mut mirror = model.initial();
    for key in 0..keys {
        let fields = vec![Value::text(format!("r{key}")), Value::Int(0)];
        mirror.insert(register(key), fields);
    }
    mirror
}

/// Porcupine, in a process of its own.
struct Porcupine {
    child: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Porcupine {
    /// It, if somebody says where it is. It has one core, as gainsay has.
    fn start() -> Option<Porcupine> {
        let mut child = Command::new(std::env::var_os("PORCUPINE")?)
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("PORCUPINE names a program");
        let (asks, says) = (child.stdin.take(), child.stdout.take());
        Some(Porcupine {
            asks: asks.expect("it was piped"),
            says: BufReader::new(says.expect("it was piped")),
            child,
        })
    }

    /// Its verdict, and how long it took. It knows no fences: what has no answer may take effect at any time.
    fn judge(&mut self, model: &Model, operations: &[Operation]) -> (String, Duration) {
        let of = |operation: &Operation| {
            let Deed::Act(action) = &operation.deed else {
                unreachable!("registers are acted on");
            };
            let key = action.picks[0].handle().map_or(0, |handle| handle.nth);
            let put = (model.rule_named("put") == Some(action.rule)).then(|| &action.args[0]);
            let body = operation
                .answer
                .as_ref()
                .map(|answer| answer.body.to_json(&|_| json!(null)));
            json!({
                "key": key,
                "put": put.map(|put| put.to_json(&|_| json!(null))),
                "seen": body.and_then(|body| body.get("value").cloned()),
                "start": operation.start,
                "end": operation.answer.as_ref().and(operation.end),
            })
        };
        let operations: Vec<_> = operations.iter().map(of).collect();
        let asked = json!({ "limit": LIMIT.as_secs_f64(), "operations": operations });
        writeln!(self.asks, "{asked}").expect("it listens");
        let mut said = String::new();
        self.says.read_line(&mut said).expect("it answers");
        let (verdict, taken) = said.trim().split_once(' ').expect("a verdict and a time");
        let taken: f64 = taken.parse().expect("milliseconds");
        (verdict.to_owned(), Duration::from_secs_f64(taken / 1000.0))
    }
}

impl Drop for Porcupine {
    fn drop(&mut self) {
        // Whatever it still does, nobody waits for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The median in milliseconds, or that it is too long.
fn median(mut taken: Vec<Duration>) -> String {
    taken.sort_unstable();
    let median = taken[taken.len() / 2];
    match median >= LIMIT {
        true => "LIM".to_owned(),
        false => format!("{:.1}", median.as_secs_f64() * 1000.0),
    }
}

fn main() {
    let model = Model::load("tests/histories/register.yaml".as_ref()).expect("the model is valid");
    let bounds = Bounds {
        worlds: usize::MAX,
        time: LIMIT,
    };
    let mut porcupine = Porcupine::start();
    println!(
        "Milliseconds, median of {} seeds{}; LIM is over {} s.\n",
        SEEDS.len(),
        porcupine.as_ref().map_or("", |_| ", gainsay / Porcupine"),
        LIMIT.as_secs()
    );
    println!("| registers | 50 | 200 | 1,000 | verdicts |\n|---|---|---|---|---|");
    for case in CASES {
        let mut cells = Vec::new();
        let mut verdicts = [0; 3];
        for length in LENGTHS {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for seed in SEEDS {
                let operations = history(&model, case, seed, length);
                let mirror = start(&model, case.keys);
                let began = Instant::now();
                let verdict = check(&model, &mirror, &operations, &bounds);
                ours.push(began.elapsed());
                if let Some(porcupine) = porcupine.as_mut().filter(|_| case.fence.is_none()) {
                    let (said, taken) = porcupine.judge(&model, &operations);
                    theirs.push(taken);
                    let agreed = match verdict {
                        Verdict::Explained => said != "Illegal",
                        Verdict::Contradicted(_) => said != "Ok",
                        Verdict::Inconclusive(_) => true,
                    };
                    assert!(agreed, "{}: it says {said}", case.name);
                }
                verdicts[match verdict {
                    Verdict::Explained => 0,
                    Verdict::Contradicted(_) => 1,
                    Verdict::Inconclusive(_) => 2,
                }] += 1;
            }
            cells.push(match theirs.is_empty() {
                true => median(ours),
                false => format!("{} / {}", median(ours), median(theirs)),
            });
        }
        let [good, bad, unknown] = verdicts;
        println!(
            "| {} | {} | {good} explained, {bad} contradicted, {unknown} inconclusive |",
            case.name,
            cells.join(" | ")
        );
    }
}
