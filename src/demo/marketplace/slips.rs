//! The planted slips. Each is one plausible mistake. Some show in a sequence of requests, most only when requests of one
//! key run at once.

use crate::demo::slips::slips;

pub use crate::demo::slips::UnknownSlip;

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
