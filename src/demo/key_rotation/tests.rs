//! The server over HTTP, with real files: what the sound one keeps to, and what each slip shows in a sequence or a race.

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::{Config, Server, Slip, serve};

/// Requests that run at once are tried so often.
const TRIES: usize = 10;

struct Api {
    server: Server,
    client: Client,
    admin_key: String,
}

impl Api {
    /// A pool with so many keys, `k0`, `k1`, …, and backups, `b0`, `b1`, ….
    async fn start(slips: &[Slip], keys: usize, backups: usize) -> Self {
        let config = Config {
            slips: slips.to_vec(),
            ..Config::default()
        };
        let mut api = Self {
            server: serve(config).await.unwrap(),
            client: Client::new(),
            admin_key: String::new(),
        };
        api.open(keys, backups).await;
        api
    }

    async fn open(&mut self, keys: usize, backups: usize) {
        let (status, pool) = self.send(Method::POST, "/pools", json!({})).await;
        assert_eq!(status, 201);
        self.admin_key = pool["admin_key"].as_str().unwrap().to_owned();
        for (path, letter, count) in [
            ("/admin/keys", "k", keys),
            ("/admin/backup-keys", "b", backups),
        ] {
            for nth in 0..count {
                let new = json!({ "id": format!("{letter}{nth}"), "api_key": format!("sk-{letter}-{nth:08}") });
                assert_eq!(self.send(Method::POST, path, new).await.0, 201);
            }
        }
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let request = self
            .client
            .request(method, format!("{}{path}", self.server.url()))
            .header("X-Admin-Key", &self.admin_key)
            .json(&body);
        let response = request.send().await.unwrap();
        let status = response.status();
        match status {
            StatusCode::NO_CONTENT => (204, Value::Null),
            _ => (status.as_u16(), response.json().await.unwrap()),
        }
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, json!({})).await;
        assert_eq!(status, 200);
        body
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::POST, path, body).await
    }

    /// The status of a rotation, and what took the key's place.
    async fn rotate(&self, key: &str) -> (u16, Option<String>) {
        let path = format!("/admin/keys/{key}/rotate");
        let (status, body) = self.post(&path, json!({ "reason": "manual" })).await;
        (status, body["new_id"].as_str().map(str::to_owned))
    }

    /// How many keys are active, and how many backups wait.
    async fn counts(&self) -> (u64, u64) {
        let stats = self.get("/admin/stats").await;
        let count = |name: &str| stats[name].as_u64().unwrap();
        (count("keys"), count("available"))
    }
}

fn by(new: &str) -> (u16, Option<String>) {
    (200, Some(new.to_owned()))
}

#[tokio::test]
async fn a_backup_takes_the_place_once() {
    let api = Api::start(&[], 2, 2).await;
    assert_eq!(api.rotate("k0").await, by("b0"));
    assert_eq!(api.rotate("k0").await, by(""));
    assert_eq!(api.counts().await, (2, 1));
    assert_eq!(api.rotate("b1").await.0, 404);
    assert_eq!(api.rotate("never").await.0, 404);
    assert_eq!(api.rotate("k1").await, by("b1"));
    assert_eq!(api.rotate("b0").await.0, 503);
    let keys = api.get("/admin/keys").await;
    assert_eq!(keys["items"][0]["status"], "exhausted");
    assert_eq!(api.counts().await, (2, 0));
    assert_eq!(api.get("/admin/history").await["total"], 2);
}

#[tokio::test]
async fn a_backup_that_is_used_up_can_wait_again() {
    let api = Api::start(&[], 1, 1).await;
    let restore = |status: u16| {
        let api = &api;
        async move {
            let (came, _) = api.post("/admin/backup-keys/b0/restore", json!({})).await;
            assert_eq!(came, status);
        }
    };
    restore(409).await;
    assert_eq!(api.rotate("k0").await, by("b0"));
    restore(409).await;
    assert_eq!(
        api.send(Method::DELETE, "/admin/keys/b0", json!({}))
            .await
            .0,
        204
    );
    restore(200).await;
    assert_eq!(api.counts().await, (0, 1));
    assert_eq!(
        api.post(
            "/admin/keys",
            json!({ "id": "b0", "api_key": "sk-12345678" })
        )
        .await
        .0,
        409
    );
}

#[tokio::test]
async fn pools_see_nothing_of_each_other() {
    let mut api = Api::start(&[], 1, 1).await;
    let first = api.admin_key.clone();
    api.open(0, 0).await;
    assert_eq!(api.rotate("k0").await.0, 404);
    assert_eq!(api.counts().await, (0, 0));
    api.admin_key = "nobody's".to_owned();
    assert_eq!(api.rotate("k0").await.0, 401);
    api.admin_key = first;
    assert_eq!(api.counts().await, (1, 1));
}

