//! Proposed dwellers: their way to a dweller, what is refused on it, and what each bug makes of it.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Agent, Api, Reply, dweller, text, words};
use crate::demo::deep_sci_fi::Bug;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

async fn draft(api: &Api, agent: &Agent, world: &str) -> String {
    let path = format!("/dweller-proposals/worlds/{world}");
    text(&api.done(agent, &path, dweller("Ylva Brack")).await["id"])
}

async fn submitted(api: &Api, agent: &Agent, world: &str) -> String {
    let id = draft(api, agent, world).await;
    let path = format!("/dweller-proposals/{id}/submit");
    let answer = api.done(agent, &path, json!({})).await;
    assert_eq!(answer["status"], "validating");
    id
}

async fn vote(api: &Api, agent: &Agent, id: &str, verdict: &str) -> Reply {
    let path = format!("/dweller-proposals/{id}/validate");
    let body = json!({ "verdict": verdict, "critique": words(50) });
    api.post(agent, &path, body).await
}

/// What is left after votes by as many new agents.
async fn decide(api: &Api, id: &str, verdicts: &[&str]) -> Value {
    for verdict in verdicts {
        let reply = vote(api, &api.agent().await, id, verdict).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    read(api, id).await["proposal"].take()
}

async fn read(api: &Api, id: &str) -> Value {
    api.get(&format!("/dweller-proposals/{id}")).await
}

async fn dweller_count(api: &Api, world: &str) -> Value {
    api.get(&format!("/worlds/{world}")).await["world"]["dweller_count"].take()
}

#[tokio::test]
async fn two_approvals_make_a_dweller() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let world = api.settled(&author).await;
    let id = submitted(&api, &author, &world).await;
    let path = format!("/dweller-proposals/{id}/revise");
    let change =
        json!({ "origin_region": "HILLS", "name": "Nova Chen", "core_memories": ["salt"] });
    let revised = api.done(&author, &path, change).await;
    assert_eq!(
        (&revised["revision_count"], &revised["status"]),
        (&json!(1), &json!("validating"))
    );
    vote(&api, &api.agent().await, &id, "approve").await;
    let before = read(&api, &id).await;
    assert_eq!(before["validation_progress"]["remaining"], 1);
    assert_eq!(before["summary"]["approve_count"], 1);
    assert_eq!(before["validations"][0]["critique"], words(50));
    assert_eq!(dweller_count(&api, &world).await, 0);

    let last = vote(&api, &api.agent().await, &id, "approve").await.body;
    assert_eq!(last["proposal_status"], "approved");
    assert_eq!(last["validation_status"]["approvals"], 2);
    let made = text(&last["dweller_created"]["id"]);
    let after = read(&api, &id).await;
    assert_eq!(after["proposal"]["resulting_dweller_id"], made.as_str());
    assert!(after.get("validation_progress").is_none());
    let living = api.read_dweller(&made).await;
    for field in ["name", "origin_region", "role", "age", "background"] {
        assert_eq!(living[field], after["proposal"][field], "{field}");
    }
    assert_eq!(
        (&living["name"], &living["current_region"]),
        (&json!("Nova Chen"), &json!("Hills"))
    );
    assert_eq!(
        (&living["created_by"], &living["is_available"]),
        (&json!(author.id), &json!(true))
    );
    assert_eq!(dweller_count(&api, &world).await, 1);
    assert_eq!(api.claim(&author, &made).await.status, 200);
    let memory = api
        .get_as(&author, &format!("/dwellers/{made}/memory"))
        .await;
    assert_eq!(memory.body["memory"]["core_memories"], json!(["salt"]));
    let speak = json!({ "action_type": "speak", "target": "nova chen", "content": "Hello." });
    let other = api.inhabited(&author, &world, "Osk Farren").await;
    assert_eq!(api.act(&author, &other, speak).await.status, 200);
}

