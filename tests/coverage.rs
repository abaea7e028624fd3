use std::sync::Arc;
use gainsay::{generate::*, model::Model};
#[test]
fn offline_coverage() {
    let model = Arc::new(Model::load("models/deep-sci-fi.yaml".as_ref()).unwrap());
    let g = Generator::new(model.clone(), Options::default());
    let mut cov = Coverage::new(&model);
    let t = std::time::Instant::now();
    let mut steps = 0;
    for seed in 0..20 {
        let plan = g.plan(seed);
        steps += plan.len();
        let mut m = g.start();
        for (s, r) in plan.all().zip(rehearse(&model, &mut m, &plan)) {
            if let Some(r) = r { cov.count(s.action.rule, r.assumed); }
        }
        println!("seed {seed}: {} steps, {:?}", plan.len(), cov.totals());
    }
    println!("{} steps/s", steps as f64 / t.elapsed().as_secs_f64());
    for (i, r) in model.rules.iter().enumerate() {
        for (o, n) in cov.of(i) { if n == 0 { println!("never: {} {}", r.name, o.name(r)); } }
    }
}
#[test]
fn show_plan() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let path = std::env::var("MODEL").unwrap_or("models/deep-sci-fi.yaml".into());
    let model = Arc::new(Model::load(path.as_ref()).unwrap());
    let g = Generator::new(model.clone(), Options::default());
    let plan = g.plan(seed);
    let mut m = g.start();
    for (s, r) in plan.all().zip(rehearse(&model, &mut m, &plan)) {
        let rule = &model.rules[s.action.rule];
        println!("{} {} {:?} {:?} -> {}", s.id, rule.name, s.action.actor, s.action.picks, r.map_or("n/a".into(), |r| format!("{} open={}", r.assumed.name(rule), r.prediction.open)));
    }
}
