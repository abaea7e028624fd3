//! Stories, their reviews, reactions to them, and acclaim.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Agent, Api, text, words};
use crate::demo::deep_sci_fi::Bug;

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn story(world: &str) -> Value {
    json!({
        "world_id": world,
        "title": "Low water",
        "content": words(100),
        "perspective": "third_person_omniscient",
    })
}

fn review(recommends: bool) -> Value {
    json!({
        "recommend_acclaim": recommends,
        "improvements": ["Fewer gulls."],
        "canon_notes": words(20),
        "event_notes": words(20),
        "style_notes": words(20),
    })
}

async fn told(api: &Api, author: &Agent, world: &str) -> String {
    text(&api.done(author, "/stories", story(world)).await["story"]["id"])
}

async fn read(api: &Api, id: &str) -> Value {
    api.get(&format!("/stories/{id}")).await["story"].take()
}

async fn reviewed(api: &Api, agent: &Agent, id: &str) -> String {
    let path = format!("/stories/{id}/review");
    text(&api.done(agent, &path, review(true)).await["review"]["id"])
}

async fn respond(api: &Api, author: &Agent, id: &str, review: &str) -> Value {
    let path = format!("/stories/{id}/reviews/{review}/respond");
    api.done(author, &path, json!({ "response": words(20) }))
        .await
}

async fn revise(api: &Api, author: &Agent, id: &str, title: &str) -> Value {
    let path = format!("/stories/{id}/revise");
    api.done(author, &path, json!({ "title": title })).await
}

async fn react(api: &Api, agent: &Agent, id: &str, reaction: &str) -> Value {
    let path = format!("/stories/{id}/react");
    api.done(agent, &path, json!({ "reaction_type": reaction }))
        .await
}

#[tokio::test]
async fn stories_come_to_be_acclaimed() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let (one, two, three) = (api.agent().await, api.agent().await, api.agent().await);
    let world = api.world(&author).await;
    let id = told(&api, &author, &world).await;
    let first = reviewed(&api, &one, &id).await;
    let second = reviewed(&api, &two, &id).await;
    respond(&api, &author, &id, &first).await;
    let answered = respond(&api, &author, &id, &second).await;
    assert_eq!(answered["review"]["author_responded"], true);
    assert_eq!(answered.get("status_changed"), None);
    let same = revise(&api, &author, &id, "Low water").await;
    assert_eq!(
        (&same["changes"], &same["revision_count"]),
        (&json!([]), &json!(0))
    );
    let revised = revise(&api, &author, &id, "High water").await;
    assert_eq!(revised["changes"], json!(["title"]));
    assert_eq!(revised["new_status"], "acclaimed");

    // A late review does not take the acclaim away.
    let late = reviewed(&api, &three, &id).await;
    let now = api.get(&format!("/stories/{id}")).await;
    assert_eq!(now["story"]["status"], "acclaimed");
    assert_eq!(now["acclaim_eligibility"]["eligible"], false);
    let again = respond(&api, &author, &id, &late).await;
    assert_eq!(again["acclaim_eligibility"]["eligible"], true);
    assert_eq!(again.get("new_status"), None);
    assert_eq!(now["story"]["title"], "High water");
    assert_eq!(
        (
            &now["story"]["review_count"],
            &now["story"]["acclaim_count"]
        ),
        (&json!(3), &json!(3))
    );
}

#[tokio::test]
async fn an_answer_may_complete_the_conditions() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let world = api.world(&author).await;
    let id = told(&api, &author, &world).await;
    revise(&api, &author, &id, "High water").await;
    let path = format!("/stories/{id}/review");
    let cool = api.done(&api.agent().await, &path, review(false)).await;
    assert_eq!(
        cool["story_review_stats"],
        json!({ "review_count": 1, "acclaim_count": 0 })
    );
    for _ in 0..2 {
        let review = reviewed(&api, &api.agent().await, &id).await;
        let answered = respond(&api, &author, &id, &review).await;
        assert_eq!(answered.get("new_status"), None);
    }
    let answered = respond(&api, &author, &id, &text(&cool["review"]["id"])).await;
    assert_eq!(answered["new_status"], "acclaimed");
    let listed = api.get("/stories?status=acclaimed").await;
    assert_eq!(
        (&listed["total"], &listed["stories"][0]["id"]),
        (&json!(1), &json!(id))
    );
}

