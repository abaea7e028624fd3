//! Requests to find and to shrink the three bugs of the workshop, beside what must be reached: medians over campaigns
//! that start at different seeds. `cargo bench --bench workshop_bars`

#[path = "workshop/server.rs"]
mod server;

use std::sync::Arc;

use gainsay::campaign::{self, Options};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Generator};
use gainsay::model::Model;
use gainsay::run::Runner;

/// Campaigns for each bug.
const CAMPAIGNS: u64 = 20;
/// Seeds from one campaign's first to the next one's.
const APART: u64 = 100;

/// A bug, the steps of its shortest plan with the set-up, and what must be reached: requests to find it, requests and
/// replays to shrink it.
struct Bar {
    bug: &'static str,
    shortest: usize,
    find: u64,
    shrink: u64,
    replays: u64,
}

const BARS: [Bar; 3] = [
    Bar {
        bug: "A",
        shortest: 5,
        find: 40,
        shrink: 20,
        replays: 4,
    },
    Bar {
        bug: "B",
        shortest: 7,
        find: 80,
        shrink: 40,
        replays: 5,
    },
    Bar {
        bug: "C",
        shortest: 5,
        find: 40,
        shrink: 30,
        replays: 6,
    },
];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "| bug | requests to find (bar) | requests to shrink (bar) | replays (bar) | not minimal |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for bar in &BARS {
        let (mut find, mut shrink, mut replays) = (Vec::new(), Vec::new(), Vec::new());
        let mut larger = 0;
        for nth in 0..CAMPAIGNS {
            let measured = runtime.block_on(hunt(bar.bug, nth * APART));
            find.push(measured.find);
            shrink.push(measured.shrink);
            replays.push(measured.replays);
            larger += u32::from(measured.steps != bar.shortest);
        }
        println!(
            "| {} | {} (≤ {}) | {} (≤ {}) | {} (≤ {}) | {larger} of {CAMPAIGNS} |",
            bar.bug,
            spread(find),
            bar.find,
            spread(shrink),
            bar.shrink,
            spread(replays),
            bar.replays,
        );
    }
}

struct Measured {
    find: u64,
    shrink: u64,
    replays: u64,
    steps: usize,
}

async fn hunt(bug: &str, first_seed: u64) -> Measured {
    let model = Arc::new(
        Model::load("benches/workshop/workshop.yaml".as_ref()).expect("the model is sound"),
    );
    let bugs = bug.parse().expect("a bug's letter");
    let server = server::serve(bugs).await.expect("the workshop opens");
    let url = format!("http://{}", server.addr);
    let client = Client::new(
        &url,
        vec![],
        Limits::default(),
        model.tolerate.clone(),
        false,
    )
    .expect("a client");
    let generator = Generator::new(model.clone(), generate::Options::default());
    let runner = Runner::new(model, client, generator.start());
    let options = Options {
        seeds: first_seed..first_seed + APART,
        fail_fast: true,
        ..Options::default()
    };
    let report = campaign::campaign(&generator, &runner, &options, &mut |_| {})
        .await
        .expect("the workshop is there");
    let Some(found) = report.counterexamples.first() else {
        panic!("bug {bug} is not found from seed {first_seed}: {report:?}");
    };
    Measured {
        find: report.requests_to_first.expect("something was found"),
        shrink: found.requests,
        replays: u64::from(found.replays),
        steps: found.plan.len(),
    }
}

/// Median [least–most].
fn spread(mut values: Vec<u64>) -> String {
    values.sort_unstable();
    let (first, last) = (values[0], values[values.len() - 1]);
    format!("{} [{first}–{last}]", values[values.len() / 2])
}
