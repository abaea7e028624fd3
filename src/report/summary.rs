//! The summary of a campaign: what was run, which outcomes were reached, what was found, and what to beware of.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::check::CheckId;
use crate::generate::{Coverage, Fault};
use crate::model::Model;
use crate::shrink::Standing;
use crate::tidy::Tidied;

use super::paint::{Style, inert};
use super::story::{headline, standing};

/// What a campaign came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How many counterexamples from before still fail.
    pub still_failing: usize,
    /// The plans that were asked for.
    pub plans_asked: u64,
    /// The plans that were run.
    pub plans_run: u64,
    /// The steps that were sent.
    pub steps: u64,
    /// The requests that were sent, reads and replays included.
    pub requests: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// How often each outcome was reached.
    pub coverage: Coverage,
    /// How many pairs of a rule and somebody to try it there are, and how many were tried.
    pub access: (usize, usize),
    /// What was cleaned up after the plans, if that was to be done.
    pub tidied: Option<Tidied>,
    /// Steps that were not sent, since what they needed was not there or not predicted any more.
    pub skipped_steps: u64,
    /// Plans that could not be judged.
    pub inconclusive: u64,
    /// Requests that were not answered, once and never again.
    pub unanswered: u64,
    /// Races that were run, and how far apart their branches began at the median.
    pub races: (u64, Option<Duration>),
    /// Faults that happened, by their kinds.
    pub faults: BTreeMap<Fault, u64>,
    /// Faults that nothing met, and that are not among those.
    pub unmet: u64,
    /// Steps that were to create something, and how many of them did.
    pub creations: (u64, u64),
    /// How many worlds had to be told apart, at most.
    pub worlds: usize,
    /// The seeds, from first to last.
    pub seeds: RangeInclusive<u64>,
    /// How many plans were run at once.
    pub jobs: usize,
    /// What was found, and how surely it fails.
    pub counterexamples: Vec<(CheckId, Standing)>,
    /// What else failed at the end of the same steps.
    pub alongside: usize,
    /// What ended the campaign early, if anything did.
    pub stopped_by: Option<String>,
}

/// The summary as people read it on a terminal.
pub fn summary(model: &Model, s: &Summary, style: Style) -> String {
    let mut out = figures(model, s, style);
    out.push('\n');
    out.push_str(&outcomes(model, s, style));
    out.push_str(&findings(s, style));
    for warning in warnings(model, s) {
        let text = format!("{} {}", style.bad("!"), inert(&warning));
        out.push_str(&style.wrap(&text, "", "  "));
    }
    out
}

fn figures(model: &Model, s: &Summary, style: Style) -> String {
    let seconds = s.elapsed.as_secs_f64();
    let plans = match s.plans_run == s.plans_asked {
        true => count(s.plans_run, "plan"),
        false => format!(
            "{} of {}",
            grouped(s.plans_run),
            count(s.plans_asked, "plan")
        ),
    };
    let mut parts = vec![plans, count(s.steps, "step"), count(s.requests, "request")];
    parts.push(match seconds < 90.0 {
        true => format!("{seconds:.1} s"),
        false => humantime::format_duration(Duration::from_secs(s.elapsed.as_secs())).to_string(),
    });
    if s.steps > 0 && seconds > 0.0 {
        // Rates are read, not reckoned with.
        #[allow(clippy::cast_precision_loss)]
        let rate = s.steps as f64 / seconds;
        parts.push(format!("{rate:.0} steps/s"));
    }
    let (first, last) = (s.seeds.start(), s.seeds.end());
    parts.push(match first == last {
        true => format!("seed {first}"),
        false => format!("seeds {first} to {last}"),
    });
    parts.push(count(u64::try_from(s.jobs).unwrap_or(u64::MAX), "job"));
    let text = format!("{}: {}", style.bold(&inert(&model.name)), parts.join(" · "));
    let mut out = style.wrap(&text, "", "  ");
    let (tried, created) = s.creations;
    let got = |of: &str| format!("{} of {} {of}", grouped(created), count(tried, "creation"));
    if tried > 0 && s.faults.is_empty() {
        out.push_str(&style.wrap(&format!("{}.", got("succeeded")), "  ", "  "));
    } else if !s.faults.is_empty() {
        let kinds = s.faults.iter().map(|(fault, n)| format!("{fault} ×{n}"));
        let unmet = (s.unmet > 0).then(|| format!("{} more met nothing", grouped(s.unmet)));
        let kinds: Vec<_> = kinds.chain(unmet).collect();
        let text = format!(
            "Faults: {}. {}; at most {} had to be told apart.",
            kinds.join(", "),
            got("got through"),
            count(u64::try_from(s.worlds).unwrap_or(u64::MAX), "world"),
        );
        out.push_str(&style.wrap(&text, "  ", "  "));
    }
    if let (races @ 1.., Some(spread)) = s.races {
        let text = format!(
            "{}; their branches began within {} µs of each other (median).",
            count(races, "race"),
            spread.as_micros()
        );
        out.push_str(&style.wrap(&text, "  ", "  "));
    }
    if let Some(tidied) = &s.tidied {
        let text = format!("Clean-up: {}.", cleaned(model, tidied));
        out.push_str(&style.wrap(&text, "  ", "  "));
    }
    if let Some(reason) = &s.stopped_by {
        out.push_str(&style.wrap(&format!("Ended early: {}", inert(reason)), "  ", "  "));
    }
    out
}