#[tokio::test]
async fn reviews_are_refused_in_order_and_hidden_from_those_to_come() {
    let api = Api::start(&[]).await;
    let (author, one, two) = (api.agent().await, api.agent().await, api.agent().await);
    let world = api.world(&author).await;
    let id = told(&api, &author, &world).await;
    let path = format!("/stories/{id}/review");
    let status = async |agent, path: &str, body| api.post(agent, path, body).await.status;
    let absent = format!("/stories/{NOBODY}/review");
    assert_eq!(status(&one, &absent, review(true)).await, 404);
    assert_eq!(status(&author, &path, review(true)).await, 403);
    for (field, value) in [
        ("recommend_acclaim", json!(null)),
        ("improvements", json!([])),
        ("canon_notes", json!(words(19))),
        ("style_issues", json!("x")),
    ] {
        let mut body = review(true);
        body[field] = value;
        assert_eq!(status(&one, &path, body).await, 422, "{field}");
    }
    let first = reviewed(&api, &one, &id).await;
    assert_eq!(status(&one, &path, review(true)).await, 409);

    let reviews = format!("/stories/{id}/reviews");
    let seen = api.get_as(&two, &reviews).await.body;
    assert_eq!(seen["reviews"], json!([]));
    assert!(seen["notice"].is_string());
    for open in [
        api.get(&reviews).await,
        api.get_as(&author, &reviews).await.body,
        api.get_as(&one, &reviews).await.body,
    ] {
        assert_eq!(open["reviews"][0]["id"], first.as_str());
    }

    let respond = format!("{reviews}/{first}/respond");
    let answer = json!({ "response": words(20) });
    let unknown = format!("{reviews}/{NOBODY}/respond");
    assert_eq!(status(&one, &unknown, answer.clone()).await, 403);
    assert_eq!(status(&author, &unknown, answer.clone()).await, 404);
    assert_eq!(
        status(&author, &respond, json!({ "response": "x" })).await,
        422
    );
    assert_eq!(status(&author, &respond, answer.clone()).await, 200);
    assert_eq!(status(&author, &respond, answer).await, 409);
    let revise = format!("/stories/{id}/revise");
    assert_eq!(status(&one, &revise, json!({})).await, 403);
    assert_eq!(status(&author, &revise, json!({ "title": "" })).await, 400);
    assert_eq!(
        status(&author, &revise, json!({ "content": "x" })).await,
        422
    );
}

#[tokio::test]
async fn stories_are_checked_listed_and_deleted() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.settled(&author).await;
    let dweller = api.dweller(&author, &world, "Ylva Brack").await;
    for (field, value, status) in [
        ("title", json!("x".repeat(201)), 422),
        ("content", json!(words(99)), 422),
        ("summary", json!("x".repeat(501)), 422),
        ("perspective", json!("first_person_dweller"), 422),
        ("perspective", json!("plural"), 422),
        ("source_event_ids", json!(["x"]), 422),
        ("time_period_end", json!("x".repeat(51)), 422),
        ("world_id", json!(NOBODY), 404),
        ("perspective_dweller_id", json!(NOBODY), 404),
    ] {
        let mut body = story(&world);
        body[field] = value;
        let reply = api.post(&author, "/stories", body).await;
        assert_eq!(reply.status, status, "{field}: {}", reply.body);
    }
    let plain = told(&api, &other, &world).await;
    let mut close = story(&world);
    close["perspective"] = json!("third_person_limited");
    close["perspective_dweller_id"] = json!(dweller);
    close["source_action_ids"] = json!([NOBODY]);
    let close = api.done(&author, "/stories", close).await["story"].take();
    assert_eq!(close["source_action_ids"], json!([NOBODY]));
    assert_eq!(read(&api, &text(&close["id"])).await, close);

    react(&api, &author, &plain, "fire").await;
    for (query, first, total) in [
        ("", plain.as_str(), 2),
        ("?sort=recent", text(&close["id"]).as_str(), 2),
        (
            &format!("?author_id={}", author.id),
            text(&close["id"]).as_str(),
            1,
        ),
        ("?perspective=third_person_omniscient", plain.as_str(), 1),
        (&format!("?world_id={world}&limit=1"), plain.as_str(), 2),
    ] {
        let listed = api.get(&format!("/stories{query}")).await;
        assert_eq!(listed["stories"][0]["id"], first, "{query}");
        assert_eq!(listed["total"], total, "{query}");
    }
    assert_eq!(
        api.get(&format!("/stories?world_id={NOBODY}")).await["total"],
        0
    );
    let absent = format!("/stories/worlds/{NOBODY}");
    let absent = Api::send(api.request(Method::GET, &absent)).await;
    assert_eq!(absent.status, 404);
    let bad = Api::send(api.request(Method::GET, "/stories?status=odd")).await;
    assert_eq!(bad.status, 422);

    reviewed(&api, &author, &plain).await;
    let path = format!("/stories/{plain}");
    let admin = api.admin().await;
    assert_eq!(api.delete(&other, &path).await.status, 403);
    assert_eq!(api.delete(&admin, &path).await.status, 200);
    assert_eq!(api.delete(&admin, &path).await.status, 404);
    for path in [path.clone(), format!("{path}/reviews")] {
        let gone = Api::send(api.request(Method::GET, &path)).await;
        assert_eq!(gone.status, 404);
    }
    let listed = api.get(&format!("/stories/worlds/{world}")).await;
    assert_eq!(
        (&listed["total"], &listed["world_id"]),
        (&json!(1), &json!(world))
    );
}

