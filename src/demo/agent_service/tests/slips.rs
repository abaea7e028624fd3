//! The slips that a plain sequence of requests shows.

use serde_json::json;

use super::harness::{Api, text};
use crate::demo::agent_service::Slip;

#[test]
fn delete_200_missing_deletes_what_is_not_there() {
    for (slips, status) in [(&[Slip::DeleteMissing] as &[Slip], 204), (&[], 404)] {
        let api = Api::start(slips);
        let path = format!("/v1/agents/{}", api.agent("a"));
        assert_eq!(api.delete(&format!("{path}/archival/x")).status, status);
        assert_eq!(api.delete(&path).status, 204);
        assert_eq!(api.delete(&path).status, status);
        assert_eq!(api.get(&path).status, 404);
    }
}

#[test]
fn list_from_cache_shows_what_was_at_the_last_create() {
    for (slips, cached) in [(&[Slip::ListFromCache] as &[Slip], true), (&[], false)] {
        let mut api = Api::start(slips);
        let (one, two) = (api.agent("one"), api.agent("two"));
        api.delete(&format!("/v1/agents/{one}"));
        api.patch(&format!("/v1/agents/{two}"), json!({ "name": "new" }));
        let names = |api: &Api| -> Vec<String> {
            api.list().iter().map(|item| text(&item["name"])).collect()
        };
        let expected: &[&str] = if cached { &["one", "two"] } else { &["new"] };
        assert_eq!(names(&api), expected);
        let filtered = api.get("/v1/agents?name=new").body;
        assert_eq!(filtered["total"], usize::from(!cached));
        api.agent("three");
        assert_eq!(names(&api), ["new", "three"]);
        api.restart();
        assert_eq!(names(&api), ["new", "three"]);
    }
}

#[test]
fn limit_of_new_only_forgets_the_old_limit() {
    for (slips, status) in [(&[Slip::LimitOfNewOnly] as &[Slip], 200), (&[], 400)] {
        let api = Api::start(slips);
        let block = json!({ "label": "human", "value": "ab", "limit": 3 });
        let agent = api.post("/v1/agents", json!({ "memory_blocks": [block] }));
        let block = text(&agent.body["blocks"][0]["id"]);
        let path = format!("/v1/agents/{}/blocks/{block}", agent.id());
        assert_eq!(
            api.patch(&path, json!({ "value": "abcd", "limit": 3 }))
                .status,
            400
        );
        assert_eq!(api.patch(&path, json!({ "limit": 1 })).status, 400);
        assert_eq!(api.patch(&path, json!({ "value": "abcd" })).status, status);
    }
}
