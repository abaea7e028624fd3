//! What every request is held to, whatever it asks for.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::Api;

fn post_raw(api: &Api, kind: Option<&str>, body: impl Into<reqwest::blocking::Body>) -> u16 {
    let mut request = api.request(Method::POST, "/v1/agents").body(body);
    if let Some(kind) = kind {
        request = request.header("Content-Type", kind);
    }
    let reply = Api::send(request);
    if reply.status != 200 {
        assert!(reply.body["code"].is_string() && reply.body["message"].is_string());
        assert!(reply.body.get("details") == Some(&Value::Null));
    }
    reply.status
}

#[test]
fn health_and_what_there_is_not() {
    let api = Api::start(&[]);
    let health = api.get("/health");
    assert_eq!(
        (health.status, health.body),
        (200, json!({ "status": "ok" }))
    );
    let unknown = api.get("/v2/agents");
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.body["code"], "not_found");
    for (method, path) in [
        (Method::PUT, "/v1/agents"),
        (Method::POST, "/v1/agents/x"),
        (Method::DELETE, "/health"),
    ] {
        let reply = Api::send(api.request(method, path));
        assert_eq!(reply.status, 405);
        assert_eq!(reply.body["code"], "method_not_allowed");
    }
    let response = api.request(Method::PUT, "/v1/agents").send().unwrap();
    assert!(response.headers().contains_key("allow"));
}

#[test]
fn bodies_are_json_of_the_right_kind_and_size() {
    let api = Api::start(&[]);
    let json = Some("application/json");
    assert_eq!(post_raw(&api, json, "{}"), 200);
    assert_eq!(
        post_raw(&api, Some("application/json; charset=utf-8"), "{}"),
        200
    );
    assert_eq!(post_raw(&api, None, "{}"), 415);
    assert_eq!(post_raw(&api, Some("text/plain"), "{}"), 415);
    for broken in ["", "{", "{\"name\": }", "{} {}", "\"\\ud800\""] {
        assert_eq!(post_raw(&api, json, broken), 400, "{broken}");
    }
    assert_eq!(post_raw(&api, json, b"{\"name\": \"\xff\"}".to_vec()), 400);
    for wrong in [
        json!([]),
        json!("name"),
        json!({ "name": 1 }),
        json!({ "description": [] }),
        json!({ "tags": "one" }),
        json!({ "tags": [1] }),
        json!({ "tags": [null] }),
        json!({ "memory_blocks": {} }),
        json!({ "memory_blocks": [["label", "value"]] }),
        json!({ "memory_blocks": [{ "label": "a" }] }),
        json!({ "memory_blocks": [{ "label": null, "value": "" }] }),
        json!({ "memory_blocks": [{ "label": "a", "value": "", "limit": -1 }] }),
        json!({ "memory_blocks": [{ "label": "a", "value": "", "limit": 1.0 }] }),
    ] {
        assert_eq!(post_raw(&api, json, wrong.to_string()), 422, "{wrong}");
    }
    let filled = |length: usize| format!("{{\"more\": \"{}\"}}", "x".repeat(length - 12));
    assert_eq!(post_raw(&api, json, filled(2 * 1024 * 1024)), 200);
    assert_eq!(post_raw(&api, json, filled(2 * 1024 * 1024 + 1)), 413);
    assert_eq!(post_raw(&api, json, filled(8 * 1024 * 1024)), 413);
}
