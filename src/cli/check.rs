//! `gainsay check MODEL`: everything that is wrong with a model, and what plans of it reach, offline.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use super::terminal::Terminal;
use super::{Ending, Failure, ModelPath, PlanOptions, load};
use crate::generate::{Coverage, Generator, needed_accounts, rehearse};
use crate::model::action::Outcome;
use crate::model::value::KindId;
use crate::model::{By, Model, Pick, Visibility};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    path: ModelPath,
    #[command(flatten)]
    plans: PlanOptions,
}

pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Ending, Failure> {
    let model = Arc::new(load(&arguments.path.model, terminal)?);
    let mut options = arguments.plans.generate(&model)?;
    options.accounts = needed_accounts(&model);
    options.faults.offer(&[])?;
    let assumed = options.accounts.clone();
    let generator = Generator::new(model.clone(), options);
    let seeds = arguments.plans.seeds();
    let plans = seeds.end - seeds.start;
    let mut coverage = Coverage::new(&model, generator.left_out());
    let mut steps = 0u64;
    let mut ever = vec![false; model.kinds.len()];
    let began = Instant::now();
    for seed in seeds {
        let plan = generator.plan(seed);
        let mut mirror = generator.start();
        let rehearsed = rehearse(&model, &mut mirror, &plan);
        for (step, rehearsed) in plan.all().zip(rehearsed) {
            steps += 1;
            if let Some(rehearsed) = rehearsed {
                coverage.count(step.action.rule, rehearsed.assumed);
            }
        }
        for (index, ever) in ever.iter_mut().enumerate() {
            *ever |= mirror.count(KindId(u16::try_from(index).unwrap_or(u16::MAX))) > 0;
        }
    }
    let rate = steps as f64 / began.elapsed().as_secs_f64().max(1e-6);
    let mut text = report(&model, &coverage, &ever, plans, steps);
    for (kind, _) in assumed {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "\nNo rule makes an account of {0}, so one is assumed. A run needs one from gainsay.toml, as \
             [[target.NAME.accounts.{0}]], or leaves the rules by {0} out.",
            model.kind(kind).name
        );
    }
    terminal.print(&text);
    terminal.note(&format!("rehearsed {rate:.0} steps/s"));
    Ok(Ending::Held)
}

fn report(model: &Model, coverage: &Coverage, ever: &[bool], plans: u64, steps: u64) -> String {
    let mut out = String::new();
    let (all, reached) = coverage.totals();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{}: {} rules, {all} outcomes, {} invariants. No mistakes.\n",
        model.name,
        model.rules.len(),
        model.invariants.len()
    );
    let _ = writeln!(
        out,
        "Rehearsed offline: {plans} plans, {steps} steps; {reached} of {all} outcomes reached."
    );
    let mut never = Vec::new();
    for (index, rule) in model.rules.iter().enumerate() {
        for (outcome, count) in coverage.of(index) {
            if count == 0 {
                let name = format!("{}: {}", rule.name, outcome.name(rule));
                never.push((name, reason(model, index, outcome, ever)));
            }
        }
    }
    if !never.is_empty() {
        let _ = writeln!(out, "\nNever reached:");
        let width = never
            .iter()
            .map(|(n, _)| n.chars().count())
            .max()
            .unwrap_or(0);
        for (name, reason) in never {
            let _ = writeln!(out, "  {name:width$}  {reason}");
        }
    }
    if !model.notes.copied.is_empty() {
        let _ = writeln!(
            out,
            "\nCopied from answers, so that reading them back checks no more than that they stay:"
        );
        for (place, at) in &model.notes.copied {
            let _ = writeln!(out, "  {place}  ({}:{})", model.path, model.place(*at).0);
        }
    }
    if !model.notes.unchecked.is_empty() {
        let count = model.notes.unchecked.len();
        let _ = writeln!(out, "\nNot checked, because the status is `any` ({count}):");
        for (rule, outcome) in &model.notes.unchecked {
            let _ = writeln!(out, "  {rule}: {outcome}");
        }
    }
    out
}

/// Why an outcome was not reached, where that can be told.
fn reason(model: &Model, rule: usize, outcome: Outcome, ever: &[bool]) -> String {
    let definition = &model.rules[rule];
    let by = match definition.by {
        By::Kind(kind) => Some(kind),
        By::Anyone => None,
    };
    let missing = by
        .into_iter()
        .chain(definition.picks.iter().map(|p| p.kind))
        .find(|kind| !ever[usize::from(kind.0)]);
    if let Some(kind) = missing {
        return format!("no plan ever had a {}", model.kind(kind).name);
    }
    let sees_none = |pick: &&Pick| {
        let visibility = model.kind(pick.kind).visible_to.as_ref();
        let of = |visibility: &Visibility| by.and_then(|by| visibility.of(by)).is_some();
        pick.veiled && visibility.is_some_and(|visibility| !of(visibility))
    };
    if outcome.is_ok() | matches!(outcome, Outcome::Refused(_) | Outcome::Gone(_))
        && let Some(pick) = definition.picks.iter().find(sees_none)
    {
        let kind = &model.kind(pick.kind).name;
        return format!("who acts never sees a {kind}, says its `visible_to`");
    }
    match outcome {
        Outcome::Refused(n) if definition.requires[n].that.uses.answer => {
            "it depends on the server's answer, which a rehearsal does not have".into()
        }
        Outcome::Refused(n) => {
            let requirement = &definition.requires[n];
            format!(
                "no plan got to where only this is false: {}",
                requirement.that.source
            )
        }
        Outcome::Ok(n)
            if definition.successes[n]
                .when
                .as_ref()
                .is_some_and(|w| w.uses.answer) =>
        {
            "the server's answer decides, which a rehearsal does not have".into()
        }
        Outcome::Ok(_) => "no plan got to where all its requirements hold".into(),
        Outcome::Gone(n) => format!(
            "no plan tried it with a deleted {}",
            model.kind(definition.picks[n].kind).name
        ),
        Outcome::Hidden(n) => format!(
            "no plan had a {} that who acts cannot see",
            model.kind(definition.picks[n].kind).name
        ),
        Outcome::Absent(_)
        | Outcome::Unauthenticated
        | Outcome::OtherKind
        | Outcome::Csrf
        | Outcome::Invalid(_) => "more seeds or more steps would get there".into(),
    }
}
