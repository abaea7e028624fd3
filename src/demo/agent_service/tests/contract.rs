//! The contract, endpoint by endpoint: of the sound server, and of those whose slip shows only in a crash or when a client
//! hangs up.

use serde_json::{Value, json};

use super::harness::{Api, text};
use crate::demo::agent_service::{Config, Slip, serve};

const MISSING: &str = "/v1/agents/3f0b2f3a-6f0e-4c58-9d8a-4f1f8b1d2c3e";

/// The sound server, and one with each slip that takes a fault to show.
fn sound_without_faults() -> impl Iterator<Item = Api> {
    let shown = [
        Slip::DeleteMissing,
        Slip::ListFromCache,
        Slip::LimitOfNewOnly,
    ];
    let hidden = Slip::ALL.iter().filter(move |slip| !shown.contains(slip));
    let each = hidden.map(|slip| Api::start(&[*slip]));
    std::iter::once_with(|| Api::start(&[])).chain(each)
}

#[test]
fn an_agent_from_create_to_delete() {
    sound_without_faults().for_each(an_agent_from_create_to_delete_at);
}

fn an_agent_from_create_to_delete_at(api: Api) {
    let nameless = api
        .post("/v1/agents", json!({ "name": null, "tags": null }))
        .body;
    assert_eq!(nameless["name"], "Nameless Agent");
    assert_eq!(nameless["description"], json!(null));
    assert_eq!(
        (&nameless["tags"], &nameless["blocks"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(nameless["created_at"], nameless["updated_at"]);
    assert_eq!(
        text(&nameless["created_at"]).len(),
        "2026-01-14T15:34:04.000001Z".len()
    );

    let created = api.post(
        "/v1/agents",
        json!({
            "name": "é".repeat(256), "description": "d", "tags": ["a", "a"], "unknown": 1,
            "memory_blocks": [
                { "label": "human", "value": "ünf", "limit": 3 },
                { "label": "persona", "value": "" },
            ],
        }),
    );
    let path = format!("/v1/agents/{}", created.id());
    assert_eq!(api.get(&path), created);
    let blocks = &created.body["blocks"];
    assert_eq!(blocks[0]["limit"], 3);
    assert_eq!(
        (&blocks[1]["label"], &blocks[1]["limit"]),
        (&json!("persona"), &json!(null))
    );

    let patched = api.patch(&path, json!({ "name": "new", "description": null }));
    assert_eq!(patched, api.get(&path));
    assert_eq!(
        (&patched.body["name"], &patched.body["description"]),
        (&json!("new"), &json!("d"))
    );
    assert!(text(&patched.body["updated_at"]) > text(&created.body["updated_at"]));
    assert_eq!(patched.body["created_at"], created.body["created_at"]);
    let patched = api.patch(&path, json!({ "tags": [], "description": "" }));
    assert_eq!(
        (&patched.body["tags"], &patched.body["description"]),
        (&json!([]), &json!(""))
    );
    assert_eq!(api.patch(&path, json!({ "tags": "x" })).status, 422);
    assert_eq!(api.patch(&path, json!({ "name": "" })).status, 400);
    assert_eq!(api.patch(MISSING, json!({ "name": "" })).status, 400);
    assert_eq!(api.patch(MISSING, json!({})).status, 404);
    assert_eq!(api.get(&path), patched);

    api.post(&format!("{path}/messages"), json!({ "content": "hello" }));
    let deleted = api.delete(&path);
    assert_eq!((deleted.status, deleted.body), (204, json!(null)));
    for gone in ["", "/blocks", "/messages", "/archival"] {
        assert_eq!(api.get(&format!("{path}{gone}")).status, 404);
    }
    assert_eq!(api.delete(&path).status, 404);
    assert_eq!(api.patch(&path, json!({})).status, 404);
    for unknown in ["/v1/agents/1", "/v1/agents/%FF", "/v1/agents/%00", MISSING] {
        assert_eq!(api.get(unknown).status, 404, "{unknown}");
    }
}

#[test]
fn names_labels_and_values_have_limits() {
    sound_without_faults().for_each(names_labels_and_values_have_limits_at);
}

fn names_labels_and_values_have_limits_at(api: Api) {
    let block = |label: &str, value: &str, limit: u64| json!({ "label": label, "value": value, "limit": limit });
    let long = "x".repeat(257);
    for refused in [
        json!({ "name": "" }),
        json!({ "name": long }),
        json!({ "memory_blocks": [block("", "", 0)] }),
        json!({ "memory_blocks": [block(&long, "", 0)] }),
        json!({ "memory_blocks": [block("a", "x", 0)] }),
        json!({ "memory_blocks": [block("a", "", 0), block("a", "", 0)] }),
    ] {
        assert_eq!(
            api.post("/v1/agents", refused.clone()).status,
            400,
            "{refused}"
        );
    }
    assert_eq!(api.list(), Vec::<Value>::new());
}

#[test]
fn blocks_keep_to_their_limit() {
    sound_without_faults().for_each(blocks_keep_to_their_limit_at);
}

fn blocks_keep_to_their_limit_at(api: Api) {
    let block = json!({ "label": "human", "value": "ab", "limit": 3 });
    let id = api
        .post("/v1/agents", json!({ "memory_blocks": [block] }))
        .id();
    let blocks = format!("/v1/agents/{id}/blocks");
    let listed = api.get(&blocks).body;
    assert_eq!(listed, api.get(&format!("/v1/agents/{id}")).body["blocks"]);
    let path = format!("{blocks}/{}", text(&listed[0]["id"]));
    assert_eq!(api.get(&path).body, listed[0]);
    for refused in [
        json!({ "value": "abcd" }),
        json!({ "value": "abc", "limit": 2 }),
        json!({ "limit": 1 }),
    ] {
        assert_eq!(api.patch(&path, refused.clone()).status, 400, "{refused}");
    }
    assert_eq!(api.patch(&path, json!({ "limit": "1" })).status, 422);
    assert_eq!(api.get(&path).body, listed[0]);
    let patched = api.patch(&path, json!({ "value": "abcd", "limit": 4 }));
    assert_eq!(
        (&patched.body["value"], &patched.body["limit"]),
        (&json!("abcd"), &json!(4))
    );
    assert_eq!(patched, api.get(&path));
    let other = api.agent("other");
    for missing in [
        format!("{blocks}/x"),
        path.replace(&id, &other),
        format!("{MISSING}/blocks/x"),
    ] {
        assert_eq!(api.get(&missing).status, 404);
        assert_eq!(api.patch(&missing, json!({})).status, 404);
    }
}

#[test]
fn messages_are_answered_and_kept() {
    sound_without_faults().for_each(messages_are_answered_and_kept_at);
}

fn messages_are_answered_and_kept_at(mut api: Api) {
    let path = format!("/v1/agents/{}/messages", api.agent("a"));
    let first = api.post(&path, json!({ "content": "hello" }));
    let messages = &first.body["messages"];
    assert_eq!(
        (&messages[0]["role"], &messages[0]["content"]),
        (&json!("user"), &json!("hello"))
    );
    assert_eq!(messages[1]["role"], "assistant");
    assert_eq!(messages[1]["content"], "You said: hello");
    assert!(text(&messages[0]["date"]) < text(&messages[1]["date"]));
    api.post(&path, json!({ "content": "again" }));
    assert_eq!(api.post(&path, json!({ "content": "" })).status, 400);
    assert_eq!(api.post(&path, json!({})).status, 422);
    assert_eq!(
        api.post(&format!("{MISSING}/messages"), json!({ "content": "a" }))
            .status,
        404
    );
    api.restart();
    let history = api.get(&path).body;
    assert_eq!(history.as_array().unwrap().len(), 4);
    assert_eq!(history[0], messages[0]);
    assert_eq!(history[3]["content"], "You said: again");
}

#[test]
fn archival_entries_come_and_go() {
    sound_without_faults().for_each(archival_entries_come_and_go_at);
}

fn archival_entries_come_and_go_at(api: Api) {
    let path = format!("/v1/agents/{}/archival", api.agent("a"));
    let one = api.post(&path, json!({ "content": "é".repeat(100_000) }));
    let two = api.post(&path, json!({ "content": "two" }));
    assert_eq!(api.get(&path).body, json!([one.body, two.body]));
    for (content, status) in [("", 400), (&*"x".repeat(100_001), 400)] {
        assert_eq!(
            api.post(&path, json!({ "content": content })).status,
            status
        );
    }
    assert_eq!(
        api.post(&format!("{MISSING}/archival"), json!({ "content": "a" }))
            .status,
        404
    );
    let entry = format!("{path}/{}", two.id());
    assert_eq!(api.get(&entry), two);
    assert_eq!(api.delete(&entry).status, 204);
    assert_eq!(
        (api.get(&entry).status, api.delete(&entry).status),
        (404, 404)
    );
    assert_eq!(api.get(&path).body, json!([one.body]));
}

#[test]
fn the_list_comes_in_pages() {
    sound_without_faults().for_each(the_list_comes_in_pages_at);
}

fn the_list_comes_in_pages_at(mut api: Api) {
    let ids: Vec<String> = (0..5)
        .map(|index| api.agent(&format!("n{}", index % 2)))
        .collect();
    let page = |api: &Api, query: &str| {
        let body = api.get(&format!("/v1/agents?{query}")).body;
        let items = body["items"].as_array().unwrap();
        let ids: Vec<String> = items.iter().map(|item| text(&item["id"])).collect();
        assert_eq!(body["cursor"], json!(ids.last()));
        (ids, body["total"].as_u64().unwrap())
    };
    assert_eq!(page(&api, ""), (ids.clone(), 5));
    assert_eq!(page(&api, "limit=2"), (ids[..2].to_vec(), 5));
    assert_eq!(
        page(&api, &format!("limit=2&cursor={}", ids[1])),
        (ids[2..4].to_vec(), 5)
    );
    assert_eq!(page(&api, &format!("cursor={}", ids[4])), (vec![], 5));
    assert_eq!(page(&api, "limit=1&cursor=unknown"), (ids[..1].to_vec(), 5));
    assert_eq!(
        page(&api, "name=n1"),
        (vec![ids[1].clone(), ids[3].clone()], 2)
    );
    assert_eq!(
        page(&api, &format!("name=n1&cursor={}", ids[2])),
        (ids[3..4].to_vec(), 2)
    );
    api.patch(&format!("/v1/agents/{}", ids[1]), json!({ "name": "n2" }));
    api.delete(&format!("/v1/agents/{}", ids[0]));
    assert_eq!(page(&api, "name=n1"), (ids[3..4].to_vec(), 1));
    assert_eq!(
        page(&api, &format!("limit=1&cursor={}", ids[0])),
        (ids[1..2].to_vec(), 4)
    );
    for wrong in ["0", "101", "-1", "x", ""] {
        assert_eq!(
            api.get(&format!("/v1/agents?limit={wrong}")).status,
            422,
            "{wrong}"
        );
    }
    let before = api.list();
    api.restart();
    assert_eq!(api.list(), before);
    let last = api.agent("last");
    assert_eq!(api.list()[4]["id"], *last);
}

#[tokio::test]
async fn a_temporary_database_goes_with_the_server() {
    let server = serve(Config::default()).await.unwrap();
    let health = reqwest::get(format!("{}/health", server.url()))
        .await
        .unwrap();
    assert_eq!(health.status(), 200);
    let address = server.address();
    server.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_served_says_so() {
    let file = std::path::PathBuf::from("/no/such/folder/agents.sqlite");
    let config = Config {
        database: Some(file),
        ..Config::default()
    };
    let error = serve(config).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/folder/agents.sqlite"));
}
