//! The story of a counterexample: what was done, what came back, what should have, and what to make of it. For somebody
//! who has never heard of this program.

use crate::check::{CheckId, Finding, Parts};
use crate::drive::history::Exchange;
use crate::generate::{Step, taken};
use crate::model::Model;
use crate::model::value::Handle;
use crate::shrink::{Counterexample, Standing};

use super::paint::{Style, inert};
use super::readings::{duration, expected, line, readings};
use super::scene::Scene;
use super::snapshot::Snapshot;

/// The counterexample as people read it on a terminal.
pub fn story(model: &Model, found: &Counterexample, style: Style) -> String {
    let scene = Scene::new(model, found);
    let teller = Teller {
        scene: &scene,
        style,
        lasting: false,
    };
    teller.tell()
}

/// The story without what changes from run to run or with each edit of the model: what is kept in snapshots.
pub(super) fn lasting(model: &Model, found: &Counterexample) -> String {
    let scene = Scene::new(model, found);
    let teller = Teller {
        scene: &scene,
        style: Style::PLAIN,
        lasting: true,
    };
    teller.tell()
}

/// What is wrong, in a line.
pub(super) fn headline(id: &CheckId) -> String {
    match id {
        CheckId::Outcome { rule, expected } => match expected.as_str() {
            "ok" => format!("{rule} must succeed"),
            several if several.contains("-or-") || several.starts_with("ok ") => {
                format!("{rule} must end in {}", several.replace("-or-", " or "))
            }
            refusal => format!("{rule} must be refused: {refusal}"),
        },
        CheckId::Returns { rule, check } => {
            format!("{rule} answers something else than {check} says")
        }
        CheckId::Answer { rule, place } => format!("the answer of {rule} lacks {place}"),
        CheckId::ServerError { rule } => format!("the server fails at {rule}"),
        CheckId::Conformance { rule } => {
            format!("the answer to {rule} is none that the API describes")
        }
        CheckId::Invariant { name, rule } => format!("{name} does not hold after {rule}"),
        CheckId::Order { rules } => {
            format!(
                "no order explains what was answered at once: {}",
                rules.join(", ")
            )
        }
        CheckId::Malformed { rule } => {
            format!("{rule} must be refused where it is no proper request")
        }
        CheckId::Repeated { rule } => {
            format!("{rule} is answered otherwise when it is sent again")
        }
        CheckId::Recovers { rule } => {
            format!("the server does not recover: it still fails at {rule}")
        }
        CheckId::Key { rule } => {
            format!("{rule} takes the idempotency key of another request")
        }
        CheckId::Secret { rule, field } => format!("{rule} shows a secret: {field}"),
        CheckId::Internals { rule } => {
            format!("an error answer of {rule} shows the server's inside")
        }
        CheckId::Indistinguishable { rule } => {
            format!("{rule} tells what is hidden from what never was")
        }
        CheckId::Unique { rule, field } => format!("{rule} gives a {field} that another one has"),
        CheckId::Isolation { rule, field } => format!("{rule} shows what is private: {field}"),
    }
}

/// How surely it fails: `fails 3 of 10`.
pub fn standing(standing: Standing) -> String {
    match standing.never() {
        true => format!("did not reproduce (0 of {})", standing.runs),
        false => format!("fails {} of {}", standing.failed, standing.runs),
    }
}

/// What the server wrote in the replay that a counterexample shows, symbolised like everything that is shown.
pub fn log(model: &Model, found: &Counterexample) -> String {
    let scene = Scene::new(model, found);
    let lines = found.log.iter().map(|line| inert(&scene.text(line)) + "\n");
    lines.collect()
}

/// So many lines of the server's log are shown.
const LOG_LINES: usize = 12;

/// The status that came back.
pub(super) fn shown(exchange: &Exchange) -> String {
    let status = exchange.status();
    status.map_or("no answer".into(), |status| status.to_string())
}

