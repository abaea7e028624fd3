//! Servers that are killed: what was acknowledged stays, except with the slips that have a window for it.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{Api, TRIES, idle, moments, text};
use crate::demo::agent_service::Slip;

/// The slip must show in one of several tries (a slow machine may be too late to kill the server within a window), and
/// the sound server must never show it.
fn shows(slip: Slip, shown: impl Fn(&[Slip]) -> bool) {
    assert!((0..TRIES).any(|_| shown(&[slip])), "{slip} does not show");
    assert!(!(0..3).any(|_| shown(&[])), "the sound server shows it");
}

#[test]
fn lazy_persist_loses_what_it_answered() {
    shows(Slip::LazyPersist, |slips| {
        let mut api = Api::start(slips);
        let body = json!({ "name": "a" });
        let created = api.keyed("/v1/agents", "k", &body);
        let path = format!("/v1/agents/{}", created.id());
        assert_eq!(api.get(&path), created);
        assert_eq!(api.list(), std::slice::from_ref(&created.body));
        assert_eq!(api.keyed("/v1/agents", "k", &body), created);
        api.crash();
        let lost = api.get(&path).status == 404;
        assert_eq!(api.list().is_empty(), lost);
        // With the agent, its key is lost: a retry makes another.
        assert_eq!(api.keyed("/v1/agents", "k", &body) != created, lost);
        assert_eq!(api.list().len(), 1);
        lost
    });
}

#[test]
fn lazy_persist_loses_updates_and_deletes() {
    shows(Slip::LazyPersist, |slips| {
        let mut api = Api::start(slips);
        let (first, second) = (api.agent("a"), api.agent("b"));
        api.restart();
        api.patch(&format!("/v1/agents/{first}"), json!({ "name": "c" }));
        api.delete(&format!("/v1/agents/{second}"));
        assert_eq!((api.list().len(), api.name(&first).as_str()), (1, "c"));
        api.crash();
        (api.list().len(), api.name(&first).as_str()) == (2, "a")
    });
}

#[test]
fn lazy_persist_stores_what_is_idle_or_stopped() {
    let mut api = Api::start(&[Slip::LazyPersist]);
    let first = api.agent("a");
    let path = format!("/v1/agents/{first}");
    idle();
    api.crash();
    assert_eq!(api.name(&first), "a");
    api.patch(&path, json!({ "name": "b" }));
    let second = api.agent("c");
    api.restart();
    let shown = |item: &Value| (text(&item["id"]), text(&item["name"]));
    let list: Vec<_> = api.list().iter().map(shown).collect();
    assert_eq!(
        list,
        [(first, String::from("b")), (second, String::from("c"))]
    );
    api.delete(&path);
    idle();
    api.crash();
    assert_eq!(api.list().len(), 1);
}

#[test]
fn stale_copy_brings_back_what_was_before_the_last_stop() {
    for (slips, name) in [(&[Slip::StaleCopy] as &[Slip], "one"), (&[], "two")] {
        let mut api = Api::start(slips);
        let id = api.agent("one");
        let path = format!("/v1/agents/{id}");
        api.crash();
        api.restart();
        assert_eq!(api.name(&id), "one");
        api.patch(&path, json!({ "name": "two" }));
        api.restart();
        assert_eq!(api.name(&id), "two", "a graceful stop renews the copy");
        api.patch(&path, json!({ "name": "one" }));
        api.restart();
        assert_eq!(api.name(&id), "one");
        api.patch(&path, json!({ "name": "two" }));
        assert_eq!(api.list()[0]["name"], "two");
        api.crash();
        assert_eq!(
            (api.name(&id).as_str(), api.list()[0]["name"].as_str()),
            (name, Some(name))
        );
        api.delete(&path);
        api.crash();
        assert_eq!(api.get(&path).status, 404);
    }
}

