//! The planted slips. Each is one plausible mistake. Some show in a sequence of requests, most only when requests of one
//! key run at once.

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
    NoKeyLock = "no_key_lock": "requests of one key find, close and open sessions without its lock";
    NoUniqueIndex = "no_unique_index": "neither a lock nor an index keeps a key from having two active sessions";
    LeakOnConflict = "leak_on_conflict": "without the lock; a session opened in vain is left open";
    SharedSlot = "shared_slot": "the pending replies of a session share one slot";
    CacheByPrefix = "cache_by_prefix": "replies are cached by the model and the first 16 characters of the prompt";
    CloseInFlight = "close_in_flight": "a session is closed while chats run in it";
    ForeignSessionOk = "foreign_session_ok": "a session that a chat names is not checked against its key";
    RevokedOkOnSession = "revoked_ok_on_session": "the session endpoints take keys that were revoked";
    SilentDefaultModel = "silent_default_model": "an unknown model is answered by the default one";
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
        let error = "shard_slot".parse::<Slip>().unwrap_err();
        assert_eq!(error.nearest[0], "shared_slot");
        assert!(error.to_string().contains("did you mean `shared_slot`"));
        let error = "%".parse::<Slip>().unwrap_err();
        assert!(error.nearest.is_empty());
        assert!(error.to_string().contains("there are no_key_lock, "));
    }

    #[test]
    fn switches_are_independent() {
        let on: Slips = [Slip::CacheByPrefix, Slip::SharedSlot]
            .into_iter()
            .collect();
        let listed: Vec<_> = Slip::ALL.iter().filter(|slip| on.has(**slip)).collect();
        assert_eq!(listed, [&Slip::SharedSlot, &Slip::CacheByPrefix]);
        assert!(on.any(&[Slip::NoKeyLock, Slip::SharedSlot]) && !on.any(&[Slip::NoKeyLock]));
    }
}
