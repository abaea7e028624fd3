//! Probes in histories: what was asked about what never was, beside an operation about what its actor cannot see.

use std::collections::BTreeSet;

use super::{Deed, Line, Operation, PlanRun, Purpose, Recorded as Plan, RecordingError, Wrong};
use crate::check::{CheckId, Probed, differences};
use crate::model::Model;
use crate::model::action::Action;

/// A probe that was read.
#[derive(Debug)]
pub(super) struct Recorded {
    /// The operation that it is beside.
    of: u32,
    line: usize,
    /// What was answered; nothing where nobody saw it.
    probed: Option<Probed>,
}

/// The steps of a run with probes beside them.
pub(super) fn probed(run: &PlanRun) -> BTreeSet<u32> {
    let events = run.history.events.iter();
    let of = events.filter_map(|event| match &event.purpose {
        Purpose::Probe { of, .. } => Some(*of),
        _ => None,
    });
    of.collect()
}

pub(super) fn read(plan: &mut Plan, at: usize, line: Line) -> Result<(), Wrong> {
    let (Some(of), None, None) = (line.probe, &line.rule, &line.read) else {
        let help = "a probe names the `id` of an operation, and nothing else: it asks the same";
        return Err(("it is a probe, and a rule or a read".to_owned(), help));
    };
    let answer = line.answer()?;
    let probed = answer.map(|answer| Probed {
        answer,
        made_up: line.made_up.into_iter().collect(),
    });
    plan.probes.push(Recorded {
        of,
        line: at,
        probed,
    });
    Ok(())
}

/// The attempt that a probe is beside.
fn attempt(plan: &Plan, of: u32) -> Option<(&Operation, &Action)> {
    plan.operations.iter().find_map(|op| match &op.deed {
        Deed::Act(action) if op.id == of => Some((op, action)),
        _ => None,
    })
}

/// Whether each probe is beside an attempt that may have been about what its actor cannot see.
pub(super) fn check(model: &Model, plan: &Plan) -> Result<(), RecordingError> {
    for probe in &plan.probes {
        let veiled = attempt(plan, probe.of).is_some_and(|(_, action)| {
            let picks = &model.rules[action.rule].picks;
            picks.iter().any(|pick| pick.veiled)
        });
        if !veiled {
            return Err(RecordingError::Line {
                line: probe.line,
                reason: format!(
                    "there is no operation {} in plan {} about what its actor may not see",
                    probe.of, plan.plan
                ),
                help: "`probe` is the `id` of an operation whose rule picks what has `visible_to`"
                    .into(),
            });
        }
    }
    Ok(())
}

/// What is wrong with the answers of a plan about what who asked cannot see, in words: they differ from those about what
/// never was.
pub fn told_apart(model: &Model, plan: &Plan) -> Vec<String> {
    if !model.has_builtin("indistinguishable") {
        return Vec::new();
    }
    let of: BTreeSet<u32> = plan.probes.iter().map(|probe| probe.of).collect();
    let mut wrong = Vec::new();
    for of in of {
        let Some((op, action)) = attempt(plan, of) else {
            continue;
        };
        let rule = &model.rules[action.rule];
        let (Some(hidden), probes) = (&op.answer, plan.probes.iter().filter(|p| p.of == of)) else {
            continue;
        };
        let refused = rule.picks.iter().zip(&rule.absent);
        let mut refused = refused.filter(|(pick, _)| pick.veiled);
        let says = |probe: &Probed| {
            probe.answer.status < 500 && !model.tolerate.allow(probe.answer.status)
        };
        let line = probes.clone().map(|probe| probe.line).next();
        let answers: Option<Vec<Probed>> = probes
            .map(|probe| probe.probed.clone().filter(says))
            .collect();
        // One alone may differ in what differs each time.
        let Some(answers) = answers.filter(|answers| answers.len() > 1) else {
            continue;
        };
        let differences = differences(hidden, &answers);
        if refused.any(|(_, statuses)| statuses.allow(hidden.status)) && !differences.is_empty() {
            let id = CheckId::Indistinguishable {
                rule: rule.name.clone(),
            };
            wrong.push(format!(
                "{id}: {of} is answered otherwise than what never was: it differs in {}  (line {})",
                super::inert(&differences.join(", ")),
                line.unwrap_or_default()
            ));
        }
    }
    wrong
}
