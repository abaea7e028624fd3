//! Faults: what can go wrong between a client and a server, as plans hold it. Which kinds a plan has, and when, is drawn
//! with it; without faults nothing is drawn, and plans are what they are without.

use std::fmt;
use std::str::FromStr;

use proptest::test_runner::TestRng;
use rand::RngExt;

use super::plan::{Close, Cut, Damage, Delivery, LinkFault, LinkName, OwnFault, Step};
use crate::model::{Body, Model, Reuse};

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// A request is sent once more, after its answer or right behind it.
    Twice,
    /// An answer is lost, and the client sends the request again on a new connection.
    Swallowed,
    /// A request arrives in small pieces.
    Slow,
    /// The connection ends before all of a request was sent, and the client tries again.
    Cut,
    /// Something arrives that is no proper request, and then the proper one.
    Malformed,
    /// The client sends all of a request, closes the connection, and tries again.
    Abandoned,
    /// The client waits no longer for an answer, and tries again.
    Late,
    /// A request has the idempotency key of another one.
    Key,
    /// The server is killed, and started again.
    Crash,
    /// The server is asked to end, and started again.
    Stop,
    /// The server stands still for a moment.
    Pause,
    /// A link of the server to something that it needs is cut.
    LinkCut,
    /// A link is cut, and takes no new connections for a while.
    LinkRefuse,
    /// A link delays what goes through it.
    LinkDelay,
    /// A link is slow.
    LinkSlow,
    /// A link is cut once some bytes have passed, in the midst of something.
    LinkCutAfter,
    /// Something that only a program of the user's knows.
    Own(OwnFault),
}

impl OwnFault {
    /// All that a program knows, by this name.
    pub const ALL: &'static str = "own";

    /// What is asked for by a name that is no other fault's: one of a program's own, or all of them.
    pub fn asked_for(name: &str) -> Option<OwnFault> {
        match name {
            OwnFault::ALL => Some(OwnFault {
                name: LinkName::from(name).ok()?,
                open: true,
            }),
            name => OwnFault::named(name),
        }
    }

    /// A fault of a program's own by name, if it can be one. What requests do meanwhile is the program's to say.
    pub fn named(name: &str) -> Option<OwnFault> {
        let taken = ["network", "process", "link", OwnFault::ALL].contains(&name);
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let fits = !name.is_empty() && name.chars().all(fits) && name.parse::<Fault>().is_err();
        let name = LinkName::from(name).ok().filter(|_| fits && !taken)?;
        Some(OwnFault { name, open: true })
    }
}

impl Fault {
    /// Those of the server's process.
    pub const PROCESS: [Fault; 3] = [Fault::Crash, Fault::Stop, Fault::Pause];

    /// Those between a client and the server.
    pub const NETWORK: [Fault; 8] = [
        Fault::Twice,
        Fault::Swallowed,
        Fault::Slow,
        Fault::Cut,
        Fault::Malformed,
        Fault::Abandoned,
        Fault::Late,
        Fault::Key,
    ];

