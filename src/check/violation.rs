//! Violations: which check failed, where, and what was expected beside what was observed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::internals::Internal;
use crate::model::Model;
use crate::model::expression::EvalError;
use crate::model::mirror::Mirror;
use crate::model::openapi::Mismatch;
use crate::model::value::{Handle, Value};

/// Which check failed. Two violations are of one failure when their ids are equal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckId {
    /// A status that the predicted outcomes do not have.
    Outcome {
        /// The rule.
        rule: String,
        /// The predicted outcomes, by name.
        expected: String,
    },
    /// A check of an answer.
    Returns {
        /// The rule.
        rule: String,
        /// The check.
        check: String,
    },
    /// An answer without something that the model takes from it.
    Answer {
        /// The rule.
        rule: String,
        /// The place that would have got it.
        place: String,
    },
    /// A 5xx.
    ServerError {
        /// The rule, or the invariant whose read it answered.
        rule: String,
    },
    /// An answer that the API's own description does not allow.
    Conformance {
        /// The rule, or the invariant whose read it answered.
        rule: String,
    },
    /// An invariant, after a step of this rule.
    Invariant {
        /// The invariant.
        name: String,
        /// The rule of the step before; or `a crash`, if that is what it came of.
        rule: String,
    },
    /// Answers to requests that were sent at once, which no order of them explains.
    Order {
        /// The rules whose answers contradict each other.
        rules: Vec<String>,
    },
    /// What was no proper request, and not refused.
    Malformed {
        /// The rule.
        rule: String,
    },
    /// A request that was sent again, and answered in another way although its rule is idempotent.
    Repeated {
        /// The rule.
        rule: String,
    },
    /// A request with the idempotency key of another one that was not refused.
    Key {
        /// The rule.
        rule: String,
    },
    /// A server that still fails some time after a fault was over.
    Recovers {
        /// The rule, or the invariant whose read it answered.
        rule: String,
    },
    /// A secret in an answer that is not its creation.
    Secret {
        /// The rule or the invariant whose answer shows it.
        rule: String,
        /// The kind and the field of the secret.
        field: String,
    },
    /// An error answer that shows how the server is made.
    Internals {
        /// The rule, or the invariant whose read it answered.
        rule: String,
    },
    /// An answer about what is hidden from who asks that differs from those about what never was.
    Indistinguishable {
        /// The rule.
        rule: String,
    },
    /// Two of a kind have what only one of them can have.
    Unique {
        /// The rule that made the second one.
        rule: String,
        /// The kind and the field.
        field: String,
    },
    /// A private value in an answer to somebody else.
    Isolation {
        /// The rule or the invariant whose answer shows it.
        rule: String,
        /// The kind and the field.
        field: String,
    },
}

impl CheckId {
    /// A name for files: letters, digits, dots and dashes.
    pub fn slug(&self) -> String {
        let text = match self {
            CheckId::Outcome { rule, expected } => format!("{rule}.{expected}"),
            CheckId::Returns { rule, check } => format!("{rule}.returns.{check}"),
            CheckId::Answer { rule, place } => format!("{rule}.answer.{place}"),
            CheckId::ServerError { rule } => format!("no_server_errors.{rule}"),
            CheckId::Conformance { rule } => format!("conformance.{rule}"),
            CheckId::Invariant { name, rule } => format!("{name}.{rule}"),
            CheckId::Order { rules } => format!("order.{}", rules.join(".")),
            CheckId::Malformed { rule } => format!("malformed.{rule}"),
            CheckId::Repeated { rule } => format!("idempotent.{rule}"),
            CheckId::Key { rule } => format!("idempotency_key.{rule}"),
            CheckId::Recovers { rule } => format!("recovers.{rule}"),
            CheckId::Secret { rule, field } => format!("no_secrets_leaked.{field}.{rule}"),
            CheckId::Internals { rule } => format!("leaks_internals.{rule}"),
            CheckId::Indistinguishable { rule } => format!("indistinguishable.{rule}"),
            CheckId::Unique { rule, field } => format!("unique.{field}.{rule}"),
            CheckId::Isolation { rule, field } => format!("isolation.{field}.{rule}"),
        };
        let mut slug = String::new();
        for c in text.chars() {
            match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' => slug.push(c),
                _ if slug.ends_with('-') => {}
                _ => slug.push('-'),
            }
        }
        slug.trim_matches('-').to_owned()
    }

    /// Whether it is the state that an answer does not fit, and not the answer that is wrong in any.
    pub(super) fn depends_on_the_state(&self) -> bool {
        matches!(
            self,
            CheckId::Outcome { .. }
                | CheckId::Returns { .. }
                | CheckId::Answer { .. }
                | CheckId::Invariant { .. }
                | CheckId::Order { .. }
        )
    }

    /// Whether two are of the same failure. An invariant that was found broken only at the end of a plan belongs to no
    /// step, and so to any.
    pub fn same_failure(&self, other: &CheckId) -> bool {
        match (self, other) {
            (CheckId::Invariant { name: a, .. }, CheckId::Invariant { name: b, .. }) => a == b,
            (CheckId::Order { rules: a }, CheckId::Order { rules: b }) => {
                a.iter().any(|rule| b.contains(rule))
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckId::Outcome { rule, expected } => write!(f, "{rule}: {expected}"),
            CheckId::Returns { rule, check } => write!(f, "{rule} returns {check}"),
            CheckId::Answer { rule, place } => write!(f, "{rule}: the answer lacks {place}"),
            CheckId::ServerError { rule } => write!(f, "no_server_errors: {rule}"),
            CheckId::Conformance { rule } => write!(f, "conformance: {rule}"),
            CheckId::Invariant { name, rule } => write!(f, "{name} after {rule}"),
            CheckId::Order { rules } => write!(f, "no order explains: {}", rules.join(" and ")),
            CheckId::Malformed { rule } => write!(f, "malformed: {rule}"),
            CheckId::Repeated { rule } => write!(f, "idempotent: {rule}"),
            CheckId::Key { rule } => write!(f, "idempotency key: {rule}"),
            CheckId::Recovers { rule } => write!(f, "recovers: {rule}"),
            CheckId::Secret { rule, field } => write!(f, "no_secrets_leaked: {field} in {rule}"),
            CheckId::Internals { rule } => write!(f, "leaks_internals: {rule}"),
            CheckId::Indistinguishable { rule } => write!(f, "indistinguishable: {rule}"),
            CheckId::Unique { rule, field } => write!(f, "unique: {field} in {rule}"),
            CheckId::Isolation { rule, field } => write!(f, "isolation: {field} in {rule}"),
        }
    }
}

