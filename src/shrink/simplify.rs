//! Simpler arguments: for each argument the values worth trying, simplest first, and the choice among them. The list
//! depends on the domain alone, so that two counterexamples of one failure end up with the same arguments.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reduce::{Candidate, Deed, Keep, Reducer};
use crate::generate::{invalid_values, rehearse_step, simplest};
use crate::model::domain::Domain;
use crate::model::expression::EvalError;
use crate::model::value::Value;

/// Lists are tried up to this length; longer ones are rarely what a failure is about.
const LONGEST: usize = 12;
/// So many combinations of what a step may choose between are tried.
const COMBINATIONS: usize = 96;

impl Reducer<'_> {
    /// The candidate with the simplest arguments that leave its steps alike.
    pub(super) fn simpler_arguments(&self, candidate: &Candidate, keep: Keep) -> Candidate {
        let mut kept = candidate.clone();
        let Some((deeds, _)) = self.deeds(&kept.steps) else {
            return kept;
        };
        for index in 0..kept.steps.len() {
            self.compute(&mut kept, index, &deeds, keep);
            let ladders = self.ladders(&kept, index, keep);
            for (position, ladder) in ladders.iter().enumerate() {
                self.first_alike(
                    &mut kept,
                    index,
                    &deeds,
                    keep,
                    ladder.iter().map(|v| vec![(position, v)]),
                );
            }
            let choices: Vec<usize> = (0..ladders.len())
                .filter(|p| {
                    is_choice(&self.model.rules[kept.steps[index].action.rule].args[*p].domain)
                })
                .collect();
            if choices.len() > 1 {
                let combinations = combinations(&choices, &ladders);
                self.first_alike(&mut kept, index, &deeds, keep, combinations.into_iter());
            }
        }
        kept
    }

    /// Puts the first of the changes into place that leaves the candidate alike; stops at what it has already.
    fn first_alike<'v>(
        &self,
        kept: &mut Candidate,
        index: usize,
        deeds: &BTreeMap<u32, Deed>,
        keep: Keep,
        changes: impl Iterator<Item = Vec<(usize, &'v Value)>>,
    ) {
        for change in changes {
            let args = &kept.steps[index].action.args;
            if change
                .iter()
                .all(|(position, value)| args[*position] == **value)
            {
                return;
            }
            let mut simpler = kept.clone();
            for (position, value) in change {
                simpler.steps[index].action.args[position] = value.clone();
            }
            let simpler = simpler.synced();
            if self.alike(&simpler, deeds, keep) {
                *kept = simpler;
                return;
            }
        }
    }

    /// What is computed from the mirror is computed anew, since what it is made of may have become simpler.
    fn compute(&self, kept: &mut Candidate, index: usize, deeds: &BTreeMap<u32, Deed>, keep: Keep) {
        let rule = &self.model.rules[kept.steps[index].action.rule];
        if !rule
            .args
            .iter()
            .any(|a| matches!(a.domain, Domain::Computed(_)))
        {
            return;
        }
        let mut mirror = self.start.clone();
        for step in &kept.steps[..index] {
            rehearse_step(self.model, &mut mirror, step);
        }
        for (position, arg) in rule.args.iter().enumerate() {
            let Domain::Computed(expression) = &arg.domain else {
                continue;
            };
            let names = self.model.names(&kept.steps[index].action, false);
            let value = match expression.eval(&self.model.scope(&mirror, &names)) {
                Ok(value) => value,
                Err(EvalError::Unknown) => Value::Unknown,
                Err(EvalError::Failed(_)) => continue,
            };
            self.first_alike(
                kept,
                index,
                deeds,
                keep,
                std::iter::once(vec![(position, &value)]),
            );
        }
    }

    /// For each argument of a step the values worth trying, simplest first.
    fn ladders(&self, candidate: &Candidate, index: usize, keep: Keep) -> Vec<Vec<Value>> {
        let step = &candidate.steps[index];
        let rule = &self.model.rules[step.action.rule];
        rule.args
            .iter()
            .zip(&step.action.args)
            .map(|(arg, current)| {
                // What is invalid on purpose stays invalid; in which way may be part of the failure.
                if !arg.domain.contains(current) {
                    return match keep {
                        Keep::Outcomes | Keep::Last => invalid_values(arg, rule.strict),
                        Keep::Effects => vec![current.clone()],
                    };
                }
                let mut ladder = Vec::new();
                // Numbers of fresh values only tell them apart; renumbering puts them in order.
                let fresh = step.id.saturating_mul(100).saturating_add(1_000_000);
                climb(&arg.domain, current, fresh, &mut ladder);
                // Something may show where nothing does not.
                ladder.retain(|v| keep != Keep::Effects || is_nothing(v) == is_nothing(current));
                ladder.dedup();
                ladder
            })
            .collect()
    }
}

