//! Planted slips by name: what those of every server have in common.

/// Names that resemble an unknown one at least this much (Jaro–Winkler) are worth suggesting.
const RESEMBLANCE: f64 = 0.75;

/// No slip goes by this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no slip is called `{name}`; {}", suggestion(nearest, all))]
pub struct UnknownSlip {
    /// The name that was asked for.
    pub name: String,
    /// The most similar names, best first; empty when nothing comes close.
    pub nearest: Vec<&'static str>,
    /// All names that there are.
    pub all: Vec<&'static str>,
}

impl UnknownSlip {
    /// Of a name that is none of `all`.
    pub(super) fn new(name: &str, all: Vec<&'static str>) -> Self {
        let resemblance = |known: &str| strsim::jaro_winkler(name, known);
        let mut nearest = all.clone();
        nearest.retain(|known| resemblance(known) >= RESEMBLANCE);
        nearest.sort_by(|one, other| resemblance(other).total_cmp(&resemblance(one)));
        nearest.truncate(3);
        Self {
            name: name.to_owned(),
            nearest,
            all,
        }
    }
}

fn suggestion(nearest: &[&str], all: &[&str]) -> String {
    match nearest {
        [] => format!("there are {}", all.join(", ")),
        nearest => format!("did you mean `{}`?", nearest.join("`, `")),
    }
}

/// Declares a server's `Slip`, and `Slips`, a set of them: `ReadBack = "read_back": "what slipped, in one line";`
macro_rules! slips {
    ($($slip:ident = $name:literal: $about:literal;)+) => {
        /// A planted slip: off unless listed in the `slips` of a [`Config`](super::Config).
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

        impl std::fmt::Display for Slip {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for Slip {
            type Err = $crate::demo::slips::UnknownSlip;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                let named = Self::ALL.iter().find(|slip| slip.name() == name);
                named.copied().ok_or_else(|| {
                    let all = Self::ALL.iter().map(|slip| slip.name()).collect();
                    $crate::demo::slips::UnknownSlip::new(name, all)
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

            #[allow(dead_code, reason = "not every server has slips that are asked for together")]
            pub(super) fn any(self, slips: &[Slip]) -> bool {
                slips.iter().any(|slip| self.has(*slip))
            }
        }

        impl FromIterator<Slip> for Slips {
            fn from_iter<I: IntoIterator<Item = Slip>>(slips: I) -> Self {
                Self(slips.into_iter().fold(0, |bits, slip| bits | 1 << slip as u32))
            }
        }
    };
}

pub(super) use slips;
