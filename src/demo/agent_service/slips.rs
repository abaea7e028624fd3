//! The planted slips. Each is one plausible mistake with exactly one effect. Most of them show only when the server
//! crashes or a client hangs up at the wrong moment.

use std::fmt;
use std::str::FromStr;

/// Names that resemble an unknown one at least this much (Jaro–Winkler) are worth suggesting.
const RESEMBLANCE: f64 = 0.75;

/// No slip goes by this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no slip is called `{name}`; {}", suggestion(nearest))]
pub struct UnknownSlip {
    /// The name that was asked for.
    pub name: String,
    /// The most similar names, best first; empty when nothing comes close.
    pub nearest: Vec<&'static str>,
}

fn suggestion(nearest: &[&str]) -> String {
    if nearest.is_empty() {
        let names: Vec<&str> = Slip::ALL.iter().map(|slip| slip.name()).collect();
        format!("there are {}", names.join(", "))
    } else {
        format!("did you mean `{}`?", nearest.join("`, `"))
    }
}

macro_rules! slips {
    ($($slip:ident = $name:literal: $about:literal;)+) => {
        /// A planted slip: off unless listed in [`Config::slips`](super::Config::slips).
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Slip {
            $(#[doc = $about] $slip,)+
        }

        impl Slip {
            /// Every planted slip.
            pub const ALL: &'static [Slip] = &[$(Slip::$slip,)+];

            /// The switch's name, in snake case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Slip::$slip => $name,)+
                }
            }

            /// What slipped, in one line.
            pub fn about(self) -> &'static str {
                match self {
                    $(Slip::$slip => $about,)+
                }
            }
        }
    };
}

slips! {
    LazyPersist = "lazy_persist": "writes are answered from memory and stored 200 ms after the last call";
    ReadBack = "read_back": "a create is read back between its commit and its idempotency key";
    TwoStores = "two_stores": "the list's registry is written 5 ms after the agent, not with it";
    StaleCopy = "stale_copy": "a graceful stop writes a copy that later overrides what updates stored";
    NoTxn = "no_txn": "a create stores the agent, then its blocks one by one";
    DeleteInTwoSteps = "delete_in_two_steps": "a delete is answered 200 ms before the database knows of it";
    KeyInMemory = "key_in_memory": "idempotency keys are forgotten at a restart";
    KeyOfAnything = "key_of_anything": "a key is answered as it was the first time, whatever the request";
    DeleteMissing = "delete_200_missing": "deleting what is not there answers 204";
    ListFromCache = "list_from_cache": "the list is cached, and only creates refresh it";
    LimitOfNewOnly = "limit_of_new_only": "a block's new value is checked only against a limit sent with it";
    MessageHalfStored = "message_half_stored": "a message is stored before its reply, not with it";
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Slip {
    type Err = UnknownSlip;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if let Some(slip) = Self::ALL.iter().find(|slip| slip.name() == name) {
            return Ok(*slip);
        }
        let resemblance = |slip: &Slip| strsim::jaro_winkler(name, slip.name());
        let mut near: Vec<Slip> = Self::ALL.to_vec();
        near.retain(|slip| resemblance(slip) >= RESEMBLANCE);
        near.sort_by(|one, other| resemblance(other).total_cmp(&resemblance(one)));
        Err(UnknownSlip {
            name: name.to_owned(),
            nearest: near.into_iter().take(3).map(Slip::name).collect(),
        })
    }
}

/// The switches that are on: one bit a slip.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slips(u32);

const _: () = assert!(Slip::ALL.len() <= u32::BITS as usize);

impl Slips {
    pub(super) fn has(self, slip: Slip) -> bool {
        self.0 & (1 << slip as u32) != 0
    }

    pub(super) fn any(self, slips: &[Slip]) -> bool {
        slips.iter().any(|slip| self.has(*slip))
    }
}

impl FromIterator<Slip> for Slips {
    fn from_iter<I: IntoIterator<Item = Slip>>(slips: I) -> Self {
        Self(
            slips
                .into_iter()
                .fold(0, |bits, slip| bits | 1 << slip as u32),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_short_and_round_trip() {
        let mut seen = HashSet::new();
        for slip in Slip::ALL {
            let (name, about) = (slip.name(), slip.about());
            assert!(seen.insert(name) && seen.insert(about), "{name}");
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit()),
                "{name} is not snake case"
            );
            assert!(name.len() <= 32 && (1..=90).contains(&about.len()));
            assert!(!about.ends_with('.'), "{about}");
            assert_eq!(name.parse(), Ok(*slip));
            assert_eq!(slip.to_string(), name);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_nearest() {
        let error = "stale_cpy".parse::<Slip>().unwrap_err();
        assert_eq!(error.nearest[0], "stale_copy");
        assert!(error.to_string().contains("did you mean `stale_copy`"));
        let error = "%".parse::<Slip>().unwrap_err();
        assert!(error.nearest.is_empty());
        assert!(error.to_string().contains("there are lazy_persist, "));
    }

    #[test]
    fn switches_are_independent() {
        let on: Slips = [Slip::NoTxn, Slip::ReadBack].into_iter().collect();
        let listed: Vec<_> = Slip::ALL.iter().filter(|slip| on.has(**slip)).collect();
        assert_eq!(listed, [&Slip::ReadBack, &Slip::NoTxn]);
        assert!(on.any(&[Slip::NoTxn, Slip::TwoStores]) && !on.any(&[Slip::TwoStores]));
    }
}
