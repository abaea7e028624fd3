//! Plans and their steps.

use serde::{Deserialize, Serialize};

use super::faults::Fault;
use crate::model::action::{Action, Picked};
use crate::model::mirror::Mirror;
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
    /// Where it stands in a race, if it is part of one.
    pub lane: Option<Lane>,
}

/// A place in a race. Steps that follow each other and are of the same race make it up: its branches begin at the same
/// instant, and the steps of a branch follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lane {
    /// Which race: the id of its first step, as it was drawn.
    pub race: u32,
    /// Which branch.
    pub branch: u8,
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
    /// The bytes of the step before, right behind them on the same connection: nobody waits for the answer between them.
    /// The two run against each other, and the action is that step's.
    Behind {
        /// The step.
        of: u32,
    },
    /// The same request as an earlier step that nobody saw an answer to, with the same idempotency key: whichever of
    /// them takes effect, it does so once.
    Retried {
        /// The step.
        of: u32,
    },
    /// With the idempotency key of an earlier step that was another request.
    KeyOf {
        /// The step.
        of: u32,
        /// It has to be refused. Otherwise it is a request of its own all the same.
        refused: bool,
    },
    /// In small pieces, with pauses between them.
    Slow,
    /// The connection ends before all of it was sent: it is never applied.
    Cut(Cut),
    /// It is no proper request, and has to be refused, or at most to be taken for the proper one.
    Malformed(Damage),
    /// All of it is sent, and the connection closed: it may have been applied.
    Abandoned {
        /// How.
        close: Close,
        /// So many milliseconds after it was sent.
        after: u8,
    },
    /// All of it is sent, and the client waits no longer, but leaves the connection open: it may have been applied.
    Late,
    /// All of it is sent, and the server killed and started again: it may have been applied.
    Crashed {
        /// So many milliseconds after it was sent.
        after: u8,
    },
    /// Before it is sent, the server is killed and started again.
    AfterCrash,
    /// Before it is sent, the server is asked to end, and started again.
    AfterStop,
    /// While it is sent, the server stands still for a moment.
    Paused,
    /// While it is sent, a link breaks between the server and something that it needs.
    Link {
        /// Which.
        link: LinkName,
        /// How.
        fault: LinkFault,
    },
    /// While it is sent, something happens that only the source of it knows.
    Own(OwnFault),
}

/// A fault that only its source knows, which is a program of the user's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnFault {
    /// Its name.
    pub name: LinkName,
    /// Requests that fail meanwhile may have been applied.
    pub open: bool,
}

/// The name of a link between a server and something that it needs, as `gainsay.toml` has it.
pub type LinkName = arrayvec::ArrayString<32>;

/// How a link breaks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkFault {
    /// Its connections end.
    Cut,
    /// Its connections end, and there are no new ones.
    Refuse,
    /// Whatever goes through it comes later.
    Delay {
        /// By so many milliseconds, each way.
        millis: u16,
    },
    /// Whatever goes through it comes in small pieces.
    Slow,
    /// Its connections end once something has passed.
    CutAfter {
        /// So many bytes.
        bytes: u16,
        /// Of answers. Otherwise of what the server asks.
        answers: bool,
    },
}

impl LinkFault {
    /// Whether what the server began may be torn by it.
    pub fn ends_connections(self) -> bool {
        !matches!(self, LinkFault::Delay { .. } | LinkFault::Slow)
    }

