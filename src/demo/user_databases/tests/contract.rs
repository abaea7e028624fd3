//! What the sound server answers.

use reqwest::Method;
use serde_json::json;

use super::harness::{Api, answer, name};

#[tokio::test]
async fn a_user_has_a_name_and_an_address_of_their_own() {
    let api = Api::start(&[]).await;
    let user = api.user().await;
    let (status, me) = api.get(&user.key, "/users/me").await;
    assert_eq!((status, &me["seed_status"]), (200, &json!("ready")));
    assert_eq!(me["username"], *user.name);
    assert_eq!(api.register(&user.name, "other@example.com").await.0, 409);
    let email = format!("{}@example.com", user.name);
    assert_eq!(api.register(&name(), &email).await.0, 409);
    for (name, email) in [
        ("", "a@example.com"),
        ("a b", "a@example.com"),
        (&"a".repeat(65), "a@example.com"),
        ("fine", "a@example"),
        ("fine", "@example.com"),
        ("fine", "a@b@example.com"),
        ("fine", "a@example..com"),
    ] {
        assert_eq!(api.register(name, email).await.0, 422, "{name} {email}");
    }
    // Nothing of that took the name.
    assert_eq!(api.register("fine", "a@example.com").await.0, 201);
}

#[tokio::test]
async fn strangers_are_refused_before_anything_else_is_looked_at() {
    let api = Api::start(&[]).await;
    let user = api.user().await;
    let (start, end) = user.key.split_at(user.key.len() - 1);
    let last = if end == "0" { "1" } else { "0" };
    for key in ["", "acm2_", start, &format!("{start}{last}")] {
        for (method, path) in [
            (Method::GET, "/users/me"),
            (Method::POST, "/users/me/keys"),
            (Method::GET, "/users/me/keys"),
            (Method::DELETE, "/users/me/keys/some"),
            (Method::POST, "/provider-keys"),
            (Method::GET, "/provider-keys"),
            (Method::GET, "/provider-keys/openai"),
            (Method::DELETE, "/provider-keys/openai"),
            (Method::POST, "/contents"),
            (Method::GET, "/contents?page=0"),
            (Method::PUT, "/contents/some"),
            (Method::GET, "/rate-limits"),
            (Method::GET, "/rate-limits/openai"),
            (Method::PUT, "/rate-limits/openai"),
            (Method::POST, "/runs"),
            (Method::GET, "/runs/some"),
            (Method::POST, "/runs/some/start"),
            (Method::GET, "/runs/some/events"),
            (Method::GET, "/runs/ws/run/some"),
        ] {
            let unparsable = api.request(key, method.clone(), path).body("{");
            assert_eq!(answer(unparsable).await.0, 401, "{method} {path}");
        }
    }
    let unparsable = api.request(&user.key, Method::POST, "/runs").body("{");
    let unparsable = unparsable.header("content-type", "application/json");
    assert_eq!(answer(unparsable).await.0, 422);
    assert_eq!(api.get("", "/health").await.0, 200);
    assert_eq!(api.get("", "/nowhere").await.0, 404);
    assert_eq!(api.delete("", "/health").await, 405);
}

#[tokio::test]
async fn a_revoked_key_opens_nothing() {
    let api = Api::start(&[]).await;
    let (user, other) = (api.user().await, api.user().await);
    let (status, second) = api.post(&user.key, "/users/me/keys", json!({})).await;
    assert_eq!(status, 201);
    let (second, second_id) = (second["api_key"].as_str().unwrap(), &second["key_id"]);
    let path = format!("/users/me/keys/{}", second_id.as_str().unwrap());
    assert_eq!(api.get(second, "/users/me").await.0, 200);
    assert_eq!(api.delete(&other.key, &path).await, 404);
    assert_eq!(api.delete(&user.key, &path).await, 204);
    assert_eq!(api.get(second, "/users/me").await.0, 401);
    assert_eq!(api.delete(&user.key, &path).await, 404);
    let (_, listed) = api.get(&user.key, "/users/me/keys").await;
    assert_eq!(listed["keys"][0]["revoked"], false);
    assert_eq!(
        listed["keys"][1],
        json!({ "key_id": second_id, "prefix": &second[..12], "revoked": true })
    );
    // A key may revoke itself.
    let own = format!("/users/me/keys/{}", user.key_id);
    assert_eq!(api.delete(&user.key, &own).await, 204);
    assert_eq!(api.delete(&user.key, &own).await, 401);
}

#[tokio::test]
async fn provider_keys_are_kept_and_not_shown() {
    let api = Api::start(&[]).await;
    let (user, other) = (api.user().await, api.user().await);
    let save = |provider: &str, api_key: &str| {
        let new = json!({ "provider": provider, "api_key": api_key });
        api.post(&user.key, "/provider-keys", new)
    };
    assert_eq!(save("nobody", "sk-1").await.0, 400);
    assert_eq!(save("openai", "").await.0, 422);
    assert_eq!(save("openai", "sk-01234").await.0, 201);
    let at = "/provider-keys/openai";
    let short = json!({ "provider": "openai", "configured": true });
    assert_eq!(api.get(&user.key, at).await, (200, short));
    assert_eq!(save("OpenAI", "sk-012345").await.0, 201);
    let long = json!({ "provider": "openai", "configured": true, "key_prefix": "sk-01234..." });
    assert_eq!(api.get(&user.key, at).await, (200, long));
    let (_, listed) = api.get(&user.key, "/provider-keys").await;
    assert_eq!(listed, json!({ "providers": ["openai"] }));
    let none = json!({ "provider": "openai", "configured": false });
    assert_eq!(api.get(&other.key, at).await, (200, none.clone()));
    assert_eq!(api.delete(&other.key, at).await, 404);
    assert_eq!(api.delete(&user.key, at).await, 204);
    assert_eq!(api.delete(&user.key, at).await, 404);
    assert_eq!(api.get(&user.key, at).await, (200, none));
}

