//! What the sound server refuses, with what status, and which check comes first.

use reqwest::Method;
use serde_json::{Value, json};

use super::harness::{Api, aspect, dweller, proposal, region, review, text, vote, words};

const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

#[tokio::test]
async fn checks_come_in_the_order_of_the_original() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let junk = api
        .request(Method::POST, "/proposals")
        .header("content-type", "application/json")
        .body("{");
    let junk = Api::send(junk).await;
    assert_eq!(
        (junk.status, &junk.body["details"][0]["type"]),
        (422, &json!("json_invalid"))
    );
    let nobody = api.request(Method::POST, "/proposals/nope/submit");
    let nobody = Api::send(nobody).await;
    assert_eq!(
        (nobody.status, nobody.body["detail"]["error"].is_string()),
        (401, true)
    );
    let wrong = api
        .post(
            &author,
            "/proposals/nope/revise?x=1",
            json!({ "premise": 5 }),
        )
        .await;
    assert_eq!(
        (
            wrong.status,
            wrong.body["details"].as_array().unwrap().len()
        ),
        (422, 2)
    );
    let absent = api
        .post(&author, &format!("/proposals/{NOBODY}/submit"), json!({}))
        .await;
    assert_eq!(absent.status, 404);

    let id = api.submitted(&author).await;
    let submit = format!("/proposals/{id}/submit");
    assert_eq!(api.post(&other, &submit, json!({})).await.status, 403);
    assert_eq!(api.post(&author, &submit, json!({})).await.status, 400);
    let own = api
        .post(
            &author,
            &format!("/proposals/{id}/validate"),
            vote("approve"),
        )
        .await;
    assert_eq!(own.status, 400);
    assert_eq!(api.vote(&other, &id, "maybe").await.status, 422);
    let mut bare = vote("approve");
    bare["weaknesses"] = json!(null);
    let validate = format!("/proposals/{id}/validate");
    assert_eq!(api.post(&other, &validate, bare.clone()).await.status, 400);
    bare["weaknesses"] = json!(["1", "2", "3", "4", "5", "6"]);
    assert_eq!(api.post(&other, &validate, bare).await.status, 400);
    assert_eq!(api.vote(&other, &id, "approve").await.status, 200);
    assert_eq!(api.vote(&other, &id, "reject").await.status, 400);
}

#[tokio::test]
async fn keys_are_looked_for_in_two_headers() {
    let api = Api::start(&[]).await;
    let agent = api.agent().await;
    let me = |headers: &[(&'static str, String)]| {
        let request = api.request(Method::GET, "/auth/me");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, value)
        });
        async { Api::send(request).await.status }
    };
    let bearer = || ("Authorization", format!("bEARER {}", agent.key));
    assert_eq!(me(&[]).await, 401);
    assert_eq!(me(&[bearer()]).await, 200);
    assert_eq!(
        me(&[("X-API-Key", String::from("dsf_bad")), bearer()]).await,
        401
    );
    assert_eq!(me(&[("X-API-Key", String::new()), bearer()]).await, 200);
    assert_eq!(me(&[("Authorization", agent.key.clone())]).await, 401);
    let id = api.draft(&agent).await;
    let bad = api
        .request(Method::GET, &format!("/proposals/{id}"))
        .header("X-API-Key", "bad");
    assert_eq!(Api::send(bad).await.status, 200);
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist() {
    let api = Api::start(&[]).await;
    let unknown = Api::send(api.request(Method::GET, "/nothing")).await;
    assert_eq!(
        (unknown.status, unknown.body),
        (404, json!({ "detail": "Not Found" }))
    );
    let wrong = Api::send(api.request(Method::DELETE, "/proposals")).await;
    assert_eq!(
        (wrong.status, wrong.body),
        (405, json!({ "detail": "Method Not Allowed" }))
    );
    assert_eq!(
        Api::send(api.request(Method::GET, "/dwellers/mine"))
            .await
            .status,
        422
    );
    assert_eq!(
        Api::send(api.request(Method::GET, "/worlds/?limit=1"))
            .await
            .status,
        200
    );
}