/// Parts of a claim, and their values; or why they have none.
pub type Parts = Vec<(String, Result<Value, EvalError>)>;

/// What was wrong, in detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The status is none of those that the predicted outcomes have.
    Status {
        /// The predicted outcomes, and the statuses of each: `one_vote_each` → `409`.
        expected: Vec<(String, String)>,
        /// The status that came.
        observed: u16,
    },
    /// A check is not true of the answer.
    Untrue {
        /// The expression.
        claim: String,
        /// Why it has no value, where it has none.
        reason: Option<String>,
        /// What parts of the claim are, in the mirror and in the answer: `body.status` → `"draft"`.
        parts: Parts,
    },
    /// It was not true in time.
    Late {
        /// The expression.
        claim: String,
        /// The bound in milliseconds.
        within: u64,
        /// What parts of the claim were, the last time.
        parts: Parts,
    },
    /// The server failed.
    ServerError {
        /// The status.
        observed: u16,
    },
    /// No order of requests that were sent at once explains their answers.
    NoOrder(Dispute),
    /// The server gave no answer: it closed the connection, or took too long.
    Silence {
        /// What happened.
        reason: String,
    },
    /// The answer is none that the API describes.
    Undescribed(Mismatch),
    /// An error answer shows something of the server's inside.
    Internals {
        /// What it is.
        what: Internal,
        /// The part of the answer that tells.
        evidence: String,
    },
    /// What was made has an id or a secret that another one has.
    Twin {
        /// What was made.
        made: Handle,
        /// The other one.
        other: Handle,
        /// The name of the field.
        field: String,
    },
    /// A value was shown that must not be.
    Shown {
        /// Whose.
        owner: Handle,
        /// The kind and the field.
        field: String,
        /// To whom; nothing means to nobody in particular.
        to: Option<Handle>,
    },
}

/// How far requests that were sent at once can be put in an order, and what contradicts it then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// The steps whose answers contradict each other, whatever the others do.
    pub core: Vec<u32>,
    /// The steps of the longest order that explains its answers.
    pub order: Vec<u32>,
    /// What could come next, and what the rules would have answered.
    pub next: Vec<Contradiction>,
    /// What could not come first, where others could, and what the rules would have answered.
    pub first: Vec<Contradiction>,
}

/// An answer that does not fit after others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The step.
    pub step: u32,
    /// The predicted outcomes, and the statuses of each: `already_claimed` → `409`.
    pub expected: Vec<(String, String)>,
    /// The status that came.
    pub observed: u16,
    /// What else is wrong, where the status fits.
    pub wrong: Vec<String>,
}

/// A violation of the model.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which check.
    pub id: CheckId,
    /// The step after which it was seen.
    pub step: u32,
    /// What was predicted of that step: `ok`, or the outcomes by name.
    pub predicted: String,
    /// Whether it was seen only when the plan was over.
    pub at_end: bool,
    /// What was wrong.
    pub finding: Finding,
    /// The entity that an invariant is about.
    pub entity: Option<Handle>,
    /// The position of the exchange that showed it in the history.
    pub event: Option<usize>,
    /// The byte of the model file that says what must hold.
    pub place: usize,
    /// The mirror before the step.
    pub before: Mirror,
    /// What the violation touched.
    pub touched: Vec<Handle>,
}

impl Violation {
    /// The line of the model file that says what must hold.
    pub fn line(&self, model: &Model) -> usize {
        model.place(self.place).0
    }
}
