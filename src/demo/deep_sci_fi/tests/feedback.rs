//! Feedback about the platform, and revisions suggested to the authors of proposals and aspects.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Agent, Api, Reply, text, words};
use crate::demo::deep_sci_fi::Bug;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn feedback() -> Value {
    json!({
        "category": "api_bug",
        "priority": "high",
        "title": "Gulls",
        "description": words(20),
    })
}

async fn filed(api: &Api, agent: &Agent) -> String {
    text(&api.done(agent, "/feedback", feedback()).await["feedback"]["id"])
}

async fn read(api: &Api, id: &str) -> Value {
    api.get(&format!("/feedback/{id}")).await["feedback"].take()
}

async fn upvote(api: &Api, agent: &Agent, id: &str) -> Reply {
    api.post(agent, &format!("/feedback/{id}/upvote"), json!({}))
        .await
}

/// As the administrator.
async fn set_status(api: &Api, id: &str, status: &str, notes: Option<&str>) -> u16 {
    let path = format!("/feedback/{id}/status");
    let body = json!({ "status": status, "resolution_notes": notes });
    api.patch(&api.admin().await, &path, body).await.status
}

fn suggestion(field: &str, value: Value) -> Value {
    json!({ "field": field, "suggested_value": value, "rationale": words(20) })
}

/// Suggests a new value for a field of a proposal.
async fn suggest(api: &Api, agent: &Agent, proposal: &str, field: &str, value: Value) -> String {
    let path = format!("/suggestions/proposals/{proposal}/suggest-revision");
    text(&api.done(agent, &path, suggestion(field, value)).await["suggestion"]["id"])
}

async fn decide(api: &Api, agent: &Agent, id: &str, what: &str) -> Reply {
    let path = format!("/suggestions/{id}/{what}");
    api.post(agent, &path, json!({ "reason": words(10) })).await
}

async fn suggestion_status(api: &Api, id: &str) -> Value {
    api.get(&format!("/suggestions/{id}")).await["suggestion"]["status"].take()
}

#[tokio::test]
async fn feedback_is_upvoted_and_resolved() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let mut full = feedback();
    full["error_code"] = json!(503);
    full["reproduction_steps"] = json!(["one", "two"]);
    full["request_payload"] = json!({ "a": [1] });
    let made = api.done(&author, "/feedback", full).await["feedback"].take();
    assert_eq!(
        (&made["status"], &made["upvote_count"], &made["error_code"]),
        (&json!("new"), &json!(0), &json!(503))
    );
    let id = text(&made["id"]);
    assert_eq!(read(&api, &id).await, made);

    assert_eq!(upvote(&api, &other, NOBODY).await.status, 404);
    assert_eq!(upvote(&api, &author, &id).await.status, 400);
    assert_eq!(upvote(&api, &other, &id).await.body["upvote_count"], 1);
    assert_eq!(upvote(&api, &other, &id).await.status, 400);

    let path = format!("/feedback/{id}/status");
    let resolved = json!({ "status": "resolved", "resolution_notes": "done" });
    assert_eq!(api.patch(&other, &path, resolved).await.status, 403);
    for (status, notes, answer) in [
        ("odd", None, 422),
        ("new", None, 400),
        ("acknowledged", None, 200),
        ("acknowledged", None, 400),
        ("resolved", Some(""), 400),
        ("in_progress", None, 200),
        ("resolved", None, 400),
        ("resolved", Some("Shot."), 200),
        ("in_progress", None, 400),
        ("wont_fix", Some("No."), 400),
    ] {
        let seen = set_status(&api, &id, status, notes).await;
        assert_eq!(seen, answer, "{status} {notes:?}");
    }
    assert_eq!(upvote(&api, &api.agent().await, &id).await.status, 200);
    let end = read(&api, &id).await;
    assert_eq!(
        (
            &end["status"],
            &end["resolution_notes"],
            &end["upvote_count"]
        ),
        (&json!("resolved"), &json!("Shot."), &json!(2))
    );
    let changelog = api.get("/feedback/changelog?limit=500").await;
    assert_eq!(changelog["changelog"], json!([end]));
    assert_eq!(set_status(&api, NOBODY, "resolved", None).await, 404);
}

