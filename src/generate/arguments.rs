//! Arguments: proptest strategies for domains, biased to their boundaries.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use ordered_float::OrderedFloat;
use proptest::strategy::{Just, NewTree, SBoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{TestRng, TestRunner};
use rand::{Rng, RngExt};

use crate::model::domain::Domain;
use crate::model::expression::Scope;
use crate::model::value::Value;

/// Characters that texts are mostly made of.
const PLAIN: &[u8] = b"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Characters that break what quotes, escapes or counts carelessly.
const AWKWARD: &[char] = &[
    '\'', '"', '\\', '%', '<', '&', ';', 'é', 'ß', '漢', '🦀', '{', '$',
];

/// How many characters, items or units past the least are drawn where there is no upper limit.
const ROOM: usize = 24;

/// A drawer of valid values: a domain prepared for drawing.
#[derive(Debug)]
pub(super) enum Drawer {
    /// A strategy that needs nothing.
    Strategy(SBoxedStrategy<Value>),
    Fresh(Arc<str>),
    Computed(Arc<crate::model::expression::Expression>),
    OneOf(Vec<Drawer>),
    Optional(Box<Drawer>),
    List(Box<Drawer>, usize, usize),
    Map(Vec<(Arc<str>, Drawer)>),
    Tuple(Vec<Drawer>),
}

impl Drawer {
    pub fn new(domain: &Domain) -> Drawer {
        match domain {
            Domain::OneOf(domains) => Drawer::OneOf(domains.iter().map(Drawer::new).collect()),
            Domain::Optional(inner) => Drawer::Optional(Box::new(Drawer::new(inner))),
            Domain::List { item, min, max } => Drawer::List(
                Box::new(Drawer::new(item)),
                *min,
                max.unwrap_or(min + 3).min(min + 6),
            ),
            Domain::Map(fields) => Drawer::Map(
                fields
                    .iter()
                    .map(|(name, domain)| (name.as_str().into(), Drawer::new(domain)))
                    .collect(),
            ),
            Domain::Tuple(domains) => Drawer::Tuple(domains.iter().map(Drawer::new).collect()),
            Domain::Unique { prefix } => Drawer::Fresh(prefix.clone()),
            Domain::Canary => Drawer::Fresh("canary".into()),
            Domain::Computed(expression) => Drawer::Computed(expression.clone()),
            other => Drawer::Strategy(strategy(other)),
        }
    }

    /// Draws a value; nothing where an expression over the mirror has none. `fresh` numbers unique values.
    pub fn draw(
        &self,
        runner: &mut TestRunner,
        scope: &Scope<'_>,
        fresh: &mut u32,
    ) -> Option<Value> {
        Some(match self {
            Drawer::Strategy(strategy) => strategy.new_tree(runner).ok()?.current(),
            Drawer::Fresh(prefix) => {
                *fresh += 1;
                Value::Fresh(prefix.clone(), *fresh)
            }
            Drawer::Computed(expression) => match expression.eval(scope) {
                Ok(value) => value,
                Err(crate::model::expression::EvalError::Unknown) => Value::Unknown,
                Err(crate::model::expression::EvalError::Failed(_)) => return None,
            },
            Drawer::OneOf(drawers) => {
                let index = runner.rng().random_range(0..drawers.len());
                let value = drawers[index].draw(runner, scope, fresh)?;
                match (drawers.as_slice(), &value) {
                    // `one_of(worlds.map(w, w.name))`: any of the list.
                    ([Drawer::Computed(_)], Value::List(items)) => {
                        let index = runner.rng().random_range(0..items.len().max(1));
                        items.get(index)?.clone()
                    }
                    _ => value,
                }
            }
            Drawer::Optional(inner) => match runner.rng().random_range(0..3u8) {
                0 => Value::Absent,
                _ => inner.draw(runner, scope, fresh)?,
            },
            Drawer::List(item, min, max) => {
                let size = size(runner.rng(), *min, *max);
                let items: Option<Vec<_>> =
                    (0..size).map(|_| item.draw(runner, scope, fresh)).collect();
                Value::List(items?.into())
            }
            Drawer::Map(fields) => {
                let mut map = BTreeMap::new();
                for (name, drawer) in fields {
                    match drawer.draw(runner, scope, fresh)? {
                        Value::Absent => {}
                        value => {
                            map.insert(Value::Text(name.clone()), value);
                        }
                    }
                }
                Value::Map(Arc::new(map))
            }
            Drawer::Tuple(drawers) => {
                let items: Option<Vec<_>> = drawers
                    .iter()
                    .map(|d| d.draw(runner, scope, fresh))
                    .collect();
                Value::List(items?.into())
            }
        })
    }
}

impl Drawer {
    /// Adds values to try where something depends on them: one of each alternative, in an order that is drawn.
    pub fn variety(
        &self,
        runner: &mut TestRunner,
        scope: &Scope<'_>,
        fresh: &mut u32,
        out: &mut Vec<Value>,
    ) {
        /// More alternatives than this are sampled.
        const MOST: usize = 6;
        match self {
            Drawer::OneOf(drawers) if drawers.len() > 1 => {
                let start = runner.rng().random_range(0..drawers.len());
                for offset in 0..drawers.len().min(MOST) {
                    drawers[(start + offset) % drawers.len()]
                        .variety_of_one(runner, scope, fresh, out);
                }
            }
            Drawer::Optional(inner) => {
                let absent_first = runner.rng().random_range(0..3u8) == 0;
                if absent_first {
                    out.push(Value::Absent);
                }
                inner.variety(runner, scope, fresh, out);
                if !absent_first {
                    out.push(Value::Absent);
                }
            }
            Drawer::Fresh(_) | Drawer::Computed(_) => out.extend(self.draw(runner, scope, fresh)),
            _ => {
                for _ in 0..3 {
                    out.extend(self.draw(runner, scope, fresh));
                }
            }
        }
    }

    fn variety_of_one(
        &self,
        runner: &mut TestRunner,
        scope: &Scope<'_>,
        fresh: &mut u32,
        out: &mut Vec<Value>,
    ) {
        // A list is tried with as few items as it may have, too.
        match self {
            Drawer::List(item, min, _) => {
                let items: Option<Vec<Value>> =
                    (0..*min).map(|_| item.draw(runner, scope, fresh)).collect();
                let least = items.map(|items| Value::List(items.into()));
                if runner.rng().random_range(0..2u8) == 0 {
                    out.extend(least);
                    out.extend(self.draw(runner, scope, fresh));
                } else {
                    out.extend(self.draw(runner, scope, fresh));
                    out.extend(least);
                }
            }
            _ => out.extend(self.draw(runner, scope, fresh)),
        }
    }

    /// The alternatives that a value was drawn from, outermost first.
    pub fn path(&self, domain: &Domain, value: &Value) -> Vec<usize> {
        match (self, domain) {
            (Drawer::OneOf(drawers), Domain::OneOf(domains)) if drawers.len() > 1 => {
                // A constant stands out among all the texts that it could be one of.
                let constant = |d: &Domain| matches!(d, Domain::Constant(c) if c == value);
                let index = (domains.iter().position(constant))
                    .or_else(|| domains.iter().position(|d| d.contains(value)));
                let Some(index) = index else {
                    return Vec::new();
                };
                let mut path = vec![index];
                path.extend(drawers[index].path(&domains[index], value));
                path
            }
            (Drawer::Optional(inner), Domain::Optional(domain)) => match value {
                Value::Absent | Value::Null => vec![0],
                value => {
                    let mut path = vec![1];
                    path.extend(inner.path(domain, value));
                    path
                }
            },
            _ => Vec::new(),
        }
    }

    /// Draws from the alternatives of a path.
    pub fn draw_along(
        &self,
        path: &[usize],
        runner: &mut TestRunner,
        scope: &Scope<'_>,
        fresh: &mut u32,
    ) -> Option<Value> {
        match (self, path.split_first()) {
            (Drawer::OneOf(drawers), Some((index, rest))) => {
                drawers.get(*index)?.draw_along(rest, runner, scope, fresh)
            }
            (Drawer::Optional(_), Some((0, _))) => Some(Value::Absent),
            (Drawer::Optional(inner), Some((_, rest))) => {
                inner.draw_along(rest, runner, scope, fresh)
            }
            _ => self.draw(runner, scope, fresh),
        }
    }
}

/// A strategy that draws directly and does not simplify: reduction is `shrink/`'s, which asks the model first.
struct Direct<F>(F);

impl<F> Debug for Direct<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Direct")
    }
}

