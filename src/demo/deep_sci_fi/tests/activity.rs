//! What was done lately in a world, what a dweller can find of it in its memory, and what of it was said to the dweller.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Agent, Api, text};
use crate::demo::deep_sci_fi::Bug;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn deed(api: &Api, agent: &Agent, dweller: &str, content: &str, importance: f64) -> String {
    let deed = json!({ "action_type": "decide", "content": content, "importance": importance });
    let done = api.act(agent, dweller, deed).await;
    assert_eq!(done.status, 200, "{}", done.body);
    text(&done.body["action"]["id"])
}

async fn status(api: &Api, path: &str) -> u16 {
    Api::send(api.request(Method::GET, path)).await.status
}

/// One field of each item of a list.
fn each(list: &Value, field: &str) -> Vec<String> {
    let list = list.as_array().unwrap();
    list.iter().map(|item| text(&item[field])).collect()
}

#[tokio::test]
async fn a_worlds_activity_is_for_everybody() {
    let api = Api::start(&[]).await;
    let agent = api.agent().await;
    let (world, elsewhere) = (api.settled(&agent).await, api.settled(&agent).await);
    let dweller = api.inhabited(&agent, &world, "Ylva").await;
    let path = format!("/dwellers/worlds/{world}/activity");
    assert_eq!(api.get(&path).await["activity"], json!([]));

    let first = deed(&api, &agent, &dweller, "Wakes", 0.1).await;
    api.spoken(&agent, &agent, &world).await;
    let foreign = api.inhabited(&agent, &elsewhere, "Ylva").await;
    deed(&api, &agent, &foreign, "Leaves", 0.1).await;

    let read = api.get(&path).await;
    assert_eq!(
        (&read["total"], &read["world_name"]),
        (&json!(2), &json!("Tides"))
    );
    let [spoken, woken] = &read["activity"].as_array().unwrap()[..] else {
        panic!("{read}");
    };
    assert_eq!(
        [
            &woken["id"],
            &woken["dweller"],
            &woken["content"],
            &woken["target"]
        ],
        [
            &json!(first),
            &json!({ "id": dweller, "name": "Ylva" }),
            &json!("Wakes"),
            &json!(null)
        ]
    );
    assert_eq!(
        [
            &spoken["action_type"],
            &spoken["target"],
            &spoken["in_reply_to_action_id"]
        ],
        [&json!("speak"), &json!("Osk"), &json!(null)]
    );
    let page = api.get(&format!("{path}?limit=1")).await;
    assert_eq!(page["activity"], json!([spoken]));
    api.get(&format!("{path}?limit=100")).await;
    for wrong in ["limit=0", "limit=101", "limit=few"] {
        assert_eq!(
            status(&api, &format!("{path}?{wrong}")).await,
            422,
            "{wrong}"
        );
    }
    for (world, expected) in [(NOBODY, 404), ("nowhere", 422)] {
        let path = format!("/dwellers/worlds/{world}/activity");
        assert_eq!(status(&api, &path).await, expected, "{world}");
    }
}

#[tokio::test]
async fn memory_is_searched_by_word_and_importance() {
    let api = Api::start(&[]).await;
    let (agent, other) = (api.agent().await, api.agent().await);
    let world = api.settled(&agent).await;
    let dweller = api.inhabited(&agent, &world, "Ylva").await;
    let sluice = deed(&api, &agent, &dweller, "Opens the SLUICE", 0.2).await;
    let mill = deed(&api, &agent, &dweller, "Walks to the mill", 0.9).await;
    let both = deed(&api, &agent, &dweller, "From mill to sluice", 0.2).await;
    let wave = json!({ "action_type": "wave", "target": "Öland", "content": "!", "importance": 1 });
    let waved = api.act(&agent, &dweller, wave).await;
    let waved = text(&waved.body["action"]["id"]);

    let path = format!("/dwellers/{dweller}/memory/search");
    for (query, expected) in [
        ("q=sluice", &[&sluice, &both][..]),
        ("q=sluice%20MILL", &[&mill, &sluice, &both]),
        ("q=mill&importance_min=0.9", &[&mill]),
        ("q=mill&limit=1", &[&mill]),
        ("q=%C3%B6land&importance_min=1", &[&waved]),
        ("q=%20", &[]),
        ("q=%25", &[]),
    ] {
        let found = api.get_as(&agent, &format!("{path}?{query}")).await;
        assert_eq!(found.status, 200, "{query}: {}", found.body);
        let expected: Vec<String> = expected.iter().map(|id| (*id).clone()).collect();
        assert_eq!(
            each(&found.body["results"], "action_id"),
            expected,
            "{query}"
        );
        assert_eq!(found.body["total_matches"], expected.len(), "{query}");
    }
    let found = api
        .get_as(&agent, &format!("{path}?q=Mill&limit=1"))
        .await
        .body;
    assert_eq!(
        (&found["query"], &found["importance_min"]),
        (&json!("Mill"), &json!(0.0))
    );
    assert_eq!(found["results"][0]["importance"], 0.9);

    for wrong in [
        "",
        "?q=",
        "?q=a&importance_min=1.1",
        "?q=a&importance_min=nan",
        "?q=a&limit=0",
    ] {
        let refused = api.get_as(&other, &format!("{path}{wrong}")).await;
        assert_eq!(refused.status, 422, "{wrong}");
    }
    assert_eq!(status(&api, &path).await, 401);
    assert_eq!(api.get_as(&other, &format!("{path}?q=a")).await.status, 403);
    let absent = format!("/dwellers/{NOBODY}/memory/search?q=a");
    assert_eq!(api.get_as(&other, &absent).await.status, 404);
}