    /// Those of the links between the server and what it needs.
    pub const LINK: [Fault; 5] = [
        Fault::LinkCut,
        Fault::LinkRefuse,
        Fault::LinkDelay,
        Fault::LinkSlow,
        Fault::LinkCutAfter,
    ];

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Fault::Own(own) => &own.name,
            Fault::Twice => "twice",
            Fault::Swallowed => "swallowed",
            Fault::Slow => "slow",
            Fault::Cut => "cut",
            Fault::Malformed => "malformed",
            Fault::Abandoned => "abandoned",
            Fault::Late => "late",
            Fault::Key => "key",
            Fault::Crash => "crash",
            Fault::Stop => "stop",
            Fault::Pause => "pause",
            Fault::LinkCut => "link_cut",
            Fault::LinkRefuse => "link_refuse",
            Fault::LinkDelay => "link_delay",
            Fault::LinkSlow => "link_slow",
            Fault::LinkCutAfter => "link_cut_after",
        }
    }

    /// Whether it happens to the server's process.
    pub fn is_of_process(self) -> bool {
        Fault::PROCESS.contains(&self)
    }

    /// Whether it happens to a link.
    pub fn is_of_link(self) -> bool {
        Fault::LINK.contains(&self)
    }

    /// Whether a program of the user's makes it.
    pub fn is_own(self) -> bool {
        matches!(self, Fault::Own(_))
    }

    /// Whether nobody can know then if the request took effect.
    pub(super) fn is_open(self) -> bool {
        matches!(
            self,
            Fault::Abandoned
                | Fault::Late
                | Fault::Crash
                | Fault::LinkCut
                | Fault::LinkRefuse
                | Fault::LinkCutAfter
                | Fault::Own(OwnFault { open: true, .. })
        )
    }

    /// The kind of fault that a delivery is, if it is one.
    pub fn of(delivery: Delivery) -> Option<Fault> {
        match delivery {
            Delivery::Once | Delivery::Retried { .. } => None,
            Delivery::KeyOf { .. } => Some(Fault::Key),
            Delivery::Again { lost: false, .. } | Delivery::Behind { .. } => Some(Fault::Twice),
            Delivery::Again { lost: true, .. } => Some(Fault::Swallowed),
            Delivery::Slow => Some(Fault::Slow),
            Delivery::Cut(_) => Some(Fault::Cut),
            Delivery::Malformed(_) => Some(Fault::Malformed),
            Delivery::Abandoned { .. } => Some(Fault::Abandoned),
            Delivery::Late => Some(Fault::Late),
            Delivery::Crashed { .. } | Delivery::AfterCrash => Some(Fault::Crash),
            Delivery::AfterStop => Some(Fault::Stop),
            Delivery::Paused => Some(Fault::Pause),
            Delivery::Own(own) => Some(Fault::Own(own)),
            Delivery::Link { fault, .. } => Some(match fault {
                LinkFault::Cut => Fault::LinkCut,
                LinkFault::Refuse => Fault::LinkRefuse,
                LinkFault::Delay { .. } => Fault::LinkDelay,
                LinkFault::Slow => Fault::LinkSlow,
                LinkFault::CutAfter { .. } => Fault::LinkCutAfter,
            }),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No fault goes by this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no fault is called `{name}`\n  there are network ({}), process ({}), link ({}) and own ({})",
    names(&Fault::NETWORK), names(&Fault::PROCESS), names(&Fault::LINK),
    match own.is_empty() {
        true => "what the `injector` of a target offers".to_owned(),
        false => own.join(", "),
    }
)]
pub struct UnknownFault {
    /// The name.
    pub name: String,
    /// The faults that the program of the target offers.
    pub own: Vec<String>,
}

fn names(of: &[Fault]) -> String {
    let names: Vec<_> = of.iter().map(Fault::name).collect();
    names.join(", ")
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Fault, UnknownFault> {
        let mut known = (Fault::NETWORK.iter())
            .chain(&Fault::PROCESS)
            .chain(&Fault::LINK)
            .copied();
        let known = known.find(|fault| fault.name() == name);
        known.ok_or_else(|| UnknownFault {
            name: name.to_owned(),
            own: Vec::new(),
        })
    }
}

/// Which faults plans hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Their kinds; none: no faults at all.
    pub kinds: Vec<Fault>,
    /// How many of 1,000 steps, over all plans; up to 900.
    pub permille: u16,
    /// The links that can be broken.
    pub links: Vec<LinkName>,
}

impl Faults {
    /// All faults between clients and server, at a rate from 0 to 0.9.
    pub fn network(rate: f64) -> Faults {
        Faults {
            kinds: Fault::NETWORK.to_vec(),
            permille: (rate.clamp(0.0, 0.9) * 1000.0) as u16,
            links: Vec::new(),
        }
    }

    /// Whether some are of the server's process.
    pub fn need_a_process(&self) -> bool {
        self.are_on() && self.kinds.iter().any(|kind| kind.is_of_process())
    }

    /// Whether some are of links.
    pub fn need_links(&self) -> bool {
        self.are_on() && self.kinds.iter().any(|kind| kind.is_of_link())
    }

    /// Whether all who talk to the server notice some of them.
    pub fn are_of_all(&self) -> bool {
        let own = self.kinds.iter().any(|kind| kind.is_own());
        self.need_a_process() || self.need_links() || self.are_on() && own
    }