#[tokio::test]
async fn a_refused_chat_replaces_the_key_that_it_used() {
    let api = Api::start(&[], 1, 1).await;
    let fine = api.post("/proxy/chat", json!({})).await;
    assert_eq!(
        fine,
        (200, json!({ "key_id": "k0", "upstream_status": 200 }))
    );
    let refused = json!({ "upstream_status": 401 });
    let (_, body) = api.post("/proxy/chat", refused.clone()).await;
    assert_eq!(
        (&body["key_id"], &body["new_id"]),
        (&json!("k0"), &json!("b0"))
    );
    let (_, body) = api.post("/proxy/chat", refused.clone()).await;
    assert_eq!(
        (&body["key_id"], &body["new_id"]),
        (&json!("b0"), &json!(""))
    );
    assert_eq!(api.post("/proxy/chat", refused).await.0, 503);
    assert_eq!(api.counts().await, (1, 0));
}

#[tokio::test]
async fn slips_that_a_sequence_shows() {
    for slip in [None, Some(Slip::IgnoreDeleteCount)] {
        let api = Api::start(slip.as_slice(), 1, 2).await;
        api.rotate("k0").await;
        api.rotate("k0").await;
        let expected = if slip.is_some() { (2, 0) } else { (1, 1) };
        assert_eq!(api.counts().await, expected);
    }
    for slip in [None, Some(Slip::NoBindingMove)] {
        let api = Api::start(slip.as_slice(), 1, 1).await;
        let binding = json!({ "proxy_id": "p", "key_id": "k0" });
        assert_eq!(api.post("/admin/bindings", binding).await.0, 201);
        api.rotate("k0").await;
        let bound = &api.get("/admin/bindings").await["items"][0]["key_id"];
        assert_eq!(bound, if slip.is_some() { "k0" } else { "b0" });
    }
    for slip in [None, Some(Slip::RestoreActiveOk)] {
        let api = Api::start(slip.as_slice(), 2, 1).await;
        api.rotate("k0").await;
        let (status, _) = api.post("/admin/backup-keys/b0/restore", json!({})).await;
        assert_eq!(status, if slip.is_some() { 200 } else { 409 });
        assert_eq!(api.rotate("k1").await.0, 503);
    }
    for slip in [None, Some(Slip::WholeKeyShown)] {
        let api = Api::start(slip.as_slice(), 0, 0).await;
        for (id, api_key, shown) in [
            ("long", "sk-0123456789", "sk-01234...6789"),
            (
                "short",
                "sk-012345678",
                if slip.is_some() {
                    "sk-012345678"
                } else {
                    "..."
                },
            ),
        ] {
            let new = json!({ "id": id, "api_key": api_key });
            assert_eq!(api.post("/admin/keys", new).await.1["api_key"], shown);
        }
    }
    for slip in [None, Some(Slip::NoBackupDeletes)] {
        let api = Api::start(slip.as_slice(), 1, 0).await;
        assert_eq!(api.rotate("k0").await.0, 503);
        assert_eq!(api.counts().await.0, u64::from(slip.is_none()));
    }
}

/// How often two rotations at once leave anything else than `expected`.
async fn wrong(slip: Option<Slip>, keys: [&str; 2], expected: (u64, u64)) -> usize {
    let mut api = Api::start(slip.as_slice(), 2, 2).await;
    let mut wrong = 0;
    for _ in 0..TRIES {
        api.open(2, 2).await;
        let (one, other) = tokio::join!(api.rotate(keys[0]), api.rotate(keys[1]));
        let refused = one.0 != 200 || other.0 != 200;
        wrong += usize::from(refused || api.counts().await != expected);
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn slips_that_a_race_shows() {
    for (slip, keys, expected) in [
        (Slip::NonatomicClaim, ["k0", "k1"], (2, 0)),
        (Slip::BurnBackup, ["k0", "k0"], (2, 1)),
        (Slip::IgnoreDeleteCount, ["k0", "k0"], (2, 1)),
    ] {
        assert!(
            wrong(Some(slip), keys, expected).await * 3 > TRIES,
            "{slip}"
        );
        assert_eq!(wrong(None, keys, expected).await, 0, "{slip}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_tears_nothing() {
    let api = Api::start(&[Slip::DeleteThenInsert], 1, 1).await;
    let soon = std::time::Duration::from_millis(10);
    drop(tokio::time::timeout(soon, api.rotate("k0")).await);
    // The next one waits for it, or is the first that arrives.
    assert_eq!(api.rotate("k0").await.0, 200);
    assert_eq!(api.counts().await, (1, 0));
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