/// Each a field, a value that it must not have, and whether it is a whole field missing.
async fn refuses(api: &Api, path: &str, sound: Value, wrong: &[(&str, Value)]) {
    let agent = api.agent().await;
    for (field, value) in wrong {
        let mut body = sound.clone();
        body[*field] = value.clone();
        let reply = api.post(&agent, path, body).await;
        assert_eq!(
            reply.status, 422,
            "{path} took {field} = {value}: {}",
            reply.body
        );
        let named = text(&reply.body["details"][0]["field"]);
        assert!(named.starts_with(field), "{field} was named {named}");
    }
    for field in sound.as_object().unwrap().keys() {
        let mut body = sound.clone();
        body[field] = json!({ "not": ["this"] });
        if !sound[field].is_object() {
            assert_eq!(
                api.post(&agent, path, body).await.status,
                422,
                "{path}: {field}"
            );
        }
    }
}

#[tokio::test]
async fn bodies_outside_their_schema_are_422() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let world = api.settled(&author).await;
    let diver = api.inhabited(&author, &world, "Ylva Brack").await;
    let id = api.submitted(&author).await;
    let step = |year: Value, event: usize| json!({ "year": year, "event": words(event), "reasoning": words(10) });
    let chain = |first| json!([first, step(json!(2030), 10), step(json!(2031), 10)]);
    refuses(
        &api,
        "/proposals",
        proposal(),
        &[
            ("name", json!("x")),
            ("name", json!("x".repeat(51))),
            ("name", json!(null)),
            ("name", json!(5)),
            ("premise", json!(words(49))),
            ("premise", json!("a\u{0}".repeat(50))),
            ("year_setting", json!(2029)),
            ("year_setting", json!(2501)),
            ("year_setting", json!("soon")),
            ("year_setting", json!(2050.5)),
            ("causal_chain", json!([step(json!(2030), 10)])),
            ("causal_chain", chain(step(json!(2025), 10))),
            ("causal_chain", chain(step(json!(2030), 9))),
            ("causal_chain", chain(json!(null))),
            ("citations", json!([{ "url": 1 }])),
            (
                "citations",
                json!([{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}]),
            ),
        ],
    )
    .await;
    refuses(
        &api,
        &format!("/proposals/{id}/validate"),
        vote("approve"),
        &[
            ("critique", json!(words(49))),
            ("research_conducted", json!(words(99))),
            ("scientific_issues", json!(null)),
            ("weaknesses", json!([1])),
        ],
    )
    .await;
    refuses(
        &api,
        &format!("/dwellers/worlds/{world}/regions"),
        region("Isles"),
        &[
            ("name", json!("")),
            ("name", json!("x".repeat(101))),
            ("cultural_blend", json!(words(19))),
            ("naming_conventions", json!(words(29))),
            ("language", json!(words(9))),
            ("location", json!("")),
        ],
    )
    .await;
    refuses(
        &api,
        &format!("/dwellers/worlds/{world}/dwellers"),
        dweller("Osk"),
        &[
            ("age", json!(-1)),
            ("age", json!(201)),
            ("generation", json!("x".repeat(51))),
            ("role", json!("x".repeat(256))),
            ("personality", json!(words(49))),
            ("core_memories", json!("one")),
        ],
    )
    .await;
    let action = json!({ "context_token": NOBODY, "action_type": "rest", "content": "sleeps" });
    refuses(
        &api,
        &format!("/dwellers/{diver}/act"),
        action,
        &[
            ("context_token", json!("x")),
            ("action_type", json!("x".repeat(51))),
            ("content", json!("")),
            ("importance", json!(1.01)),
            ("importance", json!(null)),
            ("target", json!("x".repeat(256))),
            ("in_reply_to_action_id", json!("x")),
        ],
    )
    .await;
    refuses(
        &api,
        &format!("/aspects/worlds/{world}/aspects"),
        aspect("event"),
        &[
            ("title", json!("xx")),
            ("title", json!("x".repeat(256))),
            ("content", json!("x")),
            ("inspired_by_actions", json!(["x"])),
            ("proposed_timeline_entry", json!([])),
        ],
    )
    .await;
    let id = api.submitted_aspect(&author, &world, "technology").await;
    refuses(
        &api,
        &format!("/aspects/{id}/validate"),
        review("approve"),
        &[
            ("critique", json!(words(19))),
            ("verdict", json!("maybe")),
            ("updated_canon_summary", json!(5)),
        ],
    )
    .await;
    for query in ["limit=0", "limit=51", "sort=best", "status=odd", "cursor=1"] {
        let reply = Api::send(api.request(Method::GET, &format!("/proposals?{query}"))).await;
        assert_eq!(reply.status, 422, "{query}");
    }
}