impl<F: Fn(&mut TestRng) -> Value> Strategy for Direct<F> {
    type Tree = Just<Value>;
    type Value = Value;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        Ok(Just((self.0)(runner.rng())))
    }
}

fn direct(draw: impl Fn(&mut TestRng) -> Value + Send + Sync + 'static) -> SBoxedStrategy<Value> {
    Direct(draw).sboxed()
}

fn strategy(domain: &Domain) -> SBoxedStrategy<Value> {
    match domain {
        Domain::Text { min, max } => {
            let (min, limit) = (*min, *max);
            direct(move |rng| Value::text(text(rng, min, limit)))
        }
        Domain::Int { min, max } => {
            let (min, max) = (*min, max.unwrap_or(min.saturating_add(1000)));
            direct(move |rng| {
                Value::Int(match rng.random_range(0..6u8) {
                    0 => min,
                    1 => max,
                    2 if min < max => min + 1,
                    3 if (min..=max).contains(&0) => 0,
                    _ => rng.random_range(min..=max),
                })
            })
        }
        Domain::Number { min, max } => {
            let (min, max) = (*min, max.unwrap_or(min + 1000.0));
            direct(move |rng| {
                let number = match rng.random_range(0..4u8) {
                    0 => min,
                    1 => max,
                    // Two decimals: what every server stores as it was sent.
                    _ => ((rng.random_range(min..=max)) * 100.0).round() / 100.0,
                };
                Value::Number(OrderedFloat(number.clamp(min, max)))
            })
        }
        Domain::Bool => direct(|rng| Value::Bool(rng.random())),
        Domain::Uuid => direct(|rng| {
            let n: u128 = rng.random();
            let hex = format!("{n:032x}");
            Value::text(format!(
                "{}-{}-4{}-8{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[13..16],
                &hex[17..20],
                &hex[20..]
            ))
        }),
        Domain::Email => direct(|rng| {
            Value::text(format!(
                "user{}@example.com",
                rng.random_range(0..1_000_000)
            ))
        }),
        Domain::Pattern { source, .. } => match proptest::string::string_regex(source) {
            Ok(strategy) => strategy.prop_map(Value::text).sboxed(),
            // Anchors and the like, which the loader accepts and this cannot draw: `gainsay check` reports them.
            Err(_) => Just(Value::text("")).sboxed(),
        },
        Domain::TimeFromNow { min, max } => {
            // A plan has no clock: the run adds the seconds to its own.
            let (min, max) = (*min, *max);
            direct(move |rng| {
                let seconds = match rng.random_range(0..4u8) {
                    0 => min,
                    1 => max,
                    _ => rng.random_range(min..=max),
                };
                Value::text(format!("now+{seconds}s"))
            })
        }
        Domain::Json => direct(|rng| match rng.random_range(0..5u8) {
            0 => Value::Null,
            1 => Value::Bool(true),
            2 => Value::Int(rng.random_range(-9..100)),
            3 => Value::text(text(rng, 0, Some(12))),
            _ => Value::Map(Arc::new(
                [(Value::text("key"), Value::text(text(rng, 0, Some(12))))].into(),
            )),
        }),
        Domain::Constant(value) => Just(value.clone()).sboxed(),
        // The others are drawn part by part.
        Domain::OneOf(_)
        | Domain::List { .. }
        | Domain::Optional(_)
        | Domain::Unique { .. }
        | Domain::Canary
        | Domain::Map(_)
        | Domain::Tuple(_)
        | Domain::Computed(_) => Just(Value::Null).sboxed(),
    }
}

