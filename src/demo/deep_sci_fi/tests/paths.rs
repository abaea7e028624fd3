//! The main paths of the sound server.

use std::collections::HashSet;

use serde_json::json;

use super::harness::{Api, text, vote, words};

#[tokio::test]
async fn a_proposal_becomes_a_peopled_world() {
    let api = Api::start(&[]).await;
    let (author, actor) = (api.agent().await, api.agent().await);
    let world = api.settled(&author).await;
    let read = api.get(&format!("/worlds/{world}")).await["world"].take();
    assert_eq!(read["created_by"], author.id.as_str());
    assert_eq!(read["canon_summary"], read["premise"]);
    assert_eq!(read["regions"].as_array().unwrap().len(), 2);

    let diver = api.inhabited(&actor, &world, "Ylva Brack").await;
    let other = api.inhabited(&author, &world, "Osk Farren").await;
    let read = api.get(&format!("/worlds/{world}")).await["world"].take();
    assert_eq!(read["dweller_count"], 2);

    let moved = json!({ "action_type": "move", "target": "HILLS: the mill", "content": "walks" });
    let moved = api.act(&actor, &diver, moved).await;
    assert_eq!(
        (moved.status, &moved.body["new_location"]["current_region"]),
        (200, &json!("Hills"))
    );
    let read = api.read_dweller(&diver).await;
    assert_eq!(
        (&read["current_region"], &read["specific_location"]),
        (&json!("Hills"), &json!("the mill"))
    );
    assert_eq!(read["inhabited_by"], actor.id.as_str());

    let said = json!({ "action_type": "speak", "target": "osk farren", "content": "Hello?", "importance": 0.9 });
    let said = api.act(&actor, &diver, said).await;
    assert_eq!(
        (said.status, &said.body["escalation"]["eligible"]),
        (200, &json!(true))
    );
    let question = text(&said.body["action"]["id"]);
    let silent = json!({ "action_type": "speak", "target": "Ylva Brack", "content": "Nice day." });
    assert_eq!(api.act(&author, &other, silent).await.status, 400);
    let context = api
        .done(
            &author,
            &format!("/dwellers/{other}/act/context"),
            json!({}),
        )
        .await;
    assert_eq!(context["conversations"][0]["with_dweller"], "Ylva Brack");
    assert_eq!(context["conversations"][0]["unanswered_count"], 1);
    let reply = json!({
        "action_type": "speak", "target": "Ylva Brack", "content": "Hello!", "in_reply_to_action_id": question,
    });
    assert_eq!(api.act(&author, &other, reply).await.status, 200);
    let action = api.get(&format!("/actions/{question}")).await["action"].take();
    assert_eq!(action["escalation_eligible"], true);

    let memory = api
        .get_as(&actor, &format!("/dwellers/{diver}/memory"))
        .await
        .body["memory"]
        .take();
    assert_eq!(memory["total_episodes"], 2);
    assert_eq!(memory["episodic_memories"][0]["type"], "move");
    assert_eq!(
        memory["relationship_memories"]["osk farren"]["history"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let released = api
        .post(&actor, &format!("/dwellers/{diver}/release"), json!({}))
        .await;
    assert_eq!(released.status, 200);
    let read = api.read_dweller(&diver).await;
    assert_eq!(
        (&read["inhabited_by"], &read["is_available"]),
        (&json!(null), &json!(true))
    );
    let profile = api.get(&format!("/agents/{}", author.id)).await;
    assert_eq!(profile["contributions"]["dwellers_inhabited"], 1);
    api.server.stop().await;
}

#[tokio::test]
async fn the_strengthen_gate_opens_with_a_later_revision() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let id = api.submitted(&author).await;
    let revise = format!("/proposals/{id}/revise");
    let first = api.done(&author, &revise, json!({})).await;
    assert_eq!(
        (&first["revision_count"], first.get("strengthen_gate")),
        (&json!(1), None)
    );
    api.vote(&api.agent().await, &id, "strengthen").await;
    api.vote(&api.agent().await, &id, "approve").await;
    let held = api.vote(&api.agent().await, &id, "approve").await;
    assert_eq!(held.body["proposal_status"], "validating");
    assert_eq!(held.body["strengthen_gate"]["active"], true);
    let second = api
        .done(&author, &revise, json!({ "premise": "short" }))
        .await;
    assert_eq!(second["strengthen_gate"], "cleared");
    let last = api.vote(&api.agent().await, &id, "approve").await;
    assert_eq!(last.body["proposal_status"], "approved");
    let world = text(&last.body["world_created"]["id"]);
    assert_eq!(
        api.get(&format!("/worlds/{world}")).await["world"]["premise"],
        "short"
    );
}

#[tokio::test]
async fn rejections_end_a_proposal_and_one_bars_approval() {
    let api = Api::start(&[]).await;
    let author = api.agent().await;
    let id = api.submitted(&author).await;
    api.vote(&api.agent().await, &id, "reject").await;
    for _ in 0..3 {
        let vote = api.vote(&api.agent().await, &id, "approve").await;
        assert_eq!(vote.body["proposal_status"], "validating");
        assert_eq!(
            vote.body["validation_status"]["needed_for_approval"],
            json!(null)
        );
    }
    let last = api.vote(&api.agent().await, &id, "reject").await;
    assert_eq!(last.body["proposal_status"], "rejected");
    assert_eq!(api.status(&id).await, "rejected");
    assert_eq!(
        api.vote(&api.agent().await, &id, "approve").await.status,
        400
    );
}

#[tokio::test]
async fn readers_who_have_yet_to_vote_are_blind() {
    let api = Api::start(&[]).await;
    let (author, reader) = (api.agent().await, api.agent().await);
    let id = api.submitted(&author).await;
    api.vote(&api.agent().await, &id, "approve").await;
    let path = format!("/proposals/{id}");
    let blind = api.get_as(&reader, &path).await.body;
    assert_eq!(
        (&blind["blind_mode"], &blind["summary"]["approve_count"]),
        (&json!(true), &json!("hidden"))
    );
    assert_eq!(blind["validations"], json!([]));
    for open in [api.get(&path).await, api.get_as(&author, &path).await.body] {
        assert_eq!(open["summary"]["approve_count"], 1);
        assert_eq!(open["validation_progress"]["remaining"], 1);
    }
    api.vote(&reader, &id, "strengthen").await;
    let open = api.get_as(&reader, &path).await.body;
    assert_eq!(
        (&open["blind_mode"], &open["summary"]["total_validations"]),
        (&json!(false), &json!(2))
    );
    let listed = api.get(&format!("{path}/validations")).await;
    assert_eq!(listed["validations"][1]["verdict"], "strengthen");
}

#[tokio::test]
async fn aspects_join_the_canon() {
    let api = Api::start(&[]).await;
    let (author, writer) = (api.agent().await, api.agent().await);
    let world = api.settled(&author).await;
    for kind in ["region", "event", "technology"] {
        let id = api.submitted_aspect(&writer, &world, kind).await;
        let review = api.review(&author, &id, "approve").await;
        assert_eq!(
            (review.status, &review.body["aspect_status"]),
            (200, &json!("approved")),
            "{}",
            review.body
        );
    }
    let canon = api.canon(&world).await;
    assert_eq!(canon["canon_summary"], words(60));
    assert_eq!(canon["regions"][2]["name"], "Shoals");
    assert_eq!(canon["causal_chain"][2]["event"], "flood");
    assert_eq!(canon["approved_aspects"].as_array().unwrap().len(), 3);
    let rejected = api.submitted_aspect(&writer, &world, "technology").await;
    assert_eq!(
        api.review(&author, &rejected, "reject").await.body["aspect_status"],
        "rejected"
    );
    let listed = api
        .get(&format!("/aspects/worlds/{world}/aspects?status=rejected"))
        .await;
    assert_eq!(listed["aspects"][0]["id"], rejected.as_str());
    assert_eq!(listed["total"], 1);
}

#[tokio::test]
async fn lists_page_through_everything_once() {
    let api = Api::start(&[]).await;
    let mut made = Vec::new();
    for _ in 0..3 {
        let author = api.agent().await;
        made.push(api.draft(&author).await);
        made.push(api.submitted(&author).await);
    }
    for sort in ["oldest", "recent"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api
                .get(&format!("/proposals?limit=4&sort={sort}{cursor}"))
                .await;
            seen.extend(
                page["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|item| text(&item["id"])),
            );
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        if sort == "recent" {
            seen.reverse();
        }
        assert_eq!(seen, made, "{sort}");
    }
    let drafts = api.get("/proposals?status=draft").await;
    assert_eq!(drafts["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn accounts_have_names_and_models_of_their_own() {
    let api = Api::start(&[]).await;
    let names: HashSet<String> = [
        api.register("Climate_Futures").await,
        api.register("climate futures").await,
    ]
    .iter()
    .map(|reply| text(&reply.body["agent"]["username"]))
    .collect();
    assert!(
        names.contains("@climate-futures") && names.len() == 2,
        "{names:?}"
    );
    let (one, two) = (api.agent().await, api.agent().await);
    let set = api
        .patch(&one, "/auth/me/model", json!({ "model_id": "m-1" }))
        .await;
    assert_eq!((set.status, &set.body["model_id"]), (200, &json!("m-1")));
    assert_eq!(api.get_as(&one, "/auth/me").await.body["model_id"], "m-1");
    assert_eq!(
        api.get_as(&two, "/auth/verify").await.body["agent"]["model_id"],
        json!(null)
    );
    let found = api.get("/agents/by-username/@climate-futures").await;
    assert_eq!(found["agent"]["username"], "@climate-futures");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_keep_the_rules() {
    let api = std::sync::Arc::new(Api::start(&[]).await);
    let author = api.agent().await;
    let world = api.settled(&author).await;
    let dweller = api.dweller(&author, &world, "Ylva Brack").await;
    let proposal = api.submitted(&author).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let (api, dweller, proposal) = (api.clone(), dweller.clone(), proposal.clone());
        tasks.spawn(async move {
            let agent = api.agent().await;
            let claim = api.claim(&agent, &dweller).await.status;
            let (path, body) = (format!("/proposals/{proposal}/validate"), vote("approve"));
            let votes = tokio::join!(
                api.post(&agent, &path, body.clone()),
                api.post(&agent, &path, body),
            );
            api.get("/worlds").await;
            let worlds = [&votes.0, &votes.1]
                .iter()
                .filter(|vote| vote.body.get("world_created").is_some())
                .count();
            assert!([200, 400].contains(&votes.0.status) && [200, 400].contains(&votes.1.status));
            (claim, worlds)
        });
    }
    let ends = tasks.join_all().await;
    assert_eq!(ends.iter().filter(|(claim, _)| *claim == 200).count(), 1);
    assert!(ends.iter().all(|(claim, _)| [200, 400].contains(claim)));
    assert_eq!(ends.iter().map(|(_, worlds)| worlds).sum::<usize>(), 1);
    assert_eq!(api.get("/worlds").await["total"], 2);
}

/// A transaction whose client is gone is rolled back, and the one writer is free for the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_leave_no_lock_behind() {
    let api = std::sync::Arc::new(Api::start(&[]).await);
    let mut tasks = tokio::task::JoinSet::new();
    for impatience in 0..200 {
        let api = api.clone();
        tasks.spawn(async move {
            let patience = std::time::Duration::from_micros(500 + impatience * 50);
            let request = api
                .request(reqwest::Method::POST, "/auth/agent")
                .timeout(patience);
            let body = json!({ "name": "hasty", "username": format!("hasty-{impatience}") });
            request.json(&body).send().await.is_err()
        });
    }
    let hung_up = tasks
        .join_all()
        .await
        .into_iter()
        .filter(|gone| *gone)
        .count();
    assert!(hung_up > 0, "nobody hung up");
    let author = api.agent().await;
    let id = api.submitted(&author).await;
    assert_eq!(api.status(&id).await, "validating");
}

#[tokio::test]
async fn a_named_database_outlives_the_server() {
    use crate::demo::deep_sci_fi::{Config, serve};

    let directory = tempfile::tempdir().unwrap();
    let config = Config {
        database: Some(directory.path().join("kept.sqlite").display().to_string()),
        ..Config::default()
    };
    let client = reqwest::Client::new();
    let api = Api {
        server: serve(config.clone()).await.unwrap(),
        client: client.clone(),
    };
    let author = api.agent().await;
    let id = api.submitted(&author).await;
    api.server.stop().await;
    let api = Api {
        server: serve(config).await.unwrap(),
        client,
    };
    assert_eq!(api.status(&id).await, "validating");
    assert_eq!(
        api.get_as(&author, "/auth/me").await.body["id"],
        author.id.as_str()
    );
}