    fn in_words(self) -> String {
        match self {
            LinkFault::Cut => "is cut before it".to_owned(),
            LinkFault::Refuse => "is cut, and takes no new connections".to_owned(),
            LinkFault::Delay { millis } => format!("takes {millis} ms longer"),
            LinkFault::Slow => "is slow".to_owned(),
            LinkFault::CutAfter { bytes, answers } => {
                let of = match answers {
                    true => "answers",
                    false => "questions",
                };
                format!("is cut after {bytes} bytes of {of}")
            }
        }
    }
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
    /// A body that is said to be a byte longer than it is, until the connection ends.
    Length,
    /// A text with the character NUL in it, which not every database can store.
    Nul,
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
            | Delivery::Behind { .. }
            | Delivery::Retried { .. }
            | Delivery::KeyOf { refused: false, .. }
            | Delivery::Slow
            | Delivery::AfterCrash
            | Delivery::AfterStop
            | Delivery::Paused => Effect::Told,
            Delivery::Link { fault, .. } => match fault.ends_connections() {
                true => Effect::Perhaps,
                false => Effect::Told,
            },
            Delivery::Own(own) => match own.open {
                true => Effect::Perhaps,
                false => Effect::Told,
            },
            Delivery::Cut(_)
            | Delivery::KeyOf { refused: true, .. }
            | Delivery::Malformed(Damage::Truncated) => Effect::Never,
            Delivery::Abandoned { .. }
            | Delivery::Late
            | Delivery::Crashed { .. }
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
            Delivery::Behind { of } => {
                return Some(format!(
                    "the request of step {of} again, right behind it on the same connection"
                ));
            }
            Delivery::Retried { of } => {
                return Some(format!(
                    "nobody saw an answer to step {of}, so the client sends it again, with the same idempotency key"
                ));
            }
            Delivery::KeyOf { of, .. } => {
                return Some(format!("with the idempotency key of step {of}"));
            }
            Delivery::Slow => "it arrives in small pieces",
            Delivery::Cut(Cut::Early) => "the connection ends within its first bytes",
            Delivery::Cut(Cut::Late) => "the connection ends before its last byte",
            Delivery::Malformed(Damage::Truncated) => {
                "malformed: the last byte of its JSON is missing"
            }
            Delivery::Malformed(Damage::Encoding) => "malformed: with a field that is no UTF-8",
            Delivery::Malformed(Damage::Nul) => "malformed: with a field with NUL in its text",
            Delivery::Malformed(Damage::NotANumber) => "malformed: with a field that is NaN",
            Delivery::Malformed(Damage::Nested) => {
                "malformed: with a field of lists within lists, 10,000 deep"
            }
            Delivery::Malformed(Damage::Huge) => "malformed: with a field of ten megabytes",
            Delivery::Malformed(Damage::ContentType) => {
                "malformed: it says that it is application/x-gainsay"
            }
            Delivery::Malformed(Damage::Length) => {
                "malformed: it says that it is a byte longer than it is, until the connection ends"
            }
            Delivery::Abandoned { close, after } => {
                let how = match close {
                    Close::Fin => "closed",
                    Close::Rst => "reset",
                };
                let when = moment(after);
                return Some(format!(
                    "all of it is sent, and the connection {how} {when}"
                ));
            }
            Delivery::Late => "all of it is sent, but the client waits no longer",
            Delivery::Crashed { after } => {
                let when = moment(after);
                return Some(format!(
                    "all of it is sent; the server is killed {when}, and started again"
                ));
            }
            Delivery::AfterCrash => "the server was killed, and started again",
            Delivery::AfterStop => "the server was stopped, and started again",
            Delivery::Paused => "the server stands still for a moment",
            Delivery::Link { link, fault } => {
                let how = fault.in_words();
                return Some(format!("meanwhile the server's link to {link} {how}"));
            }
            Delivery::Own(own) => return Some(format!("meanwhile there is a `{}`", own.name)),
        };
        Some(text.to_owned())
    }

    /// Whether it does something that all who talk to the server notice.
    pub fn is_of_all(self) -> bool {
        self.is_of_process() || self.source().is_some()
    }

    /// The name of what makes it happen while the request is sent: a link, or a fault of a program's own.
    pub fn source(self) -> Option<LinkName> {
        match self {
            Delivery::Link { link, .. } => Some(link),
            Delivery::Own(own) => Some(own.name),
            _ => None,
        }
    }

    /// Whether it does something to the server's process.
    pub fn is_of_process(self) -> bool {
        Fault::of(self).is_some_and(Fault::is_of_process)
    }

    /// The step whose request it sends again, if it does.
    pub fn again(self) -> Option<u32> {
        match self {
            Delivery::Again { of, .. } | Delivery::Behind { of } | Delivery::Retried { of } => {
                Some(of)
            }
            _ => None,
        }
    }

    /// The step whose very bytes it sends, if it does.
    pub fn copy_of(self) -> Option<u32> {
        match self {
            Delivery::Again { of, .. } | Delivery::Behind { of } => Some(of),
            _ => None,
        }
    }

    /// The step whose idempotency key it has, if that is another one.
    pub fn key_of(self) -> Option<u32> {
        match self {
            Delivery::KeyOf { of, .. } => Some(of),
            other => other.again(),
        }
    }

    /// Names the steps otherwise that it speaks of.
    pub fn renumbered(mut self, number: impl Fn(u32) -> u32) -> Delivery {
        if let Delivery::Again { of, .. }
        | Delivery::Behind { of }
        | Delivery::Retried { of }
        | Delivery::KeyOf { of, .. } = &mut self
        {
            *of = number(*of);
        }
        self
    }
}