pub(super) struct Teller<'a> {
    pub scene: &'a Scene<'a>,
    pub style: Style,
    /// Whether line numbers, seeds and counts are left out.
    pub lasting: bool,
}

impl Teller<'_> {
    fn tell(&self) -> String {
        let mut out = self.heading();
        out.push_str(&self.title("What happened"));
        out.push_str(&self.steps());
        out.push_str(&self.mirror());
        out.push_str(&self.readings());
        if !self.lasting {
            out.push_str(&self.server_log());
            out.push_str(&self.how_found());
        }
        out
    }

    fn title(&self, text: &str) -> String {
        format!("\n{}\n\n", self.style.bold(text))
    }

    fn heading(&self) -> String {
        let model = self.scene.model;
        let violation = &self.scene.found.violation;
        let what = inert(&headline(&violation.id));
        let mut out = format!("{} {}\n\n", self.style.bad("✗"), self.style.bold(&what));
        let says = match &violation.id {
            CheckId::Outcome { rule, .. } => {
                format!("The rule {rule} of the model {} says", model.name)
            }
            CheckId::Returns { rule, check } => format!("The check {check} of {rule} says"),
            CheckId::Answer { rule, .. } => {
                format!("The rule {rule} takes from the answer what is not there")
            }
            CheckId::ServerError { rule } => {
                format!("A server may refuse, but not fail (no_server_errors), at {rule}")
            }
            CheckId::Conformance { rule } => {
                format!("The API's own description (conformance) speaks of {rule}, at")
            }
            CheckId::Invariant { name, .. } => format!("The invariant {name} says"),
            CheckId::Order { .. } => {
                "What is done at once must come to the same as one after the other, in some order, by the rules"
                    .to_owned()
            }
            CheckId::Malformed { rule } => {
                format!("What is no JSON cannot be taken for a request, at {rule}")
            }
            CheckId::Repeated { rule } => {
                format!("The rule {rule} is idempotent, says the model")
            }
            CheckId::Recovers { rule } => {
                format!("Once a fault is over, a server has to answer again (recovers), at {rule}")
            }
            CheckId::Key { rule } => {
                format!("A key stands for one request, says the model of {rule}")
            }
            CheckId::Secret { field, .. } => {
                format!("{field} is a secret (no_secrets_leaked); it was shown by")
            }
            CheckId::Internals { rule } => format!(
                "An error answer says what is wrong, and not how the server is made (leaks_internals), at {rule}"
            ),
            CheckId::Indistinguishable { rule } => format!(
                "What somebody cannot see is answered like what never was (indistinguishable), at {rule}"
            ),
            CheckId::Unique { field, .. } => {
                format!("No two have the same {field}, which the server makes up (unique)")
            }
            CheckId::Isolation { field, .. } => {
                format!("{field} is private (isolation); it was shown by")
            }
        };
        let number = violation.line(model);
        let place = match self.lasting {
            true => format!("{}:", inert(&says)),
            false => format!("{}: {}:{number}", inert(&says), inert(&model.path)),
        };
        out.push_str(&self.style.wrap(&place, "  ", "  "));
        out.push_str(&format!("      {}\n", inert(line(model, number).trim())));
        out
    }

    fn steps(&self) -> String {
        let mut out = String::new();
        let setup = &self.scene.found.plan.setup;
        let failing = self.scene.found.violation.step;
        let mut from = 0;
        while let Some(first) = setup.get(from) {
            let alike = setup[from..]
                .iter()
                .take_while(|s| s.action.rule == first.action.rule && s.id != failing)
                .count();
            match alike {
                0 | 1 => {
                    out.push_str(&self.step(first));
                    out.push_str(&self.failing(first));
                    from += 1;
                }
                _ => {
                    out.push_str(&self.alike(&setup[from..from + alike]));
                    from += alike;
                }
            }
        }
        for steps in taken(&self.scene.found.plan.steps) {
            match steps {
                [step] => {
                    out.push_str(&self.step(step));
                    out.push_str(&self.failing(step));
                }
                race => out.push_str(&self.race(race)),
            }
        }
        out
    }

    /// What is wrong, if it is this step at which it fails.
    pub(super) fn failing(&self, step: &Step) -> String {
        let found = self.scene.found;
        match found.history.of_step(step.id) {
            Some(exchange) if step.id == found.violation.step => {
                self.failure(exchange, self.by_read())
            }
            _ => String::new(),
        }
    }

    /// Whether it was not the step's own answer that showed it.
    fn by_read(&self) -> bool {
        let shown = self.scene.shown_by();
        shown.is_some_and(|(_, read)| read) || self.scene.found.violation.event.is_none()
    }

    /// Steps of the set-up that do the same, in one.
    fn alike(&self, steps: &[Step]) -> String {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            return String::new();
        };
        let rule = &self.scene.model.rules[first.action.rule];
        let created: Vec<_> = steps.iter().flat_map(|s| self.created(s)).collect();
        let statuses: std::collections::BTreeSet<u16> = steps
            .iter()
            .filter_map(|s| self.scene.found.history.of_step(s.id))
            .filter_map(Exchange::status)
            .collect();
        let statuses: Vec<_> = statuses.iter().map(u16::to_string).collect();
        let mut text = format!(
            "{}: {}, {} times ({} {} → {}) {}",
            self.style.name(&self.scene.actor(first)),
            rule.name,
            steps.len(),
            rule.request.method,
            inert(&rule.request.path),
            statuses.join(" or "),
            self.style.good("✓")
        );
        if !created.is_empty() {
            text.push_str(&format!("  makes {}", created.join(", ")));
        }
        self.style
            .wrap(&text, &number(&format!("{}–{}", first.id, last.id)), INDENT)
    }

    fn created(&self, step: &Step) -> Vec<String> {
        let created = self.scene.created(step.id);
        created
            .into_iter()
            .map(|h| inert(&self.scene.names.get(h)))
            .collect()
    }

    pub(super) fn step(&self, step: &Step) -> String {
        let scene = self.scene;
        let rule = &scene.model.rules[step.action.rule];
        let (picks, args) = scene.particulars(step);
        let mut text = format!(
            "{}: {}",
            self.style.name(&scene.actor(step)),
            self.style.bold(&rule.name)
        );
        if !picks.is_empty() {
            text.push_str(&format!(" {}", picks.join(", ")));
        }
        if !args.is_empty() && step.delivery.again().is_none() {
            text.push_str(&format!(" — {}", args.join(", ")));
        }
        if let Some(how) = step.delivery.in_words() {
            text.push_str(&format!(" — {}", self.style.bold(&how)));
        }
        let mut out = self
            .style
            .wrap(&text, &number(&step.id.to_string()), INDENT);
        let failing = step.id == scene.found.violation.step;
        let Some(exchange) = scene.found.history.of_step(step.id) else {
            out.push_str(&format!("{INDENT}{}\n", self.style.dim("(not sent)")));
            return out;
        };
        let disputed = match &scene.found.violation.finding {
            Finding::NoOrder(dispute) => dispute.core.contains(&step.id),
            _ => match scene.shown_by() {
                Some((shown, false)) => std::ptr::eq(shown, exchange),
                _ => failing,
            },
        };
        let wrong = disputed && !self.by_read();
        let status = exchange.status();
        let mark = match wrong {
            true => self.style.bad("✗"),
            false => self.style.good("✓"),
        };
        let mut text = format!(
            "{} → {} {mark}",
            self.style.dim(&scene.request_line(step, &exchange.request)),
            shown(exchange)
        );
        let created = self.created(step);
        if !created.is_empty() {
            text.push_str(&format!("  makes {}", created.join(", ")));
        } else if status.is_some_and(|status| status >= 300) && !wrong {
            text.push_str(&format!("  {}", self.style.dim(&scene.body(exchange, 3))));
        }
        out.push_str(&self.style.wrap(&text, INDENT, DEEPER));
        out
    }

    /// What was expected, beside what came.
    fn failure(&self, exchange: &Exchange, by_read: bool) -> String {
        let scene = self.scene;
        let violation = &scene.found.violation;
        let mut out = String::new();
        if by_read {
            out.push_str(&self.read());
        }
        match &violation.finding {
            Finding::Status { observed, .. } => {
                for (index, expected) in expected(scene).iter().enumerate() {
                    let label = if index == 0 { "expected" } else { "or" };
                    out.push_str(
                        &self.pair(label, &format!("{} {}", expected.statuses, expected.why)),
                    );
                }
                let came = format!("{observed} {}", scene.body(exchange, 12));
                out.push_str(&self.pair("came", &came));
            }
            Finding::ServerError { observed } => {
                let exchange = scene.shown_by().map_or(exchange, |(shown, _)| shown);
                out.push_str(&self.pair("expected", "any answer but a failure of the server"));
                out.push_str(
                    &self.pair("came", &format!("{observed} {}", scene.body(exchange, 12))),
                );
            }
            Finding::NoOrder(dispute) => out.push_str(&self.dispute(dispute)),
            Finding::Silence { reason } => {
                out.push_str(&self.pair("expected", "an answer"));
                out.push_str(&self.pair("came", &format!("none: {}", scene.text(reason))));
            }
            Finding::Undescribed(mismatch) => {
                out.push_str(&self.pair("expected", &mismatch.expected));
                out.push_str(&self.pair("came", &scene.text(&mismatch.observed)));
            }
            Finding::Untrue {
                claim,
                reason,
                parts,
            } => {
                out.push_str(&self.claim("claim", claim, parts));
                if let Some(reason) = reason {
                    out.push_str(&self.pair("but", &scene.text(reason)));
                }
                if !by_read {
                    out.push_str(&self.pair("came", &scene.body(exchange, 12)));
                }
            }
            Finding::Late {
                claim,
                within,
                parts,
            } => {
                let label = format!("within {}", duration(*within));
                out.push_str(&self.claim(&label, claim, parts));
            }
            Finding::Internals { what, evidence } => {
                let text = format!("the answer shows {what}: {}", scene.text(evidence));
                out.push_str(&self.pair("came", &text));
            }
            Finding::Twin { made, other, field } => {
                let (made, other) = (scene.names.get(*made), scene.names.get(*other));
                let text = format!("the {field} of {made} is that of {other}");
                out.push_str(&self.pair("came", &inert(&text)));
            }
            Finding::Shown { owner, field, to } => {
                let to = to.map_or("anybody who asks".to_owned(), |to| scene.names.get(to));
                let owner = scene.names.get(*owner);
                let shown = format!("the answer shows {to} the {field} of {owner}");
                out.push_str(&self.pair("came", &inert(&shown)));
                let exchange = scene.shown_by().map_or(exchange, |(shown, _)| shown);
                out.push_str(&self.pair("body", &scene.body(exchange, 12)));
            }
        }
        out
    }

    fn claim(&self, label: &str, claim: &str, parts: &Parts) -> String {
        let claim = claim.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut out = self.pair(label, &format!("{} — is not true", self.scene.text(&claim)));
        for (part, value) in parts {
            let shown = match value {
                Ok(value) => self.scene.observed(part, value),
                Err(error) => format!("has no value: {}", self.scene.text(&error.to_string())),
            };
            out.push_str(&self.pair("where", &format!("{} is {shown}", self.scene.text(part))));
        }
        out
    }

    /// The read that showed it, if one did.
    fn read(&self) -> String {
        let scene = self.scene;
        let violation = &scene.found.violation;
        let (
            Some((exchange, true)),
            CheckId::Invariant { name, .. }
            | CheckId::ServerError { rule: name }
            | CheckId::Conformance { rule: name }
            | CheckId::Secret { rule: name, .. }
            | CheckId::Internals { rule: name }
            | CheckId::Isolation { rule: name, .. },
        ) = (scene.shown_by(), &violation.id)
        else {
            return String::new();
        };
        let invariant = scene.model.invariants.iter().find(|i| *i.name == **name);
        let line = match invariant.and_then(|i| i.read.as_ref()) {
            Some(read) => scene.read_line(&read.request, &exchange.request, violation.entity),
            None => scene.text(&format!(
                "{} {}",
                exchange.request.method, exchange.request.path
            )),
        };
        let when = match violation.at_end {
            true => "at the end",
            false => "then read",
        };
        let text = format!("{line} → {} {}", shown(exchange), self.style.bad("✗"));
        let mut out = self.pair(when, &text);
        if !matches!(
            violation.finding,
            Finding::Shown { .. } | Finding::ServerError { .. } | Finding::Silence { .. }
        ) {
            out.push_str(&self.pair("came", &scene.body(exchange, 12)));
        }
        out
    }

    pub(super) fn pair(&self, label: &str, text: &str) -> String {
        let first = format!("{INDENT}{label:<10}");
        self.style.wrap(text, &first, &format!("{INDENT}{:10}", ""))
    }

    /// What the mirror held of what the failing step is about.
    fn mirror(&self) -> String {
        let scene = self.scene;
        let violation = &scene.found.violation;
        let mut handles: Vec<Handle> = scene.failing().map(Step::names).unwrap_or_default();
        handles.extend(&violation.touched);
        handles.extend(violation.entity);
        let mut seen = Vec::new();
        handles.retain(|h| {
            !seen.contains(h) && {
                seen.push(*h);
                true
            }
        });
        let mut rows = Vec::new();
        for handle in handles {
            if let Some(record) = violation.before.get(handle) {
                rows.push((
                    inert(&scene.names.get(handle)),
                    scene.record(handle, record),
                ));
            }
        }
        if rows.is_empty() {
            return String::new();
        }
        let mut out = self.title(&format!("What was known before step {}", violation.step));
        let widest = rows
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or(0);
        for (name, record) in rows {
            let first = format!("  {name:widest$}  ");
            let rest = " ".repeat(widest + 4);
            out.push_str(&self.style.wrap(&record, &first, &rest));
        }
        out
    }

    fn readings(&self) -> String {
        let readings = readings(self.scene);
        let mut out = self.title("Either the API is wrong, or the model is");
        let api = format!("If the API is wrong: {}", readings.api);
        out.push_str(&self.style.wrap(&api, "  ", "    "));
        if self.lasting {
            return out;
        }
        let model = self.scene.model;
        let number = readings
            .edit
            .as_ref()
            .map_or(self.scene.found.violation.line(model), |e| e.line);
        let place = format!("{}:{number}", inert(&model.path));
        let text = format!(
            "If the API is right, change the model: {place} — {}",
            readings.model
        );
        out.push_str(&self.style.wrap(&text, "  ", "    "));
        match readings.edit {
            Some(edit) => {
                out.push_str(&format!(
                    "    {}\n",
                    self.style.bad(&format!("- {}", inert(edit.old.trim())))
                ));
                if let Some(new) = edit.new {
                    out.push_str(&format!(
                        "    {}\n",
                        self.style.good(&format!("+ {}", inert(new.trim())))
                    ));
                }
            }
            None => out.push_str(&format!("      {}\n", inert(line(model, number).trim()))),
        }
        out
    }

    /// The last that the server wrote, where its log is known.
    fn server_log(&self) -> String {
        let log = &self.scene.found.log;
        if log.is_empty() {
            return String::new();
        }
        let mut out = self.title("What the server wrote last");
        let from = log.len().saturating_sub(LOG_LINES);
        for line in &log[from..] {
            let line = inert(&self.scene.text(line));
            out.push_str(&self.style.wrap(&self.style.dim(&line), "  ", "    "));
        }
        out
    }

    fn how_found(&self) -> String {
        let found = self.scene.found;
        let mut out = self.title("How it was found");
        let steps = found.plan.len();
        let origin = match found.seed {
            Some(seed) => format!(
                "Seed {seed}; {} of {} steps remain, after {} replays and {} requests.",
                steps, found.found_in, found.replays, found.requests
            ),
            None => format!(
                "Replayed from a file: {steps} steps, {} requests.",
                found.requests
            ),
        };
        if !found.also.is_empty() {
            let also: Vec<String> = found.also.iter().map(|id| inert(&headline(id))).collect();
            let also = format!("The same steps break more: {}.", also.join("; "));
            out.push_str(&self.style.wrap(&also, "  ", "  "));
        }
        let sure = standing(found.standing);
        let sure = match found.standing.certain() {
            true => sure,
            false => self.style.bad(&sure),
        };
        out.push_str(&self.style.wrap(&format!("{origin} It {sure}."), "  ", "  "));
        let path = Snapshot::path(
            "snapshots".as_ref(),
            &self.scene.model.name,
            &found.violation.id,
        );
        out.push_str(&format!(
            "\nReplay: gainsay replay {}\n",
            inert(&path.display().to_string())
        ));
        out
    }
}