/// What went, and what did not.
fn cleaned(model: &Model, tidied: &Tidied) -> String {
    let mut text = match tidied.deleted {
        1 => "1 entity deleted".to_owned(),
        deleted => format!("{} entities deleted", grouped(deleted)),
    };
    let left = tidied.left.iter().map(|(kind, left)| {
        let name = inert(&model.kind(*kind).name);
        match model.deletes(*kind) {
            true => format!("{} ×{}", name, grouped(*left)),
            false => format!("{} ×{} (no rule deletes any)", name, grouped(*left)),
        }
    });
    let left: Vec<String> = left.collect();
    if !left.is_empty() {
        text.push_str(&format!("; left: {}", left.join(", ")));
    }
    text
}

/// Rule by rule, what was reached and what never was.
fn outcomes(model: &Model, s: &Summary, style: Style) -> String {
    let mut out = String::new();
    let widest = model
        .rules
        .iter()
        .map(|r| r.name.chars().count())
        .max()
        .unwrap_or(0)
        .min(40);
    for (index, rule) in model.rules.iter().enumerate() {
        let mut reached = Vec::new();
        let mut never = Vec::new();
        for (outcome, count) in s.coverage.of(index) {
            let name = inert(&outcome.name(rule));
            match count {
                0 => never.push(name),
                _ => reached.push(format!("{name} ×{count}")),
            }
        }
        let all = reached.len() + never.len();
        let mut share = format!("{}/{all}", reached.len());
        let mut text = reached.join(" · ");
        if s.coverage.is_left_out(index) {
            share.clear();
            text = match reached.is_empty() {
                true => style.dim("left out"),
                false => format!("{} {text}", style.dim("left out, but others needed it:")),
            };
        }
        if !never.is_empty() {
            let lead = if text.is_empty() { "" } else { " · " };
            text.push_str(&format!(
                "{lead}{}",
                style.dim(&format!("never: {}", never.join(", ")))
            ));
        }
        let first = format!("  {:widest$}  {share:>5}  ", inert(&rule.name));
        let rest = " ".repeat(widest + 11);
        out.push_str(&style.wrap(&text, &first, &rest));
    }
    let (all, reached) = s.coverage.totals();
    out.push_str(&format!("  {reached} of {all} outcomes were reached.\n"));
    let (all, tried) = s.access;
    out.push_str(&format!(
        "  {tried} of {all} pairs of a rule and somebody to try it were tried (`gainsay run --access` shows them).\n"
    ));
    out
}

fn findings(s: &Summary, style: Style) -> String {
    let mut out = String::from("\n");
    match s.counterexamples.len() {
        0 if s.still_failing > 0 => out.push_str(&format!(
            "{} Nothing new; of the counterexamples that are kept, {} still {}.\n",
            style.bad("✗"),
            s.still_failing,
            if s.still_failing == 1 {
                "fails"
            } else {
                "fail"
            }
        )),
        0 if s.plans_run == 0 => out.push_str("Nothing was run.\n"),
        0 => out.push_str(&format!(
            "{} Every answer was as the model says.\n",
            style.good("✓")
        )),
        found => out.push_str(&format!(
            "{} {}\n",
            style.bad("✗"),
            style.bold(&count(found as u64, "violation"))
        )),
    }
    for (check, how) in &s.counterexamples {
        let text = format!(
            "{} — {}",
            inert(&headline(check)),
            style.dim(&standing(*how))
        );
        out.push_str(&style.wrap(&text, "  ", "    "));
    }
    if s.alongside > 0 {
        out.push_str(&format!(
            "  {} broken by the same steps.\n",
            match s.alongside {
                1 => "1 more check is".to_owned(),
                more => format!("{more} more checks are"),
            }
        ));
    }
    if s.unanswered > 0 {
        out.push_str(&format!(
            "  {} no answer, once and never again.\n",
            match s.unanswered {
                1 => "1 request had".to_owned(),
                more => format!("{more} requests had"),
            }
        ));
    }
    if s.inconclusive > 0 {
        out.push_str(&format!(
            "  {} could not be judged.\n",
            count(s.inconclusive, "plan")
        ));
    }
    if s.skipped_steps > 0 {
        let text = format!(
            "{} not sent: what they needed was not there, or a violation had touched it.",
            count(s.skipped_steps, "step")
        );
        out.push_str(&style.wrap(&text, "  ", "  "));
    }
    out
}

