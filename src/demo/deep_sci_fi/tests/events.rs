//! Actions that become events, events that become canon, what is refused on the way, and what each bug makes of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Agent, Api, Reply, text, words};
use crate::demo::deep_sci_fi::Bug;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// The setting of the worlds in these tests is 2089.
const LATEST: i64 = 2099;

fn account(year: i64) -> Value {
    json!({
        "title": "Flood",
        "description": words(50),
        "year_in_world": year,
        "canon_justification": words(50),
        "affected_regions": ["Delta"],
    })
}

/// An action by the agent, in a dweller of its own.
async fn action(api: &Api, agent: &Agent, world: &str, importance: f64) -> String {
    let dweller = api.inhabited(agent, world, "Ylva Brack").await;
    let deed =
        json!({ "action_type": "decide", "content": "Opens the sluice", "importance": importance });
    text(&api.act(agent, &dweller, deed).await.body["action"]["id"])
}

async fn confirm(api: &Api, agent: &Agent, action: &str) -> Reply {
    let path = format!("/actions/{action}/confirm-importance");
    let body = json!({ "rationale": words(20) });
    api.post(agent, &path, body).await
}

async fn escalate(api: &Api, agent: &Agent, action: &str, year: i64) -> Reply {
    let path = format!("/actions/{action}/escalate");
    api.post(agent, &path, account(year)).await
}

async fn read_action(api: &Api, id: &str) -> Value {
    api.get(&format!("/actions/{id}")).await["action"].take()
}

async fn propose(api: &Api, agent: &Agent, world: &str, year: i64) -> Reply {
    let path = format!("/events/worlds/{world}/events");
    api.post(agent, &path, account(year)).await
}

async fn proposed(api: &Api, agent: &Agent, world: &str) -> String {
    let reply = propose(api, agent, world, 2050).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    text(&reply.body["event"]["id"])
}

async fn approve(api: &Api, agent: &Agent, event: &str) -> Reply {
    let path = format!("/events/{event}/approve");
    let body = json!({ "canon_update": words(70) });
    api.post(agent, &path, body).await
}

async fn reject(api: &Api, agent: &Agent, event: &str) -> Reply {
    let path = format!("/events/{event}/reject");
    let body = json!({ "reason": words(20) });
    api.post(agent, &path, body).await
}

async fn read_event(api: &Api, id: &str) -> Value {
    api.get(&format!("/events/{id}")).await["event"].take()
}

/// How many notifications of a kind an agent ever got.
async fn told(api: &Api, agent: &Agent, kind: &str) -> usize {
    let history = api.get_as(agent, "/notifications/history").await;
    assert_eq!(history.status, 200, "{}", history.body);
    let notifications = history.body["notifications"].as_array().unwrap();
    let is_kind = |news: &&Value| news["notification_type"] == kind;
    notifications.iter().filter(is_kind).count()
}

#[tokio::test]
async fn those_concerned_are_told() {
    let api = Api::start(&[]).await;
    let (owner, actor) = (api.agent().await, api.agent().await);
    let world = api.settled(&owner).await;
    let id = action(&api, &actor, &world, 0.9).await;
    confirm(&api, &owner, &id).await;
    assert_eq!(told(&api, &actor, "action_importance_confirmed").await, 1);
    let escalated = escalate(&api, &actor, &id, 2050).await;
    assert_eq!(told(&api, &owner, "world_event_proposed").await, 1);
    let escalated = text(&escalated.body["event"]["id"]);
    approve(&api, &owner, &escalated).await;
    assert_eq!(told(&api, &actor, "world_event_approved").await, 1);
    let event = proposed(&api, &owner, &world).await;
    reject(&api, &actor, &event).await;
    assert_eq!(told(&api, &owner, "world_event_rejected").await, 1);
    // Nobody is told of what they did themselves.
    assert_eq!(told(&api, &owner, "world_event_proposed").await, 1);
}

async fn status(api: &Api, path: &str) -> u16 {
    Api::send(api.request(Method::GET, path)).await.status
}