#[test]
fn delete_in_two_steps_brings_an_agent_back() {
    shows(Slip::DeleteInTwoSteps, |slips| {
        let mut api = Api::start(slips);
        let path = format!("/v1/agents/{}", api.agent("a"));
        assert_eq!(api.delete(&path).status, 204);
        let again = (api.get(&path).status, api.delete(&path).status);
        assert_eq!((again, api.list().len()), ((404, 404), 0));
        api.crash();
        let back = api.get(&path).status == 200;
        assert_eq!(api.list().len(), usize::from(back));
        back
    });
}

#[test]
fn delete_in_two_steps_takes_the_second_one_at_a_stop_or_later() {
    let mut api = Api::start(&[Slip::DeleteInTwoSteps]);
    let path = format!("/v1/agents/{}", api.agent("a"));
    api.delete(&path);
    api.restart();
    assert_eq!((api.get(&path).status, api.list().len()), (404, 0));
    let path = format!("/v1/agents/{}", api.agent("b"));
    api.delete(&path);
    idle();
    api.crash();
    assert_eq!((api.get(&path).status, api.list().len()), (404, 0));
}

#[test]
fn key_in_memory_does_a_retry_twice() {
    for (slips, agents) in [(&[Slip::KeyInMemory] as &[Slip], 2), (&[], 1)] {
        for end in [Api::restart, Api::crash] {
            let mut api = Api::start(slips);
            let body = json!({ "name": "a" });
            let created = api.keyed("/v1/agents", "k", &body);
            assert_eq!(api.keyed("/v1/agents", "k", &body), created);
            assert_eq!(api.keyed("/v1/agents", "k", &json!({})).status, 422);
            end(&mut api);
            api.keyed("/v1/agents", "k", &body);
            assert_eq!(api.list().len(), agents);
        }
    }
}

/// Kills the server while it serves a request, and then asks what is left of it, at several moments.
fn killed(slips: &[Slip], attempt: impl Fn(&mut Api, Duration) -> bool) -> bool {
    let mut api = Api::start(slips);
    moments().any(|after| attempt(&mut api, after))
}

fn kill_during(api: &mut Api, path: &str, key: &str, body: &Value, after: Duration) {
    let socket = api.begin("POST", path, key, body);
    thread::sleep(after);
    api.crash();
    drop(socket);
}

#[test]
fn a_crash_during_a_create_leaves_no_half_of_it() {
    let create = |api: &mut Api, after: Duration| {
        let block = |label: &str| json!({ "label": label, "value": "v" });
        let body = json!({ "memory_blocks": [block("a"), block("b"), block("c")] });
        let key = format!("{:x}", rand::random::<u64>());
        kill_during(api, "/v1/agents", &key, &body, after);
        let before = api.list();
        let half = |agent: &Value| agent["blocks"].as_array().unwrap().len() < 3;
        let id = api.keyed("/v1/agents", &key, &body).id();
        let list = api.list();
        let shown = (
            before.iter().any(half),
            list.len() > 1,
            list.iter().all(|agent| agent["id"] != *id),
        );
        for agent in list {
            api.delete(&format!("/v1/agents/{}", text(&agent["id"])));
        }
        shown
    };
    assert!(killed(&[Slip::NoTxn], |api, after| create(api, after).0));
    assert!(killed(&[Slip::ReadBack], |api, after| create(api, after).1));
    assert!(killed(&[Slip::TwoStores], |api, after| create(api, after).2));
    assert!(!killed(&[], |api, after| create(api, after)
        != (false, false, false)));
}

#[test]
fn a_crash_during_a_message_leaves_no_half_of_it() {
    let message = |api: &mut Api, after: Duration| {
        let path = format!("/v1/agents/{}/messages", api.agent("a"));
        kill_during(api, &path, "k", &json!({ "content": "c" }), after);
        api.get(&path).body.as_array().unwrap().len() == 1
    };
    assert!(killed(&[Slip::MessageHalfStored], message));
    assert!(!killed(&[], message));
}
