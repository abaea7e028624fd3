//! Demands: what an outcome asks of an action, expression by expression, each with the moment from which it can be
//! judged. Read off the model once.

use std::sync::Arc;

use crate::model::action::Outcome;
use crate::model::domain::Domain;
use crate::model::expression::{Expression, Uses};
use crate::model::{Model, Rule};

use super::conditions::Literal;

/// What an expression must yield.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    True,
    False,
    /// True, or unknown before the server has answered.
    NotFalse,
    /// False, or unknown.
    NotTrue,
}

/// An expression of a rule, or one that was made of a part of one.
#[derive(Clone, Debug)]
enum Which {
    Requirement(usize),
    When(usize),
    Part(Arc<Expression>),
}

/// What an expression must yield, and from when on that can be judged.
#[derive(Clone, Debug)]
pub(super) struct Demand {
    which: Which,
    pub want: Want,
    /// How much must be decided before: 0 is the principal, then come the picks, then the arguments.
    pub ready: usize,
    /// Which of the names that the rule gives to expressions it needs.
    lets: Vec<bool>,
}

/// All that an outcome asks for.
#[derive(Clone, Debug)]
pub(super) struct Demands {
    pub all: Vec<Demand>,
    /// The arguments that something depends on; the others can be drawn last.
    pub deciding: Vec<bool>,
}

impl Demand {
    /// What it needs of what the rule gives names to.
    pub fn lets<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = &'a (Arc<str>, Expression)> {
        let needed = rule.lets.iter().zip(&self.lets);
        needed
            .filter(|(_, needed)| **needed)
            .map(|(named, _)| named)
    }

    pub fn expression<'a>(&'a self, rule: &'a Rule) -> Option<&'a Expression> {
        match &self.which {
            Which::Requirement(index) => Some(&rule.requires[*index].that),
            Which::When(index) => rule.successes[*index].when.as_ref(),
            Which::Part(expression) => Some(expression),
        }
    }
}

impl Want {
    /// Whether a truth, or the lack of one, will do.
    pub fn accepts(self, truth: Option<bool>) -> bool {
        match self {
            Want::True => truth == Some(true),
            Want::False => truth == Some(false),
            Want::NotFalse => truth != Some(false),
            Want::NotTrue => truth != Some(true),
        }
    }
}

impl Demands {
    /// What an outcome of a rule asks for, and some more claims; nothing where no action can be predicted to have it.
    pub fn of(model: &Model, rule: usize, outcome: Outcome, claims: &[Literal]) -> Option<Demands> {
        let rule = &model.rules[rule];
        let mut all = Vec::new();
        let mut add = |which, want| {
            let mut demand = Demand {
                which,
                want,
                ready: 0,
                lets: Vec::new(),
            };
            if let Some(expression) = demand.expression(rule) {
                let (ready, lets) = ready(rule, &expression.uses);
                (demand.ready, demand.lets) = (ready, lets);
            }
            all.push(demand);
        };
        match outcome {
            Outcome::Refused(refused) => {
                for index in 0..rule.requires.len() {
                    // Alone, so that the answer shows that it was this one.
                    let want = match index == refused {
                        true => Want::False,
                        false if rule.strict_order && index > refused => continue,
                        false => Want::True,
                    };
                    add(Which::Requirement(index), want);
                }
            }
            outcome => {
                for index in 0..rule.requires.len() {
                    add(Which::Requirement(index), Want::NotFalse);
                }
                if let Outcome::Ok(success) = outcome {
                    for index in 0..success {
                        // The first success that is possible is the one that is assumed.
                        rule.successes[index].when.as_ref()?;
                        add(Which::When(index), Want::False);
                    }
                    if rule.successes[success].when.is_some() {
                        add(Which::When(success), Want::NotFalse);
                    }
                }
            }
        }
        for claim in claims {
            add(Which::Part(claim.that.clone()), claim.want);
        }
        let deciding = deciding(rule, &all);
        Some(Demands { all, deciding })
    }

    /// What the outcome depends on.
    pub fn uses(&self, rule: &Rule) -> Uses {
        let mut uses = Uses::default();
        for expression in self.all.iter().filter_map(|demand| demand.expression(rule)) {
            uses.add(&expression.uses);
        }
        with_lets(rule, uses)
    }
}

/// What expressions of a rule use, and the names that it gives to others that they use.
pub(super) fn with_lets(rule: &Rule, mut uses: Uses) -> Uses {
    // Names see only those before them.
    for (name, expression) in rule.lets.iter().rev() {
        if uses.variables.contains(name.as_ref()) {
            uses.add(&expression.uses);
        }
    }
    uses
}

/// The position after which everything is decided that an expression uses, and which names of the rule's it needs.
fn ready(rule: &Rule, uses: &Uses) -> (usize, Vec<bool>) {
    let used = with_lets(rule, uses.clone()).variables;
    let picks = rule.picks.iter().map(|pick| &pick.name);
    let args = rule.args.iter().map(|arg| &arg.name);
    let position = (1..)
        .zip(picks.chain(args))
        .filter(|(_, name)| used.contains(name.as_ref()))
        .map(|(position, _)| position)
        .max();
    let lets = rule.lets.iter();
    let lets = lets.map(|(name, _)| used.contains(name.as_ref())).collect();
    (position.unwrap_or(0), lets)
}

fn deciding(rule: &Rule, demands: &[Demand]) -> Vec<bool> {
    let mut deciding = vec![false; rule.args.len()];
    let mark = |uses: &Uses, deciding: &mut Vec<bool>| {
        for (index, arg) in rule.args.iter().enumerate() {
            deciding[index] |= uses.variables.contains(arg.name.as_ref());
        }
    };
    for demand in demands {
        if let Some(expression) = demand.expression(rule) {
            mark(&expression.uses, &mut deciding);
            if demand.lets.contains(&true) {
                rule.lets
                    .iter()
                    .for_each(|(_, expression)| mark(&expression.uses, &mut deciding));
            }
        }
    }
    // What is computed from other arguments decides through these. Arguments see earlier ones only.
    for index in (0..rule.args.len()).rev() {
        if deciding[index] {
            computed(&rule.args[index].domain, &mut |uses| {
                mark(uses, &mut deciding);
            });
        }
    }
    deciding
}

fn computed(domain: &Domain, see: &mut dyn FnMut(&Uses)) {
    match domain {
        Domain::Computed(expression) => see(&expression.uses),
        Domain::OneOf(domains) | Domain::Tuple(domains) => {
            domains.iter().for_each(|d| computed(d, see));
        }
        Domain::Optional(inner) => computed(inner, see),
        Domain::List { item, .. } => computed(item, see),
        Domain::Map(fields) => fields.iter().for_each(|(_, d)| computed(d, see)),
        _ => {}
    }
}
