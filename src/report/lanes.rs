//! Races, as they are told: what was sent at once, when each answer came, and why no order of it explains them.

use std::time::Duration;

use super::paint::inert;
use super::story::{INDENT, Teller, number, shown};
use crate::check::{Contradiction, Dispute};
use crate::drive::history::Exchange;
use crate::generate::Step;

/// How many columns the time of a race has.
const COLUMNS: usize = 40;

impl Teller<'_> {
    /// The steps of a race, and who waited when.
    pub(super) fn race(&self, steps: &[Step]) -> String {
        let branches = {
            let mut branches: Vec<_> = steps.iter().map(|step| step.lane).collect();
            branches.sort_unstable();
            branches.dedup();
            branches.len()
        };
        let heading = self.style.bold(&format!("{branches} at once"));
        let mut out = self.style.wrap(&heading, &number(""), INDENT);
        for step in steps {
            out.push_str(&self.step(step));
        }
        if !self.lasting {
            out.push_str(&self.lanes(steps));
        }
        let failing = self.scene.found.violation.step;
        if let Some(step) = steps.iter().find(|step| step.id == failing) {
            out.push_str(&self.failing(step));
        }
        out
    }

    /// Who waited when: a line for each step, from when it was sent to when its answer was there.
    fn lanes(&self, steps: &[Step]) -> String {
        let sent: Vec<(&Step, &Exchange)> = (steps.iter())
            .filter_map(|step| Some((step, self.scene.found.history.of_step(step.id)?)))
            .collect();
        let ended = |exchange: &Exchange| exchange.started + exchange.took;
        let begin = sent.iter().map(|(_, e)| e.started).min();
        let end = sent.iter().map(|(_, e)| ended(e)).max();
        let (Some(begin), Some(end)) = (begin, end) else {
            return String::new();
        };
        let whole = end.saturating_sub(begin).max(Duration::from_micros(1));
        let column = |at: Duration| {
            let at = at.saturating_sub(begin).as_micros() * (COLUMNS as u128 - 1);
            usize::try_from(at / whole.as_micros().max(1)).unwrap_or(0)
        };
        let widest = sent.iter().map(|(step, _)| step.id.to_string().len()).max();
        let mut out = String::new();
        for (step, exchange) in sent {
            let (from, to) = (column(exchange.started), column(ended(exchange)));
            let line = match to.checked_sub(from + 1) {
                Some(between) => format!("├{}┤", "─".repeat(between)),
                None => "│".to_owned(),
            };
            let millis = exchange.took.as_secs_f64() * 1000.0;
            let lane = format!("{}{line}", " ".repeat(from));
            out.push_str(&format!(
                "{INDENT}{:>width$}  {lane:<COLUMNS$}  {} after {millis:.1} ms\n",
                step.id,
                shown(exchange),
                width = widest.unwrap_or(1),
            ));
        }
        out
    }

    /// Why no order explains the answers.
    pub(super) fn dispute(&self, dispute: &Dispute) -> String {
        let list = |ids: &[u32]| {
            let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
            match ids.split_last() {
                Some((last, rest)) if !rest.is_empty() => {
                    format!("{} and {last}", rest.join(", "))
                }
                _ => ids.join(""),
            }
        };
        let mut out = String::new();
        let text = match dispute.order.is_empty() {
            true => "none of them can be the first:".to_owned(),
            false => format!("{} can come first; but then", then(&dispute.order)),
        };
        out.push_str(&self.pair("no order", &text));
        for next in &dispute.next {
            out.push_str(&self.pair("", &self.contradiction(next)));
        }
        if !dispute.first.is_empty() {
            out.push_str(&self.pair("", "and at first"));
        }
        for first in &dispute.first {
            out.push_str(&self.pair("", &self.contradiction(first)));
        }
        if dispute.core.len() < self.sent_at_once() {
            let text = format!("those of {}, whatever the others did", list(&dispute.core));
            out.push_str(&self.pair("disagree", &text));
        }
        out
    }

    /// What an answer is, and what it would have to be.
    fn contradiction(&self, next: &Contradiction) -> String {
        let step = self.scene.found.plan.all().find(|s| s.id == next.step);
        let rule = step.map_or("", |s| self.scene.model.rules[s.action.rule].name.as_str());
        let expected = next.expected.iter();
        let expected: Vec<String> = expected
            .map(|(outcome, statuses)| format!("{statuses} ({})", inert(outcome)))
            .collect();
        let must = match (next.wrong.is_empty(), expected.is_empty()) {
            (true, false) => format!(
                "must answer {}, and answered {}",
                expected.join(" or "),
                next.observed
            ),
            _ => format!("answered what does not hold: {}", next.wrong.join("; ")),
        };
        self.scene.text(&format!("{} {rule} {must}", next.step))
    }

    /// How many steps the race has at which it fails.
    fn sent_at_once(&self) -> usize {
        let race = self.scene.failing().and_then(Step::race);
        let steps = self.scene.found.plan.all();
        steps.filter(|s| race.is_some() && s.race() == race).count()
    }
}

/// Steps one after the other.
fn then(ids: &[u32]) -> String {
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    ids.join(", then ")
}
