//! Requests at once: what they show of a slip, and that the sound server is none the worse for them.

use serde_json::json;

use super::super::Slip;
use super::harness::{Api, name};

/// Requests that run at once are tried so often.
const TRIES: usize = 10;

/// In how many tries two first requests of a user do not both succeed.
async fn first_requests_fail(slips: &[Slip]) -> usize {
    let api = Api::start(slips).await;
    let mut failed = 0;
    for _ in 0..TRIES {
        let user = api.user().await;
        let (one, other) =
            tokio::join!(api.content(&user.key, "one"), api.content(&user.key, "two"));
        failed += usize::from((one.0, other.0) != (201, 201));
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_before_tables_fails_the_second_of_two_first_requests() {
    assert!(first_requests_fail(&[Slip::EngineBeforeTables]).await * 3 > TRIES);
    assert_eq!(first_requests_fail(&[]).await, 0);
}

/// In how many tries a provider key that is saved twice at once cannot be looked at.
async fn saved_twice_fails(slips: &[Slip]) -> usize {
    let api = Api::start(slips).await;
    let user = api.user().await;
    let mut failed = 0;
    for provider in ["openai", "anthropic", "google", "openrouter", "groq"] {
        let save = |api_key: &str| {
            let new = json!({ "provider": provider, "api_key": api_key });
            api.post(&user.key, "/provider-keys", new)
        };
        let (one, other) = tokio::join!(save("sk-0"), save("sk-1"));
        assert_eq!((one.0, other.0), (201, 201));
        let at = format!("/provider-keys/{provider}");
        failed += usize::from(api.get(&user.key, &at).await.0 == 500);
    }
    failed
}

#[tokio::test(flavor = "multi_thread")]
async fn upsert_race_leaves_two_rows() {
    assert!(saved_twice_fails(&[Slip::UpsertRace]).await > 1);
    assert_eq!(saved_twice_fails(&[]).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_given_once() {
    let api = Api::start(&[]).await;
    for _ in 0..TRIES {
        let (name, addresses) = (name(), [name(), name()].map(|a| format!("{a}@example.com")));
        let (one, other) = tokio::join!(
            api.register(&name, &addresses[0]),
            api.register(&name, &addresses[1])
        );
        let mut statuses = [one.0, other.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_does_is_done_before_it_is_revoked() {
    let api = Api::start(&[]).await;
    for _ in 0..TRIES {
        let user = api.user().await;
        let (_, second) = api.post(&user.key, "/users/me/keys", json!({})).await;
        let key = second["api_key"].as_str().unwrap();
        let at = format!("/users/me/keys/{}", second["key_id"].as_str().unwrap());
        let revoked_and_listed = async {
            assert_eq!(api.delete(&user.key, &at).await, 204);
            api.get(&user.key, "/contents").await.1["total"].clone()
        };
        let (total, (status, _)) = tokio::join!(revoked_and_listed, api.content(key, "one"));
        let done = u64::from(status == 201);
        assert!(done == 1 || status == 401, "{status}");
        assert_eq!(total, done);
    }
}
