//! What is on disk, and what is not.

use serde_json::json;

use super::super::{Config, EncryptionKey, Place, ServeError, Slip, serve};
use super::harness::Api;

fn kept(folder: &std::path::Path, secret: &str) -> Config {
    Config {
        place: Place {
            database: Some(folder.join("master.sqlite")),
            ..Place::default()
        },
        encryption_key: EncryptionKey::new(secret),
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::with(kept(folder.path(), "one")).await;
    let user = api.user().await;
    let key = json!({ "provider": "groq", "api_key": "gsk-0123456789" });
    assert_eq!(api.post(&user.key, "/provider-keys", key).await.0, 201);
    let (_, content) = api.content(&user.key, "one").await;
    let at = format!("/contents/{}", content["id"].as_str().unwrap());
    api.server.stop().await;

    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in ["gsk-0123456789", &user.key] {
            let shown = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!shown, "a secret is in a file");
        }
    }

    let api = Api::with(kept(folder.path(), "one")).await;
    assert_eq!(api.get(&user.key, &at).await, (200, content));
    let (_, provider) = api.get(&user.key, "/provider-keys/groq").await;
    assert_eq!(provider["key_prefix"], "gsk-0123...");
    api.server.stop().await;

    // With another encryption key it is there, and cannot be read.
    let api = Api::with(kept(folder.path(), "two")).await;
    let unreadable = json!({ "provider": "groq", "configured": true });
    assert_eq!(
        api.get(&user.key, "/provider-keys/groq").await,
        (200, unreadable)
    );
}

#[tokio::test]
async fn without_an_encryption_key_nothing_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let error = serve(kept(folder.path(), "")).await.unwrap_err();
    assert!(matches!(error, ServeError::NoEncryptionKey { .. }));
    assert!(
        error.to_string().contains("export ENCRYPTION_KEY="),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);

    let mut config = kept(folder.path(), "");
    config.place.slips = vec![Slip::StartWithoutKey];
    let api = Api::with(config).await;
    let user = api.user().await;
    let new = json!({ "provider": "groq", "api_key": "gsk-0123456789" });
    let (status, body) = api.post(&user.key, "/provider-keys", new).await;
    assert_eq!((status, body), (500, json!("ENCRYPTION_KEY is not set")));
    assert_eq!(api.get(&user.key, "/provider-keys/groq").await.0, 500);
    assert_eq!(api.content(&user.key, "one").await.0, 201);
}

#[tokio::test]
async fn more_users_than_files_are_kept_open() {
    let api = Api::start(&[]).await;
    let mut users = Vec::new();
    for _ in 0..40 {
        let user = api.user().await;
        assert_eq!(api.content(&user.key, "one").await.0, 201);
        users.push(user);
    }
    for user in users {
        assert_eq!(api.get(&user.key, "/contents").await.1["total"], 1);
    }
}

#[test]
fn an_encryption_key_is_not_shown() {
    let key = EncryptionKey::new("a text that nobody may see");
    assert_eq!(format!("{key:?}"), "Some(EncryptionKey(…))");
}
