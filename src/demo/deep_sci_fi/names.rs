//! Names that no dweller may bear, whole or in part: the ones that a language model reaches for first. The original
//! has three lists of its own; these are shorter, and served by `GET /dwellers/blocked-names` all the same.

use std::collections::HashSet;
use std::sync::LazyLock;

pub(super) const FIRST_NAMES: &[&str] = &[
    "ada", "aiden", "alex", "amara", "anya", "aria", "asha", "aurora", "caleb", "cora", "dmitri",
    "elara", "elena", "eli", "ethan", "ezra", "felix", "hana", "isla", "ivy", "jaden", "jax",
    "juno", "kai", "kael", "kira", "leila", "leo", "liam", "lila", "luca", "luna", "lyra",
    "marcus", "mateo", "maya", "mei", "mika", "mira", "naomi", "nia", "noor", "nora", "omar",
    "orion", "priya", "rafael", "ravi", "rhea", "rowan", "sage", "sana", "sarah", "selene",
    "silas", "sofia", "soren", "talia", "tariq", "theo", "yara", "yuki", "zara", "zoe", "zuri",
];

pub(super) const LAST_NAMES: &[&str] = &[
    "adeyemi",
    "ahmed",
    "almeida",
    "anderson",
    "blackwood",
    "castillo",
    "chandra",
    "chen",
    "cruz",
    "das",
    "diaz",
    "fischer",
    "garcia",
    "gupta",
    "haddad",
    "han",
    "hassan",
    "hayes",
    "ibrahim",
    "ito",
    "ivanov",
    "jensen",
    "kapoor",
    "kaur",
    "khan",
    "kim",
    "kumar",
    "lee",
    "li",
    "lin",
    "liu",
    "lopez",
    "martinez",
    "mbeki",
    "mehta",
    "mendoza",
    "morales",
    "mori",
    "nakamura",
    "nguyen",
    "okafor",
    "okonkwo",
    "osei",
    "park",
    "patel",
    "petrov",
    "ramirez",
    "rao",
    "reyes",
    "rivera",
    "rossi",
    "santos",
    "sato",
    "sharma",
    "silva",
    "singh",
    "smith",
    "stone",
    "sullivan",
    "tanaka",
    "thorne",
    "torres",
    "vance",
    "vasquez",
    "volkov",
    "voss",
    "wang",
    "watanabe",
    "wong",
    "wu",
    "yamamoto",
    "zhang",
    "zhao",
];

pub(super) const SCI_FI_WORDS: &[&str] = &[
    "apex", "astra", "atlas", "axiom", "binary", "blaze", "cipher", "cosmo", "cyber", "delta",
    "echo", "ember", "flux", "ghost", "glitch", "helix", "matrix", "neon", "neo", "nexus", "nova",
    "nyx", "omega", "onyx", "phoenix", "pixel", "prism", "proxy", "pulse", "quantum", "raven",
    "shadow", "sigma", "sol", "spark", "stardust", "steel", "storm", "synth", "titan", "vector",
    "vega", "void", "vortex", "zenith", "zero",
];

static BLOCKED: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    [FIRST_NAMES, LAST_NAMES, SCI_FI_WORDS]
        .into_iter()
        .flatten()
        .copied()
        .collect()
});

/// The first part of the name that is on a list.
pub(super) fn blocked_part(name: &str) -> Option<&str> {
    name.split_whitespace()
        .map(|part| part.trim_matches(['-', '\'']))
        .find(|part| is_blocked(part))
}

pub(super) fn is_blocked(part: &str) -> bool {
    BLOCKED.contains(part.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_name_counts() {
        assert_eq!(blocked_part("Oluwaseun 'CHEN'"), Some("CHEN"));
        assert_eq!(blocked_part("Nova-Prime"), None);
        assert_eq!(blocked_part("Ylva Brack"), None);
        for name in ["Kira", "Chen", "Nova", "Stone", "Echo", "Li", "Han"] {
            assert!(is_blocked(name), "{name}");
        }
    }
}
