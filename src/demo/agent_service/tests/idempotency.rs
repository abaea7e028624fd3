//! Idempotency keys, and writes at the same time.

use std::thread;

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Api, text};
use crate::demo::agent_service::Slip;

#[test]
fn a_request_with_the_same_key_is_answered_again_and_done_once() {
    let mut api = Api::start(&[]);
    let body = json!({ "name": "a", "memory_blocks": [{ "label": "l", "value": "v" }] });
    let first = api.keyed("/v1/agents", "k1", &body);
    let path = format!("/v1/agents/{}", first.id());
    let message = api.keyed(
        &format!("{path}/messages"),
        "k2",
        &json!({ "content": "c" }),
    );
    let entry = api.keyed(
        &format!("{path}/archival"),
        "k3",
        &json!({ "content": "c" }),
    );
    api.patch(&path, json!({ "name": "b" }));
    for end in [Api::restart, Api::crash] {
        assert_eq!(api.keyed("/v1/agents", "k1", &body), first);
        let again = api.keyed(
            &format!("{path}/messages"),
            "k2",
            &json!({ "content": "c" }),
        );
        assert_eq!(again, message);
        let again = api.keyed(
            &format!("{path}/archival"),
            "k3",
            &json!({ "content": "c" }),
        );
        assert_eq!(again, entry);
        end(&mut api);
    }
    assert_eq!(
        (api.list().len(), api.name(&first.id())),
        (1, String::from("b"))
    );
    assert_eq!(
        api.get(&format!("{path}/messages")).body,
        message.body["messages"]
    );
    assert_eq!(
        api.get(&format!("{path}/archival")).body,
        json!([entry.body])
    );
    // What was done once is not done again either because it was undone since.
    api.delete(&path);
    assert_eq!(api.keyed("/v1/agents", "k1", &body), first);
    assert_eq!(api.get(&path).status, 404);
}

#[test]
fn a_key_belongs_to_one_request() {
    let api = Api::start(&[]);
    let id = api.keyed("/v1/agents", "k", &json!({ "name": "a" })).id();
    assert_eq!(
        api.keyed("/v1/agents", "k", &json!({ "name": "b" })).status,
        422
    );
    assert_eq!(
        api.keyed("/v1/agents", "k", &json!({ "name": "" })).status,
        422
    );
    let messages = format!("/v1/agents/{id}/messages");
    assert_eq!(
        api.keyed(&messages, "k", &json!({ "name": "a" })).status,
        422
    );
    assert_eq!(
        api.keyed(&messages, "k", &json!({ "content": "a" })).status,
        422
    );
    assert_eq!(api.get(&messages).body, json!([]));
    assert_eq!(api.list().len(), 1);
}

#[test]
fn with_the_slip_a_key_is_answered_whatever_it_comes_with() {
    let api = Api::start(&[Slip::KeyOfAnything]);
    let first = api.keyed("/v1/agents", "k", &json!({ "name": "a" }));
    assert_eq!(api.keyed("/v1/agents", "k", &json!({ "name": "b" })), first);
    assert_eq!(api.list().len(), 1);
}

#[test]
fn refusals_are_not_remembered() {
    let api = Api::start(&[]);
    assert_eq!(
        api.keyed("/v1/agents", "k", &json!({ "name": "" })).status,
        400
    );
    assert_eq!(
        api.keyed("/v1/agents", "k", &json!({ "name": 1 })).status,
        422
    );
    let nowhere = api.keyed("/v1/agents/x/messages", "k", &json!({ "content": "c" }));
    assert_eq!(nowhere.status, 404);
    assert_eq!(
        api.keyed("/v1/agents", "k", &json!({ "name": "a" })).status,
        200
    );
}