/// A size between two bounds, often one of them.
fn size(rng: &mut TestRng, min: usize, max: usize) -> usize {
    match rng.random_range(0..6u8) {
        0 => min,
        1 => max,
        2 => min.saturating_add(1).min(max),
        _ => rng.random_range(min..=max),
    }
}

/// So many eights of letters are drawn at once.
const EIGHTS: usize = 16;

fn text(rng: &mut TestRng, min: usize, limit: Option<usize>) -> String {
    let reach = min.saturating_add(ROOM);
    let length = match (rng.random_range(0..8u8), limit) {
        (0, _) => min,
        // A long text costs a millisecond here and there; a limit beyond this is tried as 'too long' alone.
        (1, Some(max)) if max <= 10_000 => max,
        _ => rng.random_range(min..=limit.unwrap_or(reach).min(reach)),
    };
    let mut text = String::with_capacity(length);
    while text.len() < length {
        // A letter of each word; that some come a little more often is no matter. Filling words is quicker than asking for
        // bytes, each of which would be a word, too.
        let mut words = [0u8; 32 * EIGHTS];
        let missing = length - text.len();
        let words = &mut words[..32 * missing.div_ceil(8).min(EIGHTS)];
        rng.fill_bytes(words);
        let letters = words.iter().step_by(4).take(missing);
        text.extend(letters.map(|byte| char::from(PLAIN[usize::from(*byte) % PLAIN.len()])));
    }
    // Spaces at the ends may be trimmed, and a count of what is left would be another.
    if text.starts_with(' ') {
        text.replace_range(0..1, "a");
    }
    if text.ends_with(' ') {
        text.replace_range(length - 1..length, "z");
    }
    // Counts of bytes, code units and code points must all be within the limits.
    let roomy = limit.is_none_or(|max| length + 8 <= max);
    if length >= 3 && roomy && rng.random_range(0..8u8) == 0 {
        let at = rng.random_range(1..length - 1);
        let awkward = AWKWARD[rng.random_range(0..AWKWARD.len())];
        text.replace_range(at..at + 1, &awkward.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::invalid::{invalid_values, simplest};
    use super::*;

    #[test]
    fn drawn_values_are_inside_and_invalid_ones_outside() {
        let model = crate::model::Model::load("models/deep-sci-fi.yaml".as_ref()).unwrap();
        let mut runner = TestRunner::deterministic();
        let mirror = model.initial();
        let names = crate::model::expression::Names::default();
        let scope = model.scope(&mirror, &names);
        for arg in model.rules.iter().flat_map(|r| &r.args) {
            let drawer = Drawer::new(&arg.domain);
            for _ in 0..50 {
                if let Some(value) = drawer.draw(&mut runner, &scope, &mut 0) {
                    assert!(arg.domain.contains(&value), "{} {value:?}", arg.name);
                }
            }
            if let Some(value) = simplest(&arg.domain) {
                assert!(arg.domain.contains(&value), "{} {value:?}", arg.name);
            }
            for value in invalid_values(arg, true) {
                assert!(!arg.domain.contains(&value), "{} {value:?}", arg.name);
            }
            if arg.can_be_invalid(false) {
                assert!(!invalid_values(arg, false).is_empty(), "{}", arg.name);
            }
        }
    }
}
