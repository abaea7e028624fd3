//! States: which rules lead an entity from which value of a field to which other one. It is read off what requirements and
//! conditions say of the field and off what effects make of it; nothing is evaluated. What they do not say may be either
//! way, so a diagram shows an arrow too many rather than one too few.

mod case;
mod mermaid;
mod question;
mod scope;
mod walk;

use std::sync::Arc;

use super::show::one_line;
use super::types::Type;
use super::value::KindId;
use super::{Kind, Model};
use case::{Case, Conditions};
use walk::Walk;

/// What a field may be, as far as a diagram tells it apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// The entity is not there yet. Of one that is there: nothing is known.
    Start,
    Text(Arc<str>),
    Null,
    /// Some entity; which one makes no difference.
    Set,
    Gone,
}

/// The field that is looked at.
#[derive(Clone, Copy)]
struct Subject<'a> {
    kind: KindId,
    field: usize,
    name: &'a str,
    /// Whether it refers to an entity, or to none.
    reference: bool,
}

/// A field whose values are stages of an entity's life, and what leads from one to another.
#[derive(Debug)]
pub(super) struct Stages {
    pub field: String,
    /// The stages in the order in which the model comes to them.
    states: Vec<State>,
    arrows: Vec<Arrow>,
}

#[derive(Debug)]
struct Arrow {
    from: State,
    to: State,
    labels: Vec<String>,
}

/// The walk through an outcome's effects.
struct Walked<'a> {
    rule: &'a str,
    /// Which outcome it is, where that goes without saying for none.
    outcome: Option<String>,
    walk: Walk<'a>,
}

impl Model {
    /// The fields of a kind whose values are stages: texts that are always one of a few constants and change, and
    /// references that come and go.
    pub(super) fn stages(&self, kind: &Kind) -> Vec<Stages> {
        let Some(id) = self.kinds.iter().position(|k| k.name == kind.name) else {
            return Vec::new();
        };
        let Ok(id) = u16::try_from(id) else {
            return Vec::new();
        };
        let subjects = kind.fields.iter().enumerate().filter_map(|(index, field)| {
            let reference = match (&field.ty, field.ty.bare()) {
                (_, Type::Text) => false,
                (Type::Optional(_), Type::Entity(_)) => true,
                _ => return None,
            };
            Some(Subject {
                kind: KindId(id),
                field: index,
                name: &field.name,
                reference,
            })
        });
        subjects
            .filter_map(|subject| self.stages_of(subject))
            .collect()
    }

    fn stages_of(&self, subject: Subject<'_>) -> Option<Stages> {
        let states = self.states(subject)?;
        let mut arrows = Vec::new();
        for walked in self.walks(subject, &states) {
            for case in walked.walk.cases() {
                let label = walked.label(&case.conditions);
                draw(&mut arrows, &case, label);
            }
        }
        let place = |state: &State| match state {
            State::Start => 0,
            State::Gone => states.len() + 1,
            state => 1 + states.iter().take_while(|other| *other != state).count(),
        };
        arrows.sort_by_key(|arrow| (place(&arrow.from), place(&arrow.to)));
        Some(Stages {
            field: subject.name.to_owned(),
            states,
            arrows,
        })
    }

    /// The values that a field has, if these are stages.
    fn states(&self, subject: Subject<'_>) -> Option<Vec<State>> {
        let (mut created, mut set) = (Vec::new(), Vec::new());
        for walked in self.walks(subject, &[]) {
            created.extend(walked.walk.created);
            set.extend(walked.walk.set);
        }
        if subject.reference {
            let comes_and_goes = [State::Null, State::Set]
                .iter()
                .all(|state| set.contains(&Some(state.clone())));
            return comes_and_goes.then(|| vec![State::Null, State::Set]);
        }
        // Where a field keeps its value, nothing is known of that.
        let kept = Some(State::Start);
        let changes = !created.is_empty() && set.iter().any(|state| *state != kept);
        let mut states = Vec::new();
        for state in created.into_iter().chain(set) {
            let state = state?;
            if state != State::Start && !states.contains(&state) {
                states.push(state);
            }
        }
        (changes && states.len() > 1).then_some(states)
    }

    /// The walks through the effects of all outcomes.
    fn walks<'a>(&'a self, subject: Subject<'a>, states: &[State]) -> Vec<Walked<'a>> {
        let mut all = Vec::new();
        for rule in &self.rules {
            for success in &rule.successes {
                let mut walk = Walk::new(self, subject, states, rule);
                for requirement in &rule.requires {
                    walk.given(&requirement.that, true);
                }
                if let Some(when) = &success.when {
                    walk.given(when, true);
                }
                walk.run(&success.effects);
                all.push(Walked {
                    rule: &rule.name,
                    outcome: success.name.as_ref().map(ToString::to_string),
                    walk,
                });
            }
            for (index, requirement) in rule.requires.iter().enumerate() {
                if requirement.effects.is_empty() {
                    continue;
                }
                let mut walk = Walk::new(self, subject, states, rule);
                if rule.strict_order {
                    for earlier in &rule.requires[..index] {
                        walk.given(&earlier.that, true);
                    }
                }
                walk.given(&requirement.that, false);
                walk.run(&requirement.effects);
                all.push(Walked {
                    rule: &rule.name,
                    outcome: Some(format!("refused by {}", requirement.name)),
                    walk,
                });
            }
        }
        all
    }
}

impl Walked<'_> {
    fn label(&self, conditions: &Conditions) -> String {
        let remarks: Vec<String> = self
            .outcome
            .clone()
            .into_iter()
            .chain(conditions.text())
            .collect();
        match remarks.is_empty() {
            true => self.rule.to_owned(),
            false => format!("{} ({})", self.rule, remarks.join(", ")),
        }
    }
}

fn draw(arrows: &mut Vec<Arrow>, case: &Case<'_>, label: String) {
    let known = arrows
        .iter_mut()
        .find(|arrow| arrow.from == case.from && arrow.to == case.to);
    match known {
        Some(arrow) if arrow.labels.contains(&label) => {}
        Some(arrow) => arrow.labels.push(label),
        None => arrows.push(Arrow {
            from: case.from.clone(),
            to: case.to.clone(),
            labels: vec![label],
        }),
    }
}

#[cfg(test)]
mod tests;