#[test]
fn keys_are_short_visible_ascii() {
    let api = Api::start(&[]);
    let longest = "k".repeat(255);
    assert_eq!(api.keyed("/v1/agents", &longest, &json!({})).status, 200);
    for wrong in ["", "a b", "\u{e9}", &*"k".repeat(256)] {
        assert_eq!(
            api.keyed("/v1/agents", wrong, &json!({})).status,
            400,
            "{wrong}"
        );
    }
    let id = text(&api.list()[0]["id"]);
    let patch = api.request(Method::PATCH, &format!("/v1/agents/{id}"));
    let patch = patch.header("Idempotency-Key", "a b").json(&json!({}));
    assert_eq!(Api::send(patch).status, 200);
}

/// The key is one also where it is recorded late, or in memory: these slips are about crashes.
#[test]
fn creates_with_one_key_at_once_make_one_agent() {
    for slips in [
        &[] as &[Slip],
        &[Slip::ReadBack],
        &[Slip::KeyInMemory],
        &[Slip::LazyPersist],
    ] {
        let api = Api::start(slips);
        for key in ["k1", "k2"] {
            let replies = at_once(8, |_| api.keyed("/v1/agents", key, &json!({ "name": key })));
            assert!(
                replies.iter().all(|reply| *reply == replies[0]),
                "{slips:?}: {replies:?}"
            );
        }
        assert_eq!(api.list().len(), 2, "{slips:?}");
    }
}

#[test]
fn writes_to_one_agent_at_once_are_all_kept() {
    for slips in [
        &[] as &[Slip],
        &[Slip::LazyPersist],
        &[Slip::MessageHalfStored],
    ] {
        let api = Api::start(slips);
        let blocks: Vec<Value> = (0..8)
            .map(|n| json!({ "label": n.to_string(), "value": "" }))
            .collect();
        let agent = api.post("/v1/agents", json!({ "memory_blocks": blocks }));
        let path = format!("/v1/agents/{}", agent.id());
        at_once(8, |n| {
            let block = text(&agent.body["blocks"][n]["id"]);
            let patch = api.patch(
                &format!("{path}/blocks/{block}"),
                json!({ "value": n.to_string() }),
            );
            assert_eq!(patch.status, 200);
            let body = json!({ "content": n.to_string() });
            assert_eq!(
                api.post(&format!("{path}/messages"), body.clone()).status,
                200
            );
            assert_eq!(api.post(&format!("{path}/archival"), body).status, 200);
        });
        for block in api.get(&format!("{path}/blocks")).body.as_array().unwrap() {
            assert_eq!(block["value"], block["label"]);
        }
        let messages = api.get(&format!("{path}/messages")).body;
        let messages = messages.as_array().unwrap();
        assert_eq!(messages.len(), 16);
        for pair in messages.chunks(2) {
            let answer = format!("You said: {}", text(&pair[0]["content"]));
            assert_eq!(pair[1]["content"], answer, "{slips:?}");
        }
        assert_eq!(
            api.get(&format!("{path}/archival"))
                .body
                .as_array()
                .unwrap()
                .len(),
            8
        );
    }
}

/// `Api::list` compares the total with the items, which is where a list that is no snapshot gives itself away.
#[test]
fn the_list_is_whole_while_agents_come_and_go() {
    for slips in [
        &[] as &[Slip],
        &[Slip::LazyPersist],
        &[Slip::DeleteInTwoSteps],
    ] {
        let api = Api::start(slips);
        at_once(6, |n| {
            for _ in 0..10 {
                if n % 2 == 0 {
                    let id = api.agent("a");
                    assert!(api.list().iter().any(|item| item["id"] == *id), "{slips:?}");
                    assert_eq!(api.delete(&format!("/v1/agents/{id}")).status, 204);
                    assert!(api.list().iter().all(|item| item["id"] != *id), "{slips:?}");
                } else {
                    let times: Vec<String> = api
                        .list()
                        .iter()
                        .map(|item| text(&item["created_at"]))
                        .collect();
                    assert!(times.is_sorted(), "{slips:?}");
                }
            }
        });
        assert_eq!(api.list().len(), 0, "{slips:?}");
    }
}

fn at_once<T: Send>(clients: usize, call: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let call = &call;
        let threads: Vec<_> = (0..clients).map(|n| scope.spawn(move || call(n))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}