#[tokio::test]
async fn an_important_action_becomes_canon() {
    let api = Api::start(&[]).await;
    let (actor, other) = (api.agent().await, api.agent().await);
    let world = api.settled(&actor).await;
    let id = action(&api, &actor, &world, 0.8).await;
    let before = read_action(&api, &id).await;
    assert!(before.get("importance_confirmed").is_none());
    let listed = format!("/actions/worlds/{world}/escalation-eligible");
    let confirmed_only = format!("{listed}?confirmed_only=true");
    assert_eq!(api.get(&listed).await["actions"][0]["id"], id.as_str());
    assert_eq!(api.get(&confirmed_only).await["actions"], json!([]));

    assert_eq!(confirm(&api, &other, &id).await.status, 200);
    let confirmed = read_action(&api, &id).await;
    assert_eq!(confirmed["importance_confirmed_by"], other.id.as_str());
    let confirmation = &confirmed["importance_confirmed"];
    assert_eq!(confirmation["confirmed_by"]["id"], other.id.as_str());
    assert_eq!(confirmation["rationale"], words(20));
    assert!(confirmed.get("escalated_to_event").is_none());
    assert_eq!(api.get(&confirmed_only).await["pagination"]["total"], 1);

    let event = escalate(&api, &actor, &id, LATEST).await.body["event"].take();
    assert_eq!(
        [&event["status"], &event["origin_type"]],
        [&json!("pending"), &json!("escalation")]
    );
    let event = text(&event["id"]);
    assert_eq!(
        read_action(&api, &id).await["escalated_to_event"],
        json!({ "id": event, "title": "Flood" })
    );
    assert_eq!(api.get(&listed).await["actions"], json!([]));
    assert_eq!(read_event(&api, &event).await["origin_action_id"], id);

    assert_eq!(approve(&api, &actor, &event).await.status, 400);
    assert_eq!(approve(&api, &other, &event).await.status, 200);
    let read = read_event(&api, &event).await;
    assert_eq!(read["status"], "approved");
    assert_eq!(read["approved_by"], other.id.as_str());
    assert_eq!(read["canon_update"], words(70));
    assert!(read["approved_at"].is_string());
    assert_eq!(api.canon(&world).await["canon_summary"], words(70));
}

#[tokio::test]
async fn events_are_listed_by_year_and_status() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.world(&author).await;
    assert_eq!(propose(&api, &author, &world, 2060).await.status, 200);
    let early = proposed(&api, &author, &world).await;
    assert_eq!(reject(&api, &author, &early).await.status, 400);
    let answer = reject(&api, &other, &early).await;
    assert_eq!(answer.body["event"]["status"], "rejected");
    let read = read_event(&api, &early).await;
    assert_eq!(
        [&read["status"], &read["rejection_reason"]],
        [&json!("rejected"), &json!(words(20))]
    );
    assert_eq!(read["affected_regions"], json!(["Delta"]));
    assert_eq!(read["origin_type"], "proposal");
    assert_eq!(read["canon_justification"], words(50));
    assert_eq!(api.canon(&world).await["canon_summary"], words(50));
    let path = format!("/events/worlds/{world}/events");
    let all = api.get(&path).await;
    assert_eq!(all["total"], 2);
    assert_eq!(all["events"][0]["id"], early.as_str());
    let pending = api.get(&format!("{path}?status=pending")).await;
    assert_eq!(pending["events"][0]["year_in_world"], 2060);
    assert_eq!(status(&api, &format!("{path}?status=odd")).await, 400);
    let nowhere = format!("/events/worlds/{NOBODY}/events?status=odd");
    assert_eq!(status(&api, &nowhere).await, 404);
}

#[tokio::test]
async fn actions_are_escalated_in_order() {
    let api = Api::start(&[]).await;
    let (actor, other) = (api.agent().await, api.agent().await);
    let world = api.settled(&actor).await;
    let slight = action(&api, &actor, &world, 0.79).await;
    assert_eq!(confirm(&api, &other, &slight).await.status, 400);
    assert_eq!(escalate(&api, &other, &slight, 2050).await.status, 400);
    assert_eq!(confirm(&api, &other, NOBODY).await.status, 404);
    assert_eq!(escalate(&api, &other, NOBODY, 2050).await.status, 404);
    let id = action(&api, &actor, &world, 1.0).await;
    assert_eq!(confirm(&api, &actor, &id).await.status, 400);
    assert_eq!(escalate(&api, &other, &id, 2050).await.status, 400);
    let path = format!("/actions/{id}/confirm-importance");
    let short = json!({ "rationale": words(19) });
    assert_eq!(api.post(&other, &path, short).await.status, 422);
    assert_eq!(confirm(&api, &other, &id).await.status, 200);
    let third = api.agent().await;
    assert_eq!(confirm(&api, &third, &id).await.status, 400);
    for year in [2025, LATEST + 1] {
        assert_eq!(escalate(&api, &third, &id, year).await.status, 400);
    }
    assert_eq!(escalate(&api, &third, &id, 2026).await.status, 200);
    assert_eq!(escalate(&api, &other, &id, 2050).await.status, 400);
    for path in [
        format!("/actions/worlds/{NOBODY}/escalation-eligible"),
        format!("/actions/{NOBODY}"),
        format!("/events/{NOBODY}"),
    ] {
        assert_eq!(status(&api, &path).await, 404, "{path}");
    }
    let listed = format!("/actions/worlds/{world}/escalation-eligible?limit=101");
    assert_eq!(status(&api, &listed).await, 422);
}

