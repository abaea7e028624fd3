//! The planted slips. Each is one plausible mistake with exactly one effect. Most show in a sequence of requests, some
//! only when requests run at once, when a client hangs up, or when a websocket is opened.

use crate::demo::slips::slips;

pub use crate::demo::slips::UnknownSlip;

slips! {
    NoAuthRateLimits = "no_auth_rate_limits": "the rate limits are anybody's to read and to change";
    WsNoAuth = "ws_no_auth": "the events of a run are sent to whoever opens a websocket, with a key or without";
    WsNoOwner = "ws_no_owner": "a websocket asks for a key, but not whose run it is";
    SharedDb = "shared_db": "all users have one file";
    EngineCacheByPrefix = "engine_cache_by_prefix": "whose key it is, is remembered by its first 12 characters";
    EngineBeforeTables = "engine_before_tables": "a user's new file is there for all before it has tables";
    UpsertRace = "upsert_race": "a provider key is looked up and then inserted, and no index keeps it from being two";
    UserNotAtomic = "user_not_atomic": "a user is made in three transactions, unless the client hangs up";
    Username500 = "username_500": "a username that is taken is an error of the database, as it is";
    SoftdeleteName = "softdelete_name": "the name of a content that was deleted stays taken";
    RevokeCached = "revoke_cached": "a key that was used and then revoked is still remembered";
    StartWithoutKey = "start_without_key": "without an encryption key the server starts all the same";
}