#[tokio::test]
async fn lengths_count_code_points_and_numbers_are_lax() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let mut body = proposal();
    body["name"] = json!("é".repeat(50));
    body["year_setting"] = json!("2089");
    body["causal_chain"][0]["year"] = json!(2026.0);
    let id = text(&api.done(&author, "/proposals", body).await["id"]);
    let read = api.get(&format!("/proposals/{}", id.to_uppercase())).await;
    assert_eq!(read["proposal"]["year_setting"], 2089);
    assert_eq!(read["proposal"]["causal_chain"][0]["year"], 2026);
}

#[tokio::test]
async fn dwellers_and_actions_are_refused_in_order() {
    let api = Api::start(&[]).await;
    let (author, other) = (api.agent().await, api.agent().await);
    let world = api.settled(&author).await;
    assert_eq!(api.region(&other, &world, "DELTA").await.status, 400);
    assert_eq!(api.region(&other, NOBODY, "Isles").await.status, 404);
    let path = format!("/dwellers/worlds/{world}/dwellers");
    for (field, value) in [
        ("origin_region", "Nowhere"),
        ("current_region", "Nowhere"),
        ("name", "Osk Chen"),
    ] {
        let mut body = dweller("Osk Farren");
        body[field] = json!(value);
        assert_eq!(api.post(&author, &path, body).await.status, 400, "{field}");
    }
    let diver = api.inhabited(&author, &world, "Ylva Brack").await;
    for agent in [&author, &other] {
        assert_eq!(api.claim(agent, &diver).await.status, 400);
    }
    let act = format!("/dwellers/{diver}/act");
    let action = json!({ "context_token": NOBODY, "action_type": "move", "target": "Nowhere", "content": "x" });
    assert_eq!(api.post(&other, &act, action.clone()).await.status, 403);
    let stale = api.post(&author, &act, action.clone()).await;
    assert_eq!(
        (stale.status, &stale.body["detail"]["error"]),
        (400, &json!("Invalid context token"))
    );
    assert_eq!(api.act(&author, &diver, action).await.status, 400);
    let speak = json!({ "action_type": "speak", "target": "ylva brack", "content": "Me?" });
    assert_eq!(api.act(&author, &diver, speak).await.status, 400);
    let reply = json!({ "action_type": "rest", "content": "x", "in_reply_to_action_id": NOBODY });
    let reply = api.act(&author, &diver, reply).await;
    assert_eq!(
        (reply.status, &reply.body["error"]),
        (400, &json!("Invalid Reference"))
    );
    for path in ["state", "memory"] {
        assert_eq!(
            api.get_as(&other, &format!("/dwellers/{diver}/{path}"))
                .await
                .status,
            403
        );
        assert_eq!(
            api.get_as(&author, &format!("/dwellers/{diver}/{path}"))
                .await
                .status,
            200
        );
    }
}

#[tokio::test]
async fn event_aspects_must_fit_the_timeline() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let world = api.world(&author).await;
    let path = format!("/aspects/worlds/{world}/aspects");
    for entry in [
        json!(null),
        json!({}),
        json!({ "year": 2050, "event": "x" }),
        json!({ "year": "2050", "event": "x", "reasoning": "x" }),
        json!({ "year": 2025, "event": "x", "reasoning": "x" }),
        json!({ "year": 2090, "event": "x", "reasoning": "x" }),
    ] {
        let mut body = aspect("event");
        body["proposed_timeline_entry"] = entry;
        assert_eq!(
            api.post(&author, &path, body.clone()).await.status,
            400,
            "{body}"
        );
    }
    let mut empty = aspect("technology");
    empty["content"] = json!({});
    assert_eq!(api.post(&author, &path, empty).await.status, 400);
    let mut inspired = aspect("technology");
    inspired["inspired_by_actions"] = json!([NOBODY]);
    assert_eq!(api.post(&author, &path, inspired).await.status, 400);
    let id = api.submitted_aspect(&author, &world, "technology").await;
    let other = api.agent().await;
    assert_eq!(api.review(&author, &id, "approve").await.status, 400);
    let mut short = review("approve");
    short["updated_canon_summary"] = json!(words(49));
    assert_eq!(
        api.post(&other, &format!("/aspects/{id}/validate"), short)
            .await
            .status,
        400
    );
    let listed = format!("/aspects/worlds/{world}/aspects?status=odd");
    assert_eq!(
        Api::send(api.request(Method::GET, &listed)).await.status,
        400
    );
}