    /// What a program of the target's offers takes the place of what was asked for by name.
    ///
    /// # Errors
    ///
    /// [`UnknownFault`] where it does not offer one that was asked for.
    pub fn offer(&mut self, own: &[OwnFault]) -> Result<(), UnknownFault> {
        let mut kinds = Vec::new();
        for kind in &self.kinds {
            let Fault::Own(asked) = kind else {
                kinds.push(*kind);
                continue;
            };
            let all = asked.name.as_str() == OwnFault::ALL;
            let offered = own.iter().filter(|own| all || own.name == asked.name);
            let offered: Vec<Fault> = offered.map(|own| Fault::Own(*own)).collect();
            if offered.is_empty() {
                return Err(UnknownFault {
                    name: asked.name.to_string(),
                    own: own.iter().map(|own| own.name.to_string()).collect(),
                });
            }
            kinds.extend(offered);
        }
        kinds.sort_unstable();
        kinds.dedup();
        self.kinds = kinds;
        Ok(())
    }

    /// Whether there are any.
    pub fn are_on(&self) -> bool {
        self.permille > 0 && !self.kinds.is_empty()
    }
}

/// The faults of one plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Mix {
    kinds: Vec<Fault>,
    permille: u16,
    links: Vec<LinkName>,
    /// They come in bursts, with calm between them.
    bursts: bool,
}

/// So many steps a burst has, and so many the calm after it.
const BURST: u32 = 8;

/// Of so many requests at most a plan leaves open whether they took effect: each can double the worlds to be told apart.
pub(super) const MOST_OPEN: u8 = 8;

/// In percent, how many of the faults of the server's process, and of those of programs, that are drawn happen.
const RARE: u32 = 30;

/// After so many milliseconds connections are closed, and servers killed: with nothing done yet, in the midst of it, and
/// with all of it done.
const MOMENTS: [u8; 6] = [0, 0, 1, 3, 8, 20];

/// In percent, how often a request that changes nothing is worth a fault that only matters to one that does.
const IDLE: u32 = 20;

impl Mix {
    /// Draws those of a plan: about half of the kinds, steadily or in bursts.
    pub fn draw(faults: &Faults, model: &Model, rng: &mut TestRng) -> Mix {
        let mut all = faults.kinds.clone();
        // Where nothing has a key, none can be taken, and where there is no link, none can break.
        let keyed = model.rules.iter().any(|rule| rule.key().is_some());
        all.retain(|kind| *kind != Fault::Key || keyed);
        all.retain(|kind| !kind.is_of_link() || !faults.links.is_empty());
        if faults.permille == 0 || all.is_empty() {
            return Mix::default();
        }
        let mut kinds = all.clone();
        kinds.retain(|_| rng.random());
        if kinds.is_empty() {
            kinds.push(all[rng.random_range(0..all.len())]);
        }
        Mix {
            kinds,
            permille: faults.permille,
            links: faults.links.clone(),
            bursts: rng.random(),
        }
    }

    pub fn is_on(&self) -> bool {
        !self.kinds.is_empty()
    }

    /// The fault at a step, if there is one.
    pub fn at(&self, step: u32, rng: &mut TestRng) -> Option<Fault> {
        if self.kinds.is_empty() {
            return None;
        }
        let permille = match (self.bursts, (step / BURST).is_multiple_of(2)) {
            (false, _) => self.permille,
            (true, true) => (self.permille * 2).min(950),
            (true, false) => self.permille * 2 - (self.permille * 2).min(950),
        };
        if rng.random_range(0..1000) >= permille {
            return None;
        }
        let kind = self.kinds[rng.random_range(0..self.kinds.len())];
        // To start a server takes long.
        let long = kind.is_of_process() || kind.is_own();
        (!long || rng.random_range(0..100) < RARE).then_some(kind)
    }
}

impl Mix {
    /// The delivery of a request during which a link breaks, or a program does its own, if that is what a fault is.
    pub fn meanwhile(&self, fault: Fault, rng: &mut TestRng) -> Option<Delivery> {
        if let Fault::Own(own) = fault {
            return Some(Delivery::Own(own));
        }
        if !fault.is_of_link() || self.links.is_empty() {
            return None;
        }
        let fault = match fault {
            Fault::LinkCut => LinkFault::Cut,
            Fault::LinkRefuse => LinkFault::Refuse,
            Fault::LinkDelay => LinkFault::Delay {
                millis: DELAYS[rng.random_range(0..DELAYS.len())],
            },
            Fault::LinkSlow => LinkFault::Slow,
            _ => LinkFault::CutAfter {
                bytes: PASSED[rng.random_range(0..PASSED.len())],
                answers: rng.random(),
            },
        };
        let link = self.links[rng.random_range(0..self.links.len())];
        Some(Delivery::Link { link, fault })
    }
}