#[tokio::test]
async fn a_dweller_is_told_what_was_said_to_it() {
    let api = Api::start(&[]).await;
    let (speaker, listener) = (api.agent().await, api.agent().await);
    let world = api.settled(&speaker).await;
    let osk = api.inhabited(&listener, &world, "Osk").await;
    let ylva = api.inhabited(&speaker, &world, "Ylva").await;
    let path = format!("/dwellers/{osk}/pending");
    let silent = api.get_as(&listener, &path).await.body;
    assert_eq!(
        (&silent["total_pending"], &silent["total_mentions"]),
        (&json!(0), &json!(0))
    );

    for content in ["One?", "Two?"] {
        let said = json!({ "action_type": "speak", "target": "OSK", "content": content });
        assert_eq!(api.act(&speaker, &ylva, said).await.status, 200);
    }
    let pending = api.get_as(&listener, &path).await.body;
    assert_eq!(
        (&pending["dweller_name"], &pending["total_pending"]),
        (&json!("Osk"), &json!(2))
    );
    let news = &pending["pending_notifications"];
    assert_eq!(each(news, "type"), ["dweller_spoken_to"; 2]);
    assert_eq!(news[0]["data"]["content"], "One?");
    assert_eq!(
        each(&pending["recent_mentions"], "content"),
        ["One?", "Two?"]
    );
    assert_eq!(
        each(&pending["recent_mentions"], "from_dweller"),
        ["Ylva"; 2]
    );

    // To look is not to have read, unless one says so.
    let marking = api
        .get_as(&listener, &format!("{path}?mark_read=true"))
        .await
        .body;
    assert_eq!(marking["total_pending"], 2);
    let unread = api.notified(&listener, "history?status=unread").await;
    assert!(!unread.contains(&String::from("dweller_spoken_to")));
    let after = api.get_as(&listener, &path).await.body;
    assert_eq!(
        (&after["total_pending"], &after["total_mentions"]),
        (&json!(0), &json!(2))
    );

    assert_eq!(status(&api, &path).await, 401);
    assert_eq!(api.get_as(&speaker, &path).await.status, 403);
    assert_eq!(
        api.get_as(&speaker, &format!("{path}?mark_read=maybe"))
            .await
            .status,
        422
    );
    let absent = format!("/dwellers/{NOBODY}/pending");
    assert_eq!(api.get_as(&speaker, &absent).await.status, 404);
}

/// As `slips::sequence`, for the bugs of these reads, in a world with regions; none for the others.
pub async fn sequence(
    api: &Api,
    bug: Bug,
    author: &Agent,
    other: &Agent,
    world: &str,
) -> Option<(Value, Value, Value)> {
    Some(match bug {
        Bug::ActivityLimitIgnored => {
            let path = format!("/dwellers/worlds/{world}/activity?limit=0");
            (json!(status(api, &path).await), json!(200), json!(422))
        }
        Bug::MemorySearchedByAnyone => {
            let dweller = api.inhabited(author, world, "Ylva").await;
            let path = format!("/dwellers/{dweller}/memory/search?q=a");
            let found = api.get_as(other, &path).await;
            (json!(found.status), json!(200), json!(403))
        }
        _ => return None,
    })
}
