//! How far an expression is from being true, or false: the branch distance of search-based testing (Korel 1990,
//! Tracey 1998). It tells a count that is one short from one that is five short, which the truth alone does not.

use super::evaluate::number;
use super::{Code, Comparison, Frame, Stop};

impl Code {
    /// How far the code is from a truth value: 0 where it has it, up to 1 for each part that has to change. What is
    /// unknown counts as half way.
    pub fn distance(&self, frame: &Frame<'_>, want: bool) -> f64 {
        match self {
            Code::Not(inner) => inner.distance(frame, !want),
            Code::Both(all, left, right) => {
                let (left, right) = (left.distance(frame, want), right.distance(frame, want));
                match *all == want {
                    true => left + right,
                    false => left.min(right),
                }
            }
            Code::Conditional(condition, yes, no) => match condition.test(frame) {
                Ok(true) => yes.distance(frame, want),
                Ok(false) => no.distance(frame, want),
                Err(_) => HALF_WAY,
            },
            Code::Field(..) => self
                .with_derived(frame, |code, inner| code.distance(inner, want))
                .unwrap_or_else(|| self.whole(frame, want)),
            Code::Compare(comparison, left, right) => numbers(left, right, frame).map_or_else(
                || self.whole(frame, want),
                |(left, right)| missing(*comparison, left, right, want),
            ),
            _ => self.whole(frame, want),
        }
    }

    /// The distance of what has no parts.
    fn whole(&self, frame: &Frame<'_>, want: bool) -> f64 {
        match self.test(frame) {
            Ok(truth) if truth == want => 0.0,
            Ok(_) => 1.0,
            Err(Stop::Unknown | Stop::Failed) => HALF_WAY,
        }
    }
}

const HALF_WAY: f64 = 0.5;

fn numbers(left: &Code, right: &Code, frame: &Frame<'_>) -> Option<(f64, f64)> {
    let left = number(&*left.eval(frame).ok()?)?;
    let right = number(&*right.eval(frame).ok()?)?;
    Some((left, right))
}

/// The distance of a comparison of two numbers: less than 1, and more the further they are apart.
fn missing(comparison: Comparison, left: f64, right: f64, want: bool) -> f64 {
    let gap = left - right;
    // How much is missing; a strict comparison misses one more.
    let missing = match (comparison, want) {
        (Comparison::Less, true) | (Comparison::GreaterOrEqual, false) => gap + 1.0,
        (Comparison::LessOrEqual, true) | (Comparison::Greater, false) => gap,
        (Comparison::Greater, true) | (Comparison::LessOrEqual, false) => 1.0 - gap,
        (Comparison::GreaterOrEqual, true) | (Comparison::Less, false) => -gap,
        (Comparison::Equal, true) | (Comparison::NotEqual, false) => gap.abs(),
        _ => match gap == 0.0 {
            true => 1.0,
            false => 0.0,
        },
    };
    match missing > 0.0 {
        true => missing / (missing + 1.0),
        false => 0.0,
    }
}