#[tokio::test]
async fn contents_are_their_users() {
    let api = Api::start(&[]).await;
    let (user, other) = (api.user().await, api.user().await);
    let (status, content) = api.content(&user.key, "one").await;
    assert_eq!(status, 201);
    let at = format!("/contents/{}", content["id"].as_str().unwrap());
    assert_eq!(api.get(&user.key, &at).await, (200, content.clone()));
    assert_eq!(api.content(&user.key, "one").await.0, 400);
    assert_eq!(api.content(&other.key, "one").await.0, 201);
    assert_eq!(api.content(&user.key, "").await.0, 422);
    let unknown = json!({ "name": "two", "content_type": "poem", "body": "as it is" });
    assert_eq!(api.post(&user.key, "/contents", unknown).await.0, 422);
    let elsewhere = json!({ "name": "theirs" });
    assert_eq!(api.put(&other.key, &at, elsewhere.clone()).await.0, 404);
    assert_eq!(api.get(&other.key, &at).await.0, 404);
    assert_eq!(api.delete(&other.key, &at).await, 404);
    assert_eq!(api.content(&user.key, "two").await.0, 201);
    assert_eq!(
        api.put(&user.key, &at, json!({ "name": "two" })).await.0,
        400
    );
    assert_eq!(api.put(&user.key, &at, json!({ "body": "" })).await.0, 422);
    let (status, changed) = api.put(&user.key, &at, json!({ "body": "new" })).await;
    assert_eq!((status, &changed["body"]), (200, &json!("new")));
    assert_eq!(changed["name"], "one");
    assert_eq!(api.delete(&user.key, &at).await, 204);
    assert_eq!(api.delete(&user.key, &at).await, 404);
    assert_eq!(api.get(&user.key, &at).await.0, 404);
    assert_eq!(api.content(&user.key, "one").await.0, 201);
}

#[tokio::test]
async fn pages_are_all_there_is() {
    let api = Api::start(&[]).await;
    let user = api.user().await;
    for name in ["a", "b", "c"] {
        assert_eq!(api.content(&user.key, name).await.0, 201);
    }
    let mut names = Vec::new();
    for page in 1..=3 {
        let path = format!("/contents?page={page}&page_size=2");
        let (status, listed) = api.get(&user.key, &path).await;
        assert_eq!(status, 200);
        assert_eq!((&listed["total"], &listed["pages"]), (&json!(3), &json!(2)));
        let items = listed["items"].as_array().unwrap().iter();
        names.extend(items.map(|item| item["name"].clone()));
    }
    assert_eq!(names, ["a", "b", "c"]);
    for query in [
        "page=0",
        "page_size=0",
        "page_size=101",
        "page=x",
        "page=-1",
    ] {
        for list in ["contents", "runs"] {
            let path = format!("/{list}?{query}");
            assert_eq!(api.get(&user.key, &path).await.0, 422, "{path}");
        }
    }
}

#[tokio::test]
async fn rate_limits_are_everybodys() {
    let api = Api::start(&[]).await;
    let (user, other) = (api.user().await, api.user().await);
    assert_eq!(api.get(&user.key, "/rate-limits/openai").await.0, 404);
    let change = |change| api.put(&user.key, "/rate-limits/openai", change);
    assert_eq!(change(json!({ "max_concurrent": 0 })).await.0, 422);
    assert_eq!(change(json!({ "max_concurrent": 51 })).await.0, 422);
    assert_eq!(change(json!({ "min_delay_seconds": 301 })).await.0, 422);
    assert_eq!(change(json!({ "min_delay_seconds": -1 })).await.0, 422);
    assert_eq!(api.get(&user.key, "/rate-limits/openai").await.0, 404);
    assert_eq!(change(json!({ "max_concurrent": 50 })).await.0, 200);
    let (status, changed) = change(json!({ "min_delay_seconds": 1.5 })).await;
    assert_eq!((status, &changed["max_concurrent"]), (200, &json!(50)));
    assert_eq!(
        api.get(&other.key, "/rate-limits/openai").await,
        (200, changed.clone())
    );
    let (_, listed) = api.get(&other.key, "/rate-limits").await;
    assert_eq!(listed["providers"], json!([changed]));
}

#[tokio::test]
async fn runs_go_from_one_status_to_the_next() {
    let api = Api::start(&[]).await;
    let (user, other) = (api.user().await, api.user().await);
    let key = &user.key;
    let run = api.run(key).await;
    assert_eq!(api.go(key, &run, "finish").await, 400);
    assert_eq!(api.go(&other.key, &run, "start").await, 404);
    assert_eq!(api.go(key, &run, "start").await, 200);
    assert_eq!(api.go(key, &run, "start").await, 400);
    assert_eq!(api.go(key, &run, "finish").await, 200);
    assert_eq!(api.go(key, &run, "cancel").await, 400);
    let (_, read) = api.get(key, &format!("/runs/{run}")).await;
    assert_eq!(read["status"], "COMPLETED");
    let (_, events) = api.get(key, &format!("/runs/{run}/events")).await;
    let expected = json!([{ "seq": 1, "type": "started" }, { "seq": 2, "type": "completed" }]);
    assert_eq!(events["events"], expected);
    assert_eq!(
        api.get(&other.key, &format!("/runs/{run}/events")).await.0,
        404
    );
    let second = api.run(key).await;
    assert_eq!(api.go(key, &second, "cancel").await, 200);
    let (_, listed) = api.get(key, "/runs").await;
    assert_eq!(listed["total"], 2);
    assert_eq!(listed["items"][1]["status"], "CANCELLED");
}
