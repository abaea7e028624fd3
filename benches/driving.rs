//! Driving: requests a second of `gainsay run` against the demo server, beside a bare reqwest loop that sends the same
//! recorded requests to the same server, in turns within one run; and how far apart the branches of a race begin.
//! `cargo bench --bench driving`

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gainsay::demo::deep_sci_fi as demo;
use gainsay::drive::history::Request;
use gainsay::drive::{Client, Limits};
use gainsay::generate::{Generator, Options, Races, Step};
use gainsay::model::Model;
use gainsay::run::{Reads, Runner};

const PLANS: u64 = 12;
const TURNS: usize = 5;
const BRANCHES: u8 = 4;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "| jobs | gainsay, requests/s | bare loop, requests/s | ratio (median of {TURNS} turns) |"
    );
    println!("| --- | --- | --- | --- |");
    for jobs in [1, 8] {
        let (gainsay, bare, ratio) = runtime.block_on(compare(jobs));
        println!("| {jobs} | {gainsay:.0} | {bare:.0} | {ratio:.2} |");
    }
    let spreads = runtime.block_on(spreads());
    println!(
        "\n{} races of {BRANCHES} branches: the first and the last were released within {} µs of each other (median; {} µs \
         nine times of ten).",
        spreads.len(),
        spreads[spreads.len() / 2],
        spreads[spreads.len() * 9 / 10]
    );
}

/// How many microseconds after the first branch of a race the last one was released, in order, of races of as many branches
/// as that.
async fn spreads() -> Vec<u128> {
    let model = Arc::new(Model::load("models/deep-sci-fi.yaml".as_ref()).expect("the model"));
    let races = Races {
        permille: 600,
        width: BRANCHES,
    };
    let options = Options {
        races,
        ..Options::default()
    };
    let generator = Generator::new(model.clone(), options);
    let server = demo::serve(demo::Config::default())
        .await
        .expect("the demo server");
    let runner = runner(&model, &server.url(), &generator);
    let mut spreads = Vec::new();
    for seed in 0..PLANS {
        let mut plan = generator.plan(seed);
        for race in plan
            .steps
            .chunk_by_mut(|a, b| a.race().is_some() && a.race() == b.race())
        {
            let branches: BTreeSet<_> = race.iter().map(|step| step.lane).collect();
            if branches.len() != usize::from(BRANCHES) {
                race.iter_mut().for_each(Step::leave_race);
            }
        }
        let run = runner.run(&plan, Reads::None, false).await;
        spreads.extend(run.spreads.iter().map(Duration::as_micros));
    }
    server.stop().await;
    spreads.sort_unstable();
    spreads
}

fn runner(model: &Arc<Model>, url: &str, generator: &Generator) -> Runner {
    let tolerate = model.tolerate.clone();
    let client = Client::new(url, vec![], Limits::default(), tolerate, false);
    Runner::new(model.clone(), client.expect("a client"), generator.start())
}

async fn compare(jobs: usize) -> (f64, f64, f64) {
    let model = Arc::new(Model::load("models/deep-sci-fi.yaml".as_ref()).expect("the model"));
    let generator = Generator::new(model.clone(), Options::default());
    let mut turns = Vec::new();
    for turn in 0..=TURNS {
        // A server of its own, so that no turn finds a larger database than another.
        let server = demo::serve(demo::Config::default())
            .await
            .expect("the demo server");
        let runner = runner(&model, &server.url(), &generator);
        let (recorded, ours) = drive(&generator, &runner, jobs).await;
        let requests: usize = recorded.iter().map(Vec::len).sum();
        let theirs = bare(&server.url(), recorded, jobs).await;
        server.stop().await;
        // The first turn warms everything up.
        if turn > 0 {
            turns.push((
                requests as f64 / ours,
                requests as f64 / theirs,
                theirs / ours,
            ));
        }
    }
    turns.sort_by(|a, b| a.2.total_cmp(&b.2));
    turns[turns.len() / 2]
}

/// Drives all plans, so many at once: generating, judging and reading as a campaign does.
async fn drive(generator: &Generator, runner: &Runner, jobs: usize) -> (Vec<Vec<Request>>, f64) {
    let began = Instant::now();
    let next = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..jobs {
        let (generator, runner, next) = (generator.clone(), runner.clone(), next.clone());
        tasks.spawn(async move {
            let mut recorded = Vec::new();
            loop {
                let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if seed >= PLANS {
                    return recorded;
                }
                let plan = generator.plan(seed);
                let run = runner.run(&plan, Reads::All, false).await;
                assert!(
                    run.violations.is_empty() && run.broken.is_none(),
                    "{:?}",
                    run.violations
                );
                recorded.push(
                    run.history
                        .events
                        .into_iter()
                        .map(|e| e.exchange.request)
                        .collect(),
                );
            }
        });
    }
    let recorded: Vec<Vec<Vec<Request>>> = tasks.join_all().await;
    let took = began.elapsed().as_secs_f64();
    (recorded.into_iter().flatten().collect(), took)
}

/// Sends the same requests with as many connections, and reads the answers.
async fn bare(url: &str, recorded: Vec<Vec<Request>>, jobs: usize) -> f64 {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .expect("a client");
    let queue = Arc::new(std::sync::Mutex::new(recorded));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..jobs {
        let (client, queue, url) = (client.clone(), queue.clone(), url.to_owned());
        tasks.spawn(async move {
            loop {
                let Some(plan) = queue.lock().expect("not poisoned").pop() else {
                    return;
                };
                for request in plan {
                    let method: reqwest::Method = request.method.parse().expect("a method");
                    let mut builder = client
                        .request(method, format!("{url}{}", request.path))
                        .query(&request.query);
                    for (name, value) in &request.headers {
                        builder = builder.header(name, value);
                    }
                    if let Some(body) = request.body {
                        builder = builder
                            .header("content-type", body.content_type)
                            .body(body.bytes);
                    }
                    let response = builder.send().await.expect("an answer");
                    response.bytes().await.expect("a body");
                }
            }
        });
    }
    tasks.join_all().await;
    began.elapsed().as_secs_f64()
}
