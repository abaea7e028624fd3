//! Cases: the ways that a rule may go for one entity, as far as one of its fields is concerned.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::domain::Domain;
use crate::model::value::Value;

use super::State;

/// Longer conditions are not written onto an arrow.
const LONGEST: usize = 60;

/// What the arguments may still be that are drawn from a few constants.
pub(super) type Choices<'a> = BTreeMap<&'a str, BTreeSet<State>>;

/// A way that a rule may go: what the field was, and what it is by now.
#[derive(Clone, Debug)]
pub(super) struct Case<'a> {
    pub from: State,
    pub to: State,
    pub choices: Choices<'a>,
    /// What else it takes to get there.
    pub conditions: Conditions,
    /// By which effect the field got its value, counted from 1; 0 is none of this rule.
    pub written: usize,
    /// Whether it got another value of the same state, as a book does that goes from one borrower to the next.
    pub again: bool,
}

/// Conditions, as far as they are short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    told: Vec<String>,
    /// There are some that are too long to tell.
    more: bool,
}

impl Case<'_> {
    /// Whether there is something to see.
    pub fn moves(&self) -> bool {
        let passing = self.from == State::Start && self.to == State::Gone;
        self.written > 0 && !passing && (self.from != self.to || self.again)
    }

    /// Whether another case is this one under some more conditions.
    fn covers(&self, other: &Case<'_>) -> bool {
        let wider = |(name, values): (&&str, &BTreeSet<State>)| {
            let mine = self.choices.get(name);
            mine.is_none_or(|mine| mine.is_superset(values))
        };
        self.from == other.from
            && self.to == other.to
            && self.again == other.again
            && (self.written > 0) == (other.written > 0)
            && self.conditions.within(&other.conditions)
            && other.choices.iter().all(wider)
    }
}

/// Cases without those that others cover.
pub(super) fn thinned(cases: Vec<Case<'_>>) -> Vec<Case<'_>> {
    let mut kept: Vec<Case<'_>> = Vec::new();
    for case in cases {
        if !kept.iter().any(|other| other.covers(&case)) {
            kept.retain(|other| !case.covers(other));
            kept.push(case);
        }
    }
    kept
}

impl Conditions {
    /// Adds one that was asked before these.
    pub fn only_if(&mut self, condition: Option<&str>) {
        self.add(condition.map(|text| format!("if {text}")), 0);
    }

    /// Adds one that was asked after these, and must not hold.
    pub fn unless(&mut self, condition: Option<&str>) {
        let last = self.told.len();
        self.add(condition.map(|text| format!("unless {text}")), last);
    }

    fn add(&mut self, condition: Option<String>, at: usize) {
        if self.more {
            return;
        }
        match condition {
            Some(told) if !self.told.contains(&told) => self.told.insert(at, told),
            Some(_) => {}
            None => self.more = true,
        }
        if self.more || self.told.join(", ").chars().count() > LONGEST {
            self.told.clear();
            self.more = true;
        }
    }

    fn within(&self, other: &Conditions) -> bool {
        match self.more {
            true => other.more,
            false if self.told.is_empty() => true,
            false => !other.more && self.told.iter().all(|told| other.told.contains(told)),
        }
    }

    /// The conditions as an arrow's label has them, if there are any.
    pub fn text(&self) -> Option<String> {
        match (self.more, self.told.is_empty()) {
            (true, _) => Some("under a condition".to_owned()),
            (false, true) => None,
            (false, false) => Some(self.told.join(", ")),
        }
    }
}

/// The constants that an argument is drawn from, where it is from nothing else.
pub(super) fn constants(domain: &Domain) -> Option<BTreeSet<State>> {
    match domain {
        Domain::Constant(Value::Text(text)) => Some(BTreeSet::from([State::Text(text.clone())])),
        Domain::OneOf(domains) => {
            let all: Option<Vec<_>> = domains.iter().map(constants).collect();
            Some(all?.into_iter().flatten().collect())
        }
        Domain::Optional(inner) => {
            let mut states = constants(inner)?;
            states.insert(State::Null);
            Some(states)
        }
        _ => None,
    }
}