#[tokio::test]
async fn feedback_is_checked_and_listed() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    for (field, value) in [
        ("category", json!("odd")),
        ("priority", json!(null)),
        ("title", json!("xxxx")),
        ("title", json!("x".repeat(256))),
        ("description", json!(words(19))),
        ("endpoint", json!("x".repeat(256))),
        ("error_code", json!(600)),
        ("request_payload", json!([])),
    ] {
        let mut body = feedback();
        body[field] = value;
        let reply = api.post(&author, "/feedback", body).await;
        assert_eq!(reply.status, 422, "{field}");
    }
    let first = filed(&api, &author).await;
    let second = filed(&api, &author).await;
    set_status(&api, &first, "acknowledged", None).await;
    for (query, top, count) in [
        ("", &second, 2),
        ("?status=acknowledged", &first, 1),
        ("?category=api_bug&priority=high&limit=1", &second, 1),
        ("?limit=1000&offset=1", &first, 1),
    ] {
        let listed = api.get(&format!("/feedback/list{query}")).await;
        let listed = listed["feedback"].as_array().unwrap();
        assert_eq!(listed[0]["id"], top.as_str(), "{query}");
        assert_eq!(listed.len(), count, "{query}");
    }
    for name in ["status", "category", "priority"] {
        let path = format!("/feedback/list?{name}=odd");
        assert_eq!(Api::send(api.request(Method::GET, &path)).await.status, 400);
    }
    let empty = api.get("/feedback/list?limit=-1&offset=-1").await;
    assert_eq!(
        (&empty["feedback"], &empty["total"]),
        (&json!([]), &json!(2))
    );
    let summary = api.get("/feedback/summary").await;
    assert_eq!(
        (
            &summary["by_status"]["new"],
            &summary["by_category"]["api_bug"]
        ),
        (&json!(1), &json!(2))
    );
}

#[tokio::test]
async fn accepted_suggestions_change_their_target() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let id = api.submitted(&author).await;
    let path = format!("/proposals/{id}");
    for (field, value) in [
        ("premise", json!("short")),
        ("name", json!("Ebb")),
        ("scientific_basis", json!("salt")),
        ("year_setting", json!(1999)),
        ("causal_chain", json!(["rain", { "year": 1 }])),
    ] {
        let made = suggest(&api, &other, &id, field, value.clone()).await;
        let before = api.get(&path).await["proposal"][field].take();
        let accepted = decide(&api, &author, &made, "accept").await.body["suggestion"].take();
        assert_eq!(
            (&accepted["status"], &accepted["current_value"]),
            (&json!("accepted"), &before)
        );
        assert_eq!(api.get(&path).await["proposal"][field], value);
    }
    let read = api.get(&path).await["proposal"].take();
    assert_eq!(
        (&read["revision_count"], &read["last_revised_at"]),
        (&json!(0), &json!(null))
    );
    for (field, value) in [("premise", json!(5)), ("year_setting", json!("soon"))] {
        let made = suggest(&api, &other, &id, field, value).await;
        assert_eq!(decide(&api, &author, &made, "accept").await.status, 400);
        assert_eq!(suggestion_status(&api, &made).await, "pending");
    }
    let listed = api.get(&format!("/suggestions{path}/suggestions")).await;
    assert_eq!(listed["total"], 7);
    assert_eq!(listed["suggestions"][0]["field"], "year_setting");

    let world = api.world(&author).await;
    let aspect = api.aspect(&author, &world, "technology").await;
    let path = format!("/suggestions/aspects/{aspect}");
    let body = suggestion("content", json!({ "name": "Banks" }));
    let suggest = format!("{path}/suggest-revision");
    let made = api.done(&other, &suggest, body).await["suggestion"].take();
    decide(&api, &author, &text(&made["id"]), "accept").await;
    assert_eq!(api.read_aspect(&aspect).await["content"]["name"], "Banks");
    let listed = api.get(&format!("{path}/suggestions")).await;
    assert_eq!(listed["suggestions"][0]["status"], "accepted");
}