#[tokio::test]
async fn pages_of_dweller_proposals_count_votes() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let world = api.settled(&author).await;
    let first = submitted(&api, &author, &world).await;
    decide(&api, &first, &["strengthen", "approve", "reject"]).await;
    let second = draft(&api, &author, &world).await;
    let page = api.get("/dweller-proposals?limit=1").await;
    assert_eq!(page["items"][0]["id"], second.as_str());
    assert_eq!(page["items"][0]["validation_count"], 0);
    let cursor = text(&page["next_cursor"]);
    let page = api
        .get(&format!("/dweller-proposals?limit=1&cursor={cursor}"))
        .await;
    let item = &page["items"][0];
    assert_eq!(item["id"], first.as_str());
    assert_eq!(
        [
            &item["validation_count"],
            &item["approve_count"],
            &item["reject_count"]
        ],
        [&json!(3), &json!(1), &json!(1)]
    );
    assert!(page["next_cursor"].is_null());
    let drafts = api.get("/dweller-proposals?status=draft&sort=oldest").await;
    assert_eq!(drafts["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn dweller_proposals_are_refused_in_order() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.settled(&author).await;
    let path = format!("/dweller-proposals/worlds/{world}");
    let absent = format!("/dweller-proposals/worlds/{NOBODY}");
    assert_eq!(
        api.post(&author, &absent, dweller("Ylva")).await.status,
        404
    );
    for (field, value) in [("origin_region", "Nowhere"), ("name", "Osk Chen")] {
        let mut body = dweller("Ylva");
        body[field] = json!(value);
        assert_eq!(api.post(&author, &path, body).await.status, 400, "{field}");
    }
    for (field, value) in [
        ("age", json!(201)),
        ("name", json!("")),
        ("role", json!("")),
    ] {
        let mut body = dweller("Ylva");
        body[field] = value;
        assert_eq!(api.post(&author, &path, body).await.status, 422, "{field}");
    }
    let id = draft(&api, &author, &world).await;
    let at = |what: &str| format!("/dweller-proposals/{id}/{what}");
    assert_eq!(vote(&api, &other, &id, "approve").await.status, 400);
    for what in ["submit", "revise"] {
        let foreign = api.post(&other, &at(what), json!({})).await;
        assert_eq!(foreign.status, 403, "{what}");
        let absent = format!("/dweller-proposals/{NOBODY}/{what}");
        assert_eq!(api.post(&author, &absent, json!({})).await.status, 404);
    }
    assert_eq!(vote(&api, &other, NOBODY, "approve").await.status, 404);
    api.done(&author, &at("submit"), json!({})).await;
    assert_eq!(
        api.post(&author, &at("submit"), json!({})).await.status,
        400
    );
    let nowhere = json!({ "origin_region": "Nowhere" });
    assert_eq!(api.post(&author, &at("revise"), nowhere).await.status, 400);
    let short = json!({ "background": words(49) });
    assert_eq!(api.post(&author, &at("revise"), short).await.status, 422);
    assert_eq!(vote(&api, &author, &id, "approve").await.status, 400);
    assert_eq!(vote(&api, &other, &id, "maybe").await.status, 422);
    assert_eq!(vote(&api, &other, &id, "reject").await.status, 200);
    assert_eq!(vote(&api, &other, &id, "reject").await.status, 400);
    let rejected = decide(&api, &id, &["reject"]).await;
    assert_eq!(rejected["status"], "rejected");
    assert_eq!(
        api.post(&author, &at("revise"), json!({})).await.status,
        400
    );
    for _ in 0..5 {
        draft(&api, &author, &world).await;
    }
    let mut full = dweller("Chen");
    full["origin_region"] = json!("Nowhere");
    assert_eq!(api.post(&author, &path, full).await.status, 429);
    let missing = api.request(Method::GET, &format!("/dweller-proposals/{NOBODY}"));
    assert_eq!(Api::send(missing).await.status, 404);
}

/// What shows a bug of this area: what was seen, what the slip yields, and what the sound server does.
pub async fn sequence(
    api: &Api,
    bug: Bug,
    author: &Agent,
    world: &str,
) -> Option<(Value, Value, Value)> {
    Some(match bug {
        Bug::SixthDwellerProposal => {
            for _ in 0..5 {
                draft(api, author, world).await;
            }
            let path = format!("/dweller-proposals/worlds/{world}");
            let sixth = api.post(author, &path, dweller("Ylva")).await;
            (json!(sixth.status), json!(200), json!(429))
        }
        Bug::DwellerProposalSelfValidation => {
            let id = submitted(api, author, world).await;
            let own = vote(api, author, &id, "approve").await;
            (json!(own.status), json!(200), json!(400))
        }
        Bug::DwellerProposalOneApproval => {
            let id = submitted(api, author, world).await;
            let status = decide(api, &id, &["approve"]).await["status"].take();
            (status, json!("approved"), json!("validating"))
        }
        Bug::DwellerProposalWithoutDweller => {
            let id = submitted(api, author, world).await;
            let proposal = decide(api, &id, &["approve", "approve"]).await;
            assert_eq!(proposal["status"], "approved");
            (
                json!(proposal["resulting_dweller_id"].is_null()),
                json!(true),
                json!(false),
            )
        }
        Bug::DwellerProposalNotCounted => {
            let id = submitted(api, author, world).await;
            decide(api, &id, &["approve", "approve"]).await;
            (dweller_count(api, world).await, json!(0), json!(1))
        }
        Bug::DwellerProposalGateStaysShut => {
            let id = submitted(api, author, world).await;
            decide(api, &id, &["strengthen", "approve"]).await;
            let path = format!("/dweller-proposals/{id}/revise");
            api.done(author, &path, json!({})).await;
            let status = decide(api, &id, &["approve"]).await["status"].take();
            (status, json!("validating"), json!("approved"))
        }
        Bug::DwellerProposalNeverRejected => {
            let id = submitted(api, author, world).await;
            let status = decide(api, &id, &["reject", "reject"]).await["status"].take();
            (status, json!("validating"), json!("rejected"))
        }
        _ => return None,
    })
}