#[tokio::test]
async fn reactions_are_toggled() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.world(&author).await;
    let id = told(&api, &author, &world).await;
    for (agent, reaction, action, count) in [
        (&author, "fire", "added", 1),
        (&other, "fire", "added", 2),
        (&other, "mind", "changed", 2),
        (&other, "mind", "removed", 1),
        (&author, "fire", "removed", 0),
        (&author, "heart", "added", 1),
    ] {
        let answer = react(&api, agent, &id, reaction).await;
        assert_eq!(answer["action"], action);
        assert_eq!(answer["new_reaction_count"], count);
        assert_eq!(read(&api, &id).await["reaction_count"], count);
    }
    let odd = json!({ "reaction_type": "shrug" });
    let odd = api.post(&other, &format!("/stories/{id}/react"), odd).await;
    assert_eq!(odd.status, 422);
    let read = api.get(&format!("/worlds/{world}")).await;
    assert_eq!(
        read["world"]["reaction_counts"],
        json!({ "fire": 0, "mind": 0, "heart": 0, "thinking": 0 })
    );
}

/// Shows a bug of this area: what the server yields, what the slip must, and what the sound server must.
pub async fn sequence(
    api: &Api,
    bug: Bug,
    author: &Agent,
    other: &Agent,
) -> Option<(Value, Value, Value)> {
    let belongs = [
        Bug::AcclaimByOneReview,
        Bug::AcclaimUnanswered,
        Bug::AcclaimUnrevised,
        Bug::AcclaimOnlyOnRevision,
        Bug::StorySelfReview,
        Bug::StoryReviewOverwritten,
        Bug::StoryRevisionNotCounted,
        Bug::StoryReviewsNotBlind,
        Bug::StoryDeletedByAnyone,
        Bug::StoryReviewsNotDeleted,
        Bug::ReactionRemovalNotCounted,
        Bug::ReactionChangeCounted,
    ];
    if !belongs.contains(&bug) {
        return None;
    }
    let world = api.world(author).await;
    let id = told(api, author, &world).await;
    let path = format!("/stories/{id}");
    let third = api.agent_called("third").await;
    let wrongly = (json!("acclaimed"), json!("published"));
    let (seen, (slip, sound)) = match bug {
        Bug::AcclaimByOneReview => {
            let review = reviewed(api, other, &id).await;
            respond(api, author, &id, &review).await;
            revise(api, author, &id, "High water").await;
            (read(api, &id).await["status"].take(), wrongly)
        }
        Bug::AcclaimUnanswered => {
            reviewed(api, other, &id).await;
            reviewed(api, &third, &id).await;
            revise(api, author, &id, "High water").await;
            (read(api, &id).await["status"].take(), wrongly)
        }
        Bug::AcclaimUnrevised => {
            for reviewer in [other, &third] {
                let review = reviewed(api, reviewer, &id).await;
                respond(api, author, &id, &review).await;
            }
            (read(api, &id).await["status"].take(), wrongly)
        }
        Bug::AcclaimOnlyOnRevision => {
            revise(api, author, &id, "High water").await;
            for reviewer in [other, &third] {
                let review = reviewed(api, reviewer, &id).await;
                respond(api, author, &id, &review).await;
            }
            let (acclaimed, published) = wrongly;
            (
                read(api, &id).await["status"].take(),
                (published, acclaimed),
            )
        }
        Bug::StorySelfReview => {
            let review_path = format!("{path}/review");
            let own = api.post(author, &review_path, review(true)).await;
            (json!(own.status), (json!(200), json!(403)))
        }
        Bug::StoryReviewOverwritten => {
            reviewed(api, other, &id).await;
            let review_path = format!("{path}/review");
            let again = api.post(other, &review_path, review(false)).await;
            assert!([200, 409].contains(&again.status));
            let reviews = api.get(&format!("{path}/reviews")).await;
            (
                reviews["reviews"][0]["recommend_acclaim"].clone(),
                (json!(false), json!(true)),
            )
        }
        Bug::StoryRevisionNotCounted => {
            revise(api, author, &id, "High water").await;
            let count = read(api, &id).await["revision_count"].take();
            (count, (json!(0), json!(1)))
        }
        Bug::StoryReviewsNotBlind => {
            reviewed(api, other, &id).await;
            let seen = api.get_as(&third, &format!("{path}/reviews")).await;
            let seen = seen.body["reviews"].as_array().map(Vec::len);
            (json!(seen), (json!(1), json!(0)))
        }
        Bug::StoryDeletedByAnyone => {
            let deleted = api.delete(other, &path).await;
            (json!(deleted.status), (json!(200), json!(403)))
        }
        Bug::StoryReviewsNotDeleted => {
            reviewed(api, other, &id).await;
            let deleted = api.delete(&api.admin().await, &path).await;
            (json!(deleted.status), (json!(400), json!(200)))
        }
        Bug::ReactionRemovalNotCounted => {
            react(api, other, &id, "fire").await;
            react(api, other, &id, "fire").await;
            let count = read(api, &id).await["reaction_count"].take();
            (count, (json!(1), json!(0)))
        }
        Bug::ReactionChangeCounted => {
            react(api, other, &id, "fire").await;
            react(api, other, &id, "mind").await;
            let count = read(api, &id).await["reaction_count"].take();
            (count, (json!(2), json!(1)))
        }
        _ => return None,
    };
    Some((seen, slip, sound))
}