#[tokio::test]
async fn events_are_refused_in_order() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.world(&author).await;
    assert_eq!(propose(&api, &author, NOBODY, 2050).await.status, 404);
    for year in [2025, LATEST + 1] {
        assert_eq!(propose(&api, &author, &world, year).await.status, 400);
    }
    for year in [2026, LATEST] {
        assert_eq!(propose(&api, &author, &world, year).await.status, 200);
    }
    let path = format!("/events/worlds/{world}/events");
    for (field, value) in [
        ("title", json!("four")),
        ("title", json!("x".repeat(256))),
        ("description", json!(words(49))),
        ("canon_justification", json!(words(49))),
        ("year_in_world", json!("soon")),
        ("affected_regions", json!("Delta")),
    ] {
        let mut body = account(2050);
        body[field] = value;
        assert_eq!(api.post(&author, &path, body).await.status, 422, "{field}");
    }
    let id = proposed(&api, &author, &world).await;
    let short = json!({ "canon_update": words(49) });
    let path = format!("/events/{id}/approve");
    assert_eq!(api.post(&other, &path, short).await.status, 422);
    let own = format!("{path}?test_mode=true");
    let update = json!({ "canon_update": words(50) });
    assert_eq!(api.post(&author, &own, update).await.status, 400);
    assert_eq!(approve(&api, &other, NOBODY).await.status, 404);
    assert_eq!(reject(&api, &other, NOBODY).await.status, 404);
    assert_eq!(approve(&api, &other, &id).await.status, 200);
    assert_eq!(approve(&api, &other, &id).await.status, 400);
    assert_eq!(reject(&api, &other, &id).await.status, 400);
}

/// What shows a bug of this area: what was seen, what the slip yields, and what the sound server does.
pub async fn sequence(
    api: &Api,
    bug: Bug,
    author: &Agent,
    other: &Agent,
    world: &str,
) -> Option<(Value, Value, Value)> {
    let refused = |reply: Reply| (json!(reply.status), json!(200), json!(400));
    Some(match bug {
        Bug::ActionSelfConfirmation => {
            let id = action(api, author, world, 0.9).await;
            refused(confirm(api, author, &id).await)
        }
        Bug::ActionConfirmedAgain => {
            let id = action(api, author, world, 0.9).await;
            confirm(api, other, &id).await;
            refused(confirm(api, &api.agent().await, &id).await)
        }
        Bug::ActionConfirmerMistaken => {
            let id = action(api, author, world, 0.9).await;
            confirm(api, other, &id).await;
            let read = read_action(api, &id).await;
            (
                json!(read["importance_confirmed_by"] == read["actor_id"]),
                json!(true),
                json!(false),
            )
        }
        Bug::ConfirmationNotNotified => {
            let id = action(api, author, world, 0.9).await;
            confirm(api, other, &id).await;
            let heard = told(api, author, "action_importance_confirmed").await;
            (json!(heard), json!(0), json!(1))
        }
        Bug::ActionEscalatedUnconfirmed => {
            let id = action(api, author, world, 0.9).await;
            refused(escalate(api, other, &id, 2050).await)
        }
        Bug::ActionEscalatedTwice => {
            let id = action(api, author, world, 0.9).await;
            confirm(api, other, &id).await;
            escalate(api, other, &id, 2050).await;
            refused(escalate(api, author, &id, 2050).await)
        }
        Bug::EventOriginUnknown => {
            let id = action(api, author, world, 0.9).await;
            confirm(api, other, &id).await;
            let event = escalate(api, other, &id, 2050).await.body["event"].take();
            assert_eq!(event["origin_type"], "escalation");
            let event = text(&event["id"]);
            let read = status(api, &format!("/events/{event}")).await;
            let listed = status(api, &format!("/events/worlds/{world}/events")).await;
            assert_eq!(read, listed);
            (json!(read), json!(500), json!(200))
        }
        Bug::EventYearTooLate => refused(propose(api, author, world, LATEST + 1).await),
        Bug::EventSelfApproval => {
            let id = proposed(api, author, world).await;
            refused(approve(api, author, &id).await)
        }
        Bug::EventCanonNotUpdated => {
            let id = proposed(api, author, world).await;
            approve(api, other, &id).await;
            let canon = api.canon(world).await["canon_summary"].take();
            (canon, json!(words(50)), json!(words(70)))
        }
        Bug::EventAfterRejection => {
            let id = proposed(api, author, world).await;
            reject(api, other, &id).await;
            refused(approve(api, other, &id).await)
        }
        Bug::EventReasonNotStored => {
            let id = proposed(api, author, world).await;
            reject(api, other, &id).await;
            let reason = read_event(api, &id).await["rejection_reason"].take();
            (reason, json!(null), json!(words(20)))
        }
        _ => return None,
    })
}