#[tokio::test]
async fn suggestions_are_refused_in_order() {
    let api = Api::start(&[]).await;
    let (author, other, third) = (api.agent().await, api.agent().await, api.agent().await);
    let id = api.draft(&author).await;
    let path = format!("/suggestions/proposals/{id}/suggest-revision");
    let absent = format!("/suggestions/proposals/{NOBODY}/suggest-revision");
    let odd = suggestion("status", json!("approved"));
    let mut bare = suggestion("premise", json!("x"));
    bare.as_object_mut().unwrap().remove("suggested_value");
    for (agent, path, body, status) in [
        (&other, &path, bare, 422),
        (
            &other,
            &path,
            json!({ "field": "name", "suggested_value": null, "rationale": "x" }),
            422,
        ),
        (&author, &absent, odd.clone(), 404),
        (&author, &path, odd.clone(), 400),
        (&other, &path, odd, 400),
        (&other, &path, suggestion("premise", json!(null)), 200),
    ] {
        let reply = api.post(agent, path, body).await;
        assert_eq!(reply.status, status, "{}", reply.body);
    }

    let one = suggest(&api, &other, &id, "name", json!("Ebb")).await;
    for (agent, id, what, status) in [
        (&author, NOBODY, "accept", 404),
        (&third, one.as_str(), "accept", 403),
        (&other, one.as_str(), "accept", 403),
        (&third, one.as_str(), "reject", 403),
        (&author, one.as_str(), "withdraw", 403),
        (&other, one.as_str(), "upvote", 400),
        (&author, one.as_str(), "upvote", 200),
        (&author, one.as_str(), "upvote", 400),
        (&third, one.as_str(), "upvote", 200),
        (&author, one.as_str(), "reject", 200),
        (&third, one.as_str(), "accept", 400),
        (&third, one.as_str(), "reject", 400),
        (&third, one.as_str(), "upvote", 400),
        (&third, one.as_str(), "withdraw", 400),
    ] {
        let reply = decide(&api, agent, id, what).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.body);
    }
    let read = api.get(&format!("/suggestions/{one}")).await["suggestion"].take();
    assert_eq!(
        (&read["status"], &read["upvote_count"]),
        (&json!("rejected"), &json!(2))
    );
    let two = suggest(&api, &other, &id, "name", json!("Ebb")).await;
    let withdrawn = decide(&api, &other, &two, "withdraw").await;
    assert_eq!(withdrawn.body["suggestion"]["status"], "withdrawn");
    assert_eq!(suggestion_status(&api, &two).await, "withdrawn");
    let path = format!("/suggestions/{two}/accept");
    let terse = api.post(&author, &path, json!({ "reason": "x" })).await;
    assert_eq!(terse.status, 422);
}

/// Shows a bug of this area: what the server yields, what the slip must, and what the sound server must.
pub async fn sequence(
    api: &Api,
    bug: Bug,
    author: &Agent,
    other: &Agent,
) -> Option<(Value, Value, Value)> {
    if bug.name().contains("suggestion") {
        return suggestion_sequence(api, bug, author, other).await;
    }
    if !bug.name().starts_with("feedback_") {
        return None;
    }
    let id = filed(api, author).await;
    let (seen, slip, sound) = match bug {
        Bug::FeedbackUpvotedTwice => {
            upvote(api, other, &id).await;
            (
                json!(upvote(api, other, &id).await.status),
                json!(200),
                json!(400),
            )
        }
        Bug::FeedbackSelfUpvote => (
            json!(upvote(api, author, &id).await.status),
            json!(200),
            json!(400),
        ),
        Bug::FeedbackUpvoteNotCounted => {
            upvote(api, other, &id).await;
            (
                read(api, &id).await["upvote_count"].take(),
                json!(0),
                json!(1),
            )
        }
        Bug::FeedbackResolvedWithoutNotes => {
            let status = set_status(api, &id, "resolved", None).await;
            (json!(status), json!(200), json!(400))
        }
        Bug::FeedbackReopened => {
            set_status(api, &id, "wont_fix", Some("No.")).await;
            let status = set_status(api, &id, "in_progress", None).await;
            (json!(status), json!(200), json!(400))
        }
        _ => return None,
    };
    Some((seen, slip, sound))
}

async fn suggestion_sequence(
    api: &Api,
    bug: Bug,
    author: &Agent,
    other: &Agent,
) -> Option<(Value, Value, Value)> {
    let proposal = api.draft(author).await;
    let path = format!("/proposals/{proposal}");
    let id = suggest(api, other, &proposal, "name", json!("Ebb")).await;
    let (seen, slip, sound) = match bug {
        Bug::SuggestionAcceptedByAnyone => {
            let status = decide(api, other, &id, "accept").await.status;
            (json!(status), json!(200), json!(403))
        }
        Bug::SuggestionAfterRejection => {
            decide(api, author, &id, "reject").await;
            let status = decide(api, author, &id, "accept").await.status;
            (json!(status), json!(200), json!(400))
        }
        Bug::SuggestionNotApplied => {
            decide(api, author, &id, "accept").await;
            let name = api.get(&path).await["proposal"]["name"].take();
            (name, json!("Tides"), json!("Ebb"))
        }
        Bug::SuggestionStaysPending => {
            decide(api, author, &id, "accept").await;
            (
                suggestion_status(api, &id).await,
                json!("pending"),
                json!("accepted"),
            )
        }
        Bug::SuggestionWithdrawnByAnyone => {
            let status = decide(api, author, &id, "withdraw").await.status;
            (json!(status), json!(200), json!(403))
        }
        Bug::SuggestionWrittenAsText => {
            let id = suggest(api, other, &proposal, "causal_chain", json!([])).await;
            decide(api, author, &id, "accept").await;
            let read = Api::send(api.request(Method::GET, &path)).await;
            (json!(read.status), json!(500), json!(200))
        }
        _ => return None,
    };
    Some((seen, slip, sound))
}
