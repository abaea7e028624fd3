//! The planted slips. Each is one plausible mistake with exactly one effect. Most of them show only when the server
//! crashes or a client hangs up at the wrong moment.

use crate::demo::slips::slips;

pub use crate::demo::slips::UnknownSlip;

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