/// What stands in front of the lines of a step.
pub(super) const INDENT: &str = "        ";
const DEEPER: &str = "            ";

pub(super) fn number(text: &str) -> String {
    format!("  {text:<6}")
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Slip, found, model};
    use super::*;

    fn plain(slip: Slip) -> String {
        let model = model();
        story(&model, &found(&model, slip, 3), Style::PLAIN)
    }

    #[test]
    fn what_is_accepted_and_must_not_be() {
        insta::assert_snapshot!(plain(Slip::PublishesForAnybody));
    }

    #[test]
    fn a_refusal_with_another_status() {
        insta::assert_snapshot!(plain(Slip::RefusesOtherwise));
    }

    #[test]
    fn an_invariant_that_a_read_breaks() {
        insta::assert_snapshot!(plain(Slip::ForgetsToPublish));
    }

    #[test]
    fn a_failure_whose_text_a_terminal_would_obey() {
        let text = plain(Slip::Fails);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_new_key_in_an_answer_that_should_not_be() {
        let text = plain(Slip::RegistersTwice);
        assert!(
            !text.contains("_secret") && !text.contains("1b4e28ba"),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let model = model();
        let found = found(&model, Slip::PublishesForAnybody, 3);
        let painted = story(
            &model,
            &found,
            Style {
                color: true,
                width: 100,
            },
        );
        let bare = regex::Regex::new("\u{1b}\\[[0-9;]*m")
            .map(|r| r.replace_all(&painted, "").into_owned());
        assert!(painted.contains('\u{1b}'));
        assert_eq!(bare.ok(), Some(story(&model, &found, Style::PLAIN)));
    }

    #[test]
    fn what_is_kept_is_the_same_in_every_run() {
        let model = model();
        for slip in [
            Slip::PublishesForAnybody,
            Slip::RefusesOtherwise,
            Slip::ForgetsToPublish,
            Slip::Fails,
        ] {
            assert_eq!(
                lasting(&model, &found(&model, slip, 3)),
                lasting(&model, &found(&model, slip, 4))
            );
        }
    }

    #[test]
    fn how_surely_it_fails() {
        assert_eq!(standing(Standing { failed: 2, runs: 2 }), "fails 2 of 2");
        assert_eq!(
            standing(Standing { failed: 0, runs: 5 }),
            "did not reproduce (0 of 5)"
        );
    }
}
