//! Campaigns against the demo server with bugs planted.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex};

use futures_util::{StreamExt, stream};
use gainsay::campaign::{self, Report};
use gainsay::demo::deep_sci_fi::{self, Bug};
use gainsay::drive::{Client, Limits};
use gainsay::generate::{self, Faults, Generator};
use gainsay::model::Model;
use gainsay::run::Runner;
use gainsay::shrink::Counterexample;

/// What was found, and what it took.
pub struct Found {
    pub counterexample: Counterexample,
    pub requests_to_first: u64,
}

/// The model of the demo server.
pub fn model() -> Arc<Model> {
    static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
        Arc::new(Model::load("models/deep-sci-fi.yaml".as_ref()).expect("the model is sound"))
    });
    MODEL.clone()
}

/// The administrator's key of the demo servers here.
const ADMIN_KEY: &str = "dsf_administrator_of_the_quality_suite";

/// A campaign against a server of its own. One plan at a time, unless `options` says otherwise: what is found first is
/// then the same every time.
pub async fn campaign(model: &Arc<Model>, bugs: &[Bug], options: campaign::Options) -> Report {
    let config = deep_sci_fi::Config {
        bugs: bugs.to_vec(),
        ..Default::default()
    };
    under_faults(model, config, Faults::default(), options).await
}

/// The same with requests that fail on their way.
pub async fn under_faults(
    model: &Arc<Model>,
    config: deep_sci_fi::Config,
    faults: Faults,
    options: campaign::Options,
) -> Report {
    let config = deep_sci_fi::Config {
        admin_key: Some(ADMIN_KEY.to_owned()),
        ..config
    };
    let server = deep_sci_fi::serve(config)
        .await
        .expect("the demo server starts");
    let report = drive_under(model, &server.url(), faults, options).await;
    server.stop().await;
    report
}

/// Plans of a model, with an account of each kind that no rule makes. What it takes to reach the outcomes of a large model
/// takes seconds to find out, and is found out once.
pub fn generator(model: &Arc<Model>, faults: Faults) -> Generator {
    static MADE: Mutex<Vec<(Arc<Model>, Faults, Generator)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().expect("nobody panicked here");
    let known = (made.iter()).find(|(of, with, _)| Arc::ptr_eq(of, model) && *with == faults);
    if let Some((.., generator)) = known {
        return generator.clone();
    }
    let options = generate::Options {
        accounts: generate::needed_accounts(model),
        faults: faults.clone(),
        ..generate::Options::default()
    };
    let generator = Generator::new(model.clone(), options);
    made.push((model.clone(), faults, generator.clone()));
    generator
}

/// A campaign against a server that runs already.
pub async fn drive(model: &Arc<Model>, url: &str, options: campaign::Options) -> Report {
    drive_under(model, url, Faults::default(), options).await
}

async fn drive_under(
    model: &Arc<Model>,
    url: &str,
    faults: Faults,
    options: campaign::Options,
) -> Report {
    let client = Client::new(
        url,
        vec![],
        Limits::default(),
        model.tolerate.clone(),
        false,
    )
    .expect("a client");
    let generator = generator(model, faults);
    let mut start = generator.start();
    for (kind, _) in generate::needed_accounts(model) {
        generate::give(model, &mut start, kind, &[("api_key", ADMIN_KEY.into())]);
    }
    let runner = Runner::new(model.clone(), client, start);
    campaign::campaign(&generator, &runner, &options, &mut |_| {})
        .await
        .expect("the server is there")
}

/// The first counterexample that a campaign finds for a bug, with requests that fail on their way or without.
pub async fn hunt(
    model: &Arc<Model>,
    bug: Bug,
    faults: Faults,
    seeds: Range<u64>,
) -> Option<Found> {
    let options = campaign::Options {
        seeds,
        fail_fast: true,
        ..Default::default()
    };
    let config = deep_sci_fi::Config {
        bugs: vec![bug],
        ..Default::default()
    };
    let report = under_faults(model, config, faults, options).await;
    let best = report
        .counterexamples
        .into_iter()
        .min_by_key(|c| (c.plan.len(), c.violation.id.clone()));
    Some(Found {
        counterexample: best?,
        requests_to_first: report.requests_to_first.unwrap_or(0),
    })
}

/// Hunts for bugs, so many at a time: the next hunt begins as soon as one of them is done.
pub async fn hunts(
    model: &Arc<Model>,
    bugs: &[Bug],
    faults: Faults,
    at_once: usize,
) -> Vec<(Bug, Option<Found>)> {
    let hunts = stream::iter(bugs.iter().copied().enumerate()).map(|(place, bug)| {
        let (model, faults) = (model.clone(), faults.clone());
        let hunt = tokio::spawn(async move { hunt(&model, bug, faults, 0..25).await });
        async move { (place, bug, hunt.await.expect("a hunt comes to its end")) }
    });
    let mut found: Vec<(usize, Bug, Option<Found>)> =
        hunts.buffer_unordered(at_once).collect().await;
    found.sort_by_key(|(place, ..)| *place);
    found
        .into_iter()
        .map(|(_, bug, found)| (bug, found))
        .collect()
}

/// What each bug took, in Markdown.
pub fn table(found: &[(Bug, Option<Found>)]) -> String {
    let mut out = String::from(
        "| bug | check | seed | steps | requests to find | replays | requests to shrink |\n|---|---|---|---|---|---|---|\n",
    );
    for (bug, found) in found {
        let Some(found) = found else {
            let _ = writeln!(out, "| {bug} | not found | | | | | |");
            continue;
        };
        let c = &found.counterexample;
        let seed = c.seed.map_or_else(String::new, |seed| seed.to_string());
        let _ = writeln!(
            out,
            "| {bug} | {} | {seed} | {} | {} | {} | {} |",
            c.violation.id,
            c.plan.len(),
            found.requests_to_first,
            c.replays,
            c.requests,
        );
    }
    out
}
