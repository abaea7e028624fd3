//! Plans and their steps.

use serde::{Deserialize, Serialize};

use super::faults::Fault;
use crate::model::action::{Action, Actor, Picked};
use crate::model::value::{Handle, Value};

/// What a run attempts, made before anything is sent.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Plan {
    /// The seed that it was drawn from.
    pub seed: u64,
    /// The set-up: principals, mostly.
    pub setup: Vec<Step>,
    /// What follows.
    pub steps: Vec<Step>,
}

/// One step of a plan.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// Unique within the plan, and kept when other steps are dropped: handles are made of it.
    pub id: u32,
    /// What is attempted.
    pub action: Action,
    /// How its request is delivered.
    pub delivery: Delivery,
}

/// How a request is delivered. What is not `Once` is a fault.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// As clients do: sent whole, and its answer read.
    #[default]
    Once,
    /// The bytes of an earlier step, sent again. The action is that step's.
    Again {
        /// The step.
        of: u32,
        /// On a connection of its own, as by a client that never saw the answer.
        lost: bool,
    },
    /// In small pieces, with pauses between them.
    Slow,
    /// The connection ends before all of it was sent: it is never applied.
    Cut(Cut),
    /// It is no proper request, and has to be refused, or at most to be taken for the proper one.
    Malformed(Damage),
    /// All of it is sent, and the connection closed at once: it may have been applied.
    Abandoned(Close),
    /// All of it is sent, and the client waits no longer, but leaves the connection open: it may have been applied.
    Late,
    /// All of it is sent, and the server killed at once and started again: it may have been applied.
    Crashed,
    /// Before it is sent, the server is killed and started again.
    AfterCrash,
    /// Before it is sent, the server is asked to end, and started again.
    AfterStop,
    /// While it is sent, the server stands still for a moment.
    Paused,
}

/// Where a request is cut.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Within its first bytes.
    Early,
    /// Before its last byte.
    Late,
}

/// How a connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Close {
    /// In good order.
    Fin,
    /// By a reset.
    Rst,
}

/// What is wrong with a request that is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// JSON without its end.
    Truncated,
    /// A byte that is no UTF-8, within a text.
    Encoding,
    /// A number that JSON does not know.
    NotANumber,
    /// Lists within lists, thousands of them.
    Nested,
    /// A text of ten megabytes.
    Huge,
    /// JSON that is said to be something else.
    ContentType,
}

/// Whether a request takes effect, as far as whoever sends it can know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// What its answer says.
    Told,
    /// None.
    Never,
    /// Nobody knows.
    Perhaps,
}

impl Delivery {
    /// Whether the request takes effect, as far as whoever sends it can know.
    pub fn effect(self) -> Effect {
        match self {
            Delivery::Once
            | Delivery::Again { .. }
            | Delivery::Slow
            | Delivery::AfterCrash
            | Delivery::AfterStop
            | Delivery::Paused => Effect::Told,
            Delivery::Cut(_) | Delivery::Malformed(Damage::Truncated) => Effect::Never,
            Delivery::Abandoned(_)
            | Delivery::Late
            | Delivery::Crashed
            | Delivery::Malformed(_) => Effect::Perhaps,
        }
    }

    /// How a step is delivered, if not as clients do.
    pub fn in_words(self) -> Option<String> {
        let text = match self {
            Delivery::Once => return None,
            Delivery::Again { of, lost: false } => {
                return Some(format!("the request of step {of} again"));
            }
            Delivery::Again { of, lost: true } => {
                return Some(format!(
                    "the answer to step {of} was lost, so the client sends the same request again"
                ));
            }
            Delivery::Slow => "it arrives in small pieces",
            Delivery::Cut(Cut::Early) => "the connection ends within its first bytes",
            Delivery::Cut(Cut::Late) => "the connection ends before its last byte",
            Delivery::Malformed(Damage::Truncated) => {
                "malformed: the last byte of its JSON is missing"
            }
            Delivery::Malformed(Damage::Encoding) => "malformed: with a field that is no UTF-8",
            Delivery::Malformed(Damage::NotANumber) => "malformed: with a field that is NaN",
            Delivery::Malformed(Damage::Nested) => {
                "malformed: with a field of lists within lists, 10,000 deep"
            }
            Delivery::Malformed(Damage::Huge) => "malformed: with a field of ten megabytes",
            Delivery::Malformed(Damage::ContentType) => {
                "malformed: it says that it is application/x-gainsay"
            }
            Delivery::Abandoned(Close::Fin) => {
                "all of it is sent, and the connection closed at once"
            }
            Delivery::Abandoned(Close::Rst) => {
                "all of it is sent, and the connection reset at once"
            }
            Delivery::Late => "all of it is sent, but the client waits no longer",
            Delivery::Crashed => {
                "all of it is sent; the server is killed at once, and started again"
            }
            Delivery::AfterCrash => "the server was killed, and started again",
            Delivery::AfterStop => "the server was stopped, and started again",
            Delivery::Paused => "the server stands still for a moment",
        };
        Some(text.to_owned())
    }

    /// Whether it does something to the server's process.
    pub fn is_of_process(self) -> bool {
        Fault::of(self).is_some_and(Fault::is_of_process)
    }

    /// The step whose request it sends again, if it does.
    pub fn again(self) -> Option<u32> {
        match self {
            Delivery::Again { of, .. } => Some(of),
            _ => None,
        }
    }
}

impl Plan {
    /// All steps, those of the set-up first.
    pub fn all(&self) -> impl Iterator<Item = &Step> {
        self.setup.iter().chain(&self.steps)
    }

    /// How many steps there are, with the set-up.
    pub fn len(&self) -> usize {
        self.setup.len() + self.steps.len()
    }

    /// Whether there are no steps at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Step {
    /// A step that is delivered as clients do.
    pub fn new(id: u32, action: Action) -> Step {
        Step {
            id,
            action,
            delivery: Delivery::Once,
        }
    }

    /// Whether what the step sends again is among what was sent before. True of all that send nothing again.
    pub fn follows<'a>(&self, earlier: impl IntoIterator<Item = &'a Step>) -> bool {
        let Some(of) = self.delivery.again() else {
            return true;
        };
        let mut earlier = earlier.into_iter();
        earlier.any(|other| other.id == of && other.action == self.action)
    }

    /// The entities that the step names: who acts, what it is about, and what its arguments refer to.
    pub fn names(&self) -> Vec<Handle> {
        let mut out: Vec<Handle> = match self.action.actor {
            Actor::Entity(handle) | Actor::Forged(handle) => vec![handle],
            Actor::Anyone | Actor::Nobody => Vec::new(),
        };
        out.extend(self.action.picks.iter().filter_map(|p| Picked::handle(*p)));
        for arg in &self.action.args {
            collect(arg, &mut out);
        }
        out
    }
}

fn collect(value: &Value, out: &mut Vec<Handle>) {
    match value {
        Value::Entity(handle) => out.push(*handle),
        Value::List(items) => items.iter().for_each(|v| collect(v, out)),
        Value::Map(map) => map.iter().for_each(|(k, v)| {
            collect(k, out);
            collect(v, out);
        }),
        _ => {}
    }
}
