use std::sync::Arc;
use gainsay::{generate::*, model::Model};
#[test]
fn offline_coverage() {
    let path = std::env::var("MODEL").unwrap_or("models/deep-sci-fi.yaml".into());
    let model = Arc::new(Model::load(path.as_ref()).unwrap());
    let t = std::time::Instant::now();
    let g = Generator::new(model.clone(), Options::default());
    println!("learned in {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let mut steps = 0;
    let plans: Vec<_> = (0..200).map(|seed| g.plan(seed)).collect();
    for p in &plans { steps += p.len(); }
    println!("{} steps/s", steps as f64 / t.elapsed().as_secs_f64());
    let covs: Vec<Coverage> = plans.iter().map(|plan| {
        let mut cov = Coverage::new(&model);
        let mut m = g.start();
        for (s, r) in plan.all().zip(rehearse(&model, &mut m, &plan)) {
            if let Some(r) = r { cov.count(s.action.rule, r.assumed); }
        }
        cov
    }).collect();
    let mut missed = std::collections::BTreeMap::<String, usize>::new();
    let mut hist = std::collections::BTreeMap::<usize, usize>::new();
    for w in 0..covs.len() - 9 {
        let mut cov = Coverage::new(&model);
        for c in &covs[w..w + 10] { cov.add(c); }
        let mut n = 0;
        for (i, r) in model.rules.iter().enumerate() {
            for (o, k) in cov.of(i) { if k == 0 { n += 1; *missed.entry(format!("{} {}", r.name, o.name(r))).or_default() += 1; } }
        }
        if w == 0 { println!("{:?}", cov.totals()); }
        *hist.entry(n).or_default() += 1;
    }
    println!("missed per window: {hist:?}");
    let mut m: Vec<_> = missed.into_iter().collect(); m.sort_by_key(|x| std::cmp::Reverse(x.1));
    for x in m.iter().take(45) { println!("{x:?}"); }
    println!("per plan: {:?}", covs.iter().take(20).map(|c| c.totals().1).collect::<Vec<_>>());
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