fn moment(after: u8) -> String {
    match after {
        0 => "at once".to_owned(),
        millis => format!("{millis} ms later"),
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

    /// Itself where it is in the mirror, and otherwise what came about in its stead: the plan expects one step of a race to
    /// create it, and another one of that race did.
    pub fn stand_in(&self, mirror: &Mirror, handle: Handle) -> Option<Handle> {
        if mirror.get(handle).is_some() {
            return Some(handle);
        }
        let race = |step: u32| self.all().find(|s| s.id == step)?.race();
        let lost = race(handle.step)?;
        let others = mirror.all(handle.kind).map(|(other, _)| other);
        let others = others.filter(|other| race(other.step) == Some(lost));
        others.min_by_key(|other| (other.nth != handle.nth, other.step, other.nth))
    }
}

/// The steps as they are taken: one by one, and those of a race together.
pub fn taken(steps: &[Step]) -> impl Iterator<Item = &[Step]> {
    steps.chunk_by(|one, other| one.lane.is_some() && one.race() == other.race())
}

impl Step {
    /// The race that it is part of.
    pub fn race(&self) -> Option<u32> {
        self.lane.map(|lane| lane.race)
    }

    /// Takes it out of its race: it comes after what was before it.
    pub fn leave_race(&mut self) {
        self.lane = None;
        if let Delivery::Behind { of } = self.delivery {
            self.delivery = Delivery::Again { of, lost: false };
        }
    }

    /// A step that is delivered as clients do.
    pub fn new(id: u32, action: Action) -> Step {
        Step {
            id,
            action,
            delivery: Delivery::Once,
            lane: None,
        }
    }

    /// Whether what the step sends again, or takes its key from, is among what was sent before. True of all that do
    /// nothing of the kind.
    pub fn follows<'a>(&self, earlier: impl IntoIterator<Item = &'a Step>) -> bool {
        let Some(of) = self.delivery.key_of() else {
            return true;
        };
        let mut earlier = earlier.into_iter();
        let again = self.delivery.again().is_some();
        earlier.any(|other| other.id == of && (other.action == self.action) == again)
    }

    /// The step with other entities in the place of those that it names, as actor and wherever else.
    pub fn renamed(&self, mut change: impl FnMut(Handle) -> Handle) -> Step {
        let mut step = self.clone();
        step.action.actor = step.action.actor.renamed(&mut change);
        for pick in &mut step.action.picks {
            if let Picked::Entity(handle) = pick {
                *handle = change(*handle);
            }
        }
        for arg in &mut step.action.args {
            *arg = arg.rewrite(&mut |value| match value {
                Value::Entity(handle) => Some(Value::Entity(change(*handle))),
                _ => None,
            });
        }
        step
    }

    /// The entities that the step names: who acts, what it is about, and what its arguments refer to.
    pub fn names(&self) -> Vec<Handle> {
        let mut out: Vec<Handle> = self.action.actor.shows().into_iter().collect();
        out.extend(self.action.picks.iter().filter_map(|p| Picked::handle(*p)));
        for arg in &self.action.args {
            arg.each_entity(&mut |handle| out.push(handle));
        }
        out
    }
}