/// What makes the result worth less than it looks.
fn warnings(model: &Model, s: &Summary) -> Vec<String> {
    let mut out = Vec::new();
    if s.plans_run == 0 {
        return out;
    }
    let makers: Vec<usize> = (0..model.rules.len())
        .filter(|rule| !super::learned::given(&model.rules[*rule]).is_empty())
        .collect();
    let succeeded = |rule: usize| {
        s.coverage
            .of(rule)
            .any(|(outcome, count)| outcome.is_ok() && count > 0)
    };
    if !makers.is_empty() && !makers.iter().any(|rule| succeeded(*rule)) {
        out.push(
            "No rule that creates anything ever succeeded, so next to nothing was tested. Is the server the one that \
             the model is about, and does its set-up work?"
                .to_owned(),
        );
        return out;
    }
    let failed: Vec<_> = (0..model.rules.len())
        .filter(|rule| !succeeded(*rule) && !s.coverage.is_left_out(*rule))
        .map(|rule| model.rules[rule].name.as_str())
        .collect();
    if !failed.is_empty() {
        out.push(format!("Never succeeded: {}.", failed.join(", ")));
    }
    let (all, reached) = s.coverage.totals();
    if reached < all {
        out.push(format!(
            "{} never reached, and so not tested; more plans or longer ones may do.",
            match all - reached {
                1 => "1 outcome was".to_owned(),
                n => format!("{n} outcomes were"),
            }
        ));
    }
    out
}

fn count(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{} {what}s", grouped(n)),
    }
}

/// 21340 → 21 340
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::fixture::model;
    use super::*;
    use crate::model::action::Outcome;

    fn nothing_yet(model: &Model) -> Summary {
        Summary {
            still_failing: 0,
            plans_asked: 200,
            plans_run: 200,
            steps: 8_214,
            requests: 21_340,
            elapsed: Duration::from_millis(41_200),
            coverage: Coverage::new(model, &[]),
            access: (12, 9),
            tidied: None,
            skipped_steps: 0,
            inconclusive: 0,
            unanswered: 0,
            races: (0, None),
            faults: BTreeMap::new(),
            unmet: 0,
            creations: (0, 0),
            worlds: 1,
            seeds: 0..=199,
            jobs: 4,
            counterexamples: Vec::new(),
            alongside: 0,
            stopped_by: None,
        }
    }

    #[test]
    fn a_campaign_that_found_something() {
        let model = model();
        let mut s = nothing_yet(&model);
        for (rule, outcome, times) in [
            (0, Outcome::Ok(0), 400),
            (1, Outcome::Ok(0), 12),
            (1, Outcome::Unauthenticated, 3),
            (2, Outcome::Refused(0), 7),
        ] {
            (0..times).for_each(|_| s.coverage.count(rule, outcome));
        }
        s.plans_run = 30;
        s.inconclusive = 1;
        s.skipped_steps = 12;
        s.stopped_by = Some("the time was up".into());
        let check = CheckId::Outcome {
            rule: "publish".into(),
            expected: "own_note".into(),
        };
        s.counterexamples.push((
            check,
            Standing {
                failed: 3,
                runs: 10,
            },
        ));
        insta::assert_snapshot!(summary(
            &model,
            &s,
            Style {
                color: false,
                width: 80
            }
        ));
    }

    #[test]
    fn what_is_left_out_is_not_missed() {
        let model = model();
        let mut left_out = vec![true; model.rules.len()];
        left_out[0] = false;
        let mut s = nothing_yet(&model);
        s.coverage = Coverage::new(&model, &left_out);
        for (rule, outcome) in [(0, Outcome::Ok(0)), (1, Outcome::Unauthenticated)] {
            s.coverage.count(rule, outcome);
        }
        let mine = model.rules[0].outcomes(&model).len();
        assert_eq!(s.coverage.totals(), (mine + 1, 2));
        let text = summary(&model, &s, Style::PLAIN);
        for (words, rule) in [
            (format!("2 of {} outcomes were reached.", mine + 1), None),
            (
                "left out, but others needed it: unauthenticated ×1".to_owned(),
                Some(1),
            ),
            ("left out".to_owned(), Some(2)),
        ] {
            let of = rule.map_or("", |rule: usize| model.rules[rule].name.as_str());
            let mut lines = text.lines();
            let said = lines.any(|line| line.trim().starts_with(of) && line.ends_with(&words));
            assert!(said, "no {words} in {text}");
        }
        assert!(!text.contains("Never succeeded"), "{text}");
    }

    #[test]
    fn a_campaign_in_which_nothing_came_into_being() {
        let model = model();
        let text = summary(&model, &nothing_yet(&model), Style::PLAIN);
        assert!(
            text.contains("No rule that creates anything ever succeeded"),
            "{text}"
        );
    }
}