/// By so many milliseconds a link delays.
const DELAYS: [u16; 3] = [2, 10, 50];

/// A link is cut after so many bytes: before the first statement of a request, or between any two.
const PASSED: [u16; 8] = [1, 60, 150, 300, 500, 800, 1300, 2100];

/// What may be sent again.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub step: Step,
    /// Whether it was predicted to change anything.
    pub changes: bool,
}

/// One of what was sent lately: mostly the last that changed something.
pub(super) fn choose<'a>(sent: &[&'a Sent], rng: &mut TestRng) -> Option<&'a Step> {
    let writes: Vec<_> = sent.iter().filter(|sent| sent.changes).collect();
    let lot = rng.random_range(0..100);
    let chosen = match (writes.last(), lot) {
        (Some(last), 0..60) => last,
        (Some(_), 60..85) => writes[rng.random_range(0..writes.len())],
        _ => match sent.len() {
            0 => return None,
            several => &sent[rng.random_range(0..several)],
        },
    };
    Some(&chosen.step)
}

/// The delivery of a request that arrives in spite of a fault, if it is one of those.
pub(super) fn arriving(fault: Fault) -> Option<Delivery> {
    match fault {
        Fault::Slow => Some(Delivery::Slow),
        Fault::Crash => Some(Delivery::AfterCrash),
        Fault::Stop => Some(Delivery::AfterStop),
        Fault::Pause => Some(Delivery::Paused),
        _ => None,
    }
}

/// The delivery of a request that fails before a client tries again; nothing where the fault would say nothing.
pub(super) fn failing(
    fault: Fault,
    model: &Model,
    step: &Step,
    changes: bool,
    sent: &[&Sent],
    rng: &mut TestRng,
) -> Option<Delivery> {
    // What a handshake leaves undone says nothing about what the websocket is for.
    if model.rules[step.action.rule].request.is_websocket() {
        return None;
    }
    let idle = !changes && rng.random_range(0..100) >= IDLE;
    match fault {
        Fault::Cut if !idle => Some(Delivery::Cut(match rng.random() {
            true => Cut::Early,
            false => Cut::Late,
        })),
        Fault::Malformed => {
            let body = &model.rules[step.action.rule].request.body;
            let damage = [
                Damage::Truncated,
                Damage::Encoding,
                Damage::NotANumber,
                Damage::ContentType,
                Damage::Nul,
                Damage::Nested,
            ];
            // The last two are costly, and all requests are alike to them.
            let damage = match rng.random_range(0..40) {
                0 => Damage::Huge,
                lot @ 1..8 => damage[lot % 6],
                // Nobody is told whether it took effect, which each time is one more that may have.
                36..40 => Damage::Length,
                lot => damage[lot % 5],
            };
            matches!(body, Body::Json(_)).then_some(Delivery::Malformed(damage))
        }
        Fault::Abandoned if !idle => Some(Delivery::Abandoned {
            close: match rng.random() {
                true => Close::Fin,
                false => Close::Rst,
            },
            after: MOMENTS[rng.random_range(0..MOMENTS.len())],
        }),
        Fault::Late if !idle => Some(Delivery::Late),
        Fault::Crash if !idle && rng.random() => Some(Delivery::Crashed {
            after: MOMENTS[rng.random_range(0..MOMENTS.len())],
        }),
        Fault::Key => borrowed(model, step, sent, rng),
        _ => None,
    }
}

/// The key of something else that was sent, where the rule says what comes of that.
fn borrowed(model: &Model, step: &Step, sent: &[&Sent], rng: &mut TestRng) -> Option<Delivery> {
    let rule = |step: &Step| &model.rules[step.action.rule];
    let key = rule(step).key()?;
    let lenders = sent.iter().filter_map(|sent| {
        let header = &rule(&sent.step).key()?.header;
        let other = sent.changes && *header == key.header && sent.step.action != step.action;
        let reuse = key.reuse(&sent.step.action, &step.action);
        reuse
            .filter(|_| other)
            .map(|reuse| (sent.step.id, *reuse != Reuse::Own))
    });
    let lenders: Vec<(u32, bool)> = lenders.collect();
    let (of, refused) = match lenders.len() {
        0 => return None,
        several => lenders[rng.random_range(0..several)],
    };
    Some(Delivery::KeyOf { of, refused })
}
