use gainsay::{campaign, demo::deep_sci_fi as d, drive::*, generate::*, model::*, run::*};
use std::sync::Arc;
#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let bugs: Vec<d::Bug> = args
        .iter()
        .filter(|a| a.parse::<u64>().is_err())
        .map(|a| a.parse().unwrap())
        .collect();
    let n: u64 = args
        .iter()
        .filter_map(|a| a.parse().ok())
        .next()
        .unwrap_or(25);
    let server = d::serve(d::Config {
        bugs,
        ..Default::default()
    })
    .await
    .unwrap();
    let model = Arc::new(Model::load("models/deep-sci-fi.yaml".as_ref()).unwrap());
    let client = Client::new(
        &server.url(),
        vec![],
        Limits::default(),
        model.tolerate.clone(),
        false,
    )
    .unwrap();
    let g = Generator::new(model.clone(), generate_options());
    let runner = Runner::new(model.clone(), client, g.start());
    let t = std::time::Instant::now();
    let report = campaign::campaign(
        &g,
        &runner,
        &campaign::Options {
            seeds: 0..n,
            jobs: 2,
            ..Default::default()
        },
        &mut |p| match p {
            campaign::Progress::Failure { check, seed, steps } => {
                println!("FAIL {check} seed {seed} step {steps}")
            }
            campaign::Progress::Counterexample(c) => {
                println!(
                    "=> {} k={:?} replays {} requests {}",
                    c.violation.id, c.standing, c.replays, c.requests
                );
                for s in c.plan.all() {
                    println!(
                        "   {} {} {:?} {:?} {:?}",
                        s.id,
                        model.rules[s.action.rule].name,
                        s.action.actor,
                        s.action
                            .picks
                            .iter()
                            .map(|p| p.handle().map(|h| h.to_string()))
                            .collect::<Vec<_>>(),
                        s.action.args
                    );
                }
                println!("   {:?}", c.violation.finding);
                if let Some(e) = c.violation.event.and_then(|e| c.history.events.get(e)) {
                    println!(
                        "   {} {} -> {} {}",
                        e.exchange.request.method,
                        e.exchange.request.path,
                        e.exchange.response.status,
                        e.exchange
                            .response
                            .text()
                            .chars()
                            .take(600)
                            .collect::<String>()
                    );
                }
            }
            _ => {}
        },
    )
    .await
    .unwrap();
    println!(
        "{} plans, {} steps, {} requests in {:?}, skipped {}, inconclusive {}, cover {:?}, consequences {:?} stopped {:?}",
        report.plans_run,
        report.steps,
        report.requests,
        t.elapsed(),
        report.skipped,
        report.inconclusive,
        report.coverage.totals(),
        report.consequences,
        report.stopped_by
    );
}
fn generate_options() -> Options {
    Options::default()
}