/// A value of a domain, made from nothing: as simple as can be, with the `nth` of each choice, and with fresh numbers from
/// `fresh` for what must be unique.
pub(super) fn instance(domain: &Domain, nth: usize, fresh: &mut u32) -> Option<Value> {
    match domain {
        Domain::Unique { prefix } => {
            *fresh = fresh.saturating_add(1);
            Some(Value::Fresh(prefix.clone(), *fresh))
        }
        Domain::OneOf(domains) => {
            let choice = domains.get(nth).or(domains.last())?;
            instance(choice, nth, fresh)
        }
        Domain::Map(fields) => {
            let entries = fields.iter().map(|(name, inner)| {
                let value = instance(inner, nth, fresh)?;
                Some((Value::text(name.as_str()), value))
            });
            let entries: Option<Vec<_>> = entries.collect();
            let present = entries?.into_iter().filter(|(_, v)| *v != Value::Absent);
            Some(Value::Map(Arc::new(present.collect())))
        }
        domain => simplest(domain),
    }
}

/// Whether some arguments are others with some of them left out or empty.
pub(super) fn only_leaves_out(args: &[Value], simple: &[Value]) -> bool {
    let mut pairs = args.iter().zip(simple);
    pairs.all(|(arg, simple)| arg == simple || is_nothing(simple) && !is_nothing(arg))
}

/// Whether the value is left out or empty.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Absent | Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether the domain is a matter of choosing rather than of size.
fn is_choice(domain: &Domain) -> bool {
    matches!(
        domain,
        Domain::OneOf(_) | Domain::Optional(_) | Domain::Bool | Domain::List { .. }
    )
}

/// The combinations of values for some positions, those with the simplest values first.
fn combinations<'v>(
    positions: &[usize],
    ladders: &'v [Vec<Value>],
) -> Vec<Vec<(usize, &'v Value)>> {
    let mut all: Vec<(usize, Vec<(usize, &Value)>)> = vec![(0, Vec::new())];
    for position in positions {
        let mut next = Vec::new();
        for (rank, chosen) in &all {
            for (more, value) in ladders[*position].iter().enumerate() {
                let mut chosen = chosen.clone();
                chosen.push((*position, value));
                next.push((rank + more, chosen));
            }
        }
        // Stable: of equal rank, the first argument's simplest first.
        next.sort_by_key(|(rank, _)| *rank);
        next.truncate(COMBINATIONS * 4);
        all = next;
    }
    all.truncate(COMBINATIONS);
    all.into_iter().map(|(_, chosen)| chosen).collect()
}

/// Values of a domain, simplest first. `current` only says which unique value to keep.
fn climb(domain: &Domain, current: &Value, fresh: u32, out: &mut Vec<Value>) {
    match domain {
        Domain::Text { min, max } => {
            // The second is for what must differ from the first.
            for letter in ["a", "b"] {
                out.push(Value::text(letter.repeat(*min)));
            }
            if *min == 0 && max.is_none_or(|max| max > 0) {
                out.push(Value::text("a"));
            }
        }
        Domain::Int { min, max } => {
            out.extend(simplest(domain));
            let next = min.saturating_add(1);
            if max.is_none_or(|max| next <= max) {
                out.push(Value::Int(next));
            }
            out.extend(max.map(Value::Int));
        }
        Domain::Number { max, .. } => {
            out.extend(simplest(domain));
            out.extend(max.map(|max| Value::Number(max.into())));
        }
        Domain::Bool => out.extend([Value::Bool(false), Value::Bool(true)]),
        Domain::OneOf(domains) => {
            for domain in domains {
                climb(domain, current, fresh, out);
            }
        }
        Domain::Optional(inner) => {
            out.push(Value::Absent);
            climb(inner, current, fresh, out);
        }
        Domain::List { item, min, max } => {
            let longest = max.unwrap_or(min + 3).min(LONGEST.max(*min));
            let item = simplest(item);
            for length in *min..=longest {
                match (&item, length) {
                    (_, 0) => out.push(Value::List(Vec::new().into())),
                    (Some(item), _) => out.push(Value::List(vec![item.clone(); length].into())),
                    (None, _) => {}
                }
            }
        }
        Domain::Map(fields) => {
            out.extend(simplest(domain));
            let Value::Map(map) = current else { return };
            // Entry by entry, where the whole cannot be at its simplest.
            for (name, inner) in fields {
                let key = Value::text(name.as_str());
                if let (Some(simple), true) = (simplest(inner), map.contains_key(&key)) {
                    let mut map = map.as_ref().clone();
                    map.insert(key, simple);
                    out.push(Value::Map(Arc::new(map)));
                }
            }
        }
        Domain::Unique { prefix } => match current {
            Value::Fresh(..) => out.push(current.clone()),
            _ => out.push(Value::Fresh(prefix.clone(), fresh)),
        },
        Domain::Computed(_)
        | Domain::Canary
        | Domain::Pattern { .. }
        | Domain::TimeFromNow { .. } => {}
        Domain::Uuid | Domain::Email | Domain::Json | Domain::Tuple(_) | Domain::Constant(_) => {
            out.extend(simplest(domain));
        }
    }
}
