//! What a sequence of requests shows of each slip, and not of the sound server.

use std::time::Duration;

use serde_json::json;

use super::super::Slip;
use super::harness::{Api, name};

/// Whether a slip shows in a scenario, and the sound server does not.
macro_rules! shows {
    ($slip:expr, $api:ident => $scenario:expr) => {
        for (slips, expected) in [(&[$slip] as &[Slip], true), (&[], false)] {
            let $api = Api::start(slips).await;
            let shown: bool = $scenario;
            assert_eq!(shown, expected, "with {slips:?}");
        }
    };
}

#[tokio::test]
async fn no_auth_rate_limits_lets_strangers_set_them() {
    shows!(Slip::NoAuthRateLimits, api => {
        let at = "/rate-limits/openai";
        let (status, _) = api.put("", at, json!({ "max_concurrent": 1 })).await;
        assert_eq!(api.get("", "/users/me").await.0, 401);
        assert_eq!(api.get("", at).await.0, status);
        status == 200
    });
}

#[tokio::test]
async fn shared_db_shows_users_what_others_have() {
    shows!(Slip::SharedDb, api => {
        let (user, other) = (api.user().await, api.user().await);
        let (_, content) = api.content(&user.key, "one").await;
        let at = format!("/contents/{}", content["id"].as_str().unwrap());
        let (status, _) = api.get(&other.key, &at).await;
        assert!([200, 404].contains(&status));
        status == 200
    });
}

#[tokio::test]
async fn engine_cache_by_prefix_mixes_users_up() {
    shows!(Slip::EngineCacheByPrefix, api => {
        let mut mixed = false;
        // Keys begin alike for a quarter of an hour, which may end between two of them.
        for _ in 0..2 {
            let (user, other) = (api.user().await, api.user().await);
            let mine = api.get(&user.key, "/users/me").await.1;
            let theirs = api.get(&other.key, "/users/me").await.1;
            mixed |= mine == theirs;
        }
        let unknown = format!("acm2_{:012x}_{}", 0, "0".repeat(32));
        assert_eq!(api.get(&unknown, "/users/me").await.0, 401);
        mixed
    });
}

#[tokio::test]
async fn username_500_shows_what_the_database_says() {
    shows!(Slip::Username500, api => {
        let user = api.user().await;
        let (status, body) = api.register(&user.name, "other@example.com").await;
        let detail = body["detail"].as_str().unwrap();
        assert_eq!(status == 500, detail.contains("UNIQUE constraint failed"));
        assert!([409, 500].contains(&status));
        status == 500
    });
}

#[tokio::test]
async fn softdelete_name_keeps_the_name() {
    shows!(Slip::SoftdeleteName, api => {
        let user = api.user().await;
        let (_, content) = api.content(&user.key, "one").await;
        let at = format!("/contents/{}", content["id"].as_str().unwrap());
        assert_eq!(api.delete(&user.key, &at).await, 204);
        let (status, _) = api.content(&user.key, "one").await;
        assert!([201, 400].contains(&status));
        status == 400
    });
}

#[tokio::test]
async fn revoke_cached_lets_a_revoked_key_in() {
    shows!(Slip::RevokeCached, api => {
        let user = api.user().await;
        let (_, second) = api.post(&user.key, "/users/me/keys", json!({})).await;
        let key = second["api_key"].as_str().unwrap();
        assert_eq!(api.get(key, "/users/me").await.0, 200);
        let at = format!("/users/me/keys/{}", second["key_id"].as_str().unwrap());
        assert_eq!(api.delete(&user.key, &at).await, 204);
        api.get(key, "/users/me").await.0 == 200
    });
}

/// A name and an address that nobody has.
fn fresh() -> (String, String) {
    (name(), format!("{}@example.com", name()))
}

#[tokio::test]
async fn user_not_atomic_makes_half_a_user_if_the_client_hangs_up() {
    shows!(Slip::UserNotAtomic, api => {
        let mut half = false;
        for patience in (4..40).step_by(4) {
            let (name, email) = fresh();
            let patience = Duration::from_millis(patience);
            drop(tokio::time::timeout(patience, api.register(&name, &email)).await);
            // Whatever is done by itself is done by then.
            tokio::time::sleep(Duration::from_millis(80)).await;
            let (other, address) = fresh();
            let named = api.register(&name, &address).await.0 == 409;
            let addressed = api.register(&other, &email).await.0 == 409;
            half |= named != addressed;
        }
        half
    });
}

#[test]
fn names_are_unique_and_round_trip() {
    let mut seen = std::collections::HashSet::new();
    for slip in Slip::ALL {
        let (name, about) = (slip.name(), slip.about());
        assert!(seen.insert(name) && seen.insert(about), "{name}");
        assert!(about.len() <= 90 && !about.ends_with('.'), "{about}");
        assert_eq!(name.parse(), Ok(*slip));
    }
}
